// Buffers of what reads and writes rows: all that grows with keys, rows and arguments lies in them,
// on the budget of the engine. Writers and scanners keep theirs while they wait for another use, so
// that steady work acquires none.
//
// Thread rule: any thread.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "memory/buffer_pool.h"

namespace varve {

struct RowPools {
  // `urgent_bytes_max`: as in BufferPool, for what writes rows: users that hold much must not keep
  // anybody from writing.
  explicit RowPools(MemoryManager* memory, size_t urgent_bytes_max = 0)
      : table_keys(memory, settings("table keys", memory, urgent_bytes_max)),
        index_keys(memory, settings("index keys", memory, urgent_bytes_max)),
        rows(memory, settings("rows", memory, urgent_bytes_max)),
        filters(memory, settings("filters", memory, /*urgent_bytes_max=*/0)) {}

  // What one buffer may have, of a writer or scanner that waits for another use.
  static constexpr size_t kKeptBytesMax = 64 << 10;

  std::array<BufferPool*, 4> all() { return {&table_keys, &index_keys, &rows, &filters}; }

  BufferPool table_keys;  // keys of rows
  BufferPool index_keys;  // keys of entries of indexes
  BufferPool rows;        // rows and values of entries, encoded and by column
  BufferPool filters;     // literals and bounds of scans, and what they decode

 private:
  static BufferPool::Settings settings(const char* name, const MemoryManager* memory,
                                       size_t urgent_bytes_max) {
    // A small part of a small budget, and little of a large one.
    constexpr uint64_t kIdlePart = 128;
    constexpr uint64_t kIdleBytesMax = 4 << 20;
    const uint64_t budget = memory->budget_bytes();
    return {
        .name = name,
        .role = MemoryRole::transaction,
        .idle_bytes_max = budget == 0 ? kIdleBytesMax : std::min(budget / kIdlePart, kIdleBytesMax),
        .urgent_bytes_max = urgent_bytes_max};
  }
};

}  // namespace varve
