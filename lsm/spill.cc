// What transactions write before they commit, because it is more than their share of memory: runs
// that no manifest names; and the commit that names them, all at once. docs/decisions.md says why.
//
// Crash points of commit_spilled(): up to the manifest's sync nothing of it is there, and the files
// are debris, which recovery removes; from then on all of it is.

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sync_point.h"
#include "lsm/store.h"

namespace varve {

Result<std::vector<Sstable*>> Store::write_spilled_run(Keyspace keyspace, VersionCursor* input,
                                                       const GcHorizon& horizon, bool undated) {
  VARVE_RETURN_IF_ERROR(failure());
  Tree* tree = this->tree(keyspace);
  if (tree == nullptr) {
    return Status::not_found(format("keyspace %u is unknown or dropped", keyspace.id));
  }
  // One at a time: each takes from what is kept of the budget for compactions.
  MutexLock one_at_a_time(spill_mutex_);
  RunWriterOptions writer_options;
  fill_run_writer_options(tree, /*bottom=*/false, MemoryRole::compaction, &writer_options);
  writer_options.undated = undated;
  writer_options.separate_from = 0;  // a compaction does it, if the transaction commits
  writer_options.durable = undated;  // the others are debris after a crash
  VARVE_ASSIGN_OR_RETURN(const WrittenRun run,
                         write_run(input, horizon, /*bottom=*/false, writer_options, closing_));
  VARVE_ASSIGN_OR_RETURN(const std::vector<Levels::Addition> opened,
                         open_outputs(run, RunId{}, /*kept=*/nullptr));
  counters_.spills.add();
  counters_.spill_bytes.add(run.bytes);
  std::vector<Sstable*> files;
  files.reserve(opened.size());
  for (const Levels::Addition& file : opened) files.push_back(file.sstable);
  return files;
}

void Store::drop_spilled_run(std::span<Sstable* const> files) {
  for (Sstable* file : files) {
    file->mark_obsolete(this);
    file->unref();
  }
}

Status Store::commit_rotate_for(std::span<const SpilledRun> runs) {
  for (const SpilledRun& run : runs) {
    Tree* tree = this->tree(run.keyspace);
    if (tree != nullptr && !tree->active->empty()) VARVE_RETURN_IF_ERROR(rotate(tree));
  }
  return Status();
}

Status Store::flush_for(std::span<const SpilledRun> runs) {
  for (const SpilledRun& run : runs) {
    // Once: what was full when it began is written then. What others fill meanwhile may not end.
    Tree* tree = this->tree(run.keyspace);
    if (tree != nullptr) VARVE_RETURN_IF_ERROR(flush_tree(tree).status());
  }
  return Status();
}

Status Store::commit_spilled(std::span<const SpilledRun> runs, Timestamp timestamp) {
  Status status = prepare_for_spilled(runs);
  if (status.code() == StatusCode::io_error) {
    // Nothing was changed: of a commit, io_error would leave open whether it is there.
    const Status failed = failure();
    return failed.ok() ? Status::busy(status.to_string()) : failed;
  }
  VARVE_RETURN_IF_ERROR(status);
  VARVE_RETURN_IF_ERROR(install_spilled(runs, timestamp));
  for (const SpilledRun& run : runs) {
    if (compaction_due(tree(run.keyspace))) schedule(&compaction_task_);
  }
  return Status();
}

// No older version of these keyspaces is in a memtable, or will come into one from the log.
Status Store::prepare_for_spilled(std::span<const SpilledRun> runs) {
  for (const SpilledRun& run : runs) {
    if (tree(run.keyspace) == nullptr) {
      return Status::not_found(format("keyspace %u is unknown or dropped", run.keyspace.id));
    }
  }
  VARVE_RETURN_IF_ERROR(commit_rotate_for(runs));
  VARVE_RETURN_IF_ERROR(flush_for(runs));
  for (const SpilledRun& run : runs) {
    ReadView* view = view_of(tree(run.keyspace));
    const ReadViewRef view_ref(view);
    if (view->memtables().size() != 1 || !view->memtables().front()->empty()) {
      return Status::busy("memtables could not be flushed: the database is being closed");
    }
  }
  // Whoever finds this commit finds all that were made before it.
  VARVE_RETURN_IF_ERROR(sync_log());
  VARVE_ASSERT(wal_->durable() == wal_->end());  // nobody else commits
  return Status();
}

Status Store::install_spilled(std::span<const SpilledRun> runs, Timestamp timestamp) {
  MutexLock manifest_lock(manifest_mutex_);
  VARVE_RETURN_IF_ERROR(failure());
  LevelsEdit edit;
  std::vector<Levels*> changed;
  const auto let_go = [&](Status status) {
    for (Levels* levels : changed) levels->unref();
    for (const SpilledRun& run : runs) {
      for (Sstable* file : run.files) file->date(kTimestampMin);  // as it was
    }
    return status;
  };
  for (const SpilledRun& run : runs) {
    Tree* tree = this->tree(run.keyspace);
    RunId id;
    {
      MutexLock lock(mutex_);
      id = RunId{tree->next_run++};  // above those of all flushes: there is none under way
    }
    std::vector<Levels::Addition> added;
    for (Sstable* file : run.files) {
      file->date(timestamp);
      file->ref();
      added.push_back({.run = id, .sstable = file});
      edit.added.push_back({.keyspace = run.keyspace, .run = id, .info = file->info()});
    }
    // What the log holds of the keyspace is in sstables: replay must not put it above these.
    edit.flushed.push_back({.keyspace = run.keyspace, .lsn = wal_->end()});
    const LevelsRef current(levels_of(tree));
    changed.push_back(Levels::apply(*current, {}, added));
    if (Status status = check_levels(*changed.back()); !status.ok()) return let_go(status);
  }
  edit.log_start = log_start_without(nullptr, {});
  {
    MutexLock lock(mutex_);
    edit.next_file = FileNumber{next_file_};
  }
  VARVE_SYNC_POINT("spilled_before_edit");
  if (Status status = append_to_manifest(edit); !status.ok()) {
    if (heals_by_itself(status)) return let_go(status);
    return let_go(Status::io_error(
        "the manifest could not be written; whether the commit is there is known after "
        "reopening: " +
        status.to_string()));
  }
  VARVE_SYNC_POINT("spilled_after_edit");
  std::vector<ReadView*> superseded;
  {
    MutexLock lock(mutex_);
    for (size_t i = 0; i < runs.size(); ++i) {
      Tree* tree = this->tree(runs[i].keyspace);
      tree->active->ref();
      superseded.push_back(publish_view(tree, ReadView::create({tree->active}, changed[i])));
    }
    update_runs_most();
  }
  for (ReadView* view : superseded) view->retire(&epochs_);
  if (Status status = wal_->release_before(*edit.log_start); !status.ok()) {
    log_line(options_.logger, LogLevel::warning, "an old log segment stays: %s",
             status.to_string().c_str());
  }
  return Status();
}

}  // namespace varve
