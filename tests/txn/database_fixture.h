// A database in memory whose disk, clock and background steps a test owns.

#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "base/manual_executor.h"
#include "tests/support/leak_checks.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"
#include "varve/varve.h"

namespace varve::test {

using Rows = std::vector<std::pair<std::string, std::string>>;

class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest() {
    options_.memory_budget = 64 << 20;
    options_.write_buffer_size = 1 << 20;
    options_.cache_size = 4 << 20;
    options_.block_size = 1024;
    options_.durability = Durability::os;
    options_.file_system = &files_;
    options_.clock = &clock_;
    options_.executor = &executor_;
    files_.set_hook([this](const FileCall& call) {
      if (killed_.load() && call.changes()) return Status::io_error(call.path + ": killed");
      return hook_ ? hook_(call) : Status();
    });
  }

  void TearDown() override {
    hook_ = nullptr;
    if (db_ != nullptr) close();
    baseline_.expect_restored();
    EXPECT_EQ(live_batch_bytes(), 0u);
  }

  Result<std::unique_ptr<Database>> try_open() { return Database::open(options_, kPath); }
  void open() {
    Result<std::unique_ptr<Database>> opened = try_open();
    ASSERT_OK(opened);
    db_ = std::move(*opened);
  }
  void close() { close_and_check(std::move(db_), &files_); }
  void reopen() {
    close();
    open();
  }
  // As if the process was killed: what was not handed to the files is gone.
  void kill() {
    killed_.store(true);
    db_.reset();
    killed_.store(false);
  }
  void kill_and_reopen() {
    kill();
    open();
  }

  Transaction begin(const TransactionOptions& options) {
    Result<Transaction> begun = db_->begin(options);
    EXPECT_OK(begun);
    return begun.ok() ? std::move(*begun) : Transaction();
  }
  Transaction begin(Isolation isolation) {
    TransactionOptions options;
    options.isolation = isolation;
    return begin(options);
  }
  Transaction begin() { return begin(TransactionOptions{}); }

  std::string get(std::string_view key, const ReadOptions& options = {}) {
    std::string value;
    Result<bool> found = db_->get(key, &value, options);
    EXPECT_OK(found);
    return found.ok() && *found ? value : "(absent)";
  }
  Rows rows(const ScanOptions& options = {}) {
    Rows rows;
    Result<Cursor> cursor = db_->scan(options);
    EXPECT_OK(cursor);
    if (!cursor.ok()) return rows;
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
      rows.emplace_back(cursor->key(), cursor->value());
    }
    EXPECT_OK(cursor->status());
    return rows;
  }
  Keyspace create(std::string_view name, const KeyspaceOptions& options = {}) {
    Result<Keyspace> created = db_->create_keyspace(name, options);
    EXPECT_OK(created);
    return created.ok() ? *created : Keyspace{UINT32_MAX};
  }
  Timestamp now() {
    Result<Snapshot> snapshot = db_->snapshot();
    EXPECT_OK(snapshot);
    return snapshot.ok() ? snapshot->timestamp() : kTimestampMin;
  }
  uint64_t live(MemoryRole role) {
    return db_->memory_report().roles[static_cast<size_t>(role)].live_bytes;
  }
  size_t runs(size_t keyspace = 0) { return db_->statistics().keyspaces.at(keyspace).runs.size(); }

  static constexpr const char* kPath = "/db";
  const ProcessBaseline baseline_;
  const std::unique_ptr<FileSystem> disk_ = FileSystem::create_memory();
  HookedFiles files_{disk_.get()};
  HookedFiles::Hook hook_;  // a test's own; set it while no call is in progress
  std::atomic<bool> killed_{false};
  ManualClock clock_;
  ManualExecutor executor_;
  Options options_;
  std::unique_ptr<Database> db_;
};

inline WriteOptions with(Durability durability) {
  WriteOptions options;
  options.durability = durability;
  return options;
}
inline WriteOptions in(Keyspace keyspace) {
  WriteOptions options;
  options.keyspace = keyspace;
  return options;
}
inline ReadOptions from(Keyspace keyspace) { return {.keyspace = keyspace}; }
inline ReadOptions at(const Snapshot& snapshot) { return {.snapshot = &snapshot}; }

}  // namespace varve::test
