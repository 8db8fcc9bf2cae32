// Keyspaces: created, dropped, found again, and written together.

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

using KeyspaceTest = DatabaseTest;

TEST_F(KeyspaceTest, are_separate_and_outlive_reopening) {
  open();
  const Keyspace a = create("a");
  const Keyspace b =
      create("b", {.durability = Durability::sync, .history_retention = std::chrono::seconds(5)});
  ASSERT_OK(db_->put("k", "default"));
  ASSERT_OK(db_->put("k", "in a", in(a)));
  ASSERT_OK(db_->put("k", "in b", in(b)));
  ASSERT_OK(db_->erase("k"));
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(get("k"), "(absent)");
    EXPECT_EQ(get("k", from(a)), "in a");
    EXPECT_EQ(get("k", from(b)), "in b");
    EXPECT_EQ(rows({.keyspace = a}), (Rows{{"k", "in a"}}));
    EXPECT_EQ(db_->find_keyspace("a").value(), a);
    const std::vector<KeyspaceInfo> all = db_->keyspaces();
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0].name, "default");
    EXPECT_EQ(all[0].keyspace, kDefaultKeyspace);
    EXPECT_EQ(all[2].name, "b");
    EXPECT_EQ(all[2].options.durability, Durability::sync);
    EXPECT_EQ(all[2].options.history_retention, std::chrono::nanoseconds(5'000'000'000));
    EXPECT_FALSE(all[1].options.durability.has_value());
    if (round == 0) {
      kill_and_reopen();
    } else if (round == 1) {
      ASSERT_OK(db_->compact());
      reopen();
    }
  }
}

TEST_F(KeyspaceTest, longest_retention_comes_back) {
  open();
  create("for ever", {.history_retention = std::chrono::nanoseconds::max()});
  create("none", {.history_retention = std::chrono::nanoseconds(0)});
  reopen();
  const std::vector<KeyspaceInfo> keyspaces = db_->keyspaces();
  ASSERT_EQ(keyspaces.size(), 3u);
  EXPECT_EQ(keyspaces[1].options.history_retention, std::chrono::nanoseconds::max());
  EXPECT_EQ(keyspaces[2].options.history_retention, std::chrono::nanoseconds(0));
}

TEST_F(KeyspaceTest, names_are_checked) {
  open();
  EXPECT_FAILS(db_->create_keyspace(""), invalid_argument, "0 bytes");
  EXPECT_FAILS(db_->create_keyspace(std::string(256, 'n')), invalid_argument, "256 bytes");
  EXPECT_FAILS(db_->create_keyspace("default"), already_exists, "default");
  const std::string odd("\0\xff/\n", 4);
  const Keyspace keyspace = create(odd);
  EXPECT_FAILS(db_->create_keyspace(odd), already_exists, "exists");
  create(std::string(255, 'n'));
  EXPECT_FAILS(db_->create_keyspace("n", {.history_retention = std::chrono::nanoseconds(-1)}),
               invalid_argument, "negative");
  reopen();
  EXPECT_EQ(db_->find_keyspace(odd).value(), keyspace);
}

// More keys than are looked up at once, and the drop in the middle.
TEST_F(KeyspaceTest, dropped_while_keys_are_read_together_is_read_whole_or_not_at_all) {
  open();
  const Keyspace keyspace = create("dropped");
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) {
    names.push_back("key " + std::to_string(i));
    ASSERT_OK(db_->put(names.back(), std::string(500, 'v'), {.keyspace = keyspace}));
  }
  ASSERT_OK(db_->flush());
  reopen();
  const std::vector<std::string_view> keys(names.begin(), names.end());
  std::vector<std::optional<PinnedValue>> values(keys.size());
  Result<Transaction> transaction = db_->begin();
  ASSERT_OK(transaction);
  bool dropped = false;
  hook_ = [&](const FileCall& call) {
    if (dropped || call.kind != FileCall::Kind::read || !call.path.ends_with(".sst")) {
      return Status();
    }
    dropped = true;
    EXPECT_OK(db_->drop_keyspace(keyspace));
    return Status();
  };
  ASSERT_OK(transaction->multi_get(keys, values, from(keyspace)));
  EXPECT_TRUE(dropped);
  for (size_t i = 0; i < keys.size(); ++i) EXPECT_TRUE(values[i].has_value()) << keys[i];
  EXPECT_FAILS(transaction->multi_get(keys, values, from(keyspace)), not_found, "keyspace");
  hook_ = nullptr;
}

