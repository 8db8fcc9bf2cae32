// Blocks that a full cache keeps as they are stored, where reads wait for a device.

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "memory/allocation_faults.h"
#include "tests/lsm/cached_file_fixture.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

using test::FailingFiles;
using test::SstablePtr;
using test::VersionRow;

class StoredBlocksTest : public test::CachedFileTest {
 protected:
  static constexpr uint64_t kCacheBytes = 60'000;
  static constexpr int kRows = 5;         // of a block
  static constexpr uint32_t kFirst = 60;  // of the blocks behind those that fill the cache

  // A file that reads wait for.
  void make_waiting(Compression codec = Compression::zstd) {
    make(400, kRows, 1000, kCacheBytes, codec);
    files_->set_reads_wait(true);
  }
  // Reads blocks until some had to go for others.
  void fill_up() {
    const BlockCacheStatistics& statistics = home_->cache().statistics();
    for (uint32_t i = 0; statistics.evictions.get() == 0; ++i) {
      ASSERT_LT(i, kFirst);
      ASSERT_OK(sstable_->block(partition_, i, true));
    }
  }
  void make_full(Compression codec = Compression::zstd) {
    make_waiting(codec);
    fill_up();
  }
  FrameRef read(uint32_t i, bool fill_cache = true) {
    Result<FrameRef> block = sstable_->block(partition_, i, fill_cache);
    EXPECT_OK(block);
    if (!block.ok()) return FrameRef();
    expect_rows(*block, i);
    return *std::move(block);
  }
  // As often as it takes: half of what is read is left to the system.
  void read_until_stored(uint32_t i) {
    for (int times = 0; stored(i) == nullptr; ++times) {
      ASSERT_LT(times, 2);
      read(i);
      ASSERT_EQ(raw(i), nullptr);
    }
  }
  static void expect_rows(const FrameRef& held, uint32_t i) {
    const Frame& block = *held.get();
    ASSERT_EQ(block.view.row_count(), static_cast<uint32_t>(kRows));
    for (uint32_t row = 0; row < block.view.row_count(); ++row) {
      const char byte = static_cast<char>('a' + (i * kRows + row) % 26);
      EXPECT_EQ(block.view.row(row).value, std::string(1000, byte));
    }
  }
  // What stands in the cache of block `i`.
  Frame* raw(uint32_t i) { return partition_->children[i].load(); }
  Frame* stored(uint32_t i) { return partition_->stored_slot(&partition_->children[i]).load(); }
  uint64_t file_reads() const { return files_->calls(FailingFiles::Kind::read); }
  uint64_t stored_hits() { return home_->cache().statistics().stored_hits.get(); }
};

TEST_F(StoredBlocksTest, one_that_was_read_is_kept_compressed_and_read_no_more) {
  make_full();
  ASSERT_EQ(raw(kFirst), nullptr);
  read_until_stored(kFirst);
  EXPECT_EQ(stored(kFirst)->kind, FrameKind::stored);
  EXPECT_EQ(stored(kFirst)->content().size(),
            sstable_->block_handle(partition_->view, kFirst)->stored_size);
  EXPECT_TRUE(partition_->has_block(kFirst));
  const uint64_t reads = file_reads();
  const uint64_t misses = home_->cache().statistics().misses.get();
  const uint64_t hits = home_->cache().statistics().hits.get();
  { const FrameRef block = read(kFirst); }
  EXPECT_EQ(file_reads(), reads);
  EXPECT_EQ(home_->cache().statistics().misses.get(), misses);
  EXPECT_EQ(home_->cache().statistics().hits.get(), hits + 1);
  EXPECT_EQ(stored_hits(), 1u);
  EXPECT_EQ(raw(kFirst), nullptr);
}

TEST_F(StoredBlocksTest, one_that_is_asked_for_again_and_again_is_kept_as_it_is_read) {
  make_full();
  read_until_stored(kFirst);
  for (int times = 0; times < 2; ++times) {
    read(kFirst);
    ASSERT_EQ(raw(kFirst), nullptr);
    ASSERT_NE(stored(kFirst), nullptr);
  }
  const FrameRef block = read(kFirst);
  EXPECT_EQ(stored_hits(), 3u);
  EXPECT_EQ(raw(kFirst), block.get());
  EXPECT_EQ(stored(kFirst), nullptr);
  EXPECT_EQ(read(kFirst).get(), block.get());
  EXPECT_EQ(stored_hits(), 3u);
}

TEST_F(StoredBlocksTest, every_other_one_is_left_to_the_system) {
  make_full();
  for (uint32_t i = kFirst; i < kFirst + 10; ++i) read(i);
  int kept = 0;
  for (uint32_t i = kFirst; i < kFirst + 10; ++i) {
    EXPECT_EQ(raw(i), nullptr);
    if (stored(i) != nullptr) ++kept;
  }
  EXPECT_EQ(kept, 5);
}

