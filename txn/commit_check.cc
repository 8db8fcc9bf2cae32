#include "txn/commit_check.h"

#include <algorithm>
#include <vector>

#include "base/hash.h"
#include "lsm/batch_format.h"
#include "lsm/memtable.h"
#include "lsm/run_cursor.h"

namespace varve {

namespace {

ReadSet::Key key_of(const BatchEntry& entry) {
  return {.hash = conflict_hash(entry.keyspace, key_hash(entry.key)),
          .keyspace = entry.keyspace,
          .key = entry.key};
}

void set_conflict(const ReadSet::Range& where, CommitCheck::Cause cause, CommitCheck* check) {
  check->verdict = CommitCheck::Verdict::conflict;
  check->conflict = where;
  check->cause = cause;
}

// Whether `cursor` shows a version of the range above `start`, of those at or below `through`.
Result<bool> shows_newer(VersionCursor* cursor, const ReadSet::Range& range,
                         const CommitCheck& check) {
  if (range.lower.empty()) {
    cursor->seek_to_first();
  } else {
    cursor->seek({range.lower, kTimestampMax});
  }
  for (; cursor->valid() && range.contains(cursor->user_key()); cursor->next()) {
    if (cursor->timestamp() > check.since() && cursor->timestamp() <= check.through) return true;
  }
  VARVE_RETURN_IF_ERROR(cursor->status());
  return false;
}

// Of a commit, io_error would leave open whether it is there.
Status unchecked(Status status) {
  if (status.code() != StatusCode::io_error) return status;
  return Status::busy("the commit could not be checked: " + status.to_string());
}

}  // namespace

Status CommitChecker::check_published(std::string_view batch, CommitCheck* check) const {
  check->position = table_->position();
  const Timestamp published = store_->oracle().published();  // in this order
  check->through = std::max(published, check->since());
  check->verdict = CommitCheck::Verdict::clear;
  if (check->through == check->since()) return Status();  // nobody has committed since
  VARVE_RETURN_IF_ERROR(unchecked(look_up(batch, check)));
  if (check->verdict == CommitCheck::Verdict::clear) check->clear_through = check->through;
  return Status();
}

Status CommitChecker::look_up(std::string_view batch, CommitCheck* check) const {
  BatchReader reader(batch);
  BatchEntry entry;
  while (reader.next(&entry)) {
    VARVE_ASSIGN_OR_RETURN(const bool conflict,
                           changed(key_of(entry), CommitCheck::Cause::write, check));
    if (conflict) return Status();
  }
  VARVE_RETURN_IF_ERROR(look_up_spilled(check));
  if (check->reads == nullptr || check->verdict == CommitCheck::Verdict::conflict) return Status();
  size_t place = 0;
  ReadSet::Key key;
  while (check->reads->next(&place, &key)) {
    VARVE_ASSIGN_OR_RETURN(const bool conflict, changed(key, CommitCheck::Cause::read, check));
    if (conflict) return Status();
  }
  place = 0;
  ReadSet::Range range;
  while (check->reads->next(&place, &range)) {
    VARVE_ASSIGN_OR_RETURN(const bool conflict, changed(range, check));
    if (conflict) return Status();
  }
  return Status();
}

Status CommitChecker::look_up_spilled(CommitCheck* check) const {
  for (const Store::SpilledRun& run : check->spilled) {
    Tree* tree = store_->tree(run.keyspace);
    if (tree == nullptr) {
      // Being dropped: if the table does not know yet, the commit is refused in the queue.
      VARVE_ASSIGN_OR_RETURN(const bool conflict, changed_by_others(run, check));
      if (conflict) return Status();
      continue;
    }
    ReadView* view = store_->view_of(tree);  // after `through` was read: all up to it is in there
    const ReadViewRef view_ref(view);
    VARVE_ASSIGN_OR_RETURN(const bool conflict, bytes_since(*view, *check) < bytes_of(run)
                                                    ? others_changed(run, *view, check)
                                                    : changed_by_others(run, check));
    if (conflict) return Status();
  }
  return Status();
}

uint64_t CommitChecker::bytes_of(const Store::SpilledRun& run) {
  uint64_t bytes = 0;
  for (const Sstable* file : run.files) bytes += file->info().raw_bytes;
  return bytes;
}

uint64_t CommitChecker::bytes_since(const ReadView& view, const CommitCheck& check) {
  uint64_t bytes = 0;
  for (const Memtable* memtable : view.memtables()) bytes += memtable->held_bytes();
  for (const Run& run : view.levels().runs()) {
    for (const Sstable* file : run.files) {
      if (file->info().timestamp_max > check.since()) bytes += file->info().raw_bytes;
    }
  }
  return bytes;
}

// Each key that was spilled: whether somebody else wrote it.
Result<bool> CommitChecker::changed_by_others(const Store::SpilledRun& run,
                                              CommitCheck* check) const {
  RunCursor cursor(&store_->memory(), MemoryRole::compaction);
  cursor.reset(run.files, /*fill_cache=*/false);
  for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
    const ReadSet::Key key{.hash = conflict_hash(run.keyspace, key_hash(cursor.user_key())),
                           .keyspace = run.keyspace,
                           .key = cursor.user_key()};
    VARVE_ASSIGN_OR_RETURN(const bool conflict, changed(key, CommitCheck::Cause::write, check));
    if (!conflict) continue;
    check->spilled_key = key.key;
    check->conflict.lower = check->spilled_key;
    return true;
  }
  VARVE_RETURN_IF_ERROR(cursor.status());
  return false;
}

