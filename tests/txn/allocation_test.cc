// The foreground of every hot path asks nobody for memory once it is warm (protocol 28).

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "tests/support/status_check.h"
#include "tests/support/temp_directory.h"
#include "tests/txn/allocation_counter.h"
#include "varve/varve.h"

namespace varve::test {
namespace {

class AllocationTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!VARVE_COUNTS_ALLOCATIONS) GTEST_SKIP() << "sanitizers have a malloc of their own";
    Options options;
    options.memory_budget = 256 << 20;
    options.durability = Durability::os;
    Result<std::unique_ptr<Database>> opened = Database::open(options, directory_ / "db");
    ASSERT_OK(opened);
    db_ = std::move(*opened);
    value_.reserve(1000);
    // Runs, and a memtable above them; keys too long for a short string.
    for (int i = 0; i < kKeys; ++i) {
      ASSERT_OK(db_->put(key(i), std::string(100, 'v')));
      if (i == kKeys / 2 || i == kKeys / 4 * 3) ASSERT_OK(db_->flush());
    }
    ASSERT_OK(db_->wait_for_background());
  }

  static std::string key(uint64_t i) {
    return "a rather long common prefix/" + std::to_string(1000000 + i * 7919 % 999983);
  }

  // What `step`, run once to warm up, costs when it is run again.
  template <typename Step>
  AllocationCounts cost_of(Step step) {
    step();
    const AllocationCounts before = allocation_counts();
    step();
    const AllocationCounts after = allocation_counts();
    return {.mallocs = after.mallocs - before.mallocs,
            .heap = after.heap - before.heap,
            .maps = after.maps - before.maps};
  }
  template <typename Step>
  void expect_none(Step step) {
    const AllocationCounts cost = cost_of(step);
    EXPECT_EQ(cost.mallocs, 0u);
    EXPECT_EQ(cost.heap, 0u);
    EXPECT_EQ(cost.maps, 0u);
  }

  static constexpr int kKeys = 20'000;
  TempDirectory directory_;
  std::unique_ptr<Database> db_;
  std::string value_;
  std::vector<std::string> keys_ = [] {
    std::vector<std::string> keys;
    for (uint64_t i = 0; i < 2000; ++i) keys.push_back(key(i * 13));
    return keys;
  }();
};

TEST_F(AllocationTest, the_counter_counts) {
  const AllocationCounts before = allocation_counts();
  std::make_unique<int>(1).reset();
  static_cast<void>(std::string(100, 'x').size());
  EXPECT_GE(allocation_counts().mallocs, before.mallocs + 1);
  ASSERT_OK(db_->create_keyspace("another"));
  EXPECT_GE(allocation_counts().heap, before.heap + 1);
}

TEST_F(AllocationTest, get_copied) {
  expect_none([this] {
    for (const std::string& key : keys_) ASSERT_OK(db_->get(key, &value_));
  });
}

TEST_F(AllocationTest, get_pinned) {
  expect_none([this] {
    for (const std::string& key : keys_) ASSERT_OK(db_->get(key));
  });
}

TEST_F(AllocationTest, get_missing) {
  std::vector<std::string> missing = keys_;
  for (std::string& key : missing) key += "x";
  expect_none([&] {
    for (const std::string& key : missing) ASSERT_FALSE(*db_->get(key, &value_));
  });
}

TEST_F(AllocationTest, multi_get) {
  std::vector<std::string_view> views(keys_.begin(), keys_.begin() + 50);
  std::vector<std::optional<PinnedValue>> values(50);
  expect_none([&] { ASSERT_OK(db_->multi_get(views, values)); });
}

TEST_F(AllocationTest, seek_and_steps_both_ways) {
  Result<Cursor> cursor = db_->scan();
  ASSERT_OK(cursor);
  expect_none([&] {
    for (size_t i = 0; i < keys_.size(); i += 10) {
      cursor->seek(keys_[i]);
      for (int j = 0; j < 20 && cursor->valid(); ++j) cursor->next();
      for (int j = 0; j < 10 && cursor->valid(); ++j) cursor->prev();
      cursor->seek_for_prev(keys_[i]);
      for (int j = 0; j < 10 && cursor->valid(); ++j) cursor->prev();
    }
    ASSERT_OK(cursor->status());
  });
  cursor->seek_to_first();
  expect_none([&] {
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
    }
    for (cursor->seek_to_last(); cursor->valid(); cursor->prev()) {
    }
  });
}

