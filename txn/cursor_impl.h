// What is behind a Cursor: sources, merge, visibility, and what keeps them alive.
//
//   memtables -> MemtableCursor -+
//                                +-> MergeCursor -> VisibleCursor --+--------------------> Cursor
//   runs      -> RunCursor ------+                                  +-> TransactionCursor -> Cursor
//
// It holds a counted read view and a registered snapshot. A view that was superseded is let go at
// the next look, at each seek and every kStepsBetweenLooks steps, and while the cursor stands still
// when memory is short (txn/open_cursors.h): the cursor finds its place again by key, and sees the
// same, since the snapshot is the same (protocol 24). What it shows stays in place meanwhile: keys
// and values of memtables are copies, blocks are pinned, and keys of blocks lie in a buffer of the
// run's cursor.
//
// Thread rule: one thread at a time. Pooled: keeps its memory between uses.

#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "lsm/memtable.h"
#include "lsm/merge_cursor.h"
#include "lsm/run_cursor.h"
#include "lsm/store.h"
#include "lsm/visible_cursor.h"
#include "memory/object_pool.h"
#include "txn/open_cursors.h"
#include "txn/transaction_cursor.h"
#include "varve/cursor.h"

namespace varve {

class CursorImpl final : public PoolLink {
 public:
  // Cursors that wait for another use are in the list of all, and looked at with the others.
  static constexpr bool kUsedWhileWaiting = true;

  CursorImpl(Store* store, ObjectPool<CursorImpl>* pool, OpenCursors* all)
      : store_(store),
        pool_(pool),
        all_(all),
        visible_(&store->memory()),
        sought_(&store->memory(), MemoryRole::cursor),
        overlay_(&store->memory(), &visible_) {
    all_->add(this);
  }
  ~CursorImpl() { all_->remove(this); }

  // Around everything that follows: the cursor does not stand still.
  class Use {
   public:
    explicit Use(CursorImpl* cursor) : cursor_(cursor) { cursor_->enter(); }
    ~Use() { cursor_->leave(); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    CursorImpl* const cursor_;
  };

  // Takes hold of view and snapshot; unpositioned. `snapshot`: of one that the caller holds during
  // the call; null: as of now. Registers a snapshot of its own in either case.
  Status open(const ScanOptions& options, Tree* tree, const Timestamp* snapshot);
  // As Cursor::reset().
  Status reset(const ScanOptions& options);
  // Lets go of view and snapshot.
  void close();
  // close(), and back to the pool.
  void release() {
    {
      const Use use(this);
      close();
      visible_.clear(kKeptBytesMax);
      if (sought_.capacity() > kKeptBytesMax) sought_.reset();
      overlay_.clear(kKeptBytesMax);
    }
    pool_->release(this);
  }

  Store* store() { return store_; }
  // After open(): it is a transaction's, until it is opened again.
  void become_part_of(const TransactionCursor::Target& transaction) {
    of_transaction_ = true;
    overlay_.attach(transaction);
  }
  bool is_of_transaction() const { return of_transaction_; }
  TransactionCursor& overlay() { return overlay_; }

  // A seek or step of `cursor`, which is this one's handle. `move(c)`: what is to be done with what
  // it walks, a VisibleCursor or a TransactionCursor.
  template <typename Move>
  void seek(Cursor* cursor, Move move) {
    const Use use(this);
    renew_view();
    carry_out(move);
    show(cursor);
  }
  // A seek of `key`, which may lie in what is shown: `move(c, key)`.
  template <typename Move>
  void seek(Cursor* cursor, std::string_view key, Move move) {
    const Use use(this);
    if (!sought_.assign(key)) {
      cursor->status_ = Status::out_of_memory("no memory for a cursor's key");
      return;
    }
    renew_view();
    carry_out([&](auto& walk) { move(walk, sought_.view()); });
    show(cursor);
  }
  template <typename Move>
  void step(Cursor* cursor, Move move) {
    const Use use(this);
    if (__builtin_expect(steps_before_look_ == 0 || of_transaction_, 0)) {
      return step_of_all(cursor, move);
    }
    --steps_before_look_;
    move(visible_);
    if (visible_.is_in_place()) {
      in_place_ = false;
      cursor->shown_ = &visible_.row();
    } else {
      keep_in_place();
      show(cursor);
    }
  }

