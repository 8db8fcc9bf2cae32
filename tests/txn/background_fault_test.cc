// Faults that background work meets before anything names what it wrote: it is done again, writes
// and reads go on, and health() says what is the matter.

#include <gtest/gtest.h>

#include <string>

#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class BackgroundFaultTest : public DatabaseTest {
 protected:
  // Background steps come back for ever while they are hindered.
  static constexpr size_t kSteps = 20;

  void put_run(int run) {
    for (int i = 0; i < 50; ++i) {
      ASSERT_OK(db_->put("key" + std::to_string(i), std::to_string(run) + std::string(200, 'v')));
    }
  }
};

TEST_F(BackgroundFaultTest, a_flush_that_fails_is_done_again) {
  open();
  for (const FileCall::Kind kind :
       {FileCall::Kind::create, FileCall::Kind::write, FileCall::Kind::sync}) {
    put_run(1);
    bool failed = false;
    hook_ = [&](const FileCall& call) {
      if (call.kind != kind || !call.path.ends_with(".sst") || failed) return Status();
      failed = true;
      return Status::io_error("injected");
    };
    EXPECT_FAILS(db_->flush(), io_error, "injected");
    EXPECT_OK(db_->health().failure);
    put_run(2);
    EXPECT_OK(db_->flush());
    hook_ = nullptr;
    EXPECT_EQ(get("key7"), "2" + std::string(200, 'v'));
  }
}

TEST_F(BackgroundFaultTest, a_fault_in_the_background_is_told_and_passes) {
  open();
  hook_ = [](const FileCall& call) {
    return call.kind == FileCall::Kind::sync && call.path.ends_with(".sst")
               ? Status::io_error("injected")
               : Status();
  };
  const std::string value(1000, 'v');
  for (int i = 0; i < 1100; ++i) ASSERT_OK(db_->put(std::to_string(i), value));
  executor_.run_all(kSteps);
  EXPECT_FAILS(db_->health().flush, io_error, "injected");
  ASSERT_OK(db_->put("goes", "on"));
  EXPECT_EQ(get("17"), value);
  hook_ = nullptr;
  executor_.run_all(kSteps);
  EXPECT_OK(db_->health().flush);
  EXPECT_EQ(db_->statistics().flushes, 1u);
}

// The background's own step found the keyspace taken by wait_for_background(), and left; that then
// failed. Nobody merged any more, and in the end every write waited for it.
TEST_F(BackgroundFaultTest, a_compaction_that_fails_for_another_is_still_due) {
  open();
  size_t runs_before = 0;
  bool failed = false;
  for (int run = 0; run < 40 && !failed; ++run) {
    put_run(run);
    ASSERT_OK(db_->flush());
    runs_before = runs();
    hook_ = [&](const FileCall& call) {
      if (call.kind != FileCall::Kind::create || !call.path.ends_with(".sst")) return Status();
      failed = true;
      hook_ = nullptr;
      executor_.run_all(kSteps);
      return Status::no_space("injected");
    };
    const Status status = db_->wait_for_background();
    hook_ = nullptr;
    if (failed) EXPECT_FAILS(status, no_space, "injected");
  }
  ASSERT_TRUE(failed) << "a compaction is due at some time";
  EXPECT_EQ(runs(), runs_before);
  executor_.run_all(kSteps);
  EXPECT_LT(runs(), runs_before);
}

TEST_F(BackgroundFaultTest, damage_stops_the_compaction_that_meets_it_and_nothing_else) {
  open();
  for (int run = 0; run < 2; ++run) {
    put_run(run);
    ASSERT_OK(db_->flush());
  }
  const std::vector<std::string> files = files_with_suffix(disk_.get(), kPath, ".sst");
  ASSERT_EQ(files.size(), 2u);
  // In place: the database has it open.
  Result<std::unique_ptr<File>> file = disk_->open(files[1], OpenMode::read_write);
  ASSERT_OK(file);
  ASSERT_OK((*file)->write(200, "damage"));
  file->reset();
  for (int run = 2; run < 8 && db_->health().compaction.ok(); ++run) {
    put_run(run);
    ASSERT_OK(db_->flush());
    executor_.run_all(kSteps);
  }
  EXPECT_FAILS(db_->health().compaction, corruption, files[1]);
  EXPECT_OK(db_->health().failure);
  ASSERT_OK(db_->put("goes", "on"));
  ASSERT_OK(db_->flush());
  EXPECT_EQ(get("goes"), "on");
}

// Tidying the log can wait: what an opening needs is there already.
TEST_F(BackgroundFaultTest, a_full_disk_does_not_keep_old_log_segments_from_waiting) {
  open();
  put_run(1);
  ASSERT_OK(db_->flush());
  kill();
  int writes = 0;
  hook_ = [&](const FileCall& call) {
    const bool edit =
        call.kind == FileCall::Kind::write && call.path.ends_with(".manifest") && ++writes > 3;
    return edit ? Status::no_space("injected") : Status();
  };
  open();
  ASSERT_NE(db_, nullptr);
  EXPECT_GT(writes, 3) << "header, state, mark; and the edit that lets segments go";
  hook_ = nullptr;
  EXPECT_EQ(get("key3"), "1" + std::string(200, 'v'));
}

}  // namespace
}  // namespace varve::test
