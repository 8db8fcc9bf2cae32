// Values that lie in files of their own: reads, snapshots, space that comes back, damage.

#include <string>
#include <vector>

#include "base/random.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class LargeValuesTest : public DatabaseTest {
 protected:
  static constexpr size_t kLarge = 5000;
  static constexpr int kKeys = 40;

  LargeValuesTest() {
    options_.separate_values_from = 1000;
    options_.compression = Compression::none;
  }

  static std::string key(int i) { return "key" + std::to_string(100 + i); }
  // Values of two rounds differ; of three keys one is small.
  static std::string value(int i, int round) {
    const std::string text = std::to_string(i) + ":" + std::to_string(round) + " ";
    std::string value = text;
    while (i % 3 != 0 && value.size() < kLarge) value += text;
    return value;
  }
  void put_all(int round, Keyspace keyspace = kDefaultKeyspace) {
    for (int i = 0; i < kKeys; ++i) ASSERT_OK(db_->put(key(i), value(i, round), in(keyspace)));
  }
  static Rows all(int round) {
    Rows rows;
    for (int i = 0; i < kKeys; ++i) rows.emplace_back(key(i), value(i, round));
    return rows;
  }
  void expect_all(int round, const ReadOptions& options = {}) {
    for (int i = 0; i < kKeys; ++i) EXPECT_EQ(get(key(i), options), value(i, round));
    Rows wanted = all(round);
    EXPECT_EQ(rows({.keyspace = options.keyspace, .snapshot = options.snapshot}), wanted);
    Result<Cursor> cursor = db_->scan({.keyspace = options.keyspace, .snapshot = options.snapshot});
    ASSERT_OK(cursor);
    for (cursor->seek_to_last(); cursor->valid(); cursor->prev()) {
      ASSERT_FALSE(wanted.empty());
      EXPECT_EQ(cursor->key(), wanted.back().first);
      EXPECT_EQ(cursor->value(), wanted.back().second);
      wanted.pop_back();
    }
    ASSERT_OK(cursor->status());
    EXPECT_TRUE(wanted.empty());
  }
  std::vector<std::string> value_files() { return files_with_suffix(disk_.get(), kPath, ".val"); }
  uint64_t bytes_of(const char* suffix) {
    uint64_t bytes = 0;
    for (const std::string& path : files_with_suffix(disk_.get(), kPath, suffix)) {
      bytes += disk_->info(path)->size;
    }
    return bytes;
  }
  // Of all values of a round that are large.
  static uint64_t large_bytes() {
    uint64_t bytes = 0;
    for (int i = 0; i < kKeys; ++i) {
      if (value(i, 0).size() >= 1000) bytes += value(i, 0).size();
    }
    return bytes;
  }
};

TEST_F(LargeValuesTest, a_flush_writes_them_apart_and_all_reads_find_them) {
  open();
  put_all(0);
  ASSERT_OK(db_->flush());
  EXPECT_EQ(value_files().size(), 1u);
  EXPECT_GE(bytes_of(".val"), large_bytes());
  EXPECT_LT(bytes_of(".sst"), large_bytes() / 4);
  expect_all(0);
  EXPECT_OK(db_->verify());
  reopen();
  expect_all(0);
  const Statistics statistics = db_->statistics();
  EXPECT_EQ(statistics.keyspaces[0].value_files, 1u);
  EXPECT_EQ(statistics.keyspaces[0].value_bytes, bytes_of(".val"));
  EXPECT_GE(statistics.keyspaces[0].value_bytes_needed, large_bytes());
}

TEST_F(LargeValuesTest, a_compaction_leaves_them_where_they_are) {
  open();
  put_all(0);
  ASSERT_OK(db_->flush());
  const std::vector<std::string> before = value_files();
  ASSERT_OK(db_->put("another", "value"));
  ASSERT_OK(db_->flush());
  const uint64_t written = db_->statistics().compaction_bytes_written;
  ASSERT_OK(db_->compact());
  EXPECT_EQ(runs(), 1u);
  EXPECT_EQ(value_files(), before);
  EXPECT_LT(db_->statistics().compaction_bytes_written - written, large_bytes() / 4);
  ASSERT_OK(db_->erase("another"));
  expect_all(0);
  EXPECT_OK(db_->verify());
}

