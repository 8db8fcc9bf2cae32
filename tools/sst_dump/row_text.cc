#include "tools/sst_dump/row_text.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/coding.h"
#include "base/format.h"
#include "table/value_text.h"
#include "tools/common/output.h"
#include "tools/common/text_escape.h"
#include "tools/sst_dump/commands.h"
#include "varve/table.h"

namespace varve::sst_dump {

using nlohmann::ordered_json;

namespace {

// Arrays beyond these are shown as their bytes: their text is made recursively, and an element of
// it takes time and memory by the size of what follows.
constexpr size_t kArrayBytesMax = 16 << 10;
constexpr size_t kArrayDepthMax = 64;

bool has_text(std::string_view array) {
  if (array.size() > kArrayBytesMax || !is_array(array)) return false;
  KeyReader reader(array);
  size_t depth = 0;
  while (!reader.done()) {
    if (reader.leave_array()) {
      --depth;
    } else if (reader.enter_array()) {
      if (++depth > kArrayDepthMax) return false;
    } else if (!reader.skip()) {
      return false;
    }
  }
  return true;
}

std::string hex_literal(std::string_view bytes) { return "x'" + tools::to_hex(bytes) + "'"; }

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : tools::escape(text)) {
    if (c == '"') result += '\\';
    result += c;
  }
  return result + '"';
}

// Names are any bytes, members of JSON are UTF-8.
std::string member_name(std::string_view name) {
  return tools::is_utf8(name) ? std::string(name) : tools::escape(name);
}

std::string table_name(const TablePlan& plan) { return tools::escape(plan.schema().name); }

std::string pointer_text(std::string_view value) {
  ValuePointer pointer;
  if (!decode_value_pointer(value, &pointer)) return "no pointer";
  return format("file %u of values at %llu, %u bytes stored, %u raw", pointer.file,
                static_cast<unsigned long long>(pointer.place.offset), pointer.place.stored_size,
                pointer.place.raw_size);
}

void set_pointer(ordered_json* object, std::string_view value) {
  ValuePointer pointer;
  if (!decode_value_pointer(value, &pointer)) return;
  (*object)["value_file"] = pointer.file;
  (*object)["value_offset"] = pointer.place.offset;
  (*object)["value_stored_size"] = pointer.place.stored_size;
  (*object)["value_raw_size"] = pointer.place.raw_size;
}

}  // namespace

// -- decoding --

bool VersionText::decode(std::string_view key, VersionKind kind, std::string_view value) {
  plan_ = nullptr;
  index_ = nullptr;
  indexed_.clear();
  primary_key_.clear();
  columns_.clear();
  scratch_.clear();
  note_.clear();
  if (tables_ == nullptr) return false;
  KeyReader reader(key);
  TableKeyPrefix prefix;
  for (uint32_t* part : {&prefix.tenant, &prefix.table, &prefix.index}) {
    const std::optional<uint64_t> number = reader.uint64();
    if (!number || *number > UINT32_MAX) return fail("no key of a table");
    *part = static_cast<uint32_t>(*number);
  }
  if (!is_change(kind)) return fail("of a kind that no row has");
  plan_ = tables_->find(prefix.tenant, prefix.table);
  if (plan_ == nullptr) {
    return fail(format("the catalog has no table %u of tenant ", prefix.table) +
                tools::escape(tables_->tenant_name(prefix.tenant)));
  }
  if (prefix.index == 0) return decode_row(&reader, key, kind, value);
  const auto found =
      std::find_if(plan_->indexes().begin(), plan_->indexes().end(),
                   [&](const IndexPlan& index) { return index.schema->id == prefix.index; });
  if (found == plan_->indexes().end()) {
    return fail("table " + table_name(*plan_) + format(" has no index %u", prefix.index));
  }
  index_ = &*found;
  return decode_entry(&reader, kind, value);
}

bool VersionText::read_key(KeyReader* reader, const std::vector<KeyColumn>& columns,
                           std::vector<Field>* fields) {
  for (const KeyColumn& column : columns) {
    const ColumnSchema& schema = plan_->schema().columns[column.place];
    Field& field = fields->emplace_back(Field{.name = schema.name, .value = {}});
    if (!read_value(reader, schema.kind, column.order, &scratch_.emplace_back(), &field.value)) {
      return fail("no key of table " + table_name(*plan_));
    }
  }
  return true;
}

