// A table as a map: what random tests hold a Table against. All tables here have an int64 primary
// key, `id`, and columns of integers and texts.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "varve/table.h"

namespace varve::test {

// Values as text; nothing: null.
using Cell = std::optional<std::string>;
using Cells = std::map<std::string, Cell>;  // by column, without the id

struct ModelColumn {
  ColumnType type = ColumnType::int64;
  Cell default_value;
  friend bool operator==(const ModelColumn&, const ModelColumn&) = default;
};

struct ModelIndex {
  std::vector<KeyPart> columns;
  std::vector<std::string> covered;
  bool unique = false;
  std::string positive;  // of a partial one: the column that is greater than 0
  bool ready = true;

  IndexDefinition definition(const std::string& name) const {
    IndexDefinition definition{
        .name = name, .columns = columns, .unique = unique, .covered = covered};
    if (!positive.empty()) definition.condition = positive + " > 0";
    return definition;
  }
  bool needs(const std::string& column) const {
    return column == positive ||
           std::find(covered.begin(), covered.end(), column) != covered.end() ||
           std::any_of(columns.begin(), columns.end(),
                       [&](const KeyPart& part) { return part.column == column; });
  }
};

inline Value value_of(const Cell& cell, ColumnType type) {
  if (!cell) return Value();
  return type == ColumnType::text ? Value::text(*cell) : Value::int64(std::stoll(*cell));
}

struct TableModel {
  std::vector<std::pair<std::string, ModelColumn>> columns;  // in order, without the id
  std::map<int64_t, Cells> rows;
  std::map<std::string, ModelIndex> indexes;

  bool uses(const std::string& column) const {
    return std::any_of(indexes.begin(), indexes.end(),
                       [&](const auto& index) { return index.second.needs(column); });
  }
  static bool is_in(const ModelIndex& index, const Cells& row) {
    if (index.positive.empty()) return true;
    const Cell& cell = row.at(index.positive);
    return cell && std::stoll(*cell) > 0;
  }
  // What a unique index holds a row by; nothing: it does not.
  static std::optional<std::vector<std::string>> unique_key(const ModelIndex& index,
                                                            const Cells& row) {
    if (!index.unique || !is_in(index, row)) return std::nullopt;
    std::vector<std::string> key;
    for (const KeyPart& part : index.columns) {
      const Cell& cell = row.at(part.column);
      if (!cell) return std::nullopt;
      key.push_back(*cell);
    }
    return key;
  }
  // Whether another row than `id` has a key that `row` would have in `index`.
  bool is_taken(const ModelIndex& index, int64_t id, const Cells& row) const {
    const auto key = unique_key(index, row);
    return key && std::any_of(rows.begin(), rows.end(), [&](const auto& other) {
             return other.first != id && unique_key(index, other.second) == key;
           });
  }
  // In one that is ready; or in one that is being built, where only those rows count that it has
  // come to.
  bool is_taken(int64_t id, const Cells& row, bool ready = true) const {
    return std::any_of(indexes.begin(), indexes.end(), [&](const auto& index) {
      return index.second.ready == ready && is_taken(index.second, id, row);
    });
  }
  // Whether no two rows have one key in it.
  bool fits(const ModelIndex& index) const {
    if (!index.unique) return true;
    std::vector<std::vector<std::string>> keys;
    for (const auto& [id, row] : rows) {
      if (auto key = unique_key(index, row)) keys.push_back(std::move(*key));
    }
    std::sort(keys.begin(), keys.end());
    return std::adjacent_find(keys.begin(), keys.end()) == keys.end();
  }
  // One for each column.
  std::vector<Value> values_of(int64_t id, const Cells& row) const {
    std::vector<Value> values = {Value::int64(id)};
    for (const auto& [name, column] : columns) {
      values.push_back(value_of(row.at(name), column.type));
    }
    return values;
  }
};

}  // namespace varve::test
