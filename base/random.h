// Pseudo-random numbers, replayable from a seed: xoshiro256** (D. Blackman, S. Vigna, 2018),
// seeded by splitmix64. Not for secrets.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/hash.h"

namespace varve {

class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15ull;
      word = mix64(seed);
    }
  }
  uint64_t next() {
    const uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }
  // In [0, bound), bound > 0; bias below 2^-32 for bounds below 2^32.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }
  // True once in `n` calls on average.
  bool one_in(uint64_t n) { return below(n) == 0; }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // in [0, 1)

 private:
  static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
  uint64_t state_[4];
};

// From the operating system's entropy, or a scheduler's run; for file ids and default seeds.
uint64_t random_seed();
FileId random_file_id();

// While it lives, random_seed() and random_file_id() of this thread draw from `seed`, so that a
// test can replay a run to the byte. Nests; innermost first to be destroyed.
class ReplayedEntropy {
 public:
  explicit ReplayedEntropy(uint64_t seed);
  ~ReplayedEntropy();
  ReplayedEntropy(const ReplayedEntropy&) = delete;
  ReplayedEntropy& operator=(const ReplayedEntropy&) = delete;

 private:
  friend uint64_t random_seed();
  Random random_;
  ReplayedEntropy* const outer_;
};

}  // namespace varve
