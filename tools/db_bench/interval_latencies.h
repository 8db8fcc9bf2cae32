// Latencies of one thread in pieces of a pass, for who looks on while it runs (--latency_file).
//
// The thread adds to a histogram of its own, without a lock. When the watcher has asked it hands
// that over with its next operation: so what the watcher takes is what was finished between its two
// calls before. A thread that is held up hands over later.
//
// Thread rule: add(), note_largest() and hand_over() by the thread that measures, take() by the
// watcher; clear() while there is neither.
// Unit: ticks of clock.h.

#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "tools/db_bench/histogram.h"

namespace varve::bench {

class IntervalLatencies {
 public:
  // Nothing was measured yet.
  void clear();
  void add(uint64_t ticks, uint64_t times = 1) {
    if (asked_.load(std::memory_order_relaxed) != answered_) hand_over();  // later would do, too
    own_.add(ticks, times);
  }
  void note_largest(uint64_t ticks) { own_.note_largest(ticks); }
  void hand_over();

  // Adds what was handed over since the last call to `sum`, and asks for what has come since.
  void take(Histogram* sum);

 private:
  Histogram own_;
  uint64_t answered_ = 0;
  std::atomic<uint64_t> asked_{0};
  std::mutex mutex_;
  Histogram handed_over_;  // under mutex_
};

}  // namespace varve::bench
