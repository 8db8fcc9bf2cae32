// Values of keys as a test sees them: with the order that docs promise, and a way in and out.

#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <compare>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "varve/key_codec.h"

namespace varve::test {

struct KeyValue {
  KeyValueType type = KeyValueType::null;
  bool boolean = false;
  bool negative = false;   // of an integer
  uint64_t magnitude = 0;  // likewise
  double float64 = 0;
  Decimal decimal;
  int64_t micros = 0;
  Uuid uuid;
  std::string text;  // and bytes
  std::vector<KeyValue> array;
};

inline std::weak_ordering compare_floats(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) <=> std::isnan(b);
  return a < b ? std::weak_ordering::less
               : (a > b ? std::weak_ordering::greater : std::weak_ordering::equivalent);
}

// By schoolbook arithmetic: as digits with a point.
inline std::weak_ordering compare_decimals(const Decimal& a, const Decimal& b) {
  struct Digits {
    int sign;
    std::string text;  // without zeros at either end
    int64_t point;     // the value is 0.text * 10^point
  };
  const auto digits_of = [](const Decimal& decimal) {
    Digits digits{decimal.unscaled == 0 ? 0 : (decimal.unscaled < 0 ? -1 : 1), "", 0};
    for (Int128 rest = decimal.unscaled; rest != 0; rest /= 10) {
      digits.text += static_cast<char>('0' + std::abs(static_cast<int>(rest % 10)));
    }
    digits.point = static_cast<int64_t>(digits.text.size()) - decimal.scale;
    std::reverse(digits.text.begin(), digits.text.end());
    while (!digits.text.empty() && digits.text.back() == '0') digits.text.pop_back();
    return digits;
  };
  const Digits x = digits_of(a);
  const Digits y = digits_of(b);
  if (x.sign != y.sign || x.sign == 0) return x.sign <=> y.sign;
  const std::weak_ordering order = x.point != y.point
                                       ? std::weak_ordering(x.point <=> y.point)
                                       : std::weak_ordering(x.text.compare(y.text) <=> 0);
  return x.sign > 0 ? order : 0 <=> order;
}

inline std::weak_ordering compare_values(const KeyValue& a, const KeyValue& b) {
  if (a.type != b.type) return a.type <=> b.type;
  switch (a.type) {
    case KeyValueType::null:
      return std::weak_ordering::equivalent;
    case KeyValueType::boolean:
      return a.boolean <=> b.boolean;
    case KeyValueType::integer:
      if (a.negative != b.negative) return b.negative <=> a.negative;
      return a.negative ? b.magnitude <=> a.magnitude : a.magnitude <=> b.magnitude;
    case KeyValueType::float64:
      return compare_floats(a.float64, b.float64);
    case KeyValueType::decimal:
      return compare_decimals(a.decimal, b.decimal);
    case KeyValueType::timestamp:
      return a.micros <=> b.micros;
    case KeyValueType::uuid:
      return a.uuid <=> b.uuid;
    case KeyValueType::bytes:
    case KeyValueType::text:
      return a.text.compare(b.text) <=> 0;
    case KeyValueType::array:
      return std::lexicographical_compare_three_way(a.array.begin(), a.array.end(), b.array.begin(),
                                                    b.array.end(), compare_values);
  }
  return std::weak_ordering::equivalent;
}

inline void write_value(const KeyValue& value, Order order, KeyWriter* key) {
  switch (value.type) {
    case KeyValueType::null:
      return key->null(order);
    case KeyValueType::boolean:
      return key->boolean(value.boolean, order);
    case KeyValueType::integer:
      return value.negative ? key->int64(static_cast<int64_t>(~value.magnitude + 1), order)
                            : key->uint64(value.magnitude, order);
    case KeyValueType::float64:
      return key->float64(value.float64, order);
    case KeyValueType::decimal:
      return key->decimal(value.decimal, order);
    case KeyValueType::timestamp:
      return key->timestamp(value.micros, order);
    case KeyValueType::uuid:
      return key->uuid(value.uuid, order);
    case KeyValueType::bytes:
      return key->bytes(value.text, order);
    case KeyValueType::text:
      return key->text(value.text, order);
    case KeyValueType::array:
      key->begin_array(order);
      for (const KeyValue& element : value.array) write_value(element, Order::ascending, key);
      key->end_array();
  }
}

