// How rows are found: by which index, by which conditions its keys are bounded, and what of the
// filter is left to be asked of each entry. Then, once all literals are known, between which keys.
//
// An index serves conditions that hold all together: equality on its first columns, then on the
// next one `in`, or a range. A partial index serves only a filter that implies its condition.
// Chosen is the index with the most columns that are held to one value, then one with an `in`
// behind them, then one with a range, then one that covers all columns that are asked for (as the
// rows themselves do), then a partial one, then the first.
//
// Thread rule: a plan is immutable; bounds are their thread's. Errors: none.

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
  // Conjuncts of the filter, by their numbers.
  std::vector<uint32_t> equal;  // that hold the first columns to one value, by column
  std::vector<uint32_t> range;  // that bound the column behind them
  bool among = false;           // `range` is one `in`
  std::vector<uint32_t> leftover;

  // Such as "index by_name, name = 'x' and age > 3, covering; left over: balance > 3".
  std::string explain(const FilterExpression& filter) const;
};

// `columns`: places that are asked for, besides those of the filter.
ScanPlan plan_scan(const TablePlan& table, const FilterExpression& filter,
                   std::span<const uint32_t> columns);

// Keys between which what passes lies, in order. Used again, it allocates only where keys are
// longer than before.
class ScanBounds {
 public:
  struct Range {
    std::string lower;
    std::string upper;  // keys in [lower, upper); empty: to the last
  };

  // None: no row can pass.
  std::span<const Range> ranges() const { return {ranges_.data(), count_}; }
  // `plan` is the table's and the filter's.
  void find(const TablePlan& table, const FilterExpression& filter, const ScanPlan& plan,
            std::span<const FilterLiteral> literals);

 private:
  // One more, of all keys that begin with the values that `plan` holds columns to.
  Range* add();
  void write_equal(KeyWriter* key) const;
  template <typename Write>
  void write_key(const Write& write_more, std::string* key) const;
  void write_value(const Value& value, std::string* key) const;
  void find_among(const FilterConjunct& conjunct);
  void narrow(const FilterConjunct& conjunct, Range* range);
  void narrow_by_prefix(std::string_view prefix, Range* range);
  void raise(Range* range);  // at least key_
  void cut(Range* range);    // below key_

  const TablePlan* table_ = nullptr;
  const FilterExpression* filter_ = nullptr;
  const ScanPlan* plan_ = nullptr;
  std::span<const FilterLiteral> literals_;
  std::span<const KeyColumn> columns_;
  std::vector<Range> ranges_;
  size_t count_ = 0;
  std::string key_;
  std::string prefix_;
};

}  // namespace varve
