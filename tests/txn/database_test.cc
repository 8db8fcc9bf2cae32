// Reads and writes through the public interface: what each call answers, and what it refuses.

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/time_text.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

TEST_F(DatabaseTest, put_get_erase) {
  open();
  EXPECT_EQ(get("k"), "(absent)");
  ASSERT_OK(db_->put("k", "v"));
  EXPECT_EQ(get("k"), "v");
  ASSERT_OK(db_->put("k", "w"));
  EXPECT_EQ(get("k"), "w");
  ASSERT_OK(db_->erase("k"));
  EXPECT_EQ(get("k"), "(absent)");
  ASSERT_OK(db_->erase("never there"));
  ASSERT_OK(db_->put("empty", ""));
  EXPECT_EQ(get("empty"), "");
}

TEST_F(DatabaseTest, keys_and_values_may_be_any_bytes) {
  open();
  const std::string zeros("\0\0", 2);
  const std::string high("\xff\xff\0", 3);
  ASSERT_OK(db_->put(zeros, high));
  ASSERT_OK(db_->put(high, zeros));
  ASSERT_OK(db_->put(std::string_view("\0", 1), "one zero"));
  for (int flushed = 0; flushed < 2; ++flushed) {
    EXPECT_EQ(get(zeros), high);
    EXPECT_EQ(get(high), zeros);
    EXPECT_EQ(rows(), (Rows{{std::string("\0", 1), "one zero"}, {zeros, high}, {high, zeros}}));
    ASSERT_OK(db_->flush());
  }
}

TEST_F(DatabaseTest, key_sizes_from_one_byte_to_the_limit) {
  open();
  EXPECT_FAILS(db_->put("", "v"), invalid_argument, "key of 0 bytes");
  EXPECT_FAILS(db_->erase(""), invalid_argument, "key of 0 bytes");
  const std::string longest(kKeySizeMax, 'k');
  ASSERT_OK(db_->put(longest, "v"));
  EXPECT_FAILS(db_->put(longest + "k", "v"), invalid_argument, "key of 65537 bytes");
  EXPECT_FAILS(db_->erase(longest + "k"), invalid_argument, "key of 65537 bytes");
  EXPECT_EQ(get(longest), "v");
  EXPECT_EQ(get(longest + "k"), "(absent)");  // no such key can be there
  EXPECT_EQ(get(""), "(absent)");
  ASSERT_OK(db_->flush());
  EXPECT_EQ(get(longest), "v");
  EXPECT_EQ(rows(), (Rows{{longest, "v"}}));
}

TEST_F(DatabaseTest, value_sizes_up_to_an_eighth_of_the_budget) {
  options_.memory_budget = 8 << 20;
  options_.cache_size = 1 << 20;
  open();
  const std::string largest(1 << 20, 'v');
  ASSERT_OK(db_->put("k", largest));
  EXPECT_FAILS(db_->put("k", largest + "v"), invalid_argument, "value of 1048577 bytes");
  EXPECT_EQ(get("k"), largest);
  ASSERT_OK(db_->flush());
  EXPECT_EQ(get("k"), largest);
  WriteBatch batch;
  ASSERT_OK(batch.put("a", largest));
  ASSERT_OK(batch.put("b", largest));
  EXPECT_FAILS(db_->write(batch), invalid_argument, "batch of");
  EXPECT_EQ(get("a"), "(absent)");
  // Whatever limit the batch knows: one that belongs to no database, or to a larger one.
  batch.clear();
  ASSERT_OK(batch.put("small", "v"));
  ASSERT_OK(batch.put("k", largest + "v"));
  EXPECT_FAILS(db_->write(batch), invalid_argument, "value of 1048577 bytes: at most 1048576");
  EXPECT_EQ(get("small"), "(absent)");
  EXPECT_EQ(get("k"), largest);
  WriteBatch knows(*db_);
  EXPECT_FAILS(knows.put("k", largest + "v"), invalid_argument, "at most 1048576");
  ASSERT_OK(knows.put("k", largest));
  ASSERT_OK(db_->write(knows));
}

