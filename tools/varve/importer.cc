#include "tools/varve/importer.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "table/value_text.h"
#include "tools/common/text_escape.h"
#include "tools/varve/table_text.h"

namespace varve::cli {

namespace {

using Form = ImportField::Form;

// Large rows end a batch early: a transaction is held in memory.
constexpr size_t kBatchBytesMax = 4 << 20;

constexpr std::string_view kHexSuffix = "_hex";

// As a message shows it: the beginning, cut between characters.
std::string quoted(std::string_view text) {
  size_t shown = std::min<size_t>(text.size(), 60);
  while (shown > 0 && shown < text.size() && (static_cast<uint8_t>(text[shown]) & 0xc0) == 0x80) {
    --shown;
  }
  return "'" + std::string(text.substr(0, shown)) + (shown < text.size() ? "...'" : "'");
}

// Whether a column can be given in that form. Text can always be read, and becomes what it says.
bool is_read_from(ColumnType type, Form form) {
  switch (form) {
    case Form::array:
      return type == ColumnType::array;
    case Form::boolean:
      return type == ColumnType::boolean || type == ColumnType::text;
    case Form::number:
      return type == ColumnType::text || (ColumnType::int64 <= type && type <= ColumnType::decimal);
    default:
      return true;
  }
}

}  // namespace

Importer::Importer(Database& database, const Table& table, TableDefinition definition,
                   const ImportSource& source, const ImporterOptions& options)
    : database_(database),
      table_(table),
      definition_(std::move(definition)),
      source_(source),
      options_(options),
      values_(definition_.columns.size()),
      given_(definition_.columns.size()),
      scratch_(definition_.columns.size()) {}

std::optional<size_t> Importer::find_column(const std::string& name) const {
  for (size_t i = 0; i < definition_.columns.size(); ++i) {
    if (definition_.columns[i].name == name) return i;
  }
  if (!name.ends_with(kHexSuffix)) return std::nullopt;
  const std::string_view stem(name.data(), name.size() - kHexSuffix.size());
  for (size_t i = 0; i < definition_.columns.size(); ++i) {
    const ColumnDefinition& column = definition_.columns[i];
    if (column.name == stem && column.kind.type == ColumnType::bytes) return i;
  }
  return std::nullopt;
}

Status Importer::match_columns() {
  const std::vector<ImportColumn>& columns = source_.columns();
  while (column_of_.size() < columns.size()) {
    const auto& [name, place] = columns[column_of_.size()];
    const std::optional<size_t> found = find_column(name);
    if (!found) {
      return Status::invalid_argument(source_.at(place, name) + "table " + definition_.name +
                                      " has none of that name");
    }
    column_of_.push_back(*found);
  }
  return Status();
}

Status Importer::convert_field(const ImportField& field, size_t column) {
  const ColumnDefinition& definition = definition_.columns[column];
  const auto wrong = [&](const std::string& what) {
    return Status::invalid_argument(source_.at(field.place, definition.name) + what);
  };
  if (field.form == Form::null) {
    if (!definition.nullable) return wrong("null, and it may not be");
    values_[column] = Value();
    return Status();
  }
  if (field.form == Form::array && definition.kind.type == ColumnType::array) {
    values_[column] = Value::array(field.text);
    return Status();
  }
  std::optional<Value> value;
  if (is_read_from(definition.kind.type, field.form)) {
    value = parse_value(field.text, definition.kind, &scratch_[column]);
  }
  if (!value) {
    return wrong("expected " + to_text(definition.kind) + ", found " +
                 (field.form == Form::array ? "an array" : quoted(field.text)));
  }
  if (value->is(ColumnType::text) && !tools::is_utf8(field.text)) return wrong("not UTF-8");
  values_[column] = *value;
  return Status();
}

Status Importer::convert(const ImportRow& row) {
  std::fill(given_.begin(), given_.end(), false);
  for (const ImportField& field : row.fields) {
    const size_t column = column_of_[field.column];
    const std::string& name = definition_.columns[column].name;
    if (given_[column]) {
      return Status::invalid_argument(source_.at(field.place, name) + "given twice");
    }
    given_[column] = true;
    if (Status status = convert_field(field, column); !status.ok()) return status;
  }
  for (size_t i = 0; i < values_.size(); ++i) {
    if (given_[i]) continue;
    const ColumnDefinition& column = definition_.columns[i];
    values_[i] = column.default_value.value();
    if (values_[i].is_null() && !column.nullable) {
      return Status::invalid_argument(source_.at(row.place, column.name) +
                                      "missing, and it may not be null");
    }
  }
  return Status();
}

// "id=7,day=2026-01-31 00:00:00".
std::string Importer::key_of_row() const {
  std::string text;
  for (const KeyPart& part : definition_.primary_key) {
    for (size_t i = 0; i < values_.size(); ++i) {
      if (definition_.columns[i].name != part.column) continue;
      text += (text.empty() ? "" : ",") + part.column + "=" + cell_text(values_[i]);
    }
  }
  return text;
}

Status Importer::begin() {
  Result<Transaction> transaction = database_.begin({.durability = options_.durability});
  if (!transaction.ok()) return transaction.status();
  transaction_ = std::move(*transaction);
  Result<TableRows> rows = table_.rows(&transaction_);
  if (!rows.ok()) return rows.status();
  rows_ = std::move(*rows);
  return Status();
}

Status Importer::add(const ImportRow& row) {
  Status status = match_columns();
  if (status.ok()) status = convert(row);
  if (status.ok() && !transaction_.is_open()) status = begin();
  if (!status.ok()) return status;
  status = options_.upsert ? rows_.upsert(values_) : rows_.insert(values_);
  if (!status.ok()) return status.with_context(source_.at(row.place) + "the row " + key_of_row());
  ++uncommitted_.rows;
  uncommitted_.bytes += row.bytes();
  const bool full =
      uncommitted_.rows >= options_.batch_rows_max || uncommitted_.bytes >= kBatchBytesMax;
  return full ? commit() : Status();
}

Status Importer::commit() {
  if (uncommitted_.rows == 0) return Status();
  rows_ = TableRows();
  if (Status status = transaction_.commit().status(); !status.ok()) return status;
  figures_.rows += uncommitted_.rows;
  figures_.bytes += uncommitted_.bytes;
  ++figures_.commits;
  uncommitted_ = {};
  return Status();
}

Status Importer::finish() { return commit(); }

}  // namespace varve::cli
