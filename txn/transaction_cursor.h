// What a transaction's cursor shows: the versions that its snapshot sees, overlaid by what the
// transaction wrote itself; and which ranges it read, for a check at commit.
//
//   VisibleCursor (snapshot) -+
//                             +-> TransactionCursor -> Cursor
//   WriteSet (own writes) ----+
//   SpilledCursor (of them, those on disk)
//
// Where both have a key, the own write counts; an own tombstone hides the key. Of the own writes
// nothing is pointed to between two steps: they are found again by key. So the batch may grow, be
// compacted and truncated beside its cursors.
//
// Thread rule: the transaction's thread. Part of a CursorImpl, attached while that is a
// transaction's. Links itself into the transaction's list.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "lsm/visible_cursor.h"
#include "memory/buffer.h"
#include "txn/read_set.h"
#include "txn/spilled_cursor.h"
#include "txn/write_set.h"

namespace varve {

class TransactionImpl;

class TransactionCursor {
 public:
  TransactionCursor(MemoryManager* manager, VisibleCursor* base)
      : manager_(manager),
        base_(base),
        own_key_(manager, MemoryRole::cursor),
        own_value_(manager, MemoryRole::cursor),
        here_(manager, MemoryRole::cursor),
        range_start_(manager, MemoryRole::cursor) {}
  ~TransactionCursor() { detach(); }
  TransactionCursor(const TransactionCursor&) = delete;
  TransactionCursor& operator=(const TransactionCursor&) = delete;

  // From now on it shows `writes` over the base, which was just reset. `reads`: receives the ranges
  // that it reads; null: nobody asks.
  struct Target {
    TransactionImpl* transaction;
    WriteSet* writes;
    ReadSet* reads;
    Keyspace keyspace;
    bool live;
    TransactionCursor** list;  // of the transaction's open cursors
    bool* ranges_lost;         // set when a range was refused memory: it cannot be checked any more
  };
  void attach(const Target& target);
  // The end: what it read is told; it shows nothing any more.
  void detach();
  // Gives back buffers of more than `kept` bytes. While it is not attached.
  void clear(size_t kept);
  bool attached() const { return target_.transaction != nullptr; }
  TransactionImpl* transaction() const { return target_.transaction; }
  TransactionCursor* next_in_list() const { return next_; }
  // What was written from `place` on is undone: a cursor that was opened later ends.
  void cut(uint64_t place);
  // Where in the write set it reads as of; nothing: it reads all, or shows nothing any more.
  std::optional<uint64_t> reads_as_of() const {
    return target_.live || cut_ ? std::nullopt : std::optional(place_);
  }
  // The range read so far is in the read set, or lost.
  void tell_range();

  bool valid() const { return valid_; }
  std::string_view key() const { return shows_own_ ? own_key_.view() : base_->key(); }
  std::string_view value() const { return shows_own_ ? own_value_.view() : base_->value(); }
  Timestamp timestamp() const { return shows_own_ ? kTimestampMax : base_->timestamp(); }
  const Status& status() const { return status_; }

  void seek_to_first();
  void seek_to_last();
  void seek(std::string_view key);
  void seek_for_prev(std::string_view key);
  void next() {
    if (valid_ && has_nothing_ahead(/*backward=*/false) && base_->next_plain()) {
      valid_ = base_->valid();
      if (valid_) return;
      settle();  // why
      return;
    }
    step(/*backward=*/false);
  }
  void prev() { step(/*backward=*/true); }

 private:
  // Begins a walk at `key`, which it copies to here_; without a key, at the bound.
  bool start(std::optional<std::string_view> key, bool backward);
  // The own write that comes next in the direction, after `key`, or at it when `inclusive`; without
  // a key from the bound on.
  void load_own(std::optional<std::string_view> key, bool inclusive);
  // Of memory and disk; the entry is valid until the next call.
  Result<bool> nearest_own(const WriteSet::Query& query, BatchEntry* entry);
  // It goes on in the same direction, nothing of its own lies ahead there, and nothing can come.
  bool has_nothing_ahead(bool backward) const {
    return backward == backward_ && !own_valid_ && !target_.live;
  }
  void step_base();
  void step(bool backward);
  // Shows what comes first of both; steps over own tombstones and what they hide.
  void settle();
  void fail(Status status);

  MemoryManager* const manager_;
  VisibleCursor* const base_;
  Target target_{};
  TransactionCursor* next_ = nullptr;
  TransactionCursor* previous_ = nullptr;
  uint64_t place_ = 0;                      // of the write set, when it was attached
  std::unique_ptr<SpilledCursor> spilled_;  // once something was spilled
  bool backward_ = false;
  bool valid_ = false;
  bool shows_own_ = false;
  bool own_valid_ = false;
  VersionKind own_kind_ = VersionKind::value;
  Buffer own_key_;
  Buffer own_value_;
  Buffer here_;
  // The walk that goes on, as a range: it is told when it ends.
  bool in_range_ = false;
  bool range_start_known_ = false;  // else it is the bound
  Buffer range_start_;
  bool cut_ = false;
  Status status_;
};

}  // namespace varve
