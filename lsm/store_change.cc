// How the levels change: first in the manifest, then for readers.

#include "lsm/store.h"

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sync_point.h"

namespace varve {

namespace {

// A manifest of more than this, and than twice its first size, is replaced by a new one that holds
// the state alone.
constexpr uint64_t kManifestSizeMin = 4 << 20;

}  // namespace

Status Store::append_to_manifest(const LevelsEdit& edit) {
  VARVE_RETURN_IF_ERROR(failure());
  if (manifest_->size() >
      std::clamp(2 * manifest_->first_size(), kManifestSizeMin, kManifestBytesMax / 2)) {
    const FileNumber old = manifest_->number();
    Result<std::unique_ptr<ManifestWriter>> fresh =
        ManifestWriter::create(&pooled_files_, options_.directory, next_file_number(), state_);
    if (!fresh.ok()) {
      if (heals_by_itself(fresh.status())) return fresh.status();
      fail(fresh.status());
      return failure();
    }
    static_cast<void>(manifest_->close());  // superseded
    manifest_ = std::move(*fresh);
    static_cast<void>(
        options_.file_system->remove(path_in(options_.directory, manifest_name(old))));
  }
  if (Status status = manifest_->append(edit); !status.ok()) {
    if (status.code() == StatusCode::no_space) return status;  // nothing was changed
    fail(status);
    return failure();
  }
  const Status applied = state_.apply(edit);
  VARVE_ASSERT(applied.ok());  // what was written is what is there
  state_charge_.set(state_.memory_bytes);
  return Status();
}

Lsn Store::log_start_without(const Tree* tree, const std::vector<Memtable*>& flushed) {
  // In this order: a group that is logged but not yet applied is seen either as unapplied or in its
  // memtable.
  Lsn start = wal_->end();
  start = std::min(start, Lsn{unapplied_from_.load()});
  MutexLock lock(mutex_);
  for (const auto& [id, other] : all_trees_) {
    if (other->dropped.load()) continue;
    for (Memtable* memtable : other->view.load()->memtables()) {
      const bool leaves = other.get() == tree &&
                          std::find(flushed.begin(), flushed.end(), memtable) != flushed.end();
      if (!leaves) start = std::min(start, memtable->first_lsn());
    }
  }
  return start;
}

Status Store::install(Change change) {
  MutexLock manifest_lock(manifest_mutex_);
  const auto abandon = [&change, this](Status status) {
    for (const Levels::Addition& addition : change.added) {
      addition.sstable->mark_obsolete(this);
      addition.sstable->unref();
    }
    return status;
  };
  if (change.tree->dropped.load()) {
    return abandon(Status(StatusCode::cancelled, "the keyspace was dropped"));
  }
  // Levels change only here, so the current ones stay current while manifest_mutex_ is held.
  Levels* levels;
  {
    const LevelsRef current(levels_of(change.tree));
    levels = Levels::apply(*current, change.removed, change.added);
  }
  if (Status status = check_levels(*levels); !status.ok()) {
    levels->unref();
    fail(status);
    return status;
  }
  const Lsn log_start = log_start_without(change.tree, change.flushed);
  change.edit.log_start = log_start;
  {
    MutexLock lock(mutex_);
    change.edit.next_file = FileNumber{next_file_};
  }
  VARVE_SYNC_POINT("before_install");
  if (Status status = append_to_manifest(change.edit); !status.ok()) {
    if (heals_by_itself(status)) {  // the edit is not there: the work is done again
      for (const Levels::Addition& addition : change.added) addition.sstable->mark_obsolete(this);
    }
    // Else it is unknown whether the edit is on disk: the files stay until the next opening.
    levels->unref();
    return status;
  }
  VARVE_SYNC_POINT("after_install");
  ReadView* old;
  {
    MutexLock lock(mutex_);
    const ReadView* view = change.tree->view.load();
    std::vector<Memtable*> memtables;
    for (Memtable* memtable : view->memtables()) {
      if (std::find(change.flushed.begin(), change.flushed.end(), memtable) !=
          change.flushed.end()) {
        continue;
      }
      memtable->ref();
      memtables.push_back(memtable);
    }
    old = publish_view(change.tree, ReadView::create(std::move(memtables), levels));
    update_runs_most();
    if (!change.flushed.empty()) flush_hindrance_.set(Status());
    if (!change.removed.empty()) compaction_hindrance_.set(Status());
    changed_.notify_all();
  }
  mark_obsolete(old->levels(), change.removed);
  old->retire(&epochs_);
  if (Status status = wal_->release_before(log_start); !status.ok()) {
    log_line(options_.logger, LogLevel::warning, "an old log segment stays: %s",
             status.to_string().c_str());
  }
  return Status();
}

void Store::mark_obsolete(const Levels& levels, std::span<const FileNumber> removed) {
  for (const Run& run : levels.runs()) {
    for (Sstable* file : run.files) {
      if (std::find(removed.begin(), removed.end(), file->info().number) != removed.end()) {
        file->mark_obsolete(this);
      }
    }
  }
}

void Store::update_runs_most() {
  size_t most = 0;
  for (const auto& [id, tree] : all_trees_) {
    most = std::max(most, tree->view.load()->levels().runs().size());
  }
  runs_most_.store(most);
}

}  // namespace varve
