#include "tools/varve/table_guess.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>

#include "table/value_text.h"

namespace varve::cli {

namespace {

constexpr uint32_t bit(ColumnType type) { return uint32_t{1} << static_cast<uint32_t>(type); }

// In the order in which they are preferred.
constexpr ColumnType kTypes[] = {ColumnType::int64,     ColumnType::float64, ColumnType::boolean,
                                 ColumnType::timestamp, ColumnType::array,   ColumnType::text};

// Digits, behind a minus perhaps, and then any text; of several digits in front of a point the
// first is not 0.
bool begins_as_number(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const auto is_digit = [&](size_t i) {
    return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0;
  };
  return is_digit(0) && !(text[0] == '0' && is_digit(1));
}

uint32_t number_types(std::string_view text) {
  // Up to here every integer is a float64.
  constexpr int64_t kExactMax = int64_t{1} << 53;
  if (!begins_as_number(text)) return 0;
  std::string scratch;
  const auto parse = [&](ColumnType type) { return parse_value(text, {.type = type}, &scratch); };
  if (const std::optional<Value> integer = parse(ColumnType::int64)) {
    const int64_t value = integer->as_int64();
    const bool is_exact = -kExactMax <= value && value <= kExactMax;
    return bit(ColumnType::int64) | (is_exact ? bit(ColumnType::float64) : 0);
  }
  if (text.find_first_not_of("-0123456789") == std::string_view::npos) return 0;
  return parse(ColumnType::float64) ? bit(ColumnType::float64) : 0;
}

// Those that hold what the field says; text always does.
uint32_t types_of(const ImportField& field) {
  const uint32_t text = bit(ColumnType::text);
  const auto timestamp = [&] {
    return parse_timestamp(field.text) ? bit(ColumnType::timestamp) : uint32_t{0};
  };
  switch (field.form) {
    case ImportField::Form::null:
      break;
    case ImportField::Form::word:
      if (field.text == "true" || field.text == "false") return text | bit(ColumnType::boolean);
      return text | number_types(field.text) | timestamp();
    case ImportField::Form::boolean:
      return text | bit(ColumnType::boolean);
    case ImportField::Form::number:
      return text | number_types(field.text);
    case ImportField::Form::text:
      return text | timestamp();
    case ImportField::Form::array:
      return text | bit(ColumnType::array);
  }
  return ~uint32_t{0};
}

}  // namespace

void TableGuess::add(const ImportRow& row) {
  ++rows_;
  for (const ImportField& field : row.fields) {
    if (field.column >= columns_.size()) columns_.resize(field.column + 1);
    if (field.form == ImportField::Form::null) continue;
    columns_[field.column].types &= types_of(field);
    ++columns_[field.column].values;
  }
}

Result<TableDefinition> TableGuess::table(const std::string& name,
                                          const std::vector<ImportColumn>& columns,
                                          const std::vector<KeyPart>& key, bool all_rows) const {
  if (columns.empty()) {
    return Status::invalid_argument(
        "the input has no row, so that there is nothing to make table " + name + " of");
  }
  TableDefinition table{.name = name, .primary_key = key};
  if (key.empty()) table.primary_key.push_back({.column = columns.front().name});
  for (size_t i = 0; i < columns.size(); ++i) {
    const Column found = i < columns_.size() ? columns_[i] : Column();
    ColumnDefinition column{.name = columns[i].name, .kind = {.type = ColumnType::text}};
    if (found.values > 0) {
      column.kind.type = *std::find_if(std::begin(kTypes), std::end(kTypes), [&](ColumnType type) {
        return (found.types & bit(type)) != 0;
      });
    }
    const bool is_of_key =
        std::any_of(table.primary_key.begin(), table.primary_key.end(),
                    [&](const KeyPart& part) { return part.column == column.name; });
    column.nullable = !is_of_key && (!all_rows || rows_ == 0 || found.values < rows_);
    table.columns.push_back(std::move(column));
  }
  return table;
}

}  // namespace varve::cli
