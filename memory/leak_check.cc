#include "memory/leak_check.h"

#if defined(VARVE_DEBUG)

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>

#include "base/assert.h"
#include "base/hash.h"
#include "memory/page_source.h"

namespace varve {
namespace {

// Allocations of one role by one acquirer.
struct Group {
  Allocation sum;  // size: of all
  size_t count = 0;
};

// Names the code at `address` as far as the dynamic symbol table and the module's offset can.
void print_acquirer(const void* address) {
  Dl_info info = {};
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) {
    std::fprintf(stderr, "%p", address);
    return;
  }
  const char* symbol = info.dli_sname != nullptr ? info.dli_sname : "";
  const size_t offset =
      static_cast<size_t>(static_cast<const char*>(address) - static_cast<char*>(info.dli_fbase));
  std::fprintf(stderr, "%s %s+0x%zx", symbol, info.dli_fname, offset);
}

}  // namespace

LeakCheck::LeakCheck() {
  char* memory = map_control_memory(kEntries * sizeof(Entry));
  VARVE_ASSERT(memory != nullptr);
  for (size_t i = 0; i < kShards; ++i) {
    shards_[i].entries = reinterpret_cast<Entry*>(memory) + i * kShardEntries;
  }
}

LeakCheck::~LeakCheck() { unmap_control_memory(shards_[0].entries, kEntries * sizeof(Entry)); }

uint64_t LeakCheck::hash(const void* block) { return mix64(reinterpret_cast<uintptr_t>(block)); }

// Place of `block`, or of the free entry where it would go. An entry is always free.
size_t LeakCheck::find(const Entry* entries, const void* block) {
  size_t place = home_of(block);
  while (entries[place].block != nullptr && entries[place].block != block) {
    place = (place + 1) % kShardEntries;
  }
  return place;
}

// Source: D. Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithm R.
void LeakCheck::remove(Entry* entries, size_t place) {
  size_t next = place;
  for (;;) {
    next = (next + 1) % kShardEntries;
    if (entries[next].block == nullptr) break;
    const size_t distance_from_home = (next - home_of(entries[next].block)) % kShardEntries;
    const size_t distance_from_place = (next - place) % kShardEntries;
    if (distance_from_home < distance_from_place) continue;
    entries[place] = entries[next];
    place = next;
  }
  entries[place] = Entry{};
}

void LeakCheck::acquired(const void* block, const Allocation& allocation) {
  Shard& shard = shard_of(block);
  MutexLock lock(shard.mutex);
  if (shard.count > kShardEntries / 4 * 3) {
    ++shard.unrecorded;
    return;
  }
  Entry& entry = shard.entries[find(shard.entries, block)];
  VARVE_ASSERT(entry.block == nullptr);  // handed out while it lives
  entry = {block, allocation};
  ++shard.count;
}

void LeakCheck::released(const void* block, size_t size, MemoryRole role) {
  Shard& shard = shard_of(block);
  MutexLock lock(shard.mutex);
  const size_t place = find(shard.entries, block);
  const Entry& entry = shard.entries[place];
  if (entry.block == nullptr) {
    VARVE_ASSERT(shard.unrecorded != 0);  // not allocated, or released twice
    --shard.unrecorded;
    return;
  }
  VARVE_ASSERT(entry.allocation.size == size);
  VARVE_ASSERT(entry.allocation.role == role);
  remove(shard.entries, place);
  --shard.count;
}

size_t LeakCheck::report() {
  constexpr size_t kGroupsMax = 64;
  Group groups[kGroupsMax];
  size_t group_count = 0;
  size_t living = 0;
  size_t unnamed = 0;
  for (Shard& shard : shards_) {
    MutexLock lock(shard.mutex);
    living += shard.count + shard.unrecorded;
    unnamed += shard.unrecorded;
    if (shard.count == 0) continue;
    for (const Entry* entry = shard.entries; entry != shard.entries + kShardEntries; ++entry) {
      if (entry->block == nullptr) continue;
      const Allocation& one = entry->allocation;
      Group* group = std::find_if(groups, groups + group_count, [&one](const Group& g) {
        return g.sum.acquirer == one.acquirer && g.sum.role == one.role;
      });
      if (group == groups + kGroupsMax) {
        ++unnamed;
        continue;
      }
      if (group == groups + group_count) {
        *group = {.sum = {.size = 0, .role = one.role, .acquirer = one.acquirer}, .count = 0};
        ++group_count;
      }
      group->sum.size += one.size;
      ++group->count;
    }
  }
  std::sort(groups, groups + group_count,
            [](const Group& a, const Group& b) { return a.sum.size > b.sum.size; });
  for (const Group* group = groups; group != groups + group_count; ++group) {
    std::fprintf(stderr, "varve: leak: role %s: %zu bytes in %zu allocations, acquired at ",
                 memory_role_name(group->sum.role), group->sum.size, group->count);
    print_acquirer(group->sum.acquirer);
    std::fprintf(stderr, "\n");
  }
  if (unnamed != 0) std::fprintf(stderr, "varve: leak: %zu allocations more\n", unnamed);
  return living;
}

}  // namespace varve

#endif  // VARVE_DEBUG
