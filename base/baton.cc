#include "base/baton.h"

#include "base/assert.h"
#include "varve/clock.h"

namespace varve {

namespace {

// About what a waiter would lose by sleeping: being woken takes some microseconds, more where the
// processor has gone to sleep as well.
constexpr uint64_t kSpinNanos = 50'000;
constexpr int kPausesPerLook = 16;  // at the clock

}  // namespace

bool Baton::spin() const {
  if (has_come()) return true;
  // A scheduler knows who waits for whom; there is nothing to be gained.
  if (is_scheduled()) return false;
  const uint64_t begin = Clock::system()->monotonic_nanos();
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      spin_pause();
      if (has_come()) return true;
    }
  } while (Clock::system()->monotonic_nanos() - begin < kSpinNanos);
  return false;
}

uint8_t Baton::wait(bool spins) {
  if (spins && spin()) return state_.load(kRelaxed);  // ordered by has_come()
  MutexLock lock(mutex_);
  uint8_t state = kNothing;
  if (!state_.compare_exchange(state, kAsleep)) return state;
  while ((state = state_.load()) == kAsleep) passed_.wait(mutex_);
  return state;
}

void Baton::pass(uint8_t value) {
  VARVE_ASSERT(value <= kValueMax);
  uint8_t state = kNothing;
  if (state_.compare_exchange(state, value)) return;
  MutexLock lock(mutex_);
  state_.store(value);
  passed_.notify_one();
}

}  // namespace varve
