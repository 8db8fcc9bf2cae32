#include "memory/allocation_table.h"

#if defined(VARVE_DEBUG)

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>

#include "base/hash.h"

namespace varve {

namespace {

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

// -- sums --

void AllocationSums::add(const Allocation& allocation) {
  Group* const end = groups_ + group_count_;
  Group* const group = std::find_if(groups_ + 0, end, [&](const Group& each) {
    return each.sum.acquirer == allocation.acquirer && each.sum.role == allocation.role;
  });
  if (group == groups_ + kGroupsMax) {
    ++unnamed_;
    return;
  }
  if (group == end) {
    *group = {.sum = {.size = 0, .role = allocation.role, .acquirer = allocation.acquirer},
              .count = 0};
    ++group_count_;
  }
  group->sum.size += allocation.size;
  ++group->count;
}

void AllocationSums::print(const char* what, bool with_roles) {
  std::sort(groups_ + 0, groups_ + group_count_,
            [](const Group& a, const Group& b) { return a.sum.size > b.sum.size; });
  for (const Group* group = groups_; group != groups_ + group_count_; ++group) {
    std::fprintf(stderr, "varve: %s: ", what);
    if (with_roles) std::fprintf(stderr, "role %s: ", memory_role_name(group->sum.role));
    std::fprintf(stderr, "%zu bytes in %zu allocations, acquired at ", group->sum.size,
                 group->count);
    print_acquirer(group->sum.acquirer);
    std::fprintf(stderr, "\n");
  }
  if (unnamed_ != 0) std::fprintf(stderr, "varve: %s: %zu allocations more\n", what, unnamed_);
}

// -- the table --

uint64_t AllocationTable::hash(const void* block) {
  return mix64(reinterpret_cast<uintptr_t>(block));
}

void AllocationTable::use(Entry* entries, size_t capacity) {
  entries_ = entries;
  capacity_ = capacity;
}

// Place of `block`, or of the free entry where it would go. An entry is always free.
size_t AllocationTable::find(const void* block) const {
  size_t place = home_of(block);
  while (entries_[place].block != nullptr && entries_[place].block != block) {
    place = (place + 1) % capacity_;
  }
  return place;
}

bool AllocationTable::add(const void* block, const Allocation& allocation) {
  if (count_ > capacity_ / 4 * 3) {
    ++unrecorded_;
    return true;
  }
  Entry& entry = entries_[find(block)];
  if (entry.block != nullptr) return false;
  entry = {block, allocation};
  ++count_;
  return true;
}

bool AllocationTable::remove(const void* block, Allocation* allocation, bool* recorded) {
  const size_t place = find(block);
  *recorded = entries_[place].block != nullptr;
  if (!*recorded) {
    if (unrecorded_ == 0) return false;
    --unrecorded_;
    return true;
  }
  *allocation = entries_[place].allocation;
  remove_at(place);
  --count_;
  return true;
}

// Source: D. Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithm R.
void AllocationTable::remove_at(size_t place) {
  size_t next = place;
  for (;;) {
    next = (next + 1) % capacity_;
    if (entries_[next].block == nullptr) break;
    const size_t distance_from_home = (next - home_of(entries_[next].block)) % capacity_;
    const size_t distance_from_place = (next - place) % capacity_;
    if (distance_from_home < distance_from_place) continue;
    entries_[place] = entries_[next];
    place = next;
  }
  entries_[place] = Entry{};
}

void AllocationTable::add_to(AllocationSums* sums) const {
  sums->add_unnamed(unrecorded_);
  if (count_ == 0) return;
  for (const Entry* entry = entries_; entry != entries_ + capacity_; ++entry) {
    if (entry->block != nullptr) sums->add(entry->allocation);
  }
}

}  // namespace varve

#endif  // VARVE_DEBUG
