// Transactions that spill, and others: who wins, and what becomes of who lost.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "tests/txn/spill_fixture.h"
#include "varve/cancellation.h"

namespace varve::test {
namespace {

TEST_F(SpillTest, first_committer_wins_whichever_of_both_has_spilled) {
  open();
  for (const Isolation isolation : {Isolation::snapshot, Isolation::serializable}) {
    for (const bool compacted : {false, true}) {
      // A key near the begin, which is on disk, and the last one, which is in memory.
      for (const std::string& contended : {key(5), key(39)}) {
        SCOPED_TRACE(contended + (compacted ? ", compacted" : ""));
        // Somebody else wrote it meanwhile.
        Transaction large = begin(1000, isolation);
        write_many(large, 40);
        ASSERT_OK(db_->put(contended, "theirs"));
        if (compacted) ASSERT_OK(db_->compact());
        const Status lost = large.commit().status();
        EXPECT_EQ(lost.code(), StatusCode::conflict);
        EXPECT_NE(lost.message().find(contended), std::string::npos) << lost.to_string();
        EXPECT_EQ(get(contended), "theirs");
        EXPECT_EQ(large.commit().status().code(), StatusCode::conflict);
        ASSERT_OK(large.rollback());
        // It wrote it meanwhile: others lose, those that spilled too.
        Transaction winner = begin(1000, isolation);
        Transaction small = begin(0, isolation);
        Transaction other = begin(1000, isolation);
        write_many(winner, 40);
        ASSERT_OK(small.put(contended, "small"));
        write_many(other, 10, "other ");
        ASSERT_OK(other.put(contended, "other"));
        write_many(other, 10, "another ");
        EXPECT_EQ(commit(winner), StatusCode::ok);
        if (compacted) ASSERT_OK(db_->compact());
        EXPECT_EQ(commit(small), StatusCode::conflict);
        EXPECT_EQ(commit(other), StatusCode::conflict);
        EXPECT_EQ(get("other " + key(1)), "(absent)");
        // And not those that begin after it.
        Transaction after = begin(0, isolation);
        ASSERT_OK(after.put(contended, "after"));
        EXPECT_EQ(commit(after), StatusCode::ok);
      }
    }
  }
}

TEST_F(SpillTest, what_was_read_counts_on_both_sides) {
  open();
  ASSERT_OK(db_->put("read", "1"));
  const auto scan = [](Transaction& transaction, std::string_view lower, std::string_view upper) {
    Result<Cursor> cursor = transaction.scan({.lower = lower, .upper = upper});
    ASSERT_OK(cursor);
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
    }
    ASSERT_OK(cursor->status());
  };
  for (const Isolation isolation : {Isolation::snapshot, Isolation::serializable}) {
    const StatusCode skew =
        isolation == Isolation::snapshot ? StatusCode::ok : StatusCode::conflict;
    // It read a key, or a range, that others write.
    Transaction by_key = begin(1000, isolation);
    Transaction by_range = begin(1000, isolation);
    Transaction for_update = begin(1000, isolation);
    EXPECT_NE(get(by_key, "read"), "");
    scan(by_range, "r", "s");
    std::string unused;
    ASSERT_OK(for_update.get_for_update("read", &unused));
    write_many(by_key, 20, "by key ");
    write_many(by_range, 20, "by range ");
    write_many(for_update, 20, "for update ");
    ASSERT_OK(db_->put("read", "2"));
    EXPECT_EQ(commit(by_key), skew);
    EXPECT_EQ(commit(by_range), skew);
    EXPECT_EQ(commit(for_update), StatusCode::conflict);
    // It writes what others read: a key and a range that had nothing in them.
    Transaction reader = begin(0, isolation);
    Transaction ranger = begin(0, isolation);
    const std::string prefix = isolation == Isolation::snapshot ? "new " : "newer ";
    EXPECT_EQ(get(reader, prefix + key(3)), "(absent)");
    scan(ranger, prefix, prefix + "l");
    ASSERT_OK(reader.put("reader", "1"));
    ASSERT_OK(ranger.put("ranger", "1"));
    Transaction writer = begin(1000, isolation);
    write_many(writer, 20, prefix);
    EXPECT_EQ(commit(writer), StatusCode::ok);
    EXPECT_EQ(commit(reader), skew);
    EXPECT_EQ(commit(ranger), skew);
  }
}

// Between the first half of its check, outside the queue, and the second, somebody writes one of
// its keys: at whatever read of a file that is, the commit is not made. The first half walks
// through what others committed meanwhile or, where that is more, through what was spilled.
TEST_F(SpillTest, a_commit_between_both_halves_of_the_check_is_seen) {
  options_.cache_size = 64 << 10;
  open();
  uint64_t before = 0;
  uint64_t behind = 0;
  for (uint64_t nth = 0; !HasFailure(); ++nth) {
    SCOPED_TRACE(nth);
    executor_.run_all();
    Transaction transaction = begin();
    write_many(transaction, 60);
    for (uint64_t i = 0; nth % 2 == 1 && i < 100; ++i)
      ASSERT_OK(db_->put("other" + key(i), value(i)));
    uint64_t reads = 0;
    bool was_first = false;
    const std::thread::id committer = std::this_thread::get_id();
    std::atomic<bool> done{false};
    std::thread other;
    hook_ = [&](const FileCall& call) {
      if (call.kind != FileCall::Kind::read || !call.path.ends_with(".sst") ||
          std::this_thread::get_id() != committer || reads++ != nth / 2) {
        return Status();
      }
      // Where this one is the queue's leader, the other one comes behind it.
      other = std::thread([&] {
        EXPECT_OK(db_->put(key(30), "theirs"));
        done.store(true);
      });
      for (int i = 0; i < 500 && !done.load(); ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
      was_first = done.load();
      return Status();
    };
    const Status status = transaction.commit().status();
    const bool is_last = reads <= nth / 2;
    if (other.joinable()) other.join();
    hook_ = nullptr;
    if (is_last) {
      EXPECT_OK(status);
      if (nth % 2 == 1) break;
      continue;
    }
    EXPECT_EQ(status.code(), was_first ? StatusCode::conflict : StatusCode::ok)
        << status.to_string();
    ++(was_first ? before : behind);
    EXPECT_EQ(get(key(30)), "theirs");
  }
  std::printf("%llu reads before the queue, %llu in it\n", static_cast<unsigned long long>(before),
              static_cast<unsigned long long>(behind));
  EXPECT_GT(before, 20u);
}

// Others commit more during each walk of the check than the ring of recent commits holds, so that
// it is made again, by what they committed, and in the end in the queue.
TEST_F(SpillTest, others_commit_more_than_is_remembered_while_it_is_checked) {
  options_.memory_budget = 8 << 20;  // a ring of 64 KiB
  options_.write_buffer_size = 256 << 10;
  options_.cache_size = 64 << 10;
  options_.executor = nullptr;  // threads: others wait for flushes
  options_.clock = nullptr;
  constexpr int kNever = -1;
  const std::thread::id committer = std::this_thread::get_id();
  // The committer's alone.
  bool commits = false;
  int in_round = kNever;  // others write what it wrote
  int round = 0;
  uint64_t reads = 0;
  bool wrote_ours = false;
  bool may_have = false;  // it came to it, but not for certain before the queue
  std::vector<std::thread> others;
  hook_ = [&](const FileCall& call) {
    if (call.kind != FileCall::Kind::read || !call.path.ends_with(".sst") ||
        std::this_thread::get_id() != committer || !commits || ++reads % 40 != 0) {
      return Status();
    }
    const bool ours = round++ == in_round;
    const auto done = std::make_shared<std::atomic<bool>>(false);
    others.emplace_back([&, ours, done] {
      WriteBatch batch;
      for (int i = 0; i < 3000; ++i) EXPECT_OK(batch.put("other" + std::to_string(i), ""));
      if (ours) EXPECT_OK(batch.put(key(30), "theirs"));
      EXPECT_OK(db_->write(batch));
      done->store(true);
    });
    // Where this one is the queue's leader, the other one comes behind it.
    for (int i = 0; i < 200 && !done->load(); ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    if (ours) (done->load() ? wrote_ours : may_have) = true;
    return Status();
  };
  open();
  int most_rounds = 0;
  for (in_round = kNever; in_round < 4; ++in_round) {
    SCOPED_TRACE(in_round);
    Transaction transaction = begin(/*write_memory_max=*/20'000);
    write_many(transaction, 300);
    round = 0;
    wrote_ours = may_have = false;
    commits = true;
    const Status status = transaction.commit().status();
    commits = false;
    for (std::thread& other : others) other.join();
    others.clear();
    if (!may_have || !status.ok()) {
      EXPECT_EQ(status.code(), wrote_ours || may_have ? StatusCode::conflict : StatusCode::ok)
          << status.to_string();
    }
    if (wrote_ours) EXPECT_EQ(get(key(30)), "theirs");
    most_rounds = std::max(most_rounds, round);
  }
  EXPECT_GT(most_rounds, 2);
  close();  // nobody calls the hook any more
}

TEST_F(SpillTest, a_dropped_keyspace_is_in_the_way_until_what_was_written_to_it_is_undone) {
  open();
  const Keyspace other = create("other");
  Transaction transaction = begin();
  write_many(transaction, 10);
  Result<Savepoint> savepoint = transaction.set_savepoint();
  ASSERT_OK(savepoint);
  for (uint64_t i = 0; i < 20; ++i) ASSERT_OK(transaction.put(key(i), value(i), in(other)));
  Transaction lost = begin();
  for (uint64_t i = 0; i < 20; ++i) ASSERT_OK(lost.put("lost " + key(i), value(i), in(other)));
  write_many(lost, 10, "lost ");
  ASSERT_OK(db_->drop_keyspace(other));
  EXPECT_EQ(transaction.put(key(0), value(0), in(other)).code(), StatusCode::not_found);
  EXPECT_EQ(commit(lost), StatusCode::not_found);
  EXPECT_EQ(commit(lost), StatusCode::not_found);
  ASSERT_OK(lost.rollback());
  ASSERT_OK(transaction.rollback_to(*savepoint));
  write_many(transaction, 10, "later ");
  ASSERT_OK(transaction.commit());
  EXPECT_EQ(rows().size(), 20u);
  executor_.run_all();
  EXPECT_EQ(sstables(), 1u);
  kill_and_reopen();
  EXPECT_EQ(rows().size(), 20u);
}

// What was undone stays in the files for a while: a scan that has to walk over it can be stopped.
TEST_F(SpillTest, a_scan_over_what_was_undone_is_cancelled) {
  options_.cache_size = 64 << 10;
  open();
  Transaction transaction = begin(20'000);
  Result<Savepoint> savepoint = transaction.set_savepoint();
  ASSERT_OK(savepoint);
  write_many(transaction, 400);
  ASSERT_OK(transaction.rollback_to(*savepoint));
  Cancellation cancellation;
  uint64_t reads = 0;
  hook_ = [&](const FileCall& call) {
    if (call.kind == FileCall::Kind::read && call.path.ends_with(".sst") && ++reads == 50) {
      cancellation.cancel();
    }
    return Status();
  };
  for (const bool forward : {true, false}) {
    reads = 0;
    cancellation.clear();
    ScanOptions options;
    options.cancellation = &cancellation;
    Result<Cursor> cursor = transaction.scan(options);
    ASSERT_OK(cursor);
    forward ? cursor->seek_to_first() : cursor->seek_to_last();
    EXPECT_FALSE(cursor->valid());
    EXPECT_EQ(cursor->status().code(), StatusCode::cancelled) << cursor->status().to_string();
    EXPECT_LT(reads, 150u) << "it goes on";
    // It goes on when it may.
    cancellation.clear();
    ASSERT_OK(transaction.put("a", "1"));
    ASSERT_OK(cursor->reset(options));
    reads = 50;
    forward ? cursor->seek_to_first() : cursor->seek_to_last();
    ASSERT_TRUE(cursor->valid()) << cursor->status().to_string();
    EXPECT_EQ(cursor->key(), "a");
    ASSERT_OK(transaction.rollback_to(*savepoint));
  }
  hook_ = nullptr;
}

}  // namespace
}  // namespace varve::test
