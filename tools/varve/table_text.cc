#include "tools/varve/table_text.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "table/value_text.h"
#include "tools/common/output.h"
#include "tools/common/text_escape.h"

namespace varve::cli {

using nlohmann::ordered_json;

Result<ColumnDefinition> parse_column(const std::string& text) {
  const auto wrong = [&](const std::string& expected) {
    return Status::invalid_argument("'" + text + "': expected " + expected);
  };
  const size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0) return wrong("NAME:TYPE[!][=DEFAULT]");
  const size_t equals = text.find('=', colon);
  std::string type =
      text.substr(colon + 1, equals == std::string::npos ? equals : equals - colon - 1);
  ColumnDefinition column{.name = text.substr(0, colon)};
  if (type.ends_with('!')) {
    column.nullable = false;
    type.pop_back();
  }
  const std::optional<ColumnKind> kind = parse_column_kind(type);
  if (!kind) {
    return wrong(
        "a type: boolean, int64, uint64, float64, decimal(DIGITS), timestamp, uuid, bytes, text "
        "or array");
  }
  column.kind = *kind;
  if (equals == std::string::npos) return column;
  std::string scratch;
  const std::string written = text.substr(equals + 1);
  const std::optional<Value> value = parse_value(written, *kind, &scratch);
  if (!value) return wrong("a default of type " + type);
  column.default_value = *value;
  return column;
}

Result<std::vector<KeyPart>> parse_key(const std::string& text) {
  std::vector<KeyPart> key;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    KeyPart part{.column = text.substr(at, end - at)};
    at = end + 1;
    for (const auto& [suffix, order] :
         {std::pair(":desc", Order::descending), std::pair(":asc", Order::ascending)}) {
      if (!part.column.ends_with(suffix)) continue;
      part.column.resize(part.column.size() - std::string_view(suffix).size());
      part.order = order;
      break;
    }
    if (part.column.empty()) {
      return Status::invalid_argument("'" + text + "': expected COLUMN[:desc],...");
    }
    key.push_back(std::move(part));
  }
  return key;
}

std::string key_text(const std::vector<KeyPart>& key) {
  std::string text;
  for (const KeyPart& part : key) {
    if (!text.empty()) text += ',';
    text += tools::escape(part.column);
    if (part.order == Order::descending) text += ":desc";
  }
  return text;
}

std::string cell_text(const Value& value) {
  return value.is_null() ? "\\N" : tools::escape(to_text(value));
}

void set_value(ordered_json* object, const std::string& name, const Value& value) {
  if (value.is_null()) {
    (*object)[name] = nullptr;
    return;
  }
  switch (value.type()) {
    case ColumnType::boolean:
      (*object)[name] = value.as_boolean();
      break;
    case ColumnType::int64:
      (*object)[name] = value.as_int64();
      break;
    case ColumnType::uint64:
      (*object)[name] = value.as_uint64();
      break;
    case ColumnType::float64:
      // JSON has no NaN and no infinity.
      if (std::isfinite(value.as_float64())) {
        (*object)[name] = value.as_float64();
      } else {
        (*object)[name] = to_text(value);
      }
      break;
    case ColumnType::bytes:
      tools::set_bytes(object, name, value.as_bytes(), /*hex=*/true);
      break;
    case ColumnType::text:
      tools::set_bytes(object, name, value.as_text(), /*hex=*/false);
      break;
    default:
      (*object)[name] = to_text(value);
  }
}

ordered_json table_json(const TableDefinition& table) {
  ordered_json object;
  tools::set_bytes(&object, "table", table.name, /*hex=*/false);
  object["columns"] = ordered_json::array();
  for (const ColumnDefinition& column : table.columns) {
    ordered_json each;
    tools::set_bytes(&each, "column", column.name, /*hex=*/false);
    each["type"] = to_text(column.kind);
    each["nullable"] = column.nullable;
    if (!column.default_value.value().is_null()) {
      set_value(&each, "default", column.default_value.value());
    }
    object["columns"].push_back(std::move(each));
  }
  object["primary_key"] = key_text(table.primary_key);
  object["indexes"] = ordered_json::array();
  for (const IndexDefinition& index : table.indexes) {
    ordered_json each;
    tools::set_bytes(&each, "index", index.name, /*hex=*/false);
    each["columns"] = key_text(index.columns);
    each["unique"] = index.unique;
    each["covered"] = index.covered;
    if (!index.condition.empty()) each["where"] = index.condition;
    each["ready"] = index.ready;
    object["indexes"].push_back(std::move(each));
  }
  return object;
}

}  // namespace varve::cli
