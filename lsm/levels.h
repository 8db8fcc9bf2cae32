// The sstables of one keyspace at one moment: runs, from newest to oldest.
//
// A run is a sequence of sstables, disjoint and in key order. All versions in a newer run are newer
// than those in an older one. The oldest run is the bottom.
//
// Thread rule: immutable; any number of threads.
// Ownership: counted; holds a reference on each sstable.
// Invariants (checked by check_levels() whenever new levels are installed):
//  1. Run ids descend, and no run is empty.
//  2. Within a run files ascend and do not overlap: no user key lies in two of them.
//  3. Only files of the bottom run hold collapsed timestamps.
//  4. Timestamps in a run are above those in all older runs.

#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "base/atomic.h"
#include "lsm/compaction_pick.h"
#include "lsm/counted_ref.h"
#include "lsm/levels_edit.h"
#include "lsm/sstable.h"

namespace varve {

struct Run {
  RunId id;
  std::vector<Sstable*> files;
  // Sums over the files.
  uint64_t bytes = 0;      // on disk
  uint64_t raw_bytes = 0;  // of keys and values
  uint64_t versions = 0;
  uint64_t user_keys = 0;
  uint64_t tombstones = 0;
  Timestamp timestamp_min;
  Timestamp timestamp_max;

  // The file that may hold `user_key`; null if none does.
  Sstable* file_for(std::string_view user_key, uint64_t head) const;

 private:
  friend class Levels;
  // Key heads of the files' smallest and largest keys.
  std::vector<uint64_t> smallest_heads_;
  std::vector<uint64_t> largest_heads_;
};

inline Sstable* Run::file_for(std::string_view user_key, uint64_t head) const {
  size_t i = 0;
  if (files.size() > 1) {
    const auto at = std::lower_bound(largest_heads_.begin(), largest_heads_.end(), head);
    i = static_cast<size_t>(at - largest_heads_.begin());
  } else if (files.empty() || largest_heads_[0] < head) {
    return nullptr;
  }
  while (i < files.size() && largest_heads_[i] == head &&
         compare_keys(files[i]->info().largest_key, user_key) < 0) {
    ++i;
  }
  if (i == files.size() || smallest_heads_[i] > head) return nullptr;
  const bool begins_behind =
      smallest_heads_[i] == head && compare_keys(files[i]->info().smallest_key, user_key) > 0;
  return begins_behind ? nullptr : files[i];
}

class Levels {
 public:
  // `runs` newest first, files in order; takes over a reference on each sstable. Has one reference.
  static Levels* create(std::vector<Run> runs);
  // `base` without the files that `removed` names, and with `added` (references taken over).
  struct Addition {
    RunId run;
    Sstable* sstable;
  };
  static Levels* apply(const Levels& base, std::span<const FileNumber> removed,
                       std::span<const Addition> added);

  void ref() { references_.fetch_add(1, kRelaxed); }  // the caller holds one already
  void unref() {
    if (references_.fetch_sub(1, kAcqRel) == 1) delete this;
  }
  std::span<const Run> runs() const { return runs_; }
  uint64_t bytes() const;
  // Files of values that the sstables point into, by number, and how much of each they need.
  struct ValuesInFile {
    ValueFile* file;
    uint64_t needed_bytes = 0;
    uint64_t sstables = 0;  // that name it
  };
  std::span<const ValuesInFile> value_files() const { return value_files_; }
  ValueShape value_shape() const;

 private:
  static Levels* create(std::vector<Run> runs, std::vector<ValuesInFile> values);
  Levels(std::vector<Run> runs, std::vector<ValuesInFile> values);
  ~Levels();
  Atomic<uint32_t> references_{1};
  std::vector<Run> runs_;
  const std::vector<ValuesInFile> value_files_;  // kept by the sstables
  ControlCharge charge_;                         // for the lists
};

// Long work on files holds levels and not a read view, which would keep memtables.
using LevelsRef = CountedRef<Levels>;

// The invariants above; corruption naming files and keys.
Status check_levels(const Levels& levels);

}  // namespace varve
