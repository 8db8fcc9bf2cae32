// What a transaction read and must find unchanged when it commits: keys, present or absent, and
// ranges, with what they lack.
//
// Bounded: when it would take more than its limit, the keys of each keyspace are exchanged for the
// range that they span, and ranges for the one that spans them. That may find a conflict where
// there is none, and never misses one.
//
// Thread rule: one thread at a time; read by the commit leader while the transaction's thread
// waits. Memory: keeps it between uses, up to kKeptBytesMax.

#pragma once

#include <cstdint>
#include <string_view>

#include "memory/buffer.h"
#include "mvcc/version.h"

namespace varve {

class ReadSet {
 public:
  // `bytes_max`: the limit.
  ReadSet(MemoryManager* manager, size_t bytes_max)
      : bytes_max_(bytes_max),
        bytes_limit_(bytes_max),
        manager_(manager),
        keys_(manager, MemoryRole::transaction),
        index_(manager, MemoryRole::transaction),
        ranges_(manager, MemoryRole::transaction),
        places_(manager, MemoryRole::transaction) {}

  struct Key {
    uint64_t hash;  // conflict_hash()
    Keyspace keyspace;
    std::string_view key;
  };
  // [lower, upper); an empty upper: to the end.
  struct Range {
    Keyspace keyspace;
    std::string_view lower;
    std::string_view upper;

    bool contains(std::string_view key) const {
      return compare_keys(key, lower) >= 0 && (upper.empty() || compare_keys(key, upper) < 0);
    }
  };

  // False: memory is refused; nothing is added then. A key that is there already costs nothing.
  [[nodiscard]] bool add(const Key& key);
  [[nodiscard]] bool add(const Range& range);
  bool empty() const { return keys_.size() == 0 && ranges_.size() == 0; }
  void clear();

  // Walks keys, then ranges, from `*place` = 0 on; false: that was all.
  bool next(size_t* place, Key* key) const;
  bool next(size_t* place, Range* range) const;
  // Its ranges span what was not read.
  bool is_coarse() const { return coarse_; }
  bool has_ranges() const { return ranges_.size() != 0; }
  // Sorts the ranges and joins those that overlap, for find_range(). Holds until the next add().
  // False: memory is refused.
  [[nodiscard]] bool arrange();
  // The range that contains `key`. Requires arrange().
  bool find_range(Keyspace keyspace, std::string_view key, Range* range) const;

 private:
  static constexpr size_t kKeptBytesMax = 64 << 10;
  // Up to so many keys a repeated one is found by looking at all of them.
  static constexpr uint32_t kUnindexedMax = 16;

  Key key_at(size_t place) const;
  bool has(const Key& key) const;
  bool is_covered(const Range& range) const;
  bool reserve_index();
  void add_to_index(uint64_t hash, size_t place);
  // For so many bytes: exchanges all that is there for one range a keyspace, where that is needed.
  bool make_room(size_t bytes);
  Range range_at(size_t place) const;
  bool collect_spans(Buffer* spans) const;

  const size_t bytes_max_;
  size_t bytes_limit_;  // more only where the ranges of all keyspaces need it
  MemoryManager* const manager_;
  Buffer keys_;
  uint32_t key_count_ = 0;
  Buffer index_;  // places of keys plus one: open addressing, 0: free
  Buffer ranges_;
  Buffer places_;        // of ranges, in order, once arranged
  bool coarse_ = false;  // ranges span what was not read
};

}  // namespace varve