TEST_F(KeyspaceTest, dropped_is_gone_at_once_and_its_id_is_not_used_again) {
  open();
  const Keyspace first = create("k");
  ASSERT_OK(db_->put("key", "v", in(first)));
  ASSERT_OK(db_->flush());
  ASSERT_OK(db_->put("key2", "v", in(first)));
  ASSERT_OK(db_->drop_keyspace(first));
  std::string value;
  EXPECT_FAILS(db_->get("key", &value, from(first)), not_found, "dropped");
  EXPECT_FAILS(db_->put("key", "v", in(first)), not_found, "dropped");
  EXPECT_FAILS(db_->drop_keyspace(first), not_found, "");
  EXPECT_FAILS(db_->drop_keyspace(kDefaultKeyspace), invalid_argument, "default");
  EXPECT_FAILS(db_->find_keyspace("k"), not_found, "k");
  const Keyspace second = create("k");
  EXPECT_NE(first, second);
  EXPECT_EQ(get("key", from(second)), "(absent)");
  ASSERT_OK(db_->drop_keyspace(second));
  kill_and_reopen();
  EXPECT_FAILS(db_->find_keyspace("k"), not_found, "k");
  EXPECT_GT(create("k").id, second.id);
  ASSERT_OK(db_->wait_for_background());
  EXPECT_EQ(files_with_suffix(disk_.get(), kPath, ".sst").size(), 0u) << "its files are gone";
}

TEST_F(KeyspaceTest, batch_across_keyspaces_is_whole_after_a_kill) {
  open();
  const Keyspace a = create("a");
  const Keyspace b = create("b");
  for (int i = 0; i < 20; ++i) {
    WriteBatch batch;
    const std::string key = "k" + std::to_string(i);
    ASSERT_OK(batch.put(key, "1"));
    ASSERT_OK(batch.put(a, key, "2"));
    ASSERT_OK(batch.put(b, key, "3"));
    ASSERT_OK(db_->write(batch));
    if (i == 10) ASSERT_OK(db_->flush());
  }
  kill_and_reopen();
  EXPECT_EQ(rows().size(), 20u);
  EXPECT_EQ(rows({.keyspace = a}).size(), 20u);
  EXPECT_EQ(rows({.keyspace = b}).size(), 20u);
}

TEST_F(KeyspaceTest, batch_across_logged_and_unlogged) {
  open();
  const Keyspace unlogged = create("unlogged", {.durability = Durability::none});
  for (int i = 0; i < 20; ++i) {
    WriteBatch batch;
    const std::string key = "k" + std::to_string(i);
    ASSERT_OK(batch.put(unlogged, key, "u"));
    ASSERT_OK(batch.put(key, "l"));
    ASSERT_OK(batch.put(unlogged, key + "x", "u"));
    ASSERT_OK(db_->write(batch));
    if (i == 9) ASSERT_OK(db_->flush());
  }
  EXPECT_EQ(rows().size(), 20u);
  EXPECT_EQ(rows({.keyspace = unlogged}).size(), 40u);
  EXPECT_GT(db_->memory_report().roles[static_cast<size_t>(MemoryRole::commit_queue)].live_bytes,
            0u);
  kill_and_reopen();
  EXPECT_EQ(rows().size(), 20u);
  EXPECT_EQ(rows({.keyspace = unlogged}).size(), 20u) << "what was flushed";
}

