// Counts what the calling thread asks of the C library: malloc and its kin, operator new (which
// calls malloc), and anonymous mmap; and of mimalloc. Not under sanitizers, which have their own
// malloc.

#pragma once

#include <cstdint>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VARVE_COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define VARVE_COUNTS_ALLOCATIONS 0
#endif
#endif
#if !defined(VARVE_COUNTS_ALLOCATIONS)
#define VARVE_COUNTS_ALLOCATIONS 1
#endif

namespace varve::test {

struct AllocationCounts {
  uint64_t mallocs = 0;
  uint64_t heap = 0;  // mimalloc: memory/heap.h
  uint64_t maps = 0;
};

// Since the thread began; zeros where nothing is counted.
AllocationCounts allocation_counts();

}  // namespace varve::test
