// Where the engine gets the time from. Tests inject their own.

#pragma once

#include <cstdint>

namespace varve {

// Thread rule: all functions may be called from any thread at once.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall-clock time, nanoseconds since 1970-01-01T00:00:00Z. May step in either direction.
  virtual uint64_t realtime_nanos() = 0;
  // Time since an arbitrary start, nanoseconds. Never goes back; goes on while the machine sleeps.
  virtual uint64_t monotonic_nanos() = 0;

  // The operating system's clocks. Lives for ever.
  static Clock* system();
};

}  // namespace varve
