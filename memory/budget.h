// The accounts: live bytes and their high water for each role.
//
// Each thread slot counts its own changes on a cache line that it alone writes, and adds them to
// the common figure when they exceed kSlotBytesMax. So a charge costs a few plain instructions.
//
// Thread rule: all functions from any thread.
// Invariants:
// 1. live = common figure + all slots' changes; exact whenever no charge is in progress.
// 2. high_water >= every live figure that one thread alone produced, exactly; what several threads
//    held at the same moment may exceed it by less than kSlotBytesMax for each.
// Units: bytes.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.h"
#include "base/thread_slot.h"
#include "varve/statistics.h"

namespace varve {

class Budget {
 public:
  explicit Budget(uint64_t bytes) : bytes_(bytes) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  uint64_t bytes() const { return bytes_; }

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
  mutable Account accounts_[kMemoryRoleCount];  // a reader raises the high water that it has seen
  Slot slots_[kThreadSlots];
};

}  // namespace varve
