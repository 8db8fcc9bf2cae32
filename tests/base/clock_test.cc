#include "varve/clock.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/manual_clock.h"

namespace varve {
namespace {

TEST(SystemClock, RealtimeIsNanosecondsSince1970) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const uint64_t expected =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  const uint64_t read = Clock::system()->realtime_nanos();
  constexpr uint64_t kMinute = 60ull * 1'000'000'000;
  EXPECT_GT(read, expected - kMinute);
  EXPECT_LT(read, expected + kMinute);
}

TEST(SystemClock, MonotonicNeverGoesBack) {
  Clock* clock = Clock::system();
  uint64_t last = clock->monotonic_nanos();
  for (int i = 0; i < 1000; ++i) {
    const uint64_t now = clock->monotonic_nanos();
    EXPECT_GE(now, last);
    last = now;
  }
}

TEST(ManualClock, StandsStillUntilMoved) {
  ManualClock clock(1000);
  EXPECT_EQ(clock.realtime_nanos(), 1000u);
  EXPECT_EQ(clock.realtime_nanos(), 1000u);
  EXPECT_EQ(clock.monotonic_nanos(), 0u);
  clock.advance(5);
  EXPECT_EQ(clock.realtime_nanos(), 1005u);
  EXPECT_EQ(clock.monotonic_nanos(), 5u);
  clock.set_realtime(10);
  EXPECT_EQ(clock.realtime_nanos(), 10u);
  EXPECT_EQ(clock.monotonic_nanos(), 5u);
}

}  // namespace
}  // namespace varve
