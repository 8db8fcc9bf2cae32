#include "txn/commit_check.h"

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

void set_conflict(const ReadSet::Range& where, bool is_range, CommitCheck* check) {
  check->verdict = CommitCheck::Verdict::conflict;
  check->conflict = where;
  check->is_range = is_range;
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
    if (cursor->timestamp() > check.start && cursor->timestamp() <= check.through) return true;
  }
  VARVE_RETURN_IF_ERROR(cursor->status());
  return false;
}

}  // namespace

Status CommitChecker::check_published(std::string_view batch, CommitCheck* check) const {
  check->position = table_->position();
  check->through = store_->oracle().published();  // in this order
  check->verdict = CommitCheck::Verdict::clear;
  if (check->through == check->start) return Status();  // nobody has committed since
  BatchReader reader(batch);
  BatchEntry entry;
  while (reader.next(&entry)) {
    VARVE_ASSIGN_OR_RETURN(const bool conflict, changed(key_of(entry), check));
    if (conflict) return Status();
  }
  if (check->reads == nullptr) return Status();
  size_t place = 0;
  ReadSet::Key key;
  while (check->reads->next(&place, &key)) {
    VARVE_ASSIGN_OR_RETURN(const bool conflict, changed(key, check));
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

Result<bool> CommitChecker::changed(const ReadSet::Key& key, CommitCheck* check) const {
  if (table_->unchanged_since(key.hash, check->start)) return false;
  Tree* tree = store_->tree(key.keyspace);
  bool newer = tree == nullptr;  // dropped: nothing of it is as it was read
  if (tree != nullptr) {
    VARVE_ASSIGN_OR_RETURN(
        const bool found,
        reader_.find(
            {.tree = tree, .key = key.key, .hash = key_hash(key.key), .at = check->through},
            [&](const FoundVersion& version, Memtable*) {
              newer = version.timestamp > check->start;
            }));
    newer = newer && found;
  }
  if (newer) set_conflict({.keyspace = key.keyspace, .lower = key.key, .upper = {}}, false, check);
  return newer;
}

Result<bool> CommitChecker::changed(const ReadSet::Range& range, CommitCheck* check) const {
  Tree* tree = store_->tree(range.keyspace);
  bool newer = tree == nullptr;
  if (tree != nullptr) {
    ReadView* view = store_->view_of(tree);  // after `through` was read: all up to it is in there
    const ReadViewRef view_ref(view);
    MemtableCursor memtable_cursor;
    for (const Memtable* memtable : view->memtables()) {
      if (newer || memtable->empty()) continue;
      memtable_cursor.reset(memtable, check->through, /*all_versions=*/false);
      VARVE_ASSIGN_OR_RETURN(newer, shows_newer(&memtable_cursor, range, *check));
    }
    RunCursor run_cursor(&store_->memory());
    for (const Run& run : view->levels().runs()) {
      for (Sstable* const& file : run.files) {
        // What was written since the start has mostly not come this far.
        if (newer || file->info().timestamp_max <= check->start) continue;
        run_cursor.reset({&file, 1}, /*fill_cache=*/true);
        VARVE_ASSIGN_OR_RETURN(newer, shows_newer(&run_cursor, range, *check));
      }
    }
  }
  if (newer) set_conflict(range, true, check);
  return newer;
}

bool CommitChecker::wrote(const ReadSet::Key& key, CommitCheck* check) const {
  if (table_->unchanged_since(key.hash, check->through) ||
      !table_->wrote(key.hash, {.keyspace = key.keyspace, .key = key.key}, check->position)) {
    return false;
  }
  set_conflict({.keyspace = key.keyspace, .lower = key.key, .upper = {}}, false, check);
  return true;
}

void CommitChecker::check_recent(std::string_view batch, CommitCheck* check) const {
  check->verdict = CommitCheck::Verdict::clear;
  if (!table_->covers(check->position, check->through)) {
    check->verdict = CommitCheck::Verdict::again;
    return;
  }
  if (table_->end() == check->position) return;
  BatchReader reader(batch);
  BatchEntry entry;
  while (reader.next(&entry)) {
    if (wrote(key_of(entry), check)) return;
  }
  if (check->reads == nullptr) return;
  size_t place = 0;
  ReadSet::Key key;
  while (check->reads->next(&place, &key)) {
    if (wrote(key, check)) return;
  }
  if (!check->reads->has_ranges()) return;
  uint64_t position = check->position;
  ConflictTable::Recorded recorded;
  while (table_->next(&position, &recorded)) {
    place = 0;
    ReadSet::Range range;
    while (check->reads->next(&place, &range)) {
      if (range.keyspace == recorded.keyspace && range.contains(recorded.key)) {
        return set_conflict(range, true, check);
      }
    }
  }
}

}  // namespace varve
