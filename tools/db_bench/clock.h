// Time of single operations. Every operation of every engine is timed, always, with one reading of
// this clock: the processor's time-stamp counter where it runs at a constant rate (about 8 ns a
// reading), else CLOCK_MONOTONIC (about 25 ns).
//
// Thread rule: any thread, after clock_start().

#pragma once

#include <cstdint>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace varve::bench {

extern bool clock_uses_counter;

uint64_t monotonic_nanos();

inline uint64_t ticks_now() {
#if defined(__x86_64__)
  if (clock_uses_counter) return __rdtsc();
#endif
  return monotonic_nanos();
}

// Call once, before threads start; takes 10 ms, in which it measures the counter's rate.
void clock_start();
double nanos_per_tick();

}  // namespace varve::bench
