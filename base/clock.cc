#include "varve/clock.h"

#include <time.h>

#include <new>

#include "base/schedule_point.h"

namespace varve {
namespace {

uint64_t read_clock(clockid_t id) {
  timespec time;
  clock_gettime(id, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(time.tv_nsec);
}

class SystemClock final : public Clock {
 public:
  uint64_t realtime_nanos() override {
    if (is_scheduled()) return internal::scheduled_realtime_nanos();
    return read_clock(CLOCK_REALTIME);
  }
  // Not CLOCK_MONOTONIC, which stands still while the machine sleeps: the wall clock would seem to
  // have jumped afterwards.
  uint64_t monotonic_nanos() override {
    if (is_scheduled()) return internal::scheduled_nanos();
    return read_clock(CLOCK_BOOTTIME);
  }
};

}  // namespace

Clock* Clock::system() {
  // Never destroyed: threads may ask for the time after main().
  alignas(SystemClock) static char memory[sizeof(SystemClock)];
  static SystemClock* const clock = new (memory) SystemClock;
  return clock;
}

}  // namespace varve