TEST_F(StoredBlocksTest, who_does_not_fill_the_cache_uses_what_is_there) {
  make_full();
  read_until_stored(kFirst);
  const uint64_t reads = file_reads();
  for (int i = 0; i < 5; ++i) read(kFirst, /*fill_cache=*/false);
  EXPECT_EQ(file_reads(), reads);
  EXPECT_EQ(raw(kFirst), nullptr);
  EXPECT_NE(stored(kFirst), nullptr);
  read(kFirst + 1, /*fill_cache=*/false);
  EXPECT_FALSE(partition_->has_block(kFirst + 1));
  EXPECT_EQ(file_reads(), reads + 1);
  // Who wants to know what is in the file reads that.
  ASSERT_OK(sstable_->block(partition_, kFirst, false, std::nullopt, /*from_file=*/true));
  EXPECT_EQ(file_reads(), reads + 2);
}

TEST_F(StoredBlocksTest, where_there_is_room_they_are_kept_as_they_are_read) {
  make_waiting();
  const FrameRef block = read(0);
  EXPECT_EQ(raw(0), block.get());
  EXPECT_EQ(stored(0), nullptr);
}

TEST_F(StoredBlocksTest, where_reads_do_not_wait_they_are_kept_as_they_are_read) {
  make_full();
  files_->set_reads_wait(false);
  const FrameRef block = read(kFirst);
  EXPECT_EQ(raw(kFirst), block.get());
  EXPECT_EQ(stored(kFirst), nullptr);
}

TEST_F(StoredBlocksTest, what_is_not_compressed_is_kept_as_it_is) {
  make_full(Compression::none);
  const FrameRef block = read(kFirst);
  EXPECT_EQ(raw(kFirst), block.get());
  EXPECT_EQ(stored(kFirst), nullptr);
}

TEST_F(StoredBlocksTest, they_make_room_for_others_and_go_with_their_file) {
  make_full();
  VARVE_SEEDED_TEST(random);
  for (int reads = 0; reads < 500; ++reads) {
    const auto i = static_cast<uint32_t>(random.below(partition_->view.row_count()));
    read(i);
    EXPECT_LE(home_->cache().bytes(), kCacheBytes);
    EXPECT_TRUE(raw(i) == nullptr || stored(i) == nullptr);
  }
  EXPECT_GT(stored_hits(), 0u);
  // One that is used goes when it is let go.
  const FrameRef block = read(3);
  partition_.reset();
  sstable_.reset();
  home_->settle();
  EXPECT_EQ(home_->cache().bytes(), 0u);
  expect_rows(block, 3);
}

TEST_F(StoredBlocksTest, nothing_hangs_in_a_partition_that_is_private) {
  make_full();
  const FrameRef partition = std::move(*sstable_->partition(0, /*fill_cache=*/true));
  EXPECT_EQ(partition.get(), partition_.get());
  const FrameRef alone =
      std::move(*sstable_->partition(0, /*fill_cache=*/false, std::nullopt, /*from_file=*/true));
  ASSERT_NE(alone.get(), partition.get());
  for (int i = 0; i < 4; ++i) ASSERT_OK(sstable_->block(alone, kFirst, true));
  EXPECT_FALSE(alone->has_block(kFirst));
  EXPECT_FALSE(partition_->has_block(kFirst));
}

TEST_F(StoredBlocksTest, a_failed_read_keeps_nothing) {
  make_full();
  files_->fail(FailingFiles::Kind::read, 1);
  EXPECT_EQ(sstable_->block(partition_, kFirst, true).status().code(), StatusCode::io_error);
  EXPECT_FALSE(partition_->has_block(kFirst));
  read_until_stored(kFirst);
}

TEST_F(StoredBlocksTest, where_memory_is_refused_nothing_is_lost) {
  make_full();
  const AllThroughSlabs all_counted;
  for (const bool is_stored : {false, true}) {
    size_t refused = 0;
    for (uint64_t nth = 1;; ++nth) {
      ASSERT_LT(nth, 20u);
      const uint32_t i = kFirst - 20 + static_cast<uint32_t>(nth);
      if (is_stored) read_until_stored(i);
      AllocationFaults::begin(nth);
      const Result<FrameRef> block = sstable_->block(partition_, i, true);
      AllocationFaults::end();
      if (AllocationFaults::refused() == 0) break;
      ++refused;
      if (block.ok()) {
        expect_rows(*block, i);
      } else {
        EXPECT_EQ(block.status().code(), StatusCode::out_of_memory);
      }
      read(i);
    }
    EXPECT_GE(refused, 1u);
  }
}