TEST_F(LargeValuesTest, what_is_overwritten_gives_its_space_back) {
  open();
  for (int round = 0; round < 5; ++round) {
    put_all(round);
    ASSERT_OK(db_->flush());
  }
  EXPECT_EQ(value_files().size(), 5u);
  ASSERT_OK(db_->compact());
  executor_.run_all();
  EXPECT_EQ(value_files().size(), 1u);
  EXPECT_LT(bytes_of(".val"), large_bytes() + (1 << 14));
  expect_all(4);
  reopen();
  expect_all(4);
}

// Files of which a part is needed are emptied: what is needed moves.
TEST_F(LargeValuesTest, a_file_of_which_little_is_needed_is_emptied) {
  open();
  put_all(0);
  ASSERT_OK(db_->flush());
  const std::vector<std::string> before = value_files();
  for (int i = 0; i < kKeys; ++i) {
    if (i % 5 != 0) ASSERT_OK(db_->erase(key(i)));
  }
  ASSERT_OK(db_->flush());
  ASSERT_OK(db_->compact());
  executor_.run_all();
  ASSERT_EQ(value_files().size(), 1u);
  EXPECT_NE(value_files(), before);
  EXPECT_LT(bytes_of(".val"), large_bytes() / 3);
  for (int i = 0; i < kKeys; ++i) {
    EXPECT_EQ(get(key(i)), i % 5 == 0 ? value(i, 0) : "(absent)");
  }
  EXPECT_OK(db_->verify());
  reopen();
  for (int i = 0; i < kKeys; i += 5) EXPECT_EQ(get(key(i)), value(i, 0));
}

TEST_F(LargeValuesTest, a_snapshot_keeps_what_it_sees) {
  open();
  put_all(0);
  ASSERT_OK(db_->flush());
  {
    Result<Snapshot> snapshot = db_->snapshot();
    ASSERT_OK(snapshot);
    for (int round = 1; round < 4; ++round) {
      put_all(round);
      ASSERT_OK(db_->flush());
      ASSERT_OK(db_->compact());
      executor_.run_all();
      expect_all(0, at(*snapshot));
      expect_all(round);
    }
    EXPECT_LE(bytes_of(".val"), 2 * large_bytes() + (1 << 15));
  }
  ASSERT_OK(db_->compact());
  executor_.run_all();
  EXPECT_LE(bytes_of(".val"), large_bytes() + (1 << 14));
  expect_all(3);
}

TEST_F(LargeValuesTest, pinned_values_and_cursors_outlive_what_they_were_read_from) {
  open();
  put_all(0);
  ASSERT_OK(db_->flush());
  const std::vector<std::string> before = value_files();
  Result<std::optional<PinnedValue>> pinned = db_->get(key(1));
  ASSERT_OK(pinned);
  ASSERT_TRUE(pinned->has_value());
  Result<Cursor> cursor = db_->scan({});
  ASSERT_OK(cursor);
  cursor->seek(key(1));
  ASSERT_TRUE(cursor->valid());
  for (int round = 1; round < 3; ++round) {
    put_all(round);
    ASSERT_OK(db_->flush());
    ASSERT_OK(db_->compact());
    executor_.run_all();
  }
  EXPECT_EQ((*pinned)->view(), value(1, 0));
  for (int i = 1; i < kKeys; ++i) {
    ASSERT_TRUE(cursor->valid()) << i;
    EXPECT_EQ(cursor->key(), key(i));
    EXPECT_EQ(cursor->value(), value(i, 0));
    cursor->next();
  }
  EXPECT_FALSE(cursor->valid());
  ASSERT_OK(cursor->status());
  *cursor = Cursor();
  pinned->reset();
  ASSERT_OK(db_->compact());
  executor_.run_all();
  for (const std::string& path : value_files()) {
    EXPECT_NE(path, before[0]) << "nobody needs it any more";
  }
}

