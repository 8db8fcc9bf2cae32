// What is behind a Cursor: sources, merge, visibility, and what keeps them alive.
//
//   memtables -> MemtableCursor -+
//                                +-> MergeCursor -> VisibleCursor -> Cursor
//   runs      -> RunCursor -----+
//
// It holds a counted read view and a registered snapshot. A view that was superseded is let go at
// the next look, at each seek and every kStepsBetweenLooks steps: the cursor finds its place again
// by key, and sees the same, since the snapshot is the same (protocol 24).
//
// Thread rule: one thread at a time. Pooled: keeps its memory between uses.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lsm/memtable.h"
#include "lsm/merge_cursor.h"
#include "lsm/run_cursor.h"
#include "lsm/store.h"
#include "lsm/visible_cursor.h"
#include "memory/object_pool.h"
#include "varve/cursor.h"

namespace varve {

class CursorImpl final : public PoolLink {
 public:
  explicit CursorImpl(Store* store, ObjectPool<CursorImpl>* pool)
      : store_(store), pool_(pool), visible_(&store->memory()) {}

  // Takes hold of view and snapshot; unpositioned. `snapshot`: of one that the caller holds during
  // the call; null: as of now. Registers a snapshot of its own in either case.
  Status open(const ScanOptions& options, Tree* tree, const Timestamp* snapshot);
  // Lets go of view and snapshot.
  void close();
  // close(), and back to the pool.
  void release() {
    close();
    pool_->release(this);
  }

  Store* store() { return store_; }
  VisibleCursor& visible() { return visible_; }
  // To be called before each step.
  void look_for_newer_view() {
    if (++steps_ % kStepsBetweenLooks == 0) renew_view();
  }
  // Goes on over the newest view, if there is a newer one. To be called before each seek.
  void renew_view();

 private:
  // A look costs a load of a shared pointer; a view held for so many steps more costs little.
  static constexpr uint64_t kStepsBetweenLooks = 1024;

  void build_sources();
  VersionCursor* source() {
    return sources_.size() == 1 ? sources_[0] : static_cast<VersionCursor*>(&merge_);
  }

  Store* const store_;
  ObjectPool<CursorImpl>* const pool_;
  Tree* tree_ = nullptr;
  ReadView* view_ = nullptr;
  SnapshotEntry entry_;
  bool registered_ = false;
  Timestamp snapshot_;
  bool fill_cache_ = true;
  uint64_t steps_ = 0;
  std::vector<MemtableCursor> memtables_;
  std::vector<std::unique_ptr<RunCursor>> runs_;  // as many as ever needed
  std::vector<VersionCursor*> sources_;
  MergeCursor merge_;
  VisibleCursor visible_;
  std::string upper_;  // the bound that a prefix implies
};

}  // namespace varve
