#include "lsm/write_stall.h"

#include <gtest/gtest.h>

#include "lsm/work_rate.h"

namespace varve::test {
namespace {

TEST(WriteStallTest, waits_for_what_is_owed) {
  const auto stall = [](uint64_t bytes, size_t runs) {
    return write_stall(
        {.memtable_bytes = bytes, .memtable_bytes_max = 100, .runs = runs, .runs_max = 10});
  };
  EXPECT_EQ(stall(0, 0), WriteStall::none);
  EXPECT_EQ(stall(99, 9), WriteStall::none);
  EXPECT_EQ(stall(100, 0), WriteStall::memtables);
  EXPECT_EQ(stall(0, 10), WriteStall::runs);
  EXPECT_EQ(stall(100, 10), WriteStall::memtables) << "flushes come first";
}

// A burst that would reach the bound in the middle of a flush is spread over all of it.
TEST(WriteStallTest, paces_writes_so_that_the_room_lasts) {
  EXPECT_EQ(pace_nanos(10, /*nanos_left=*/1000, /*room=*/100), 100u);
  EXPECT_EQ(pace_nanos(10, 0, 100), 0u) << "nothing is known yet";
  EXPECT_EQ(pace_nanos(10, 1000, 5), 1000u);
  uint64_t nanos = 0;
  uint64_t room = 1'000'000;
  constexpr uint64_t kLeft = 1'000'000'000;
  while (room > 100 && nanos < kLeft) {
    nanos += pace_nanos(100, kLeft - nanos, room);
    room -= 100;
  }
  EXPECT_NEAR(static_cast<double>(nanos), kLeft, 1e6) << "and no longer";
}

constexpr uint64_t kMib = 1 << 20;

TEST(WriteStallTest, work_takes_about_as_long_as_it_took) {
  WorkRate rate;
  EXPECT_EQ(rate.nanos_left(1000, 5), 0u);
  rate.begin(100);
  rate.end(3 * kMib, 100 + 8 * kMib);  // 2 a byte, of 3 MiB and what counts as one more
  EXPECT_EQ(rate.nanos_left(500, 5000), 1000u);
  rate.begin(5000);
  EXPECT_EQ(rate.nanos_left(500, 5400), 600u);
  EXPECT_EQ(rate.nanos_left(500, 9000), 125u) << "late, and never nearly done";
  rate.cancel();
  EXPECT_EQ(rate.nanos_left(500, 9000), 1000u);
  rate.begin(10'000);
  rate.end(3 * kMib, 10'000 + 22 * kMib);  // (3/4 8 + 22) / (3/4 4 + 4) = 4 a byte
  EXPECT_EQ(rate.nanos_left(1000, 100 * kMib), 4000u) << "most of the way to the latest";
  rate.end(3 * kMib, 999 * kMib);
  EXPECT_EQ(rate.nanos_left(1000, 1000 * kMib), 4000u) << "nothing was under way";
}

// A cold keyspace's 20 KiB that took 20 ms, most of them for syncs, say nothing of 64 MiB.
TEST(WriteStallTest, small_work_is_not_taken_for_slow_work) {
  WorkRate rate;
  uint64_t now = 1;
  for (int i = 0; i < 20; ++i) {
    rate.begin(now);
    now += 20'000'000;
    rate.end(20'000, now);
  }
  EXPECT_LT(rate.nanos_left(64 * kMib, now), 2'000'000'000u);
  rate.begin(now);
  now += 600'000'000;
  rate.end(64 * kMib, now);
  const uint64_t whole = rate.nanos_left(64 * kMib, now);
  rate.begin(now);
  now += 20'000'000;
  rate.end(20'000, now);
  EXPECT_LT(rate.nanos_left(64 * kMib, now), whole + whole / 10);
}

}  // namespace
}  // namespace varve::test
