// What a transaction wrote beyond its share of memory: runs on disk, newest last, which no manifest
// names until they are committed (docs/decisions.md).
//
// In the place of timestamps their versions carry places of the write set (txn/write_set.h): what
// was written at place p has p + 1, and whoever reads as of place q sees what has q or less. So
// savepoints and open cursors are snapshots, and overwritten entries are dropped where no snapshot
// sees them.
//
// Invariants:
//  1. Runs cover disjoint intervals of places, in order: of a key, versions in a later run are
//     newer.
//  2. What was undone is in no answer. It is in the files until the runs that hold it are merged.
//  3. Once finished, and nothing was written since, there is one run, undated, of one version a
//  key.
//
// Thread rule: one thread at a time; the commit leader reads it while that waits.
// Errors: those of writing and reading files. What failed has changed nothing.

#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/cancellation.h"
#include "lsm/store.h"

namespace varve {

class SpilledWrites {
 public:
  explicit SpilledWrites(Store* store) : store_(store) {}
  ~SpilledWrites() { clear(); }
  SpilledWrites(const SpilledWrites&) = delete;
  SpilledWrites& operator=(const SpilledWrites&) = delete;

  bool empty() const { return runs_.empty(); }
  // Another one, whenever what cursors walk has changed.
  uint64_t generation() const { return generation_; }

  // What is read as of a place, and of what was written at one.
  static Timestamp as_of(uint64_t place) { return {place}; }
  static Timestamp written_at(uint64_t place) { return {place + 1}; }

  // One keyspace's part of what is spilled.
  struct Source {
    Keyspace keyspace;
    VersionCursor* versions;
  };
  // Adds a run of what was written up to `place`. `readers`: the places that something reads as of,
  // or will, ascending, distinct, below it.
  Status add(std::span<const Source> sources, uint64_t place, std::span<const Timestamp> readers);
  // Makes fewer runs, where there are many of one size.
  Status merge_if_due(std::span<const Timestamp> readers);
  // What was written from `from` up to `to`, now, is undone.
  void undo(uint64_t from, uint64_t to);
  // The newest version of a key, a tombstone too.
  Result<bool> find(Keyspace keyspace, std::string_view key, FoundVersion* found) const;
  // Whether a version in the files was undone.
  bool is_undone(Timestamp version) const { return undone_at(version) != nullptr; }

  // There are so many runs that no more should be added without a merge.
  bool is_crowded() const { return runs_.size() >= kRunsMax; }
  // Makes of all that was spilled one undated run a keyspace; no reader is left.
  Status finish();
  // After finish(); empty if nothing is left of what was written.
  std::span<const Store::SpilledRun> finished() const;

  // Files of one keyspace, run by run from the newest.
  std::vector<std::span<Sstable* const>> runs_of(Keyspace keyspace) const;

  // The files go.
  void clear();
  // They stay: they were committed, or may have been.
  void forget();

 private:
  // So many runs of one size are merged into one of the next, if there is memory for blocks of all.
  static constexpr size_t kMergeRuns = 8;
  // Where merges fail: beyond so many reads would cost too much.
  static constexpr size_t kRunsMax = 64;

  struct Run {
    std::vector<Store::SpilledRun> parts;  // by keyspace
    uint64_t to = 0;     // places in it lie below, and not below the previous one's
    uint32_t level = 0;  // merges that made it
    bool undated = false;
  };
  struct Undone {
    uint64_t from;
    uint64_t to;
  };

  const Undone* undone_at(Timestamp version) const;
  // Runs from `first` on become one.
  Status merge_from(size_t first, std::span<const Timestamp> readers, bool undated);
  Status merge_keyspace(size_t first, Keyspace keyspace, const GcHorizon& horizon, bool undated,
                        Run* merged);
  // Of a merge: once it was refused memory, the next ones read fewer runs at a time, and `status`
  // is ok: it is to be tried again.
  Status or_with_fewer(Status status);
  void drop(const Run& run);
  void reset();

  Store* const store_;
  std::vector<Run> runs_;
  std::vector<Undone> undone_;  // disjoint, ascending
  size_t merge_runs_ = kMergeRuns;
  uint64_t generation_ = 1;
};

// The versions of `source` that were not undone. `cancelled` may be null: it stops walks over those
// that were, of which there may be as many as the disk holds.
class LiveVersions final : public VersionCursor {
 public:
  LiveVersions(VersionCursor* source, const SpilledWrites* writes,
               const Atomic<bool>* cancelled = nullptr)
      : source_(source), writes_(writes), cancelled_(cancelled) {}

  void seek_to_first() override {
    source_->seek_to_first();
    settle(&VersionCursor::next);
  }
  void seek_to_last() override {
    source_->seek_to_last();
    settle(&VersionCursor::prev);
  }
  void seek(const VersionKey& key) override {
    source_->seek(key);
    settle(&VersionCursor::next);
  }
  void seek_for_prev(const VersionKey& key) override {
    source_->seek_for_prev(key);
    settle(&VersionCursor::prev);
  }
  void next() override {
    source_->next();
    settle(&VersionCursor::next);
  }
  void prev() override {
    source_->prev();
    settle(&VersionCursor::prev);
  }
  Status status() const override { return stopped_ ? cancelled() : source_->status(); }

 private:
  void settle(void (VersionCursor::*step)());

  VersionCursor* const source_;
  const SpilledWrites* const writes_;
  const Atomic<bool>* const cancelled_;
  bool stopped_ = false;
};

}  // namespace varve
