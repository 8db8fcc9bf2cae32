#include "memory/heap.h"

#include "base/atomic.h"
#include "memory/poison.h"

#if defined(VARVE_ASAN) || defined(VARVE_TSAN)
#define VARVE_HEAP_IS_MALLOC 1
#include <cstdlib>
#else
#include <mimalloc.h>
#endif

namespace varve {
namespace {

#if defined(VARVE_HEAP_IS_MALLOC)
size_t account_size(size_t size) { return (size + 15) & ~size_t{15}; }
void* raw_allocate(size_t size) { return std::malloc(size); }
void raw_release(void* block) { std::free(block); }
#else
// What mimalloc takes for it.
size_t account_size(size_t size) { return mi_good_size(size); }
void* raw_allocate(size_t size) { return mi_malloc_aligned(size, 16); }
void raw_release(void* block) { mi_free(block); }
#endif

}  // namespace

void* heap_allocate(MemoryManager* manager, size_t size, MemoryRole role) {
  void* block = raw_allocate(size);
  if (block != nullptr) manager->charge(account_size(size), role);
  return block;
}

void heap_release(MemoryManager* manager, void* block, size_t size, MemoryRole role) {
  manager->discharge(account_size(size), role);
  raw_release(block);
}

}  // namespace varve
