#include "memory/leak_check.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/random.h"
#include "memory/memory_manager.h"

namespace varve {
namespace {

#if defined(VARVE_DEBUG)

// One place in the code, whatever the optimiser does to a loop around it.
__attribute__((noinline)) void leak_one(MemoryManager& manager) {
  static_cast<void>(manager.allocate(500, MemoryRole::index));
  asm volatile("");  // no tail call: it returns to here
}

class LeakCheckDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(LeakCheckDeathTest, ALeakIsNamedWithRoleSizeAndAcquirer) {
  EXPECT_DEATH(
      {
        MemoryManager manager(64 << 20);
        static_cast<void>(manager.allocate(1000, MemoryRole::filter));
        static_cast<void>(manager.allocate(1000, MemoryRole::filter));
      },
      "bytes are live when their MemoryManager is destroyed\n"
      "varve: leak: role filter: 1000 bytes in 1 allocations, acquired at .*\\+0x");
}

TEST_F(LeakCheckDeathTest, ALeakOfALoopIsOneLine) {
  EXPECT_DEATH(
      {
        MemoryManager manager(64 << 20);
        for (int i = 0; i < 3; ++i) leak_one(manager);
      },
      "role index: 1500 bytes in 3 allocations");
}

TEST_F(LeakCheckDeathTest, ReleaseWithAnotherSizeIsAsserted) {
  EXPECT_DEATH(
      {
        MemoryManager manager(64 << 20);
        manager.release(manager.allocate(100, MemoryRole::filter), 101, MemoryRole::filter);
      },
      "allocation.size == size");
}

TEST_F(LeakCheckDeathTest, ReleaseWithAnotherRoleIsAsserted) {
  EXPECT_DEATH(
      {
        MemoryManager manager(64 << 20);
        manager.release(manager.allocate(100, MemoryRole::filter), 100, MemoryRole::index);
      },
      "allocation.role == role");
}

TEST_F(LeakCheckDeathTest, ReleasingTwiceIsAsserted) {
  EXPECT_DEATH(
      {
        MemoryManager manager(64 << 20);
        void* block = manager.allocate(100, MemoryRole::filter);
        manager.release(block, 100, MemoryRole::filter);
        manager.release(block, 100, MemoryRole::filter);
      },
      "assertion failed");
}

// Against a plain list, with many removals in the middle of probe sequences.
TEST(LeakCheck, RemembersExactlyWhatLives) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  const auto leaks = std::make_unique<LeakCheck>();
  struct Block {
    uintptr_t address;
    size_t size;
  };
  std::vector<Block> blocks;
  uintptr_t next = 0x10000;
  for (int step = 0; step < 200'000; ++step) {
    if (blocks.size() < 50'000 && random.below(5) < 3) {
      blocks.push_back({next += 16 * (1 + random.below(4)), random.below(1000)});
      leaks->acquired(reinterpret_cast<void*>(blocks.back().address),
                      {.size = blocks.back().size, .role = MemoryRole::index, .acquirer = nullptr});
    } else if (!blocks.empty()) {
      const size_t i = random.below(blocks.size());
      leaks->released(reinterpret_cast<void*>(blocks[i].address), blocks[i].size,
                      MemoryRole::index);
      blocks[i] = blocks.back();
      blocks.pop_back();
    }
  }
  for (const Block& block : blocks) {
    leaks->released(reinterpret_cast<void*>(block.address), block.size, MemoryRole::index);
  }
  EXPECT_EQ(leaks->report(), 0u);
}

// Beyond the table allocations are counted, not recorded; nothing breaks.
TEST(LeakCheck, MoreThanTheTableHolds) {
  const auto leaks = std::make_unique<LeakCheck>();
  constexpr uintptr_t kBlocks = 600'000;
  for (uintptr_t i = 1; i <= kBlocks; ++i) {
    leaks->acquired(reinterpret_cast<void*>(i * 64),
                    {.size = 1, .role = MemoryRole::index, .acquirer = nullptr});
  }
  for (uintptr_t i = 1; i <= kBlocks; ++i) {
    leaks->released(reinterpret_cast<void*>(i * 64), 1, MemoryRole::index);
  }
  EXPECT_EQ(leaks->report(), 0u);
}

#else

TEST(LeakCheck, CostsNothingInReleaseBuilds) {
  struct Holder {
    [[no_unique_address]] LeakCheck leaks;
    char byte;
  };
  EXPECT_EQ(sizeof(Holder), 1u);
  // A leak is the host's to find: nothing aborts.
  MemoryManager manager(64 << 20);
  static_cast<void>(manager.allocate(100, MemoryRole::filter));
}

#endif

}  // namespace
}  // namespace varve
