#include "tools/db_bench/histogram.h"

#include <cmath>

namespace varve::bench {

void Histogram::merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; i++) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  largest_ = std::max(largest_, other.largest_);
  smallest_ = std::min(smallest_, other.smallest_);
}

double Histogram::average() const {
  return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

double Histogram::quantile(double share) const {
  if (count_ == 0) return 0;
  const auto wanted =
      std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_))));
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; i++) {
    seen += buckets_[i];
    if (seen < wanted) continue;
    const double middle =
        (static_cast<double>(lower_bound(i)) + static_cast<double>(lower_bound(i + 1) - 1)) / 2;
    return std::clamp(middle, static_cast<double>(smallest_), static_cast<double>(largest_));
  }
  return static_cast<double>(largest_);
}

}  // namespace varve::bench
