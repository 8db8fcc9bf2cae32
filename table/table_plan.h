// What follows from a table's description, computed once for all who use the table: layouts of rows
// and of what indexes cover, and how keys are made.
//
//   row              TableKeyPrefix of index 0, primary key        -> row (table/row_format.h)
//   index entry      TableKeyPrefix of the index, its columns,
//                    and, unless the index is unique and none of
//                    them is null, the primary key                 -> [primary key] [covered
//                    columns]
//
// An entry holds the primary key as elements of a key, sized (varint), if its own key does not; and
// a row of the covered columns, if there are any.
//
// Thread rule: immutable.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "memory/pooled_array.h"
#include "memory/pooled_bytes.h"
#include "table/filter_expression.h"
#include "table/schema.h"

namespace varve {

struct IndexPlan {
  const IndexSchema* schema = nullptr;
  std::string prefix;                         // of its entries' keys
  std::optional<RowLayout> covered;           // of the covered columns, in their order
  std::optional<FilterExpression> condition;  // of a partial index
};

class TablePlan {
 public:
  // Errors: as TableSchema::decode().
  static Result<std::shared_ptr<const TablePlan>> make(std::string_view description);

  const TableSchema& schema() const { return schema_; }
  // What it was made of: while the catalog says the same, it holds.
  std::string_view description() const { return description_; }
  const RowLayout& layout() const { return *layout_; }
  // Places of the living columns: what users count columns by.
  std::span<const uint32_t> columns() const { return columns_; }
  const ColumnSchema& column(size_t i) const { return schema_.columns[columns_[i]]; }
  // Those that writes maintain.
  std::span<const IndexPlan> indexes() const { return indexes_; }

  // Appends the key of the row whose columns, by place, are `values`; or of its entry in an index.
  void append_row_key(std::span<const Value> values, KeyWriter* key) const;
  void append_entry_key(const IndexPlan& index, std::span<const Value> values,
                        KeyWriter* key) const;
  // Appends what the entry holds besides its key. `scratch`: memory that is used again. False:
  // memory was refused.
  [[nodiscard]] bool append_entry_value(const IndexPlan& index, std::span<const Value> values,
                                        std::string_view row_key, PooledArray<Value>* scratch,
                                        PooledBytes* value) const;
  // What the keys of all rows begin with; and what then follows in that of the row whose entry it
  // is: nothing if the entry is malformed. A view into key or value.
  std::string_view row_prefix() const { return row_prefix_; }
  static std::optional<std::string_view> primary_key_of_entry(const IndexPlan& index,
                                                              std::string_view key,
                                                              std::string_view value);
  // Whether a row has an entry in it.
  static bool has_entry(const IndexPlan& index, std::span<const Value> values);
  // Whether the entry's key ends with the primary key.
  static bool has_primary_key(const IndexPlan& index, std::span<const Value> values) {
    return !index.schema->unique || has_null(index, values);
  }

 private:
  TablePlan() = default;
  void append_primary_key(std::span<const Value> values, KeyWriter* key) const;
  static bool has_null(const IndexPlan& index, std::span<const Value> values);

  TableSchema schema_;
  std::string description_;
  std::optional<RowLayout> layout_;
  std::vector<uint32_t> columns_;
  std::vector<IndexPlan> indexes_;
  std::string row_prefix_;  // of the keys of rows
};

}  // namespace varve
