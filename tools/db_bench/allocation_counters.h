// Heap allocations of this process, counted where they are asked for: malloc and its relatives,
// operator new (which calls malloc) and anonymous mmap. db-bench defines these functions itself and
// passes the calls on to the C library, for the engine and all peers alike. Mappings of files are
// windows, not allocations.
//
// Each thread counts in a slot of its own, so that counting does not slow engines that allocate on
// many threads.
//
// Thread rule: any thread.

#pragma once

#include <cstdint>

namespace varve::bench {

struct AllocationCount {
  uint64_t calls = 0;
  uint64_t bytes = 0;  // asked for

  AllocationCount operator-(const AllocationCount& before) const {
    return {calls - before.calls, bytes - before.bytes};
  }
  AllocationCount& operator+=(const AllocationCount& more) {
    calls += more.calls;
    bytes += more.bytes;
    return *this;
  }
};

// False in builds with a sanitizer, which needs malloc for itself: all counts are 0 then.
bool allocations_are_counted();

AllocationCount allocations_of_thread();   // by the calling thread, ever
AllocationCount allocations_of_process();  // by all threads, ever

// Counts one for the calling thread; for allocators that are linked in under names of their own.
void count_allocation(uint64_t bytes);

}  // namespace varve::bench