TEST_F(LargeValuesTest, the_history_of_a_key_shows_them) {
  options_.history_retention = std::chrono::hours(1);
  open();
  for (int round = 0; round < 3; ++round) {
    put_all(round);
    ASSERT_OK(db_->flush());
  }
  ASSERT_OK(db_->compact());
  const Result<std::vector<HistoryEntry>> history = db_->history(key(1));
  ASSERT_OK(history);
  ASSERT_EQ(history->size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ((*history)[static_cast<size_t>(i)].value, value(1, 2 - i));
}

TEST_F(LargeValuesTest, many_in_one_read_and_in_transactions) {
  open();
  put_all(0);
  ASSERT_OK(db_->flush());
  reopen();  // nothing is in memory
  std::vector<std::string> names;
  std::vector<std::string_view> keys;
  for (int i = 0; i < kKeys; ++i) names.push_back(key(i));
  keys.assign(names.begin(), names.end());
  std::vector<std::optional<PinnedValue>> values(keys.size());
  for (int again = 0; again < 2; ++again) {
    ASSERT_OK(db_->multi_get(keys, values));
    for (int i = 0; i < kKeys; ++i) {
      ASSERT_TRUE(values[static_cast<size_t>(i)].has_value());
      EXPECT_EQ(values[static_cast<size_t>(i)]->view(), value(i, 0));
    }
  }
  values.clear();
  Transaction transaction = begin(Isolation::serializable);
  std::string found;
  ASSERT_OK(transaction.get(key(1), &found));
  EXPECT_EQ(found, value(1, 0));
  ASSERT_OK(transaction.put(key(1), value(1, 1)));
  ASSERT_OK(transaction.commit());
  EXPECT_EQ(get(key(1)), value(1, 1));
}

// What a transaction spilled bears its values with it; the next compaction takes them out.
TEST_F(LargeValuesTest, of_a_transaction_larger_than_memory) {
  options_.memory_budget = 8 << 20;
  options_.cache_size = 1 << 20;
  open();
  Transaction transaction = begin();
  constexpr int kMany = 3000;
  for (int i = 0; i < kMany; ++i) ASSERT_OK(transaction.put(key(i), value(i, 0)));
  ASSERT_OK(transaction.commit());
  executor_.run_all();
  ASSERT_OK(db_->compact());
  ASSERT_OK(db_->put("last", std::string(kLarge, 'v')));
  ASSERT_OK(db_->compact());
  executor_.run_all();
  EXPECT_FALSE(value_files().empty());
  for (int i = 0; i < kMany; i += 7) EXPECT_EQ(get(key(i)), value(i, 0));
  EXPECT_OK(db_->verify());
}

TEST_F(LargeValuesTest, a_dropped_keyspace_takes_them_with_it) {
  open();
  const Keyspace other = create("other");
  put_all(0, other);
  put_all(1);
  ASSERT_OK(db_->flush());
  EXPECT_EQ(value_files().size(), 2u);
  ASSERT_OK(db_->drop_keyspace(other));
  ASSERT_OK(db_->wait_for_background());
  EXPECT_EQ(value_files().size(), 1u);
  expect_all(1);
}

TEST_F(LargeValuesTest, files_that_no_sstable_names_are_removed_at_the_next_opening) {
  open();
  put_all(0);
  ASSERT_OK(db_->flush());
  close();
  const std::vector<std::string> before = value_files();
  write_file(disk_.get(), std::string(kPath) + "/000900.val", "left behind");
  open();
  EXPECT_EQ(value_files(), before);
  expect_all(0);
}

// They may have filled the disk: nothing could be written to go on. Those go first that no sstable
// names, and none that one names which may come back.
TEST_F(LargeValuesTest, what_is_left_behind_goes_before_anything_is_written) {
  open();
  put_all(0);
  ASSERT_OK(db_->flush());
  put_all(1);
  kill();
  const std::vector<std::string> before = value_files();
  const std::string left = std::string(kPath) + "/000900.val";
  write_file(disk_.get(), left, "left behind");
  std::string order;
  hook_ = [&](const FileCall& call) {
    if (call.kind == FileCall::Kind::remove && call.path == left) order += 'r';
    if (call.kind == FileCall::Kind::create) order += 'c';
    return Status();
  };
  open();
  hook_ = nullptr;
  const size_t removed = order.find('r');
  ASSERT_NE(removed, std::string::npos);
  EXPECT_LE(removed, 1u) << order << ": but for LOG nothing is created before";
  EXPECT_EQ(value_files(), before);
  expect_all(1);
}

// Killed behind an edit that removes an sstable: until the new manifest is durable it may come
// back, and needs its values.
TEST_F(LargeValuesTest, files_of_sstables_that_went_stay_until_the_new_manifest_is_there) {
  open();
  put_all(0);
  ASSERT_OK(db_->flush());
  const std::string values = value_files().at(0);
  const std::string sstable = files_with_suffix(disk_.get(), kPath, ".sst").at(0);
  const std::string bytes_of_values = read_file(disk_.get(), values);
  const std::string bytes_of_sstable = read_file(disk_.get(), sstable);
  put_all(1);
  ASSERT_OK(db_->flush());
  ASSERT_OK(db_->compact());
  executor_.run_all();
  ASSERT_FALSE(disk_->info(values).ok());
  kill();
  write_file(disk_.get(), values, bytes_of_values);
  write_file(disk_.get(), sstable, bytes_of_sstable);
  std::string order;
  hook_ = [&](const FileCall& call) {
    if (call.kind == FileCall::Kind::remove && call.path == values) order += 'r';
    if (call.kind == FileCall::Kind::create && call.path.ends_with(".manifest")) order += 'm';
    return Status();
  };
  open();
  hook_ = nullptr;
  EXPECT_EQ(order, "mr");
  EXPECT_FALSE(disk_->info(values).ok());
  EXPECT_FALSE(disk_->info(sstable).ok());
  expect_all(1);
}

// Each came of a flush; each would cost some memory for ever.
TEST_F(LargeValuesTest, many_small_files_become_one) {
  open();
  for (int i = 0; i < 20; ++i) {
    ASSERT_OK(db_->put(key(i), value(1, i)));
    ASSERT_OK(db_->flush());
  }
  EXPECT_EQ(value_files().size(), 20u);
  ASSERT_OK(db_->compact());
  executor_.run_all();
  EXPECT_EQ(value_files().size(), 1u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(get(key(i)), value(1, i));
  EXPECT_OK(db_->verify());
}

// The one that is shown can be read; an older one cannot.
TEST_F(LargeValuesTest, walks_back_pass_a_damaged_version_that_they_do_not_show) {
  options_.history_retention = std::chrono::hours(1);
  open();
  for (int round = 0; round < 2; ++round) {
    put_all(round);
    ASSERT_OK(db_->flush());
  }
  close();
  std::string bytes = read_file(disk_.get(), value_files().at(0));
  const size_t at = bytes.find(value(1, 0));
  ASSERT_NE(at, std::string::npos);
  bytes[at] ^= 1;
  write_file(disk_.get(), value_files().at(0), bytes);
  open();
  expect_all(1);
}

TEST_F(LargeValuesTest, a_flush_that_fails_leaves_nothing_behind) {
  open();
  put_all(0);
  for (const FileCall::Kind kind :
       {FileCall::Kind::create, FileCall::Kind::write, FileCall::Kind::sync}) {
    bool failed = false;
    hook_ = [&](const FileCall& call) {
      if (call.kind != kind || !call.path.ends_with(".val") || failed) return Status();
      failed = true;
      return Status::io_error("injected");
    };
    EXPECT_FALSE(db_->flush().ok());
    EXPECT_TRUE(failed);
    EXPECT_TRUE(value_files().empty());
  }
  hook_ = nullptr;
  ASSERT_OK(db_->flush());
  expect_all(0);
}

TEST_F(LargeValuesTest, they_are_durable_before_the_manifest_names_them) {
  open();
  put_all(0);
  std::string order;
  hook_ = [&](const FileCall& call) {
    const bool values = call.path.ends_with(".val");
    if (call.kind == FileCall::Kind::create && values) order += 'c';
    if (call.kind == FileCall::Kind::sync && values) order += 's';
    if (call.kind == FileCall::Kind::sync_directory) order += 'd';
    if (call.kind == FileCall::Kind::write && call.path.ends_with(".manifest")) order += 'm';
    return Status();
  };
  ASSERT_OK(db_->flush());
  hook_ = nullptr;
  EXPECT_TRUE(order.starts_with("csdm")) << order;
}

TEST_F(LargeValuesTest, damage_is_found_by_reads_scans_and_verify) {
  open();
  put_all(0);
  ASSERT_OK(db_->flush());
  close();
  const std::string path = value_files().at(0);
  const std::string sound = read_file(disk_.get(), path);
  std::string damaged = sound;
  damaged[sound.find(value(1, 0)) + 50] ^= 1;
  write_file(disk_.get(), path, damaged);
  open();
  for (int again = 0; again < 2; ++again) {
    std::string found;
    EXPECT_FAILS(db_->get(key(1), &found), corruption, path);
    EXPECT_EQ(get(key(2)), value(2, 0));
  }
  Result<Cursor> cursor = db_->scan({});
  ASSERT_OK(cursor);
  cursor->seek_to_first();
  ASSERT_TRUE(cursor->valid());
  cursor->next();
  EXPECT_FALSE(cursor->valid());
  EXPECT_FAILS(cursor->status(), corruption, path);
  cursor->seek_to_last();
  while (cursor->valid() && cursor->key() > key(2)) cursor->prev();
  cursor->prev();
  EXPECT_FALSE(cursor->valid());
  EXPECT_FAILS(cursor->status(), corruption, path);
  *cursor = Cursor();
  EXPECT_FAILS(db_->verify(), corruption, path);
  close();

  write_file(disk_.get(), path, std::string_view(sound).substr(0, sound.size() - 1));
  EXPECT_FAILS(try_open(), corruption, path);
  ASSERT_OK(disk_->remove(path));
  EXPECT_FAILS(try_open(), corruption, "missing");
  write_file(disk_.get(), path, sound);
  open();
  expect_all(0);
}

// They count towards the cache's bound, and are evicted like blocks.
TEST_F(LargeValuesTest, the_cache_is_bounded_whatever_their_size) {
  options_.cache_size = 64 << 10;
  open();
  put_all(0);
  ASSERT_OK(db_->flush());
  for (int round = 0; round < 3; ++round) expect_all(0);
  EXPECT_LE(live(MemoryRole::block_frames) + live(MemoryRole::index) + live(MemoryRole::filter),
            128u << 10);
}

TEST_F(LargeValuesTest, none_are_apart_where_the_option_says_so) {
  options_.separate_values_from = 0;
  open();
  put_all(0);
  ASSERT_OK(db_->flush());
  EXPECT_TRUE(value_files().empty());
  close();
  // From now on they are; those that lie in the tree follow when it is rewritten.
  options_.separate_values_from = 1000;
  open();
  ASSERT_OK(db_->put("one more", "value"));
  ASSERT_OK(db_->compact());
  EXPECT_EQ(value_files().size(), 1u);
  ASSERT_OK(db_->erase("one more"));
  expect_all(0);
}

}  // namespace
}  // namespace varve::test
