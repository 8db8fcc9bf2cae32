// Blocked Bloom filters: every key sets and tests bits of one 512-bit line only, one cache miss.
// Source: F. Putze, P. Sanders, J. Singler, Cache-, Hash- and Space-Efficient Bloom Filters, 2007.
//
// Format of a filter (the payload of a block, never compressed):
//     0   u8   kind      1: blocked Bloom
//     1   u8   probes    bits a key, 1..16
//     2   u16  0
//     4   u32  lines     >= 1
//     8   lines x 64 bytes
// Valid when the size is exactly 8 + 64 * lines.
// A key of hash h (key_hash, base/hash.h) uses line (h >> 32) * lines >> 32, and in it, starting
// with r = h >> 8 & 0xffffff, the bits r' >> 23 of r' = (r * 0x9e3779b9) mod 2^32, multiplied by
// the same number again for each further probe. Bits 0..7 of h are left to block tags.
//
// Example: the one key "ab", h = ce314c47953a8d87, at 10 bits a key: 01 06 0000 01000000, then one
// line in which the bits 285, 497, 505, 29, 95 and 240 are set.
//
// Thread rule: a filter's bytes are immutable; may_contain() by any number of threads.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/coding.h"
#include "memory/buffer.h"
#include "varve/status.h"

namespace varve {

inline constexpr size_t kFilterHeaderSize = 8;
inline constexpr size_t kFilterLineSize = 64;

// Appends a filter of about `bits_per_key` bits a key to `*to`; false when memory is refused.
[[nodiscard]] bool build_filter(std::span<const uint64_t> hashes, uint32_t bits_per_key,
                                Buffer* to);

class FilterView {
 public:
  FilterView() = default;
  static Result<FilterView> parse(std::string_view payload);

  // False: no key of this hash is there. No false negatives.
  bool may_contain(uint64_t hash) const {
    const char* line = line_of(hash);
    uint32_t probe = static_cast<uint32_t>(hash >> 8) & 0xffffff;
    for (uint32_t i = 0; i < probes_; ++i) {
      probe *= kMultiplier;
      const uint32_t bit = probe >> 23;
      if ((static_cast<uint8_t>(line[bit / 8]) & (1u << (bit % 8))) == 0) return false;
    }
    return true;
  }
  void prefetch(uint64_t hash) const { __builtin_prefetch(line_of(hash)); }

 private:
  friend bool build_filter(std::span<const uint64_t>, uint32_t, Buffer*);
  static constexpr uint32_t kMultiplier = 0x9e3779b9;

  const char* line_of(uint64_t hash) const {
    return lines_ + kFilterLineSize * (((hash >> 32) * line_count_) >> 32);
  }

  const char* lines_ = nullptr;
  uint32_t line_count_ = 0;
  uint32_t probes_ = 0;
};

}  // namespace varve
