// Frames that are loaded together, and the tags of those that are read often.

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "memory/allocation_faults.h"
#include "tests/lsm/cached_file_fixture.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

using test::FailingFiles;

class FramesTogetherTest : public test::CachedFileTest {};

TEST_F(FramesTogetherTest, all_are_loaded_installed_and_held) {
  for (const Compression codec : {Compression::none, Compression::zstd}) {
    make(200, 5, 100, 1 << 20, codec);
    const FrameRef there = std::move(*sstable_->block(partition_, 2, true));
    const BlockCacheStatistics& statistics = home_->cache().statistics();
    const uint64_t misses = statistics.misses.get();
    std::vector<Wanted> wanted = want({1, 2, 3, 1, 0});
    home_->cache().acquire_together(wanted, &*files_);
    EXPECT_EQ(statistics.misses.get(), misses + 3);
    EXPECT_EQ(wanted[1].frame.get(), there.get());
    for (const size_t i : {0, 1, 2, 4}) {
      const uint32_t block[] = {1, 2, 3, 1, 0};
      expect_block(wanted[i], block[i]);
    }
    EXPECT_EQ(wanted[3].frame.get(), wanted[0].frame.get()) << "the same";
    std::vector<Wanted> again = want({1});
    home_->cache().acquire_together(again, &*files_);
    EXPECT_EQ(again[0].frame.get(), wanted[0].frame.get());
    wanted.clear();
    again.clear();
    TearDown();
  }
}

TEST_F(FramesTogetherTest, filters_and_partitions_are_wanted_where_they_hang) {
  make(3000, 1, 20);
  ASSERT_GT(sstable_->partition_count(), 1u);
  Wanted wanted[2];
  Sstable::Parents parents[2];
  // What it held before does not matter.
  wanted[0].parent = wanted[1].parent = partition_.get();
  const uint32_t last = sstable_->partition_count() - 1;
  ASSERT_OK(sstable_->want({.file = sstable_.get(), .kind = FrameKind::index, .partition = last},
                           &wanted[0], &parents[0]));
  ASSERT_OK(sstable_->want({.file = sstable_.get(), .kind = FrameKind::filter, .partition = last},
                           &wanted[1], &parents[1]));
  EXPECT_EQ(wanted[0].parent, nullptr);
  EXPECT_EQ(wanted[1].parent, nullptr);
  home_->cache().acquire_together(wanted, &*files_);
  ASSERT_OK(wanted[0].status);
  ASSERT_OK(wanted[1].status);
  EXPECT_EQ(wanted[0].frame.get(), sstable_->partition(last, true)->get());
  EXPECT_EQ(wanted[1].frame.get(), sstable_->filter(last, true)->get());
  EXPECT_EQ(wanted[1].frame->kind, FrameKind::filter);
}

TEST_F(FramesTogetherTest, one_that_fails_leaves_the_others) {
  make(200, 5);
  for (uint64_t nth = 1; nth <= 3; ++nth) {
    SCOPED_TRACE(nth);
    std::vector<Wanted> wanted = want({static_cast<uint32_t>(nth) * 3, 20, 21});
    files_->fail(FailingFiles::Kind::read, nth);
    home_->cache().acquire_together(wanted, &*files_);
    int failed = 0;
    for (const Wanted& each : wanted) {
      if (each.frame) continue;
      ++failed;
      EXPECT_EQ(each.status.code(), StatusCode::io_error);
      EXPECT_NE(each.status.to_string().find("at offset"), std::string::npos);
      EXPECT_EQ(each.slot->load(), nullptr);
    }
    EXPECT_EQ(failed, files_->met() ? 1 : 0);
    if (nth == 1) EXPECT_EQ(failed, 1);
  }
}

TEST_F(FramesTogetherTest, damage_is_told_of_the_block_that_has_it) {
  make(200, 5);
  std::string bytes = home_->bytes_of("f");
  Wanted damaged = want_block(7);
  bytes[damaged.source.offset + 3] ^= 1;
  partition_.reset();
  sstable_.reset();
  home_->set_bytes("f", bytes);
  sstable_ = home_->open("f");
  partition_ = std::move(*sstable_->partition(0, true));
  std::vector<Wanted> wanted = want({6, 7, 8});
  home_->cache().acquire_together(wanted, &*files_);
  expect_block(wanted[0], 6);
  EXPECT_EQ(wanted[1].status.code(), StatusCode::corruption);
  EXPECT_FALSE(wanted[1].frame);
  expect_block(wanted[2], 8);
}

