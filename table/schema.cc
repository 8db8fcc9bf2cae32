#include "table/schema.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"

namespace varve {

namespace {

enum Tag : uint64_t { kTable = 2, kColumn = 4, kKey = 6, kIndex = 8, kDefaults = 10 };
// Flags, of columns and of indexes.
constexpr uint64_t kNotNull = 1;
constexpr uint64_t kDropped = 2;
constexpr uint64_t kUnique = 1;

void append_field(std::string* to, uint64_t tag, std::string_view content) {
  append_varint(to, tag);
  append_sized(to, content);
}

void append_key_column(std::string* to, const KeyColumn& column) {
  append_varint(to, column.place);
  append_varint(to, static_cast<uint64_t>(column.order));
}

std::string encode_column(const ColumnSchema& column) {
  std::string bytes;
  append_varint(&bytes, (column.nullable ? 0 : kNotNull) | (column.dropped ? kDropped : 0));
  append_varint(&bytes, static_cast<uint64_t>(column.kind.type));
  append_varint(&bytes, column.kind.scale);
  append_sized(&bytes, column.name);
  return bytes;
}

std::string encode_index(const IndexSchema& index) {
  std::string bytes;
  append_varint(&bytes, index.id);
  append_varint(&bytes, static_cast<uint64_t>(index.state));
  append_varint(&bytes, index.unique ? kUnique : 0);
  append_sized(&bytes, index.name);
  append_sized(&bytes, index.condition);
  append_varint(&bytes, index.columns.size());
  for (const KeyColumn& column : index.columns) append_key_column(&bytes, column);
  append_varint(&bytes, index.covered.size());
  for (const uint32_t place : index.covered) append_varint(&bytes, place);
  return bytes;
}

// A number of at most `max`.
uint64_t decode_number(Decoder* decoder, uint64_t max) {
  const uint64_t number = decoder->varint();
  if (number > max) decoder->fail();
  return decoder->ok() ? number : 0;
}

ColumnSchema decode_column(Decoder* decoder) {
  ColumnSchema column;
  const uint64_t flags = decode_number(decoder, kNotNull | kDropped);
  column.nullable = (flags & kNotNull) == 0;
  column.dropped = (flags & kDropped) != 0;
  column.kind.type = static_cast<ColumnType>(
      std::max<uint64_t>(decode_number(decoder, static_cast<uint64_t>(ColumnType::array)), 1));
  column.kind.scale = static_cast<uint8_t>(decode_number(decoder, kDecimalScaleMax));
  column.name = decoder->sized();
  return column;
}

KeyColumn decode_key_column(Decoder* decoder) {
  KeyColumn column;
  column.place = static_cast<uint32_t>(decode_number(decoder, kRowPlacesMax - 1));
  column.order = static_cast<Order>(decode_number(decoder, 1));
  return column;
}

IndexSchema decode_index(Decoder* decoder) {
  IndexSchema index;
  index.id = decoder->varint32();
  index.state =
      static_cast<IndexState>(decode_number(decoder, static_cast<uint64_t>(IndexState::ready)));
  index.unique = decode_number(decoder, kUnique) != 0;
  index.name = decoder->sized();
  index.condition = decoder->sized();
  for (uint64_t left = decode_number(decoder, kKeyColumnsMax); left > 0; --left) {
    index.columns.push_back(decode_key_column(decoder));
  }
  for (uint64_t left = decode_number(decoder, kRowPlacesMax); left > 0 && decoder->ok(); --left) {
    index.covered.push_back(static_cast<uint32_t>(decode_number(decoder, kRowPlacesMax - 1)));
  }
  return index;
}

Status invalid(const std::string& what) { return Status::invalid_argument(what); }

Status check_name(const char* what, const std::string& name) {
  if (name.empty()) return invalid(format("a %s without a name", what));
  if (name.size() <= kSchemaNameSizeMax) return Status();
  return invalid(format("%s %s...: a name of %zu bytes, at most %zu are allowed", what,
                        readable(name, 32).c_str(), name.size(), kSchemaNameSizeMax));
}

Status check_key(const TableSchema& table, const std::string& of,
                 const std::vector<KeyColumn>& columns) {
  if (columns.empty()) return invalid(of + " has no columns");
  if (columns.size() > kKeyColumnsMax) {
    return invalid(format("%s has %zu columns, at most %zu are allowed", of.c_str(), columns.size(),
                          kKeyColumnsMax));
  }
  std::set<uint32_t> places;
  for (const KeyColumn& column : columns) {
    if (column.place >= table.columns.size() || table.columns[column.place].dropped) {
      return invalid(
          format("%s has a column that the table lacks (place %u)", of.c_str(), column.place));
    }
    if (!places.insert(column.place).second) {
      return invalid(of + " has column " + table.columns[column.place].name + " twice");
    }
  }
  return Status();
}

}  // namespace

std::optional<uint32_t> TableSchema::find_column(std::string_view wanted) const {
  for (uint32_t place = 0; place < columns.size(); ++place) {
    if (!columns[place].dropped && columns[place].name == wanted) return place;
  }
  return std::nullopt;
}

const IndexSchema* TableSchema::find_index(std::string_view wanted) const {
  for (const IndexSchema& index : indexes) {
    if (index.name == wanted) return &index;
  }
  return nullptr;
}

namespace {

std::vector<RowPlace> places_of(const TableSchema& table) {
  std::vector<RowPlace> places;
  places.reserve(table.columns.size());
  for (const ColumnSchema& column : table.columns) places.push_back({.kind = column.kind});
  return places;
}

}  // namespace

void TableSchema::set_defaults(std::span<const Value> values) {
  const RowLayout bare(places_of(*this));
  std::string row(bare.size_of(values), '\0');
  bare.write(values, row.data());
  defaults = std::move(row);
}

RowLayout TableSchema::layout() const {
  std::vector<RowPlace> places = places_of(*this);
  const RowLayout bare(places);
  if (const std::optional<RowView> row = RowView::open(&bare, defaults)) {
    for (size_t i = 0; i < places.size(); ++i) {
      if (!row->get(i, &places[i].default_value)) places[i].default_value = Value();
    }
  }
  return RowLayout(places);
}

Status TableSchema::check() const {
  VARVE_RETURN_IF_ERROR(check_name("table", name));
  if (columns.size() > kRowPlacesMax) {
    return invalid(format("table %s has had %zu columns, at most %zu are possible",
                          readable(name).c_str(), columns.size(), kRowPlacesMax));
  }
  std::set<std::string_view> names;
  for (const ColumnSchema& column : columns) {
    VARVE_RETURN_IF_ERROR(check_name("column", column.name));
    if (!column.dropped && !names.insert(column.name).second) {
      return invalid("column " + readable(column.name) + " is there twice");
    }
    if (column.kind.scale > kDecimalScaleMax ||
        (column.kind.scale != 0 && column.kind.type != ColumnType::decimal)) {
      return invalid(
          format("column %s has a scale of %u", readable(column.name).c_str(), column.kind.scale));
    }
  }
  VARVE_RETURN_IF_ERROR(check_key(*this, "the primary key", primary_key));
  for (const KeyColumn& column : primary_key) {
    if (columns[column.place].nullable) {
      return invalid("column " + readable(columns[column.place].name) +
                     " of the primary key may be null");
    }
  }
  names.clear();
  std::set<uint32_t> ids;
  for (const IndexSchema& index : indexes) {
    VARVE_RETURN_IF_ERROR(check_name("index", index.name));
    if (!names.insert(index.name).second) {
      return invalid("index " + readable(index.name) + " is there twice");
    }
    if (index.id == 0 || index.id >= next_index || !ids.insert(index.id).second) {
      return invalid(format("index %s has id %u, the next one is %u", readable(index.name).c_str(),
                            index.id, next_index));
    }
    VARVE_RETURN_IF_ERROR(check_key(*this, "index " + readable(index.name), index.columns));
    for (const uint32_t place : index.covered) {
      if (place >= columns.size() || columns[place].dropped) {
        return invalid(format("index %s covers a column that the table lacks (place %u)",
                              readable(index.name).c_str(), place));
      }
    }
  }
  const RowLayout bare(places_of(*this));
  const std::optional<RowView> row = RowView::open(&bare, defaults);
  std::vector<Value> values(columns.size());
  if (!row || !row->get_all(values) || bare.size_of(values) != defaults.size()) {
    return invalid("the defaults are no row of the table's");
  }
  return Status();
}

std::string TableSchema::encode() const {
  std::string bytes;
  std::string table;
  append_varint(&table, tenant);
  append_varint(&table, id);
  append_varint(&table, version);
  append_varint(&table, next_index);
  append_sized(&table, name);
  append_field(&bytes, kTable, table);
  for (const ColumnSchema& column : columns) append_field(&bytes, kColumn, encode_column(column));
  for (const KeyColumn& column : primary_key) {
    std::string key;
    append_key_column(&key, column);
    append_field(&bytes, kKey, key);
  }
  for (const IndexSchema& index : indexes) append_field(&bytes, kIndex, encode_index(index));
  append_field(&bytes, kDefaults, defaults);
  return bytes;
}

Result<TableSchema> TableSchema::decode(std::string_view from) {
  TableSchema schema;
  Decoder decoder(from);
  bool has_table = false;
  bool has_defaults = false;
  while (decoder.ok() && !decoder.done()) {
    const size_t offset = decoder.offset();
    const uint64_t tag = decoder.varint();
    Decoder field(decoder.sized());
    if (!decoder.ok()) break;
    switch (tag) {
      case kTable:
        if (std::exchange(has_table, true)) field.fail();
        schema.tenant = field.varint32();
        schema.id = field.varint32();
        schema.version = field.varint();
        schema.next_index = field.varint32();
        schema.name = field.sized();
        break;
      case kColumn:
        schema.columns.push_back(decode_column(&field));
        break;
      case kKey:
        schema.primary_key.push_back(decode_key_column(&field));
        break;
      case kIndex:
        schema.indexes.push_back(decode_index(&field));
        break;
      case kDefaults:
        if (std::exchange(has_defaults, true)) field.fail();
        schema.defaults = field.bytes(field.remaining());
        break;
      default:
        return Status::not_supported(
            format("a table's description has field %llu, unknown to "
                   "this build",
                   static_cast<unsigned long long>(tag)));
    }
    if (!field.done()) {
      return Status::corruption(
          format("a table's description: field %llu at offset %zu is "
                 "malformed",
                 static_cast<unsigned long long>(tag), offset));
    }
  }
  if (!decoder.done() || !has_table || !has_defaults) {
    return Status::corruption(format("a table's description of %zu bytes is cut off", from.size()));
  }
  if (Status status = schema.check(); !status.ok()) {
    return Status::corruption("a table's description: " + std::string(status.message()));
  }
  return schema;
}

}  // namespace varve
