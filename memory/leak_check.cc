#include "memory/leak_check.h"

#if defined(VARVE_DEBUG)

#include "base/assert.h"
#include "memory/page_source.h"

namespace varve {

LeakCheck::LeakCheck()
    : entries_(reinterpret_cast<AllocationTable::Entry*>(
          map_control_memory(kEntries * sizeof(AllocationTable::Entry)))) {
  VARVE_ASSERT(entries_ != nullptr);
  for (size_t i = 0; i < kShards; ++i) {
    MutexLock lock(shards_[i].mutex);
    shards_[i].living.use(entries_ + i * kShardEntries, kShardEntries);
  }
}

LeakCheck::~LeakCheck() {
  unmap_control_memory(entries_, kEntries * sizeof(AllocationTable::Entry));
}

void LeakCheck::acquired(const void* block, const Allocation& allocation) {
  Shard& shard = shard_of(block);
  MutexLock lock(shard.mutex);
  VARVE_ASSERT(shard.living.add(block, allocation));  // handed out while it lives
}

void LeakCheck::released(const void* block, size_t size, MemoryRole role) {
  Shard& shard = shard_of(block);
  MutexLock lock(shard.mutex);
  Allocation allocation;
  bool recorded = false;
  // Not allocated, or released twice.
  VARVE_ASSERT(shard.living.remove(block, &allocation, &recorded));
  if (!recorded) return;
  VARVE_ASSERT(allocation.size == size);
  VARVE_ASSERT(allocation.role == role);
}

size_t LeakCheck::report() {
  AllocationSums sums;
  size_t living = 0;
  for (Shard& shard : shards_) {
    MutexLock lock(shard.mutex);
    living += shard.living.size();
    shard.living.add_to(&sums);
  }
  sums.print("leak", /*with_roles=*/true);
  return living;
}

}  // namespace varve

#endif  // VARVE_DEBUG