TEST_F(FramesTogetherTest, many_large_ones_are_loaded_in_turns) {
  constexpr size_t kSize = 200'000;
  make(20, 1, kSize, 100 << 20);
  std::vector<uint32_t> blocks;
  for (uint32_t i = 0; i < partition_->view.row_count(); ++i) blocks.push_back(i);
  size_t turns = 0;
  std::vector<FrameRef> held;
  while (held.size() < blocks.size()) {
    ASSERT_LT(turns++, blocks.size());
    std::vector<Wanted> wanted =
        want({blocks.begin() + static_cast<ptrdiff_t>(held.size()), blocks.end()});
    home_->cache().acquire_together(wanted, &*files_);
    size_t got = 0;
    for (Wanted& each : wanted) {
      ASSERT_OK(each.status);
      if (!each.frame) continue;
      held.push_back(std::move(each.frame));
      ++got;
    }
    EXPECT_GE(got, 1u);
    EXPECT_LE(got * kSize, 1u << 20);
  }
  EXPECT_GT(turns, 3u);
}

TEST_F(FramesTogetherTest, who_finds_no_memory_says_so_and_the_others_are_loaded) {
  make(400, 5, 100, 1 << 20, Compression::zstd);
  const AllThroughSlabs all_counted;
  size_t refused = 0;
  uint64_t nth = 1;
  for (;; ++nth) {
    ASSERT_LT(nth, 20u);
    const uint32_t first = static_cast<uint32_t>(nth) * 3;
    std::vector<Wanted> wanted = want({first, first + 1, first + 2});
    AllocationFaults::begin(nth);
    home_->cache().acquire_together(wanted, &*files_);
    AllocationFaults::end();
    if (AllocationFaults::refused() == 0) break;
    for (uint32_t i = 0; i < 3; ++i) {
      if (wanted[i].frame) {
        expect_block(wanted[i], first + i);
      } else {
        EXPECT_EQ(wanted[i].status.code(), StatusCode::out_of_memory);
        ++refused;
      }
    }
  }
  EXPECT_GE(refused, 3u);
}

TEST_F(FramesTogetherTest, tags_come_with_the_searches_that_pay_for_them) {
  make(200, 20);
  const FrameRef block = std::move(*sstable_->block(partition_, 1, true));
  const uint32_t rows = block->view.row_count();
  ASSERT_GT(rows, 3u);
  std::vector<std::string> keys;
  for (uint32_t i = 0; i < rows; ++i) {
    keys.push_back(std::string(block->view.prefix()).append(block->view.row(i).suffix));
  }
  const auto expect_all = [&] {
    for (uint32_t i = 0; i < rows; ++i) {
      const uint64_t hash = key_hash(keys[i]);
      EXPECT_EQ(block->find(keys[i], hash, {5}, block->candidate(hash)), i);
      EXPECT_EQ(block->find(keys[i], hash, {4}, block->candidate(hash)), rows);
    }
    EXPECT_EQ(block->find("absent", key_hash("absent"), {5}), rows);
  };
  EXPECT_EQ(block->tags.load(), 0);
  EXPECT_EQ(block->find(keys[2], key_hash(keys[2]), {5}), 2u);
  EXPECT_EQ(block->tags.load(), 1);
  EXPECT_EQ(block->candidate(key_hash(keys[2])), 0u);
  block->tags.store(Frame::kFilling);  // another thread is at it
  expect_all();
  EXPECT_EQ(block->tags.load(), Frame::kFilling);
  block->tags.store(Frame::kSearchesWithoutTags);
  EXPECT_EQ(block->find(keys[3], key_hash(keys[3]), {5}), 3u);
  EXPECT_EQ(block->tags.load(), Frame::kFilled);
  EXPECT_EQ(block->candidate(key_hash(keys[2])), 2u);
  expect_all();
}

TEST_F(FramesTogetherTest, threads_that_meet_at_a_new_block_all_find_their_rows) {
  make(2000, 20);
  std::atomic<uint32_t> turn{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Random random(t);
      for (uint32_t b = 0; b < 60; ++b) {
        turn.fetch_add(1);
        while (turn.load() < 4 * (b + 1)) std::this_thread::yield();
        const FrameRef block = std::move(*sstable_->block(partition_, b, true));
        for (int i = 0; i < 6; ++i) {
          const auto row = static_cast<uint32_t>(random.below(block->view.row_count()));
          const std::string key =
              std::string(block->view.prefix()).append(block->view.row(row).suffix);
          const uint64_t hash = key_hash(key);
          EXPECT_EQ(block->find(key, hash, {5}, block->candidate(hash)), row);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace varve
