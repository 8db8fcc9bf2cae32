#include "table/row_cursor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "table/table_rows.h"
#include "tests/support/seeded_test.h"
#include "tests/table/things.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class RowCursorTest : public DatabaseTest {
 protected:
  void SetUp() override {
    open();
    Result<Catalog> opened = Catalog::open(db_.get());
    ASSERT_OK(opened);
    catalog_ = *opened;
    schema_ = things();
    ASSERT_OK(db_->transact([&](Transaction& t) { return catalog_->create_table(&t, &schema_); }));
    plan_ = *TablePlan::make(schema_.encode());
  }
  void TearDown() override {
    cursor_.reset();
    plan_.reset();
    DatabaseTest::TearDown();
  }
  Status change(Transaction* transaction, const std::function<Status(TableRows*)>& body) {
    Result<TableRows> rows = TableRows::open(transaction, *catalog_, 1, schema_.id, &plan_);
    return rows.ok() ? body(&*rows) : rows.status();
  }
  void insert(const std::vector<std::vector<Value>>& rows) {
    ASSERT_OK(db_->transact([&](Transaction& transaction) {
      return change(&transaction, [&](TableRows* table) {
        for (const std::vector<Value>& row : rows) {
          if (Status status = table->insert(row); !status.ok()) return status;
        }
        return Status();
      });
    }));
  }
  RowSource from(Transaction* transaction) {
    return {.rows = catalog_->rows(), .transaction = transaction};
  }
  // Ids, in the order in which the cursor yields them; checks the other columns by `expected`.
  std::vector<int64_t> ids(const RowSource& source, std::string_view filter, bool reverse = false,
                           uint64_t limit = UINT64_MAX) {
    std::vector<int64_t> ids;
    const Result<FilterExpression> compiled = FilterExpression::compile(filter, schema_);
    EXPECT_OK(compiled);
    RowScan scan;
    scan.table = plan_.get();
    scan.filter = &*compiled;
    scan.columns = {0};
    scan.reverse = reverse;
    scan.limit = limit;
    EXPECT_OK(cursor_->reset(source, scan));
    while (cursor_->next()) ids.push_back(cursor_->value(0).as_int64());
    EXPECT_OK(cursor_->status());
    return ids;
  }

  std::optional<Catalog> catalog_;
  TableSchema schema_;
  std::shared_ptr<const TablePlan> plan_;
  std::optional<RowCursor> cursor_{std::in_place};
};

std::string text_of(const Value& value) {
  std::string buffer(200, '\0');
  KeyWriter key(buffer);
  EXPECT_TRUE(append_value(value, Order::ascending, &key));
  return std::string(key.key());
}

TEST_F(RowCursorTest, yields_what_passes_whatever_the_index) {
  VARVE_SEEDED_TEST(random);
  std::vector<std::vector<Value>> rows;
  for (int64_t id = 0; id < 150; ++id) rows.push_back(random_thing(&random, id));
  insert(rows);
  ASSERT_OK(db_->flush());
  Transaction transaction = begin();
  const Result<Snapshot> snapshot = db_->snapshot();
  ASSERT_OK(snapshot);
  RowCursor cursor;
  for (uint64_t round = 0; round < test_iterations(300); ++round) {
    const std::string text = random.one_in(20) ? "" : random_filter(&random);
    const Result<FilterExpression> filter = FilterExpression::compile(text, schema_);
    ASSERT_OK(filter);
    RowScan scan;
    scan.table = plan_.get();
    scan.filter = &*filter;
    for (uint64_t columns = random.below(4); columns > 0; --columns) {
      scan.columns.push_back(random.below(5));
    }
    scan.columns.push_back(0);
    RowSource source = from(&transaction);
    if (random.one_in(2)) {
      source = {.rows = catalog_->rows(), .database = db_.get(), .snapshot = &*snapshot};
    }
    std::vector<int64_t> expected;
    for (const std::vector<Value>& row : rows) {
      if (filter->evaluate(row) == Truth::yes) expected.push_back(row[0].as_int64());
    }
    std::vector<int64_t> forwards;
    for (const bool reverse : {false, true}) {
      scan.reverse = reverse;
      ASSERT_OK(cursor.reset(source, scan));
      SCOPED_TRACE(text + ": " + cursor.plan().explain(*plan_));
      std::vector<int64_t> found;
      while (cursor.next()) {
        const int64_t id = cursor.value(scan.columns.size() - 1).as_int64();
        found.push_back(id);
        for (size_t i = 0; i < scan.columns.size(); ++i) {
          ASSERT_EQ(text_of(cursor.value(i)),
                    text_of(rows[static_cast<size_t>(id)][scan.columns[i]]));
        }
      }
      ASSERT_OK(cursor.status());
      ASSERT_FALSE(cursor.next());
      if (reverse) {
        std::reverse(found.begin(), found.end());
        ASSERT_EQ(found, forwards);
      }
      forwards = found;
      std::sort(found.begin(), found.end());
      ASSERT_EQ(found, expected);
    }
  }
}

