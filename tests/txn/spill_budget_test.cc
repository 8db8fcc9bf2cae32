// Transactions of many budgets: memory stays within the one that there is, whatever else goes on.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class SpillBudgetTest : public DatabaseTest {
 protected:
  SpillBudgetTest() { set_budget(8 << 20); }
  void set_budget(uint64_t bytes) {
    budget_ = bytes;
    options_.memory_budget = bytes;
    options_.write_buffer_size = 256 * 1024;
    options_.cache_size = 0;
    options_.block_size = 4096;
    options_.executor = nullptr;  // threads
    options_.clock = nullptr;
  }
  static std::string key(int i) {
    return "key" + std::to_string(1'000'000 + i * 7919ll % 1'000'003);
  }
  static std::string value(int i) { return std::string(1000, static_cast<char>('a' + i % 26)); }
  void expect_within() {
    const MemoryReport report = db_->memory_report();
    // Beside the budget: tables of the allocator, which grow with what it manages.
    EXPECT_LE(report.held_bytes, budget_ + budget_ / 20) << report.to_string();
    EXPECT_EQ(report.held_bytes, report.live_bytes + report.idle_bytes);
    uint64_t live = 0;
    for (const MemoryReport::Role& role : report.roles) live += role.live_bytes;
    EXPECT_EQ(report.live_bytes, live);
    most_ = std::max(most_, report.held_bytes);
  }
  uint64_t budget_ = 0;
  uint64_t most_ = 0;
};

TEST_F(SpillBudgetTest, a_transaction_of_ten_budgets_is_written_read_and_committed_within_one) {
  constexpr int kRows = 80'000;  // of a kilobyte
  open();
  for (int i = 0; i < 2000; ++i) ASSERT_OK(db_->put("old" + std::to_string(i), value(i)));
  Result<Transaction> transaction = db_->begin();
  ASSERT_OK(transaction);
  for (int i = 0; i < kRows; ++i) {
    ASSERT_OK(transaction->put(key(i), value(i))) << i;
    if (i % 500 == 0) expect_within();
  }
  for (int i = 0; i < kRows; i += 3) ASSERT_OK(transaction->erase(key(i)));
  const Statistics statistics = db_->statistics();
  EXPECT_GT(statistics.spills, 60u);
  EXPECT_GT(statistics.spill_bytes_written, uint64_t{kRows} * 1000);
  std::string found;
  for (int i = 0; i < kRows; i += 101) {
    Result<bool> there = transaction->get(key(i), &found);
    ASSERT_OK(there);
    ASSERT_EQ(*there, i % 3 != 0) << i;
    if (*there) ASSERT_EQ(found, value(i));
  }
  expect_within();
  int rows = 0;
  {
    Result<Cursor> cursor = transaction->scan({.prefix = "key"});
    ASSERT_OK(cursor);
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
      if (++rows % 2000 == 0) expect_within();
    }
    ASSERT_OK(cursor->status());
    int backward = 0;
    for (cursor->seek_to_last(); cursor->valid(); cursor->prev()) {
      if (++backward % 2000 == 0) expect_within();
    }
    ASSERT_OK(cursor->status());
    EXPECT_EQ(backward, rows);
  }
  EXPECT_EQ(rows, kRows - (kRows + 2) / 3);
  Result<Timestamp> committed = transaction->commit();
  ASSERT_OK(committed);
  expect_within();
  EXPECT_GT(most_, budget_ / 4) << "the budget is made use of";
  ASSERT_OK(db_->verify());
  for (int i = 1; i < kRows; i += 1009) {
    EXPECT_EQ(get(key(i)), i % 3 == 0 ? "(absent)" : value(i)) << i;
  }
  EXPECT_EQ(get("old1999"), value(1999));
  ASSERT_OK(db_->compact());
  expect_within();
  ScanOptions scan;
  scan.prefix = "key";
  EXPECT_EQ(this->rows(scan).size(), static_cast<size_t>(rows));
  reopen();
  EXPECT_EQ(this->rows(scan).size(), static_cast<size_t>(rows));
}

// Each is refused memory by what the others hold, and all get on.
TEST_F(SpillBudgetTest, several_at_a_time_beside_plain_writes) {
  constexpr int kTransactions = 3;
  constexpr int kRows = 3000;
  open();
  std::vector<std::thread> threads;
  for (int t = 0; t < kTransactions; ++t) {
    threads.emplace_back([this, t] {
      Result<Transaction> transaction = db_->begin();
      ASSERT_OK(transaction);
      for (int i = 0; i < kRows; ++i) {
        ASSERT_OK(transaction->put(std::to_string(t) + key(i), value(i))) << t << " " << i;
      }
      ASSERT_OK(transaction->commit());
    });
  }
  for (int i = 0; i < 3000; ++i) {
    ASSERT_OK(db_->put("plain" + key(i), value(i)));
    if (i % 200 == 0) expect_within();
  }
  for (std::thread& thread : threads) thread.join();
  expect_within();
  EXPECT_GT(db_->statistics().spills, 10u);
  EXPECT_EQ(rows().size(), static_cast<size_t>(kTransactions * kRows + 3000));
  ASSERT_OK(db_->verify());
}

// With the smallest budget, and all settings derived from it. The largest values are a little less
// than may be: under AddressSanitizer each has red zones that count.
TEST_F(SpillBudgetTest, the_smallest_budget_is_enough) {
  set_budget(kMemoryBudgetMin);
  options_.write_buffer_size = 0;
  open();
  for (const size_t value_size : {size_t{100}, size_t{10'000}, size_t{kMemoryBudgetMin / 10}}) {
    SCOPED_TRACE(value_size);
    const std::string value(value_size, 'v');
    const uint64_t count = std::min<uint64_t>(200'000, 16 * kMemoryBudgetMin / value_size);
    const std::string prefix = std::to_string(value_size) + " ";
    Result<Transaction> transaction = db_->begin();
    ASSERT_OK(transaction);
    for (uint64_t i = 0; i < count; ++i) {
      ASSERT_OK(transaction->put(prefix + key(static_cast<int>(i)), value)) << i;
      if (i % (count / 16) == 0) expect_within();
    }
    std::string found;
    const Result<bool> there = transaction->get(prefix + key(1), &found);
    ASSERT_OK(there);
    EXPECT_TRUE(found == value);
    ASSERT_OK(transaction->commit());
    expect_within();
    ScanOptions scan;
    scan.prefix = prefix;
    Result<Cursor> cursor = db_->scan(scan);
    ASSERT_OK(cursor);
    uint64_t rows = 0;
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) rows += cursor->value() == value;
    ASSERT_OK(cursor->status());
    EXPECT_EQ(rows, count);
  }
  ASSERT_OK(db_->wait_for_background());
  ASSERT_OK(db_->verify());
}

}  // namespace
}  // namespace varve::test
