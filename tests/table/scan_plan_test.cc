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
  const std::shared_ptr<const TablePlan> table = *TablePlan::make(things().encode());
  std::vector<std::vector<Value>> rows;
  for (int64_t id = -3; id < 200; ++id) rows.push_back(random_thing(&random, id));
  uint64_t by_index = 0;
  uint64_t passed = 0;
  for (uint64_t round = 0; round < test_iterations(2000); ++round) {
    const std::string text = random_filter(&random);
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
