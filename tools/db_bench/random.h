// Draws for workloads: wyrand (W. Yi), one multiplication a draw, so that choosing a key costs next
// to nothing beside the operation that is measured. Replayable from a seed. Not for secrets.

#pragma once

#include <cstdint>

#include "base/hash.h"

namespace varve::bench {

class Draw {
 public:
  explicit Draw(uint64_t seed) : state_(mix64(seed + 0x9e3779b97f4a7c15ull)) {}

  uint64_t next() {
    state_ += 0xa0761d6478bd642full;
    const auto product = static_cast<unsigned __int128>(state_) * (state_ ^ 0xe7037ed1a0b428dbull);
    return static_cast<uint64_t>(product >> 64) ^ static_cast<uint64_t>(product);
  }
  // In [0, bound), bound > 0.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // in [0, 1)
  bool percent(uint32_t share) { return below(100) < share; }

 private:
  uint64_t state_;
};

}  // namespace varve::bench
