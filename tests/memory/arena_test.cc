#include "memory/arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/random.h"

namespace varve {
namespace {

constexpr MemoryRole kRole = MemoryRole::memtable;

TEST(Arena, AnUnusedOneHoldsNothing) {
  MemoryManager manager(64 << 20);
  const Arena arena(&manager, kRole);
  EXPECT_EQ(arena.held_bytes(), 0u);
  EXPECT_EQ(manager.live_bytes(), 0u);
}

TEST(Arena, TheFirstBlockIsSmallAndBlocksDouble) {
  MemoryManager manager(64 << 20);
  Arena arena(&manager, kRole);
  ASSERT_NE(arena.allocate(1), nullptr);
  EXPECT_EQ(arena.held_bytes(), 16u * 1024);
  size_t expected = 16 * 1024;
  for (size_t block = 32 * 1024; block <= (1 << 20); block *= 2) {
    const size_t before = arena.held_bytes();
    while (arena.held_bytes() == before) ASSERT_NE(arena.allocate(1000), nullptr);
    expected += block;
    EXPECT_EQ(arena.held_bytes(), expected);
  }
  const size_t before = arena.held_bytes();
  while (arena.held_bytes() == before) ASSERT_NE(arena.allocate(1000), nullptr);
  EXPECT_EQ(arena.held_bytes(), before + (1 << 20));
  EXPECT_EQ(manager.live_bytes(kRole), arena.held_bytes());
}

TEST(Arena, LargePiecesGetABlockOfTheirOwn) {
  MemoryManager manager(64 << 20);
  Arena arena(&manager, kRole);
  char* small = arena.allocate(64);
  char* large = arena.allocate(300'000);
  ASSERT_NE(large, nullptr);
  std::memset(large, 1, 300'000);
  EXPECT_GE(arena.held_bytes(), 300'000u + 16 * 1024);
  char* next = arena.allocate(64);
  EXPECT_EQ(next, small + 64 + kRedZoneBytes);  // the small block goes on
}

TEST(Arena, EmptyPiecesHaveAddressesOfTheirOwn) {
  MemoryManager manager(64 << 20);
  Arena arena(&manager, kRole);
  char* a = arena.allocate(0);
  char* b = arena.allocate(0);
  ASSERT_NE(a, nullptr);
  EXPECT_NE(a, b);
}

TEST(Arena, AbsurdSizesAreRefused) {
  MemoryManager manager(64 << 20);
  Arena arena(&manager, kRole);
  EXPECT_EQ(arena.allocate(SIZE_MAX - 100), nullptr);
  EXPECT_EQ(arena.allocate(size_t{1} << 60), nullptr);
  EXPECT_FALSE(arena.reserve(SIZE_MAX - 100, 1));
  EXPECT_FALSE(arena.reserve(1, SIZE_MAX));
  EXPECT_FALSE(arena.reserve(size_t{1} << 60, 1));
  EXPECT_EQ(arena.held_bytes(), 0u);
}

TEST(Arena, RandomPiecesAreAlignedAndKeepTheirBytes) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  MemoryManager manager(64 << 20);
  Arena arena(&manager, kRole);
  struct Piece {
    char* data;
    size_t size;
    char mark;
  };
  std::vector<Piece> pieces;
  for (int i = 0; i < 20'000; ++i) {
    const size_t size = random.one_in(500) ? random.below(400'000) : random.below(200);
    const Piece piece{arena.allocate(size), size, static_cast<char>(random.next())};
    ASSERT_NE(piece.data, nullptr);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(piece.data) % 8, 0u);
    std::memset(piece.data, piece.mark, size);
    pieces.push_back(piece);
  }
  for (const Piece& piece : pieces) {
    for (size_t i = 0; i < piece.size; ++i) ASSERT_EQ(piece.data[i], piece.mark);
  }
}

TEST(Arena, ReserveWithinTheBlockTakesNothing) {
  MemoryManager manager(64 << 20);
  Arena arena(&manager, kRole);
  arena.allocate(100);
  EXPECT_TRUE(arena.reserve(4000, 10));
  EXPECT_EQ(arena.held_bytes(), 16u * 1024);
}

TEST(Arena, ReservingAgainIsNotCumulative) {
  MemoryManager manager(64 << 20);
  Arena arena(&manager, kRole);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(arena.reserve(100'000, 10));
  EXPECT_LT(arena.held_bytes(), 300'000u);
  ASSERT_TRUE(arena.reserve(200'000, 10));  // replaces the smaller reserve
  EXPECT_LT(arena.held_bytes(), 400'000u);
  EXPECT_EQ(manager.live_bytes(kRole), arena.held_bytes());
}

TEST(Arena, ADroppedReserveIsGivenBackAndPiecesStay) {
  MemoryManager manager(64 << 20);
  Arena arena(&manager, kRole);
  char* piece = arena.allocate(100);
  const size_t held = arena.held_bytes();
  ASSERT_TRUE(arena.reserve(1'000'000, 10));
  EXPECT_GT(arena.held_bytes(), 1'000'000u);
  arena.drop_reserve();
  EXPECT_EQ(arena.held_bytes(), held);
  EXPECT_EQ(manager.live_bytes(kRole), held);
  std::memset(piece, 1, 100);
  ASSERT_TRUE(arena.reserve(1'000'000, 1));
  char* begun = arena.allocate(1'000'000);  // no reserve any more, but a block in use
  arena.drop_reserve();
  std::memset(begun, 1, 1'000'000);
  EXPECT_GT(arena.held_bytes(), 1'000'000u);
}

#if defined(VARVE_DEBUG)

TEST(Arena, RefusedMemoryChangesNothing) {
  MemoryManager manager(64 << 20);
  Arena arena(&manager, kRole);
  manager.fail_allocation_after(1);
  EXPECT_EQ(arena.allocate(10), nullptr);
  EXPECT_EQ(arena.held_bytes(), 0u);
  manager.fail_allocation_after(1);
  EXPECT_FALSE(arena.reserve(10, 1));
  EXPECT_EQ(arena.held_bytes(), 0u);
  EXPECT_NE(arena.allocate(10), nullptr);
}

// After reserve() no allocation asks the manager: the next one would fail.
TEST(Arena, ReservedPiecesNeverFail) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int round = 0; round < 100; ++round) {
    MemoryManager manager(64 << 20);
    Arena arena(&manager, kRole);
    for (int group = 0; group < 20; ++group) {
      std::vector<size_t> sizes(1 + random.below(50));
      size_t sum = 0;
      for (size_t& size : sizes) {
        size = random.one_in(30) ? random.below(200'000) : random.below(300);
        sum += size;
      }
      ASSERT_TRUE(arena.reserve(sum, sizes.size()));
      manager.fail_allocation_after(1);
      for (const size_t size : sizes) {
        char* piece = arena.allocate(size);
        ASSERT_NE(piece, nullptr);
        std::memset(piece, 1, size);
      }
      manager.fail_allocation_after(0);
      if (random.one_in(3)) arena.allocate(random.below(5000));
    }
    ASSERT_EQ(manager.live_bytes(kRole), arena.held_bytes());
  }
}

#endif

#if defined(VARVE_ASAN)

TEST(ArenaDeathTest, WritingPastAPieceIsSeen) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  MemoryManager manager(64 << 20);
  Arena arena(&manager, kRole);
  for (const size_t size : {1u, 8u, 13u, 300u, 100'000u}) {
    char* piece = arena.allocate(size);
    arena.allocate(8);
    EXPECT_DEATH(static_cast<volatile char*>(piece)[size] = 1, "use-after-poison") << size;
  }
}

TEST(ArenaDeathTest, UseAfterDestructionIsSeen) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        MemoryManager manager(64 << 20);
        Arena other(&manager, kRole);
        other.allocate(100);
        char* piece = nullptr;
        {
          Arena arena(&manager, kRole);
          piece = arena.allocate(100);
        }
        *static_cast<volatile char*>(piece) = 1;
      },
      "use-after-poison");
}

#endif

}  // namespace
}  // namespace varve
