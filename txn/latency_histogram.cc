#include "txn/latency_histogram.h"

#include "base/thread_slot.h"

namespace varve {

namespace internal {
constinit thread_local LatencyDraw latency_draw __attribute__((tls_model("initial-exec")));
}  // namespace internal

namespace {

// Source: G. Marsaglia, Xorshift RNGs, Journal of Statistical Software 8 (14), 2003.
uint32_t next_random(uint32_t* state) {
  uint32_t x = *state != 0 ? *state : static_cast<uint32_t>(this_thread_slot()) * 2654435769U + 1;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return *state = x;
}

}  // namespace

bool LatencyHistogram::draws_anew() {
  if (one_in_ <= 1) return one_in_ == 1;
  // From 0 to twice as many, less 2: of `one_in_` calls one, on average.
  internal::LatencyDraw& draw = internal::latency_draw;
  draw.left = next_random(&draw.random) % (2 * one_in_ - 1);
  return true;
}

void LatencyHistogram::add(uint64_t nanos) {
  Copy& copy = copies_[this_thread_slot() % kCopies];
  copy.total_nanos.add(nanos);
  copy.buckets[bucket_of(nanos)].add();
  uint64_t longest = longest_.load(kRelaxed);  // a statistic
  while (longest < nanos && !longest_.compare_exchange(longest, nanos, kRelaxed)) {
  }
}

LatencyStatistics LatencyHistogram::statistics() const {
  LatencyStatistics result;
  uint64_t counts[kBuckets] = {};
  for (const Copy& copy : copies_) {
    result.total_nanos += copy.total_nanos.get();
    for (size_t i = 0; i < kBuckets; ++i) counts[i] += copy.buckets[i].get();
  }
  for (size_t i = 0, coarse = 0; i < kBuckets; ++i) {
    while (coarse + 1 < kLatencyBuckets && bound_of(i) > latency_bound_nanos(coarse)) ++coarse;
    result.counts[coarse] += counts[i];
    result.count += counts[i];
  }
  result.longest_nanos = longest_.load(kRelaxed);  // a statistic
  // The bound of the bucket that the share of all ends in; of whole numbers, rounded up.
  const auto percentile = [&](uint64_t per_mille) {
    const uint64_t wanted = (result.count * per_mille + 999) / 1000;
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts[i];
      if (seen >= wanted && seen > 0) return std::min(bound_of(i), result.longest_nanos);
    }
    return uint64_t{0};
  };
  result.p50_nanos = percentile(500);
  result.p95_nanos = percentile(950);
  result.p99_nanos = percentile(990);
  result.p999_nanos = percentile(999);
  return result;
}

}  // namespace varve
