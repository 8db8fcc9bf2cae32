#include "table/row_scanner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/seeded_test.h"
#include "tests/table/table_fixture.h"
#include "tests/table/things.h"

namespace varve::test {
namespace {

class RowScannerTest : public TableFixture {
 protected:
  RowScannerTest() : TableFixture(things()) {}
  void insert(const std::vector<std::vector<Value>>& rows) {
    ASSERT_OK(change([&](RowWriter* table) {
      for (const std::vector<Value>& row : rows) {
        if (Status status = table->insert(row); !status.ok()) return status;
      }
      return Status();
    }));
  }
  RowSource from(Transaction* transaction) {
    return {.rows = catalog_->rows(), .transaction = transaction};
  }
  RowSource from(const Snapshot& snapshot) {
    return {.rows = catalog_->rows(), .database = db_.get(), .snapshot = &snapshot};
  }
  // Ids, in the order in which they come.
  std::vector<int64_t> ids(const RowSource& source, std::string filter, bool reverse = false,
                           uint64_t limit = UINT64_MAX, const std::vector<Value>& arguments = {}) {
    std::vector<int64_t> ids;
    RowScanner scanner(pools());
    EXPECT_OK(scanner.prepare(
        plan_,
        {.columns = {"id"}, .filter = std::move(filter), .reverse = reverse, .limit = limit}));
    EXPECT_OK(scanner.open(source, arguments));
    while (scanner.next()) ids.push_back(scanner.value(0).as_int64());
    EXPECT_OK(scanner.status());
    return ids;
  }
};

std::string text_of(const Value& value) {
  std::string buffer(200, '\0');
  KeyWriter key(buffer);
  EXPECT_TRUE(append_value(value, Order::ascending, &key));
  return std::string(key.key());
}

TEST_F(RowScannerTest, yields_what_passes_whatever_the_index) {
  VARVE_SEEDED_TEST(random);
  std::vector<std::vector<Value>> rows;
  for (int64_t id = 0; id < 150; ++id) rows.push_back(random_thing(&random, id));
  insert(rows);
  ASSERT_OK(db_->flush());
  Transaction transaction = begin();
  const Result<Snapshot> snapshot = db_->snapshot();
  ASSERT_OK(snapshot);
  RowScanner scanner(pools());
  for (uint64_t round = 0; round < test_iterations(300); ++round) {
    ScanDefinition scan;
    if (!random.one_in(20)) scan.filter = random_filter(&random);
    const Result<FilterExpression> filter = FilterExpression::compile(scan.filter, schema_);
    ASSERT_OK(filter);
    std::vector<size_t> columns;
    for (uint64_t left = random.below(4); left > 0; --left) columns.push_back(random.below(5));
    columns.push_back(0);
    for (const size_t column : columns) scan.columns.push_back(schema_.columns[column].name);
    const RowSource source = random.one_in(2) ? from(*snapshot) : from(&transaction);
    std::vector<int64_t> expected;
    for (const std::vector<Value>& row : rows) {
      if (filter->evaluate(filter->literals(), row) == Truth::yes) {
        expected.push_back(row[0].as_int64());
      }
    }
    std::vector<int64_t> forwards;
    for (const bool reverse : {false, true}) {
      scan.reverse = reverse;
      ASSERT_OK(scanner.prepare(plan_, scan));
      ASSERT_OK(scanner.open(source));
      SCOPED_TRACE(scan.filter + ": " + scanner.explain());
      std::vector<int64_t> found;
      while (scanner.next()) {
        const int64_t id = scanner.value(columns.size() - 1).as_int64();
        found.push_back(id);
        for (size_t i = 0; i < columns.size(); ++i) {
          ASSERT_EQ(text_of(scanner.value(i)), text_of(rows[static_cast<size_t>(id)][columns[i]]));
        }
      }
      ASSERT_OK(scanner.status());
      ASSERT_FALSE(scanner.next());
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

TEST_F(RowScannerTest, order_is_the_indexes_and_limits_count_rows) {
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

TEST_F(RowScannerTest, shows_a_transactions_own_rows_and_a_snapshots) {
  insert({{Value::int64(1), Value::int64(1), Value(), Value(), Value()}});
  const Result<Snapshot> before = db_->snapshot();
  ASSERT_OK(before);
  Transaction transaction = begin();
  RowWriter rows(pools());
  ASSERT_OK(attach(&transaction, &rows));
  const Value key[] = {Value::int64(1)};
  const ColumnChange changes[] = {{1, Value::int64(2)}};
  ASSERT_OK(rows.update(key, changes));
  ASSERT_OK(
      rows.insert(std::vector<Value>{Value::int64(2), Value::int64(1), Value(), Value(), Value()}));
  EXPECT_EQ(ids(from(&transaction), "a = 1"), (std::vector<int64_t>{2}));
  EXPECT_EQ(ids(from(&transaction), "a = 2"), (std::vector<int64_t>{1}));
  ASSERT_OK(transaction.commit());
  EXPECT_EQ(ids(from(*before), "a = 1"), (std::vector<int64_t>{1}));
  EXPECT_EQ(ids(from(*before), "a = 2"), std::vector<int64_t>{});
}

TableSchema notes() {
  TableSchema schema{.tenant = 1, .id = 2, .next_index = 2, .name = "notes"};
  schema.columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                    {.name = "place", .kind = {ColumnType::int64}},
                    {.name = "note", .kind = {ColumnType::text}}};
  schema.primary_key = {{0}};
  schema.indexes = {{.id = 1, .name = "by_place", .columns = {{1}}, .state = IndexState::ready}};
  schema.set_defaults(std::vector<Value>(schema.columns.size()));
  return schema;
}

class LargeRowsTest : public TableFixture {
 protected:
  LargeRowsTest() : TableFixture(notes()) {}
};

// Rows are fetched together as far as there is room for them, and read one by one beyond that.
TEST_F(LargeRowsTest, rows_of_all_sizes_come_by_an_index) {
  VARVE_SEEDED_TEST(random);
  std::vector<std::string> texts;
  for (int64_t id = 0; id < 120; ++id) {
    const size_t sizes[] = {0, 100, 3000, 5000, 70'000, 300'000};
    texts.emplace_back(sizes[random.below(std::size(sizes))], static_cast<char>('a' + id % 26));
  }
  const auto insert = [&](RowWriter* table, size_t id) {
    return table->insert(std::vector<Value>{Value::int64(static_cast<int64_t>(id)),
                                            Value::int64(static_cast<int64_t>(id * 7 % 120)),
                                            Value::text(texts[id])});
  };
  for (size_t id = 0; id < 100; ++id) {
    ASSERT_OK(change([&](RowWriter* table) { return insert(table, id); }));
    executor_.run_all();
  }
  const Result<Snapshot> snapshot = db_->snapshot();
  ASSERT_OK(snapshot);
  Transaction transaction = begin();
  RowWriter rows(pools());
  ASSERT_OK(attach(&transaction, &rows));
  for (size_t id = 100; id < 120; ++id) ASSERT_OK(insert(&rows, id));
  RowScanner scanner(pools());
  ASSERT_OK(scanner.prepare(plan_, {.columns = {"id", "note"}, .filter = "place >= 0"}));
  ASSERT_NE(scanner.explain().find("by_place"), std::string::npos) << scanner.explain();
  for (int round = 0; round < 4; ++round) {
    const bool past = round % 2 == 0;
    ASSERT_OK(scanner.open(
        past ? RowSource{.rows = catalog_->rows(), .database = db_.get(), .snapshot = &*snapshot}
             : RowSource{.rows = catalog_->rows(), .transaction = &transaction}));
    int64_t place = -1;
    size_t found = 0;
    for (; scanner.next(); ++found) {
      const size_t id = static_cast<size_t>(scanner.value(0).as_int64());
      EXPECT_GT(static_cast<int64_t>(id * 7 % 120), place);
      place = static_cast<int64_t>(id * 7 % 120);
      EXPECT_TRUE(scanner.value(1).as_text() == texts[id]) << "row " << id;
    }
    ASSERT_OK(scanner.status());
    EXPECT_EQ(found, past ? 100u : 120u);
  }
}

TEST_F(RowScannerTest, what_is_malformed_is_told) {
  insert({{Value::int64(1), Value::int64(1), Value(), Value(), Value()}});
  char buffer[64];
  KeyWriter key(buffer);
  append_prefix({.tenant = 1, .table = schema_.id, .index = 0}, &key);
  key.int64(1, Order::descending);
  const WriteOptions in_rows = in(catalog_->rows());
  const auto failure = [&] {
    RowScanner scanner(pools());
    EXPECT_OK(scanner.prepare(plan_, {.columns = {"c"}, .filter = "a = 1"}));
    Transaction transaction = begin();
    EXPECT_OK(scanner.open(from(&transaction)));
    EXPECT_FALSE(scanner.next());
    return scanner.status();
  };
  ASSERT_OK(db_->put(key.key(), "no row", in_rows));
  EXPECT_FAILS(failure(), corruption, "table things: the row");
  ASSERT_OK(db_->erase(key.key(), in_rows));
  EXPECT_FAILS(failure(), corruption, "index a_b: there is no row for the entry");
}

}  // namespace
}  // namespace varve::test
