// The workloads of rows that are measured (tools/db_bench/row_workloads.cc): once they are warm,
// the foreground asks nobody for memory but the engine's own.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/random.h"
#include "tests/support/status_check.h"
#include "tests/support/temp_directory.h"
#include "tests/txn/allocation_counter.h"
#include "varve/table.h"

namespace varve::test {
namespace {

constexpr int64_t kRows = 12'000;
constexpr int64_t kRowsPerOperation = 500;

class RowAllocation : public testing::Test {
 protected:
  void SetUp() override {
    if (!VARVE_COUNTS_ALLOCATIONS) GTEST_SKIP() << "sanitizers have a malloc of their own";
    Options options;
    options.memory_budget = 512 << 20;
    options.durability = Durability::os;
    Result<std::unique_ptr<Database>> database = Database::open(options, directory_ / "db");
    ASSERT_OK(database);
    database_ = std::move(*database);
    Result<std::unique_ptr<Tables>> tables = Tables::open(database_.get());
    ASSERT_OK(tables);
    tables_ = std::move(*tables);
    make_items();
    make_bank();
    ASSERT_OK(database_->flush());
    ASSERT_OK(database_->wait_for_background());
  }
  void TearDown() override {
    tables_.reset();
    database_.reset();
  }

  void make_items() {
    Result<Table> items = tables_->create_table(
        {.name = "items",
         .columns = {{.name = "id", .kind = {ColumnType::uint64}, .nullable = false},
                     {.name = "a", .kind = {ColumnType::int64}},
                     {.name = "b", .kind = {ColumnType::text}},
                     {.name = "c", .kind = {ColumnType::text}},
                     {.name = "d", .kind = {ColumnType::int64}}},
         .primary_key = {{"id"}},
         .indexes = {{.name = "by_a", .columns = {{"a"}}},
                     {.name = "by_b", .columns = {{"b"}}},
                     {.name = "by_d", .columns = {{"d"}}}}});
    ASSERT_OK(items);
    items_ = *items;
    const std::string note(60, 'c');
    for (int64_t begin = 0; begin < kRows; begin += kRowsPerOperation) {
      ASSERT_OK(database_->transact([&](Transaction& transaction) -> Status {
        VARVE_ASSIGN_OR_RETURN(TableRows rows, items_.rows(&transaction));
        for (int64_t id = begin; id < begin + kRowsPerOperation; ++id) {
          const std::string text = "a text of item " + std::to_string(id * 7919 % kRows);
          const Value row[] = {Value::uint64(static_cast<uint64_t>(id)), Value::int64(id),
                               Value::text(text), Value::text(note), Value::int64(-id)};
          VARVE_RETURN_IF_ERROR(rows.insert(row));
        }
        return Status();
      }));
    }
  }

  void make_bank() {
    const std::string filler(84, ' ');
    for (const char* name : {"accounts", "tellers", "branches"}) {
      Result<Table> made = tables_->create_table(
          {.name = name,
           .columns = {{.name = "id", .kind = {ColumnType::uint64}, .nullable = false},
                       {.name = "balance", .kind = {ColumnType::int64}},
                       {.name = "filler", .kind = {ColumnType::text}}},
           .primary_key = {{"id"}}});
      ASSERT_OK(made);
      bank_.push_back(*made);
      ASSERT_OK(database_->transact([&](Transaction& transaction) -> Status {
        VARVE_ASSIGN_OR_RETURN(TableRows rows, made->rows(&transaction));
        for (uint64_t id = 0; id < 100; ++id) {
          const Value row[] = {Value::uint64(id), Value::int64(0), Value::text(filler)};
          VARVE_RETURN_IF_ERROR(rows.insert(row));
        }
        return Status();
      }));
    }
    Result<Table> history = tables_->create_table(
        {.name = "history",
         .columns = {{.name = "id", .kind = {ColumnType::uint64}, .nullable = false},
                     {.name = "account", .kind = {ColumnType::uint64}},
                     {.name = "delta", .kind = {ColumnType::int64}}},
         .primary_key = {{"id"}}});
    ASSERT_OK(history);
    history_ = *history;
  }

