// What debug builds see of pools that are used wrongly.

#include "memory/pool_check.h"

#include <gtest/gtest.h>

#include <vector>

#include "memory/buffer_pool.h"
#include "memory/object_pool.h"
#include "memory/poison.h"

namespace varve {
namespace {

struct Thing : PoolLink {
  int number = 0;
};

#if defined(VARVE_DEBUG)

// One place in the code, whatever the optimiser does to a loop around it.
__attribute__((noinline)) Thing* take(ObjectPool<Thing>& pool) {
  Thing* thing = pool.acquire();
  asm volatile("");  // no tail call: it returns to here
  return thing;
}

class PoolCheckDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  MemoryManager manager_{64 << 20};
  ObjectPool<Thing> things_{"things", &manager_, MemoryRole::cursor, 1};
  BufferPool buffers_{&manager_, {.name = "buffers", .role = MemoryRole::cursor}};
};

TEST_F(PoolCheckDeathTest, an_object_that_is_out_at_the_end_is_named_with_pool_and_acquirer) {
  EXPECT_DEATH(
      {
        ObjectPool<Thing> pool("leaky", &manager_, MemoryRole::cursor, 1);
        for (int i = 0; i < 3; ++i) static_cast<void>(take(pool));
      },
      "varve: pool leaky is destroyed while 3 of its items are out\n"
      "varve: pool leaky: 72 bytes in 3 allocations, acquired at .*\\+0x");
}

TEST_F(PoolCheckDeathTest, a_buffer_that_is_out_at_the_end_is_named_with_pool_and_acquirer) {
  EXPECT_DEATH(
      {
        BufferPool pool(&manager_, {.name = "leaky", .role = MemoryRole::cursor});
        static_cast<void>(pool.acquire(100));
      },
      "varve: pool leaky is destroyed while 1 of its items are out\n"
      "varve: pool leaky: 128 bytes in 1 allocations, acquired at .*\\+0x");
}

TEST_F(PoolCheckDeathTest, an_object_that_is_released_twice_is_refused) {
  EXPECT_DEATH(
      {
        Thing* thing = things_.acquire();
        things_.release(thing);
        things_.release(thing);
      },
      "varve: pool things: what is released was released before");
}

TEST_F(PoolCheckDeathTest, a_buffer_that_is_released_twice_is_refused) {
  EXPECT_DEATH(
      {
        const BufferPool::Item item = buffers_.acquire(100);
        buffers_.release(item);
        buffers_.release(item);
      },
      "varve: pool buffers: what is released was released before");
}

TEST_F(PoolCheckDeathTest, an_object_of_another_pool_is_refused) {
  EXPECT_DEATH(
      {
        ObjectPool<Thing> others("others", &manager_, MemoryRole::cursor, 1);
        others.release(things_.acquire());
      },
      "varve: pool others: what is released is not of this pool");
}

TEST_F(PoolCheckDeathTest, a_buffer_of_another_pool_is_refused) {
  EXPECT_DEATH(
      {
        BufferPool others(&manager_, {.name = "others", .role = MemoryRole::cursor});
        others.release(buffers_.acquire(100));
      },
      "varve: pool others: what is released is not of this pool");
}

// Beyond its table items are counted, not marked; nothing breaks.
TEST(PoolCheck, more_than_its_table_holds) {
  PoolCheck check("many");
  std::vector<char> items(10'000);
  for (const char& item : items) check.acquired(&item, 1, nullptr);
  EXPECT_TRUE(check.counts(items.size()));
  EXPECT_FALSE(check.counts(items.size() - 1));
  for (const char& item : items) EXPECT_TRUE(check.released(&item));
  EXPECT_TRUE(check.counts(0));
  check.expect_none();
}

#else

TEST(PoolCheck, costs_nothing_in_release_builds) {
  struct Holder {
    [[no_unique_address]] PoolCheck check{"none"};
    char byte = 0;
  };
  EXPECT_EQ(sizeof(Holder), 1u);
}

#endif

#if defined(VARVE_ASAN)

TEST(ObjectPoolDeathTest, use_of_a_waiting_object_is_seen) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        MemoryManager manager(64 << 20);
        ObjectPool<Thing> pool("things", &manager, MemoryRole::cursor, 1);
        Thing* thing = pool.acquire();
        pool.release(thing);
        *static_cast<volatile int*>(&thing->number) = 1;
      },
      "use-after-poison");
}

#endif

}  // namespace
}  // namespace varve
