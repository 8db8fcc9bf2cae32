// What transactions did and why they lost, counted for Statistics. Spread over cache lines, since
// every transaction counts its beginning and its end.
//
// Thread rule: all functions from any thread.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.h"
#include "base/thread_slot.h"

namespace varve {

class TransactionCounters {
 public:
  enum Event : uint8_t {
    begun,
    // How each ends, in one of these ways.
    committed,
    committed_empty,  // it wrote nothing
    rolled_back,
    conflict_on_write,
    conflict_on_read,
    conflict_on_range,
    unknown,  // io_error

    conflict_on_span,  // of those on a range: of a read set that had become coarse
    // Keys that the conflict table did not clear.
    looked_up,
    looked_up_unchanged,

    retried,  // by transact(), after a conflict
  };
  static constexpr size_t kEvents = retried + 1;

  void count(Event event) { cells_[this_thread_slot() % kCells].counters[event].add(); }
  uint64_t sum(Event event) const {
    uint64_t sum = 0;
    for (const Cell& cell : cells_) sum += cell.counters[event].get();
    return sum;
  }

 private:
  static constexpr size_t kCells = 16;
  struct alignas(64) Cell {
    Counter counters[kEvents];
  };
  Cell cells_[kCells];
};

}  // namespace varve
