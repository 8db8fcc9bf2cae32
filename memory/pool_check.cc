#include "memory/pool_check.h"

#if defined(VARVE_DEBUG)

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/assert.h"
#include "memory/page_source.h"

namespace varve {

PoolCheck::PoolCheck(const char* pool)
    : pool_(pool),
      entries_(reinterpret_cast<AllocationTable::Entry*>(
          map_control_memory(kEntries * sizeof(AllocationTable::Entry)))) {
  VARVE_ASSERT(entries_ != nullptr);
  MutexLock lock(mutex_);
  out_.use(entries_, kEntries);
}

PoolCheck::~PoolCheck() {
  unmap_control_memory(entries_, kEntries * sizeof(AllocationTable::Entry));
}

void PoolCheck::acquired(const void* item, size_t size, const void* acquirer) {
  MutexLock lock(mutex_);
  // Handed out while it is out.
  VARVE_ASSERT(out_.add(item, {.size = size, .role = {}, .acquirer = acquirer}));
}

bool PoolCheck::released(const void* item) {
  MutexLock lock(mutex_);
  Allocation allocation;
  bool recorded = false;
  return out_.remove(item, &allocation, &recorded);
}

void PoolCheck::refuse(bool waits) const {
  std::fprintf(stderr, "varve: pool %s: what is released %s\n", pool_,
               waits ? "was released before" : "is not of this pool, or was released before");
  std::fflush(stderr);
  std::abort();
}

bool PoolCheck::counts(uint64_t out) {
  MutexLock lock(mutex_);
  return out_.size() == out;
}

void PoolCheck::expect_none() {
  MutexLock lock(mutex_);
  if (out_.size() == 0) return;
  std::fprintf(stderr, "varve: pool %s is destroyed while %zu of its items are out\n", pool_,
               out_.size());
  AllocationSums sums;
  out_.add_to(&sums);
  sums.print(("pool " + std::string(pool_)).c_str(), /*with_roles=*/false);
  std::fflush(stderr);
  std::abort();
}

}  // namespace varve

#endif  // VARVE_DEBUG
