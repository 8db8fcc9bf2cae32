#include "tools/db_bench/clock.h"

#include <ctime>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace varve::bench {
namespace {

uint64_t start_ticks;
uint64_t start_nanos;

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
  start_nanos = monotonic_nanos();
  start_ticks = ticks_now();
}

double nanos_per_tick() {
  if (!clock_uses_counter) return 1;
  constexpr uint64_t kLeastNanos = 10'000'000;  // error below 1e-5 from two readings 100 ns apart
  uint64_t nanos = 0;
  do {
    nanos = monotonic_nanos() - start_nanos;
  } while (nanos < kLeastNanos);
  return static_cast<double>(nanos) / static_cast<double>(ticks_now() - start_ticks);
}

}  // namespace varve::bench