 private:
  friend class OpenCursors;

  // A look costs a load of a shared pointer; a view held for so many steps more costs little.
  static constexpr uint64_t kStepsBetweenLooks = 1024;
  // A cursor that waits in the pool keeps no larger buffer for a key, a value or a bound.
  static constexpr size_t kKeptBytesMax = 4096;

  void enter() {
    in_use_.store(true, kRelaxed);  // the barrier orders it
    all_->cursor_side();
    if (__builtin_expect(wanted_.load(kAcquire), 0)) wait_at_the_door();
  }
  void leave() { in_use_.store(false, kRelease); }
  void wait_at_the_door();
  // Of a cursor that is not in use: puts the newest view in place of a superseded one, which the
  // caller lets go of. Null: there is none, or what is shown lies in it.
  ReadView* take_superseded_view();
  // The newest view, with a reference; null if there is no newer one.
  ReadView* newer_view();

  // Goes on over the newest view, if there is a newer one.
  void renew_view();
  template <typename Move>
  [[gnu::noinline]] void step_of_all(Cursor* cursor, Move move) {
    if (steps_before_look_ == 0) {
      renew_view();
      steps_before_look_ = kStepsBetweenLooks;
    } else {
      --steps_before_look_;
    }
    carry_out(move);
    show(cursor);
  }
  template <typename Move>
  void carry_out(Move move) {
    if (__builtin_expect(of_transaction_, 0)) {
      if (overlay_.attached()) move(overlay_);
    } else {
      move(visible_);
    }
    keep_in_place();
  }
  // What is shown is made to stay in place.
  void keep_in_place() {
    in_place_ = false;
    if (memtable_sources_ != 0 && visible_.valid() && stands_in_memtable()) {
      in_place_ = !visible_.keep_row();
    }
  }
  static Status transaction_ended();
  void show(Cursor* cursor) {
    cursor->shown_ = &visible_.row();
    if (__builtin_expect(!of_transaction_, 1)) {
      cursor->valid_ = visible_.valid();
      if (!cursor->valid_) cursor->status_ = visible_.status();
      return;
    }
    cursor->valid_ = overlay_.valid();
    if (cursor->valid_) {
      overlay_row_ = {overlay_.key(), overlay_.value(), overlay_.timestamp()};
      cursor->shown_ = &overlay_row_;
    } else {
      cursor->status_ = overlay_.attached() ? overlay_.status() : transaction_ended();
    }
  }

  void build_sources();
  bool stands_in_memtable() const {
    return sources_.size() == 1 || merge_.source() < memtable_sources_;
  }
  VersionCursor* source() {
    return sources_.size() == 1 ? sources_[0] : static_cast<VersionCursor*>(&merge_);
  }

  Store* const store_;
  ObjectPool<CursorImpl>* const pool_;
  OpenCursors* const all_;
  CursorImpl* next_ = nullptr;  // the list's
  CursorImpl* previous_ = nullptr;
  Atomic<bool> in_use_{false};
  Atomic<bool> wanted_{false};
  Tree* tree_ = nullptr;
  ReadView* view_ = nullptr;
  SnapshotEntry entry_;
  bool registered_ = false;
  Timestamp snapshot_;
  bool fill_cache_ = true;
  const Atomic<bool>* cancelled_ = nullptr;
  uint64_t steps_before_look_ = kStepsBetweenLooks;  // 0 where it is stale
  bool stale_ = false;                               // sources are those of a view that was taken
  bool in_place_ = false;  // what is shown lies in a memtable: there was no memory to copy it
  size_t memtable_sources_ = 0;
  std::deque<MemtableCursor> memtables_;          // as many as ever needed
  std::vector<std::unique_ptr<RunCursor>> runs_;  // likewise
  std::vector<VersionCursor*> sources_;
  MergeCursor merge_;
  VisibleCursor visible_;
  Buffer sought_;  // a copy
  bool of_transaction_ = false;
  TransactionCursor overlay_;
  internal::ShownRow overlay_row_;
  std::string upper_;  // the bound that a prefix implies
};

}  // namespace varve
