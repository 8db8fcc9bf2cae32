// The store's background work: flushes, compactions, and the small steps of upkeep. Each step is a
// task of the executor; flush() and compact() do the same work on the calling thread.

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sync_point.h"
#include "lsm/merge_cursor.h"
#include "lsm/run_cursor.h"
#include "lsm/store.h"
#include "varve/clock.h"

namespace varve {

namespace {

// A step that failed for want of disk or memory is tried again after this; one that met a fault,
// after twice as long each time, half a minute at most.
constexpr uint64_t kRetryNanos = 500'000'000;
constexpr uint32_t kRetryDoublings = 6;
// So often compact() goes over all pointers again, for values that became stale.
constexpr int kEmptyingPassesMax = 3;
// Nobody waits for it: so many bytes of values at most, or such a part of all, are written anew at
// a time, as they lie on disk twice meanwhile.
constexpr uint64_t kEmptiedBytesMax = 256 << 20;
constexpr uint64_t kEmptiedShareMax = 8;
// More files than these that are small are made into larger ones, since they came together: each
// costs an sstable that names it some memory.
constexpr uint64_t kSmallValueFile = 4 << 20;
constexpr size_t kSmallValueFilesMax = 16;

// Clears a flag of a tree, under the store's mutex, when the work is over.
class WorkMark {
 public:
  WorkMark(Mutex& mutex, CondVar& changed, bool* flag)
      : mutex_(mutex), changed_(changed), flag_(flag) {}
  ~WorkMark() {
    MutexLock lock(mutex_);
    *flag_ = false;
    changed_.notify_all();
  }
  WorkMark(const WorkMark&) = delete;
  WorkMark& operator=(const WorkMark&) = delete;

 private:
  Mutex& mutex_;
  CondVar& changed_;
  bool* flag_;
};

// Tells a rate how long a piece of work took, if it was done.
class RateMark {
 public:
  RateMark(WorkRate* rate, Clock* clock) : rate_(rate), clock_(clock) {
    rate_->begin(clock_->monotonic_nanos());
  }
  ~RateMark() { rate_->cancel(); }
  RateMark(const RateMark&) = delete;
  RateMark& operator=(const RateMark&) = delete;
  void done(uint64_t bytes) { rate_->end(bytes, clock_->monotonic_nanos()); }

 private:
  WorkRate* const rate_;
  Clock* const clock_;
};

}  // namespace

void Store::schedule(StoreTask* task, uint64_t delay_nanos) {
  MutexLock lock(mutex_);
  if (closing_.load()) return;
  if (task->queued.load()) {
    task->again = true;
    task->again_delay_nanos = delay_nanos;
    return;
  }
  task->queued.store(true);
  task->waiting.store(true);
  options_.executor->schedule(task, task->priority, delay_nanos);
}

void Store::run_task(Task* task) {
  StoreTask* self = static_cast<StoreTask*>(task);
  Store* store = self->store;
  {
    MutexLock lock(store->mutex_);
    self->again = false;
    self->waiting.store(false);
  }
  if (!store->closing_.load()) (store->*self->work)();
  MutexLock lock(store->mutex_);
  if (self->again && !store->closing_.load()) {
    self->waiting.store(true);
    store->options_.executor->schedule(self, self->priority, self->again_delay_nanos);
  } else {
    self->queued.store(false);
  }
  store->changed_.notify_all();
}

bool Store::background_failed(const char* what, const Status& status) {
  // What fails in log or manifest has made the store read-only already. Before that nothing was
  // changed, whatever the reason: what was written is named by nobody.
  if (failed_.load() || status.code() == StatusCode::cancelled) return false;
  log_line(options_.logger, LogLevel::warning, "%s will be tried again: %s", what,
           status.to_string().c_str());
  return true;
}

void Store::fill_run_writer_options(Tree* tree, bool bottom, MemoryRole role,
                                    RunWriterOptions* options) {
  options->file_system = &pooled_files_;
  options->directory = options_.directory;
  options->numbers = this;
  options->memory = &memory_;
  options->clock = options_.clock;
  options->keyspace = tree->keyspace;
  options->block_size = options_.user.block_size;
  options->filter_bits_per_key = options_.user.filter_bits_per_key;
  options->codec = bottom ? options_.user.compression : Compression::none;
  options->separate_from = options_.user.separate_values_from;
  options->value_codec = options_.user.compression;  // they are written once
  options->role = role;
}

Result<std::vector<Levels::Addition>> Store::open_outputs(const WrittenRun& run, RunId id,
                                                          WrittenBlocks* kept) {
  std::vector<Levels::Addition> additions;
  for (const SstableInfo& info : run.files) {
    Result<Sstable*> sstable =
        Sstable::open(&pooled_files_, path_in(options_.directory, sstable_name(info.number)),
                      &cache_, &value_files_, info);
    if (!sstable.ok()) {
      // Nothing names them; the work is done again.
      for (const Levels::Addition& addition : additions) {
        addition.sstable->mark_obsolete(this);
        addition.sstable->unref();
      }
      for (size_t i = additions.size(); i < run.files.size(); ++i) {
        static_cast<void>(options_.file_system->remove(
            path_in(options_.directory, sstable_name(run.files[i].number))));
      }
      for (const FileNumber number : run.value_files) {
        static_cast<void>(
            options_.file_system->remove(path_in(options_.directory, value_file_name(number))));
      }
      return std::move(sstable).status();
    }
    if (kept != nullptr) (*sstable)->adopt(kept);
    additions.push_back({.run = id, .sstable = *sstable});
  }
  return additions;
}

// -- flush --

void Store::flush_work() {
  Status hindrance;
  for (Tree* tree : trees()) {
    Result<bool> flushed = flush_tree(tree);
    if (!flushed.ok() && background_failed("flush", flushed.status())) {
      hindrance = flushed.status().with_context("flush");
    }
    if (compaction_due(tree)) schedule(&compaction_task_);
  }
  note_outcome(&flush_task_, &flush_hindrance_, std::move(hindrance));
}

void Store::note_outcome(StoreTask* task, Hindrance* of, Status hindrance) {
  uint64_t delay = 0;
  {
    MutexLock lock(mutex_);
    of->set(std::move(hindrance));
    changed_.notify_all();
    if (of->status.ok()) return;
    // A fault of the disk is no matter of moments.
    delay = heals_by_itself(of->status) ? kRetryNanos
                                        : kRetryNanos << std::min(of->times, kRetryDoublings);
  }
  schedule(task, delay);
}

void Store::shed_work() {
  // Others wait for this flush: if it cannot even be begun, they are to know.
  if (Status status = memory_help_.load()->rotate_largest(); !status.ok()) {
    note_outcome(&flush_task_, &flush_hindrance_, std::move(status));
  }
}

Result<bool> Store::flush_tree(Tree* tree) {
  VARVE_ASSIGN_OR_RETURN(const uint64_t bytes, write_memtables(tree));
  if (bytes == 0) return false;
  // Their place is given to new ones only when they are gone.
  epochs_.drain();
  keep_spare_memtable();
  immutable_bytes_.fetch_sub(bytes);
  engine_memory_->count_drain();
  memory_was_given_back();
  return true;
}

Result<uint64_t> Store::write_memtables(Tree* tree) {
  std::vector<Memtable*> flushed;
  bool bottom;
  RunId run_id;
  ReadView* view;
  {
    MutexLock lock(mutex_);
    while (tree->flushing && !closing_.load()) changed_.wait(mutex_);
    if (closing_.load() || tree->dropped.load()) return uint64_t{0};
    view = tree->view.load();
    for (Memtable* memtable : view->memtables().subspan(1)) flushed.push_back(memtable);
    if (flushed.empty()) return uint64_t{0};
    view->ref();  // under mutex_, which publish_view() needs
    bottom = view->levels().runs().empty();
    run_id = RunId{tree->next_run++};
    tree->flushing = true;
  }
  const ReadViewRef view_ref(view);
  WorkMark mark(mutex_, changed_, &tree->flushing);

  VARVE_RETURN_IF_ERROR(failure());
  RateMark rate(&flush_rate_, options_.clock);
  // Protocol 13: the other half of a commit across keyspaces must not be left behind.
  VARVE_RETURN_IF_ERROR(sync_log());
  VARVE_SYNC_POINT("flush_log_synced");
  VARVE_ASSIGN_OR_RETURN(Change change, write_sstables(tree, flushed, run_id, bottom));
  if (Status status = install(std::move(change)); !status.ok()) {
    if (tree->dropped.load()) return uint64_t{0};  // meanwhile: nothing is left to flush
    return status;
  }
  uint64_t bytes = 0;
  for (const Memtable* memtable : flushed) bytes += memtable->held_bytes();
  rate.done(bytes);
  return bytes;
}

bool Store::has_readers(Tree* tree, const std::vector<Memtable*>& flushed) {
  uint64_t versions = 0;
  for (const Memtable* memtable : flushed) versions += memtable->versions();
  const uint64_t gets = read_counters_.gets.get();
  return gets - std::exchange(tree->gets_at_flush, gets) >= versions;
}

Result<Store::Change> Store::write_sstables(Tree* tree, const std::vector<Memtable*>& flushed,
                                            RunId run_id, bool bottom) {
  std::vector<Timestamp> snapshots;
  const GcHorizon horizon =
      snapshots_->horizon(tree->retention_nanos, &tree->watermark, &snapshots);
  std::vector<MemtableCursor> cursors(flushed.size());
  std::vector<VersionCursor*> sources;
  for (size_t i = 0; i < flushed.size(); ++i) {
    cursors[i].reset(flushed[i], kTimestampMax, /*all_versions=*/true);
    sources.push_back(&cursors[i]);
  }
  MergeCursor merge;
  merge.reset(sources);
  RunWriterOptions writer_options;
  fill_run_writer_options(tree, bottom, MemoryRole::sstable_builder, &writer_options);
  WrittenBlocks kept(&cache_);
  if (has_readers(tree, flushed)) writer_options.kept = &kept;
  VersionCursor* input = sources.size() == 1 ? sources[0] : &merge;
  VARVE_ASSIGN_OR_RETURN(const WrittenRun run,
                         write_run(input, horizon, bottom, writer_options, closing_));
  VARVE_ASSIGN_OR_RETURN(std::vector<Levels::Addition> additions, open_outputs(run, run_id, &kept));

  Change change{
      .tree = tree, .edit = {}, .added = std::move(additions), .removed = {}, .flushed = flushed};
  for (const SstableInfo& info : run.files) {
    change.edit.added.push_back({.keyspace = tree->keyspace, .run = run_id, .info = info});
  }
  // Also of a keyspace that is not logged any more, but was recovered from the log.
  Lsn flushed_end;
  for (const Memtable* memtable : flushed) flushed_end = std::max(flushed_end, memtable->end_lsn());
  if (flushed_end != Lsn{}) {
    change.edit.flushed.push_back({.keyspace = tree->keyspace, .lsn = flushed_end});
  }
  change.edit.watermarks.push_back({.keyspace = tree->keyspace, .watermark = horizon.watermark});
  counters_.flushes.add();
  counters_.flush_bytes.add(run.bytes);
  log_line(options_.logger, LogLevel::info,
           "keyspace %u: flushed %llu versions, kept %llu, %zu files, %llu bytes",
           tree->keyspace.id, static_cast<unsigned long long>(run.versions_in),
           static_cast<unsigned long long>(run.versions_out), run.files.size(),
           static_cast<unsigned long long>(run.bytes));
  return change;
}

Status Store::flush_all() {
  for (Tree* tree : trees()) {
    for (;;) {
      VARVE_ASSIGN_OR_RETURN(const bool flushed, flush_tree(tree));
      if (!flushed) break;
    }
    if (compaction_due(tree)) schedule(&compaction_task_);
  }
  return failure();
}

// -- compaction --

namespace {

std::vector<RunShape> shapes_of(const Levels& levels) {
  std::vector<RunShape> shapes;
  for (const Run& run : levels.runs()) {
    shapes.push_back({.raw_bytes = run.raw_bytes,
                      .versions = run.versions,
                      .tombstones = run.tombstones,
                      .user_keys = run.user_keys});
  }
  return shapes;
}

struct EmptiedFiles {
  std::vector<FileNumber> numbers;  // ascending
  uint64_t needed_bytes = 0;        // which are written anew
};

EmptiedFiles value_files_to_empty(const Levels& levels, bool manual) {
  const ValueShape all = levels.value_shape();
  std::vector<Levels::ValuesInFile> stale;
  std::vector<Levels::ValuesInFile> small;
  for (const Levels::ValuesInFile& values : levels.value_files()) {
    const uint64_t bytes = values.file->data_bytes();
    if (is_to_be_emptied(bytes, values.needed_bytes, all, manual)) {
      stale.push_back(values);
    } else if (bytes < kSmallValueFile) {
      small.push_back(values);
    }
  }
  // The best first: those with the least that is needed.
  std::sort(stale.begin(), stale.end(), [](const auto& a, const auto& b) {
    return static_cast<double>(a.needed_bytes) * static_cast<double>(b.file->data_bytes()) <
           static_cast<double>(b.needed_bytes) * static_cast<double>(a.file->data_bytes());
  });
  const uint64_t most =
      manual ? UINT64_MAX : std::max(kEmptiedBytesMax, all.bytes / kEmptiedShareMax);
  if (small.size() > kSmallValueFilesMax) stale.insert(stale.end(), small.begin(), small.end());
  EmptiedFiles emptied;
  for (const Levels::ValuesInFile& values : stale) {
    if (!emptied.numbers.empty() && emptied.needed_bytes + values.needed_bytes > most) break;
    emptied.numbers.push_back(values.file->name().number);
    emptied.needed_bytes += values.needed_bytes;
  }
  std::sort(emptied.numbers.begin(), emptied.numbers.end());
  return emptied;
}

}  // namespace

bool Store::compaction_due(Tree* tree) {
  const LevelsRef levels(levels_of(tree));
  return pick_compaction(shapes_of(*levels), levels->value_shape(), {}, /*manual=*/false)
      .has_value();
}

bool Store::values_are_stale(Tree* tree) {
  const LevelsRef levels(levels_of(tree));
  return levels->value_shape().much_is_stale(/*manual=*/true);
}

void Store::compaction_work() {
  Status hindrance;
  for (Tree* tree : trees()) {
    Result<bool> compacted = compact_tree(tree, /*manual=*/false);
    if (!compacted.ok() && background_failed("compaction", compacted.status())) {
      hindrance = compacted.status().with_context("compaction");
    }
    // One step a task: a flush that came up meanwhile goes first where threads are few.
    if (compacted.ok() && *compacted && compaction_due(tree)) schedule(&compaction_task_);
  }
  note_outcome(&compaction_task_, &compaction_hindrance_, std::move(hindrance));
}

Result<bool> Store::compact_tree(Tree* tree, bool manual) {
  Levels* current;
  std::optional<CompactionChoice> choice;
  {
    MutexLock lock(mutex_);
    while (tree->compacting && manual && !closing_.load()) changed_.wait(mutex_);
    if (tree->compacting || closing_.load() || tree->dropped.load()) return false;
    current = &tree->view.load()->levels();
    choice = pick_compaction(shapes_of(*current), current->value_shape(), {}, manual);
    if (!choice) return false;
    current->ref();  // under mutex_, which publish_view() needs
    tree->compacting = true;
  }
  const LevelsRef levels(current);
  WorkMark mark(mutex_, changed_, &tree->compacting);

  VARVE_RETURN_IF_ERROR(failure());
  const std::span<const Run> inputs =
      levels->runs().subspan(choice->first, choice->last - choice->first + 1);
  std::vector<Timestamp> snapshots;
  const GcHorizon horizon =
      snapshots_->horizon(tree->retention_nanos, &tree->watermark, &snapshots);
  std::vector<std::unique_ptr<RunCursor>> cursors;
  std::vector<VersionCursor*> sources;
  uint64_t bytes_in = 0;
  for (const Run& run : inputs) {
    cursors.push_back(std::make_unique<RunCursor>(&memory_, MemoryRole::compaction));
    cursors.back()->reset(run.files, /*fill_cache=*/false);
    sources.push_back(cursors.back().get());
    bytes_in += run.bytes;
  }
  EmptiedFiles emptied;
  if (inputs.size() == levels->runs().size()) emptied = value_files_to_empty(*levels, manual);
  bytes_in += emptied.needed_bytes;
  compaction_bytes_.store(bytes_in, kRelaxed);  // an estimate's
  RateMark rate(&compaction_rate_, options_.clock);
  MergeCursor merge;
  merge.reset(sources);
  RunWriterOptions writer_options;
  fill_run_writer_options(tree, choice->bottom, MemoryRole::compaction, &writer_options);
  writer_options.emptied = emptied.numbers;
  VARVE_ASSIGN_OR_RETURN(const WrittenRun run,
                         write_run(&merge, horizon, choice->bottom, writer_options, closing_));
  cursors.clear();
  cache_.end_compaction();
  // The output takes the place of its newest input.
  const RunId run_id = inputs.front().id;
  VARVE_ASSIGN_OR_RETURN(std::vector<Levels::Addition> additions,
                         open_outputs(run, run_id, /*kept=*/nullptr));
  Change change{
      .tree = tree, .edit = {}, .added = std::move(additions), .removed = {}, .flushed = {}};
  for (const Run& input : inputs) {
    for (const Sstable* file : input.files) {
      change.removed.push_back(file->info().number);
      change.edit.removed.push_back({.keyspace = tree->keyspace, .number = file->info().number});
    }
  }
  for (const SstableInfo& info : run.files) {
    change.edit.added.push_back({.keyspace = tree->keyspace, .run = run_id, .info = info});
  }
  change.edit.watermarks.push_back({.keyspace = tree->keyspace, .watermark = horizon.watermark});
  if (Status status = install(std::move(change)); !status.ok()) {
    if (tree->dropped.load()) return false;  // meanwhile: nothing is left to merge
    return status;
  }
  rate.done(bytes_in);
  counters_.compactions.add();
  counters_.compaction_bytes_in.add(bytes_in);
  counters_.compaction_bytes_out.add(run.bytes);
  counters_.compaction_entries_in.add(run.versions_in);
  counters_.compaction_entries_out.add(run.versions_out);
  log_line(options_.logger, LogLevel::info,
           "keyspace %u: merged %zu runs%s, %llu versions into %llu, %llu bytes into %llu",
           tree->keyspace.id, inputs.size(), choice->bottom ? " to the bottom" : "",
           static_cast<unsigned long long>(run.versions_in),
           static_cast<unsigned long long>(run.versions_out),
           static_cast<unsigned long long>(bytes_in), static_cast<unsigned long long>(run.bytes));
  return true;
}

Status Store::compact_all() {
  for (Tree* tree : trees()) {
    Status status = compact_tree(tree, /*manual=*/true).status();
    // What it made stale of large values is known now. Writers may make more of it all the time.
    for (int passes = 0; status.ok() && passes < kEmptyingPassesMax && values_are_stale(tree);
         ++passes) {
      status = compact_tree(tree, /*manual=*/true).status();
    }
    // Runs that came meanwhile: the background's own step found the tree taken, and left.
    if (compaction_due(tree)) schedule(&compaction_task_);
    VARVE_RETURN_IF_ERROR(status);
  }
  epochs_.collect();
  disposal_work();
  return failure();
}

Status Store::wait_for_background() {
  for (;;) {
    bool due = false;
    for (Tree* tree : trees()) {
      VARVE_ASSIGN_OR_RETURN(const bool flushed, flush_tree(tree));
      due |= flushed;
      // Done here too: correct whatever the executor does, and no slower than waiting for it.
      const Result<bool> compacted = compact_tree(tree, /*manual=*/false);
      if (!compacted.ok()) {
        // The background's own step found the tree taken, and left.
        if (compaction_due(tree)) schedule(&compaction_task_);
        return compacted.status();
      }
      due |= *compacted;
      MutexLock lock(mutex_);
      while ((tree->flushing || tree->compacting) && !closing_.load()) {
        due = true;
        changed_.wait(mutex_);
      }
    }
    if (!due || closing_.load()) break;
  }
  epochs_.collect();
  disposal_work();
  return failure();
}

// -- upkeep --

void Store::schedule_log_sync() {
  // One that waits will sync this commit too; one that runs may have looked already.
  if (log_sync_task_.waiting.load()) return;
  schedule(&log_sync_task_,
           static_cast<uint64_t>(std::chrono::nanoseconds(options_.user.loss_window).count()));
}

Status Store::sync_log() {
  Status status = wal_->sync();
  if (!status.ok() && !heals_by_itself(status)) fail(status);
  return status;
}

void Store::log_sync_work() {
  const Status status = sync_log();
  if (!status.ok() && background_failed("log sync", status)) schedule(&log_sync_task_, kRetryNanos);
}

void Store::lease_work() {
  if (const uint64_t jump = oracle_->clock_jump_nanos(); jump != 0 && !clock_jump_logged_) {
    clock_jump_logged_ = true;
    log_line(options_.logger, LogLevel::warning,
             "the wall clock is %llu s further ahead than can be: timestamps do not follow it "
             "until the database is opened again",
             static_cast<unsigned long long>(jump / 1'000'000'000));
  }
  // A failure shows again when a commit needs the lease.
  static_cast<void>(renew_lease(0));
}

void Store::ahead_work() {
  memory().prepare_chunk();
  if (!serves()) return;
  prepare_next_memtable();
  wal_->prepare_segment();
}

void Store::dispose(Sstable* sstable) {
  {
    MutexLock lock(disposal_mutex_);
    disposed_.push_back(sstable);
  }
  schedule(&disposal_task_);
}

void Store::disposal_work() {
  for (;;) {
    Sstable* sstable;
    {
      MutexLock lock(disposal_mutex_);
      if (disposed_.empty()) return;
      sstable = disposed_.back();
      disposed_.pop_back();
    }
    const std::string path = sstable->path();
    sstable->destroy();
    if (Status status = options_.file_system->remove(path); !status.ok()) {
      log_line(options_.logger, LogLevel::warning, "an obsolete file stays: %s",
               status.to_string().c_str());
    }
  }
}

}  // namespace varve
