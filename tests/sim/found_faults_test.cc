// Faults of the engine that the enumerations of this folder found, each reduced to its least.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/manual_executor.h"
#include "tests/sim/sim_history.h"
#include "tests/sim/sim_workload.h"
#include "tests/support/sim_file_system.h"
#include "tests/support/status_check.h"

namespace varve::test {
namespace {

class FoundFaults : public testing::Test {
 protected:
  // A few commits in sstables and in the log, all synced, and the process dead.
  void make(uint64_t seed) {
    disk_ = std::make_unique<SimFileSystem>(seed);
    history_ = history_of_creation();
    SimWorkload workload(disk_.get(), history_, {.submitted = 1}, seed, {});
    ASSERT_OK(workload.open());
    workload.make_keyspaces();
    for (int i = 0; i < 3; ++i) workload.expect_writable();
    ASSERT_OK(workload.database()->flush());
    for (int i = 0; i < 3; ++i) workload.expect_writable();
    std::unique_ptr<SimFileSystem> left = disk_->copy();
    disk_->power_off();
    workload.let_go();
    disk_ = std::move(left);
  }

  // Opened by an attempt that meets the fault, whatever it says, and then by one that does not.
  void expect_all_after(const FaultRule& rule) {
    disk_->inject(rule);
    {
      SimWorkload attempt(disk_.get(), history_, {}, 1, {});
      static_cast<void>(attempt.open());
      disk_->clear_faults();
    }
    SimWorkload workload(disk_.get(), history_, {}, 2, {});
    ASSERT_OK(workload.open());
    Result<SimState> found = read_state(workload.database());
    ASSERT_OK(found);
    const uint64_t last = history_->submitted();
    const SimPromise all{.durable = last, .unlogged = last, .submitted = last};
    EXPECT_TRUE(history_->place(*found, all)) << history_->describe(*found, all);
  }

