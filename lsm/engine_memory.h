// The memory that a store lives off, alone or together with others: the budget, the epochs in which
// what was taken away is freed, the ring of cached frames, and an eye on all memtables.
//
// Stores that share it are its members while they serve. Memtables of all of them together may
// take half of the budget, so that there is always something left for readers; when they would
// exceed it, or memory is refused, the member whose active memtables hold most is asked to flush
// them. One that cannot may hold that half for long; so the others are spared flushes of next to
// nothing.
//
// Thread rule: all functions from any thread.
// Locks: mutex_ before those of members. shed() under no member's lock.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/atomic.h"
#include "base/mutex.h"
#include "lsm/frame_ring.h"
#include "memory/epoch.h"
#include "memory/memory_manager.h"
#include "varve/memory_budget.h"

namespace varve {

class EngineMemory final : private MemoryReclaimer {
 public:
  // Bytes. `budget`: 0: without a limit. `cache_size`: 0: without a bound of its own the cache
  // takes what the budget has, and gives it back to whoever needs it; so the split between
  // memtables and blocks follows demand.
  EngineMemory(uint64_t budget, uint64_t cache_size);
  ~EngineMemory() = default;
  static std::shared_ptr<EngineMemory> of(const MemoryBudget& budget) { return budget.memory_; }

  MemoryManager& manager() { return manager_; }
  EpochDomain& epochs() { return epochs_; }
  FrameRing& frames() { return frames_; }
  // One store at a time replays its log: it cannot flush in the middle of a group, so several could
  // wait for each other.
  Mutex& replay_mutex() { return replay_mutex_; }

  struct MemtableState {
    uint64_t active = 0;     // bytes
    uint64_t immutable = 0;  // bytes that are being written out, or wait for it
    bool flushes = true;     // false: it cannot, until a fault is mended
  };
  class Member {
   public:
    virtual MemtableState memtable_state() = 0;
    // Gives up what it holds for nothing: buffers that wait for reuse, views of cursors that stand
    // still. False: none of the latter.
    virtual bool give_up_idle_memory() = 0;
    // Begins to flush the largest active memtable soon, on another thread.
    virtual void shed_memory() = 0;
    // Memory was given back: whoever waits for it looks again.
    virtual void memory_was_given_back() = 0;

   protected:
    ~Member() = default;
  };
  void join(Member* member);
  void leave(Member* member);

  // What the memtables of one member hold, as a part of what all hold.
  class Share {
   public:
    explicit Share(EngineMemory* memory) : total_(memory->memtable_bytes_) {}
    ~Share() { clear(); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    void fetch_add(uint64_t bytes) {
      own_.fetch_add(bytes);
      total_.fetch_add(bytes);
    }
    void fetch_sub(uint64_t bytes) {
      own_.fetch_sub(bytes);
      total_.fetch_sub(bytes);
    }
    void clear() { total_.fetch_sub(own_.exchange(0)); }
    uint64_t load() const { return own_.load(); }

   private:
    Atomic<uint64_t>& total_;
    Atomic<uint64_t> own_{0};
  };

  // Whether memtables of several stores, with `more_bytes` of one that has `own_bytes` of them,
  // take more than half of the budget. A store alone keeps to its two write buffers.
  bool memtables_are_excessive(uint64_t own_bytes, uint64_t more_bytes) const;
  // Whether other stores than one that has `own_bytes` of memtables, members or not, have any.
  bool others_hold_memtables(uint64_t own_bytes) const {
    return memtable_bytes_.load() > own_bytes;
  }
  // Sees to it that a flush gives memory back: by the member whose active memtables hold most.
  // False: none can, or it is `leader`, who begins one itself.
  bool shed(const Member* leader) { return shed_from(leader, 1); }
  // The same where nothing is refused yet, or again and again: only what is worth a flush.
  bool shed_worthwhile();

  // Flushes, of any member, that gave memory back.
  uint64_t drains() const { return drains_.load(); }
  // Under no member's lock.
  void count_drain();

 private:
  bool shed_from(const Member* leader, uint64_t worth_bytes);
  // First what is cached, then what members hold for nothing.
  bool reclaim(size_t bytes) override;

  MemoryManager manager_;
  EpochDomain epochs_;
  FrameRing frames_;
  Mutex replay_mutex_;
  Atomic<uint64_t> memtable_bytes_{0};
  Atomic<uint64_t> drains_{0};
  Atomic<size_t> member_count_{0};
  Mutex mutex_;
  std::vector<Member*> members_ VARVE_GUARDED_BY(mutex_);
};

}  // namespace varve
