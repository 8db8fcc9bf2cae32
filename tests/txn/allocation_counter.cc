#include "tests/txn/allocation_counter.h"

#if VARVE_COUNTS_ALLOCATIONS

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>

namespace {
thread_local uint64_t mallocs = 0;
thread_local uint64_t heap = 0;
thread_local uint64_t maps = 0;
}  // namespace

// glibc lets a program replace its malloc as a whole; these only count and pass on.
extern "C" {

// The linker sends calls of mi_malloc_aligned here (--wrap in tests/CMakeLists.txt).
void* __real_mi_malloc_aligned(size_t size, size_t alignment) noexcept;
void* __wrap_mi_malloc_aligned(size_t size, size_t alignment) noexcept {
  ++heap;
  return __real_mi_malloc_aligned(size, alignment);
}

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void* malloc(size_t size) {
  ++mallocs;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  ++mallocs;
  return __libc_calloc(count, size);
}
void* realloc(void* block, size_t size) {
  ++mallocs;
  return __libc_realloc(block, size);
}
void* memalign(size_t alignment, size_t size) {
  ++mallocs;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  ++mallocs;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** block, size_t alignment, size_t size) {
  ++mallocs;
  *block = __libc_memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}
void free(void* block) { __libc_free(block); }

void* mmap(void* address, size_t size, int protection, int flags, int file, off_t offset) {
  if ((flags & MAP_ANONYMOUS) != 0) ++maps;  // a window into a file takes no memory
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, size, protection, flags, file, offset));
}

}  // extern "C"

namespace varve::test {
AllocationCounts allocation_counts() { return {.mallocs = mallocs, .heap = heap, .maps = maps}; }
}  // namespace varve::test

#else

namespace varve::test {
AllocationCounts allocation_counts() { return {}; }
}  // namespace varve::test

#endif
