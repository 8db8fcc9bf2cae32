#include "table/scan_plan.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"

namespace varve::test {
namespace {

// things(id int64 key, a int64, b text, c decimal(1), d uint64), and indexes.
std::shared_ptr<const TablePlan> things() {
  TableSchema schema{.tenant = 1, .id = 2, .next_index = 7, .name = "things"};
  schema.columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                    {.name = "a", .kind = {ColumnType::int64}},
                    {.name = "b", .kind = {ColumnType::text}},
                    {.name = "c", .kind = {ColumnType::decimal, 1}},
                    {.name = "d", .kind = {ColumnType::uint64}}};
  schema.primary_key = {{0, Order::descending}};
  schema.indexes = {
      {.id = 1, .name = "a_b", .columns = {{1}, {2}}, .state = IndexState::ready},
      {.id = 2,
       .name = "b",
       .columns = {{2, Order::descending}},
       .covered = {1},
       .state = IndexState::ready},
      {.id = 3,
       .name = "c",
       .columns = {{3, Order::descending}},
       .unique = true,
       .state = IndexState::ready},
      {.id = 4, .name = "unbuilt", .columns = {{4}}, .state = IndexState::building},
      {.id = 5, .name = "part", .columns = {{4}}, .condition = "a > 0", .state = IndexState::ready},
      {.id = 6,
       .name = "c_d",
       .columns = {{3}, {4, Order::descending}},
       .covered = {1, 2},
       .state = IndexState::ready}};
  std::vector<RowPlace> places;
  for (const ColumnSchema& column : schema.columns) places.push_back({.kind = column.kind});
  const RowLayout layout(places);
  const std::vector<Value> none(places.size());
  schema.defaults.resize(layout.size_of(none));
  layout.write(none, schema.defaults.data());
  Result<std::shared_ptr<const TablePlan>> plan = TablePlan::make(schema.encode());
  EXPECT_OK(plan);
  return *plan;
}

std::string explained(std::string_view filter, const std::vector<uint32_t>& columns = {0}) {
  const std::shared_ptr<const TablePlan> table = things();
  const Result<FilterExpression> compiled = FilterExpression::compile(filter, table->schema());
  EXPECT_OK(compiled);
  return plan_scan(*table, *compiled, columns).explain(*table);
}

TEST(ScanPlan, says_which_index_which_bounds_and_what_is_left_over) {
  EXPECT_EQ(explained(""), "primary key, all of it");
  EXPECT_EQ(explained("d = 1"), "primary key, all of it; left over: d = 1");
  EXPECT_EQ(explained("id = 5 and a = 1"), "primary key, id equal; left over: a = 1");
  EXPECT_EQ(explained("a = 1"), "index a_b, a equal, covering");
  EXPECT_EQ(explained("a = 1", {3}), "index a_b, a equal, with its rows");
  EXPECT_EQ(explained("a = 1 and b > 'x' and b <= 'z'"),
            "index a_b, a equal, b in a range, covering");
  EXPECT_EQ(explained("a=1 and b='x' and (d=1 or d=2)"),
            "index a_b, a equal, b equal, with its rows; left over: (d=1 or d=2)");
  EXPECT_EQ(explained("b like 'x%' and a <> 3"),
            "index b, b in a range, covering; left over: a <> 3");
  EXPECT_EQ(explained("c between 1 and 2.55"), "index c, c in a range, covering");
  EXPECT_EQ(explained("c between 1 and 2", {1}), "index c_d, c in a range, covering");
  EXPECT_EQ(explained("c = 1 and d < 1e40"), "index c_d, c equal, d in a range, covering");
  EXPECT_EQ(explained("a = 1 or b = 'x'"), "primary key, all of it; left over: a = 1 or b = 'x'");
  EXPECT_EQ(explained("not a = 1"), "primary key, all of it; left over: not a = 1");
  EXPECT_EQ(explained("a in (1, 2)"), "primary key, all of it; left over: a in (1, 2)");
  EXPECT_EQ(explained("a = 1.5"), "primary key, nothing can pass");
  EXPECT_EQ(explained("a > 1 and a < 1"), "index a_b, nothing can pass");
  EXPECT_EQ(explained("d < -1"), "primary key, nothing can pass");
}

// What lies between the bounds and passes what is left over is what passes the filter.
TEST(ScanPlan, finds_exactly_what_passes) {
  VARVE_SEEDED_TEST(random);
  const std::shared_ptr<const TablePlan> table = things();
  std::vector<std::string> texts = {"", "x", "xa", "x\xff", "xb", "y", std::string("x\0", 2)};
  std::vector<std::vector<Value>> rows;
  for (int64_t id = -3; id < 200; ++id) {
    const auto maybe = [&](Value value) { return random.one_in(5) ? Value() : value; };
    rows.push_back({Value::int64(id),
                    maybe(Value::int64(static_cast<int64_t>(random.below(5)) - 2)),
                    maybe(Value::text(texts[random.below(texts.size())])),
                    maybe(Value::decimal({static_cast<Int128>(random.below(40)) - 20, 1})),
                    maybe(Value::uint64(random.below(3) == 0 ? UINT64_MAX : random.below(4)))});
  }
  uint64_t by_index = 0;
  uint64_t passed = 0;
  for (uint64_t round = 0; round < test_iterations(2000); ++round) {
    static constexpr std::string_view kOperators[] = {"=", "=", "<>", "<", "<=", ">", ">="};
    static constexpr std::string_view kNumbers[] = {
        "-2", "0", "1", "1.5", "-0.25", "1e40", "-1e40", "18446744073709551615", "3"};
    static constexpr std::string_view kTexts[] = {"''", "'x'", "'xa'", "'y'", "'w'"};
    std::string text;
    for (uint64_t left = 1 + random.below(4); left > 0; --left) {
      if (!text.empty()) text += " and ";
      const std::string column(1, "abcd"[random.below(4)]);
      const bool is_text = column == "b";
      const auto literal = [&] {
        return std::string(is_text ? kTexts[random.below(5)] : kNumbers[random.below(9)]);
      };
      switch (random.below(6)) {
        case 0:
          text += column + " between " + literal() + " and " + literal();
          break;
        case 1:
          text += is_text ? "b like 'x%'" : column + " is not null";
          break;
        case 2:
          text += "(id > " + std::to_string(random.below(100)) + " or " + column + " = " +
                  literal() + ")";
          break;
        default:
          text += column + " " + std::string(kOperators[random.below(7)]) + " " + literal();
      }
    }
    const Result<FilterExpression> filter = FilterExpression::compile(text, table->schema());
    ASSERT_OK(filter) << text;
    const std::vector<uint32_t> wanted = {static_cast<uint32_t>(random.below(5))};
    const ScanPlan plan = plan_scan(*table, *filter, wanted);
    by_index += plan.index != nullptr;
    for (const std::vector<Value>& row : rows) {
      std::string buffer(500, '\0');
      KeyWriter key(buffer);
      if (plan.index == nullptr) {
        table->append_row_key(row, &key);
      } else {
        table->append_entry_key(*plan.index, row, &key);
      }
      ASSERT_TRUE(key.ok());
      bool found =
          !plan.empty && key.key() >= plan.lower && (plan.upper.empty() || key.key() < plan.upper);
      for (const FilterExpression::Conjunct& conjunct : plan.leftover) {
        found = found && filter->evaluate(conjunct, row) == Truth::yes;
      }
      ASSERT_EQ(found, filter->evaluate(row) == Truth::yes)
          << text << ": " << plan.explain(*table) << ", row " << row[0].as_int64();
      passed += found;
    }
  }
  if (test_iterations(2000) >= 2000) {
    EXPECT_GT(by_index, 500u);
    EXPECT_GT(passed, 1000u);
  }
}

}  // namespace
}  // namespace varve::test
