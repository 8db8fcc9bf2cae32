// The keys of a history in the order of scans, so that a range is an interval of ranks.
//
// Thread rule: const after construction. Keeps a reference to the history.

#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

#include "txn/compact_history.h"

namespace varve {

class KeyOrder {
 public:
  explicit KeyOrder(const CompactHistory& history)
      : history_(history), keys_(history.keys().size()), ranks_(history.keys().size()) {
    std::iota(keys_.begin(), keys_.end(), 0u);
    std::sort(keys_.begin(), keys_.end(), [&](uint32_t a, uint32_t b) {
      return std::tuple(space(a), bytes(a)) < std::tuple(space(b), bytes(b));
    });
    for (uint32_t rank = 0; rank < keys_.size(); ++rank) ranks_[keys_[rank]] = rank;
  }

  uint32_t key(uint32_t rank) const { return keys_[rank]; }

  struct Interval {
    uint32_t begin;
    uint32_t end;
  };
  // The keys that the scan looked at.
  Interval covered(const CompactScan& scan) const {
    const std::string_view lower = history_.values().bytes(scan.lower);
    const std::string_view upper = history_.values().bytes(scan.upper);
    Interval interval{
        .begin = first_at(scan.keyspace, lower),
        .end = upper.empty() ? first_above(scan.keyspace) : first_at(scan.keyspace, upper)};
    if (scan.ended_at != kNone) {
      const std::string_view last = history_.values().bytes(scan.ended_at);
      if (scan.reverse) {
        interval.begin = std::max(interval.begin, first_at(scan.keyspace, last));
      } else {
        interval.end = std::min(interval.end, first_after(scan.keyspace, last));
      }
    }
    if (scan.covers_nothing || interval.end < interval.begin) interval.end = interval.begin;
    return interval;
  }

  // Whether its rows are in order, each once, and within `covered`.
  bool in_order(const CompactScan& scan, const Interval& covered) const {
    const std::span<const CompactRow> rows = history_.rows(scan);
    for (size_t i = 0; i < rows.size(); ++i) {
      const uint32_t rank = ranks_[rows[i].key];
      if (rank < covered.begin || rank >= covered.end) return false;
      if (i == 0) continue;
      const uint32_t previous = ranks_[rows[i - 1].key];
      if (scan.reverse ? rank >= previous : rank <= previous) return false;
    }
    return true;
  }

 private:
  uint32_t space(uint32_t key) const { return history_.keys().space(key); }
  std::string_view bytes(uint32_t key) const { return history_.keys().bytes(key); }
  template <typename Before>
  uint32_t partition(const Before& before) const {
    return static_cast<uint32_t>(std::partition_point(keys_.begin(), keys_.end(), before) -
                                 keys_.begin());
  }
  uint32_t first_at(uint32_t keyspace, std::string_view wanted) const {
    return partition([&](uint32_t key) {
      return std::tuple(space(key), bytes(key)) < std::tuple(keyspace, wanted);
    });
  }
  uint32_t first_after(uint32_t keyspace, std::string_view wanted) const {
    return partition([&](uint32_t key) {
      return std::tuple(space(key), bytes(key)) <= std::tuple(keyspace, wanted);
    });
  }
  uint32_t first_above(uint32_t keyspace) const {
    return partition([&](uint32_t key) { return space(key) <= keyspace; });
  }

  const CompactHistory& history_;
  std::vector<uint32_t> keys_;   // by rank
  std::vector<uint32_t> ranks_;  // by key
};

}  // namespace varve
