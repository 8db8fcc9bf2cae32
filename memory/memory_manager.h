// All memory of one engine (or of several that share it): sized allocation with an account for each
// role, and the report over it.
//
// Data flow: page_source (2 MiB chunks from the system) -> slab_allocator (size classes, per-thread
// magazines) -> arenas, buffer pools, object pools, block frames. Every byte is on the account of
// one role from allocate() to release().
//
// Thread rule: all functions from any thread.
// Ownership: the caller owns what allocate() returned and gives it back with the same size and
// role. Errors: allocate() returns null when the budget, or the system, refuses memory; nothing is
// changed then. Before the budget refuses, the reclaimer is asked to free what can be had again.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "memory/budget.h"
#include "varve/statistics.h"

namespace varve {

// Frees memory that can be had again (frames of a cache), or is held for nothing, when the budget
// is full.
class MemoryReclaimer {
 public:
  // Frees about `bytes`, or begins to: memory that readers may still see is freed when they are
  // through. False: there is nothing that it could free, now or soon. Called on any thread that
  // allocates, outside epoch guards.
  virtual bool reclaim(size_t bytes) = 0;

 protected:
  ~MemoryReclaimer() = default;
};

class MemoryManager {
 public:
  // `budget_bytes`: 0: without a limit; else never more is held at a time, but for tables of the
  // allocator (memory/budget.h says who may use how much of it).
  explicit MemoryManager(uint64_t budget_bytes);
  // Debug builds abort, naming role and acquirers, if bytes are still live.
  ~MemoryManager();
  MemoryManager(const MemoryManager&) = delete;
  MemoryManager& operator=(const MemoryManager&) = delete;

  // Null: nobody is asked. While no other call is in progress.
  void set_reclaimer(MemoryReclaimer* reclaimer);

  // Uninitialised, aligned to 64 bytes when `size` >= 64, else to 16. size > 0. Outside epoch
  // guards and under no lock that freeing a frame or a view takes.
  void* allocate(size_t size, MemoryRole role);
  // The same, but nobody is asked to give memory back.
  void* allocate_if_free(size_t size, MemoryRole role);
  // For what outlives the urgent work that makes it; or, less urgent than its role, for what that
  // work can do without.
  void* allocate_urgently(size_t size, MemoryRole role, Urgency urgency);
  void release(void* block, size_t size, MemoryRole role);
  // Bytes that allocate(size) takes from the level below: what a caller may use without waste.
  static size_t usable_size(size_t size);

  // For a reclaimer that would rather free neighbours than strangers: a word that all blocks share
  // which lie side by side with `block` and are given back to the level below together; null at
  // first. It is there as long as any of them is owned. Null pointer: `block` has no neighbours.
  void** shared_word(void* block, size_t size);

  // Puts on the account of `role`, or takes off it, memory that came from elsewhere: mimalloc
  // (memory/heap.h), mapped windows of files. It counts as live and held.
  void charge(size_t bytes, MemoryRole role);
  void discharge(size_t bytes, MemoryRole role);

  uint64_t budget_bytes() const;
  // Of the budget: slabs, spans and what was charged.
  uint64_t reserved_bytes() const;
  // Live bytes count as usable_size() does. Exact when no call is in progress.
  uint64_t live_bytes(MemoryRole role) const;
  uint64_t live_bytes() const;  // of all roles
  // Gives idle memory back to the system (empty slabs, chunks); returns bytes given back.
  size_t purge();
  // While more and more memory is taken: whether some is to be made ready, and doing it for 2 MiB,
  // which may take milliseconds. See PageSource.
  bool wants_ready_chunk() const;
  void prepare_chunk();
  MemoryReport report() const;

#if defined(VARVE_DEBUG)
  // The `calls`-th allocate() from now returns null, once; 0: none does. For tests.
  void fail_allocation_after(uint64_t calls);
#endif

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve
