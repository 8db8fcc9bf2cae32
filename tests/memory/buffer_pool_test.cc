#include "memory/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/random.h"
#include "base/thread.h"
#include "memory/poison.h"

namespace varve {
namespace {

constexpr BufferPool::Settings kSettings = {.name = "row buffers", .role = MemoryRole::cursor};

TEST(BufferPool, CapacitiesArePowersOfTwo) {
  MemoryManager manager(64 << 20);
  BufferPool pool(&manager, kSettings);
  for (size_t size = 1; size <= (1 << 20); size += 1 + size / 5) {
    const BufferPool::Item item = pool.acquire(size);
    ASSERT_NE(item.data, nullptr);
    EXPECT_GE(item.capacity, size);
    EXPECT_TRUE(item.capacity == 64 || item.capacity < 2 * size);
    EXPECT_EQ(item.capacity & (item.capacity - 1), 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(item.data) % 64, 0u);
    std::memset(item.data, 1, item.capacity);
    pool.release(item);
  }
  EXPECT_TRUE(pool.validate());
}

TEST(BufferPool, AReleasedBufferIsReused) {
  MemoryManager manager(64 << 20);
  BufferPool pool(&manager, kSettings);
  const BufferPool::Item first = pool.acquire(1000);
  pool.release(first);
  const BufferPool::Item second = pool.acquire(700);
  EXPECT_EQ(second.data, first.data);
  pool.release(second);
  const PoolStatistics statistics = pool.statistics();
  EXPECT_EQ(statistics.name, "row buffers");
  EXPECT_EQ(statistics.acquired, 2u);
  EXPECT_EQ(statistics.reused, 1u);
  EXPECT_EQ(statistics.missed, 1u);
  EXPECT_EQ(statistics.in_use, 0u);
  EXPECT_EQ(statistics.high_water, 1u);
  EXPECT_EQ(statistics.held_bytes, 1024u);
}

TEST(BufferPool, SteadyUseAllocatesNothing) {
  MemoryManager manager(64 << 20);
  BufferPool pool(&manager, kSettings);
  for (int i = 0; i < 1000; ++i) {
    const PooledBuffer key(pool, 100);
    const PooledBuffer row(pool, 3000);
    key.data()[0] = row.data()[0] = 1;
  }
  EXPECT_EQ(pool.statistics().missed, 2u);
}

TEST(BufferPool, IdleBuffersAreBounded) {
  MemoryManager manager(64 << 20);
  BufferPool pool(&manager,
                  {.name = "small", .role = MemoryRole::cursor, .idle_bytes_max = 10'000});
  std::vector<BufferPool::Item> items;
  for (int i = 0; i < 100; ++i) items.push_back(pool.acquire(i % 2 == 0 ? 64 : 4096));
  for (const BufferPool::Item& item : items) pool.release(item);
  EXPECT_TRUE(pool.validate());
  EXPECT_LE(pool.statistics().held_bytes, 10'000u);
  EXPECT_GT(pool.statistics().held_bytes, 0u);
}

TEST(BufferPool, LargerThanTheLastTierIsNotKept) {
  MemoryManager manager(64 << 20);
  BufferPool pool(&manager, kSettings);
  const BufferPool::Item item = pool.acquire((1 << 20) + 1);
  ASSERT_NE(item.data, nullptr);
  EXPECT_EQ(pool.statistics().held_bytes, item.capacity);
  pool.release(item);
  EXPECT_EQ(pool.statistics().held_bytes, 0u);
  EXPECT_EQ(manager.live_bytes(), 0u);
}

TEST(BufferPool, TrimGivesIdleBuffersBack) {
  MemoryManager manager(64 << 20);
  BufferPool pool(&manager, kSettings);
  for (const size_t size : {64u, 5000u, 200'000u}) pool.release(pool.acquire(size));
  EXPECT_EQ(manager.live_bytes(MemoryRole::cursor), 64u + 8192 + 262'144);
  EXPECT_EQ(pool.trim(), 64u + 8192 + 262'144);
  EXPECT_EQ(manager.live_bytes(), 0u);
  EXPECT_TRUE(pool.validate());
}

TEST(BufferPool, RefusalIsNullData) {
  MemoryManager manager(64 << 20);
  BufferPool pool(&manager, kSettings);
  EXPECT_EQ(pool.acquire(size_t{1} << 60).data, nullptr);
  EXPECT_EQ(pool.statistics().in_use, 0u);
}

TEST(BufferPool, ManyThreadsExchangeBuffers) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  MemoryManager manager(64 << 20);
  {
    BufferPool pool(&manager, kSettings);
    Mutex mutex;
    std::vector<BufferPool::Item> shared;
    {
      std::vector<Thread> threads;
      for (uint64_t t = 0; t < 5; ++t) {
        threads.emplace_back("varve-test", 0, [&, t] {
          Random random(seed + t);
          for (int i = 0; i < 3000; ++i) {
            BufferPool::Item item = pool.acquire(1 + random.below(20'000));
            item.data[0] = item.data[item.capacity - 1] = 1;
            {
              MutexLock lock(mutex);
              shared.push_back(item);
              if (shared.size() < 20) continue;
              std::swap(shared[random.below(shared.size())], shared.back());
              item = shared.back();
              shared.pop_back();
            }
            pool.release(item);
            if (random.one_in(500)) pool.trim();
          }
        });
      }
    }
    for (const BufferPool::Item& item : shared) pool.release(item);
    EXPECT_TRUE(pool.validate());
    EXPECT_EQ(pool.statistics().in_use, 0u);
    EXPECT_EQ(pool.statistics().held_bytes, manager.live_bytes(MemoryRole::cursor));
  }
  EXPECT_EQ(manager.live_bytes(), 0u);
}

#if defined(VARVE_ASAN)

TEST(BufferPoolDeathTest, UseOfAnIdleBufferIsSeen) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        MemoryManager manager(64 << 20);
        BufferPool pool(&manager, kSettings);
        const BufferPool::Item item = pool.acquire(100);
        pool.release(item);
        *static_cast<volatile char*>(item.data) = 1;
      },
      "use-after-poison");
}

#endif

}  // namespace
}  // namespace varve
