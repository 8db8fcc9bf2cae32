// A value of a column: what rows are made of, filters compare, and cursors yield.
//
// A Value is small and owns nothing: bytes, texts and arrays are views, valid as long as what they
// were taken from (the row, the caller's string).
//
// Thread rule: any, as an int.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "varve/key_codec.h"

namespace varve {

enum class ColumnType : uint8_t {
  boolean = 1,
  int64 = 2,
  uint64 = 3,
  float64 = 4,
  decimal = 5,    // of the column's scale
  timestamp = 6,  // microseconds since 1970, UTC
  uuid = 7,
  bytes = 8,
  text = 9,  // UTF-8
  array = 10,
};

// "int64".
const char* column_type_name(ColumnType type);

// What a column's values look like.
struct ColumnKind {
  ColumnType type = ColumnType::int64;
  uint8_t scale = 0;  // of decimals: digits behind the point, at most kDecimalScaleMax
  friend bool operator==(const ColumnKind&, const ColumnKind&) = default;
};
inline constexpr uint8_t kDecimalScaleMax = 38;

class Value {
 public:
  Value() = default;  // null
  static Value boolean(bool value) {
    Value made(ColumnType::boolean);
    made.bits_.boolean = value;
    return made;
  }
  static Value int64(int64_t value) { return {ColumnType::int64, value}; }
  static Value uint64(uint64_t value) { return {ColumnType::uint64, static_cast<int64_t>(value)}; }
  static Value float64(double value) {
    Value made(ColumnType::float64);
    made.bits_.float64 = value;
    return made;
  }
  static Value decimal(const Decimal& value) {
    Value made(ColumnType::decimal);
    made.bits_.unscaled = value.unscaled;
    made.scale_ = value.scale;
    return made;
  }
  static Value timestamp(int64_t micros) { return {ColumnType::timestamp, micros}; }
  static Value uuid(const Uuid& value) {
    Value made(ColumnType::uuid);
    made.bits_.uuid = value;
    return made;
  }
  static Value bytes(std::string_view value) { return {ColumnType::bytes, value}; }
  static Value text(std::string_view value) { return {ColumnType::text, value}; }
  // `encoded`: an array as KeyWriter writes it, ascending: from begin_array() to end_array().
  static Value array(std::string_view encoded) { return {ColumnType::array, encoded}; }
  // Of one of these three types.
  static Value of_bytes(ColumnType type, std::string_view bytes) { return {type, bytes}; }

  bool is_null() const { return null_; }
  ColumnType type() const { return type_; }  // of a value that is not null
  bool is(ColumnType type) const { return !null_ && type_ == type; }

  // Each requires that type.
  bool as_boolean() const { return bits_.boolean; }
  int64_t as_int64() const { return bits_.int64; }
  uint64_t as_uint64() const { return static_cast<uint64_t>(bits_.int64); }
  double as_float64() const { return bits_.float64; }
  Decimal as_decimal() const { return {bits_.unscaled, scale_}; }
  int64_t as_timestamp() const { return bits_.int64; }
  const Uuid& as_uuid() const { return bits_.uuid; }
  std::string_view as_bytes() const { return bits_.view; }
  std::string_view as_text() const { return bits_.view; }
  std::string_view as_array() const { return bits_.view; }

 private:
  // Members are set one by one: a union that is copied right after a part of it was written is
  // slow.
  union Bits {
    Bits() {}
    bool boolean;
    int64_t int64;
    double float64;
    Int128 unscaled;
    Uuid uuid;
    std::string_view view;
  };
  explicit Value(ColumnType type) : type_(type), null_(false) {}
  Value(ColumnType type, int64_t value) : Value(type) { bits_.int64 = value; }
  Value(ColumnType type, std::string_view value) : Value(type) { bits_.view = value; }

  Bits bits_;
  int32_t scale_ = 0;
  ColumnType type_ = ColumnType::int64;
  bool null_ = true;
};

// A value that owns what it views.
class OwnedValue {
 public:
  OwnedValue() = default;
  OwnedValue(const Value& value) : value_(value) {  // NOLINT: implicit, so that values can be given
    if (has_bytes()) bytes_ = value.as_bytes();
  }
  // Views into this.
  Value value() const;

 private:
  bool has_bytes() const { return !value_.is_null() && value_.type() >= ColumnType::bytes; }

  Value value_;
  std::string bytes_;
};

// Appends the value as an element of a key. False: there was no room, or it is an array that is
// none.
bool append_value(const Value& value, Order order, KeyWriter* key);
// Reads an element as a value of that kind. It views into the key, or into `*scratch` where that
// does not do. False: it is none.
bool read_value(KeyReader* key, const ColumnKind& kind, Order order, std::string* scratch,
                Value* value);
// The same with room of the caller's: what is left of the key always suffices.
bool read_value(KeyReader* key, const ColumnKind& kind, Order order, std::span<char> scratch,
                Value* value);
// Whether it is an array as KeyWriter writes it, ascending, from begin_array() to end_array().
bool is_array(std::string_view encoded);
// The same number at another scale; nothing: it has more digits behind the point, or is too large.
std::optional<Decimal> rescaled(Decimal decimal, int32_t scale);

}  // namespace varve
