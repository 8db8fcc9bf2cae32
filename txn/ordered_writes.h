// The entries of a growing write batch in order of keyspace and key, each key with all that was
// written to it: a skip list over places in the batch's bytes.
//
// Thread rule: one thread at a time. Memory: an arena, given back by clear().
// Source: W. Pugh, Skip lists: a probabilistic alternative to balanced trees, CACM 33(6), 1990.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/random.h"
#include "lsm/batch_format.h"
#include "memory/arena.h"

namespace varve {

class OrderedWrites {
 public:
  explicit OrderedWrites(MemoryManager* manager) : manager_(manager) {}

  // Entries begin at places below this one.
  uint64_t place() const { return place_; }
  // Adds the entry at `at`, at or after place(), which ends before `end`. False: memory is refused.
  bool add(const char* data, uint64_t at, uint64_t end);
  // Takes out the entries from `place` on; `data` still holds them.
  void truncate(const char* data, uint64_t place);
  void clear();

  // The nearest entry after `key` (before it, when `backward`), or at it when `inclusive`; without
  // a key, the first (last) of the keyspace. Of each key the newest one that begins below `place`.
  struct Query {
    Keyspace keyspace;
    std::optional<std::string_view> key;
    bool inclusive = false;
    bool backward = false;
    uint64_t place = UINT64_MAX;
  };
  // Where it begins.
  std::optional<uint64_t> nearest(const char* data, const Query& query);

 private:
  static constexpr int kHeightMax = 12;
  // Something written to a key; the newest comes first.
  struct Write {
    uint64_t at;
    Write* older;
  };
  struct Node;
  struct Bound {
    Keyspace keyspace;
    std::string_view key;
    bool after = false;  // just behind the key, not at it
  };

  // The last node before `bound` on each level, into splice_; returns the first one behind it.
  Node* find(const char* data, const Bound& bound);

  MemoryManager* const manager_;
  std::optional<Arena> arena_;
  Random random_{0x9e3779b97f4a7c15};
  Node* head_ = nullptr;  // before all keys; kHeightMax links
  Node* splice_[kHeightMax] = {};
  uint64_t place_ = 0;
};

}  // namespace varve
