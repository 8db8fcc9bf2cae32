// How many pinned values users hold. Spread over cache lines, since every pinned get counts.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.h"
#include "base/thread_slot.h"

namespace varve {

// Thread rule: all functions from any thread.
class PinCounter {
 public:
  void add() { cell().fetch_add(1, kRelaxed); }       // the pin itself orders it
  void subtract() { cell().fetch_sub(1, kRelease); }  // pairs with count(): the pin is gone
  int64_t count() const {
    int64_t sum = 0;
    for (const Cell& cell : cells_) sum += cell.value.load(kAcquire);  // pairs with subtract()
    return sum;
  }

 private:
  static constexpr size_t kCells = 16;
  struct alignas(64) Cell {
    Atomic<int64_t> value{0};
  };
  Atomic<int64_t>& cell() { return cells_[this_thread_slot() % kCells].value; }
  Cell cells_[kCells];
};

}  // namespace varve
