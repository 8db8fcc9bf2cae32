#include "memory/memory_manager.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/atomic.h"
#include "base/random.h"
#include "base/thread.h"
#include "memory/heap.h"

namespace varve {
namespace {

void expect_consistent(const MemoryReport& report) {
  uint64_t sum = 0;
  for (const MemoryReport::Role& role : report.roles) {
    sum += role.live_bytes;
    EXPECT_GE(role.high_water_bytes, role.live_bytes);
  }
  EXPECT_EQ(report.live_bytes, sum);
  EXPECT_EQ(report.held_bytes, report.live_bytes + report.idle_bytes);
}

TEST(MemoryManager, AccountsByRole) {
  MemoryManager manager(64 << 20);
  EXPECT_EQ(manager.budget_bytes(), 64u << 20);
  void* a = manager.allocate(1000, MemoryRole::batch);
  void* b = manager.allocate(5 << 20, MemoryRole::filter);
  EXPECT_EQ(manager.live_bytes(MemoryRole::batch), MemoryManager::usable_size(1000));
  EXPECT_EQ(manager.live_bytes(MemoryRole::filter), MemoryManager::usable_size(5 << 20));
  EXPECT_EQ(manager.live_bytes(),
            MemoryManager::usable_size(1000) + MemoryManager::usable_size(5 << 20));
  manager.release(a, 1000, MemoryRole::batch);
  manager.release(b, 5 << 20, MemoryRole::filter);
  EXPECT_EQ(manager.live_bytes(), 0u);
}

TEST(MemoryManager, ReportSumsExactly) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  MemoryManager manager(16 << 20);
  struct Block {
    void* data;
    size_t size;
    MemoryRole role;
  };
  std::vector<Block> blocks;
  for (int step = 0; step < 5'000; ++step) {
    if (blocks.size() < 200 && random.one_in(2)) {
      const size_t size = 1 + (random.one_in(20) ? random.below(2 << 20) : random.below(5000));
      const MemoryRole role = static_cast<MemoryRole>(random.below(kMemoryRoleCount));
      blocks.push_back({manager.allocate(size, role), size, role});
      ASSERT_NE(blocks.back().data, nullptr);
    } else if (!blocks.empty()) {
      const size_t i = random.below(blocks.size());
      manager.release(blocks[i].data, blocks[i].size, blocks[i].role);
      blocks[i] = blocks.back();
      blocks.pop_back();
    }
    if (step % 100 == 0) {
      uint64_t expected = 0;
      for (const Block& block : blocks) expected += MemoryManager::usable_size(block.size);
      const MemoryReport report = manager.report();
      expect_consistent(report);
      ASSERT_EQ(report.live_bytes, expected);
      if (random.one_in(5)) manager.purge();
    }
  }
  for (const Block& block : blocks) manager.release(block.data, block.size, block.role);
  expect_consistent(manager.report());
  EXPECT_EQ(manager.live_bytes(), 0u);
}

TEST(MemoryManager, ReportIsConsistentWhileOthersWork) {
  MemoryManager manager(16 << 20);
  Atomic<bool> ended{false};
  {
    std::vector<Thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back("varve-test", 0, [&, t] {
        Random random(static_cast<uint64_t>(t));
        while (!ended.load(kRelaxed)) {
          const size_t size = 1 + random.below(20'000);
          void* block = manager.allocate(size, MemoryRole::cursor);
          manager.release(block, size, MemoryRole::cursor);
        }
      });
    }
    for (int i = 0; i < 200; ++i) expect_consistent(manager.report());
    ended.store(true);
  }
  EXPECT_EQ(manager.live_bytes(), 0u);
}

TEST(MemoryManager, PurgeReturnsIdleMemory) {
  MemoryManager manager(1 << 30);
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) {
    blocks.push_back(manager.allocate(16'384, MemoryRole::block_frames));
    std::memset(blocks.back(), 1, 16'384);
  }
  for (void* block : blocks) manager.release(block, 16'384, MemoryRole::block_frames);
  const uint64_t idle = manager.report().idle_bytes;
  EXPECT_GE(idle, 14u << 20);  // within what the budget lets it keep
  EXPECT_GE(manager.purge(), 14u << 20);
  EXPECT_LT(manager.report().idle_bytes, 1u << 20);
}

TEST(MemoryManager, ReportHasOnePoolForEachClassInUse) {
  MemoryManager manager(1 << 20);
  void* block = manager.allocate(4096, MemoryRole::control);
  size_t slabs_in_use = 0;
  for (const PoolStatistics& pool : manager.report().pools) {
    if (pool.name.rfind("slab", 0) == 0 && pool.in_use != 0) ++slabs_in_use;
  }
  EXPECT_EQ(slabs_in_use, 1u);
  manager.release(block, 4096, MemoryRole::control);
}

TEST(MemoryManager, ChargesOfOthersCountAsLiveAndHeld) {
  MemoryManager manager(1 << 20);
  const uint64_t held = manager.report().held_bytes;
  manager.charge(12'345, MemoryRole::log_buffer);
  EXPECT_EQ(manager.live_bytes(MemoryRole::log_buffer), 12'345u);
  EXPECT_EQ(manager.report().held_bytes, held + 12'345);
  expect_consistent(manager.report());
  manager.discharge(12'345, MemoryRole::log_buffer);
  EXPECT_EQ(manager.report().held_bytes, held);
}

TEST(MemoryManager, RefusalIsNullAndChangesNothing) {
  MemoryManager manager(1 << 20);
  EXPECT_EQ(manager.allocate(size_t{1} << 60, MemoryRole::batch), nullptr);
  EXPECT_EQ(manager.live_bytes(), 0u);
}

#if defined(VARVE_DEBUG)

TEST(MemoryManager, ATestMayLetACallFail) {
  MemoryManager manager(1 << 20);
  manager.fail_allocation_after(3);
  void* blocks[4];
  for (void*& block : blocks) block = manager.allocate(100, MemoryRole::batch);
  EXPECT_NE(blocks[0], nullptr);
  EXPECT_NE(blocks[1], nullptr);
  EXPECT_EQ(blocks[2], nullptr);
  EXPECT_NE(blocks[3], nullptr);
  for (void* block : blocks) {
    if (block != nullptr) manager.release(block, 100, MemoryRole::batch);
  }
}

#endif

}  // namespace
}  // namespace varve
