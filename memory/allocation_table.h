// Which allocations live, each with its size, role and acquirer; and what that comes to by
// acquirer, for reports of leaks. In debug builds only; elsewhere there is only the struct.
//
// A table of fixed size with open addressing and linear probing; removal shifts entries back, so
// there are no tombstones. Allocations that find it full are counted, not recorded.
//
// Thread rule: one thread at a time.

#pragma once

#include <cstddef>
#include <cstdint>

#include "varve/statistics.h"

namespace varve {

struct Allocation {
  size_t size = 0;
  MemoryRole role{};
  const void* acquirer = nullptr;  // an address in the calling function's code
};

#if defined(VARVE_DEBUG)

// Sums over allocations of one role by one acquirer; the largest ones are printed.
class AllocationSums {
 public:
  void add(const Allocation& allocation);
  void add_unnamed(size_t count) { unnamed_ += count; }
  // To stderr, largest first, a line each: "varve: WHAT: [role ROLE: ]N bytes in N allocations,
  // acquired at FUNCTION FILE+OFFSET".
  void print(const char* what, bool with_roles);

 private:
  static constexpr size_t kGroupsMax = 64;
  struct Group {
    Allocation sum;  // size: of all
    size_t count = 0;
  };
  Group groups_[kGroupsMax];
  size_t group_count_ = 0;
  size_t unnamed_ = 0;
};

class AllocationTable {
 public:
  struct Entry {
    const void* block;  // null: free
    Allocation allocation;
  };
  static uint64_t hash(const void* block);

  // Memory for so many entries, a power of two, all zeros, which outlives this. Once.
  void use(Entry* entries, size_t capacity);
  // False: it lives already.
  bool add(const void* block, const Allocation& allocation);
  // Takes it out. False: it does not live. `*recorded`: whether `*allocation` says what it was;
  // else it is taken for one of those that found the table full.
  bool remove(const void* block, Allocation* allocation, bool* recorded);

  size_t size() const { return count_ + unrecorded_; }
  void add_to(AllocationSums* sums) const;

 private:
  size_t home_of(const void* block) const { return hash(block) / 64 % capacity_; }
  size_t find(const void* block) const;
  void remove_at(size_t place);

  Entry* entries_ = nullptr;
  size_t capacity_ = 0;
  size_t count_ = 0;
  size_t unrecorded_ = 0;  // living ones that found it full
};

#endif

}  // namespace varve
