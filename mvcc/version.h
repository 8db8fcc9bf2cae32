// What the tree is made of: versions, each a (user key, commit timestamp, kind, value).
//
// Order: memcmp of the user key, then timestamp descending, so that the newest version of a key
// comes first. A key has at most one version a timestamp.

#pragma once

#include <compare>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "varve/types.h"

namespace varve {

// One byte on disk; numbers are part of every format and never reused. Kinds that this version does
// not write are refused as not_supported when met.
enum class VersionKind : uint8_t {
  value = 1,
  tombstone = 2,
  range_tombstone = 3,    // reserved
  merge_operand = 4,      // reserved
  value_with_expiry = 5,  // reserved
  value_pointer = 6,      // a value in a file of values; in sstables only
};

// Of a commit, and so of memtables and the log.
inline bool is_change(VersionKind kind) {
  return kind == VersionKind::value || kind == VersionKind::tombstone;
}
// Of sstables.
inline bool is_known(VersionKind kind) {
  return is_change(kind) || kind == VersionKind::value_pointer;
}

// No commit has a timestamp at or above it (the year 2262): bytes that claim one are corrupt.
inline constexpr Timestamp kTimestampLimit{uint64_t{1} << 63};

// A place in version order.
struct VersionKey {
  std::string_view user_key;
  Timestamp timestamp;
};

inline std::strong_ordering compare_keys(std::string_view a, std::string_view b) {
  const size_t common = a.size() < b.size() ? a.size() : b.size();
  const int order = common == 0 ? 0 : std::memcmp(a.data(), b.data(), common);
  if (order != 0) return order < 0 ? std::strong_ordering::less : std::strong_ordering::greater;
  return a.size() <=> b.size();
}

inline std::strong_ordering compare_versions(const VersionKey& a, const VersionKey& b) {
  const std::strong_ordering order = compare_keys(a.user_key, b.user_key);
  return order != 0 ? order : b.timestamp <=> a.timestamp;
}

}  // namespace varve
