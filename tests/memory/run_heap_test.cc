#include "memory/run_heap.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/random.h"

namespace varve {
namespace {

int owners[1000];  // only their addresses matter

TEST(RunHeap, RunsShareChunksAndKnowTheirOwner) {
  PageSource pages({});
  RunHeap heap(&pages);
  char* a = heap.acquire(1, &owners[0]);
  char* b = heap.acquire(32, &owners[1]);
  char* c = heap.acquire(31, &owners[2]);
  EXPECT_EQ(pages.held_bytes(), kChunkSize);
  EXPECT_EQ(heap.owner_of(a), &owners[0]);
  EXPECT_EQ(heap.owner_of(a + kUnitSize - 1), &owners[0]);
  EXPECT_EQ(heap.owner_of(b), &owners[1]);
  EXPECT_EQ(heap.owner_of(b + 32 * kUnitSize - 1), &owners[1]);
  EXPECT_EQ(heap.owner_of(c + 5), &owners[2]);
  char* d = heap.acquire(1, &owners[3]);
  EXPECT_EQ(pages.held_bytes(), 2 * kChunkSize);
  heap.release(d, 1);
  heap.release(a, 1);
  heap.release(b, 32);
  heap.release(c, 31);
  EXPECT_EQ(pages.statistics().chunks_in_use, 0u);
}

TEST(RunHeap, TakesTheTightestStretch) {
  PageSource pages({});
  RunHeap heap(&pages);
  char* full = heap.acquire(60, &owners[0]);  // leaves 4 in the first chunk
  char* half = heap.acquire(30, &owners[1]);  // leaves 34 in the second
  char* small = heap.acquire(4, &owners[2]);
  EXPECT_EQ(small, full + 60 * kUnitSize);
  heap.release(small, 4);
  heap.release(half, 30);
  heap.release(full, 60);
}

TEST(RunHeap, WholeChunksCanBeRuns) {
  PageSource pages({});
  RunHeap heap(&pages);
  char* run = heap.acquire(64, &owners[0]);
  ASSERT_NE(run, nullptr);
  EXPECT_EQ(heap.owner_of(run + kChunkSize - 1), &owners[0]);
  heap.release(run, 64);
}

TEST(RunHeap, PurgeTakesFreeUnitsAndGivesThemBackOnUse) {
  PageSource pages({.idle_bytes_max = 0});
  RunHeap heap(&pages);
  char* kept = heap.acquire(10, &owners[0]);
  std::memset(kept, 7, 10 * kUnitSize);
  char* gone = heap.acquire(54, &owners[1]);
  std::memset(gone, 7, 54 * kUnitSize);
  heap.release(gone, 54);
  EXPECT_EQ(heap.purge(), 54 * kUnitSize);
  EXPECT_EQ(pages.held_bytes(), 10 * kUnitSize);
  EXPECT_EQ(heap.purge(), 0u);
  EXPECT_EQ(kept[10 * kUnitSize - 1], 7);
  char* again = heap.acquire(20, &owners[2]);
  EXPECT_EQ(pages.held_bytes(), 30 * kUnitSize);
  again[0] = 1;
  heap.release(again, 20);
  heap.release(kept, 10);
  EXPECT_EQ(pages.held_bytes(), 0u);
}

TEST(RunHeap, NoMoreIsDiscardedThanMakesRoom) {
  PageSource pages({.idle_bytes_max = 0, .held_bytes_max = 3 * kChunkSize});
  RunHeap heap(&pages);
  char* kept[3];
  for (char*& each : kept) {
    each = heap.acquire(32, &owners[0]);
    char* gone = heap.acquire(32, &owners[1]);
    heap.release(gone, 32);
    gone = heap.acquire(32, &owners[1]);  // the rest of the same chunk
    if (&each != &kept[2]) continue;
    heap.release(gone, 32);
  }
  EXPECT_EQ(pages.held_bytes(), 3 * kChunkSize);
  heap.make_room(0);
  EXPECT_EQ(pages.held_bytes(), 3 * kChunkSize);
  heap.make_room(kUnitSize);
  EXPECT_EQ(pages.held_bytes(), 3 * kChunkSize - 32 * kUnitSize);
  heap.make_room(kChunkSize);  // there is nothing more
  EXPECT_EQ(pages.held_bytes(), 3 * kChunkSize - 32 * kUnitSize);
}

TEST(RunHeap, MakingRoomLeavesHugePagesWhole) {
  PageSource pages({.idle_bytes_max = 0, .held_bytes_max = 2 * kChunkSize});
  RunHeap heap(&pages);
  char* first = heap.acquire(40, &owners[0]);
  char* second = heap.acquire(40, &owners[0]);
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  heap.make_room(kUnitSize);
  EXPECT_EQ(pages.held_bytes(), 2 * kChunkSize - 24 * kUnitSize);
  // Of the same chunk, the last one that changed: it stays the only one that is broken.
  char* part = heap.acquire(20, &owners[1]);
  heap.release(part, 20);
  EXPECT_EQ(pages.held_bytes(), 2 * kChunkSize - 4 * kUnitSize);
  heap.make_room(8 * kUnitSize);
  EXPECT_EQ(pages.held_bytes(), 2 * kChunkSize - 24 * kUnitSize);
}

TEST(RunHeap, ControlMemoryIsSeparateAndCounted) {
  PageSource pages({});
  RunHeap heap(&pages);
  const size_t before = heap.control_bytes();
  char* a = heap.acquire_control(100);
  char* b = heap.acquire_control(100);
  ASSERT_NE(a, nullptr);
  EXPECT_GE(b, a + 100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b) % 64, 0u);
  EXPECT_GT(heap.control_bytes(), before);
}

// Against a list of runs: no overlap, owners right, everything back at the end.
TEST(RunHeap, RandomRunsNeverOverlap) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  PageSource pages({});
  struct Run {
    char* base;
    size_t units;
    void* owner;
  };
  std::vector<Run> runs;
  {
    RunHeap heap(&pages);
    for (int step = 0; step < 20'000; ++step) {
      if (runs.size() < 200 && random.one_in(2)) {
        const size_t units = random.one_in(4) ? 1 + random.below(64) : 1 + random.below(4);
        void* owner = &owners[random.below(1000)];
        char* base = heap.acquire(units, owner);
        ASSERT_NE(base, nullptr);
        for (const Run& run : runs) {
          ASSERT_TRUE(base + units * kUnitSize <= run.base ||
                      run.base + run.units * kUnitSize <= base);
        }
        runs.push_back({base, units, owner});
      } else if (!runs.empty()) {
        const size_t i = random.below(runs.size());
        ASSERT_EQ(heap.owner_of(runs[i].base + random.below(runs[i].units * kUnitSize)),
                  runs[i].owner);
        heap.release(runs[i].base, runs[i].units);
        runs[i] = runs.back();
        runs.pop_back();
      }
      if (random.one_in(500)) heap.purge();
    }
    for (const Run& run : runs) heap.release(run.base, run.units);
    EXPECT_EQ(pages.statistics().chunks_in_use, 0u);
    EXPECT_EQ(pages.held_bytes(), pages.statistics().idle_bytes);
  }
}

}  // namespace
}  // namespace varve
