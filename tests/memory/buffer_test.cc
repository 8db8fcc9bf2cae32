#include "memory/buffer.h"

#include <gtest/gtest.h>

#include <string>

namespace varve {
namespace {

constexpr MemoryRole kRole = MemoryRole::batch;

TEST(Buffer, GrowsAndKeepsItsBytes) {
  MemoryManager manager(64 << 20);
  {
    Buffer buffer(&manager, kRole);
    EXPECT_EQ(buffer.capacity(), 0u);
    EXPECT_EQ(buffer.view(), "");
    std::string expected;
    for (int i = 0; i < 1000; ++i) {
      const std::string piece(static_cast<size_t>(i), static_cast<char>('a' + i % 26));
      ASSERT_TRUE(buffer.append(piece));
      expected += piece;
    }
    EXPECT_EQ(buffer.view(), expected);
    EXPECT_EQ(manager.live_bytes(kRole), buffer.capacity());
    ASSERT_TRUE(buffer.assign("short"));
    EXPECT_EQ(buffer.view(), "short");
    const size_t capacity = buffer.capacity();
    buffer.clear();
    EXPECT_EQ(buffer.size(), 0u);
    EXPECT_EQ(buffer.capacity(), capacity);
    buffer.reset();
    EXPECT_EQ(buffer.capacity(), 0u);
  }
  EXPECT_EQ(manager.live_bytes(), 0u);
}

TEST(Buffer, MovedFromIsEmpty) {
  MemoryManager manager(64 << 20);
  Buffer first(&manager, kRole);
  ASSERT_TRUE(first.append("bytes"));
  const Buffer second(std::move(first));
  EXPECT_EQ(second.view(), "bytes");
  EXPECT_EQ(first.size(), 0u);  // NOLINT: what a moved-from buffer is, is part of the interface
  EXPECT_EQ(first.capacity(), 0u);
}

TEST(Buffer, RefusalLeavesItUnchanged) {
  MemoryManager manager(64 << 20);
  Buffer buffer(&manager, kRole);
  ASSERT_TRUE(buffer.append("bytes"));
  EXPECT_FALSE(buffer.reserve(size_t{1} << 60));
  EXPECT_EQ(buffer.view(), "bytes");
}

}  // namespace
}  // namespace varve
