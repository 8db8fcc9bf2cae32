// Who holds what: in debug builds each living allocation with its size, role and acquirer, so that
// a leak is named and a release that does not match its allocation is refused. In other builds the
// class is empty and costs nothing.
//
// Thread rule: all functions from any thread; report() while nothing is allocated or released.
// Bounded: a fixed table (kEntries); allocations beyond it are counted, not recorded.
// Errors: a release with another size or role than its allocation's, or of what is not allocated,
// is asserted.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "memory/allocation_table.h"

namespace varve {

#if defined(VARVE_DEBUG)

class LeakCheck {
 public:
  LeakCheck();
  ~LeakCheck();
  LeakCheck(const LeakCheck&) = delete;
  LeakCheck& operator=(const LeakCheck&) = delete;

  void acquired(const void* block, const Allocation& allocation);
  void released(const void* block, size_t size, MemoryRole role);
  // Writes what lives to stderr: for each role and acquirer the number and bytes, largest first
  // lines only. Returns how many allocations live.
  size_t report();

 private:
  static constexpr size_t kShards = 64;
  static constexpr size_t kShardEntries = 8 * 1024;  // a power of two
  static constexpr size_t kEntries = kShards * kShardEntries;
  struct alignas(64) Shard {
    Mutex mutex;
    AllocationTable living VARVE_GUARDED_BY(mutex);
  };
  Shard& shard_of(const void* block) { return shards_[AllocationTable::hash(block) % kShards]; }

  AllocationTable::Entry* const entries_;
  Shard shards_[kShards];
};

#else

class LeakCheck {
 public:
  void acquired(const void* /*block*/, const Allocation& /*allocation*/) {}
  void released(const void* /*block*/, size_t /*size*/, MemoryRole /*role*/) {}
  size_t report() { return 0; }
};

#endif

}  // namespace varve