bool VersionText::is_row_key(std::string_view key, const RowView& row) const {
  // Of the row only the primary key counts.
  std::vector<Value> values(plan_->layout().places());
  for (const KeyColumn& column : plan_->schema().primary_key) {
    if (!row.get(column.place, &values[column.place])) return false;
  }
  std::string buffer(key.size(), '\0');
  KeyWriter writer(buffer);
  plan_->append_row_key(values, &writer);
  return writer.ok() && writer.key() == key;
}

bool VersionText::decode_row(KeyReader* reader, std::string_view key, VersionKind kind,
                             std::string_view value) {
  const std::vector<KeyColumn>& primary_key = plan_->schema().primary_key;
  if (!read_key(reader, primary_key, &primary_key_)) return false;
  if (!reader->done()) return fail("no key of table " + table_name(*plan_));
  if (kind == VersionKind::tombstone) return true;
  const std::optional<RowView> row = RowView::open(&plan_->layout(), value);
  const std::string malformed = "malformed row of table " + table_name(*plan_);
  if (!row) return fail(malformed);
  for (const uint32_t place : plan_->columns()) {
    Field field{.name = plan_->schema().columns[place].name, .value = {}};
    if (!row->get(place, &field.value)) return fail(malformed);
    const bool in_key = std::any_of(primary_key.begin(), primary_key.end(),
                                    [&](const KeyColumn& each) { return each.place == place; });
    if (!in_key) columns_.push_back(field);
  }
  return is_row_key(key, *row) || fail("row of table " + table_name(*plan_) + " with another key");
}

bool VersionText::decode_entry(KeyReader* reader, VersionKind kind, std::string_view value) {
  const IndexSchema& index = *index_->schema;
  const std::vector<KeyColumn>& primary_key = plan_->schema().primary_key;
  const std::string malformed =
      "malformed entry of index " + tools::escape(index.name) + " of table " + table_name(*plan_);
  if (!read_key(reader, index.columns, &indexed_)) return fail(malformed);
  const bool has_null = std::any_of(indexed_.begin(), indexed_.end(),
                                    [](const Field& field) { return field.value.is_null(); });
  const bool key_in_value = index.unique && !has_null;
  if (!key_in_value && !read_key(reader, primary_key, &primary_key_)) return fail(malformed);
  if (!reader->done()) return fail(malformed);
  if (kind == VersionKind::tombstone) return true;
  Decoder decoder(value);
  if (key_in_value) {
    KeyReader in_value(decoder.sized());
    if (!read_key(&in_value, primary_key, &primary_key_)) return fail(malformed);
    if (!decoder.ok() || !in_value.done()) return fail(malformed);
  }
  if (!index_->covered) return decoder.done() || fail(malformed);
  const std::optional<RowView> row = RowView::open(&*index_->covered, decoder.rest());
  if (!row) return fail(malformed);
  for (size_t i = 0; i < index.covered.size(); ++i) {
    Field& field = columns_.emplace_back(
        Field{.name = plan_->schema().columns[index.covered[i]].name, .value = {}});
    if (!row->get(i, &field.value)) return fail(malformed);
  }
  return true;
}

// -- text --

std::string VersionText::value_text(const Value& value) const {
  if (value.is_null()) return "null";
  switch (value.type()) {
    case ColumnType::bytes:
      return hex_literal(value.as_bytes());
    case ColumnType::text:
      return options_.output_hex ? hex_literal(value.as_text()) : quoted(value.as_text());
    case ColumnType::array:
      return has_text(value.as_array()) ? tools::escape(to_text(value))
                                        : hex_literal(value.as_array());
    default:
      return to_text(value);
  }
}

std::string VersionText::fields_text(const std::vector<Field>& fields, bool named) const {
  std::string text;
  for (const Field& field : fields) {
    if (!text.empty()) text += ", ";
    if (named) text += tools::escape(field.name) + "=";
    text += value_text(field.value);
  }
  return text;
}