// Each key that somebody else wrote: whether it was spilled.
Result<bool> CommitChecker::others_changed(const Store::SpilledRun& run, const ReadView& view,
                                           CommitCheck* check) const {
  MemtableCursor memtable_cursor;
  for (Memtable* memtable : view.memtables()) {
    memtable_cursor.reset(memtable, check->through, /*all_versions=*/false);
    VARVE_ASSIGN_OR_RETURN(const bool conflict, shows_spilled(&memtable_cursor, run, check));
    if (conflict) return true;
  }
  RunCursor run_cursor(&store_->memory(), MemoryRole::compaction);
  for (const Run& each : view.levels().runs()) {
    for (Sstable* const& file : each.files) {
      if (file->info().timestamp_max <= check->since()) continue;
      run_cursor.reset({&file, 1}, /*fill_cache=*/false);
      VARVE_ASSIGN_OR_RETURN(const bool conflict, shows_spilled(&run_cursor, run, check));
      if (conflict) return true;
    }
  }
  return false;
}

Result<bool> CommitChecker::shows_spilled(VersionCursor* others, const Store::SpilledRun& run,
                                          CommitCheck* check) const {
  for (others->seek_to_first(); others->valid(); others->next()) {
    if (others->timestamp() <= check->since() || others->timestamp() > check->through) continue;
    const ConflictTable::Recorded key{.hash = 0,
                                      .keyspace = run.keyspace,
                                      .key = others->user_key(),
                                      .timestamp = others->timestamp()};
    VARVE_ASSIGN_OR_RETURN(const bool conflict, wrote(run, key));
    if (!conflict) continue;
    check->spilled_key = key.key;
    set_conflict({.keyspace = run.keyspace, .lower = check->spilled_key, .upper = {}},
                 CommitCheck::Cause::write, check);
    return true;
  }
  VARVE_RETURN_IF_ERROR(others->status());
  return false;
}

Result<bool> CommitChecker::wrote(const Store::SpilledRun& run,
                                  const ConflictTable::Recorded& key) const {
  if (run.keyspace != key.keyspace) return false;
  const auto file = std::partition_point(
      run.files.begin(), run.files.end(),
      [&key](const Sstable* each) { return compare_keys(each->info().largest_key, key.key) < 0; });
  if (file == run.files.end()) return false;
  ReadAccess access;
  FoundVersion found;
  return (*file)->get(key.key, key_hash(key.key), kTimestampMax, &access, &found);
}

Status CommitChecker::check_recent_spilled(CommitCheck* check) const {
  check_recent({}, check);
  if (check->verdict != CommitCheck::Verdict::clear) return Status();
  uint64_t position = check->position;
  ConflictTable::Recorded recorded;
  while (table_->next(&position, &recorded)) {
    if (recorded.timestamp <= check->through) continue;
    for (const Store::SpilledRun& run : check->spilled) {
      const Result<bool> conflict = wrote(run, recorded);
      if (!conflict.ok()) return unchecked(conflict.status());
      if (!*conflict) continue;
      check->spilled_key = recorded.key;
      set_conflict({.keyspace = recorded.keyspace, .lower = check->spilled_key, .upper = {}},
                   CommitCheck::Cause::write, check);
      return Status();
    }
  }
  return Status();
}

