#include "memory/page_source.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace varve {
namespace {

TEST(PageSource, ChunksAreAlignedAndUsable) {
  PageSource pages({});
  std::vector<char*> chunks;
  for (int i = 0; i < 5; ++i) {
    chunks.push_back(pages.acquire_chunk());
    ASSERT_NE(chunks.back(), nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(chunks.back()) % kChunkSize, 0u);
    chunks.back()[0] = 1;
    chunks.back()[kChunkSize - 1] = 1;
  }
  EXPECT_EQ(pages.held_bytes(), 5 * kChunkSize);
  for (char* chunk : chunks) pages.release_chunk(chunk);
}

TEST(PageSource, IdleChunksAreReusedUpToTheLimit) {
  PageSource pages({.idle_bytes_max = 2 * kChunkSize});
  std::vector<char*> chunks;
  for (int i = 0; i < 4; ++i) chunks.push_back(pages.acquire_chunk());
  for (char* chunk : chunks) pages.release_chunk(chunk);
  EXPECT_EQ(pages.held_bytes(), 2 * kChunkSize);
  PageSourceStatistics statistics = pages.statistics();
  EXPECT_EQ(statistics.idle_bytes, 2 * kChunkSize);
  EXPECT_EQ(statistics.chunks_in_use, 0u);
  EXPECT_EQ(statistics.chunks_high_water, 4u);
  char* again = pages.acquire_chunk();
  EXPECT_EQ(pages.statistics().chunks_reused, 1u);
  EXPECT_EQ(pages.held_bytes(), 2 * kChunkSize);
  pages.release_chunk(again);
  EXPECT_EQ(pages.purge(), 2 * kChunkSize);
  EXPECT_EQ(pages.held_bytes(), 0u);
  EXPECT_EQ(pages.purge(), 0u);
}

TEST(PageSource, NothingStaysIdleBeyondTheHeldLimit) {
  PageSource pages({.idle_bytes_max = 8 * kChunkSize, .held_bytes_max = 2 * kChunkSize});
  std::vector<char*> chunks;
  for (int i = 0; i < 4; ++i) chunks.push_back(pages.acquire_chunk());
  pages.release_chunk(chunks[0]);
  pages.release_chunk(chunks[1]);
  EXPECT_EQ(pages.held_bytes(), 2 * kChunkSize);
  EXPECT_EQ(pages.statistics().idle_bytes, 0u);
  pages.release_chunk(chunks[2]);
  EXPECT_EQ(pages.statistics().idle_bytes, kChunkSize);
  pages.release_chunk(chunks[3]);
}

TEST(PageSource, SomeAreMadeReadyWhileManyAreTaken) {
  PageSource pages({.idle_bytes_max = 8 * kChunkSize, .held_bytes_max = 40 * kChunkSize});
  std::vector<char*> chunks;
  const auto acquire_until = [&](size_t count) {
    while (chunks.size() < count) chunks.push_back(pages.acquire_chunk());
  };
  acquire_until(15);
  EXPECT_FALSE(pages.wants_ready_chunk());
  pages.prepare_chunk();
  EXPECT_FALSE(pages.has_idle_chunk());  // few are in use
  acquire_until(32);
  EXPECT_TRUE(pages.wants_ready_chunk());
  pages.prepare_chunk();
  EXPECT_TRUE(pages.has_idle_chunk());
  EXPECT_TRUE(pages.wants_ready_chunk());
  for (int i = 0; i < 3; ++i) pages.prepare_chunk();
  EXPECT_FALSE(pages.wants_ready_chunk());
  EXPECT_EQ(pages.statistics().idle_bytes, 2 * kChunkSize);
  EXPECT_EQ(pages.held_bytes(), 34 * kChunkSize);
  acquire_until(33);
  EXPECT_EQ(pages.statistics().chunks_reused, 1u);
  EXPECT_TRUE(pages.wants_ready_chunk());
  // Not beyond what may be held.
  acquire_until(39);
  for (int i = 0; i < 3; ++i) pages.prepare_chunk();
  EXPECT_EQ(pages.held_bytes(), 40 * kChunkSize);
  acquire_until(40);
  EXPECT_FALSE(pages.wants_ready_chunk());
  pages.prepare_chunk();
  EXPECT_EQ(pages.held_bytes(), 40 * kChunkSize);
  for (char* chunk : chunks) pages.release_chunk(chunk);
}

TEST(PageSource, NoMoreIsUnmappedThanMakesRoom) {
  PageSource pages({.idle_bytes_max = 8 * kChunkSize, .held_bytes_max = 8 * kChunkSize});
  std::vector<char*> chunks;
  for (int i = 0; i < 6; ++i) chunks.push_back(pages.acquire_chunk());
  for (char* chunk : chunks) pages.release_chunk(chunk);
  pages.make_room(2 * kChunkSize);
  EXPECT_EQ(pages.held_bytes(), 6 * kChunkSize);
  pages.make_room(3 * kChunkSize);
  EXPECT_EQ(pages.held_bytes(), 5 * kChunkSize);
  pages.make_room(9 * kChunkSize);  // cannot be
  EXPECT_EQ(pages.held_bytes(), 0u);
}

TEST(PageSource, SpanSizesAreWholePages) {
  EXPECT_EQ(PageSource::span_size(1), kPageSize);
  EXPECT_EQ(PageSource::span_size(kPageSize + 1), 2 * kPageSize);
  EXPECT_EQ(PageSource::span_size(kChunkSize - 1), kChunkSize);
  EXPECT_EQ(PageSource::span_size(kChunkSize), kChunkSize);
  EXPECT_EQ(PageSource::span_size(kChunkSize + 1), kChunkSize + kPageSize);
}

TEST(PageSource, SpansAreZeroedAlignedAndGivenBackAtOnce) {
  PageSource pages({});
  for (const size_t size : {kPageSize, 300 * kPageSize, kChunkSize + kPageSize, 3 * kChunkSize}) {
    char* span = pages.acquire_span(size);
    ASSERT_NE(span, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(span) % (size < kChunkSize ? kPageSize : kChunkSize), 0u);
    EXPECT_EQ(span[0], 0);
    std::memset(span, 1, size);
    EXPECT_EQ(pages.held_bytes(), size);
    EXPECT_EQ(pages.statistics().span_bytes, size);
    pages.release_span(span, size);
    EXPECT_EQ(pages.held_bytes(), 0u);
  }
}

TEST(PageSource, RefusedSpanChangesNothing) {
  PageSource pages({});
  EXPECT_EQ(pages.acquire_span(size_t{1} << 60), nullptr);
  EXPECT_EQ(pages.held_bytes(), 0u);
  EXPECT_EQ(pages.statistics().spans_in_use, 0u);
}

TEST(PageSource, DiscardedPagesReadAsZeros) {
  PageSource pages({});
  char* chunk = pages.acquire_chunk();
  std::memset(chunk, 7, kChunkSize);
  pages.discard(chunk, 8 * kPageSize);
  EXPECT_EQ(pages.held_bytes(), kChunkSize - 8 * kPageSize);
  EXPECT_EQ(chunk[0], 0);
  EXPECT_EQ(chunk[8 * kPageSize], 7);
  pages.restored(8 * kPageSize);
  EXPECT_EQ(pages.held_bytes(), kChunkSize);
  pages.release_chunk(chunk);
}

TEST(PageSource, ControlMemoryIsZeroed) {
  char* memory = map_control_memory(4 * kPageSize);
  ASSERT_NE(memory, nullptr);
  for (size_t i = 0; i < 4 * kPageSize; ++i) ASSERT_EQ(memory[i], 0);
  unmap_control_memory(memory, 4 * kPageSize);
}

}  // namespace
}  // namespace varve