std::string VersionText::line(const std::string& key, const RowContent& row) {
  const auto [kind, row_timestamp, value] = row;
  const std::string timestamp = " @ " + std::to_string(row_timestamp.nanos);
  std::string text;
  if (!decode(key, kind, value)) {
    text = bytes_text(options_, key) + timestamp + " : " + std::string(kind_name(kind));
    if (kind == VersionKind::value_pointer) {
      text += " => " + pointer_text(value);
    } else if (kind != VersionKind::tombstone) {
      text += " => " + bytes_text(options_, value);
    }
    if (!note_.empty()) text += " (" + note_ + ")";
    return text;
  }
  const std::string tenant = tables_->tenant_name(plan_->schema().tenant);
  if (tenant != kDefaultTenant) text += tools::escape(tenant) + "/";
  text += table_name(*plan_);
  if (index_ == nullptr) {
    text += "[" + fields_text(primary_key_, /*named=*/true) + "]";
  } else {
    text += "." + tools::escape(index_->schema->name) + "(" + fields_text(indexed_, false);
    if (!primary_key_.empty()) text += ", " + fields_text(primary_key_, /*named=*/true);
    text += ")";
  }
  if (kind == VersionKind::tombstone) {
    text += ": tombstone";
  } else if (!columns_.empty()) {
    text += ": " + fields_text(columns_, /*named=*/true);
  }
  return text + timestamp;
}

// -- JSON --

ordered_json VersionText::fields_json(const std::vector<Field>& fields) const {
  ordered_json object = ordered_json::object();
  for (const Field& field : fields) {
    const std::string name = member_name(field.name);
    const Value& value = field.value;
    if (value.is_null()) {
      object[name] = nullptr;
      continue;
    }
    switch (value.type()) {
      case ColumnType::boolean:
        object[name] = value.as_boolean();
        break;
      case ColumnType::int64:
        object[name] = value.as_int64();
        break;
      case ColumnType::uint64:
        object[name] = value.as_uint64();
        break;
      case ColumnType::float64:
        // JSON has no NaN and no infinity.
        if (std::isfinite(value.as_float64())) {
          object[name] = value.as_float64();
        } else {
          object[name] = to_text(value);
        }
        break;
      case ColumnType::bytes:
        tools::set_bytes(&object, name, value.as_bytes(), /*hex=*/true);
        break;
      case ColumnType::text:
        tools::set_bytes(&object, name, value.as_text(), options_.output_hex);
        break;
      case ColumnType::array:
        if (has_text(value.as_array())) {
          tools::set_bytes(&object, name, to_text(value), options_.output_hex);
        } else {
          tools::set_bytes(&object, name, value.as_array(), /*hex=*/true);
        }
        break;
      default:
        object[name] = to_text(value);
    }
  }
  return object;
}

void VersionText::set(ordered_json* object, const std::string& key, const RowContent& row) {
  const auto [kind, timestamp, value] = row;
  const bool decoded = decode(key, kind, value);
  if (decoded) {
    tools::set_bytes(object, "tenant", tables_->tenant_name(plan_->schema().tenant), false);
    tools::set_bytes(object, "table", plan_->schema().name, false);
    if (index_ != nullptr) {
      tools::set_bytes(object, "index", index_->schema->name, false);
      (*object)["indexed"] = fields_json(indexed_);
    }
    // That of a unique entry which is gone is not known.
    if (!primary_key_.empty()) (*object)["primary_key"] = fields_json(primary_key_);
  } else {
    tools::set_bytes(object, "key", key, options_.output_hex);
  }
  set_timestamp(object, timestamp);
  (*object)["kind"] = kind_name(kind);
  if (kind == VersionKind::value_pointer) {
    set_pointer(object, value);
  } else if (kind != VersionKind::tombstone) {
    if (decoded) {
      (*object)["columns"] = fields_json(columns_);
    } else {
      tools::set_bytes(object, "value", value, options_.output_hex);
    }
  }
  if (!note_.empty()) (*object)["note"] = note_;
}

}  // namespace varve::sst_dump