  std::unique_ptr<SimFileSystem> disk_;
  std::shared_ptr<SimHistory> history_;
};

// What was missing of the manifest was taken for a torn end; the sstables that it named were
// removed.
TEST_F(FoundFaults, short_read_of_the_manifest_is_no_torn_end) {
  for (uint64_t seed = 1; seed <= 20 && !HasFailure(); ++seed) {
    make(seed);
    expect_all_after(
        {.error = SimError::short_read, .call = FileCall::Kind::read, .file = FileType::manifest});
  }
}

// Likewise of the log: synced commits were gone, and the next opening began a new log before them.
TEST_F(FoundFaults, short_read_of_the_log_is_no_torn_end) {
  for (uint64_t nth = 0; nth < 3; ++nth) {
    for (uint64_t seed = 1; seed <= 40 && !HasFailure(); ++seed) {
      make(seed);
      expect_all_after({.error = SimError::short_read,
                        .call = FileCall::Kind::read,
                        .file = FileType::wal,
                        .nth = nth,
                        .sticky = true});
    }
  }
}

// After a failed sync pages look written and never will be. An opening read such a log, and synced
// it for nothing: behind it commits were acknowledged, and when the power went, the log ended
// before them, where it said itself that it was durable.
TEST_F(FoundFaults, what_is_found_behind_a_failed_sync_is_written_again) {
  constexpr int kKeys = 60;
  const auto key = [](int i) { return "key" + std::to_string(i); };
  const auto found = [&](Database* database) {
    std::vector<bool> there;
    std::string value;
    for (int i = 0; i < kKeys; ++i) {
      const Result<bool> got = database->get(key(i), &value);
      EXPECT_OK(got);
      there.push_back(got.ok() && *got);
    }
    return there;
  };
  uint64_t kept = 0;
  for (uint64_t seed = 1; seed <= 60 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    ManualExecutor executor;
    Random fates(seed);
    disk_ = std::make_unique<SimFileSystem>(seed);
    const auto open = [&](SimFileSystem* disk, uint64_t write_buffer_size) {
      Options options;
      options.memory_budget = 16 << 20;
      options.write_buffer_size = write_buffer_size;
      options.executor = &executor;
      options.file_system = disk;
      Result<std::unique_ptr<Database>> opened = Database::open(options, kSimDirectory);
      EXPECT_OK(opened);
      return opened.ok() ? std::move(*opened) : nullptr;
    };
    std::unique_ptr<Database> database = open(disk_.get(), 1 << 20);
    ASSERT_NE(database, nullptr);
    for (int i = 0; i < kKeys; ++i) {
      const std::string value(1500, static_cast<char>('a' + i % 26));
      ASSERT_OK(database->put(key(i), value, {.durability = Durability::os}));
    }
    disk_->inject(
        {.error = SimError::io_error, .call = FileCall::Kind::sync, .file = FileType::wal});
    EXPECT_FALSE(database->close().ok());
    database.reset();
    disk_->clear_faults();

    // With a small one much of the log is flushed while it is replayed: before it is synced.
    database = open(disk_.get(), seed % 2 == 0 ? 1 << 20 : 24 << 10);
    ASSERT_NE(database, nullptr);
    const std::vector<bool> there = found(database.get());
    kept += static_cast<uint64_t>(std::count(there.begin(), there.end(), true));
    ASSERT_OK(database->put("after", "v", {.durability = Durability::sync}));
    const std::unique_ptr<SimFileSystem> left =
        disk_->crash(PagePolicy::all_old, NamePolicy::lose_all, &fates);
    disk_->power_off();
    database.reset();

    database = open(left.get(), 1 << 20);
    ASSERT_NE(database, nullptr);
    EXPECT_EQ(found(database.get()), there);
    std::string value;
    const Result<bool> after = database->get("after", &value);
    EXPECT_TRUE(after.ok() && *after);
    ASSERT_OK(database->close());
  }
  EXPECT_GT(kept, 0u);
}

// A flush, or a keyspace that is made, whose sync of the log failed only told its caller: keyspaces
// without a log went on taking writes, which no flush could have made durable.
TEST_F(FoundFaults, failed_log_sync_of_a_flush_makes_the_store_read_only) {
  for (const bool flush : {true, false}) {
    make(1);
    SimWorkload workload(disk_.get(), history_, {}, 1, {.may_fail = true});
    ASSERT_OK(workload.open());
    Database* database = workload.database();
    ASSERT_OK(database->put("k", "v", {.durability = Durability::os}));
    const Keyspace unlogged = database->find_keyspace(kUnloggedKeyspace).value();
    disk_->inject(
        {.error = SimError::io_error, .call = FileCall::Kind::sync, .file = FileType::wal});
    const Status status = flush ? database->flush() : database->create_keyspace("new").status();
    EXPECT_FAILS(status, io_error, "injected");
    EXPECT_FAILS(database->put("k", "v", {.keyspace = unlogged}), read_only, "injected");
  }
}

// Killed right after it renamed CURRENT, and opened again: what was taken for debris then was the
// manifest that CURRENT still named on disk. A loss of power left a database that did not open.
TEST_F(FoundFaults, manifest_stays_until_the_current_that_replaces_it_is_durable) {
  make(1);
  std::unique_ptr<SimFileSystem> killed;
  bool renamed = false;
  HookedFiles first(disk_.get(), [&](const FileCall& call) {
    if (renamed && killed == nullptr) killed = disk_->copy();
    renamed |= call.kind == FileCall::Kind::rename;
    return Status();
  });
  SimWorkload attempt(&first, history_, {}, 1, {});
  ASSERT_OK(attempt.open());
  disk_->power_off();
  attempt.let_go();
  ASSERT_NE(killed, nullptr);

  Random random(1);
  bool removed = false;
  HookedFiles second(killed.get(), [&](const FileCall& call) {
    for (int i = 0; removed && i < 20 && !HasFailure(); ++i) {
      const auto after = killed->crash(PagePolicy::any, NamePolicy::subset, &random);
      SimWorkload workload(after.get(), history_, {}, 1, {});
      EXPECT_OK(workload.open());
    }
    removed = call.kind == FileCall::Kind::remove && call.path.ends_with(".manifest");
    return Status();
  });
  SimWorkload again(&second, history_, {}, 2, {});
  ASSERT_OK(again.open());
}

// A disk that was full just when the first mark of a new manifest was to be written: CURRENT went
// on to name a manifest without one, and the database did not open again.
TEST_F(FoundFaults, full_disk_at_any_write_of_a_new_manifest_leaves_the_old_one) {
  for (uint64_t nth = 0; nth < 4; ++nth) {
    for (const bool sticky : {false, true}) {
      make(1);
      expect_all_after({.error = SimError::no_space,
                        .call = FileCall::Kind::write,
                        .file = FileType::manifest,
                        .nth = nth,
                        .sticky = sticky});
    }
  }
}

}  // namespace
}  // namespace varve::test
