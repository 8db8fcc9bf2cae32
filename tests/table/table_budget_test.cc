// Tables within a budget: what they hold is told, yields to others, and is enough for several
// transactions at once.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/txn/database_fixture.h"
#include "varve/table.h"

namespace varve::test {
namespace {

class TableBudgetTest : public DatabaseTest {
 protected:
  TableBudgetTest() {
    options_.write_buffer_size = 0;
    options_.cache_size = 0;
    options_.block_size = 16 << 10;
  }
  void TearDown() override {
    tables_.reset();
    DatabaseTest::TearDown();
  }
  Table make() {
    open();
    Result<std::unique_ptr<Tables>> opened = Tables::open(db_.get());
    EXPECT_OK(opened);
    tables_ = std::move(*opened);
    Result<Table> made = tables_->create_table(
        {.name = "accounts",
         .columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                     {.name = "owner", .kind = {ColumnType::text}, .nullable = false},
                     {.name = "balance", .kind = {ColumnType::decimal, 2}}},
         .primary_key = {{"id"}},
         .indexes = {{.name = "by_owner", .columns = {{"owner"}}},
                     {.name = "by_balance", .columns = {{"balance"}}},
                     {.name = "by_both", .columns = {{"balance"}, {"owner"}}}}});
    EXPECT_OK(made);
    return *made;
  }
  // Rows with ids from `begin` to before `end`.
  void insert(const Table& table, int64_t begin, int64_t end, const std::string& owner) {
    ASSERT_OK(db_->transact([&](Transaction& transaction) {
      Result<TableRows> rows = table.rows(&transaction);
      if (!rows.ok()) return rows.status();
      for (int64_t id = begin; id < end; ++id) {
        const Value row[] = {Value::int64(id), Value::text(owner), Value::decimal({id, 2})};
        if (Status status = rows->insert(row); !status.ok()) return status;
      }
      return Status();
    }));
  }
  size_t found(const Table& table, const std::string& filter) {
    Transaction transaction = begin();
    Result<RowCursor> cursor = table.scan({.filter = filter});
    EXPECT_OK(cursor);
    EXPECT_OK(cursor->open(&transaction));
    size_t rows = 0;
    while (cursor->next()) ++rows;
    EXPECT_OK(cursor->status());
    return rows;
  }

  std::unique_ptr<Tables> tables_;
};

// With little more than memtables and what they wrote themselves, transactions were refused reads
// while a flush would have given memory back.
TEST_F(TableBudgetTest, transactions_of_many_rows_share_a_small_budget) {
  options_.memory_budget = 17 << 19;  // 8.5 MiB
  options_.executor = nullptr;        // threads
  options_.clock = nullptr;
  const Table table = make();
  constexpr int64_t kRows = 15'000;
  constexpr int64_t kTransactions = 3;
  const std::string owner(60, 'o');
  for (int64_t first = 0; first < kRows; first += 1000) insert(table, first, first + 1000, owner);
  for (int64_t round = 0; round < 4; ++round) {
    std::vector<Transaction> transactions;
    transactions.reserve(kTransactions);  // rows know where theirs is
    std::vector<TableRows> rows;
    for (int64_t i = 0; i < kTransactions; ++i) {
      transactions.push_back(begin());
      Result<TableRows> of_table = table.rows(&transactions.back());
      ASSERT_OK(of_table);
      rows.push_back(std::move(*of_table));
    }
    for (int64_t i = 0; i < 1000; ++i) {
      for (int64_t each = 0; each < kTransactions; ++each) {
        const int64_t id = (i * 7919 + round) % (kRows / kTransactions) * kTransactions + each;
        const Value key[] = {Value::int64(id)};
        const ColumnChange changes[] = {{2, Value::decimal({round * kRows + id + 1, 2})}};
        const Result<bool> there = rows[static_cast<size_t>(each)].update(key, changes);
        ASSERT_OK(there) << round << ", " << i << ": " << db_->memory_report().to_string();
      }
    }
    rows.clear();
    for (Transaction& transaction : transactions) ASSERT_OK(transaction.commit());
  }
  // Cursors, by which it reads, do not wait for a flush.
  ASSERT_OK(db_->wait_for_background());
  ASSERT_OK(tables_->verify());
}

// What waits for another use is given back when others are refused memory.
TEST_F(TableBudgetTest, pools_are_in_the_memory_report_and_yield_to_others) {
  options_.memory_budget = 8 << 20;
  options_.write_buffer_size = 64 << 10;
  const Table table = make();
  insert(table, 1, 2, "ann");
  EXPECT_EQ(found(table, "owner = 'ann'"), 1u);
  constexpr const char* kNames[] = {"row writers", "row scanners", "table keys",
                                    "index keys",  "rows",         "filters"};
  const auto held_by = [&](std::string_view name) -> uint64_t {
    for (const PoolStatistics& pool : db_->memory_report().pools) {
      if (pool.name == name) return pool.held_bytes;
    }
    return UINT64_MAX;
  };
  for (const char* name : kNames) {
    EXPECT_GT(held_by(name), 0u) << name;
    EXPECT_LT(held_by(name), 1u << 20) << name;
  }
  std::vector<Cursor> cursors;
  while (cursors.size() < 100'000) {
    Result<Cursor> cursor = db_->scan();
    if (!cursor.ok()) break;
    cursors.push_back(std::move(*cursor));
  }
  EXPECT_LT(cursors.size(), 100'000u);
  for (const char* name : kNames) EXPECT_EQ(held_by(name), 0u) << name;
  cursors.clear();
  EXPECT_EQ(found(table, "owner = 'ann'"), 1u);
  tables_.reset();
  EXPECT_EQ(held_by("rows"), UINT64_MAX);  // gone from the report
}

}  // namespace
}  // namespace varve::test
