// What a write pays, in time, for the background work that is owed, before it enters the commit
// queue: pure functions.
//
// Two steps. At a bound a write waits until work is done (write_stall). On the way there it is
// slowed down such that the bound is reached just when the work is done (pace_nanos): so a burst
// costs each write a little, and none of them all of a flush.

#pragma once

#include <cstddef>
#include <cstdint>

namespace varve {

struct WriteDebt {
  uint64_t memtable_bytes = 0;      // of all memtables, immutable ones included
  uint64_t memtable_bytes_max = 0;  // twice the write buffer
  size_t runs = 0;                  // most runs that any keyspace has
  size_t runs_max = 0;
};

enum class WriteStall : uint8_t {
  none = 0,
  memtables = 1,  // until a flush is done
  runs = 2,       // until a compaction is done
};

inline WriteStall write_stall(const WriteDebt& debt) {
  if (debt.memtable_bytes >= debt.memtable_bytes_max) return WriteStall::memtables;
  if (debt.runs >= debt.runs_max) return WriteStall::runs;
  return WriteStall::none;
}

// Nanoseconds that `bytes` of writes take when the `room` up to a bound has to last for as long as
// the work that moves the bound away (`nanos_left`; 0: not known).
inline uint64_t pace_nanos(uint64_t bytes, uint64_t nanos_left, uint64_t room) {
  if (room <= bytes) return nanos_left;
  return static_cast<uint64_t>(static_cast<double>(nanos_left) * static_cast<double>(bytes) /
                               static_cast<double>(room));
}

}  // namespace varve
