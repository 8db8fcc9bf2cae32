// Whether a write must wait before it enters the commit queue: a pure function of what is owed.

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

}  // namespace varve
