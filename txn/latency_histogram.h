// How long calls take, of those that are timed: one in so many, drawn by chance, so that no pattern
// of calls hides from it. Reading the clock twice takes longer than the rest of a read from memory;
// drawing costs a few instructions, and percentiles of a fair sample are those of all.
//
// Counts of times in buckets of 1/8 of a power of two, 128 ns to 68 s (the layout of G. Tene's
// HdrHistogram). Spread over a few copies, which threads share.
//
// Thread rule: all functions from any thread. Units: nanoseconds.

#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/atomic.h"
#include "varve/clock.h"
#include "varve/statistics.h"

namespace varve {

namespace internal {
// A thread's, of all histograms together: what one draws says nothing of the next one's.
struct LatencyDraw {
  uint32_t left = 0;  // calls until the next one that is timed
  uint32_t random = 0;
};
// Initial-exec, as in base/thread_slot.h: it takes 8 bytes of static TLS.
extern constinit thread_local LatencyDraw latency_draw __attribute__((tls_model("initial-exec")));
}  // namespace internal

class LatencyHistogram {
 public:
  // `one_in`: 1: each call is timed; 0: none.
  LatencyHistogram(Clock* clock, uint32_t one_in) : clock_(clock), one_in_(one_in) {}

  // Whether the next call is to be timed.
  bool draws() {
    if (__builtin_expect(one_in_ > 1 && internal::latency_draw.left > 0, 1)) {
      --internal::latency_draw.left;
      return false;
    }
    return draws_anew();
  }
  // Around a call, drawn or not; end() only if it is to count.
  uint64_t begin() { return draws() ? clock_->monotonic_nanos() : kNotTimed; }
  void end(uint64_t begun) {
    if (begun != kNotTimed) add(clock_->monotonic_nanos() - begun);
  }
  // What `call` answers, timed; it counts if that is ok.
  template <typename Call>
  __attribute__((noinline)) auto timed(const Call& call) -> decltype(call()) {
    const uint64_t begun = clock_->monotonic_nanos();
    auto answer = call();
    if (answer.ok()) end(begun);
    return answer;
  }

  void add(uint64_t nanos);
  // What was added so far. Beside add() its figures may be of different moments.
  LatencyStatistics statistics() const;

 private:
  static constexpr uint64_t kNotTimed = UINT64_MAX;
  static constexpr int kSubBits = 3;
  static constexpr int kLeastBits = 7;
  static constexpr int kMostBits = 36;
  // One for all below, and one for all above.
  static constexpr size_t kBuckets = (size_t{kMostBits - kLeastBits} << kSubBits) + 2;
  static constexpr size_t kCopies = 4;

  bool draws_anew();
  static size_t bucket_of(uint64_t nanos) {
    if (nanos < uint64_t{1} << kLeastBits) return 0;
    const int shift = std::bit_width(nanos) - 1 - kSubBits;
    const size_t bucket = (static_cast<size_t>(shift + kSubBits - kLeastBits) << kSubBits) +
                          (nanos >> shift) - (size_t{1} << kSubBits) + 1;
    return std::min(bucket, kBuckets - 1);
  }
  // Times in the bucket are below it.
  static uint64_t bound_of(size_t bucket) {
    if (bucket == kBuckets - 1) return UINT64_MAX;
    const size_t shift = (bucket >> kSubBits) + kLeastBits - kSubBits;
    return ((bucket & ((1U << kSubBits) - 1)) + (1U << kSubBits)) << shift;
  }

  struct alignas(64) Copy {
    Counter total_nanos;
    Counter buckets[kBuckets];
  };
  Clock* const clock_;
  const uint32_t one_in_;
  Copy copies_[kCopies];
  Atomic<uint64_t> longest_{0};
};

}  // namespace varve
