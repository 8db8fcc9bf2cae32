// A pseudo-random bijection of [0, size) on itself, in O(1) memory: rank to id, so that ids can be
// written each once in random order without an array of them.
//
// Invariants: (1) each step maps the k-bit numbers one to one (adding, multiplying by an odd number
// and xor with its own upper bits are invertible modulo 2^k), so all of them do; (2) where 2^k >
// size, a result outside is mapped again until one is inside (cycle walking; J. Black, P. Rogaway,
// "Ciphers with arbitrary finite domains", 2002), which keeps it one to one; 2^k < 2 size, so that
// takes less than two rounds on average.

#pragma once

#include <bit>
#include <cstdint>

#include "base/hash.h"

namespace varve::bench {

class Permutation {
 public:
  // size > 0.
  Permutation(uint64_t size, uint64_t seed) : size_(size) {
    const int bits = size <= 1 ? 0 : std::bit_width(size - 1);
    mask_ = bits == 64 ? UINT64_MAX : (uint64_t{1} << bits) - 1;
    shift_ = bits / 2 + 1;
    for (int round = 0; round < kRounds; round++) {
      multipliers_[round] = mix64(seed + 2 * static_cast<uint64_t>(round) + 1) | 1;
      offsets_[round] = mix64(seed + 2 * static_cast<uint64_t>(round) + 2);
    }
  }

  uint64_t size() const { return size_; }
  // rank < size().
  uint64_t operator()(uint64_t rank) const {
    uint64_t id = rank;
    do {
      for (int round = 0; round < kRounds; round++) {
        id = (id * multipliers_[round] + offsets_[round]) & mask_;
        id ^= id >> shift_;
      }
    } while (id >= size_);
    return id;
  }

 private:
  static constexpr int kRounds = 4;
  uint64_t size_;
  uint64_t mask_;
  int shift_;
  uint64_t multipliers_[kRounds];
  uint64_t offsets_[kRounds];
};

}  // namespace varve::bench