TEST_F(RowCursorTest, order_is_the_indexes_and_limits_count_rows) {
  insert({{Value::int64(1), Value::int64(5), Value::text("b"), Value(), Value()},
          {Value::int64(2), Value::int64(4), Value::text("a"), Value(), Value()},
          {Value::int64(3), Value::int64(3), Value::text("c"), Value(), Value::uint64(1)},
          {Value::int64(4), Value(), Value::text("d"), Value(), Value::uint64(1)}});
  Transaction transaction = begin();
  const RowSource source = from(&transaction);
  EXPECT_EQ(ids(source, ""), (std::vector<int64_t>{4, 3, 2, 1})) << "the key descends";
  EXPECT_EQ(ids(source, "", /*reverse=*/true), (std::vector<int64_t>{1, 2, 3, 4}));
  EXPECT_EQ(ids(source, "a > 0"), (std::vector<int64_t>{3, 2, 1}));
  EXPECT_EQ(ids(source, "b >= 'b'"), (std::vector<int64_t>{4, 3, 1})) << "it descends";
  EXPECT_EQ(ids(source, "a > 0", false, 2), (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(ids(source, "d = 1", false, 1), (std::vector<int64_t>{4}));
  EXPECT_EQ(ids(source, "", false, 0), std::vector<int64_t>{});
}

TEST_F(RowCursorTest, shows_a_transactions_own_rows_and_a_snapshots) {
  insert({{Value::int64(1), Value::int64(1), Value(), Value(), Value()}});
  const Result<Snapshot> before = db_->snapshot();
  ASSERT_OK(before);
  Transaction transaction = begin();
  ASSERT_OK(change(&transaction, [](TableRows* rows) {
    const Value key[] = {Value::int64(1)};
    const ColumnChange changes[] = {{1, Value::int64(2)}};
    Status status = rows->update(key, changes).status();
    const std::vector<Value> row = {Value::int64(2), Value::int64(1), Value(), Value(), Value()};
    return status.ok() ? rows->insert(row) : status;
  }));
  EXPECT_EQ(ids(from(&transaction), "a = 1"), (std::vector<int64_t>{2}));
  EXPECT_EQ(ids(from(&transaction), "a = 2"), (std::vector<int64_t>{1}));
  ASSERT_OK(transaction.commit());
  const RowSource past{.rows = catalog_->rows(), .database = db_.get(), .snapshot = &*before};
  EXPECT_EQ(ids(past, "a = 1"), (std::vector<int64_t>{1}));
  EXPECT_EQ(ids(past, "a = 2"), std::vector<int64_t>{});
}

TEST_F(RowCursorTest, what_is_malformed_is_told) {
  insert({{Value::int64(1), Value::int64(1), Value(), Value(), Value()}});
  const Result<FilterExpression> filter = FilterExpression::compile("a = 1", schema_);
  ASSERT_OK(filter);
  char buffer[64];
  KeyWriter key(buffer);
  append_prefix({.tenant = 1, .table = schema_.id, .index = 0}, &key);
  key.int64(1, Order::descending);
  const WriteOptions in_rows = in(catalog_->rows());
  const auto failure = [&](std::vector<size_t> columns) {
    RowScan scan;
    scan.table = plan_.get();
    scan.filter = &*filter;
    scan.columns = std::move(columns);
    Transaction transaction = begin();
    EXPECT_OK(cursor_->reset(from(&transaction), scan));
    EXPECT_FALSE(cursor_->next());
    const Status status = cursor_->status();
    scan.columns = {5};
    EXPECT_FAILS(cursor_->reset(from(&transaction), scan), invalid_argument, "column 5 of 5");
    const RowSource nothing{.rows = catalog_->rows(), .database = db_.get()};
    EXPECT_FAILS(cursor_->reset(nothing, scan), invalid_argument, "a transaction or a snapshot");
    return status;
  };
  ASSERT_OK(db_->put(key.key(), "no row", in_rows));
  EXPECT_FAILS(failure({3}), corruption, "table things: the row");
  ASSERT_OK(db_->erase(key.key(), in_rows));
  EXPECT_FAILS(failure({3}), corruption, "index a_b: there is no row for the entry");
}

}  // namespace
}  // namespace varve::test
