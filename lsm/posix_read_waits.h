// Whether reads wait for a device, as far as the last ones tell: then several at a time are worth
// more than what it costs to find out which.
//
// Thread rule: any thread.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.h"

namespace varve {

class ReadWaits {
 public:
  // Of single reads one in so many is to be noted.
  static constexpr unsigned kNotedOneIn = 4;

  // `reads` of `bytes` in all, asked for together, were waited for so long.
  void note(uint64_t nanos, size_t reads, uint64_t bytes) {
    // From the system's page cache a read takes a microsecond or two and copies 4 GB/s; the fastest
    // devices take 50 us.
    const bool waited = nanos > 10'000 + 1'500 * reads + bytes / 2;
    const uint32_t share = share_.load(kRelaxed);  // a lost update costs nothing
    share_.store(share - share / kMemory + (waited ? kWhole / kMemory : 0), kRelaxed);
  }
  bool lately() const { return share_.load(kRelaxed) > kWhole / 4; }  // a hint

 private:
  static constexpr uint32_t kWhole = 1024;
  static constexpr uint32_t kMemory = 16;  // notes that count, about

  Atomic<uint32_t> share_{0};  // of the last notes that waited, of kWhole
};

}  // namespace varve
