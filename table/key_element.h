// Pieces of elements of keys (table/key_format.h) that writing and reading share, and those that
// hot paths of others have inline.

#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/coding.h"
#include "table/key_format.h"
#include "varve/key_codec.h"

namespace varve {

__extension__ typedef unsigned __int128 Magnitude;  // of an unscaled decimal

constexpr uint8_t mask_of(Order order) { return order == Order::ascending ? 0x00 : 0xff; }

inline uint8_t byte_at(std::string_view key, size_t i, uint8_t mask) {
  return static_cast<uint8_t>(static_cast<uint8_t>(key[i]) ^ mask);
}

inline void store_big(char* to, uint64_t value) { store_le(to, __builtin_bswap64(value)); }
inline uint64_t load_big(const char* from) { return __builtin_bswap64(load_le<uint64_t>(from)); }

// Of `size` bytes, at most 8: by two loads that may overlap.
inline uint64_t load_big(const char* from, size_t size) {
  if (size >= 4) {
    const uint64_t high = __builtin_bswap32(load_le<uint32_t>(from));
    const uint64_t low = __builtin_bswap32(load_le<uint32_t>(from + size - 4));
    return high << 8 * (size - 4) | low;
  }
  if (size >= 2) {
    const uint64_t high = __builtin_bswap16(load_le<uint16_t>(from));
    const uint64_t low = __builtin_bswap16(load_le<uint16_t>(from + size - 2));
    return high << 8 * (size - 2) | low;
  }
  return size == 0 ? 0 : static_cast<uint8_t>(*from);
}

inline size_t bytes_of(uint64_t magnitude) {
  return (static_cast<size_t>(std::bit_width(magnitude)) + 7) / 8;
}

// What an integer is: a sign and a magnitude.
struct Integer {
  bool negative = false;
  uint64_t magnitude = 0;
  size_t size = 0;  // of the element, tag included
};
// The integer that `key` begins with; nothing: it begins with something else, or malformed. Within
// its callers it takes half of the time, and scans by an index read one or two of each entry.
[[gnu::always_inline]] inline std::optional<Integer> integer_at(std::string_view key,
                                                                uint8_t mask) {
  if (key.empty()) return std::nullopt;
  const uint8_t tag = byte_at(key, 0, mask);
  if (tag < kTagZero - 8 || tag > kTagZero + 8) return std::nullopt;
  const bool negative = tag < kTagZero;
  const size_t n = static_cast<size_t>(negative ? kTagZero - tag : tag - kTagZero);
  if (n >= key.size()) return std::nullopt;
  const bool inverted = negative != (mask != 0);  // for one of two reasons
  uint64_t value = 0;                             // behind its bytes, what follows the element
  if (key.size() > 8) {
    value = load_big(key.data() + 1);
  } else if (n != 0) {
    value = load_big(key.data() + 1, n) << (64 - 8 * n);
  }
  if (inverted) value = ~value;
  value = n == 0 ? 0 : value >> (64 - 8 * n);
  if (bytes_of(value) != n) return std::nullopt;
  return Integer{negative, value, 1 + n};
}
// Whether it is an int64.
inline bool is_int64(const Integer& integer) {
  return integer.magnitude <= kSignBit - (integer.negative ? 0 : 1);
}
inline int64_t int64_of(const Integer& integer) {
  return static_cast<int64_t>(integer.negative ? ~integer.magnitude + 1 : integer.magnitude);
}

}  // namespace varve
