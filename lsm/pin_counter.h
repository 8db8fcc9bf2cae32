// How many values users hold, and how many bytes of blocks they keep by it. Spread over cache
// lines, since every pinned get counts.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.h"
#include "base/thread_slot.h"

namespace varve {

// Thread rule: all functions from any thread.
class PinCounter {
 public:
  // `bytes`: that cannot be evicted because of it.
  void add(size_t bytes) {
    Cell& cell = this->cell();
    cell.values.fetch_add(1, kRelaxed);  // the pin itself orders it
    if (bytes != 0) cell.bytes.fetch_add(static_cast<int64_t>(bytes), kRelaxed);  // a statistic
  }
  void subtract(size_t bytes) {
    Cell& cell = this->cell();
    if (bytes != 0) cell.bytes.fetch_sub(static_cast<int64_t>(bytes), kRelaxed);  // a statistic
    cell.values.fetch_sub(1, kRelease);  // pairs with count(): the pin is gone
  }
  int64_t count() const {
    int64_t sum = 0;
    for (const Cell& cell : cells_) sum += cell.values.load(kAcquire);  // pairs with subtract()
    return sum;
  }
  // Whether users hold more than about `most` bytes. Looks at one cache line, as long as the
  // calling thread's own account is small; where one thread pins and another lets go, at all.
  bool exceeds(uint64_t most) {
    const int64_t share = static_cast<int64_t>(most / kCells);
    const int64_t own = cell().bytes.load(kRelaxed);  // a statistic
    if (own <= share && own >= -share) return false;
    int64_t sum = 0;
    for (const Cell& cell : cells_) sum += cell.bytes.load(kRelaxed);  // a statistic
    return sum > static_cast<int64_t>(most);
  }

 private:
  static constexpr size_t kCells = 16;
  struct alignas(64) Cell {
    Atomic<int64_t> values{0};
    Atomic<int64_t> bytes{0};
  };
  Cell& cell() { return cells_[this_thread_slot() % kCells]; }
  Cell cells_[kCells];
};

}  // namespace varve
