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
    const double latest = static_cast<double>(now - began) / static_cast<double>(bytes);
    const double before = nanos_per_byte_.load(kRelaxed);
    nanos_per_byte_.store(before == 0 ? latest : (3 * before + latest) / 4, kRelaxed);
  }
  void cancel() { began_.store(0, kRelaxed); }
  // Until `bytes`, of which a part may be done, are through. Work that takes longer than it used to
  // is never taken for nearly done. 0: nothing is known yet.
  uint64_t nanos_left(uint64_t bytes, uint64_t now) const {
    const double whole = nanos_per_byte_.load(kRelaxed) * static_cast<double>(bytes);
    const uint64_t began = began_.load(kRelaxed);
    const double passed = began == 0 || now < began ? 0 : static_cast<double>(now - began);
    return static_cast<uint64_t>(std::max(whole - passed, whole / 8));
  }

 private:
  Atomic<uint64_t> began_{0};  // 0: none is under way
  Atomic<double> nanos_per_byte_{0};
};

}  // namespace varve