TEST_F(KeyspaceTest, writes_to_unlogged_alone_write_no_log) {
  open();
  const Keyspace unlogged = create("unlogged", {.durability = Durability::none});
  const uint64_t before = db_->statistics().log_bytes_written;
  const uint64_t syncs_before = db_->statistics().log_syncs;  // of the creation
  WriteOptions options = in(unlogged);
  options.durability = Durability::sync;  // there is no log to sync
  for (int i = 0; i < 100; ++i) ASSERT_OK(db_->put("k" + std::to_string(i), "v", options));
  EXPECT_EQ(db_->statistics().log_bytes_written, before);
  EXPECT_EQ(db_->statistics().log_syncs, syncs_before);
}

// Opened without a log, a database released the log that still held what it had recovered from it:
// a flush of another keyspace did not see the memtable.
TEST_F(KeyspaceTest, what_was_logged_survives_being_reopened_without_a_log) {
  open();
  const Keyspace logged = create("logged", {.durability = Durability::os});
  ASSERT_OK(db_->put("k", "promised"));
  kill();
  options_.durability = Durability::none;  // the default keyspace is not logged any more
  open();
  ASSERT_OK(db_->put("k", "v", in(logged)));
  for (int i = 0; i < 10; ++i) {
    // Segments of the log are released by these.
    for (int j = 0; j < 500; ++j) ASSERT_OK(db_->put("k", std::string(1000, 'v'), in(logged)));
    executor_.run_all();
    ASSERT_OK(db_->wait_for_background());
  }
  ASSERT_GT(db_->statistics().flushes, 0u);
  kill_and_reopen();
  EXPECT_EQ(get("k"), "promised");
}

TEST_F(KeyspaceTest, flushed_without_a_log_is_not_replayed_from_the_old_one) {
  open();
  ASSERT_OK(db_->put("k", "1"));
  kill();
  options_.durability = Durability::none;
  open();
  ASSERT_OK(db_->flush());  // what was recovered
  kill_and_reopen();
  EXPECT_EQ(db_->statistics().keyspaces[0].memtable_entries, 0u);
  ASSERT_OK(db_->put("k", "2"));
  ASSERT_OK(db_->compact());
  ASSERT_OK(db_->verify());
  EXPECT_EQ(get("k"), "2");
}

TEST_F(KeyspaceTest, cursors_and_values_outlive_a_drop) {
  open();
  const Keyspace keyspace = create("k");
  for (int i = 0; i < 3000; ++i) {
    ASSERT_OK(db_->put("key" + std::to_string(10000 + i), "value", in(keyspace)));
    if (i == 2000) ASSERT_OK(db_->flush());
  }
  {
    Result<Cursor> cursor = db_->scan({.keyspace = keyspace});
    ASSERT_OK(cursor);
    Result<std::optional<PinnedValue>> in_block = db_->get("key10000", from(keyspace));
    Result<std::optional<PinnedValue>> in_memtable = db_->get("key12999", from(keyspace));
    cursor->seek_to_first();
    ASSERT_OK(db_->drop_keyspace(keyspace));
    ASSERT_OK(db_->compact());
    int seen = 0;
    for (; cursor->valid(); cursor->next()) ++seen;  // far beyond its look for a newer view
    EXPECT_OK(cursor->status());
    EXPECT_EQ(seen, 3000);
    EXPECT_EQ((*in_block)->view(), "value");
    EXPECT_EQ((*in_memtable)->view(), "value");
    EXPECT_FAILS(cursor->reset({.keyspace = keyspace}), not_found, "dropped");
    cursor->seek_to_first();
    EXPECT_FALSE(cursor->valid());
    EXPECT_FAILS(cursor->status(), not_found, "dropped");
    ASSERT_OK(cursor->reset({}));
    cursor->seek_to_first();
    EXPECT_FALSE(cursor->valid());
    EXPECT_OK(cursor->status());
  }
  ASSERT_OK(db_->wait_for_background());
  EXPECT_EQ(files_with_suffix(disk_.get(), kPath, ".sst").size(), 0u);
}

