// A counter that many threads write often: spread over cache lines. Otherwise as Counter.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.h"
#include "base/thread_slot.h"

namespace varve {

class SpreadCounter {
 public:
  void add(uint64_t n = 1) { cells_[this_thread_slot() % kCells].counter.add(n); }
  uint64_t get() const {
    uint64_t sum = 0;
    for (const Cell& cell : cells_) sum += cell.counter.get();
    return sum;
  }

 private:
  static constexpr size_t kCells = 16;
  struct alignas(64) Cell {
    Counter counter;
  };
  Cell cells_[kCells];
};

}  // namespace varve
