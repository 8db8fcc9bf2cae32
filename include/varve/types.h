// The few value types that every other public header uses.

#pragma once

#include <compare>
#include <cstdint>

namespace varve {

// Commit timestamp: nanoseconds since 1970-01-01T00:00:00Z, made strictly increasing, so it both
// orders commits and means wall-clock time. Every commit has its own. 0 stands for "before all
// commits": it is also the timestamp of versions whose age history no longer records.
struct Timestamp {
  uint64_t nanos = 0;
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

inline constexpr Timestamp kTimestampMin{0};
inline constexpr Timestamp kTimestampMax{UINT64_MAX};

// A named tree of keys with options of its own. All keyspaces of a database share one log and one
// order of timestamps, so that a batch commits atomically across them. Ids are never reused.
struct Keyspace {
  uint32_t id = 0;
  friend auto operator<=>(const Keyspace&, const Keyspace&) = default;
};

inline constexpr Keyspace kDefaultKeyspace{0};  // named "default"; always exists

// Limits, in bytes.
inline constexpr uint64_t kKeySizeMax = 64 * 1024;
// And at most an eighth of the memory budget; less where two write buffers take more than half.
inline constexpr uint64_t kValueSizeMax = 256ull * 1024 * 1024;

// What an acknowledged commit survives. See docs/durability.md for the exact promise of each.
enum class Durability : uint8_t {
  sync = 0,      // power loss: on disk before it is acknowledged and before anyone can read it
  os = 1,        // death of the process: handed to the operating system before acknowledged
  buffered = 2,  // loses at most the last `Options::loss_window` of commits, always a suffix
  none = 3,      // no log at all: a crash loses what was not yet flushed to an sstable
};

// How data blocks of sstables are compressed.
enum class Compression : uint8_t {
  none = 0,
  zstd = 1,
};

}  // namespace varve