// Empty memtables counted as debt: with more keyspaces than fit, every write waited for ever.
TEST_F(KeyspaceTest, many_keyspaces_in_a_small_write_buffer) {
  options_.write_buffer_size = 64 * 1024;
  open();
  std::vector<Keyspace> keyspaces;
  for (int i = 0; i < 100; ++i) keyspaces.push_back(create("keyspace" + std::to_string(i)));
  WriteOptions options;
  options.timeout = std::chrono::nanoseconds(0);
  for (int i = 0; i < 1000; ++i) {
    options.keyspace = keyspaces[static_cast<size_t>(i) % 100];
    Status status = db_->put("k" + std::to_string(i), "v", options);
    if (status.code() == StatusCode::timed_out) {
      executor_.run_all();
      status = db_->put("k" + std::to_string(i), "v", options);
    }
    ASSERT_OK(status);
  }
  size_t total = 0;
  for (const Keyspace keyspace : keyspaces) total += rows({.keyspace = keyspace}).size();
  EXPECT_EQ(total, 1000u);
}

// A new table of keyspaces was retired under the store's lock, which what is reclaimed then takes.
TEST_F(KeyspaceTest, create_and_drop_while_files_become_obsolete) {
  open();
  for (int i = 0; i < 100; ++i) {
    const Keyspace keyspace = create("k" + std::to_string(i));
    ASSERT_OK(db_->put("k", "v", in(keyspace)));
    ASSERT_OK(db_->put("k", "v"));
    ASSERT_OK(db_->flush());
    if (i % 3 == 0) ASSERT_OK(db_->compact());
    if (i % 2 == 0) ASSERT_OK(db_->drop_keyspace(keyspace));
    executor_.run_all();
  }
  EXPECT_EQ(db_->keyspaces().size(), 51u);
}

TEST_F(KeyspaceTest, dropped_under_a_flush_or_compaction_fails_nobody) {
  options_.executor = nullptr;
  options_.clock = nullptr;
  options_.write_buffer_size = 64 * 1024;
  open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 12; ++i) {
        Result<Keyspace> keyspace =
            db_->create_keyspace("k" + std::to_string(t) + "." + std::to_string(i));
        ASSERT_OK(keyspace);
        for (int j = 0; j < 40; ++j) {
          ASSERT_OK(db_->put("key" + std::to_string(j), std::string(500, 'v'), in(*keyspace)));
        }
        if (i % 2 == 0) ASSERT_OK(db_->drop_keyspace(*keyspace));
      }
    });
  }
  threads.emplace_back([this] {
    for (int i = 0; i < 20; ++i) {
      ASSERT_OK(db_->put("k", "v"));
      ASSERT_OK(i % 4 == 0 ? db_->compact() : db_->flush());
    }
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(db_->keyspaces().size(), 1u + 3 * 6);
  EXPECT_OK(db_->verify());
  reopen();
  EXPECT_EQ(db_->keyspaces().size(), 1u + 3 * 6);
}

TEST_F(KeyspaceTest, writers_race_with_create_and_drop) {
  options_.executor = nullptr;
  options_.clock = nullptr;
  open();
  std::atomic<uint32_t> current{create("first").id};
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int t = 0; t < 3; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; !stop.load(); ++i) {
        const Keyspace keyspace{current.load()};
        WriteBatch batch;
        const std::string key = std::to_string(t) + "." + std::to_string(i);
        ASSERT_OK(batch.put(keyspace, key, "v"));
        ASSERT_OK(batch.put(key, "v"));
        Status status = db_->write(batch);
        std::string value;
        Result<bool> found = db_->get(key, &value);
        ASSERT_OK(found);
        ASSERT_EQ(*found, status.ok()) << "refused whole";
        if (!status.ok()) ASSERT_EQ(status.code(), StatusCode::not_found) << status.to_string();
      }
    });
  }
  for (int i = 0; i < 30; ++i) {
    const Keyspace next = create("k" + std::to_string(i));
    const Keyspace old{current.exchange(next.id)};
    ASSERT_OK(db_->drop_keyspace(old));
    if (i % 5 == 0) ASSERT_OK(db_->flush());
  }
  stop.store(true);
  for (std::thread& writer : writers) writer.join();
  EXPECT_OK(db_->verify());
}

}  // namespace
}  // namespace varve::test
