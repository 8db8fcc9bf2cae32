#include "memory/pooled_array.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "memory/allocation_faults.h"

namespace varve {
namespace {

class PooledArrayTest : public testing::Test {
 protected:
  MemoryManager manager_{64 << 20};
  BufferPool pool_{&manager_, {.name = "array", .role = MemoryRole::cursor}};
};

TEST_F(PooledArrayTest, holds_elements_that_own_something) {
  PooledArray<std::string> array(&pool_);
  std::vector<std::string> expected;
  for (int i = 0; i < 300; ++i) {
    const std::string text(static_cast<size_t>(i % 40), 'x');
    ASSERT_TRUE(array.push_back(text));
    expected.push_back(text);
  }
  EXPECT_TRUE(std::equal(array.begin(), array.end(), expected.begin(), expected.end()));
  ASSERT_TRUE(array.resize(310, "a text too long for the string itself"));
  EXPECT_EQ(array[309], "a text too long for the string itself");
  ASSERT_TRUE(array.resize(2));
  EXPECT_EQ(array.size(), 2u);
  EXPECT_EQ(array[1], expected[1]);
  ASSERT_TRUE(array.assign(expected));
  EXPECT_EQ(array[299], expected[299]);
  EXPECT_EQ(pool_.statistics().in_use, 1u);
}

TEST_F(PooledArrayTest, destroys_what_it_lets_go_of) {
  const auto watched = std::make_shared<int>(1);
  {
    PooledArray<std::shared_ptr<int>> array(&pool_);
    ASSERT_TRUE(array.resize(100, watched));
    EXPECT_EQ(watched.use_count(), 101);
    array.cut(40);
    EXPECT_EQ(watched.use_count(), 41);
    PooledArray<std::shared_ptr<int>> moved(std::move(array));
    EXPECT_EQ(watched.use_count(), 41);
    moved.keep_at_most(100);
    EXPECT_EQ(watched.use_count(), 1);
    ASSERT_TRUE(moved.resize(3, watched));
  }
  EXPECT_EQ(watched.use_count(), 1);
  EXPECT_EQ(pool_.statistics().in_use, 0u);
}

TEST_F(PooledArrayTest, is_unchanged_where_memory_is_refused) {
  PooledArray<std::string> array(&pool_);
  ASSERT_TRUE(array.push_back("held"));
  const AllThroughSlabs all;
  AllocationFaults::begin(1, 2);
  EXPECT_FALSE(array.resize(100));
  EXPECT_FALSE(array.assign(std::vector<std::string>(50)));
  AllocationFaults::end();
  EXPECT_FALSE(array.resize(SIZE_MAX / 2));
  ASSERT_EQ(array.size(), 1u);
  EXPECT_EQ(array[0], "held");
}

}  // namespace
}  // namespace varve