// False: what comes next is no element of a key.
inline bool read_value(KeyReader* key, Order order, KeyValue* value) {
  const auto type = key->next_type(order);
  if (!type) return false;
  value->type = *type;
  std::string scratch(key->rest().size(), '\0');
  const auto set = [](auto* to, const auto& found) {
    if (found) *to = std::decay_t<decltype(*to)>(*found);
    return found.has_value();
  };
  switch (*type) {
    case KeyValueType::null:
      return key->null(order);
    case KeyValueType::boolean:
      return set(&value->boolean, key->boolean(order));
    case KeyValueType::integer: {
      KeyReader as_signed = *key;
      const auto number = as_signed.int64(order);
      if (number && *number < 0) {
        value->negative = true;
        value->magnitude = ~static_cast<uint64_t>(*number) + 1;
        return key->int64(order).has_value();
      }
      return set(&value->magnitude, key->uint64(order));
    }
    case KeyValueType::float64:
      return set(&value->float64, key->float64(order));
    case KeyValueType::decimal:
      return set(&value->decimal, key->decimal(order));
    case KeyValueType::timestamp:
      return set(&value->micros, key->timestamp(order));
    case KeyValueType::uuid:
      return set(&value->uuid, key->uuid(order));
    case KeyValueType::bytes:
      return set(&value->text, key->bytes(scratch, order));
    case KeyValueType::text:
      return set(&value->text, key->text(scratch, order));
    case KeyValueType::array:
      if (!key->enter_array(order)) return false;
      while (!key->leave_array(order)) {
        if (!read_value(key, order, &value->array.emplace_back())) return false;
      }
      return true;
  }
  return false;
}

// Small pools, so that equal values and near ones come up.
inline KeyValue random_value(Random* random, int depth = 0) {
  KeyValue value;
  value.type = static_cast<KeyValueType>(random->below(depth < 2 ? 10 : 9));
  value.boolean = random->one_in(2);
  const uint64_t bits = random->next() >> random->below(64);
  value.negative = random->one_in(2) && bits != 0 && bits <= uint64_t{1} << 63;
  value.magnitude = random->one_in(3) ? uint64_t{1} << random->below(64) : bits;
  if (value.negative) value.magnitude = std::min(value.magnitude, uint64_t{1} << 63);
  constexpr double kFloats[] = {0.0,
                                -0.0,
                                1.0,
                                -1.0,
                                0.5,
                                1e300,
                                -1e300,
                                5e-324,
                                -5e-324,
                                std::numeric_limits<double>::infinity(),
                                -std::numeric_limits<double>::infinity(),
                                std::numeric_limits<double>::quiet_NaN()};
  value.float64 = random->one_in(2) ? kFloats[random->below(std::size(kFloats))]
                                    : std::bit_cast<double>(random->next());
  const auto wide = static_cast<Int128>(static_cast<int64_t>(random->next()) >> random->below(64));
  value.decimal.unscaled =
      random->one_in(3) ? wide * static_cast<int64_t>(random->next() >> 1) : wide;
  for (uint64_t tens = random->below(4); tens > 0; --tens) {
    Int128 more;
    if (!__builtin_mul_overflow(value.decimal.unscaled, Int128{10}, &more)) {
      value.decimal.unscaled = more;
    }
  }
  value.decimal.scale = static_cast<int32_t>(random->below(9)) - 4;
  value.micros = static_cast<int64_t>(random->next()) >> random->below(64);
  for (uint8_t& byte : value.uuid.bytes)
    byte = random->one_in(2) ? 0 : static_cast<uint8_t>(random->next());
  constexpr char kBytes[] = {'\0', '\x01', 'a', 'b', '\xfe', '\xff'};
  for (uint64_t size = random->below(6); size > 0; --size) {
    value.text += kBytes[random->below(std::size(kBytes))];
  }
  if (value.type == KeyValueType::array) {
    for (uint64_t size = random->below(4); size > 0; --size) {
      value.array.push_back(random_value(random, depth + 1));
    }
  }
  return value;
}

}  // namespace varve::test
