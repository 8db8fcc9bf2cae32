#include "lsm/block_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/lsm/failing_files.h"
#include "tests/lsm/sstable_fixture.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

using test::FailingFiles;
using test::SstableHome;
using test::SstablePtr;
using test::VersionRow;

// `count` keys of a block each.
std::vector<VersionRow> one_row_blocks(int count, size_t value_size) {
  std::vector<VersionRow> rows;
  for (int i = 0; i < count; ++i) {
    rows.push_back({"key" + std::to_string(10'000 + i),
                    {5},
                    VersionKind::value,
                    std::string(value_size, static_cast<char>('a' + i % 26))});
  }
  return rows;
}

void write_one_row_blocks(SstableHome* home, const std::string& path, int count,
                          size_t value_size) {
  home->write(path, one_row_blocks(count, value_size), {.block_size = 1});
}

std::string value_of(const FrameRef& block) { return std::string(block->view.row(0).value); }

TEST(BlockCache, second_acquire_is_a_hit_on_the_same_frame) {
  SstableHome home;
  write_one_row_blocks(&home, "f", 10, 100);
  const SstablePtr sstable = home.open("f");
  const FrameRef partition = std::move(*sstable->partition(0, true));
  const uint64_t misses = home.cache().statistics().misses.get();
  const FrameRef first = std::move(*sstable->block(partition, 3, true));
  EXPECT_EQ(home.cache().statistics().misses.get(), misses + 1);
  const uint64_t hits = home.cache().statistics().hits.get();
  const FrameRef second = std::move(*sstable->block(partition, 3, true));
  EXPECT_EQ(second.get(), first.get());
  EXPECT_EQ(home.cache().statistics().hits.get(), hits + 1);
  EXPECT_EQ(home.cache().statistics().misses.get(), misses + 1);
  const FrameRef other = std::move(*sstable->block(partition, 4, true));
  EXPECT_NE(other.get(), first.get());
}

TEST(BlockCache, unpinned_frames_never_exceed_the_capacity) {
  constexpr uint64_t kCapacity = 60'000;
  SstableHome home(kCapacity);
  write_one_row_blocks(&home, "f", 200, 1000);
  const SstablePtr sstable = home.open("f");
  const FrameRef partition = std::move(*sstable->partition(0, true));
  for (int round = 0; round < 3; ++round) {
    for (uint32_t i = 0; i < 200; ++i) {
      const FrameRef block = std::move(*sstable->block(partition, i, true));
      EXPECT_EQ(value_of(block)[0], 'a' + static_cast<char>(i % 26));
      EXPECT_LE(home.cache().bytes(), kCapacity);
    }
  }
  EXPECT_GT(home.cache().statistics().evictions.get(), 300u);
  home.settle();
  EXPECT_LE(home.manager().live_bytes(MemoryRole::block_frames), kCapacity * 5 / 4);
}

TEST(BlockCache, frames_in_use_stay_and_go_when_they_are_let_go) {
  constexpr uint64_t kCapacity = 20'000;
  SstableHome home(kCapacity);
  write_one_row_blocks(&home, "f", 100, 1000);
  const SstablePtr sstable = home.open("f");
  const FrameRef partition = std::move(*sstable->partition(0, true));
  std::vector<FrameRef> kept;
  for (uint32_t i = 0; i < 50; ++i) kept.push_back(std::move(*sstable->block(partition, i, true)));
  EXPECT_GT(home.cache().bytes(), kCapacity) << "all are in use";
  for (uint32_t i = 0; i < 50; ++i) {
    const FrameRef again = std::move(*sstable->block(partition, i, true));
    EXPECT_EQ(again.get(), kept[i].get());
  }
  kept.clear();
  const FrameRef next = std::move(*sstable->block(partition, 60, true));
  EXPECT_LE(home.cache().bytes(), kCapacity + next->memory_size + partition->memory_size);
}

TEST(BlockCache, indexes_and_filters_outlive_data_that_passes_by) {
  SstableHome home(48'000);
  write_one_row_blocks(&home, "f", 250, 1000);
  const SstablePtr sstable = home.open("f");
  const auto get = [&](int i) {
    const std::string key = "key" + std::to_string(10'000 + i);
    ReadAccess access;
    FoundVersion version;
    const Result<bool> found = sstable->get(key, key_hash(key), {9}, &access, &version);
    EXPECT_TRUE(found.ok() && *found);
  };
  get(0);
  const uint64_t misses = home.cache().statistics().misses.get();
  for (int i = 1; i < 250; ++i) get(i);
  EXPECT_EQ(home.cache().statistics().misses.get(), misses + 249)
      << "a data block for each key, and no index or filter again";
}

TEST(BlockCache, a_partition_goes_after_its_blocks) {
  SstableHome home(0);  // whatever is not in use or needed goes at once
  write_one_row_blocks(&home, "f", 600, 10);
  const SstablePtr sstable = home.open("f");
  FrameRef partition = std::move(*sstable->partition(0, true));
  FrameRef block = std::move(*sstable->block(partition, 0, true));
  Frame* const first = partition.get();
  EXPECT_EQ(first->resident_children.load(), 1u);
  partition.reset();
  // Others come, the clock goes round.
  for (uint32_t p = 1; p < sstable->partition_count(); ++p) (void)sstable->partition(p, true);
  for (uint32_t p = 1; p < sstable->partition_count(); ++p) (void)sstable->partition(p, true);
  partition = std::move(*sstable->partition(0, true));
  EXPECT_EQ(partition.get(), first) << "its block is in use, and hangs in it";
  partition.reset();
  block.reset();
  for (int round = 0; round < 4; ++round) {
    for (uint32_t p = 1; p < sstable->partition_count(); ++p) (void)sstable->partition(p, true);
  }
  home.settle();
  EXPECT_EQ(home.manager().live_bytes(MemoryRole::block_frames), 0u);
}

TEST(BlockCache, private_frames_are_nobody_elses) {
  SstableHome home;
  write_one_row_blocks(&home, "f", 10, 100);
  const SstablePtr sstable = home.open("f");
  {
    const FrameRef partition = std::move(*sstable->partition(0, /*fill_cache=*/false));
    const FrameRef one = std::move(*sstable->block(partition, 0, false));
    const FrameRef two = std::move(*sstable->block(partition, 0, false));
    EXPECT_NE(one.get(), two.get());
    // Even when asked to: the slots die with the private partition.
    const FrameRef three = std::move(*sstable->block(partition, 0, true));
    EXPECT_EQ(three->slot, nullptr);
    EXPECT_EQ(home.cache().bytes(), 0u);
  }
  EXPECT_EQ(home.manager().live_bytes(MemoryRole::block_frames), 0u);
  // A private read of what is resident uses it.
  const FrameRef partition = std::move(*sstable->partition(0, true));
  const FrameRef one = std::move(*sstable->block(partition, 0, true));
  const FrameRef two = std::move(*sstable->block(partition, 0, false));
  EXPECT_EQ(one.get(), two.get());
}

TEST(BlockCache, frames_outlive_their_sstable_while_they_are_in_use) {
  SstableHome home;
  write_one_row_blocks(&home, "f", 10, 100);
  FrameRef block;
  FrameRef partition;
  {
    const SstablePtr sstable = home.open("f");
    partition = std::move(*sstable->partition(0, true));
    block = std::move(*sstable->block(partition, 2, true));
  }
  home.settle();
  EXPECT_EQ(value_of(block), std::string(100, 'c'));
  partition.reset();
  EXPECT_EQ(value_of(block), std::string(100, 'c'));
  EXPECT_EQ(home.cache().bytes(), 0u);
  block.reset();
  home.settle();
  EXPECT_EQ(home.manager().live_bytes(MemoryRole::block_frames), 0u);
  EXPECT_EQ(home.manager().live_bytes(MemoryRole::index), 0u);
}

TEST(BlockCache, each_kind_is_on_its_own_account) {
  SstableHome home;
  write_one_row_blocks(&home, "f", 10, 100);
  {
    const SstablePtr sstable = home.open("f");
    const uint64_t top = home.manager().live_bytes(MemoryRole::index);
    EXPECT_GT(top, 0u);
    EXPECT_EQ(home.manager().live_bytes(MemoryRole::filter), 0u);
    EXPECT_EQ(home.manager().live_bytes(MemoryRole::block_frames), 0u);
    const FrameRef filter = std::move(*sstable->filter(0, true));
    EXPECT_GT(home.manager().live_bytes(MemoryRole::filter), 0u);
    const FrameRef partition = std::move(*sstable->partition(0, true));
    EXPECT_GT(home.manager().live_bytes(MemoryRole::index), top);
    const FrameRef block = std::move(*sstable->block(partition, 0, true));
    EXPECT_GT(home.manager().live_bytes(MemoryRole::block_frames), 0u);
    EXPECT_GE(home.cache().bytes(),
              filter->memory_size + partition->memory_size + block->memory_size);
  }
  home.settle();
  EXPECT_EQ(home.manager().live_bytes(MemoryRole::index), 0u);
  EXPECT_EQ(home.manager().live_bytes(MemoryRole::filter), 0u);
  EXPECT_EQ(home.manager().live_bytes(MemoryRole::block_frames), 0u);
}

TEST(BlockCache, a_failed_load_leaves_the_slot_empty) {
  SstableHome home;
  FailingFiles files(&home.files());
  home.use(&files);
  write_one_row_blocks(&home, "f", 10, 100);
  const SstablePtr sstable = home.open("f");
  const FrameRef partition = std::move(*sstable->partition(0, true));
  const uint64_t bytes = home.cache().bytes();
  files.fail(FailingFiles::Kind::read, 1);
  EXPECT_EQ(sstable->block(partition, 0, true).status().code(), StatusCode::io_error);
  EXPECT_EQ(home.cache().bytes(), bytes);
  EXPECT_EQ(partition->children[0].load(), nullptr);
  EXPECT_TRUE(sstable->block(partition, 0, true).ok());
}

// A reader that was stopped inside a guard keeps what is evicted from being freed: evicting ever
// more would not help.
TEST(BlockCache, one_slow_reader_does_not_empty_it) {
  SstableHome home(64 << 20);
  write_one_row_blocks(&home, "f", 200, 8000);
  const SstablePtr sstable = home.open("f");
  const FrameRef partition = std::move(*sstable->partition(0, true));
  for (uint32_t i = 0; i < 200; ++i) ASSERT_TRUE(sstable->block(partition, i, true).ok());
  const uint64_t full = home.cache().bytes();
  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  std::thread reader([&] {
    EpochDomain::Guard guard(home.cache().epochs());
    inside.store(true);
    while (!leave.load()) std::this_thread::yield();
  });
  while (!inside.load()) std::this_thread::yield();
  constexpr size_t kWanted = 64 << 10;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(home.cache().reclaim(kWanted));
  EXPECT_GT(home.cache().bytes(), full - 4 * kWanted);
  leave.store(true);
  reader.join();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(home.cache().reclaim(kWanted));
  EXPECT_LT(home.cache().bytes(), full - 2 * kWanted);
}

// Partitions are reclaimed first and retire their blocks then.
TEST(BlockCache, a_destroyed_cache_leaves_nothing_to_reclaim) {
  SstableHome home;
  write_one_row_blocks(&home, "f", 600, 100);
  {
    const SstablePtr sstable = home.open("f");
    Status status;
    EXPECT_EQ(test::all_rows(&home, sstable.get(), &status).size(), 600u);
  }
  home.destroy_cache();
  EXPECT_EQ(home.manager().live_bytes(), 0u);
}

// Readers of all kinds on few frames: every answer is right, and nothing is left.
TEST(BlockCache, many_threads_on_a_small_cache) {
  VARVE_SEEDED_TEST(random);
  constexpr int kKeys = 700;
  SstableHome home(30'000);
  write_one_row_blocks(&home, "a", kKeys, 300);
  write_one_row_blocks(&home, "b", kKeys, 200);
  {
    const SstablePtr a = home.open("a");
    const SstablePtr b = home.open("b");
    const auto read = [&](Sstable* sstable, int i, Random* random, size_t value_size) {
      const std::string key = "key" + std::to_string(10'000 + i);
      FoundVersion version;
      ReadAccess access{.resident_only = random->one_in(2), .fill_cache = !random->one_in(8)};
      bool found = false;
      {
        EpochDomain::Guard guard(home.epochs());
        if (access.resident_only) {
          found = *sstable->get(key, key_hash(key), {9}, &access, &version);
          if (found) {
            ASSERT_EQ(version.value, std::string(value_size, static_cast<char>('a' + i % 26)));
            return;
          }
          ASSERT_TRUE(access.missed);
        }
      }
      access.resident_only = false;
      ASSERT_TRUE(*sstable->get(key, key_hash(key), {9}, &access, &version));
      ASSERT_EQ(version.value, std::string(value_size, static_cast<char>('a' + i % 26)));
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, seed = random.next()] {
        Random mine(seed);
        for (int i = 0; i < 1500; ++i) {
          // Near each other, so that threads race for one slot.
          const int key = static_cast<int>(mine.below(i % 3 == 0 ? kKeys : 20));
          if (mine.one_in(2)) {
            read(a.get(), key, &mine, 300);
          } else {
            read(b.get(), key, &mine, 200);
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_LE(home.cache().bytes(), 60'000u);
  }
  home.settle();
  EXPECT_EQ(home.cache().bytes(), 0u);
  EXPECT_EQ(home.manager().live_bytes(MemoryRole::index), 0u);
  EXPECT_EQ(home.manager().live_bytes(MemoryRole::filter), 0u);
}

// Sstables come and go while others read their own: slots vanish beside the clock's hand.
TEST(BlockCache, sstables_close_while_others_evict) {
  VARVE_SEEDED_TEST(random);
  SstableHome home(15'000);
  write_one_row_blocks(&home, "a", 300, 100);
  write_one_row_blocks(&home, "b", 300, 100);
  std::vector<std::thread> threads;
  for (const char* path : {"a", "a", "b", "b"}) {
    threads.emplace_back([&home, path, seed = random.next()] {
      Random mine(seed);
      for (int round = 0; round < 25; ++round) {
        const SstablePtr sstable = home.open(path);
        std::vector<FrameRef> kept;
        for (int i = 0; i < 60; ++i) {
          const uint32_t p = static_cast<uint32_t>(mine.below(sstable->partition_count()));
          const Result<FrameRef> partition = sstable->partition(p, true);
          ASSERT_TRUE(partition.ok());
          const uint32_t b = static_cast<uint32_t>(mine.below((*partition)->view.row_count()));
          Result<FrameRef> block = sstable->block(*partition, b, true);
          ASSERT_TRUE(block.ok());
          ASSERT_EQ(value_of(*block)[0],
                    'a' + static_cast<char>((p * kPartitionBlocksMax + b) % 26));
          if (mine.one_in(10)) kept.push_back(std::move(*block));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  home.settle();
  EXPECT_EQ(home.cache().bytes(), 0u);
  EXPECT_EQ(home.manager().live_bytes(MemoryRole::block_frames), 0u);
  EXPECT_EQ(home.manager().live_bytes(MemoryRole::index), 0u);
}

}  // namespace
}  // namespace varve
