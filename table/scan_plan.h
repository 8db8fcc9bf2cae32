// How rows are found: by which index, between which keys, and what of the filter is left to be
// asked of each entry.
//
// An index serves conditions that hold all together: equality on its first columns, then a range on
// the next one. Chosen is the index with the most columns that are held to one value, then one with
// a range behind them, then one that covers all columns that are asked for (as the rows themselves
// do), then the first.
//
// Thread rule: pure. Errors: none; a filter that nothing can pass makes an empty plan.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "table/filter_expression.h"
#include "table/table_plan.h"

namespace varve {

struct ScanPlan {
  const IndexPlan* index = nullptr;  // null: the rows themselves
  bool covering = true;              // entries have all columns that are asked for
  bool empty = false;                // no row can pass
  std::string lower;                 // keys in [lower, upper); upper empty: to the last
  std::string upper;
  size_t equal_columns = 0;  // of the index, held to one value
  bool has_range = false;    // on the one behind them
  // What the bounds do not say already, for evaluate() one by one.
  std::vector<FilterExpression::Conjunct> leftover;

  // Such as "index by_name, 1 column equal, range on age, covering; left over: balance > 3".
  std::string explain(const TablePlan& table) const;
};

// `columns`: places that are asked for, besides those of the filter.
ScanPlan plan_scan(const TablePlan& table, const FilterExpression& filter,
                   std::span<const uint32_t> columns);

}  // namespace varve
