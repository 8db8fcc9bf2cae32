#include "memory/memory_manager.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/atomic.h"
#include "base/random.h"
#include "base/thread.h"
#include "memory/budget.h"
#include "memory/heap.h"

namespace varve {
namespace {

void expect_consistent(const MemoryReport& report) {
  uint64_t sum = 0;
  for (const MemoryReport::Role& role : report.roles) {
    sum += role.live_bytes;
    EXPECT_GE(role.high_water_bytes, role.live_bytes);
  }
  EXPECT_EQ(report.live_bytes, sum);
  EXPECT_EQ(report.held_bytes, report.live_bytes + report.idle_bytes);
}

TEST(MemoryManager, AccountsByRole) {
  MemoryManager manager(64 << 20);
  EXPECT_EQ(manager.budget_bytes(), 64u << 20);
  void* a = manager.allocate(1000, MemoryRole::batch);
  void* b = manager.allocate(5 << 20, MemoryRole::filter);
  EXPECT_EQ(manager.live_bytes(MemoryRole::batch), MemoryManager::usable_size(1000));
  EXPECT_EQ(manager.live_bytes(MemoryRole::filter), MemoryManager::usable_size(5 << 20));
  EXPECT_EQ(manager.live_bytes(),
            MemoryManager::usable_size(1000) + MemoryManager::usable_size(5 << 20));
  manager.release(a, 1000, MemoryRole::batch);
  manager.release(b, 5 << 20, MemoryRole::filter);
  EXPECT_EQ(manager.live_bytes(), 0u);
}

TEST(MemoryManager, ReportSumsExactly) {
  const uint64_t seed = random_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  MemoryManager manager(256 << 20);
  struct Block {
    void* data;
    size_t size;
    MemoryRole role;
  };
  std::vector<Block> blocks;
  for (int step = 0; step < 5'000; ++step) {
    if (blocks.size() < 200 && random.one_in(2)) {
      const size_t size = 1 + (random.one_in(20) ? random.below(2 << 20) : random.below(5000));
      const MemoryRole role = static_cast<MemoryRole>(random.below(kMemoryRoleCount));
      blocks.push_back({manager.allocate(size, role), size, role});
      ASSERT_NE(blocks.back().data, nullptr);
    } else if (!blocks.empty()) {
      const size_t i = random.below(blocks.size());
      manager.release(blocks[i].data, blocks[i].size, blocks[i].role);
      blocks[i] = blocks.back();
      blocks.pop_back();
    }
    if (step % 100 == 0) {
      uint64_t expected = 0;
      for (const Block& block : blocks) expected += MemoryManager::usable_size(block.size);
      const MemoryReport report = manager.report();
      expect_consistent(report);
      ASSERT_EQ(report.live_bytes, expected);
      if (random.one_in(5)) manager.purge();
    }
  }
  for (const Block& block : blocks) manager.release(block.data, block.size, block.role);
  expect_consistent(manager.report());
  EXPECT_EQ(manager.live_bytes(), 0u);
}

TEST(MemoryManager, ReportIsConsistentWhileOthersWork) {
  MemoryManager manager(256 << 20);
  Atomic<bool> ended{false};
  {
    std::vector<Thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back("varve-test", 0, [&, t] {
        Random random(static_cast<uint64_t>(t));
        while (!ended.load(kRelaxed)) {
          const size_t size = 1 + random.below(20'000);
          void* block = manager.allocate(size, MemoryRole::cursor);
          manager.release(block, size, MemoryRole::cursor);
        }
      });
    }
    for (int i = 0; i < 200; ++i) expect_consistent(manager.report());
    ended.store(true);
  }
  EXPECT_EQ(manager.live_bytes(), 0u);
}

TEST(MemoryManager, PurgeReturnsIdleMemory) {
  MemoryManager manager(1 << 30);
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) {
    blocks.push_back(manager.allocate(16'384, MemoryRole::block_frames));
    std::memset(blocks.back(), 1, 16'384);
  }
  for (void* block : blocks) manager.release(block, 16'384, MemoryRole::block_frames);
  const uint64_t idle = manager.report().idle_bytes;
  EXPECT_GE(idle, 14u << 20);  // within what the budget lets it keep
  EXPECT_GE(manager.purge(), 14u << 20);
  EXPECT_LT(manager.report().idle_bytes, 1u << 20);
}

// A thread that sleeps has a magazine of each class that it used, and each may keep a slab of 32
// KiB.
TEST(MemoryManager, ThreadsThatSleepKeepNothingOfASmallBudget) {
  MemoryManager manager(4 << 20);
  std::atomic<bool> done{false};
  std::atomic<bool> asleep{false};
  std::thread sleeper([&] {
    for (size_t size = 16; size <= 4096; size += 16) {
      void* block = manager.allocate(size, MemoryRole::cursor);
      if (block != nullptr) manager.release(block, size, MemoryRole::cursor);
    }
    asleep.store(true);
    while (!done.load()) std::this_thread::yield();
  });
  while (!asleep.load()) std::this_thread::yield();
  manager.purge();
  EXPECT_EQ(manager.reserved_bytes(), 0u);
  done.store(true);
  sleeper.join();
}

TEST(MemoryManager, ReportHasOnePoolForEachClassInUse) {
  MemoryManager manager(64 << 20);
  void* block = manager.allocate(4096, MemoryRole::control);
  size_t slabs_in_use = 0;
  for (const PoolStatistics& pool : manager.report().pools) {
    if (pool.name.rfind("slab", 0) == 0 && pool.in_use != 0) ++slabs_in_use;
  }
  EXPECT_EQ(slabs_in_use, 1u);
  manager.release(block, 4096, MemoryRole::control);
}

TEST(MemoryManager, ChargesOfOthersCountAsLiveAndHeld) {
  MemoryManager manager(64 << 20);
  const uint64_t held = manager.report().held_bytes;
  manager.charge(12'345, MemoryRole::log_buffer);
  EXPECT_EQ(manager.live_bytes(MemoryRole::log_buffer), 12'345u);
  EXPECT_EQ(manager.report().held_bytes, held + 12'345);
  expect_consistent(manager.report());
  manager.discharge(12'345, MemoryRole::log_buffer);
  EXPECT_EQ(manager.report().held_bytes, held);
}

TEST(MemoryManager, RefusalIsNullAndChangesNothing) {
  MemoryManager manager(64 << 20);
  EXPECT_EQ(manager.allocate(size_t{1} << 60, MemoryRole::batch), nullptr);
  EXPECT_EQ(manager.live_bytes(), 0u);
}

#if defined(VARVE_DEBUG)

TEST(MemoryManager, ATestMayLetACallFail) {
  MemoryManager manager(64 << 20);
  manager.fail_allocation_after(3);
  void* blocks[4];
  for (void*& block : blocks) block = manager.allocate(100, MemoryRole::batch);
  EXPECT_NE(blocks[0], nullptr);
  EXPECT_NE(blocks[1], nullptr);
  EXPECT_EQ(blocks[2], nullptr);
  EXPECT_NE(blocks[3], nullptr);
  for (void* block : blocks) {
    if (block != nullptr) manager.release(block, 100, MemoryRole::batch);
  }
}

#endif

// Holds blocks that it can free when it is asked.
class Hoard final : public MemoryReclaimer {
 public:
  explicit Hoard(MemoryManager* manager) : manager_(manager) { manager_->set_reclaimer(this); }
  ~Hoard() {
    manager_->set_reclaimer(nullptr);
    while (!blocks_.empty()) free_one();
  }
  // Until it is refused.
  void fill() {
    for (;;) {
      filling_ = true;
      void* block = manager_->allocate(kSize, MemoryRole::block_frames);
      filling_ = false;
      if (block == nullptr) return;
      blocks_.push_back(block);
    }
  }
  bool reclaim(size_t) override {
    ++asked_;
    if (filling_ || blocks_.empty()) return false;
    free_one();
    return true;
  }
  size_t count() const { return blocks_.size(); }
  int asked() const { return asked_; }

 private:
  static constexpr size_t kSize = 17'000;
  void free_one() {
    manager_->release(blocks_.back(), kSize, MemoryRole::block_frames);
    blocks_.pop_back();
  }
  MemoryManager* const manager_;
  std::vector<void*> blocks_;
  bool filling_ = false;
  int asked_ = 0;
};

TEST(MemoryManager, NeverHoldsMoreThanTheBudget) {
  constexpr uint64_t kBudget = 24 << 20;
  MemoryManager manager(kBudget);
  Hoard hoard(&manager);
  hoard.fill();
  EXPECT_GT(hoard.count() * 17'000, kBudget / 2);
  EXPECT_LE(manager.reserved_bytes(), kBudget - Budget::quota_of(kBudget));
  EXPECT_LE(manager.report().held_bytes, kBudget + kBudget / 20);
}

TEST(MemoryManager, WhatCanBeHadAgainGivesWay) {
  constexpr uint64_t kBudget = 24 << 20;
  constexpr size_t kLarge = 3 << 20;
  MemoryManager manager(kBudget);
  Hoard hoard(&manager);
  hoard.fill();
  const size_t before = hoard.count();
  // A batch is no better than a frame, but a frame can be had again.
  void* large = manager.allocate(kLarge, MemoryRole::batch);
  ASSERT_NE(large, nullptr);
  EXPECT_LT(hoard.count(), before);
  EXPECT_LE(manager.report().held_bytes, kBudget + kBudget / 20);
  manager.release(large, kLarge, MemoryRole::batch);
  // More than there is: everything gives way in vain.
  EXPECT_EQ(manager.allocate(kBudget, MemoryRole::batch), nullptr);
  EXPECT_EQ(hoard.count(), 0u);
}

TEST(MemoryManager, FlushesFindMemoryWhereOthersAreRefused) {
  constexpr uint64_t kBudget = 24 << 20;
  MemoryManager manager(kBudget);
  std::vector<void*> held;
  constexpr size_t kPiece = 256 * 1024;
  while (void* piece = manager.allocate(kPiece, MemoryRole::cursor)) held.push_back(piece);
  void* flush = manager.allocate(kPiece, MemoryRole::sstable_builder);
  EXPECT_NE(flush, nullptr);
  void* commit = manager.allocate(kPiece, MemoryRole::memtable);
  EXPECT_NE(commit, nullptr);
  if (flush != nullptr) manager.release(flush, kPiece, MemoryRole::sstable_builder);
  if (commit != nullptr) manager.release(commit, kPiece, MemoryRole::memtable);
  for (void* piece : held) manager.release(piece, kPiece, MemoryRole::cursor);
}

// Has nothing to free, and counts how often it is asked.
class Pauper final : public MemoryReclaimer {
 public:
  explicit Pauper(MemoryManager* manager) : manager_(manager) { manager_->set_reclaimer(this); }
  ~Pauper() { manager_->set_reclaimer(nullptr); }
  bool reclaim(size_t) override {
    asked_.fetch_add(1);
    return false;
  }
  int asked() const { return asked_.load(); }

 private:
  MemoryManager* const manager_;
  std::atomic<int> asked_{0};
};

TEST(MemoryManager, ReadsWaitForWhatAFlushHas) {
  constexpr size_t kPiece = 256 * 1024;
  MemoryManager manager(24 << 20);
  Pauper pauper(&manager);
  std::vector<void*> held;
  while (void* piece = manager.allocate(kPiece, MemoryRole::sstable_builder)) held.push_back(piece);
  const int asked = pauper.asked();
  EXPECT_EQ(manager.allocate(kPiece, MemoryRole::batch), nullptr) << "others may hold up the flush";
  EXPECT_EQ(pauper.asked(), asked + 1);
  std::thread flush([&] {
    while (pauper.asked() < asked + 4) std::this_thread::yield();
    for (void* piece : held) manager.release(piece, kPiece, MemoryRole::sstable_builder);
  });
  void* frame = manager.allocate(kPiece, MemoryRole::block_frames);
  flush.join();
  ASSERT_NE(frame, nullptr);
  manager.release(frame, kPiece, MemoryRole::block_frames);
}

TEST(MemoryManager, NeighboursShareAWord) {
  MemoryManager manager(64 << 20);
  constexpr size_t kSize = 9000;
  std::vector<void*> blocks;
  for (int i = 0; i < 20; ++i) blocks.push_back(manager.allocate(kSize, MemoryRole::index));
  size_t words = 0;
  for (void* block : blocks) {
    void** word = manager.shared_word(block, kSize);
    ASSERT_NE(word, nullptr);
    if (*word == nullptr) {
      *word = block;
      ++words;
    }
    // Within a slab of a few units.
    EXPECT_LT(std::abs(static_cast<char*>(block) - static_cast<char*>(*word)), 1 << 20);
  }
  EXPECT_GE(words, 1u);
  EXPECT_LT(words, blocks.size());
  for (void* block : blocks) manager.release(block, kSize, MemoryRole::index);
  void* span = manager.allocate(5 << 20, MemoryRole::index);
  EXPECT_EQ(manager.shared_word(span, 5 << 20), nullptr);
  manager.release(span, 5 << 20, MemoryRole::index);
}

}  // namespace
}  // namespace varve
