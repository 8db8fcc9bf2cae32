#include "table/table_plan.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"
#include "table/key_range.h"

namespace varve {

Result<std::shared_ptr<const TablePlan>> TablePlan::make(std::string_view description) {
  const std::shared_ptr<TablePlan> plan(new TablePlan);
  VARVE_ASSIGN_OR_RETURN(plan->schema_, TableSchema::decode(description));
  plan->description_ = description;
  const TableSchema& schema = plan->schema_;
  plan->layout_ = schema.layout();
  plan->row_prefix_ = encoded_prefix({.tenant = schema.tenant, .table = schema.id, .index = 0});
  for (uint32_t place = 0; place < schema.columns.size(); ++place) {
    if (!schema.columns[place].dropped) plan->columns_.push_back(place);
  }
  for (const IndexSchema& index : schema.indexes) {
    IndexPlan& made = plan->indexes_.emplace_back();
    made.schema = &index;
    made.prefix = encoded_prefix({.tenant = schema.tenant, .table = schema.id, .index = index.id});
    if (!index.condition.empty()) {
      Result<FilterExpression> condition = FilterExpression::compile(index.condition, schema);
      if (!condition.ok()) {
        return Status::corruption("a table's description: index " + readable(index.name) + ": " +
                                  std::string(condition.status().message()));
      }
      made.condition = std::move(*condition);
    }
    if (index.covered.empty()) continue;
    std::vector<RowPlace> places;
    for (const uint32_t place : index.covered) {
      places.push_back({.kind = schema.columns[place].kind});
    }
    made.covered.emplace(places);
  }
  return std::shared_ptr<const TablePlan>(plan);
}

void TablePlan::append_primary_key(std::span<const Value> values, KeyWriter* key) const {
  for (const KeyColumn& column : schema_.primary_key) {
    append_value(values[column.place], column.order, key);
  }
}

void TablePlan::append_row_key(std::span<const Value> values, KeyWriter* key) const {
  append_prefix({.tenant = schema_.tenant, .table = schema_.id, .index = 0}, key);
  append_primary_key(values, key);
}

bool TablePlan::has_entry(const IndexPlan& index, std::span<const Value> values) {
  return !index.condition ||
         index.condition->evaluate(index.condition->literals(), values) == Truth::yes;
}

// Among the indexed columns.
bool TablePlan::has_null(const IndexPlan& index, std::span<const Value> values) {
  // Nulls are not equal to one another.
  return std::any_of(index.schema->columns.begin(), index.schema->columns.end(),
                     [&](const KeyColumn& column) { return values[column.place].is_null(); });
}

void TablePlan::append_entry_key(const IndexPlan& index, std::span<const Value> values,
                                 KeyWriter* key) const {
  append_prefix({.tenant = schema_.tenant, .table = schema_.id, .index = index.schema->id}, key);
  for (const KeyColumn& column : index.schema->columns) {
    append_value(values[column.place], column.order, key);
  }
  if (has_primary_key(index, values)) append_primary_key(values, key);
}

bool TablePlan::append_entry_value(const IndexPlan& index, std::span<const Value> values,
                                   std::string_view row_key, PooledArray<Value>* scratch,
                                   PooledBytes* value) const {
  if (!has_primary_key(index, values)) {
    // What the row's key has behind its prefix.
    KeyReader key(row_key);
    for (int i = 0; i < 3; ++i) key.skip();
    char size[kVarint64BytesMax];
    const char* const end = store_varint(size, key.rest().size());
    if (!value->append({size, static_cast<size_t>(end - size)}) || !value->append(key.rest())) {
      return false;
    }
  }
  if (!index.covered) return true;
  scratch->clear();
  for (const uint32_t place : index.schema->covered) {
    if (!scratch->push_back(values[place])) return false;
  }
  const size_t before = value->size();
  if (!value->resize(before + index.covered->size_of(*scratch))) return false;
  index.covered->write(*scratch, value->data() + before);
  return true;
}

std::optional<std::string_view> TablePlan::primary_key_of_entry(const IndexPlan& index,
                                                                std::string_view key,
                                                                std::string_view value) {
  if (!equal_bytes(key.substr(0, index.prefix.size()), index.prefix)) return std::nullopt;
  KeyReader columns(key.substr(index.prefix.size()));
  bool has_null = false;
  for (const KeyColumn& column : index.schema->columns) {
    if (index.schema->unique) has_null |= columns.next_type(column.order) == KeyValueType::null;
    if (!columns.skip(column.order)) return std::nullopt;
  }
  if (!index.schema->unique || has_null) return columns.rest();
  Decoder decoder(value);
  const std::string_view primary_key = decoder.sized();
  if (!decoder.ok()) return std::nullopt;
  return primary_key;
}

}  // namespace varve
