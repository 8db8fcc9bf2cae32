#include "memory/pooled_bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "memory/allocation_faults.h"

namespace varve {
namespace {

class PooledBytesTest : public testing::Test {
 protected:
  MemoryManager manager_{64 << 20};
  BufferPool pool_{&manager_, {.name = "bytes", .role = MemoryRole::cursor}};
};

TEST_F(PooledBytesTest, keeps_what_it_holds_when_it_grows) {
  PooledBytes bytes(&pool_);
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string piece(static_cast<size_t>(i % 17), static_cast<char>('a' + i % 26));
    ASSERT_TRUE(bytes.append(piece));
    expected += piece;
    ASSERT_EQ(bytes.view(), expected);
  }
  ASSERT_TRUE(bytes.assign("short"));
  EXPECT_EQ(bytes.view(), "short");
  ASSERT_TRUE(bytes.resize(5000));
  EXPECT_EQ(bytes.view().substr(0, 5), "short");
  bytes.set_size(2);
  EXPECT_EQ(bytes.view(), "sh");
  EXPECT_EQ(pool_.statistics().in_use, 1u);
}

TEST_F(PooledBytesTest, gives_its_buffer_back) {
  {
    PooledBytes bytes(&pool_);
    ASSERT_TRUE(bytes.resize(3000));
    bytes.keep_at_most(4096);
    EXPECT_EQ(bytes.size(), 3000u);
    bytes.keep_at_most(4095);
    EXPECT_EQ(bytes.size(), 0u);
    EXPECT_EQ(pool_.statistics().in_use, 0u);
    ASSERT_TRUE(bytes.append("x"));
    EXPECT_EQ(pool_.statistics().in_use, 1u);
  }
  EXPECT_EQ(pool_.statistics().in_use, 0u);
  EXPECT_TRUE(pool_.validate());
}

TEST_F(PooledBytesTest, are_exchanged_when_one_is_assigned_to_another) {
  PooledBytes one(&pool_);
  PooledBytes two(&pool_);
  ASSERT_TRUE(one.assign("one") && two.assign("two, which is longer"));
  std::swap(one, two);
  EXPECT_EQ(one.view(), "two, which is longer");
  EXPECT_EQ(two.view(), "one");
  const PooledBytes moved(std::move(one));
  EXPECT_EQ(moved.view(), "two, which is longer");
  EXPECT_EQ(pool_.statistics().in_use, 2u);
}

TEST_F(PooledBytesTest, are_unchanged_where_memory_is_refused) {
  PooledBytes bytes(&pool_);
  ASSERT_TRUE(bytes.assign("held"));
  const AllThroughSlabs all;
  AllocationFaults::begin(1, 2);
  EXPECT_FALSE(bytes.append(std::string(1000, 'x')));
  EXPECT_FALSE(bytes.resize(1000));
  AllocationFaults::end();
  EXPECT_EQ(bytes.view(), "held");
  EXPECT_TRUE(bytes.resize(1000));
  EXPECT_EQ(bytes.view().substr(0, 4), "held");
}

}  // namespace
}  // namespace varve
