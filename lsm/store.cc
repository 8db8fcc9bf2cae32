#include "lsm/store.h"

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sync_point.h"
#include "base/thread.h"

namespace varve {

namespace {

// The log is kept below about this many write buffers by flushing keyspaces that are seldom
// written.
constexpr uint64_t kLogBuffers = 4;
// A clean close leaves at most so many log segments for the next opening to read.
constexpr size_t kLogSegmentsMax = 8;
// So long close() tries for memory that others are about to give back.
constexpr uint64_t kClosePatienceNanos = 5'000'000'000;

}  // namespace

Store::Store(const StoreOptions& options)
    : options_(options),
      engine_memory_(options.memory),
      memory_(engine_memory_->manager()),
      epochs_(engine_memory_->epochs()),
      cache_(&engine_memory_->frames()),
      pooled_files_(options.file_system, options.open_files_max),
      value_files_(&pooled_files_, options.directory, &memory_),
      state_charge_(&memory_),
      active_bytes_(engine_memory_.get()),
      immutable_bytes_(engine_memory_.get()) {
  const auto bind = [this](StoreTask& task, void (Store::*work)(), TaskPriority priority) {
    task.run = &Store::run_task;
    task.store = this;
    task.work = work;
    task.priority = priority;
  };
  bind(flush_task_, &Store::flush_work, TaskPriority::flush);
  bind(compaction_task_, &Store::compaction_work, TaskPriority::compaction);
  bind(log_sync_task_, &Store::log_sync_work, TaskPriority::upkeep);
  bind(lease_task_, &Store::lease_work, TaskPriority::upkeep);
  bind(disposal_task_, &Store::disposal_work, TaskPriority::upkeep);
  bind(ahead_task_, &Store::ahead_work, TaskPriority::upkeep);
  bind(statistics_task_, &Store::publish_statistics_work, TaskPriority::upkeep);
  bind(shed_task_, &Store::shed_work, TaskPriority::flush);
}

Result<std::unique_ptr<Store>> Store::open(const StoreOptions& options) {
  std::unique_ptr<Store> store(new Store(options));
  VARVE_RETURN_IF_ERROR(store->recover());
  store->schedule(&store->statistics_task_);
  store->schedule(&store->flush_task_);
  return store;
}

Store::~Store() {
  stop_background();
  release_memory();
  delete tree_table_.load();
}

void Store::share_memory(MemoryHelp* help) {
  memory_help_.store(help);
  engine_memory_->join(this);
}

void Store::leave_shared_memory() {
  engine_memory_->leave(this);
  stop(&shed_task_);
}

void Store::stop(StoreTask* task) {
  const bool cancelled = options_.executor->cancel(task);
  MutexLock lock(mutex_);
  if (cancelled) task->queued.store(false);
  while (task->queued.load()) changed_.wait(mutex_);
}

void Store::stop_background() {
  leave_shared_memory();
  {
    MutexLock lock(mutex_);  // no step that looked before is queued again
    closing_.store(true);
  }
  changed_.notify_all();
  for (StoreTask* task : {&flush_task_, &compaction_task_, &log_sync_task_, &lease_task_,
                          &disposal_task_, &ahead_task_, &statistics_task_}) {
    stop(task);
  }
}

void Store::release_memory() {
  epochs_.drain();
  std::vector<ReadView*> views;
  {
    MutexLock lock(mutex_);
    for (auto& [id, tree] : all_trees_) {
      if (ReadView* view = tree->view.exchange(nullptr)) views.push_back(view);
    }
  }
  for (ReadView* view : views) view->unref();
  active_bytes_.clear();
  immutable_bytes_.clear();
  if (nothing_ != nullptr) std::exchange(nothing_, nullptr)->unref();
  {
    MutexLock lock(mutex_);
    if (spare_ != nullptr) std::exchange(spare_, nullptr)->unref();
  }
  drop_next_memtable();
  disposal_work();
  wal_.reset();
  epochs_.drain();
  cache_.release_idle();
}

Status Store::flush_before_close() {
  VARVE_RETURN_IF_ERROR(failure());
  // Databases that are opened for a few writes at a time would else drag ever more of it along.
  const bool log_is_long = wal_->segment_count() > kLogSegmentsMax;
  const uint64_t until = Clock::system()->monotonic_nanos() + kClosePatienceNanos;
  Status first;  // one keyspace that cannot be flushed takes no other with it
  for (Tree* tree : trees()) {
    if (tree->logged && !log_is_long) continue;
    Status status = flush_for_good(tree, until);
    if (first.ok()) first = std::move(status);
  }
  return first;
}

Status Store::flush_for_good(Tree* tree, uint64_t until) {
  constexpr uint64_t kStepNanos = 2'000'000;
  for (;;) {
    const Status rotated = tree->active->empty() ? Status() : rotate(tree);
    Status status = flush_tree(tree).status();  // even if only what was full before
    if (status.ok()) status = rotated;
    // There is no second close: what others flush, who may be closing too, gives memory back.
    if (status.code() != StatusCode::out_of_memory ||
        !engine_memory_->others_hold_memtables(memtable_bytes()) ||
        Clock::system()->monotonic_nanos() >= until) {
      return status;
    }
    static_cast<void>(engine_memory_->shed_worthwhile());
    pause_for(kStepNanos);
  }
}

Status Store::close() {
  leave_shared_memory();  // nobody else begins memtables any more
  // What no log holds is lost in a crash, not in an orderly end. What one holds is safe there,
  // whatever comes of that.
  const Status flushed = flush_before_close();
  stop_background();
  publish_statistics_work();
  Status status = failure();
  if (status.ok()) status = wal_->finish();
  if (Status dropped = wal_->give_space_back(); !dropped.ok()) {
    log_line(options_.logger, LogLevel::warning, "a free log segment stays: %s",
             dropped.to_string().c_str());
  }
  MutexLock lock(manifest_mutex_);
  if (status.ok()) {
    // The lease ends here: whoever opens next goes on right above the last timestamp.
    const Timestamp last = oracle_->last_allocated();
    LevelsEdit edit;
    edit.lease = last;
    edit.last_timestamp = last;
    edit.log_end = wal_->end();
    {
      MutexLock trees_lock(mutex_);
      edit.next_file = FileNumber{next_file_};
    }
    status = append_to_manifest(edit);
  }
  Status closed = manifest_->close();
  state_charge_.set(0);
  release_memory();  // and the obsolete files with it, while the directory is still owned
  lock_.reset();
  if (!status.ok()) return status;
  return flushed.ok() ? closed : flushed;
}

FileNumber Store::next_file_number() {
  MutexLock lock(mutex_);
  return FileNumber{next_file_++};
}

// -- writes --

Status Store::failure() {
  if (!failed_.load()) return Status();
  MutexLock lock(mutex_);
  return failure_;
}

void Store::fail(const Status& status) {
  log_line(options_.logger, LogLevel::error, "read-only from now on: %s",
           status.to_string().c_str());
  MutexLock lock(mutex_);
  if (!failed_.load()) {
    failure_ = Status::read_only("until reopened, because " + status.to_string());
    failed_.store(true);
  }
  changed_.notify_all();
}

Tree* Store::largest_active() {
  MutexLock lock(mutex_);
  Tree* largest = nullptr;
  for (const auto& [id, tree] : all_trees_) {
    if (tree->dropped.load()) continue;
    if (largest == nullptr || tree->active_bytes > largest->active_bytes) largest = tree.get();
  }
  return largest;  // the default keyspace is never dropped
}

Status Store::commit_make_room() {
  while (active_bytes_.load() >= options_.write_buffer_size && immutable_bytes_.load() == 0) {
    VARVE_RETURN_IF_ERROR(rotate(largest_active()));
  }
  // A keyspace that is seldom written must not hold back the log for ever (protocol 19).
  const uint64_t log_bytes_max = kLogBuffers * options_.write_buffer_size;
  const uint64_t end = wal_->end().value;
  if (end - wal_->oldest().value <= log_bytes_max) return Status();
  for (Tree* tree : trees()) {
    const uint64_t first = tree->active->first_lsn().value;
    if (first < end && end - first > log_bytes_max) VARVE_RETURN_IF_ERROR(rotate(tree));
  }
  return Status();
}

Status Store::commit_rotate_largest() {
  Tree* tree = largest_active();
  return tree->active->empty() ? Status() : rotate(tree);
}

Status Store::commit_rotate_all() {
  for (Tree* tree : trees()) {
    if (!tree->active->empty()) VARVE_RETURN_IF_ERROR(rotate(tree));
  }
  return Status();
}

Status Store::rotate(Tree* tree) {
  NextMemtable next = take_next_memtable(tree);
  if (next.memtable == nullptr) next.memtable = new_memtable(tree->active->keys());
  if (next.memtable == nullptr) {
    // When nothing else can be had, what fills memory can still be written out.
    MutexLock lock(mutex_);
    if (spare_ != nullptr) {
      next.memtable = std::exchange(spare_, nullptr);
    } else {
      next = std::exchange(next_, {});  // another keyspace's
    }
  }
  if (next.memtable == nullptr) return Status::out_of_memory("no memory for a memtable");
  ReadView* old;
  {
    MutexLock lock(mutex_);
    const ReadView* current = tree->view.load();
    old = publish_view(tree, current->with_memtable(next.memtable, next.view));
    active_bytes_.fetch_sub(tree->active_bytes);
    immutable_bytes_.fetch_add(tree->active->held_bytes());
    tree->active = next.memtable;
    tree->active_bytes = 0;
  }
  commit_account(tree);
  old->retire(&epochs_);
  schedule(&flush_task_);
  return Status();
}

void Store::commit_account(Tree* tree) {
  // What an empty memtable holds is no debt: a flush would not give it back.
  const size_t held = tree->active->empty() ? 0 : tree->active->held_bytes();
  if (held != tree->active_bytes) {  // every commit reads the sum
    active_bytes_.fetch_add(held - tree->active_bytes);
    tree->active_bytes = held;
    want_next_memtable(tree);
  }
  const bool wants = memory().wants_ready_chunk() || (serves() && wal_->wants_segment());
  if (wants && !ahead_task_.queued.load(kRelaxed)) schedule(&ahead_task_);  // hints
}

Status Store::commit_ensure_lease(uint64_t count) {
  const TimestampOracle::Lease lease = oracle_->lease_for(count);
  if (lease == TimestampOracle::Lease::is_used_up) return renew_lease(count);
  if (lease == TimestampOracle::Lease::ends_soon && !lease_task_.queued.load(kRelaxed)) {  // a hint
    schedule(&lease_task_);
  }
  return Status();
}

Status Store::renew_lease(uint64_t count) {
  MutexLock lock(manifest_mutex_);
  LevelsEdit edit;
  edit.lease = Timestamp{oracle_->next_lease().nanos + count};
  if (*edit.lease <= state_.lease) return Status();  // another renewal was faster
  VARVE_RETURN_IF_ERROR(append_to_manifest(edit));
  oracle_->renew_lease(*edit.lease);
  return Status();
}

void Store::count_commit_group(uint64_t commits, uint64_t entries, uint64_t user_bytes) {
  counters_.commits.add_alone(commits);
  counters_.groups.add_alone();
  counters_.entries.add_alone(entries);
  counters_.user_bytes.add_alone(user_bytes);
  if (!statistics_task_.queued.load(kRelaxed)) {  // a hint: schedule() looks again
    schedule(&statistics_task_, 1'000'000'000);
  }
}

}  // namespace varve
