// How long background work of one kind will take, from how long it took lately.
//
// Thread rule: any thread; one piece of work at a time counts, others that run beside it are taken
// for a part of it. Units: bytes of input, nanoseconds.

#pragma once

#include <algorithm>
#include <cstdint>

#include "base/atomic.h"

namespace varve {

class WorkRate {
 public:
  void begin(uint64_t now) { began_.store(now, kRelaxed); }  // estimates, all of them
  void end(uint64_t bytes, uint64_t now) {
    const uint64_t began = began_.exchange(0, kRelaxed);
    if (began == 0 || bytes == 0 || now <= began) return;
    // Each counts by its size, and the latest ones most. The fixed part of a small one would else
    // look like a slow disk.
    nanos_.store(0.75 * nanos_.load(kRelaxed) + static_cast<double>(now - began), kRelaxed);
    bytes_.store(0.75 * bytes_.load(kRelaxed) + static_cast<double>(bytes) + kFixedWork, kRelaxed);
  }
  void cancel() { began_.store(0, kRelaxed); }
  // Until `bytes`, of which a part may be done, are through. Work that takes longer than it used to
  // is never taken for nearly done. 0: nothing is known yet.
  uint64_t nanos_left(uint64_t bytes, uint64_t now) const {
    const double known = bytes_.load(kRelaxed);
    if (known == 0) return 0;
    const double whole = nanos_.load(kRelaxed) / known * static_cast<double>(bytes);
    const uint64_t began = began_.load(kRelaxed);
    const double passed = began == 0 || now < began ? 0 : static_cast<double>(now - began);
    return static_cast<uint64_t>(std::max(whole - passed, whole / 8));
  }

 private:
  // Bytes that take as long as what does not depend on the size: opening, syncing, installing.
  static constexpr double kFixedWork = 1 << 20;

  Atomic<uint64_t> began_{0};  // 0: none is under way
  // Sums that fade: of the time that work took, and of its size.
  Atomic<double> nanos_{0};
  Atomic<double> bytes_{0};
};

}  // namespace varve
