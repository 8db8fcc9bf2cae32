// Groups of commits behind one that is on its way to the disk: what is done meanwhile, and what
// nobody is told before it is there.

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/sync_point.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class GroupCommitTest : public DatabaseTest {
 protected:
  // "k" is "old", and a commit of "new" is held in its sync, which ends with `synced`.
  void hold(const Status& synced = Status()) {
    open();
    ASSERT_OK(db_->put("k", "old"));
    recorder_ = begin();  // commits are recorded while somebody is there whom they concern
    hook_ = [this, synced](const FileCall& call) {
      if (!call.path.ends_with(".wal")) return Status();
      std::unique_lock lock(mutex_);
      const bool is_write = call.kind == FileCall::Kind::write;
      if (is_write) ++writes_;
      changed_.notify_all();
      if (is_write && writes_ == refused_write_) return Status::no_space("injected");
      if (call.kind != FileCall::Kind::sync) return Status();
      ++syncs_;
      changed_.wait(lock, [this] { return released_; });
      return synced;
    };
    winner_ =
        std::thread([this] { winner_status_ = db_->put("k", "new", with(Durability::sync)); });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return syncs_ == 1; });
  }
  void release() {
    {
      const std::lock_guard lock(mutex_);
      released_ = true;
    }
    changed_.notify_all();
    if (winner_.joinable()) winner_.join();
    {
      const std::lock_guard lock(mutex_);
      told_ = true;
    }
    changed_.notify_all();
  }
  void await_writes(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return writes_ >= count; });
  }
  // `call` does not return before the sync did: whoever reads afterwards finds what it made
  // durable.
  void expect_to_wait(const std::function<void()>& call) {
    std::string seen;
    bool returned = false;
    std::thread caller([&] {
      call();
      seen = get("k");
      const std::lock_guard lock(mutex_);
      returned = true;
      changed_.notify_all();
    });
    {
      // Long enough for one that does not wait to be found out.
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(100), [&] { return returned; });
    }
    release();
    caller.join();
    EXPECT_EQ(seen, "new");
  }
  void reopen_failed() {
    release();
    recorder_ = Transaction();
    hook_ = nullptr;
    kill_and_reopen();
  }
  void TearDown() override {
    recorder_ = Transaction();
    release();
    DatabaseTest::TearDown();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int writes_ = 0;  // of the log
  int syncs_ = 0;
  int refused_write_ = 0;
  bool released_ = false;
  bool told_ = false;  // the winner
  std::thread winner_;
  Status winner_status_;
  Transaction recorder_;
};

TEST_F(GroupCommitTest, one_sync_serves_all_that_was_applied_during_another) {
  hold();
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back(
        [this, i] { EXPECT_OK(db_->put("w" + std::to_string(i), "v", with(Durability::sync))); });
    await_writes(i + 2);  // a group of its own
  }
  EXPECT_EQ(get("w0"), "(absent)");
  EXPECT_EQ(get("k"), "old");
  release();
  for (std::thread& writer : writers) writer.join();
  EXPECT_LE(syncs_, 3);  // the last one may have come late
  EXPECT_EQ(rows().size(), 5u);
  EXPECT_OK(winner_status_);
}

TEST_F(GroupCommitTest, transact_begins_again_from_what_is_applied) {
  hold();
  std::vector<std::string> seen;
  std::string published;
  const Result<Timestamp> committed = db_->transact(
      [&](Transaction& transaction) -> Status {
        std::string value;
        EXPECT_OK(transaction.get_for_update("k", &value));
        seen.push_back(value);
        if (seen.size() == 2) {
          published = get("k");
          release();  // or nobody would
        }
        return transaction.put("k", value + ", newer");
      },
      {.durability = Durability::sync});
  ASSERT_OK(committed);
  EXPECT_EQ(seen, (std::vector<std::string>{"old", "new"}));
  EXPECT_EQ(published, "old");
  EXPECT_EQ(get("k"), "new, newer");
}

TEST_F(GroupCommitTest, transact_of_nothing_waits_for_what_it_read) {
  hold();
  int attempts = 0;
  expect_to_wait([&] {
    EXPECT_OK(db_->transact([&](Transaction& transaction) -> Status {
      EXPECT_OK(transaction.get("k", ReadOptions()));
      return ++attempts == 1 ? transaction.put("k", "mine") : Status();
    }));
  });
  EXPECT_EQ(attempts, 2);
}