TEST_F(DatabaseTest, batch_commits_whole_at_one_timestamp) {
  open();
  WriteBatch batch;
  ASSERT_OK(batch.put("a", "1"));
  ASSERT_OK(batch.put("b", "2"));
  ASSERT_OK(batch.erase("c"));
  Timestamp first;
  ASSERT_OK(db_->write(batch, {}, &first));
  EXPECT_EQ(rows(), (Rows{{"a", "1"}, {"b", "2"}}));
  EXPECT_EQ(db_->get("a")->value().timestamp(), first);
  EXPECT_EQ(db_->get("b")->value().timestamp(), first);
  EXPECT_EQ(first, now());
  // The batch stays as it was and may be written again.
  Timestamp second;
  ASSERT_OK(db_->write(batch, {}, &second));
  EXPECT_GT(second, first);
  EXPECT_EQ(batch.count(), 3u);
}

TEST_F(DatabaseTest, empty_batch_is_ok_and_commits_nothing) {
  open();
  ASSERT_OK(db_->put("k", "v"));
  WriteBatch batch;
  Timestamp committed;
  ASSERT_OK(db_->write(batch, {}, &committed));
  EXPECT_EQ(committed, now());
  EXPECT_EQ(db_->statistics().commits, 1u);
}

TEST_F(DatabaseTest, get_copies_into_the_callers_capacity) {
  open();
  ASSERT_OK(db_->put("k", std::string(100, 'v')));
  std::string value;
  value.reserve(1000);
  const char* before = value.data();
  ASSERT_TRUE(db_->get("k", &value).value());
  EXPECT_EQ(value, std::string(100, 'v'));
  EXPECT_EQ(value.data(), before);
  ASSERT_FALSE(db_->get("absent", &value).value());
}

TEST_F(DatabaseTest, multi_get_answers_each_key_as_of_one_snapshot) {
  open();
  ASSERT_OK(db_->put("a", "1"));
  ASSERT_OK(db_->flush());
  ASSERT_OK(db_->put("b", "2"));
  const std::string_view keys[] = {"b", "absent", "a", "b"};
  std::optional<PinnedValue> values[4];
  ASSERT_OK(db_->multi_get(keys, values));
  EXPECT_EQ(values[0]->view(), "2");
  EXPECT_FALSE(values[1].has_value());
  EXPECT_EQ(values[2]->view(), "1");
  EXPECT_EQ(values[3]->view(), "2");
  ASSERT_OK(db_->multi_get({}, {}));
  EXPECT_FAILS(db_->multi_get(keys, std::span(values).first(2)), invalid_argument, "4 keys");
  EXPECT_FAILS(db_->multi_get(keys, values, from({77})), not_found, "keyspace 77");
}

TEST_F(DatabaseTest, multi_get_finds_keys_wherever_they_lie) {
  open();
  // Three runs and a memtable; each has some keys anew, and erases some.
  constexpr int kKeys = 300;
  std::map<std::string, std::string> expected;
  const auto key_of = [](int i) { return "key " + std::to_string(i); };
  for (int run = 0; run < 4; ++run) {
    for (int i = run; i < kKeys; i += 2 + run) {
      if (i % 11 == run) {
        ASSERT_OK(db_->erase(key_of(i)));
        expected.erase(key_of(i));
      } else {
        expected[key_of(i)] = "of run " + std::to_string(run);
        ASSERT_OK(db_->put(key_of(i), expected[key_of(i)]));
      }
    }
    if (run < 3) ASSERT_OK(db_->flush());
  }
  ASSERT_EQ(db_->statistics().keyspaces[0].runs.size(), 3u);
  Random random(7);
  for (int round = 0; round < 50; ++round) {
    if (round == 25) {  // nothing is in memory
      db_.reset();
      open();
    }
    std::vector<std::string> names(random.below(40));
    for (std::string& name : names) name = key_of(static_cast<int>(random.below(kKeys + 20)));
    const std::vector<std::string_view> keys(names.begin(), names.end());
    std::vector<std::optional<PinnedValue>> values(keys.size());
    ASSERT_OK(db_->multi_get(keys, values));
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto found = expected.find(names[i]);
      ASSERT_EQ(values[i].has_value(), found != expected.end()) << keys[i];
      if (values[i].has_value()) ASSERT_EQ(values[i]->view(), found->second) << keys[i];
      ASSERT_EQ(get(names[i]), found == expected.end() ? "(absent)" : found->second);
    }
  }
}

