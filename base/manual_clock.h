// A clock that stands still until a test moves it.

#pragma once

#include "base/atomic.h"
#include "varve/clock.h"

namespace varve {

class ManualClock final : public Clock {
 public:
  explicit ManualClock(uint64_t realtime_nanos = 1'700'000'000'000'000'000ull)
      : realtime_(realtime_nanos) {}
  uint64_t realtime_nanos() override { return realtime_.load(); }
  uint64_t monotonic_nanos() override { return monotonic_.load(); }
  void advance(uint64_t nanos) {
    realtime_.fetch_add(nanos);
    monotonic_.fetch_add(nanos);
  }
  // A step of the wall clock alone, in either direction.
  void set_realtime(uint64_t nanos) { realtime_.store(nanos); }

 private:
  Atomic<uint64_t> realtime_;
  Atomic<uint64_t> monotonic_{0};
};

}  // namespace varve
