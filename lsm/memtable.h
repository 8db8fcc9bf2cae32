// The sorted set of recent versions of one keyspace, in memory.
//
// Each user key is stored once, in a node with a chain of its versions from newest to oldest; so an
// overwritten key inserts nothing. A hash table from key to node answers point reads, and tells a
// writer that the key is there. Walks take the nodes from a tree (lsm/key_tree.h). Only they need
// it: new nodes wait, and are linked into it many at a time. A walk begins by linking those that
// wait.
// Version chains carry jump pointers (E. Myers, An applicative random-access stack, 1983), so that
// a read below a million newer versions takes about twenty steps (protocol 6).
//
//   hash table --> node  node  node <-- tree        waiting: node, node, ...
//                  |
//                  newest version -> older -> oldest
//
// Thread rule: apply() and reserve() by one thread at a time (the commit leader), in order of
// timestamps; reads by any number of threads beside it, without locks, but that who begins a walk
// links what waits, and so does the writer: one of them at a time.
// Invariants:
//  1. A node is complete before it is in the table or the tree; a version before it is the newest
//     of its node. Both are published by release stores and read by acquire loads.
//  2. Nothing is unlinked or changed while the memtable lives; only the hash table is replaced,
//     when it grows, and the old one is retired in the epoch domain.
//  3. In a chain, timestamps descend.
//  4. A key is in the table from apply() on; in the tree once link_waiting() has returned to
//     somebody who began it later.
// Ownership: counted; read views hold it. All memory is of the role `memtable`.
// Errors: reserve() is false when memory is refused; apply() after a successful reserve() cannot
// fail.

#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/atomic.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "base/prefetch.h"
#include "lsm/batch_format.h"
#include "lsm/key_tree.h"
#include "lsm/lsn.h"
#include "lsm/memtable_node.h"
#include "lsm/version_cursor.h"
#include "memory/arena.h"
#include "memory/epoch.h"
#include "memory/heap.h"

namespace varve {

class Memtable : public ControlObject {
 public:
  using Version = MemtableVersion;
  using Node = MemtableNode;

  // With one reference. `keys_expected`: how many keys the hash table is sized for at first.
  // `size_max`: about how many bytes it will hold; memory is taken in steps of a sixteenth of it.
  // Null when memory is refused.
  static Memtable* create(MemoryManager* manager, EpochDomain* epochs, size_t keys_expected,
                          size_t size_max = size_t{16} << 20);

  void ref() { references_.fetch_add(1, kRelaxed); }  // the caller holds one already
  void unref() {
    if (references_.fetch_sub(1, kAcqRel) == 1) delete this;
  }

  // Bytes that one entry takes, but for its part of table and tree.
  static size_t entry_size(size_t key_size, size_t value_size);
  // About what a batch takes at most, its part of table and tree included.
  static uint64_t batch_size(uint64_t entries, uint64_t batch_bytes);
  // Room for `entries` entries of `bytes` bytes in all, by entry_size().
  [[nodiscard]] bool reserve(size_t bytes, size_t entries);
  // The reservation is not needed: its commit was refused.
  void drop_reserve() { arena_.drop_reserve(); }
  // apply() is about to be called, on another core than last time.
  void prefetch_for_apply() const { prefetch_for_write(&arena_, &end_lsn_ + 1); }
  // Adds a version that is newer than all others of its key. `hash`: key_hash(key).
  void apply(std::string_view key, uint64_t hash, Timestamp timestamp, VersionKind kind,
             std::string_view value);

  struct Found {
    VersionKind kind;
    Timestamp timestamp;
    std::string_view value;  // lives as long as the memtable
  };
  // Begins to load what get() looks at, one thing after the other: each once what came before it
  // was given time. The caller holds an epoch guard.
  enum class Ahead : uint8_t { slot, node, version };
  void prefetch(uint64_t hash, Ahead ahead) const;
  // Newest version of `key` at or below `snapshot`. The caller holds an epoch guard.
  bool get(std::string_view key, uint64_t hash, Timestamp snapshot, Found* found) const;

  // Before a walk: what was applied so far is in the tree afterwards.
  void link_waiting();
  // By whoever wrote, when nobody else has to wait for it; or apply() must, once very many wait.
  // How many do is a guess beside others.
  uint64_t waiting() const { return applied_.load(kRelaxed) - linked_.load(kRelaxed); }
  bool link_is_due() const { return waiting() >= kLinkAt; }
  void link_if_due();