TEST_F(AllocationTest, transactions) {
  TransactionOptions options;
  const std::vector<std::string_view> views(keys_.begin(), keys_.begin() + 20);
  std::vector<std::optional<PinnedValue>> values(views.size());
  for (const Isolation isolation : {Isolation::snapshot, Isolation::serializable}) {
    options.isolation = isolation;
    expect_none([&] {
      Result<Transaction> transaction = db_->begin(options);
      ASSERT_OK(transaction);
      ASSERT_OK(transaction->multi_get_for_update(views, values));
      for (const std::string_view key : views) ASSERT_OK(transaction->put(key, "new"));
      ASSERT_OK(transaction->commit());
      for (std::optional<PinnedValue>& value : values) value.reset();
    });
    expect_none([&] {
      for (size_t i = 0; i + 1 < 1000; i += 2) {
        Result<Transaction> transaction = db_->begin(options);
        ASSERT_OK(transaction);
        ASSERT_OK(transaction->get(keys_[i], &value_));
        ASSERT_OK(transaction->get_for_update(keys_[i + 1], &value_));
        ASSERT_OK(transaction->put(keys_[i], value_));
        ASSERT_OK(transaction->put(keys_[i + 1], value_));
        ASSERT_OK(transaction->get(keys_[i], &value_));
        ASSERT_OK(transaction->commit());
      }
    });
    expect_none([&] {
      Result<Transaction> transaction = db_->begin(options);
      ASSERT_OK(transaction);
      ASSERT_OK(transaction->put(keys_[0], value_));
      Result<Savepoint> savepoint = transaction->set_savepoint();
      ASSERT_OK(savepoint);
      ASSERT_OK(transaction->put(keys_[0], value_));
      ASSERT_OK(transaction->rollback_to(*savepoint));
      Result<Cursor> cursor = transaction->scan();
      ASSERT_OK(cursor);
      cursor->seek(keys_[0]);
      for (int i = 0; i < 20 && cursor->valid(); ++i) cursor->next();
      ASSERT_OK(transaction->rollback());
    });
  }
}

// Nobody reads what was in the way of an attempt that is made again.
TEST_F(AllocationTest, attempts_that_begin_again) {
  expect_none([&] {
    for (int i = 0; i < 10; ++i) {
      int attempts = 0;
      ASSERT_OK(db_->transact([&](Transaction& transaction) {
        Status status = transaction.put(keys_[0], "mine");
        if (++attempts < 4) EXPECT_OK(db_->put(keys_[0], "somebody else's"));
        return status;
      }));
      EXPECT_EQ(attempts, 4);
    }
  });
}

TEST_F(AllocationTest, cursors_and_snapshots_from_their_pools) {
  expect_none([&] {
    Result<Snapshot> snapshot = db_->snapshot();
    ASSERT_OK(snapshot);
    Result<Cursor> cursor = db_->scan({.snapshot = &*snapshot, .prefix = "a rather long common"});
    ASSERT_OK(cursor);
    cursor->seek(keys_[0]);
    ASSERT_OK(cursor->reset({.lower = keys_[1], .upper = "b"}));
    cursor->seek_to_last();
  });
}

TEST_F(AllocationTest, put_and_erase) {
  // Overwrites, so that tables of keys do not grow; arenas take blocks from the memory manager.
  const AllocationCounts cost = cost_of([this] {
    for (const std::string& key : keys_) ASSERT_OK(db_->put(key, "some value"));
    for (const std::string& key : keys_) ASSERT_OK(db_->erase(key));
  });
  EXPECT_EQ(cost.mallocs, 0u);
  EXPECT_EQ(cost.heap, 0u);
  EXPECT_LE(cost.maps, 1u);
}

TEST_F(AllocationTest, batch_of_many) {
  WriteBatch batch;
  const AllocationCounts cost = cost_of([&] {
    for (int i = 0; i < 20; ++i) {
      batch.clear();
      for (const std::string& key : keys_) ASSERT_OK(batch.put(key, "some value"));
      ASSERT_OK(db_->write(batch));
    }
  });
  EXPECT_EQ(cost.mallocs, 0u);
  EXPECT_EQ(cost.heap, 0u);
  EXPECT_LE(cost.maps, 4u) << "2 MiB chunks for the memtable";
}

TEST_F(AllocationTest, write_batcher) {
  WriteBatcherOptions options;
  options.writes_max = 300;  // several batches a step, and a rest that flush() commits
  WriteBatcher batcher(*db_, options);
  const AllocationCounts cost = cost_of([&] {
    for (const std::string& key : keys_) ASSERT_OK(batcher.put(key, "some value"));
    for (const std::string& key : keys_) ASSERT_OK(batcher.erase(key));
    ASSERT_OK(batcher.flush());
  });
  EXPECT_EQ(batcher.committed_through(), 4 * keys_.size());
  EXPECT_EQ(cost.mallocs, 0u);
  EXPECT_EQ(cost.heap, 0u);
  EXPECT_LE(cost.maps, 1u) << "a chunk for the memtable";
}

}  // namespace
}  // namespace varve::test