TEST_F(GroupCommitTest, transact_that_gives_up_waits_for_what_it_read) {
  hold();
  int attempts = 0;
  expect_to_wait([&] {
    const Result<Timestamp> given_up = db_->transact([&](Transaction& transaction) -> Status {
      std::string value;
      EXPECT_OK(transaction.get("k", &value));
      if (++attempts == 1) return transaction.put("k", "mine");
      EXPECT_EQ(value, "new");
      EXPECT_OK(transaction.rollback());
      return Status::not_found("what it needs");
    });
    EXPECT_FAILS(given_up, not_found, "what it needs");
  });
  EXPECT_EQ(attempts, 2);
}

TEST_F(GroupCommitTest, commit_that_lost_waits_for_the_winner) {
  hold();
  expect_to_wait([&] {
    Transaction transaction = begin();
    EXPECT_OK(transaction.put("k", "mine"));
    EXPECT_FAILS(transaction.commit(), conflict, "k");
  });
}

TEST_F(GroupCommitTest, transact_that_lost_for_the_last_time_waits_for_the_winner) {
  hold();
  expect_to_wait([&] {
    EXPECT_FAILS(
        db_->transact([](Transaction& transaction) { return transaction.put("k", "mine"); },
                      {.attempts_max = 1}),
        conflict, "k");
  });
}

TEST_F(GroupCommitTest, commits_behind_one_that_syncs_wait_with_it) {
  hold();
  expect_to_wait([&] { EXPECT_OK(db_->put("other", "v", with(Durability::os))); });
}

TEST_F(GroupCommitTest, what_runs_alone_waits) {
  hold();
  expect_to_wait([&] { create("keyspace"); });
}

TEST_F(GroupCommitTest, nothing_behind_a_failed_sync_is_acknowledged) {
  hold(Status::io_error("injected"));
  std::thread other([this] {
    EXPECT_FAILS(db_->put("other", "v", with(Durability::os)), io_error, "known after reopening");
  });
  await_writes(2);
  int attempts = 0;
  const Result<Timestamp> lost = db_->transact([&](Transaction& transaction) -> Status {
    if (++attempts == 2) release();
    return transaction.put("k", "mine");
  });
  EXPECT_EQ(lost.status().code(), StatusCode::read_only);
  EXPECT_EQ(attempts, 2);
  other.join();
  EXPECT_FAILS(winner_status_, io_error, "injected");
  EXPECT_EQ(get("k"), "old");
  EXPECT_EQ(get("other"), "(absent)");
  reopen_failed();
  EXPECT_NE(get("k"), "(absent)");  // which of them, nobody was told
}

#if defined(VARVE_SYNC_POINTS)
// It had found nothing to be finished, and was published.
TEST_F(GroupCommitTest, commit_that_is_applied_when_a_sync_has_failed_is_not_published) {
  hold(Status::io_error("injected"));
  const auto until_told = [this] {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return told_; });
  };
  set_sync_point_handler(
      [](const char* name, void* context) {
        if (std::string_view(name) != "commit_logged") return;
        (*static_cast<decltype(until_told)*>(context))();
      },
      const_cast<void*>(static_cast<const void*>(&until_told)));
  std::thread other([this] {
    EXPECT_FAILS(db_->put("other", "v", with(Durability::os)), io_error, "known after reopening");
  });
  await_writes(2);
  release();
  other.join();
  set_sync_point_handler(nullptr, nullptr);
  EXPECT_EQ(get("k"), "old");
  EXPECT_EQ(get("other"), "(absent)");
  reopen_failed();
}
#endif

TEST_F(GroupCommitTest, transact_says_that_an_outcome_is_unknown) {
  hold(Status::io_error("injected"));
  std::thread other([this] {
    EXPECT_FAILS(
        db_->transact([](Transaction& transaction) { return transaction.put("k", "mine"); },
                      {.durability = Durability::sync}),
        io_error, "known after reopening");
  });
  await_writes(2);  // of its second attempt
  release();
  other.join();
  reopen_failed();
}

// What waits in the log's buffer behind a commit is no part of it.
TEST_F(GroupCommitTest, full_disk_behind_a_commit_does_not_fail_its_sync) {
  hold();
  std::thread careful([this] { EXPECT_OK(db_->put("careful", "v", with(Durability::sync))); });
  await_writes(2);
  {
    const std::lock_guard lock(mutex_);
    refused_write_ = 3;
  }
  std::thread buffered(
      [this] { EXPECT_OK(db_->put("buffered", "v", with(Durability::buffered))); });
  while (db_->statistics().commits < 4) std::this_thread::yield();  // all are applied
  release();
  careful.join();
  buffered.join();
  EXPECT_OK(db_->put("later", "v", with(Durability::sync)));
  EXPECT_EQ(get("careful"), "v");
  EXPECT_EQ(get("buffered"), "v");
}

}  // namespace
}  // namespace varve::test
