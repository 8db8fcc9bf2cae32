#include "varve/value.h"

#include <new>

#include "table/key_element.h"

namespace varve {

const char* column_type_name(ColumnType type) {
  switch (type) {
    case ColumnType::boolean:
      return "boolean";
    case ColumnType::int64:
      return "int64";
    case ColumnType::uint64:
      return "uint64";
    case ColumnType::float64:
      return "float64";
    case ColumnType::decimal:
      return "decimal";
    case ColumnType::timestamp:
      return "timestamp";
    case ColumnType::uuid:
      return "uuid";
    case ColumnType::bytes:
      return "bytes";
    case ColumnType::text:
      return "text";
    case ColumnType::array:
      return "array";
  }
  return "unknown";
}

Value OwnedValue::value() const {
  return has_bytes() ? Value::of_bytes(value_.type(), bytes_) : value_;
}

bool is_array(std::string_view encoded) {
  KeyReader reader(encoded);
  return reader.next_type() == KeyValueType::array && reader.skip() && reader.done();
}

bool append_value(const Value& value, Order order, KeyWriter* key) {
  if (value.is_null()) {
    key->null(order);
    return key->ok();
  }
  switch (value.type()) {
    case ColumnType::boolean:
      key->boolean(value.as_boolean(), order);
      break;
    case ColumnType::int64:
      key->int64(value.as_int64(), order);
      break;
    case ColumnType::uint64:
      key->uint64(value.as_uint64(), order);
      break;
    case ColumnType::float64:
      key->float64(value.as_float64(), order);
      break;
    case ColumnType::decimal:
      key->decimal(value.as_decimal(), order);
      break;
    case ColumnType::timestamp:
      key->timestamp(value.as_timestamp(), order);
      break;
    case ColumnType::uuid:
      key->uuid(value.as_uuid(), order);
      break;
    case ColumnType::bytes:
      key->bytes(value.as_bytes(), order);
      break;
    case ColumnType::text:
      key->text(value.as_text(), order);
      break;
    case ColumnType::array:
      key->encoded_array(value.as_array(), order);
      break;
  }
  return key->ok();
}

namespace {

// Of an array that is written descending, back to ascending.
std::string_view inverted(std::string_view bytes, std::span<char> scratch) {
  for (size_t i = 0; i < bytes.size(); ++i) scratch[i] = static_cast<char>(~bytes[i]);
  return {scratch.data(), bytes.size()};
}

}  // namespace

bool read_value(KeyReader* key, const ColumnKind& kind, Order order, std::string* scratch,
                Value* value) {
  const size_t room = kind.type >= ColumnType::bytes ? key->rest().size() : 0;
  if (scratch->size() < room) scratch->resize(room);
  return read_value(key, kind, order, std::span<char>(*scratch), value);
}

bool read_value(KeyReader* key, const ColumnKind& kind, Order order, std::span<char> scratch,
                Value* value) {
  // Scans by an index read one or two integers of each entry: without a call each, and without an
  // optional to return, of which one byte is written and a word read right after.
  if (kind.type == ColumnType::int64) {
    const std::optional<Integer> integer = integer_at(key->rest_, mask_of(order));
    if (integer && is_int64(*integer)) {
      key->rest_.remove_prefix(integer->size);
      new (value) Value(Value::int64(int64_of(*integer)));
      return true;
    }
  }
  if (key->null(order)) {
    *value = Value();
    return true;
  }
  const auto set = [&](const auto& found, auto make) {
    if (found) new (value) Value(make(*found));
    return found.has_value();
  };
  const std::string_view before = key->rest();
  switch (kind.type) {
    case ColumnType::boolean:
      return set(key->boolean(order), Value::boolean);
    case ColumnType::int64:
      return false;  // see above
    case ColumnType::uint64:
      return set(key->uint64(order), Value::uint64);
    case ColumnType::float64:
      return set(key->float64(order), Value::float64);
    case ColumnType::decimal: {
      const std::optional<Decimal> decimal = key->decimal(order);
      return decimal && set(rescaled(*decimal, kind.scale), Value::decimal);
    }
    case ColumnType::timestamp:
      return set(key->timestamp(order), Value::timestamp);
    case ColumnType::uuid:
      return set(key->uuid(order), Value::uuid);
    case ColumnType::bytes:
    case ColumnType::text:
      return kind.type == ColumnType::text ? set(key->text(scratch, order), Value::text)
                                           : set(key->bytes(scratch, order), Value::bytes);
    case ColumnType::array: {
      if (key->next_type(order) != KeyValueType::array || !key->skip(order)) return false;
      const std::string_view array = before.substr(0, before.size() - key->rest().size());
      if (order == Order::descending && scratch.size() < array.size()) return false;
      *value = Value::array(order == Order::ascending ? array : inverted(array, scratch));
      return true;
    }
  }
  return false;
}

std::optional<Decimal> rescaled(Decimal decimal, int32_t scale) {
  if (decimal.unscaled == 0) return Decimal{0, scale};
  for (; decimal.scale < scale; ++decimal.scale) {
    if (__builtin_mul_overflow(decimal.unscaled, Int128{10}, &decimal.unscaled))
      return std::nullopt;
  }
  for (; decimal.scale > scale; --decimal.scale) {
    if (decimal.unscaled % 10 != 0) return std::nullopt;
    decimal.unscaled /= 10;
  }
  return decimal;
}

}  // namespace varve
