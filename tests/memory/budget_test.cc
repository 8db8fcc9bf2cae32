#include "memory/budget.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/random.h"
#include "base/thread.h"

namespace varve {
namespace {

constexpr MemoryRole kRole = MemoryRole::index;

TEST(Budget, RolesAreSeparate) {
  const auto budget = std::make_unique<Budget>(1000);
  EXPECT_EQ(budget->bytes(), 1000u);
  budget->charge(10, MemoryRole::memtable);
  budget->charge(20, MemoryRole::control);
  EXPECT_EQ(budget->live(MemoryRole::memtable), 10u);
  EXPECT_EQ(budget->live(MemoryRole::control), 20u);
  EXPECT_EQ(budget->live(kRole), 0u);
}

TEST(Budget, OneThreadsHighWaterIsExact) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  const auto budget = std::make_unique<Budget>(0);
  std::vector<size_t> charges;
  uint64_t live = 0;
  uint64_t high_water = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (charges.empty() || random.below(100) < 52) {
      charges.push_back(random.one_in(50) ? random.below(1 << 20) : random.below(1000));
      live += charges.back();
      budget->charge(charges.back(), kRole);
    } else {
      const size_t j = random.below(charges.size());
      live -= charges[j];
      budget->discharge(charges[j], kRole);
      charges[j] = charges.back();
      charges.pop_back();
    }
    high_water = std::max(high_water, live);
    const MemoryReport::Role role = budget->role(kRole);
    ASSERT_EQ(role.live_bytes, live);
    ASSERT_EQ(role.high_water_bytes, high_water);
  }
}

TEST(Budget, ManyThreadsSumUp) {
  constexpr size_t kThreads = 8;
  const auto budget = std::make_unique<Budget>(0);
  for (int round = 0; round < 2; ++round) {  // charged by one thread, discharged by another
    std::vector<Thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back("varve-test", 0, [&, round] {
        for (int i = 0; i < 10'000; ++i) {
          if (round == 0) {
            budget->charge(100, kRole);
          } else {
            budget->discharge(100, kRole);
          }
        }
      });
    }
    threads.clear();
    EXPECT_EQ(budget->live(kRole), round == 0 ? kThreads * 1'000'000 : 0);
  }
  const uint64_t high_water = budget->role(kRole).high_water_bytes;
  EXPECT_GE(high_water, kThreads * 1'000'000);
  EXPECT_LE(high_water, kThreads * (1'000'000 + 32 * 1024));
}

TEST(Budget, EachUrgencyReachesDeeper) {
  constexpr uint64_t kBytes = 24 << 20;
  constexpr uint64_t kQuota = Budget::quota_of(kBytes);
  const auto budget = std::make_unique<Budget>(kBytes);
  const auto most = [&](Urgency urgency) {
    while (budget->reserve(1024, urgency)) {
    }
    return budget->reserved_bytes();
  };
  EXPECT_EQ(most(Urgency::normal), kBytes - kQuota);
  EXPECT_EQ(most(Urgency::commit), kBytes - kQuota * 3 / 4);
  EXPECT_EQ(most(Urgency::compaction), kBytes - kQuota * 3 / 8);
  EXPECT_EQ(most(Urgency::flush), kBytes);
  budget->give_back(kQuota);
  EXPECT_FALSE(budget->reserve(1, Urgency::normal));
  budget->give_back(1024);
  EXPECT_TRUE(budget->reserve(1024, Urgency::normal));
  EXPECT_FALSE(budget->reserve(SIZE_MAX, Urgency::flush));
}

TEST(Budget, WhatIsAddedCountsEvenBeyondTheLimit) {
  const auto budget = std::make_unique<Budget>(1000);
  budget->add(5000);
  EXPECT_FALSE(budget->reserve(1, Urgency::flush));
  budget->give_back(4700);
  EXPECT_TRUE(budget->reserve(1, Urgency::normal));
}

}  // namespace
}  // namespace varve
