#include "base/thread_slot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "base/atomic.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace varve {
namespace {

// Threads that keep their slots until told to end.
class HeldThreads {
 public:
  explicit HeldThreads(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      threads_.emplace_back("varve-test", 0, [this] {
        const size_t slot = this_thread_slot();
        MutexLock lock(mutex_);
        slots_.push_back(slot);
        changed_.notify_all();
        while (!ended_) changed_.wait(mutex_);
      });
    }
    MutexLock lock(mutex_);
    while (slots_.size() < count) changed_.wait(mutex_);
  }
  ~HeldThreads() {
    {
      MutexLock lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    threads_.clear();
  }
  std::vector<size_t> slots() {
    MutexLock lock(mutex_);
    return slots_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool ended_ VARVE_GUARDED_BY(mutex_) = false;
  std::vector<size_t> slots_ VARVE_GUARDED_BY(mutex_);
  std::vector<Thread> threads_;
};

size_t slot_of_a_new_thread() {
  size_t slot = kThreadSlots;
  Thread("varve-test", 0, [&] { slot = this_thread_slot(); }).join();
  return slot;
}

TEST(ThreadSlot, StaysTheSameInAThread) {
  const size_t slot = this_thread_slot();
  EXPECT_LT(slot, kThreadSlots);
  EXPECT_EQ(this_thread_slot(), slot);
  EXPECT_GT(thread_slot_limit(), slot);
}

TEST(ThreadSlot, LivingThreadsDiffer) {
  HeldThreads threads(20);
  std::vector<size_t> slots = threads.slots();
  slots.push_back(this_thread_slot());
  EXPECT_EQ(std::set<size_t>(slots.begin(), slots.end()).size(), slots.size());
  for (const size_t slot : slots) EXPECT_LT(slot, thread_slot_limit());
}

TEST(ThreadSlot, IsRecycled) {
  this_thread_slot();
  const size_t first = slot_of_a_new_thread();
  const size_t limit = thread_slot_limit();
  for (size_t i = 0; i < 3 * kThreadSlots; ++i) ASSERT_EQ(slot_of_a_new_thread(), first);
  EXPECT_EQ(thread_slot_limit(), limit);
}

TEST(ThreadSlot, ThreadsBeyondTheLastSlotShareOne) {
  this_thread_slot();
  {
    HeldThreads threads(kThreadSlots + 5);
    const std::vector<size_t> slots = threads.slots();
    const std::set<size_t> distinct(slots.begin(), slots.end());
    EXPECT_EQ(distinct.size(), kThreadSlots);  // all but this thread's, and the shared number
    EXPECT_EQ(*distinct.rbegin(), kThreadSlots);
    EXPECT_EQ(std::count(slots.begin(), slots.end(), kThreadSlots), 6);
    EXPECT_EQ(slot_of_a_new_thread(), kThreadSlots);
  }
  EXPECT_LT(slot_of_a_new_thread(), kThreadSlots);
  EXPECT_EQ(thread_slot_limit(), kThreadSlots);
}

// Objects of a thread that die after its slot was taken back must not use the slot of another one.
TEST(ThreadSlot, DyingThreadsGetTheSharedOne) {
  struct Late {
    size_t* seen = nullptr;
    ~Late() {
      if (seen != nullptr) *seen = this_thread_slot();
    }
  };
  size_t seen = 0;
  Thread("varve-test", 0, [&] {
    static thread_local Late late;
    late.seen = &seen;  // constructed before the slot is taken, so destroyed after it
    this_thread_slot();
  }).join();
  EXPECT_EQ(seen, kThreadSlots);
}

}  // namespace
}  // namespace varve
