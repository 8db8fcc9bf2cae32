// What was committed lately, so that a transaction can be checked against the commits that came
// after its snapshot (protocols 2 and 3).
//
// Two structures, both written by the commit leader alone:
//   slots   by key hash, the newest timestamp at which a key of that slot was written. A filter: a
//           slot at or below a transaction's start says that the key did not change since; one
//           above it, that it has to be looked up in the tree
//   recent  a ring of the keys of recent commits, in order: exact, for the commits between a check
//           outside the commit queue and the transaction's own turn in it
//
// A check has two halves. Outside the queue the transaction reads position(), then the published
// timestamp P, and looks at all commits up to P: slots, and the tree where they do not decide.
// In the queue the leader looks only at the commits since: at what is recorded from that position
// on. Both together see every commit between the transaction's start and its own timestamp.
//
// Invariants:
//  1. What is recorded before a position() that a thread read is published, and so at or below any
//     published timestamp that the thread reads after it: the leader publishes first, and then
//     moves the position. Hence the two halves leave nothing out.
//  2. A commit is either recorded, or at or below floor(). Commits are recorded while some
//     transaction that will be checked is open, and for some groups afterwards; a program without
//     any pays next to nothing. A transaction enters before it takes its snapshot: a group that did
//     not see it yet raises the floor before it publishes.
//  3. A trimmed ring, a slot that many keys share, or a table that got no memory cost look-ups,
//     never a verdict: the tree is asked instead.
//
// Thread rule: enter(), leave(), position(), unchanged_since() from any thread; publish() by one
// thread at a time; the rest by the commit leader, one at a time.
// Memory: at most 1/32 of the budget, taken when the first transaction begins.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/atomic.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "base/prefetch.h"
#include "base/thread_slot.h"
#include "memory/memory_manager.h"
#include "mvcc/version.h"

namespace varve {

// Of a key in a keyspace: what slots and sets of keys go by.
inline uint64_t conflict_hash(Keyspace keyspace, uint64_t hash_of_key) {
  return mix64(hash_of_key + keyspace.id);
}

class ConflictTable {
 public:
  // `memory_bytes`: the most that it takes. `recovered`: newest timestamp that was ever given.
  ConflictTable(MemoryManager* manager, uint64_t memory_bytes, Timestamp recovered);
  ~ConflictTable() { release_memory(); }
  ConflictTable(const ConflictTable&) = delete;
  ConflictTable& operator=(const ConflictTable&) = delete;

  // Around the life of a transaction that will be checked: enter() before it takes its snapshot;
  // leave() with what that returned.
  [[nodiscard]] size_t enter();
  void leave(size_t cell) { open_[cell].count.fetch_sub(1); }
  // No transaction is open, and no commit in progress.
  void release_memory();

  // Everything recorded before it is published.
  uint64_t position() const { return published_position_.load(); }
  // True: no key of that hash was written above `since`, in commits up to a published timestamp
  // that was read before this call. False: it may have been.
  bool unchanged_since(uint64_t hash, Timestamp since) const;

  // -- the commit leader's --
  // A group is about to begin, on another core than the last one.
  void prefetch() const { prefetch_for_write(&published_position_, &end_ + 1); }
  // A group begins: whether its commits are to be recorded. If not, raise_floor() follows.
  bool is_recording();
  // What is about to be published up to `last` is not recorded.
  void raise_floor(Timestamp last) { floor_.store(last.nanos, kRelaxed); }  // published with it
  // The commits that were recorded from `position` on are all there since `through`: what follows
  // can be asked. False: some were trimmed, or never recorded.
  bool covers(uint64_t position, Timestamp through) const {
    return position >= begin_ && floor_.load(kRelaxed) <= through.nanos;  // the leader's own
  }
  struct Recorded {
    uint64_t hash = 0;  // conflict_hash()
    Keyspace keyspace = {};
    std::string_view key = {};
    Timestamp timestamp = {};
  };
  // Walks the keys of the commits that were recorded from `*position` on; false: that was all.
  // `recorded` is valid until the next record().
  bool next(uint64_t* position, Recorded* recorded) const;
  void record(const Recorded& what);
  uint64_t end() const { return end_; }
  // What was recorded from `position` on did not come to pass. (Slots stay: they are a filter.)
  void rewind(uint64_t position);
  // What was recorded before `position`, an end() of then, is published.
  void publish(uint64_t position) {
    // Pairs with position(), which is read before the published timestamp.
    if (published_position_.load(kRelaxed) != position) {
      published_position_.store(position, kRelease);
    }
  }

 private:
  struct Record;
  static constexpr uint64_t kSlotsMax = uint64_t{4} << 20;
  static constexpr uint64_t kRecentBytesMax = uint64_t{4} << 20;
  static constexpr uint64_t kSlotsMin = 64;

  static constexpr size_t kCells = 16;
  // So many groups are recorded after it was last known that somebody looks.
  static constexpr uint32_t kGroupsToLook = 64;

  bool take_memory() VARVE_REQUIRES(mutex_);
  bool any_open() const;
  const Record* record_at(uint64_t position) const;

  MemoryManager* const manager_;
  const uint64_t slot_count_;  // powers of two
  const uint64_t recent_bytes_;
  // Transactions that are open, by the threads that began them.
  struct alignas(64) Cell {
    Atomic<uint64_t> count{0};
  };
  Cell open_[kCells];
  // What is seldom written.
  alignas(64) Atomic<bool> wanted_{false};  // somebody may be open
  Atomic<Atomic<uint64_t>*> slots_{nullptr};
  Atomic<uint64_t> floor_;
  Mutex mutex_;
  // What the leader writes for each group. Positions count bytes and only grow; byte p of the ring
  // is at p modulo its size.
  alignas(64) Atomic<uint64_t> published_position_{0};
  uint32_t groups_until_look_ = 0;
  char* recent_ = nullptr;
  uint64_t begin_ = 0;  // the oldest record that is still there
  uint64_t end_ = 0;
};

}  // namespace varve
