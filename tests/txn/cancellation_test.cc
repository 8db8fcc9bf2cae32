#include "varve/cancellation.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class CancellationTest : public DatabaseTest {
 protected:
  static constexpr int kKeys = 20'000;

  static std::string key(int i) { return "key" + std::to_string(100'000 + i); }
  static bool reads_sstable(const FileCall& call) {
    return call.kind == FileCall::Kind::read && call.path.ends_with(".sst");
  }

  // So many keys between two rows that were erased, which only a walk over all of them finds out:
  // the tombstones lie above the run with their values. The executor stands still, so that nothing
  // is merged.
  void fill_with_tombstones() {
    options_.write_buffer_size = 16 << 20;
    open();
    ASSERT_OK(db_->put("a", "first"));
    ASSERT_OK(db_->put("z", "last"));
    write_all([](WriteBatch* batch, int i) { return batch->put(key(i), "value"); });
    ASSERT_OK(db_->flush());
    write_all([](WriteBatch* batch, int i) { return batch->erase(key(i)); });
  }
  template <typename Change>
  void write_all(Change change) {
    WriteBatch batch(*db_);
    for (int i = 0; i < kKeys; ++i) {
      ASSERT_OK(change(&batch, i));
      if (i % 1000 != 999) continue;
      ASSERT_OK(db_->write(batch));
      batch.clear();
    }
  }

  Cancellation cancellation_;
};

TEST_F(CancellationTest, is_a_flag_that_can_be_cleared) {
  EXPECT_FALSE(cancellation_.is_cancelled());
  cancellation_.cancel();
  cancellation_.cancel();
  EXPECT_TRUE(cancellation_.is_cancelled());
  cancellation_.clear();
  EXPECT_FALSE(cancellation_.is_cancelled());
}

TEST_F(CancellationTest, a_scan_ends_and_goes_on_when_it_is_cleared_or_reset) {
  open();
  for (int i = 0; i < 100; ++i) ASSERT_OK(db_->put(key(i), "v"));
  ScanOptions options;
  options.cancellation = &cancellation_;
  Result<Cursor> cursor = db_->scan(options);
  ASSERT_OK(cursor);
  for (const bool forward : {true, false}) {
    forward ? cursor->seek_to_first() : cursor->seek_to_last();
    forward ? cursor->next() : cursor->prev();
    ASSERT_TRUE(cursor->valid());
    const std::string here(cursor->key());
    cancellation_.cancel();
    EXPECT_TRUE(cursor->valid()) << "what it shows, it shows";
    forward ? cursor->next() : cursor->prev();
    EXPECT_FALSE(cursor->valid());
    EXPECT_FAILS(cursor->status(), cancelled, "caller");
    forward ? cursor->next() : cursor->prev();  // of no effect
    cursor->seek(here);
    EXPECT_FAILS(cursor->status(), cancelled, "caller");
    cursor->seek_for_prev(here);
    EXPECT_FAILS(cursor->status(), cancelled, "caller");
    cancellation_.clear();
    cursor->seek(here);
    ASSERT_TRUE(cursor->valid());
    EXPECT_EQ(cursor->key(), here);
  }
  cancellation_.cancel();
  ASSERT_OK(cursor->reset(options));
  cursor->seek_to_first();
  EXPECT_FAILS(cursor->status(), cancelled, "caller");
  ASSERT_OK(cursor->reset({}));
  int rows = 0;
  for (cursor->seek_to_first(); cursor->valid(); cursor->next()) ++rows;
  EXPECT_OK(cursor->status());
  EXPECT_EQ(rows, 100);
  Result<Cursor> another = db_->scan(options);
  ASSERT_OK(another);
  another->seek_to_first();
  EXPECT_FAILS(another->status(), cancelled, "caller");
}

// Within one step, over keys of a memtable that came after the snapshot.
TEST_F(CancellationTest, a_step_over_newer_keys_ends) {
  open();
  ASSERT_OK(db_->put("a", "v"));
  Result<Snapshot> snapshot = db_->snapshot();
  ASSERT_OK(snapshot);
  for (int i = 0; i < 100; ++i) ASSERT_OK(db_->put(key(i), "v"));
  ScanOptions options;
  options.snapshot = &*snapshot;
  options.lower = "b";
  options.cancellation = &cancellation_;
  Result<Cursor> cursor = db_->scan(options);
  ASSERT_OK(cursor);
  cursor->seek_to_first();
  EXPECT_FALSE(cursor->valid());
  EXPECT_OK(cursor->status());
  cancellation_.cancel();
  cursor->seek_to_first();
  EXPECT_FAILS(cursor->status(), cancelled, "caller");
  cursor->seek_to_last();
  EXPECT_FAILS(cursor->status(), cancelled, "caller");
}

// Within one step, over tombstones: once it is cancelled, no more blocks are read than the sources
// need for the row that they stand on.
TEST_F(CancellationTest, a_step_over_tombstones_ends_with_the_block_that_it_is_at) {
  fill_with_tombstones();
  ASSERT_OK(db_->flush());
  const auto scan = [&](bool forward, std::optional<uint64_t> cancel_at, Status* status) {
    cancellation_.clear();
    ScanOptions options;
    options.lower = "b";
    options.upper = "y";
    options.fill_cache = false;
    options.cancellation = &cancellation_;
    Result<Cursor> cursor = db_->scan(options);
    EXPECT_OK(cursor);
    std::atomic<uint64_t> reads{0};
    hook_ = [&](const FileCall& call) {
      if (reads_sstable(call) && reads.fetch_add(1) + 1 == cancel_at) cancellation_.cancel();
      return Status();
    };
    forward ? cursor->seek_to_first() : cursor->seek_to_last();
    hook_ = nullptr;
    EXPECT_FALSE(cursor->valid());
    *status = cursor->status();
    return reads.load();
  };
  for (const bool forward : {true, false}) {
    reopen();  // blocks are on disk only
    Status status;
    constexpr uint64_t kCancelAt = 20;
    EXPECT_LE(scan(forward, kCancelAt, &status), kCancelAt + 4);
    EXPECT_FAILS(status, cancelled, "caller");
    EXPECT_GE(scan(forward, std::nullopt, &status), 100u) << "as many as there are";
    EXPECT_OK(status);
  }
}

// The scanning thread is held in the middle of a read while another one cancels.
TEST_F(CancellationTest, another_thread_stops_a_scan_over_very_many_tombstones) {
  fill_with_tombstones();
  ASSERT_OK(db_->flush());
  reopen();
  std::atomic<int> reads{0};
  std::atomic<bool> within{false};
  std::atomic<bool> go_on{false};
  hook_ = [&](const FileCall& call) {
    if (reads_sstable(call) && reads.fetch_add(1) == 10) {
      within.store(true);
      while (!go_on.load()) std::this_thread::yield();
    }
    return Status();
  };
  Status status;
  std::thread scanner([&] {
    ScanOptions options;
    options.cancellation = &cancellation_;
    Result<Cursor> cursor = db_->scan(options);
    ASSERT_OK(cursor);
    cursor->seek("b");  // the next row is "z", behind all tombstones
    EXPECT_FALSE(cursor->valid());
    status = cursor->status();
  });
  while (!within.load()) std::this_thread::yield();
  cancellation_.cancel();
  go_on.store(true);
  scanner.join();
  EXPECT_FAILS(status, cancelled, "caller");
  EXPECT_LE(reads.load(), 15);
  hook_ = nullptr;
}

// Whenever it comes, several scans that share it end, and a scan without it does not.
TEST_F(CancellationTest, one_stops_many_scans_at_any_time) {
  fill_with_tombstones();
  constexpr int kThreads = 3;
  for (int round = 0; round < 5; ++round) {
    cancellation_.clear();
    std::atomic<int> under_way{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        ScanOptions options;
        options.cancellation = &cancellation_;
        Result<Cursor> cursor = db_->scan(options);
        ASSERT_OK(cursor);
        for (uint64_t pass = 0; cursor->status().ok(); ++pass) {
          if (pass == 1) ++under_way;
          t % 2 == 0 ? cursor->seek("b") : cursor->seek_for_prev("y");
          if (cursor->valid()) ASSERT_EQ(cursor->key(), t % 2 == 0 ? "z" : "a");
        }
        EXPECT_FAILS(cursor->status(), cancelled, "caller");
      });
    }
    while (under_way.load() < kThreads) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::microseconds(700 * round));
    cancellation_.cancel();  // anywhere within a pass
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(rows(), (Rows{{"a", "first"}, {"z", "last"}}));
  }
}

