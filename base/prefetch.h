// Hints to the processor.

#pragma once

#include <cstdint>

namespace varve {

// Begins to fetch the lines of [begin, end) for writing. Lines that another core wrote last come
// one after the other where each is met by a store or a locked operation, and all at once this way.
inline void prefetch_for_write(const void* begin, const void* end) {
  constexpr uintptr_t kLine = 64;
  for (uintptr_t at = reinterpret_cast<uintptr_t>(begin) / kLine * kLine;
       at < reinterpret_cast<uintptr_t>(end); at += kLine) {
    const char* const line = reinterpret_cast<const char*>(at);
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*line));  // as the builtin does with -mprfchw only
#else
    __builtin_prefetch(line, /*rw=*/1);
#endif
  }
}

}  // namespace varve
