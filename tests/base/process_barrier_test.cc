#include "base/process_barrier.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/atomic.h"
#include "base/thread.h"

namespace varve {
namespace {

TEST(ProcessBarrier, AnswerNeverChanges) {
  const bool available = process_barrier_available();
  EXPECT_EQ(process_barrier_available(), available);
  if (available) process_barrier();
}

// Store buffering (Dekker): with the barrier on one side only, not both may miss the other's store.
TEST(ProcessBarrier, OrdersTheOtherThreadsPlainStoresAndLoads) {
  if (!process_barrier_available()) GTEST_SKIP() << "the system refuses membarrier, or TSan";
  constexpr uint64_t kRounds = 3'000;
  alignas(64) static Atomic<uint64_t> cheap_side{0};
  alignas(64) static Atomic<uint64_t> costly_side{0};
  alignas(64) static Atomic<uint64_t> cheap_saw{0};
  alignas(64) static Atomic<uint64_t> round{0};
  Thread cheap("varve-test", 0, [] {
    for (uint64_t i = 1; i <= kRounds; ++i) {
      while (round.load(kAcquire) < i) std::this_thread::yield();
      cheap_side.store(i, kRelaxed);
      compiler_barrier();
      const uint64_t saw = costly_side.load(kRelaxed);
      cheap_saw.store(2 * i + (saw == i ? 1 : 0), kRelease);
    }
  });
  size_t both_missed = 0;
  for (uint64_t i = 1; i <= kRounds; ++i) {
    round.store(i, kRelease);
    costly_side.store(i, kRelaxed);
    process_barrier();
    const bool costly_missed = cheap_side.load(kRelaxed) != i;
    while (cheap_saw.load(kAcquire) < 2 * i) std::this_thread::yield();
    const bool cheap_missed = cheap_saw.load(kAcquire) == 2 * i;
    if (costly_missed && cheap_missed) ++both_missed;
  }
  EXPECT_EQ(both_missed, 0u);
}

}  // namespace
}  // namespace varve
