#include "table/scan_plan.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"
#include "tests/table/things.h"

namespace varve::test {
namespace {

std::string explained(std::string_view filter, const std::vector<uint32_t>& columns = {0}) {
  const std::shared_ptr<const TablePlan> table = *TablePlan::make(things().encode());
  const Result<FilterExpression> compiled = FilterExpression::compile(filter, table->schema());
  EXPECT_OK(compiled);
  return plan_scan(*table, *compiled, columns).explain(*compiled);
}

TEST(ScanPlan, says_which_index_which_bounds_and_what_is_left_over) {
  EXPECT_EQ(explained(""), "primary key, all of it");
  EXPECT_EQ(explained("d = 1"), "primary key, all of it; left over: d = 1");
  EXPECT_EQ(explained("id = 5 and a = 1"), "primary key, id = 5; left over: a = 1");
  EXPECT_EQ(explained("a = 1"), "index a_b, a = 1, covering");
  EXPECT_EQ(explained("a = 1", {3}), "index a_b, a = 1, with its rows");
  EXPECT_EQ(explained("a = ? and b > ? and b <= 'z'"),
            "index a_b, a = ? and b > ? and b <= 'z', covering");
  EXPECT_EQ(explained("a=1 and b='x' and (d=1 or d=2)"),
            "index a_b, a=1 and b='x', with its rows; left over: (d=1 or d=2)");
  EXPECT_EQ(explained("b like 'x%' and a <> 3"),
            "index b, b like 'x%', covering; left over: a <> 3");
  EXPECT_EQ(explained("c between 1 and 2.55"), "index c, c between 1 and 2.55, covering");
  EXPECT_EQ(explained("c between 1 and 2", {1}), "index c_d, c between 1 and 2, covering");
  EXPECT_EQ(explained("c = 1 and d < 1e40"), "index c_d, c = 1 and d < 1e40, covering");
  EXPECT_EQ(explained("c is null and d is not null"),
            "index c_d, c is null and d is not null, covering");
  EXPECT_EQ(explained("a = 1 or b = 'x'"), "primary key, all of it; left over: a = 1 or b = 'x'");
  EXPECT_EQ(explained("not a = 1"), "primary key, all of it; left over: not a = 1");
  EXPECT_EQ(explained("a in (1, ?) and b > 'x'"),
            "index a_b, a in (1, ?), covering; left over: b > 'x'");
  EXPECT_EQ(explained("a not in (1, 2)"), "primary key, all of it; left over: a not in (1, 2)");
}

// The index `part` has only rows with a > 0.
TEST(ScanPlan, a_partial_index_serves_only_filters_that_imply_its_condition) {
  for (const std::string_view filter :
       {"d = 1 and a > 0", "a>=1 and d = 1", "a = 7 and d = 1", "d = 1 and a in (3, 1)",
        "a > 0.5 and d = 1", "a > 0 and d = ?"}) {
    const bool implied = filter.find("0.5") == std::string_view::npos;
    EXPECT_EQ(explained(filter).find("index part (where a > 0), d = ") == 0, implied) << filter;
  }
  for (const std::string_view filter :
       {"d = 1", "d = 1 and a >= 0", "d = 1 and a > -1", "d = 1 and a <> 0",
        "d = 1 and a in (0, 1)", "d = 1 and a > ?", "d = 1 and (a > 0 or a < 0)",
        "d = 1 and a is not null"}) {
    EXPECT_EQ(explained(filter).find("index part"), std::string::npos) << filter;
  }
}

TEST(ScanPlan, conditions_imply_others) {
  const TableSchema table = things();
  const auto implied = [&](std::string_view filter, std::string_view condition) {
    return implies(*FilterExpression::compile(filter, table),
                   *FilterExpression::compile(condition, table));
  };
  EXPECT_TRUE(implied("a = 1", ""));
  EXPECT_FALSE(implied("", "a = 1"));
  EXPECT_TRUE(implied("a = 1 and b = 'x' and d = 3", "d > 2 and a < 2"));
  EXPECT_FALSE(implied("a = 1", "a = 1 and d > 2"));
  EXPECT_TRUE(implied("b like 'xy%'", "b like 'x%'"));
  EXPECT_FALSE(implied("b like 'x%'", "b like 'xy%'"));
  EXPECT_TRUE(implied("b = 'xyz'", "b like 'x%'"));
  EXPECT_TRUE(implied("b > ''", "b is not null"));
  EXPECT_TRUE(implied("b = ?", "b is not null"));
  EXPECT_FALSE(implied("b is null", "b is not null"));
  EXPECT_TRUE(implied("b is null", "b is null"));
  EXPECT_TRUE(implied("a = 1 or d = 2", "a = 1 or d = 2"));
  EXPECT_TRUE(implied("a between 1 and 5", "a between 1 and 5"));
  EXPECT_TRUE(implied("a between 2 and 4", "a between 1 and 5"));
  EXPECT_FALSE(implied("a between 0 and 4", "a between 1 and 5"));
  EXPECT_TRUE(implied("a in (2, 4)", "a in (1, 2, 3, 4)"));
  EXPECT_FALSE(implied("a in (2, 5)", "a in (1, 2, 3, 4)"));
}

// Whatever implies says of one row holds for all.
TEST(ScanPlan, implied_conditions_hold_wherever_the_filter_does) {
  VARVE_SEEDED_TEST(random);
  const TableSchema table = things();
  std::vector<std::vector<Value>> rows;
  for (int64_t id = -3; id < 100; ++id) rows.push_back(random_thing(&random, id));
  uint64_t implied = 0;
  for (uint64_t round = 0; round < test_iterations(5000); ++round) {
    const Result<FilterExpression> filter =
        FilterExpression::compile(random_filter(&random), table);
    const Result<FilterExpression> condition =
        FilterExpression::compile(random_filter(&random), table);
    if (!implies(*filter, *condition)) continue;
    ++implied;
    for (const std::vector<Value>& row : rows) {
      if (filter->evaluate(filter->literals(), row) != Truth::yes) continue;
      ASSERT_EQ(condition->evaluate(condition->literals(), row), Truth::yes)
          << filter->text() << "; " << condition->text() << "; " << row[0].as_int64();
    }
  }
  if (test_iterations(5000) >= 5000) {
    EXPECT_GT(implied, 20u);
  }
}

// What lies between the bounds and passes what is left over is what passes the filter.
TEST(ScanPlan, finds_exactly_what_passes) {
  VARVE_SEEDED_TEST(random);
  const std::shared_ptr<const TablePlan> table = *TablePlan::make(things().encode());
  std::vector<std::vector<Value>> rows;
  for (int64_t id = -3; id < 200; ++id) rows.push_back(random_thing(&random, id));
  MemoryManager memory(64 << 20);
  RowPools pools(&memory);
  ScanBounds bounds(&pools);
  uint64_t by_index = 0;
  uint64_t among = 0;
  uint64_t passed = 0;
  for (uint64_t round = 0; round < test_iterations(2000); ++round) {
    const std::string text = random_filter(&random);
    const Result<FilterExpression> filter = FilterExpression::compile(text, table->schema());
    ASSERT_OK(filter) << text;
    const std::vector<uint32_t> wanted = {static_cast<uint32_t>(random.below(5))};
    const ScanPlan plan = plan_scan(*table, *filter, wanted);
    ASSERT_TRUE(bounds.find(*table, *filter, plan, filter->literals()));
    by_index += plan.index != nullptr;
    among += plan.among;
    for (const std::vector<Value>& row : rows) {
      std::string buffer(500, '\0');
      KeyWriter key(buffer);
      if (plan.index == nullptr) {
        table->append_row_key(row, &key);
      } else {
        table->append_entry_key(*plan.index, row, &key);
      }
      ASSERT_TRUE(key.ok());
      uint64_t found = 0;
      for (const ScanBounds::Range& range : bounds.ranges()) {
        found += key.key() >= range.lower && (range.upper.empty() || key.key() < range.upper);
      }
      ASSERT_LE(found, 1u) << "ranges overlap";
      if (plan.index != nullptr && !TablePlan::has_entry(*plan.index, row)) found = 0;
      for (const uint32_t i : plan.leftover) {
        if (filter->evaluate(filter->conjuncts()[i], filter->literals(), row) != Truth::yes) {
          found = 0;
        }
      }
      ASSERT_EQ(found == 1, filter->evaluate(filter->literals(), row) == Truth::yes)
          << text << ": " << plan.explain(*filter) << ", row " << row[0].as_int64();
      passed += found;
    }
  }
  if (test_iterations(2000) >= 2000) {
    EXPECT_GT(by_index, 500u);
    EXPECT_GT(among, 50u);
    EXPECT_GT(passed, 1000u);
  }
}

}  // namespace
}  // namespace varve::test
