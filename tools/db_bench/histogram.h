// Counts of latencies in buckets of about 1.6 % width: 64 linear ones per power of two (the layout
// of G. Tene's HdrHistogram). 20 KiB; adding is a few instructions and never allocates.
//
// Thread rule: one thread at a time. Unit: whatever is added; db-bench adds ticks of clock.h.

#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace varve::bench {

class Histogram {
 public:
  void add(uint64_t value, uint64_t times = 1) {
    buckets_[bucket_of(value)] += times;
    count_ += times;
    sum_ += value * times;
    largest_ = std::max(largest_, value);
    smallest_ = std::min(smallest_, value);
  }
  // A value that counts for the maximum only.
  void note_largest(uint64_t value) { largest_ = std::max(largest_, value); }
  void merge(const Histogram& other);
  void clear() { *this = Histogram(); }

  uint64_t count() const { return count_; }
  uint64_t largest() const { return count_ == 0 ? 0 : largest_; }
  uint64_t smallest() const { return count_ == 0 ? 0 : smallest_; }
  double average() const;
  // `share` in [0, 1]: the value that this share of all does not exceed, to the bucket's width.
  double quantile(double share) const;

  // For printing, four ranges per power of two: visit(lower, upper, count) where there is a count.
  template <typename Visit>
  void for_each_range(Visit visit) const {
    constexpr size_t kTogether = (size_t{1} << kSubBits) / 4;
    for (size_t begin = 0; begin < kBuckets; begin += kTogether) {
      uint64_t count = 0;
      for (size_t i = begin; i < begin + kTogether; i++) count += buckets_[i];
      if (count != 0) visit(lower_bound(begin), lower_bound(begin + kTogether), count);
    }
  }

 private:
  static constexpr int kSubBits = 6;
  static constexpr int kValueBits = 46;  // at 3 GHz: 6 hours; larger values go to the last bucket
  static constexpr size_t kBuckets = static_cast<size_t>(kValueBits - kSubBits + 1) << kSubBits;

  static size_t bucket_of(uint64_t value) {
    if (value < (1u << kSubBits)) return value;
    const int shift = std::bit_width(value) - kSubBits - 1;
    const size_t bucket = (static_cast<size_t>(shift) << kSubBits) + (value >> shift);
    return std::min(bucket, kBuckets - 1);
  }
  static uint64_t lower_bound(size_t bucket) {
    if (bucket < (2u << kSubBits)) return bucket;
    const size_t shift = (bucket >> kSubBits) - 1;
    return ((bucket & ((1u << kSubBits) - 1)) + (1u << kSubBits)) << shift;
  }

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t largest_ = 0;
  uint64_t smallest_ = UINT64_MAX;
};

}  // namespace varve::bench