Result<bool> CommitChecker::changed(const ReadSet::Key& key, CommitCheck::Cause cause,
                                    CommitCheck* check) const {
  if (table_->unchanged_since(key.hash, check->since())) return false;
  counters_->count(TransactionCounters::looked_up);
  Tree* tree = store_->tree(key.keyspace);
  bool newer = tree == nullptr;  // dropped: nothing of it is as it was read
  if (tree != nullptr) {
    PointRead read{.user_key = key.key, .hash = key_hash(key.key)};
    VARVE_RETURN_IF_ERROR(reader_.find(
        {.tree = tree, .at = check->through, .pointers = true}, {&read, 1},
        [&](const PointRead& found) { newer = found.version.timestamp > check->since(); }));
  }
  if (newer) {
    set_conflict({.keyspace = key.keyspace, .lower = key.key, .upper = {}}, cause, check);
  } else {
    counters_->count(TransactionCounters::looked_up_unchanged);
  }
  return newer;
}

Result<bool> CommitChecker::changed(const ReadSet::Range& range, CommitCheck* check) const {
  Tree* tree = store_->tree(range.keyspace);
  bool newer = tree == nullptr;
  if (tree != nullptr) {
    ReadView* view = store_->view_of(tree);  // after `through` was read: all up to it is in there
    const ReadViewRef view_ref(view);
    MemtableCursor memtable_cursor;
    for (Memtable* memtable : view->memtables()) {
      if (newer || memtable->empty()) continue;
      memtable_cursor.reset(memtable, check->through, /*all_versions=*/false);
      VARVE_ASSIGN_OR_RETURN(newer, shows_newer(&memtable_cursor, range, *check));
    }
    RunCursor run_cursor(&store_->memory());
    for (const Run& run : view->levels().runs()) {
      for (Sstable* const& file : run.files) {
        // What was written since the start has mostly not come this far.
        const SstableInfo& info = file->info();
        if (newer || info.timestamp_max <= check->since() ||
            compare_keys(info.largest_key, range.lower) < 0 ||
            (!range.upper.empty() && compare_keys(info.smallest_key, range.upper) >= 0)) {
          continue;
        }
        run_cursor.reset({&file, 1}, /*fill_cache=*/true);
        VARVE_ASSIGN_OR_RETURN(newer, shows_newer(&run_cursor, range, *check));
      }
    }
  }
  if (newer) set_conflict(range, CommitCheck::Cause::range, check);
  return newer;
}

bool CommitChecker::decide_key(const ReadSet::Key& key, CommitCheck::Cause cause, uint64_t* steps,
                               CommitCheck* check) const {
  if (table_->unchanged_since(key.hash, check->through)) return false;
  uint64_t position = check->position;
  ConflictTable::Recorded recorded;
  while (table_->next(&position, &recorded)) {
    ++*steps;
    // What was published between the reads of position and timestamp is recorded, and checked.
    if (recorded.hash == key.hash && recorded.timestamp > check->through &&
        recorded.keyspace == key.keyspace && recorded.key == key.key) {
      set_conflict({.keyspace = key.keyspace, .lower = key.key, .upper = {}}, cause, check);
      return true;
    }
  }
  if (*steps <= kStepsMax) return false;
  check->verdict = CommitCheck::Verdict::again;
  return true;
}

bool CommitChecker::decide_ranges(uint64_t* steps, CommitCheck* check) const {
  constexpr uint64_t kStepsOfASearch = 8;
  uint64_t position = check->position;
  ConflictTable::Recorded recorded;
  while (table_->next(&position, &recorded)) {
    *steps += kStepsOfASearch;
    if (recorded.timestamp <= check->through) continue;
    ReadSet::Range range;
    if (check->reads->find_range(recorded.keyspace, recorded.key, &range)) {
      set_conflict(range, CommitCheck::Cause::range, check);
      return true;
    }
    if (*steps > kStepsMax) {
      check->verdict = CommitCheck::Verdict::again;
      return true;
    }
  }
  return false;
}

void CommitChecker::check_recent(std::string_view batch, CommitCheck* check) const {
  check->verdict = CommitCheck::Verdict::clear;
  if (!table_->covers(check->position, check->through)) {
    check->verdict = CommitCheck::Verdict::again;
    return;
  }
  if (table_->end() == check->position) return;
  uint64_t steps = 0;
  BatchReader reader(batch);
  BatchEntry entry;
  while (reader.next(&entry)) {
    if (decide_key(key_of(entry), CommitCheck::Cause::write, &steps, check)) return;
  }
  if (check->reads == nullptr) return;
  size_t place = 0;
  ReadSet::Key key;
  while (check->reads->next(&place, &key)) {
    if (decide_key(key, CommitCheck::Cause::read, &steps, check)) return;
  }
  if (check->reads->has_ranges()) decide_ranges(&steps, check);
}

}  // namespace varve
