// What a memtable consists of: nodes, one for each user key, and their chains of versions. Both lie
// in the memtable's arena, and live as long as it does.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/atomic.h"
#include "mvcc/version.h"

namespace varve {

// Followed by the value.
struct MemtableVersion {
  uint64_t timestamp;
  MemtableVersion* older;
  MemtableVersion* jump;  // some version further down; see Memtable::apply()
  uint32_t value_size;
  uint32_t depth : 28;  // versions below this one
  uint32_t kind : 4;

  std::string_view value() const { return {reinterpret_cast<const char*>(this + 1), value_size}; }
};

// Followed by the key.
struct MemtableNode {
  uint64_t head;  // key_head(key())
  uint32_t key_size;
  Atomic<MemtableVersion*> newest;

  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_size}; }
  bool before(uint64_t other_head, std::string_view other) const {
    if (head != other_head) return head < other_head;
    return compare_keys(key(), other) < 0;
  }
  bool before(const MemtableNode& other) const { return before(other.head, other.key()); }
};

}  // namespace varve