TEST_F(CancellationTest, scans_of_transactions_end_also_among_their_own_writes) {
  open();
  for (int i = 0; i < 50; ++i) ASSERT_OK(db_->put(key(i), "v"));
  for (const Isolation isolation : {Isolation::snapshot, Isolation::serializable}) {
    TransactionOptions how;
    how.isolation = isolation;
    Result<Transaction> transaction = db_->begin(how);
    ASSERT_OK(transaction);
    // Its own: rows before the others, tombstones behind them that hide nothing.
    for (int i = 0; i < 10; ++i) ASSERT_OK(transaction->put("a" + std::to_string(i), "own"));
    for (int i = 0; i < 50; ++i) ASSERT_OK(transaction->erase("x" + std::to_string(i)));
    ScanOptions options;
    options.cancellation = &cancellation_;
    Result<Cursor> cursor = transaction->scan(options);
    ASSERT_OK(cursor);
    for (const char* from : {"a5", "key", "x"}) {
      cancellation_.clear();
      cursor->seek(from);
      EXPECT_OK(cursor->status());
      EXPECT_EQ(cursor->valid(), from[0] != 'x');
      cancellation_.cancel();
      if (cursor->valid()) {
        cursor->next();
      } else {
        cursor->seek(from);
      }
      EXPECT_FALSE(cursor->valid()) << from;
      EXPECT_FAILS(cursor->status(), cancelled, "caller");
    }
    ASSERT_OK(cursor->reset({}));
    int rows = 0;
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) ++rows;
    EXPECT_EQ(rows, 60);
    // The transaction goes on.
    ASSERT_OK(transaction->put("b", "own"));
    *cursor = Cursor();
    ASSERT_OK(transaction->rollback());
  }
}

