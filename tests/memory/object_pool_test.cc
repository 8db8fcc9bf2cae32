#include "memory/object_pool.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/atomic.h"
#include "base/thread.h"
#include "memory/allocation_faults.h"

namespace varve {
namespace {

struct Thing : PoolLink {
  explicit Thing(int* l) : living(l) { ++*living; }
  ~Thing() { --*living; }
  int* living;
  int uses = 0;
};

TEST(ObjectPool, ObjectsComeBackAsTheyWereReleased) {
  MemoryManager manager(64 << 20);
  int living = 0;
  {
    ObjectPool<Thing> pool("things", &manager, MemoryRole::cursor, 2);
    Thing* first = pool.acquire(&living);
    ++first->uses;
    pool.release(first);
    Thing* second = pool.acquire(&living);
    EXPECT_EQ(second, first);
    EXPECT_EQ(second->uses, 1);
    EXPECT_EQ(living, 1);
    EXPECT_EQ(pool.in_use(), 1u);
    pool.release(second);
  }
  EXPECT_EQ(living, 0);
  EXPECT_EQ(manager.live_bytes(), 0u);
}

TEST(ObjectPool, FewWaitTheRestIsDestroyed) {
  MemoryManager manager(64 << 20);
  int living = 0;
  ObjectPool<Thing> pool("things", &manager, MemoryRole::cursor, 2);
  std::vector<Thing*> things;
  for (int i = 0; i < 5; ++i) things.push_back(pool.acquire(&living));
  for (Thing* thing : things) pool.release(thing);
  EXPECT_EQ(living, 2);
  const PoolStatistics statistics = pool.statistics();
  EXPECT_EQ(statistics.acquired, 5u);
  EXPECT_EQ(statistics.missed, 5u);
  EXPECT_EQ(statistics.high_water, 5u);
  EXPECT_EQ(statistics.in_use, 0u);
  EXPECT_EQ(statistics.held_bytes, 2 * sizeof(Thing));
  pool.trim();
  EXPECT_EQ(living, 0);
}

TEST(ObjectPool, FiguresAgreeWhateverIsDone) {
  MemoryManager manager(64 << 20);
  int living = 0;
  ObjectPool<Thing> pool("things", &manager, MemoryRole::cursor, 2);
  EXPECT_TRUE(pool.validate());
  std::vector<Thing*> things;
  for (int i = 0; i < 4; ++i) things.push_back(pool.acquire(&living));
  EXPECT_TRUE(pool.validate());
  for (Thing* thing : things) {
    pool.release(thing);
    EXPECT_TRUE(pool.validate());
  }
  const AllThroughSlabs all;
  things = {pool.acquire(&living), pool.acquire(&living)};
  AllocationFaults::begin(1);
  EXPECT_EQ(pool.acquire(&living), nullptr);
  AllocationFaults::end();
  EXPECT_EQ(pool.in_use(), 2u);
  EXPECT_TRUE(pool.validate());
  for (Thing* thing : things) pool.release(thing);
  EXPECT_EQ(pool.trim(), 2u);
  EXPECT_TRUE(pool.validate());
}

TEST(ObjectPool, ThreadsGetBackWhatTheyReleased) {
  MemoryManager manager(64 << 20);
  int living = 0;
  ObjectPool<Thing> pool("things", &manager, MemoryRole::cursor, 32);
  Thing* const mine = pool.acquire(&living);
  Atomic<int> step{0};
  const auto await = [&step](int wanted) {
    while (step.load() < wanted) spin_pause();
  };
  Thread other("varve-test", 0, [&] {
    int others = 0;
    Thing* const its = pool.acquire(&others);
    pool.release(its);
    step.store(1);
    await(2);
    EXPECT_EQ(pool.acquire(&others), its) << "though another was released later";
    EXPECT_EQ(pool.acquire(&others), mine) << "rather than a new one";
    pool.release(its);
    pool.release(mine);
    EXPECT_TRUE(pool.validate());
    EXPECT_EQ(pool.trim(), 2u);
    living += others;
  });
  await(1);
  pool.release(mine);
  step.store(2);
  other.join();
  EXPECT_EQ(living, 0);
  EXPECT_EQ(pool.statistics().missed, 2u);
}

TEST(ObjectPool, ThreadsShareIt) {
  MemoryManager manager(64 << 20);
  struct Plain : PoolLink {
    int owner = 0;
  };
  {
    ObjectPool<Plain> pool("plain", &manager, MemoryRole::cursor, 3);
    Atomic<int> collisions{0};
    {
      std::vector<Thread> threads;
      for (int t = 1; t <= 4; ++t) {
        threads.emplace_back("varve-test", 0, [&, t] {
          for (int i = 0; i < 2000; ++i) {
            Plain* object = pool.acquire();
            object->owner = t;
            spin_pause();
            if (object->owner != t) collisions.fetch_add(1);
            pool.release(object);
          }
        });
      }
    }
    EXPECT_EQ(collisions.load(), 0);
    EXPECT_EQ(pool.in_use(), 0u);
    EXPECT_TRUE(pool.validate());
  }
  EXPECT_EQ(manager.live_bytes(), 0u);
}

}  // namespace
}  // namespace varve
