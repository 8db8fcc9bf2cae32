#include "base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace varve {
namespace {

TEST(Random, SameSeedSameNumbers) {
  Random a(42);
  Random b(42);
  Random c(43);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const uint64_t number = a.next();
    EXPECT_EQ(number, b.next());
    differs |= number != c.next();
  }
  EXPECT_TRUE(differs);
}

// A seed that a failed test printed must mean the same thing tomorrow.
TEST(Random, GoldenNumbers) {
  Random random(1);
  EXPECT_EQ(random.next(), 0xb3f2af6d0fc710c5ull);
  EXPECT_EQ(random.next(), 0x853b559647364ceaull);
}

TEST(Random, BelowStaysBelowAndReachesAll) {
  Random random(7);
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t value = random.below(10);
    EXPECT_LT(value, 10u);
    seen.insert(value);
  }
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_EQ(random.below(1), 0u);
  for (int i = 0; i < 100; ++i) {
    const double unit = random.unit();
    EXPECT_GE(unit, 0);
    EXPECT_LT(unit, 1);
  }
}

TEST(Random, SystemSeedsAndFileIdsDiffer) {
  EXPECT_NE(random_seed(), random_seed());
  EXPECT_NE(random_file_id(), random_file_id());
}

TEST(Random, ReplayedEntropyRepeatsFromItsSeedAndEndsWithItsScope) {
  FileId first;
  {
    const ReplayedEntropy replayed(3);
    first = random_file_id();
    const ReplayedEntropy inner(3);
    EXPECT_EQ(random_file_id(), first);
  }
  {
    const ReplayedEntropy replayed(3);
    EXPECT_EQ(random_file_id(), first);
    EXPECT_NE(random_file_id(), first);
  }
  EXPECT_NE(random_file_id(), first);
}

}  // namespace
}  // namespace varve