TEST_F(StoredBlocksTest, what_is_asked_for_together_is_kept_and_found_alike) {
  make_full();
  for (uint32_t i = kFirst; i < kFirst + 3; ++i) read_until_stored(i);
  const FrameRef there = read(5);
  ASSERT_EQ(raw(5), there.get());
  const uint64_t reads = file_reads();
  const std::vector<uint32_t> blocks = {kFirst, kFirst + 1, 5, kFirst + 2};
  for (int round = 0; round < 4; ++round) {
    std::vector<Wanted> wanted = want(blocks);
    home_->cache().acquire_together(wanted, &*files_);
    for (size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_OK(wanted[i].status);
      ASSERT_TRUE(wanted[i].frame);
      expect_rows(wanted[i].frame, blocks[i]);
    }
    for (const uint32_t block : {kFirst, kFirst + 1, kFirst + 2}) {
      EXPECT_EQ(raw(block) != nullptr, round >= 2);
    }
  }
  EXPECT_EQ(file_reads(), reads);
  EXPECT_EQ(stored_hits(), 9u);
  const uint32_t others[] = {kFirst + 4, kFirst + 5, kFirst + 6, kFirst + 7};
  for (int round = 0; round < 2; ++round) {
    std::vector<Wanted> wanted = want({std::begin(others), std::end(others)});
    home_->cache().acquire_together(wanted, &*files_);
    for (size_t i = 0; i < wanted.size(); ++i) expect_rows(wanted[i].frame, others[i]);
  }
  EXPECT_EQ(file_reads(), reads + 6) << "half of them are left to the system";
}

TEST_F(StoredBlocksTest, what_is_there_is_decompressed_while_the_rest_is_read) {
  class Saying final : public test::HookedFiles {
   public:
    using HookedFiles::HookedFiles;
    void read_together(std::span<FileRead> reads, ReadListener* listener) override {
      listener->under_way();
      is_there = stored->frame.get() != nullptr;
      HookedFiles::read_together(reads, listener);
    }
    const Wanted* stored = nullptr;
    bool is_there = false;
  };
  make_full();
  read_until_stored(kFirst);
  std::vector<Wanted> wanted = want({kFirst + 1, kFirst, kFirst});
  Saying saying(&*files_);
  saying.stored = &wanted[1];
  home_->cache().acquire_together(wanted, &saying);
  EXPECT_TRUE(saying.is_there);
  expect_rows(wanted[0].frame, kFirst + 1);
  expect_rows(wanted[1].frame, kFirst);
  EXPECT_EQ(wanted[2].frame.get(), wanted[1].frame.get()) << "decompressed once";
  EXPECT_EQ(stored_hits(), 1u);
}

TEST_F(StoredBlocksTest, a_cache_that_grew_again_is_not_full) {
  make_full();
  // Others need the memory, and give it back.
  while (home_->cache().bytes() > kCacheBytes / 2) {
    ASSERT_TRUE(home_->cache().reclaim(kCacheBytes / 2));
  }
  uint32_t raw_blocks = 0;
  for (uint32_t i = kFirst; i < partition_->view.row_count(); ++i) {
    read(i);
    if (raw(i) != nullptr) ++raw_blocks;
  }
  EXPECT_GT(raw_blocks, 2u);
}

TEST_F(StoredBlocksTest, threads_that_share_few_frames_find_their_rows) {
  VARVE_SEEDED_TEST(random);
  make_full();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, seed = random.next()] {
      Random mine(seed);
      for (int round = 0; round < 1500; ++round) {
        // Near each other, so that they race for one slot.
        const auto i = static_cast<uint32_t>(mine.below(mine.one_in(3) ? 80 : 12));
        if (mine.one_in(4)) {
          std::vector<Wanted> wanted = want({i, (i + 1) % 80, (i + 2) % 80});
          home_->cache().acquire_together(wanted, &*files_);
          for (uint32_t k = 0; k < 3; ++k) {
            ASSERT_OK(wanted[k].status);
            if (wanted[k].frame) expect_rows(wanted[k].frame, (i + k) % 80);
          }
        } else {
          read(i, /*fill_cache=*/!mine.one_in(8));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(stored_hits(), 0u);
  for (uint32_t i = 0; i < 80; ++i) EXPECT_TRUE(raw(i) == nullptr || stored(i) == nullptr);
  partition_.reset();
  sstable_.reset();
  home_->cache().release_idle();
  EXPECT_EQ(home_->cache().bytes(), 0u);
  EXPECT_EQ(home_->manager().live_bytes(MemoryRole::block_frames), 0u);
}

}  // namespace
}  // namespace varve
