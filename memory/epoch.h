// Epoch-based reclamation: readers follow pointers to shared, immutable state without counting
// references; what is unpublished is freed only when no reader can still hold it.
//
// A reader holds a Guard while it uses pointers loaded inside it; guards may nest. Guards never
// outlive a call into the engine and never span I/O (protocol 23). They are left on the thread that
// entered them.
// An owner first unpublishes an object (nobody can load it any more), then retires it.
// Source: K. Fraser, Practical lock-freedom, 2004, section 5.2.3; the reader's plain store is made
// safe by membarrier(2) on the reclaimer's side, or is sequentially consistent where that is
// missing and under TSan.
//
// Thread rule: everything from any thread. Memory: none is allocated; nodes are intrusive.
//
// Why it is safe:
// 1. collect() raises the epoch from e to e + 1 after the objects were unpublished, and stamps them
//    with e. A guard that reads e + 1 has, through that read, seen them unpublished.
// 2. A guard that read e or less published that number before it loaded any pointer. collect()
// looks
//    at the guards after a barrier on all processors: either it sees the number, or the guard's
//    loads come after the barrier and find the objects unpublished.
// 3. So an object is reclaimed when every guard seen in 2 shows a number above its stamp.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.h"
#include "base/mutex.h"
#include "base/thread_slot.h"

namespace varve {

// Lies inside the object that is to be reclaimed.
struct Retired {
  void (*reclaim)(Retired* self) = nullptr;  // frees the object; see EpochDomain::retire()
  Retired* next = nullptr;
  uint64_t epoch = 0;
};

class EpochDomain {
 public:
  class Guard {
   public:
    explicit Guard(EpochDomain& domain) : domain_(domain), slot_(this_thread_slot()) {
      if (__builtin_expect(slot_ == kThreadSlots, 0)) {
        shared_ = domain.enter_shared();
      } else {
        domain.enter(domain.slots_[slot_]);
      }
    }
    ~Guard() {
      if (__builtin_expect(slot_ == kThreadSlots, 0)) {
        domain_.leave_shared(shared_);
      } else {
        leave(domain_.slots_[slot_]);
      }
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    EpochDomain& domain_;
    size_t slot_;
    size_t shared_ = 0;
  };

  EpochDomain();
  // `asymmetric` false: as where membarrier(2) is missing. True requires that it is not.
  explicit EpochDomain(bool asymmetric);
  // Requires that no guard is held; reclaims everything.
  ~EpochDomain();
  EpochDomain(const EpochDomain&) = delete;
  EpochDomain& operator=(const EpochDomain&) = delete;

  // `node`'s object is unpublished; reclaimed by a later call that collects (retire() now and then,
  // collect_now_and_then(), collect(), drain()), on the calling thread, with no lock of the domain
  // held. So the caller holds no lock that a reclaim() takes; a reclaim() may retire other objects,
  // but not collect or drain. One call in kCollectEvery collects.
  void retire(Retired* node) {
    retire_uncollected(node);
    collect_now_and_then();
  }
  // The two halves of retire(). The first one under any lock; whoever calls it calls the second
  // without.
  void retire_uncollected(Retired* node);
  void collect_now_and_then();
  // Whether the calling thread holds a guard (not told of threads without a slot).
  bool is_guarded_here() const {
    const size_t slot = this_thread_slot();
    return slot != kThreadSlots && slots_[slot].depth != 0;
  }
  // Reclaims what no guard can still see; returns how many objects wait on.
  size_t collect();
  // Waits until everything retired before the call is reclaimed. The caller holds no guard.
  void drain();

 private:
  static constexpr uint64_t kIdle = 0;  // no epoch: the first one is 1
  // A barrier on all processors costs a microsecond or two, and memory that waits is memory lost:
  // at this rate it adds some tens of nanoseconds to a retirement.
  static constexpr size_t kCollectEvery = 32;

  // Of one thread, which alone writes it.
  struct alignas(64) Slot {
    Atomic<uint64_t> epoch{kIdle};  // read by its outermost guard
    uint64_t depth = 0;             // guards held
  };
  // Of all threads without a slot: two counters that take turns, so that one drains.
  struct Shared {
    uint64_t epoch = kIdle;
    uint64_t guards = 0;
  };

  void enter(Slot& slot) {
    if (slot.depth++ != 0) return;
    // Pairs with collect()'s rise of the epoch (rule 1).
    const uint64_t epoch = epoch_.load(kAcquire);
    if (__builtin_expect(asymmetric_, 1)) {
      // Release: pairs with collect(), which reads it instead of the kIdle that it replaces.
      slot.epoch.store(epoch, kRelease);
      compiler_barrier();  // pairs with process_barrier() in collect() (rule 2)
    } else {
      slot.epoch.store(epoch);
      full_barrier();  // pairs with full_barrier() in collect() (rule 2)
    }
  }
  static void leave(Slot& slot) {
    // Release: what was read under the guard was read before; pairs with collect()'s load.
    if (--slot.depth == 0) slot.epoch.store(kIdle, kRelease);
  }
  size_t enter_shared();
  void leave_shared(size_t index);

  size_t collect_locked(Retired** reclaimable, uint64_t* generation) VARVE_REQUIRES(mutex_);
  uint64_t oldest_guard();
  size_t reclaim_all(Retired* nodes, uint64_t generation);
  void stamp_fresh(uint64_t epoch) VARVE_REQUIRES(mutex_);

  Atomic<uint64_t> epoch_{1};
  const bool asymmetric_;
  // Retired and not yet stamped: a stack, pushed by retire_uncollected(), taken whole by collect().
  alignas(64) Atomic<Retired*> fresh_{nullptr};
  Atomic<size_t> calls_{0};  // of collect_now_and_then()

  alignas(64) Mutex mutex_;
  CondVar reclaimed_;
  // Stamped, oldest first.
  Retired* oldest_ VARVE_GUARDED_BY(mutex_) = nullptr;
  Retired* newest_ VARVE_GUARDED_BY(mutex_) = nullptr;
  size_t waiting_ VARVE_GUARDED_BY(mutex_) = 0;
  // Threads at work on what collect() detached, by generation: drain() begins a new one, so that it
  // waits for those that were there before and for no others.
  uint64_t generation_ VARVE_GUARDED_BY(mutex_) = 0;
  size_t reclaiming_[2] VARVE_GUARDED_BY(mutex_) = {};

  Mutex shared_mutex_;
  Shared shared_[2] VARVE_GUARDED_BY(shared_mutex_);
  size_t shared_newer_ VARVE_GUARDED_BY(shared_mutex_) = 0;

  Slot slots_[kThreadSlots];
};

}  // namespace varve
