#include "table/schema_change.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/format.h"
#include "table/filter_expression.h"

namespace varve {

namespace {

Status invalid(const std::string& what) { return Status::invalid_argument(what); }

Result<uint32_t> place_of(const TableSchema& schema, const std::string& of,
                          std::string_view column) {
  const std::optional<uint32_t> place = schema.find_column(column);
  if (place) return *place;
  return invalid(of + ": table " + readable(schema.name) + " has no column " + readable(column));
}

Result<std::vector<KeyColumn>> key_of(const TableSchema& schema, const std::string& of,
                                      const std::vector<KeyPart>& parts) {
  std::vector<KeyColumn> columns;
  for (const KeyPart& part : parts) {
    VARVE_ASSIGN_OR_RETURN(const uint32_t place, place_of(schema, of, part.column));
    columns.push_back({.place = place, .order = part.order});
  }
  return columns;
}

std::vector<KeyPart> parts_of(const TableSchema& schema, const std::vector<KeyColumn>& columns) {
  std::vector<KeyPart> parts;
  parts.reserve(columns.size());
  for (const KeyColumn& column : columns) {
    parts.push_back({.column = schema.columns[column.place].name, .order = column.order});
  }
  return parts;
}

// As the column holds it.
Result<Value> default_of(const ColumnDefinition& column) {
  const Value value = column.default_value.value();
  const auto wrong = [&](const char* what) {
    return invalid("column " + readable(column.name) + ": its default is " + what);
  };
  if (value.is_null()) return value;
  if (value.type() != column.kind.type) return wrong("of another type");
  if (value.type() == ColumnType::array && !is_array(value.as_array())) return wrong("no array");
  if (value.type() != ColumnType::decimal) return value;
  const std::optional<Decimal> decimal = rescaled(value.as_decimal(), column.kind.scale);
  if (!decimal) return wrong("a decimal that its scale cannot show");
  return Value::decimal(*decimal);
}

// All that rows have by default. Values view into `schema`, or `column`.
Status append_column(TableSchema* schema, const ColumnDefinition& column) {
  if (schema->columns.size() == kRowPlacesMax) {
    return invalid(format("table %s has had %zu columns, no more are possible",
                          readable(schema->name).c_str(), schema->columns.size()));
  }
  VARVE_ASSIGN_OR_RETURN(const Value value, default_of(column));
  std::vector<Value> values;
  const RowLayout layout = schema->layout();
  for (size_t place = 0; place < schema->columns.size(); ++place) {
    values.push_back(layout.default_value(place));
  }
  values.push_back(value);
  schema->columns.push_back(
      {.name = column.name, .kind = column.kind, .nullable = column.nullable});
  schema->set_defaults(values);
  return Status();
}

// Empty, if all rows pass.
Result<std::string> condition_of(const TableSchema& schema, const IndexDefinition& index) {
  const Result<FilterExpression> condition = FilterExpression::compile(index.condition, schema);
  const std::string of = "index " + readable(index.name) + ", its condition: ";
  if (!condition.ok()) return invalid(of + std::string(condition.status().message()));
  if (condition->argument_count() > 0) return invalid(of + "it has a ?");
  return condition->text();
}

bool is_in(const std::vector<KeyColumn>& columns, uint32_t place) {
  return std::any_of(columns.begin(), columns.end(),
                     [place](const KeyColumn& column) { return column.place == place; });
}

bool needs(const TableSchema& schema, const IndexSchema& index, uint32_t place) {
  if (is_in(index.columns, place)) return true;
  if (std::find(index.covered.begin(), index.covered.end(), place) != index.covered.end()) {
    return true;
  }
  const Result<FilterExpression> condition = FilterExpression::compile(index.condition, schema);
  std::vector<uint32_t> places;
  if (condition.ok()) {
    for (const FilterConjunct& conjunct : condition->conjuncts()) {
      condition->append_columns(conjunct, &places);
    }
  }
  return std::find(places.begin(), places.end(), place) != places.end();
}

}  // namespace

Result<TableSchema> schema_of(const TableDefinition& table) {
  TableSchema schema;
  schema.name = table.name;
  schema.set_defaults({});
  for (const ColumnDefinition& column : table.columns) {
    VARVE_RETURN_IF_ERROR(append_column(&schema, column));
  }
  VARVE_ASSIGN_OR_RETURN(schema.primary_key, key_of(schema, "the primary key", table.primary_key));
  VARVE_RETURN_IF_ERROR(schema.check());
  for (const IndexDefinition& index : table.indexes) {
    VARVE_ASSIGN_OR_RETURN(const uint32_t id, begin_index(&schema, index));
    VARVE_RETURN_IF_ERROR(publish_index(&schema, id));
  }
  return schema;
}

TableDefinition definition_of(const TableSchema& schema) {
  TableDefinition table;
  table.name = schema.name;
  const RowLayout layout = schema.layout();
  for (size_t place = 0; place < schema.columns.size(); ++place) {
    const ColumnSchema& column = schema.columns[place];
    if (column.dropped) continue;
    table.columns.push_back({.name = column.name,
                             .kind = column.kind,
                             .nullable = column.nullable,
                             .default_value = layout.default_value(place)});
  }
  table.primary_key = parts_of(schema, schema.primary_key);
  for (const IndexSchema& index : schema.indexes) {
    IndexDefinition& made = table.indexes.emplace_back();
    made.name = index.name;
    made.columns = parts_of(schema, index.columns);
    made.unique = index.unique;
    for (const uint32_t place : index.covered) {
      made.covered.push_back(schema.columns[place].name);
    }
    made.condition = index.condition;
    made.ready = index.state == IndexState::ready;
  }
  return table;
}

Status add_column(TableSchema* schema, const ColumnDefinition& column) {
  if (schema->find_column(column.name)) {
    return Status::already_exists("table " + readable(schema->name) + " has a column " +
                                  readable(column.name));
  }
  if (!column.nullable && column.default_value.value().is_null()) {
    return invalid("column " + readable(column.name) +
                   ": rows that are there need a default, as it may not be null");
  }
  TableSchema changed = *schema;
  VARVE_RETURN_IF_ERROR(append_column(&changed, column));
  VARVE_RETURN_IF_ERROR(changed.check());
  *schema = std::move(changed);
  return Status();
}

Status drop_column(TableSchema* schema, std::string_view name) {
  const std::optional<uint32_t> place = schema->find_column(name);
  if (!place) {
    return Status::not_found("table " + readable(schema->name) + " has no column " +
                             readable(name));
  }
  const std::string column = "column " + readable(name);
  if (is_in(schema->primary_key, *place)) return invalid(column + " is of the primary key");
  for (const IndexSchema& index : schema->indexes) {
    if (needs(*schema, index, *place)) {
      return invalid(column + " is used by index " + readable(index.name));
    }
  }
  schema->columns[*place].dropped = true;
  return Status();
}

Result<uint32_t> begin_index(TableSchema* schema, const IndexDefinition& index) {
  const std::string of = "index " + readable(index.name);
  IndexSchema made;
  made.id = schema->next_index;
  made.name = index.name;
  VARVE_ASSIGN_OR_RETURN(made.columns, key_of(*schema, of, index.columns));
  for (const std::string& column : index.covered) {
    VARVE_ASSIGN_OR_RETURN(const uint32_t place, place_of(*schema, of, column));
    made.covered.push_back(place);
  }
  VARVE_ASSIGN_OR_RETURN(made.condition, condition_of(*schema, index));
  made.unique = index.unique;
  if (const IndexSchema* const found = schema->find_index(index.name)) {
    made.id = found->id;
    if (made == *found) return made.id;
    return Status::already_exists("table " + readable(schema->name) + " has an index " +
                                  readable(index.name));
  }
  if (schema->next_index == UINT32_MAX) return invalid(of + ": the table is out of ids");
  TableSchema changed = *schema;
  ++changed.next_index;
  changed.indexes.push_back(made);
  VARVE_RETURN_IF_ERROR(changed.check());
  *schema = std::move(changed);
  return made.id;
}

Status publish_index(TableSchema* schema, uint32_t id) {
  for (IndexSchema& index : schema->indexes) {
    if (index.id != id) continue;
    index.state = IndexState::ready;
    return Status();
  }
  return Status::not_found(
      format("table %s has no index %u any more", readable(schema->name).c_str(), id));
}

Result<uint32_t> drop_index(TableSchema* schema, std::string_view name) {
  const auto found = std::find_if(schema->indexes.begin(), schema->indexes.end(),
                                  [name](const IndexSchema& index) { return index.name == name; });
  if (found == schema->indexes.end()) {
    return Status::not_found("table " + readable(schema->name) + " has no index " + readable(name));
  }
  const uint32_t id = found->id;
  schema->indexes.erase(found);
  return id;
}

}  // namespace varve
