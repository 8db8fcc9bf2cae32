#include "tools/db_bench/clock.h"

#include <ctime>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace varve::bench {
namespace {

double rate = 1;

// Both clocks at one moment.
struct Moment {
  uint64_t ticks = 0;
  uint64_t nanos = 0;
};

// Of several tries the one with the least time between the readings: others were interrupted.
Moment read_both() {
  Moment best;
  uint64_t least = UINT64_MAX;
  for (int i = 0; i < 20; i++) {
    const uint64_t before = ticks_now();
    const uint64_t nanos = monotonic_nanos();
    const uint64_t between = ticks_now() - before;
    if (between < least) {
      least = between;
      best = {.ticks = before + between / 2, .nanos = nanos};
    }
  }
  return best;
}

// Counts at a constant rate in all states of the processor (AMD and Intel: CPUID 8000_0007, EDX 8).
bool counter_is_invariant() {
#if defined(__x86_64__)
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) != 0 && (edx & (1u << 8)) != 0;
#else
  return false;
#endif
}

}  // namespace

bool clock_uses_counter = false;

uint64_t monotonic_nanos() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void clock_start() {
  clock_uses_counter = counter_is_invariant();
  if (!clock_uses_counter) return;
  constexpr uint64_t kNanos = 10'000'000;  // readings 100 ns apart: an error of 1e-5
  const Moment begin = read_both();
  while (monotonic_nanos() - begin.nanos < kNanos) {
  }
  const Moment end = read_both();
  rate =
      static_cast<double>(end.nanos - begin.nanos) / static_cast<double>(end.ticks - begin.ticks);
}

double nanos_per_tick() { return rate; }

}  // namespace varve::bench
