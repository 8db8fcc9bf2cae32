// Keys that are asked for together and lie in files: what they miss is read together where reads
// wait for a device, and the answers are the same.

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/support/seeded_test.h"
#include "tests/support/temp_directory.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class ColdMultiGetTest : public DatabaseTest {
 protected:
  ColdMultiGetTest() {
    options_.separate_values_from = 2000;
    options_.cache_size = 64 << 10;
    options_.block_size = 1024;
    options_.compression = Compression::none;
    files_.set_reads_wait(true);
  }

  static std::string key(uint64_t i) { return "key" + std::to_string(10'000 + i); }
  std::string value(uint64_t i) {
    const size_t size = i % 16 == 0 ? 2000 + random_.below(3000) : 20 + random_.below(200);
    return std::to_string(i) + std::string(size, static_cast<char>('a' + random_.below(26)));
  }
  void put(uint64_t i) {
    const std::string bytes = value(i);
    ASSERT_OK(db_->put(key(i), bytes));
    model_[key(i)] = bytes;
  }
  // Two runs, and a memtable; every fifth key is not there.
  void fill(uint64_t count) {
    if (db_ == nullptr) open();
    for (uint64_t i = 0; i < count; ++i) {
      if (i % 5 != 0) put(i);
    }
    ASSERT_OK(db_->flush());
    ASSERT_OK(db_->compact());
    for (uint64_t i = 0; i < count; i += 7) put(i);
    for (uint64_t i = 3; i < count; i += 11) erase(i);
    ASSERT_OK(db_->flush());
    for (uint64_t i = 5; i < count; i += 31) put(i);
    for (uint64_t i = 6; i < count; i += 29) erase(i);
    count_ = count;
  }
  void erase(uint64_t i) {
    ASSERT_OK(db_->erase(key(i)));
    model_.erase(key(i));
  }
  std::vector<std::string> some_keys(size_t count) {
    std::vector<std::string> keys;
    while (keys.size() < count) keys.push_back(key(random_.below(count_)));
    return keys;
  }
  template <typename Reader>
  void expect(const std::vector<std::string>& keys, Reader* reader, const ReadOptions& options = {},
              const std::map<std::string, std::string>* model = nullptr) {
    if (model == nullptr) model = &model_;
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<std::optional<PinnedValue>> values(keys.size());
    ASSERT_OK(reader->multi_get(views, values, options));
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto wanted = model->find(keys[i]);
      ASSERT_EQ(values[i].has_value(), wanted != model->end()) << keys[i];
      if (values[i]) ASSERT_EQ(values[i]->view(), wanted->second) << keys[i];
    }
  }

  Random random_{1};
  std::map<std::string, std::string> model_;
  uint64_t count_ = 0;
};

// Of files and how they are asked: how many reads, and how many of them together.
class CountedReads final : public HookedFiles {
 public:
  using HookedFiles::HookedFiles;
  void read_together(std::span<FileRead> reads, ReadListener* listener) override {
    together_ += reads.size();
    HookedFiles::read_together(reads, listener);
  }
  size_t together() const { return together_; }

 private:
  size_t together_ = 0;
};

TEST_F(ColdMultiGetTest, answers_are_those_of_the_model) {
  fill(2000);
  for (const size_t count : {1, 2, 8, 9, 31, 32, 33, 100}) {
    for (int round = 0; round < 30; ++round) expect(some_keys(count), db_.get());
  }
}

TEST_F(ColdMultiGetTest, blocks_that_are_kept_compressed_answer_as_well) {
  options_.compression = Compression::zstd;
  options_.cache_size = 192 << 10;
  fill(2000);
  for (const size_t count : {1, 2, 8, 31, 32, 100}) {
    for (int round = 0; round < 30; ++round) expect(some_keys(count), db_.get());
  }
  EXPECT_GT(db_->statistics().block_stored_hits, 100u);
  // What was decompressed for a key is found when the key is looked for again.
  const auto blocks_opened = [this] {
    const Statistics statistics = db_->statistics();
    return statistics.block_stored_hits + statistics.block_misses;
  };
  const uint64_t before = blocks_opened();
  for (int round = 0; round < 20; ++round) expect(some_keys(32), db_.get());
  EXPECT_LE(blocks_opened() - before, 20 * 32u) << "a block a key, at most";
}

TEST_F(ColdMultiGetTest, the_same_key_may_be_asked_for_again_and_again) {
  fill(500);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::string> keys = some_keys(6);
    const std::vector<std::string> more = keys;
    for (int i = 0; i < 4; ++i) keys.insert(keys.end(), more.begin(), more.end());
    expect(keys, db_.get());
  }
}

TEST_F(ColdMultiGetTest, transactions_and_snapshots_see_what_they_may) {
  fill(1000);
  const std::map<std::string, std::string> then = model_;
  Result<Snapshot> snapshot = db_->snapshot();
  ASSERT_OK(snapshot);
  Transaction transaction = begin(Isolation::serializable);
  std::map<std::string, std::string> own = then;
  for (uint64_t i = 0; i < 1000; i += 50) {
    ASSERT_OK(transaction.put(key(i), "own"));
    own[key(i)] = "own";
  }
  for (uint64_t i = 0; i < 1000; i += 3) put(i);
  ASSERT_OK(db_->flush());
  for (int round = 0; round < 30; ++round) {
    expect(some_keys(40), db_.get());
    expect(some_keys(40), db_.get(), at(*snapshot), &then);
    expect(some_keys(40), &transaction, {}, &own);
  }
  EXPECT_OK(transaction.rollback());
}

