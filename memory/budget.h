// The hard limit, and the accounts under it: live bytes and their high water for each role.
//
// What comes from the system (slabs, spans) is reserved before it is taken; what is refused was not
// taken. Requests differ in how deep they may reach: the last part of the budget is kept for
// commits, the last of that for compaction, and of that for flushes. So a full budget always
// drains: a memtable can be written out when nothing else can be had.
//
//   0 ........................ B - Q ...... B - 3/4 Q ...... B - 3/8 Q ...... B     Q: the quota
//     reads, cursors, batches    | commits     | compaction     | flushes
//
// Each thread slot counts its own changes on a cache line that it alone writes, and adds them to
// the common figure when they exceed kSlotBytesMax. So a charge costs a few plain instructions.
//
// Thread rule: all functions from any thread.
// Invariants:
// 0. reserve() never lets reserved_bytes() exceed what its urgency may use; add() may, by what
//    control structures take.
// 1. live = common figure + all slots' changes; exact whenever no charge is in progress.
// 2. high_water >= every live figure that one thread alone produced, exactly; what several threads
//    held at the same moment may exceed it by less than kSlotBytesMax for each.
// Units: bytes.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/atomic.h"
#include "base/thread_slot.h"
#include "varve/statistics.h"

namespace varve {

// How deep a request may reach into the budget.
enum class Urgency : uint8_t { normal, commit, compaction, flush };

constexpr Urgency urgency_of(MemoryRole role) {
  switch (role) {
    case MemoryRole::memtable:
    case MemoryRole::commit_queue:
    case MemoryRole::log_buffer:
    case MemoryRole::control:
      return Urgency::commit;
    case MemoryRole::compaction:
      return Urgency::compaction;
    case MemoryRole::sstable_builder:
      return Urgency::flush;
    default:
      return Urgency::normal;
  }
}

class Budget {
 public:
  // 0: without a limit.
  explicit Budget(uint64_t bytes);
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  uint64_t bytes() const { return bytes_; }

  // The part that reads, cursors and batches may not use: for commits, for what a flush and a
  // compaction cannot do without, and for slabs that others hold a piece of (docs/decisions.md).
  static constexpr uint64_t quota_of(uint64_t bytes) {
    constexpr uint64_t kEnough = 3 << 20;
    constexpr uint64_t kMost = 32 << 20;
    return std::clamp(bytes / 8, std::min(bytes / 2, kEnough), kMost);
  }

  // False: that would be more than `urgency` may use; nothing is changed.
  bool reserve(size_t bytes, Urgency urgency) {
    const uint64_t limit = limits_[static_cast<size_t>(urgency)];
    uint64_t reserved = reserved_.load(kRelaxed);  // a number, nothing is published through it
    do {
      if (bytes > limit || reserved > limit - bytes) return false;
    } while (!reserved_.compare_exchange(reserved, reserved + bytes, kRelaxed));
    return true;
  }
  // What is there already, whatever the limit says.
  void add(size_t bytes) { reserved_.fetch_add(bytes, kRelaxed); }
  void give_back(size_t bytes) { reserved_.fetch_sub(bytes, kRelaxed); }
  uint64_t reserved_bytes() const { return reserved_.load(kRelaxed); }  // a statistic to others

  void charge(size_t bytes, MemoryRole role) {
    const size_t slot = this_thread_slot();
    if (__builtin_expect(slot == kThreadSlots, 0)) return charge_shared(bytes, role);
    charge(bytes, role, slot);
  }
  // `slot`: the calling thread's own one.
  void charge(size_t bytes, MemoryRole role, size_t slot) {
    Change& change = slots_[slot].changes[static_cast<size_t>(role)];
    // Written by this thread only; relaxed: pairs with nothing, they are statistics.
    const int64_t live = change.live.load(kRelaxed) + static_cast<int64_t>(bytes);
    change.live.store(live, kRelaxed);
    if (live > change.peak.load(kRelaxed)) change.peak.store(live, kRelaxed);
    if (__builtin_expect(live > kSlotBytesMax, 0)) settle(change, role);
  }

  void discharge(size_t bytes, MemoryRole role) {
    const size_t slot = this_thread_slot();
    if (__builtin_expect(slot == kThreadSlots, 0)) return discharge_shared(bytes, role);
    discharge(bytes, role, slot);
  }
  void discharge(size_t bytes, MemoryRole role, size_t slot) {
    Change& change = slots_[slot].changes[static_cast<size_t>(role)];
    const int64_t live = change.live.load(kRelaxed) - static_cast<int64_t>(bytes);  // as above
    change.live.store(live, kRelaxed);
    if (__builtin_expect(live < -kSlotBytesMax, 0)) settle(change, role);
  }

  MemoryReport::Role role(MemoryRole role) const;
  uint64_t live(MemoryRole role) const { return this->role(role).live_bytes; }

 private:
  // Larger: fewer shared writes; smaller: sharper high water. A thousand small charges for one
  // write.
  static constexpr int64_t kSlotBytesMax = 32 * 1024;

  // Since the slot was last settled.
  struct Change {
    Atomic<int64_t> live;
    Atomic<int64_t> peak;  // >= 0
  };
  struct alignas(64) Slot {
    Change changes[kMemoryRoleCount];
  };
  struct alignas(64) Account {
    Atomic<int64_t> live;
    Atomic<int64_t> high_water;
  };

  void settle(Change& change, MemoryRole role);
  void charge_shared(size_t bytes, MemoryRole role);
  void discharge_shared(size_t bytes, MemoryRole role);
  static int64_t raise(Atomic<int64_t>& high_water, int64_t value);

  const uint64_t bytes_;
  uint64_t limits_[4];  // by urgency
  alignas(64) Atomic<uint64_t> reserved_{0};
  mutable Account accounts_[kMemoryRoleCount];  // a reader raises the high water that it has seen
  Slot slots_[kThreadSlots];
};

}  // namespace varve