TEST_F(DatabaseTest, unknown_keyspace_is_not_found_everywhere) {
  open();
  const Keyspace unknown{77};
  EXPECT_FAILS(db_->put("k", "v", in(unknown)), not_found, "keyspace 77");
  EXPECT_FAILS(db_->erase("k", in(unknown)), not_found, "keyspace 77");
  std::string value;
  EXPECT_FAILS(db_->get("k", &value, from(unknown)), not_found, "keyspace 77");
  EXPECT_FAILS(db_->get("k", from(unknown)), not_found, "keyspace 77");
  EXPECT_FAILS(db_->scan({.keyspace = unknown}), not_found, "keyspace 77");
  EXPECT_FAILS(db_->history("k", 1, unknown), not_found, "keyspace 77");
  EXPECT_FAILS(db_->drop_keyspace(unknown), not_found, "77");
  EXPECT_FAILS(db_->find_keyspace("none"), not_found, "none");
  WriteBatch batch;
  ASSERT_OK(batch.put("k", "v"));
  ASSERT_OK(batch.put(unknown, "k", "v"));
  EXPECT_FAILS(db_->write(batch), not_found, "keyspace 77");
  EXPECT_EQ(get("k"), "(absent)") << "nothing of the batch is committed";
  ASSERT_OK(db_->put("k", "v"));
}

TEST_F(DatabaseTest, flush_compact_and_verify_change_no_answer) {
  open();
  for (int i = 0; i < 500; ++i) {
    ASSERT_OK(db_->put("key" + std::to_string(i % 100), std::to_string(i)));
    if (i % 90 == 0) ASSERT_OK(db_->flush());
  }
  const Rows before = rows();
  EXPECT_GT(runs(), 1u);
  ASSERT_OK(db_->flush());
  EXPECT_EQ(rows(), before);
  ASSERT_OK(db_->compact());
  EXPECT_EQ(runs(), 1u);
  EXPECT_EQ(rows(), before);
  Result<VerifyReport> report = db_->verify();
  ASSERT_OK(report);
  EXPECT_EQ(report->files, 3u) << "an sstable, a log segment, the manifest";
  EXPECT_EQ(report->entries, 100u) << "old versions are gone";
  EXPECT_GT(report->blocks, 1u);
  EXPECT_GT(report->bytes, 500u);
  ASSERT_OK(db_->wait_for_background());
  reopen();
  EXPECT_EQ(rows(), before);
}

// Where blocks are read, those of a flush need not be read from its file; where none are, they do
// not take the place of others.
TEST_F(DatabaseTest, blocks_of_a_flush_stay_in_memory_if_there_are_readers) {
  open();
  const auto put_all = [this](char c) {
    for (int i = 0; i < 500; ++i) {
      ASSERT_OK(db_->put("key" + std::to_string(i), std::string(300, c)));
    }
  };
  const auto misses_of_reading_all = [this](char c) {
    const uint64_t before = db_->statistics().block_misses;
    for (int i = 0; i < 500; ++i) {
      EXPECT_EQ(get("key" + std::to_string(i)), std::string(300, c));
    }
    return db_->statistics().block_misses - before;
  };
  put_all('a');
  ASSERT_OK(db_->flush());
  EXPECT_GT(misses_of_reading_all('a'), 5u) << "nobody had read before";
  put_all('b');
  ASSERT_OK(db_->flush());
  EXPECT_EQ(misses_of_reading_all('b'), 0u);
  {
    // What was never read is checked all the same.
    const std::vector<std::string> sstables = files_with_suffix(disk_.get(), kPath, ".sst");
    Result<std::unique_ptr<File>> file = disk_->open(sstables.back(), OpenMode::read_write);
    ASSERT_OK(file);
    char byte;
    ASSERT_EQ(*(*file)->read(1000, &byte, 1), 1u);
    const char other = static_cast<char>(byte ^ 1);
    ASSERT_OK((*file)->write(1000, {&other, 1}));
    EXPECT_FAILS(db_->verify(), corruption, sstables.back());
    ASSERT_OK((*file)->write(1000, {&byte, 1}));
    ASSERT_OK(db_->verify());
  }
  put_all('c');
  ASSERT_OK(db_->flush());
  put_all('d');
  ASSERT_OK(db_->flush());
  EXPECT_GT(misses_of_reading_all('d'), 5u) << "nobody has read since";
}