TEST_F(ColdMultiGetTest, it_reads_together_only_where_reads_wait) {
  CountedReads counted(&files_);
  options_.file_system = &counted;
  options_.cache_size = 1 << 20;
  fill(2000);
  ASSERT_OK(db_->compact());
  reopen();
  expect(some_keys(32), db_.get());
  EXPECT_GE(counted.together(), 20u);
  const size_t before = counted.together();
  files_.set_reads_wait(false);
  expect(some_keys(32), db_.get());
  EXPECT_EQ(counted.together(), before);
  files_.set_reads_wait(true);
  ReadOptions past_by;
  past_by.fill_cache = false;
  expect(some_keys(32), db_.get(), past_by);
  EXPECT_EQ(counted.together(), before) << "what is not to be kept is read one by one";
  close();
}

// The operating system's files, as if they lay on a device that is waited for.
class WaitingFiles final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    return below_->open(path, mode);
  }
  Result<FileInfo> info(const std::string& path) override { return below_->info(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return below_->list(directory);
  }
  Status create_directory(const std::string& path) override {
    return below_->create_directory(path);
  }
  Status remove(const std::string& path) override { return below_->remove(path); }
  Status remove_directory(const std::string& path) override {
    return below_->remove_directory(path);
  }
  Status rename(const std::string& from, const std::string& to, bool replace) override {
    return below_->rename(from, to, replace);
  }
  Status sync_directory(const std::string& directory) override {
    return below_->sync_directory(directory);
  }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return below_->lock(path);
  }
  void read_together(std::span<FileRead> reads, ReadListener* listener) override {
    together_ += reads.size();
    below_->read_together(reads, listener);
  }
  bool reads_wait() override { return true; }
  Result<uint64_t> free_bytes(const std::string& path) override { return below_->free_bytes(path); }
  size_t together() const { return together_; }

 private:
  FileSystem* const below_ = FileSystem::posix();
  size_t together_ = 0;
};

TEST_F(ColdMultiGetTest, files_of_the_operating_system_answer_as_well) {
  for (const uint32_t open_files_max : {0, 1}) {
    const TempDirectory directory;
    WaitingFiles files;
    options_.file_system = &files;
    options_.compression = Compression::zstd;
    options_.open_files_max = open_files_max;
    model_.clear();
    Result<std::unique_ptr<Database>> opened =
        Database::open(options_, directory.path() + "/database");
    ASSERT_OK(opened);
    db_ = std::move(*opened);
    fill(2000);
    for (int round = 0; round < 30; ++round) expect(some_keys(50), db_.get());
    EXPECT_GT(files.together(), 300u);
    ASSERT_OK(db_->close());
    db_.reset();
  }
}

TEST_F(ColdMultiGetTest, a_read_that_fails_is_told_or_made_again) {
  fill(2000);
  ASSERT_OK(db_->compact());
  size_t told = 0;
  for (uint64_t nth = 1; nth <= 40; ++nth) {
    reopen();
    uint64_t left = nth;
    hook_ = [&](const FileCall& call) {
      if (call.kind != FileCall::Kind::read || left == 0 || --left != 0) return Status();
      return Status::io_error(call.path + ": injected failure");
    };
    const std::vector<std::string> keys = some_keys(32);
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<std::optional<PinnedValue>> values(keys.size());
    const Status status = db_->multi_get(views, values);
    hook_ = nullptr;
    if (!status.ok()) {
      EXPECT_EQ(status.code(), StatusCode::io_error);
      ++told;
      continue;
    }
    for (size_t i = 0; i < keys.size(); ++i) {
      ASSERT_EQ(values[i].has_value(), model_.contains(keys[i]));
      if (values[i]) ASSERT_EQ(values[i]->view(), model_[keys[i]]);
    }
  }
  EXPECT_LT(told, 40u) << "what failed together is read again by itself";
}

TEST_F(ColdMultiGetTest, damage_is_corruption) {
  fill(2000);
  ASSERT_OK(db_->compact());
  close();
  for (const std::string& path : files_with_suffix(disk_.get(), kPath, ".sst")) {
    std::string bytes = read_file(disk_.get(), path);
    for (size_t at = 5000; at + 20'000 < bytes.size(); at += 700) bytes[at] ^= 1;
    ASSERT_OK(disk_->remove(path));
    write_file(disk_.get(), path, bytes);
  }
  open();
  const std::vector<std::string> keys = some_keys(32);
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  std::vector<std::optional<PinnedValue>> values(keys.size());
  EXPECT_EQ(db_->multi_get(views, values).code(), StatusCode::corruption);
}

TEST_F(ColdMultiGetTest, who_gives_up_is_told_so) {
  fill(2000);
  reopen();
  Cancellation cancellation;
  int reads = 0;
  hook_ = [&](const FileCall& call) {
    if (call.kind == FileCall::Kind::read && ++reads == 3) cancellation.cancel();
    return Status();
  };
  const std::vector<std::string> keys = some_keys(100);
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  std::vector<std::optional<PinnedValue>> values(keys.size());
  ReadOptions options;
  options.cancellation = &cancellation;
  EXPECT_EQ(db_->multi_get(views, values, options).code(), StatusCode::cancelled);
  hook_ = nullptr;
}

}  // namespace
}  // namespace varve::test
