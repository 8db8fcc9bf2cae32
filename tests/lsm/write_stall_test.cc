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

TEST(WriteStallTest, work_takes_about_as_long_as_it_took) {
  WorkRate rate;
  EXPECT_EQ(rate.nanos_left(1000, 5), 0u);
  rate.begin(100);
  rate.end(1000, 2100);  // 2 a byte
  EXPECT_EQ(rate.nanos_left(500, 5000), 1000u);
  rate.begin(5000);
  EXPECT_EQ(rate.nanos_left(500, 5400), 600u);
  EXPECT_EQ(rate.nanos_left(500, 9000), 125u) << "late, and never nearly done";
  rate.cancel();
  EXPECT_EQ(rate.nanos_left(500, 9000), 1000u);
  rate.begin(10'000);
  rate.end(1000, 16'000);  // 6 a byte
  EXPECT_EQ(rate.nanos_left(1000, 16'000), 3000u) << "a quarter of the way to the latest";
  rate.end(1000, 99'000);
  EXPECT_EQ(rate.nanos_left(1000, 99'000), 3000u) << "nothing was under way";
}

}  // namespace
}  // namespace varve::test