TEST_F(DatabaseTest, background_steps_flush_full_memtables_and_merge_runs) {
  options_.write_buffer_size = 64 * 1024;
  open();
  for (int i = 0; i < 3000; ++i) {
    ASSERT_OK(db_->put("key" + std::to_string(i), std::string(300, 'v')));
    executor_.run_all();
  }
  const Statistics statistics = db_->statistics();
  EXPECT_GT(statistics.flushes, 8u);
  EXPECT_GT(statistics.compactions, 0u);
  EXPECT_LE(runs(), 8u);
  EXPECT_EQ(rows().size(), 3000u);
  EXPECT_GT(statistics.write_amplification(), 1.0);
  ASSERT_OK(db_->verify());
}

TEST_F(DatabaseTest, keys_erased_above_the_bottom_stay_erased_while_runs_above_it_are_merged) {
  options_.write_buffer_size = 64 * 1024;
  open();
  const auto key = [](int i) { return "key" + std::to_string(i); };
  const std::string value(300, 'v');
  for (int i = 0; i < 8000; ++i) {
    ASSERT_OK(db_->put(key(i), value));
    if (i % 50 == 0) executor_.run_all();
  }
  ASSERT_OK(db_->compact());
  ASSERT_EQ(runs(), 1u);
  const Statistics before = db_->statistics();
  for (int i = 0; i < 1500; ++i) {
    if (i % 30 == 0) ASSERT_OK(db_->erase(key(i)));  // few, or all is merged for them
    ASSERT_OK(db_->put(key(8000 + i), value));
    executor_.run_all();
  }
  ASSERT_OK(db_->flush());
  executor_.run_all();
  const Statistics after = db_->statistics();
  ASSERT_GT(after.compactions, before.compactions);
  ASSERT_GT(runs(), 1u);
  // The run at the bottom was no input.
  ASSERT_LT(after.compaction_bytes_read - before.compaction_bytes_read,
            before.compaction_bytes_written);
  for (int i = 0; i < 1500; i += 30) EXPECT_EQ(get(key(i)), "(absent)") << i;
  EXPECT_EQ(rows().size(), 8000u + 1500 - 50);
}

TEST_F(DatabaseTest, statistics_count_what_was_done) {
  open();
  ASSERT_OK(db_->put("a", "123"));
  WriteBatch batch;
  ASSERT_OK(batch.put("b", "1"));
  ASSERT_OK(batch.put("c", "1"));
  ASSERT_OK(db_->write(batch));
  get("a");
  get("none");
  Statistics statistics = db_->statistics();
  EXPECT_EQ(statistics.commits, 2u);
  EXPECT_EQ(statistics.commit_groups, 2u);
  EXPECT_EQ(statistics.entries_written, 3u);
  EXPECT_EQ(statistics.user_bytes_written, 4u + 2 + 2);
  EXPECT_GT(statistics.log_bytes_written, 0u);
  EXPECT_EQ(statistics.gets, 2u);
  EXPECT_EQ(statistics.keyspaces[0].memtable_entries, 3u);
  {
    Result<Cursor> cursor = db_->scan();
    ASSERT_OK(cursor);
    Result<Snapshot> snapshot = db_->snapshot();
    ASSERT_OK(snapshot);
    statistics = db_->statistics();
    EXPECT_EQ(statistics.cursors_open, 1u);
    EXPECT_EQ(statistics.snapshots_open, 2u);  // the cursor has one
    EXPECT_EQ(statistics.oldest_snapshot, snapshot->timestamp());
  }
  ASSERT_OK(db_->flush());
  get("a");
  statistics = db_->statistics();
  EXPECT_EQ(statistics.flushes, 1u);
  EXPECT_EQ(statistics.cursors_open, 0u);
  EXPECT_EQ(statistics.snapshots_open, 0u);
  EXPECT_GT(statistics.block_misses, 0u);
  EXPECT_GT(statistics.disk_bytes, 0u);
  EXPECT_EQ(statistics.keyspaces[0].runs.at(0).entries, 3u);
  EXPECT_NE(statistics.to_string().find("commits"), std::string::npos);
}

