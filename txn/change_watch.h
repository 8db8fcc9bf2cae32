// Tells whether commits touched a range of keys: for whoever keeps what a scan of it found.
//
//   owner    add() a range; reads at a snapshot; keeps what was found while steady_from() says that
//            it is what later snapshots see as well; remove()
//   leader   marks, for each key of a commit, the ranges that hold it
//
// What steady_from() promises: all snapshots at or above it that were taken before the call see the
// range alike. So what was read at S is what a snapshot R sees, also one older than S, if neither
// lies below it.
//
// Why it holds, with F the newest timestamp that was given out when the range was added:
//  1. The leader gives a commit its timestamp T, then looks whether anything is watched. add()
//  makes
//     the range known, then reads F. Both in sequentially consistent order: so T <= F, or the
//     leader finds the range.
//  2. The leader marks a range with T before it publishes T. So whoever has a snapshot at or above
//     T finds the mark.
//  3. steady_from() is F or the newest mark, whichever is later. A commit that came after it, and
//     is seen by one of two snapshots that were taken before the call but not by the other, was
//     published, is above F, and would be the newest mark.
// A mark too many (of a commit that fails in the end, of one whose keys are not walked) costs
// what was kept; one too few would show what is not so.
//
// Thread rule: steady_from(), add(), remove(), size() from any thread; the rest by the commit
// leader, one at a time. Locks: its own, for a search among the ranges; nobody waits under it.
// Ownership: a range is its owner's, and so are the bounds that it views; it stays where it is
// until it is removed. Memory: none is allocated. Source: T. Cormen et al., Introduction to
// Algorithms, section 14.3 (interval trees); C. Aragon, R. Seidel, Randomized Search Trees, FOCS
// 1989.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/atomic.h"
#include "base/mutex.h"
#include "mvcc/timestamp_oracle.h"
#include "mvcc/version.h"

namespace varve {

class WatchedRange {
 public:
  WatchedRange() = default;
  WatchedRange(const WatchedRange&) = delete;
  WatchedRange& operator=(const WatchedRange&) = delete;

  // Of a range that was added: see above.
  Timestamp steady_from() const { return Timestamp{steady_from_.load()}; }

 private:
  friend class ChangeWatch;
  // Whether its keys begin, or end, behind that key.
  bool begins_behind(Keyspace keyspace, std::string_view key) const;
  bool ends_behind(Keyspace keyspace, std::string_view key) const;

  Atomic<uint64_t> steady_from_{0};  // written under the watch's lock
  Keyspace keyspace_;
  std::string_view lower_;
  std::string_view upper_;
  // Of the tree, by keyspace and lower bound; priorities fall from the root down.
  uint64_t priority_ = 0;
  WatchedRange* left_ = nullptr;
  WatchedRange* right_ = nullptr;
  WatchedRange* furthest_ = nullptr;  // of those from here down, the one that ends last
};

class ChangeWatch {
 public:
  // `oracle` outlives it.
  explicit ChangeWatch(const TimestampOracle* oracle) : oracle_(oracle) {}
  // Requires that every range was removed.
  ~ChangeWatch();
  ChangeWatch(const ChangeWatch&) = delete;
  ChangeWatch& operator=(const ChangeWatch&) = delete;

  // More would keep the leader for too long where all of a keyspace are marked.
  static constexpr size_t kRangesMax = size_t{1} << 16;

  // Keys in [lower, upper); upper empty: to the last.
  struct Bounds {
    Keyspace keyspace = {};
    std::string_view lower = {};
    std::string_view upper = {};
  };
  // False: as many as can be are watched; the range is not.
  bool add(WatchedRange* range, const Bounds& bounds);
  // Of a range that was added.
  void remove(WatchedRange* range);
  size_t size() const { return count_.load(); }

  // -- the commit leader's, after the timestamp was given and before it is published --
  // False: there is nothing to mark.
  bool watches_any() const { return count_.load() != 0; }
  // Of a commit's entries (lsm/batch_format.h).
  void mark(std::string_view batch, Timestamp timestamp);
  // Of one whose keys are not walked, or that drops the keyspace.
  void mark_all(Keyspace keyspace, Timestamp timestamp);

 private:
  static bool precedes(const WatchedRange& a, const WatchedRange& b);
  static bool ends_before(const WatchedRange& a, const WatchedRange& b);
  static void find_furthest(WatchedRange* range);
  static void split(WatchedRange* tree, const WatchedRange& at, WatchedRange** before,
                    WatchedRange** after);
  static WatchedRange* join(WatchedRange* before, WatchedRange* after);
  static WatchedRange* without(WatchedRange* tree, const WatchedRange& range);
  static void mark_range(WatchedRange* range, Timestamp timestamp);
  static void mark_holders(WatchedRange* tree, Keyspace keyspace, std::string_view key,
                           Timestamp timestamp);
  static void mark_keyspace(WatchedRange* tree, Keyspace keyspace, Timestamp timestamp);

  const TimestampOracle* const oracle_;
  Mutex mutex_;
  Atomic<size_t> count_{0};  // written under mutex_
  WatchedRange* root_ VARVE_GUARDED_BY(mutex_) = nullptr;
  uint64_t added_ VARVE_GUARDED_BY(mutex_) = 0;  // ever
};

}  // namespace varve