  // Whether there is a version of `key` at or above `timestamp`. The writer's.
  bool has_at(std::string_view key, uint64_t hash, Timestamp timestamp) const;

  MemoryManager* manager() const { return manager_; }
  size_t held_bytes() const { return held_bytes_.load(kRelaxed); }  // a statistic to others
  uint64_t versions() const { return versions_.load(kRelaxed); }
  uint64_t keys() const { return keys_; }  // the writer's, or once immutable
  bool empty() const { return versions() == 0; }

  // The log positions of the groups that it holds: where the first begins (kLsnMax: none), and the
  // end of the last. Written by the commit leader, read by anyone.
  void cover_log(Lsn start, Lsn end) {
    if (first_lsn_.load() == kLsnMax.value) first_lsn_.store(start.value);
    end_lsn_.store(end.value, kRelease);  // asked for once it is immutable
  }
  Lsn first_lsn() const { return Lsn{first_lsn_.load()}; }
  Lsn end_lsn() const { return Lsn{end_lsn_.load()}; }

 private:
  friend class MemtableCursor;
  struct Table;
  static constexpr uint64_t kLinkAt = 64;  // so many at a time are worth it
  static constexpr uint64_t kWaitingMax = 256;

  Memtable(MemoryManager* manager, EpochDomain* epochs, size_t arena_block_size_max);
  ~Memtable();
  Node* find_in_table(std::string_view key, uint64_t hash) const;
  void insert_in_table(Node* node, uint64_t hash);
  bool grow_table(size_t slots);
  void wait_for_link(Node* node);
  static void sort_by_key(std::span<Node*> nodes);
  void link_all() VARVE_REQUIRES(link_mutex_);
  Node* new_node(std::string_view key);
  // Newest version of `node` at or below `snapshot`.
  static const Version* visible(const Node* node, Timestamp snapshot);

  MemoryManager* const manager_;
  EpochDomain* const epochs_;
  Atomic<uint32_t> references_{1};
  Atomic<Table*> table_{nullptr};  // read for each get: what is written often lies elsewhere
  // Nodes that wait, from linked_ to applied_, counted from the beginning.
  Node* waiting_[kWaitingMax];
  // The writer's.
  Arena arena_;
  Atomic<uint64_t> applied_{0};
  uint64_t keys_ = 0;
  Atomic<uint64_t> versions_{0};
  Atomic<size_t> held_bytes_{0};
  Atomic<uint64_t> first_lsn_{kLsnMax.value};
  Atomic<uint64_t> end_lsn_{0};
  // Who links what waits.
  Mutex link_mutex_;
  Atomic<uint64_t> linked_{0};
  KeyTree tree_;
};

// Walks a memtable in version order. With a snapshot it yields of each key only the version that
// the snapshot sees; without one (kTimestampMax, `all`), every version.
// Errors: cancelled, where it passes keys that the snapshot does not see.
class MemtableCursor final : public VersionCursor {
 public:
  // `memtable` outlives the walk, which is over what is in it now.
  void reset(Memtable* memtable, Timestamp snapshot, bool all_versions,
             const Atomic<bool>* cancelled = nullptr);

  void seek_to_first() override;
  void seek_to_last() override;
  void seek(const VersionKey& key) override;
  void seek_for_prev(const VersionKey& key) override;
  void next() override;
  void prev() override;
  Status status() const override { return failed_ ? cancelled() : Status(); }

 private:
  // At a key that is passed: whether to go on.
  bool goes_on() {
    failed_ = is_cancelled(cancelled_);
    return !failed_;
  }
  // Stands on the first (or, going back, the last) version to be yielded of the first node from
  // place_ on that has one.
  void settle_forward();
  void settle_backward();
  void stand_on(const Memtable::Version* version);

  const Memtable* memtable_ = nullptr;
  Timestamp snapshot_ = kTimestampMax;
  bool all_versions_ = false;
  bool failed_ = false;
  const Atomic<bool>* cancelled_ = nullptr;
  KeyTree::Place place_;
  const Memtable::Version* version_ = nullptr;
};

}  // namespace varve