TEST_F(CancellationTest, look_ups_are_not_begun) {
  open();
  ASSERT_OK(db_->put("a", "1"));
  ASSERT_OK(db_->put("b", "2"));
  ASSERT_OK(db_->flush());
  reopen();
  ReadOptions options;
  options.cancellation = &cancellation_;
  const std::vector<std::string_view> keys{"a", "b"};
  std::vector<std::optional<PinnedValue>> values(2);
  // With the first key's read.
  hook_ = [&](const FileCall& call) {
    if (reads_sstable(call)) cancellation_.cancel();
    return Status();
  };
  EXPECT_FAILS(db_->multi_get(keys, values, options), cancelled, "caller");
  ASSERT_TRUE(values[0].has_value()) << "it was read";
  EXPECT_EQ(values[0]->view(), "1");
  EXPECT_FALSE(values[1].has_value());
  hook_ = nullptr;
  std::string value;
  EXPECT_FAILS(db_->get("a", &value, options), cancelled, "caller");
  EXPECT_FAILS(db_->get("a", options), cancelled, "caller");
  {
    Result<Transaction> transaction = db_->begin();
    ASSERT_OK(transaction);
    EXPECT_FAILS(transaction->get("a", &value, options), cancelled, "caller");
    EXPECT_FAILS(transaction->multi_get(keys, values, options), cancelled, "caller");
  }
  cancellation_.clear();
  ASSERT_OK(db_->multi_get(keys, values, options));
  EXPECT_EQ(values[1]->view(), "2");
  values.clear();
}

TEST_F(CancellationTest, a_write_that_waits_ends_and_one_that_need_not_is_done) {
  open();
  WriteOptions options;
  options.cancellation = &cancellation_;
  cancellation_.cancel();
  ASSERT_OK(db_->put("at once", "v", options));
  // Nobody flushes: the executor stands still. Two write buffers fill up.
  const std::string value(50'000, 'v');
  WriteOptions impatient;
  impatient.timeout = std::chrono::nanoseconds(0);
  int written = 0;
  while (db_->put(key(written), value, impatient).ok()) ++written;
  EXPECT_FAILS(db_->put("k", value, options), cancelled, "caller");
  // And while it waits.
  cancellation_.clear();
  WriteBatch batch;
  ASSERT_OK(batch.put("k", value));
  Status status;
  std::thread writer([&] { status = db_->write(batch, options); });
  const auto waiting = [this] {
    return db_->health().waits[static_cast<size_t>(WaitReason::memtables)].waiting;
  };
  while (waiting() == 0) std::this_thread::yield();
  cancellation_.cancel();
  writer.join();
  EXPECT_FAILS(status, cancelled, "caller");
  EXPECT_EQ(waiting(), 0u);
  executor_.run_all();
  EXPECT_EQ(get("k"), "(absent)") << "nothing was changed";
  ASSERT_OK(db_->write(batch, options)) << "there is nothing to wait for";
  EXPECT_EQ(get("k"), value);
}

}  // namespace
}  // namespace varve::test
