// What a host may bring along: functions named as mimalloc's, and its own operator new. varve's
// copy of mimalloc must neither clash with the first when linking nor call them, and the second
// must be the one that the whole program uses.

#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

size_t host_allocations = 0;

[[noreturn]] void wrong_allocator() {
  std::fputs("varve called the host's mimalloc\n", stderr);
  std::abort();
}

// At exit: the program must have used the operator new below.
const int registered = std::atexit([] {
  if (host_allocations > 0) return;
  std::fputs("the host's operator new was never called\n", stderr);
  std::_Exit(1);
});

}  // namespace

extern "C" {
void* mi_malloc(size_t) { wrong_allocator(); }
void* mi_malloc_aligned(size_t, size_t) { wrong_allocator(); }
void* mi_heap_malloc(void*, size_t) { wrong_allocator(); }
void mi_free(void*) { wrong_allocator(); }
}

void* operator new(size_t size) {
  ++host_allocations;
  if (void* block = std::malloc(size)) return block;
  std::abort();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
