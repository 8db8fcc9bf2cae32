// How rows are found: by which index, by which conditions its keys are bounded, and what of the
// filter is left to be asked of each entry. Then, once all literals are known, between which keys.
//
// An index serves conditions that hold all together: equality on its first columns, then on the
// next one `in`, or a range. A partial index serves only a filter that implies its condition.
// Chosen is the index with the most columns that are held to one value, then one with an `in`
// behind them, then one with a range, then one that covers all columns that are asked for (as the
// rows themselves do), then a partial one, then the first.
//
// Thread rule: a plan is immutable; bounds are their thread's. Errors: of bounds, that memory is
// refused.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "memory/pooled_array.h"
#include "memory/pooled_bytes.h"
#include "table/filter_expression.h"
#include "table/row_pools.h"
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

// Keys between which what passes lies, in order. Used again, it goes on with the memory that it
// has, which lies in pools.
class ScanBounds {
 public:
  // Keys in [lower, upper); upper empty: to the last.
  struct Range {
    std::string_view lower;
    std::string_view upper;
  };

  explicit ScanBounds(RowPools* pools);

  // None: no row can pass. They hold until the next find().
  std::span<const Range> ranges() const { return ranges_; }
  // `plan` is the table's and the filter's. False: memory was refused.
  [[nodiscard]] bool find(const TablePlan& table, const FilterExpression& filter,
                          const ScanPlan& plan, std::span<const FilterLiteral> literals);
  // Gives back what was needed for something large; there are no ranges then.
  void clear();

 private:
  // A range of several, in bytes_.
  struct Place {
    size_t begin = 0;
    size_t lower_size = 0;
    size_t upper_size = 0;  // behind lower
  };

  void find_one();
  void find_among(const FilterConjunct& conjunct);
  void write_equal(KeyWriter* key) const;
  // The values that `plan` holds columns to, and what `write_more` writes.
  template <typename Write>
  void write_key(const Write& write_more, PooledBytes* key);
  void write_value(const Value& value, PooledBytes* key);
  void narrow(const FilterConjunct& conjunct);
  void narrow_by_prefix(std::string_view prefix);
  void raise();  // lower_ to at least key_
  void cut();    // upper_ to key_ at most
  void add(std::string_view lower, std::string_view upper);
  void set(bool done) { refused_ = refused_ || !done; }

  const TablePlan* table_ = nullptr;
  const FilterExpression* filter_ = nullptr;
  const ScanPlan* plan_ = nullptr;
  std::span<const FilterLiteral> literals_;
  std::span<const KeyColumn> columns_;
  PooledArray<Range> ranges_;
  PooledBytes lower_;
  PooledBytes upper_;
  PooledBytes key_;
  PooledBytes prefix_;
  PooledBytes bytes_;  // of several ranges, one behind the other
  PooledArray<Place> places_;
  bool refused_ = false;  // memory
};

}  // namespace varve
