#include "lsm/write_stall.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace varve::test
