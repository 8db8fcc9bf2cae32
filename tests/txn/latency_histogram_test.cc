#include "txn/latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "base/manual_clock.h"
#include "base/random.h"
#include "tests/support/seeded_test.h"

namespace varve::test {
namespace {

TEST(LatencyHistogram, percentiles_are_those_of_a_sorted_list_to_an_eighth) {
  VARVE_SEEDED_TEST(random);
  LatencyHistogram histogram(Clock::system(), 1);
  std::vector<uint64_t> times;
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t time = 128 + (uint64_t{1} << random.below(34)) + random.below(1000);
    times.push_back(time);
    histogram.add(time);
  }
  std::sort(times.begin(), times.end());
  const LatencyStatistics found = histogram.statistics();
  EXPECT_EQ(found.count, times.size());
  EXPECT_EQ(found.longest_nanos, times.back());
  const auto expect_percentile = [&](uint64_t nanos, size_t per_mille) {
    const uint64_t exact = times[times.size() * per_mille / 1000 - 1];
    EXPECT_GE(nanos, exact);
    EXPECT_LE(nanos, exact + exact / 8 + 1);
  };
  expect_percentile(found.p50_nanos, 500);
  expect_percentile(found.p95_nanos, 950);
  expect_percentile(found.p99_nanos, 990);
  expect_percentile(found.p999_nanos, 999);
  uint64_t total = 0;
  std::vector<uint64_t> counts(kLatencyBuckets);
  for (const uint64_t time : times) {
    total += time;
    size_t i = 0;
    while (time >= latency_bound_nanos(i)) ++i;
    ++counts[i];
  }
  EXPECT_EQ(found.total_nanos, total);
  EXPECT_TRUE(std::equal(counts.begin(), counts.end(), found.counts.begin()));
}

TEST(LatencyHistogram, extremes_are_counted) {
  LatencyHistogram histogram(Clock::system(), 1);
  EXPECT_EQ(histogram.statistics().p50_nanos, 0u);
  for (const uint64_t time : {uint64_t{0}, uint64_t{127}, uint64_t{1} << 40, UINT64_MAX / 4}) {
    histogram.add(time);
  }
  const LatencyStatistics found = histogram.statistics();
  EXPECT_EQ(found.count, 4u);
  EXPECT_EQ(found.counts.front(), 2u);
  EXPECT_EQ(found.counts.back(), 2u);
  EXPECT_EQ(found.p50_nanos, 128u);
  EXPECT_EQ(found.p999_nanos, UINT64_MAX / 4);
}

TEST(LatencyHistogram, one_in_so_many_is_timed) {
  ManualClock clock;
  for (const uint32_t one_in : {1U, 2U, 16U, 100U}) {
    SCOPED_TRACE(one_in);
    LatencyHistogram histogram(&clock, one_in);
    constexpr uint64_t kCalls = 200'000;
    for (uint64_t i = 0; i < kCalls; ++i) {
      const uint64_t begun = histogram.begin();
      clock.advance(i % 2 == 0 ? 1000 : 4000);  // a pattern
      histogram.end(begun);
    }
    const LatencyStatistics found = histogram.statistics();
    EXPECT_GE(found.count, kCalls / one_in * 9 / 10);
    EXPECT_LE(found.count, kCalls / one_in * 11 / 10 + 1);
    // Of either kind about half.
    EXPECT_NEAR(static_cast<double>(found.total_nanos) / static_cast<double>(found.count), 2500,
                250);
  }
  LatencyHistogram none(&clock, 0);
  for (int i = 0; i < 1000; ++i) none.end(none.begin());
  EXPECT_EQ(none.statistics().count, 0u);
}

TEST(LatencyHistogram, threads_share_it) {
  LatencyHistogram histogram(Clock::system(), 1);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&histogram, t] {
      for (uint64_t i = 0; i < 5000; ++i) histogram.add(1000 * (t + 1));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const LatencyStatistics found = histogram.statistics();
  EXPECT_EQ(found.count, 20'000u);
  EXPECT_EQ(found.total_nanos, 5000u * 1000 * 10);
  EXPECT_EQ(found.longest_nanos, 4000u);
}

}  // namespace
}  // namespace varve::test
