// Marks memory that nobody may touch, so that AddressSanitizer sees misuse of memory that the
// engine hands out itself: freed pieces, and red zones between living ones. Compiles to nothing
// elsewhere.
//
// Units: bytes. The first address of a region is aligned to 8.

#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define VARVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VARVE_ASAN 1
#endif
#endif

#if defined(VARVE_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace varve {

#if defined(VARVE_ASAN)
// Kept unused behind each piece that an allocator hands out; a multiple of 8.
inline constexpr size_t kRedZoneBytes = 16;
inline void poison(const void* from, size_t size) { __asan_poison_memory_region(from, size); }
inline void unpoison(const void* from, size_t size) { __asan_unpoison_memory_region(from, size); }
#else
inline constexpr size_t kRedZoneBytes = 0;
inline void poison(const void* /*from*/, size_t /*size*/) {}
inline void unpoison(const void* /*from*/, size_t /*size*/) {}
#endif

}  // namespace varve
