// Positions in the log.

#pragma once

#include <compare>
#include <cstdint>

namespace varve {

// Bytes logged since the database was created, segment headers not counted. Orders log records; it
// is not a timestamp.
struct Lsn {
  uint64_t value = 0;
  friend auto operator<=>(const Lsn&, const Lsn&) = default;
};

inline constexpr Lsn kLsnMax{UINT64_MAX};

}  // namespace varve
