#include "memory/slab_allocator.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/random.h"
#include "base/thread.h"

namespace varve {
namespace {

struct Piece {
  char* data = nullptr;
  size_t size = 0;
  char mark = 0;
};

// Mostly small, now and then of every kind.
size_t random_size(Random& random) {
  switch (random.below(16)) {
    case 0:
      return 1 + random.below(3u << 20);
    case 1:
      return 1 + random.below(128 * 1024);
    case 2:
    case 3:
      return 1 + random.below(8 * 1024);
    default:
      return 1 + random.below(300);
  }
}

// The ends and a few places between: all of a large piece would take too long.
void fill(const Piece& piece) {
  const size_t dense = std::min<size_t>(piece.size, 512);
  std::memset(piece.data, piece.mark, dense);
  std::memset(piece.data + piece.size - dense, piece.mark, dense);
  for (size_t i = 0; i < piece.size; i += kPageSize) piece.data[i] = piece.mark;
}

bool is_intact(const Piece& piece) {
  const size_t dense = std::min<size_t>(piece.size, 512);
  for (size_t i = 0; i < dense; ++i) {
    if (piece.data[i] != piece.mark || piece.data[piece.size - 1 - i] != piece.mark) return false;
  }
  for (size_t i = 0; i < piece.size; i += kPageSize) {
    if (piece.data[i] != piece.mark) return false;
  }
  return true;
}

PoolStatistics statistics_of(SlabAllocator& slabs, const std::string& name) {
  std::vector<PoolStatistics> pools;
  slabs.append_statistics(&pools);
  for (const PoolStatistics& pool : pools) {
    if (pool.name == name) return pool;
  }
  return {};
}

TEST(SlabAllocator, PiecesAreAligned) {
  SlabAllocator slabs({});
  for (size_t size = 1; size < (3u << 20); size += 1 + size / 7) {
    void* piece = slabs.allocate(size);
    ASSERT_NE(piece, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(piece) % (size >= 64 ? 64 : 16), 0u) << size;
    slabs.release(piece, size);
  }
}

TEST(SlabAllocator, UsableSizeHoldsTheSizeAndIsItsOwn) {
  for (size_t size = 1; size < (5u << 20); size += 1 + size / 31) {
    const size_t usable = SlabAllocator::usable_size(size);
    EXPECT_GE(usable, size);
    EXPECT_EQ(SlabAllocator::usable_size(usable), usable);
  }
}

TEST(SlabAllocator, ReleasedPieceIsHandedOutNext) {
  SlabAllocator slabs({});
  void* a = slabs.allocate(100);
  slabs.release(a, 100);
  EXPECT_EQ(slabs.allocate(100), a);
  slabs.release(a, 100);
}

TEST(SlabAllocator, PiecesOfOneClassAreDistinct) {
  SlabAllocator slabs({});
  for (const size_t size : {16u, 48u, 64u, 1000u, 8192u, 30'000u, 1u << 20}) {
    std::set<void*> pieces;
    const size_t count = size < 1000 ? 5000 : 40;
    for (size_t i = 0; i < count; ++i) {
      void* piece = slabs.allocate(size);
      ASSERT_TRUE(pieces.insert(piece).second);
    }
    for (void* piece : pieces) slabs.release(piece, size);
  }
}

TEST(SlabAllocator, PurgeGivesEverythingBack) {
  SlabAllocator slabs({});
  const size_t before = slabs.held_bytes();
  std::vector<void*> pieces;
  for (int i = 0; i < 1000; ++i) pieces.push_back(slabs.allocate(10'000));
  const size_t most = slabs.held_bytes();
  EXPECT_GE(most - before, 1000u * 10'000u);
  for (void* piece : pieces) slabs.release(piece, 10'000);
  EXPECT_GT(slabs.purge(), 0u);
  // What stays are tables about slabs.
  EXPECT_LE(slabs.held_bytes(), before + most / 64 + 128 * 1024);
  EXPECT_EQ(statistics_of(slabs, "chunks").held_bytes, 0u);
}

TEST(SlabAllocator, SmallEngineHoldsOneChunk) {
  SlabAllocator slabs({});
  std::vector<Piece> pieces;
  for (const size_t size : {16u, 100u, 500u, 2000u, 10'000u, 16'384u, 65'536u, 300'000u}) {
    pieces.push_back({static_cast<char*>(slabs.allocate(size)), size});
  }
  EXPECT_EQ(statistics_of(slabs, "chunks").in_use, 1u);
  for (const Piece& piece : pieces) slabs.release(piece.data, piece.size);
}

TEST(SlabAllocator, StatisticsCountRequests) {
  SlabAllocator slabs({});
  const std::string name =
      "slab " + std::to_string(kSizeClasses[size_class_of(200 + kRedZoneBytes)].item_size);
  std::vector<void*> pieces;
  for (int i = 0; i < 100; ++i) pieces.push_back(slabs.allocate(200));
  PoolStatistics statistics = statistics_of(slabs, name);
  EXPECT_EQ(statistics.acquired, 100u);
  EXPECT_EQ(statistics.in_use, 100u);
  EXPECT_EQ(statistics.reused + statistics.missed, statistics.acquired);
  EXPECT_LT(statistics.missed, 10u);
  EXPECT_GE(statistics.high_water, 100u);
  const SizeClass& size_class = kSizeClasses[size_class_of(200 + kRedZoneBytes)];
  EXPECT_LE(statistics.high_water, 100u + size_class.magazine_items);
  EXPECT_GE(statistics.held_bytes, 100u * 200u);
  for (void* piece : pieces) slabs.release(piece, 200);
  statistics = statistics_of(slabs, name);
  EXPECT_EQ(statistics.in_use, 0u);
  EXPECT_EQ(statistics.acquired, 100u);
  EXPECT_LE(statistics.high_water, 100u + size_class.magazine_items) << "most at once, not now";
}

TEST(SlabAllocator, RefusedSizesAreNull) {
  SlabAllocator slabs({});
  EXPECT_EQ(slabs.allocate(size_t{1} << 60), nullptr);
  EXPECT_EQ(slabs.allocate(SIZE_MAX - 5), nullptr);
  EXPECT_EQ(slabs.allocate(SIZE_MAX / 2 + 2), nullptr);
}

// Shadow model: every living piece keeps its own mark, whatever happens around it.
TEST(SlabAllocator, RandomPiecesKeepTheirBytes) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  SlabAllocator slabs({.idle_bytes_max = 2 * kChunkSize});
  std::vector<Piece> pieces;
  for (int step = 0; step < 12'000; ++step) {
    if (pieces.size() < 300 && random.below(5) < 3) {
      Piece piece{nullptr, random_size(random), static_cast<char>(random.next())};
      piece.data = static_cast<char*>(slabs.allocate(piece.size));
      ASSERT_NE(piece.data, nullptr);
      fill(piece);
      pieces.push_back(piece);
    } else if (!pieces.empty()) {
      const size_t i = random.below(pieces.size());
      ASSERT_TRUE(is_intact(pieces[i])) << "size " << pieces[i].size;
      slabs.release(pieces[i].data, pieces[i].size);
      pieces[i] = pieces.back();
      pieces.pop_back();
    }
    if (random.one_in(3000)) slabs.purge();
  }
  for (const Piece& piece : pieces) {
    ASSERT_TRUE(is_intact(piece));
    slabs.release(piece.data, piece.size);
  }
  slabs.purge();
  EXPECT_EQ(statistics_of(slabs, "chunks").in_use, 0u);
  EXPECT_EQ(statistics_of(slabs, "spans").in_use, 0u);
}

// Pieces go from thread to thread: released where they were not allocated.
TEST(SlabAllocator, ThreadsExchangePieces) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  constexpr size_t kThreads = 6;
  SlabAllocator slabs({.idle_bytes_max = 2 * kChunkSize});
  Mutex mutex;
  std::vector<Piece> shared;
  Atomic<size_t> damaged{0};
  {
    std::vector<Thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back("varve-test", 0, [&, t] {
        Random random(seed + t);
        for (int step = 0; step < 2'000; ++step) {
          Piece piece{nullptr, random_size(random), static_cast<char>(random.next())};
          piece.data = static_cast<char*>(slabs.allocate(piece.size));
          fill(piece);
          {
            MutexLock lock(mutex);
            shared.push_back(piece);
            if (shared.size() < 100) continue;
            const size_t i = random.below(shared.size());
            piece = shared[i];
            shared[i] = shared.back();
            shared.pop_back();
          }
          if (!is_intact(piece)) damaged.fetch_add(1);
          slabs.release(piece.data, piece.size);
          if (random.one_in(2000)) slabs.purge();
        }
        slabs.purge();
      });
    }
  }
  EXPECT_EQ(damaged.load(), 0u);
  for (const Piece& piece : shared) slabs.release(piece.data, piece.size);
  slabs.purge();
  EXPECT_EQ(statistics_of(slabs, "chunks").in_use, 0u);
}

// More threads than slots: the last ones go without magazines.
TEST(SlabAllocator, ThreadsWithoutASlotAllocateToo) {
  SlabAllocator slabs({});
  Mutex mutex;
  CondVar changed;
  size_t waiting = 0;
  bool ended = false;
  size_t without_slot = 0;
  {
    std::vector<Thread> threads;
    for (size_t t = 0; t < kThreadSlots + 8; ++t) {
      threads.emplace_back("varve-test", 0, [&] {
        void* piece = slabs.allocate(64);
        static_cast<char*>(piece)[63] = 1;
        MutexLock lock(mutex);
        if (this_thread_slot() == kThreadSlots) ++without_slot;
        ++waiting;
        changed.notify_all();
        while (!ended) changed.wait(mutex);
        slabs.release(piece, 64);
      });
    }
    MutexLock lock(mutex);
    while (waiting < kThreadSlots + 8) changed.wait(mutex);
    ended = true;
    changed.notify_all();
  }
  EXPECT_GE(without_slot, 8u);
  const std::string name =
      "slab " + std::to_string(kSizeClasses[size_class_of(64 + kRedZoneBytes)].item_size);
  EXPECT_EQ(statistics_of(slabs, name).acquired, kThreadSlots + 8);
  EXPECT_EQ(statistics_of(slabs, name).in_use, 0u);
}

// What a dead thread left in its magazines serves the next thread with its slot.
TEST(SlabAllocator, MagazinesOutliveTheirThread) {
  SlabAllocator slabs({});
  void* first = nullptr;
  Thread("varve-test", 0, [&] {
    first = slabs.allocate(320);
    slabs.release(first, 320);
  }).join();
  void* second = nullptr;
  Thread("varve-test", 0, [&] {
    second = slabs.allocate(320);
    slabs.release(second, 320);
  }).join();
  EXPECT_EQ(first, second);
}

using SlabAllocatorDeathTest = testing::Test;

TEST(SlabAllocatorDeathTest, ReleasingAPieceTwiceIsAsserted) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // Without a magazine it reaches the slab at once. Its neighbour keeps the slab alive.
  EXPECT_DEATH(
      {
        SlabAllocator slabs({});
        void* neighbour = slabs.allocate(100'000);
        void* piece = slabs.allocate(100'000);
        slabs.release(piece, 100'000);
        slabs.release(piece, 100'000);
        slabs.release(neighbour, 100'000);
      },
      "assertion failed");
}

#if defined(VARVE_ASAN)

TEST(SlabAllocatorDeathTest, UseAfterReleaseIsSeen) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const size_t size : {48u, 500u, 16'384u}) {
    EXPECT_DEATH(
        {
          SlabAllocator slabs({});
          char* neighbour = static_cast<char*>(slabs.allocate(size));
          char* piece = static_cast<char*>(slabs.allocate(size));
          slabs.release(piece, size);
          *static_cast<volatile char*>(piece) = 1;
          slabs.release(neighbour, size);
        },
        "use-after-poison");
  }
}

TEST(SlabAllocatorDeathTest, WritingPastTheEndIsSeen) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const size_t size : {1u, 48u, 64u, 100u, 16'384u, 1u << 20, 3'000'000u}) {
    EXPECT_DEATH(
        {
          SlabAllocator slabs({});
          char* piece = static_cast<char*>(slabs.allocate(size));
          static_cast<volatile char*>(piece)[size] = 1;
        },
        "use-after-poison")
        << size;
  }
}

#endif

}  // namespace
}  // namespace varve
