// One thread waits for another one to pass it something: it spins for a moment, and only then
// sleeps. A thread that sleeps costs whoever wakes it a system call, and itself some microseconds
// until it runs; that is longer than most commits take. Rejected: giving way (sched_yield) between
// the two, which gives the processor to other programs for milliseconds (docs/decisions.md).
//
// Thread rule: one thread waits, another one passes, once, and once more after reset(). Whoever
// waits may destroy the baton as soon as it has it: pass() touches it no more once wait() can
// return.

#pragma once

#include <cstdint>

#include "base/atomic.h"
#include "base/mutex.h"

namespace varve {

class Baton {
 public:
  static constexpr uint8_t kValueMax = 253;

  Baton() = default;
  Baton(const Baton&) = delete;
  Baton& operator=(const Baton&) = delete;

  // What was passed. `spins` false: sleeps at once, where the other thread is known to be slow.
  uint8_t wait(bool spins = true);
  // `value` is at most kValueMax. What the caller did before, the waiter sees.
  void pass(uint8_t value);
  // By whoever waits, when nothing is passed yet, or wait() returned.
  void reset() { state_.store(kNothing, kRelaxed); }  // whoever passes is told of it by other means

 private:
  static constexpr uint8_t kNothing = 255;
  static constexpr uint8_t kAsleep = 254;

  bool has_come() const { return state_.load(kAcquire) != kNothing; }  // pairs with pass()
  bool spin() const;

  Atomic<uint8_t> state_{kNothing};
  Mutex mutex_;
  CondVar passed_;
};

}  // namespace varve