TEST_F(DatabaseTest, statistics_as_text_have_times_that_people_read) {
  open();
  EXPECT_NE(db_->statistics().to_string().find("\nlast commit                none\n"),
            std::string::npos);
  ASSERT_OK(db_->put("k", "v"));
  ASSERT_OK(db_->flush());
  const Statistics statistics = db_->statistics();
  const std::string text = statistics.to_string();
  for (const std::string& line :
       {"\nlast commit                " + format_time(statistics.published) + "\n",
        "; watermark " + format_time(statistics.keyspaces[0].watermark) + "\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << text;
  }
}

// The filter counters were declared and never counted.
TEST_F(DatabaseTest, statistics_count_filters) {
  open();
  for (int i = 0; i < 1000; ++i) ASSERT_OK(db_->put("key" + std::to_string(2 * i), "v"));
  ASSERT_OK(db_->flush());
  for (int i = 0; i < 1000; ++i) get("key" + std::to_string(i));
  const Statistics statistics = db_->statistics();
  EXPECT_GE(statistics.filter_probes, 900u);
  EXPECT_GE(statistics.filter_negatives, 400u);
  EXPECT_LE(statistics.filter_negatives, 500u);
}

TEST_F(DatabaseTest, moved_from_and_released_handles_are_empty) {
  open();
  ASSERT_OK(db_->put("k", "v"));
  PinnedValue value = std::move(*db_->get("k")->operator->());
  PinnedValue other = std::move(value);
  EXPECT_EQ(other.view(), "v");
  EXPECT_EQ(value.view(), "");  // NOLINT: that is what is tested
  other.release();
  EXPECT_EQ(other.view(), "");
  other.release();
  Snapshot snapshot = std::move(*db_->snapshot());
  Snapshot taken = std::move(snapshot);
  EXPECT_TRUE(taken.held());
  EXPECT_FALSE(snapshot.held());  // NOLINT
  std::string copied;
  EXPECT_FAILS(db_->get("k", &copied, at(snapshot)), invalid_argument, "released");
  EXPECT_FAILS(db_->scan({.snapshot = &snapshot}), invalid_argument, "released");
}

// A value in a memtable, in a cached block, in a block that is not cached: each outlives flush,
// compaction, eviction, and being overwritten.
TEST_F(DatabaseTest, pinned_values_outlive_whatever_happens_below) {
  options_.cache_size = 8 * 1024;
  open();
  std::vector<PinnedValue> pinned;
  const auto pin = [&](bool fill_cache) {
    Result<std::optional<PinnedValue>> got = db_->get("k", {.fill_cache = fill_cache});
    ASSERT_OK(got);
    ASSERT_TRUE(got->has_value());
    pinned.push_back(std::move(**got));
  };
  const std::string value(500, 'v');
  ASSERT_OK(db_->put("k", value));
  pin(true);
  ASSERT_OK(db_->flush());
  pin(true);
  pin(false);
  for (int i = 0; i < 300; ++i) ASSERT_OK(db_->put(std::to_string(i), std::string(300, 'x')));
  ASSERT_OK(db_->put("k", "other"));
  ASSERT_OK(db_->compact());
  for (int i = 0; i < 300; ++i) get(std::to_string(i));
  EXPECT_GT(db_->statistics().blocks_evicted, 0u);
  EXPECT_EQ(get("k"), "other");
  for (const PinnedValue& held : pinned) EXPECT_EQ(held.view(), value);
}

TEST_F(DatabaseTest, many_blocks_through_a_tiny_cache) {
  options_.cache_size = 4 * 1024;
  options_.block_size = 512;
  open();
  for (int i = 0; i < 2000; ++i) {
    ASSERT_OK(db_->put("key" + std::to_string(i), "value" + std::to_string(i)));
  }
  ASSERT_OK(db_->compact());
  for (int i = 1999; i >= 0; --i) {
    EXPECT_EQ(get("key" + std::to_string(i)), "value" + std::to_string(i));
  }
  EXPECT_EQ(rows().size(), 2000u);
}

}  // namespace
}  // namespace varve::test
