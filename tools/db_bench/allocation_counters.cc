#include "tools/db_bench/allocation_counters.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VARVE_BENCH_COUNTS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define VARVE_BENCH_COUNTS 0
#endif
#endif
#if !defined(VARVE_BENCH_COUNTS)
#if defined(__GLIBC__)
#define VARVE_BENCH_COUNTS 1
#else
#define VARVE_BENCH_COUNTS 0
#endif
#endif

namespace varve::bench {
namespace {

// Written by its thread alone (the last slot: by all threads beyond the first kSlots - 1).
struct alignas(64) Slot {
  std::atomic<uint64_t> calls;
  std::atomic<uint64_t> bytes;
};

constexpr size_t kSlots = 4096;
constinit Slot slots[kSlots];
constinit std::atomic<size_t> slots_taken{0};
constinit thread_local Slot* slot_of_thread = nullptr;

Slot* take_slot() {
  const size_t index = slots_taken.fetch_add(1, std::memory_order_relaxed);
  return slot_of_thread = &slots[index < kSlots ? index : kSlots - 1];
}

}  // namespace

bool allocations_are_counted() { return VARVE_BENCH_COUNTS != 0; }

// Relaxed throughout: statistics that order nothing.
void count_allocation(uint64_t bytes) {
  Slot* slot = slot_of_thread;
  if (slot == nullptr) slot = take_slot();
  if (slot == &slots[kSlots - 1]) {
    slot->calls.fetch_add(1, std::memory_order_relaxed);
    slot->bytes.fetch_add(bytes, std::memory_order_relaxed);
    return;
  }
  slot->calls.store(slot->calls.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  slot->bytes.store(slot->bytes.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
}

AllocationCount allocations_of_thread() {
  const Slot* slot = slot_of_thread;
  if (slot == nullptr) return {};
  return {slot->calls.load(std::memory_order_relaxed), slot->bytes.load(std::memory_order_relaxed)};
}

AllocationCount allocations_of_process() {
  AllocationCount total;
  const size_t taken = slots_taken.load(std::memory_order_relaxed);
  for (size_t i = 0; i < taken && i < kSlots; i++) {
    total += {slots[i].calls.load(std::memory_order_relaxed),
              slots[i].bytes.load(std::memory_order_relaxed)};
  }
  return total;
}

}  // namespace varve::bench

#if VARVE_BENCH_COUNTS

// mimalloc, through which memory/heap.cc allocates: counted when db-bench is linked with
// -Wl,--wrap=mi_malloc_aligned, which sends its calls here.
extern "C" {
__attribute__((weak)) void* __real_mi_malloc_aligned(size_t size, size_t alignment) noexcept;
void* __wrap_mi_malloc_aligned(size_t size, size_t alignment) noexcept {
  varve::bench::count_allocation(size);
  return __real_mi_malloc_aligned(size, alignment);
}
}

// The C library's own entry points. free needs no twin: what these return, free takes.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void* __libc_valloc(size_t size);
void* __libc_pvalloc(size_t size);
}

// Exported from the executable, so that shared libraries call them too.
#define VARVE_BENCH_EXPORT extern "C" __attribute__((visibility("default"), used))

VARVE_BENCH_EXPORT void* malloc(size_t size) noexcept {
  varve::bench::count_allocation(size);
  return __libc_malloc(size);
}

VARVE_BENCH_EXPORT void* calloc(size_t count, size_t size) noexcept {
  varve::bench::count_allocation(count * size);
  return __libc_calloc(count, size);
}

VARVE_BENCH_EXPORT void* realloc(void* block, size_t size) noexcept {
  if (size != 0) varve::bench::count_allocation(size);
  return __libc_realloc(block, size);
}

VARVE_BENCH_EXPORT void* memalign(size_t alignment, size_t size) noexcept {
  varve::bench::count_allocation(size);
  return __libc_memalign(alignment, size);
}

VARVE_BENCH_EXPORT void* aligned_alloc(size_t alignment, size_t size) noexcept {
  varve::bench::count_allocation(size);
  return __libc_memalign(alignment, size);
}

VARVE_BENCH_EXPORT int posix_memalign(void** block, size_t alignment, size_t size) noexcept {
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) {
    return EINVAL;
  }
  varve::bench::count_allocation(size);
  const int saved = errno;
  void* const got = __libc_memalign(alignment, size);
  errno = saved;
  if (got == nullptr) return ENOMEM;
  *block = got;
  return 0;
}

VARVE_BENCH_EXPORT void* valloc(size_t size) noexcept {
  varve::bench::count_allocation(size);
  return __libc_valloc(size);
}

VARVE_BENCH_EXPORT void* pvalloc(size_t size) noexcept {
  varve::bench::count_allocation(size);
  return __libc_pvalloc(size);
}

VARVE_BENCH_EXPORT void* mmap(void* address, size_t size, int protection, int flags, int fd,
                              off_t offset) noexcept {
  if ((flags & MAP_ANONYMOUS) != 0) varve::bench::count_allocation(size);
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, size, protection, flags, fd, offset));
}

VARVE_BENCH_EXPORT void* mmap64(void* address, size_t size, int protection, int flags, int fd,
                                off64_t offset) noexcept {
  return mmap(address, size, protection, flags, fd, offset);
}

VARVE_BENCH_EXPORT void* mremap(void* address, size_t old_size, size_t new_size, int flags,
                                ...) noexcept {
  void* wanted = nullptr;
  if ((flags & MREMAP_FIXED) != 0) {
    va_list rest;
    va_start(rest, flags);
    wanted = va_arg(rest, void*);
    va_end(rest);
  }
  if (new_size > old_size) varve::bench::count_allocation(new_size - old_size);
  return reinterpret_cast<void*>(syscall(SYS_mremap, address, old_size, new_size, flags, wanted));
}

#endif