  // Runs `operation(number)` until it is warm, then counts. A memtable that `grows` takes memory
  // from the system by itself, if what is made ready in the background comes late.
  template <typename Operation>
  void expect_no_allocations(int64_t warm_up, int64_t counted, bool grows,
                             const Operation& operation) {
    for (int64_t i = 0; i < warm_up; ++i) ASSERT_OK(operation(i));
    const AllocationCounts before = allocation_counts();
    for (int64_t i = 0; i < counted; ++i) ASSERT_OK(operation(warm_up + i));
    const AllocationCounts after = allocation_counts();
    EXPECT_EQ(after.mallocs - before.mallocs, 0u);
    EXPECT_EQ(after.heap - before.heap, 0u);
    EXPECT_LE(after.maps - before.maps, grows ? 1u : 0u);
  }

  TempDirectory directory_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Tables> tables_;
  Table items_;
  std::vector<Table> bank_;
  Table history_;
  Random random_{1};
};

TEST_F(RowAllocation, updates_of_many_rows) {
  expect_no_allocations(6, 6, /*grows=*/true, [&](int64_t) {
    return database_
        ->transact([&](Transaction& transaction) -> Status {
          VARVE_ASSIGN_OR_RETURN(TableRows rows, items_.rows(&transaction));
          for (int64_t i = 0; i < kRowsPerOperation; ++i) {
            const Value key[] = {Value::uint64(random_.below(kRows))};
            const ColumnChange changes[] = {
                {1, Value::int64(static_cast<int64_t>(random_.next()))},
                {4, Value::int64(static_cast<int64_t>(random_.next()))}};
            VARVE_ASSIGN_OR_RETURN(const bool there, rows.update(key, changes));
            if (!there) return Status::not_found("a row");
          }
          return Status();
        })
        .status();
  });
}

TEST_F(RowAllocation, erasures_of_many_rows) {
  expect_no_allocations(6, 6, /*grows=*/true, [&](int64_t number) {
    return database_
        ->transact([&](Transaction& transaction) -> Status {
          VARVE_ASSIGN_OR_RETURN(TableRows rows, items_.rows(&transaction));
          for (int64_t i = 0; i < kRowsPerOperation; ++i) {
            // In an order of its own.
            const int64_t id = (number * kRowsPerOperation + i) * 7919 % kRows;
            const Value key[] = {Value::uint64(static_cast<uint64_t>(id))};
            VARVE_ASSIGN_OR_RETURN(const bool there, rows.erase(key));
            if (!there) return Status::not_found("a row");
          }
          return Status();
        })
        .status();
  });
}

TEST_F(RowAllocation, walks_over_an_index_with_its_rows) {
  Result<RowCursor> by_a = items_.scan({.filter = "a >= ?", .limit = kRowsPerOperation});
  ASSERT_OK(by_a);
  ASSERT_EQ(by_a->explain(), "index by_a, a >= ?, with its rows");
  expect_no_allocations(6, 10, /*grows=*/false, [&](int64_t) -> Status {
    VARVE_ASSIGN_OR_RETURN(Transaction reader, database_->begin());
    const int64_t from = static_cast<int64_t>(random_.below(kRows - kRowsPerOperation));
    const Value arguments[] = {Value::int64(from)};
    VARVE_RETURN_IF_ERROR(by_a->open(&reader, arguments));
    int64_t rows = 0;
    while (by_a->next()) rows += by_a->value(1).as_int64() == from + rows;
    VARVE_RETURN_IF_ERROR(by_a->status());
    by_a->close();
    VARVE_RETURN_IF_ERROR(reader.rollback());
    return rows == kRowsPerOperation ? Status() : Status::corruption("other rows");
  });
}

TEST_F(RowAllocation, transactions_of_a_bank) {
  expect_no_allocations(300, 500, /*grows=*/true, [&](int64_t number) {
    return database_
        ->transact([&](Transaction& transaction) -> Status {
          for (const Table& table : bank_) {
            VARVE_ASSIGN_OR_RETURN(TableRows rows, table.rows(&transaction));
            const Value key[] = {Value::uint64(random_.below(100))};
            Row row;
            VARVE_ASSIGN_OR_RETURN(const bool there, rows.get_for_update(key, &row));
            Value before;
            if (!there) return Status::not_found("a row");
            VARVE_RETURN_IF_ERROR(row.get(1, &before));
            const ColumnChange change[] = {{1, Value::int64(before.as_int64() + 1)}};
            VARVE_RETURN_IF_ERROR(rows.update(key, change).status());
          }
          VARVE_ASSIGN_OR_RETURN(TableRows rows, history_.rows(&transaction));
          const Value row[] = {Value::uint64(static_cast<uint64_t>(number)), Value::uint64(1),
                               Value::int64(1)};
          return rows.insert(row);
        })
        .status();
  });
}

}  // namespace
}  // namespace varve::test
