#include "varve/database.h"

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"
#include "base/time_text.h"
#include "lsm/memtable.h"
#include "txn/database_impl.h"

namespace varve {

namespace {

// While close() waits for what users hold, it looks this often.
constexpr uint64_t kCloseLookNanos = 1'000'000;
// The longest pause of a transaction that met conflicts.
constexpr uint64_t kConflictPauseMax = 1'000'000;

}  // namespace

Database::Database(std::unique_ptr<DatabaseImpl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Database>> Database::open(const Options& options,
                                                 const std::string& directory) {
  VARVE_ASSIGN_OR_RETURN(StoreOptions derived, derive_store_options(options, directory));
  std::unique_ptr<Executor> executor;
  if (derived.executor == nullptr) {
    const int threads = options.background_threads > 0 ? options.background_threads : 2;
    executor = Executor::create_threads(threads);
    derived.executor = executor.get();
  }
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Store> store, Store::open(derived));
  return std::unique_ptr<Database>(
      new Database(std::make_unique<DatabaseImpl>(std::move(executor), std::move(store))));
}

Database::~Database() {
  if (impl_->closed().ok()) {
    if (Status status = close(); !status.ok()) {
      log_line(impl_->store_->options().logger, LogLevel::error, "close: %s",
               status.to_string().c_str());
    }
  }
}

Status Database::close(std::optional<std::chrono::nanoseconds> deadline) {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  Clock* clock = impl_->store_->options().clock;
  const uint64_t start = clock->monotonic_nanos();
  while (const uint64_t held = impl_->held_by_users()) {
    if (deadline && clock->monotonic_nanos() - start >=
                        static_cast<uint64_t>(std::max<int64_t>(deadline->count(), 0))) {
      return Status::busy(
          format("%llu cursors, snapshots, transactions or pinned values are still held",
                 static_cast<unsigned long long>(held)));
    }
    pause_for(kCloseLookNanos);
  }
  impl_->closed_.store(true);
  impl_->store_->end_writes();
  // Of writes that were just answered.
  while (impl_->batches_.statistics().in_use != 0) pause_for(kCloseLookNanos);
  impl_->give_up_pools();
  return impl_->store_->close();
}

// -- writes --

Status Database::put(std::string_view key, std::string_view value, const WriteOptions& options) {
  return impl_->write_one(VersionKind::value, key, value, options);
}

Status Database::erase(std::string_view key, const WriteOptions& options) {
  return impl_->write_one(VersionKind::tombstone, key, {}, options);
}

WriteBatch::WriteBatch(Database& database) : memory_(&database.impl_->batch_memory_) {}

Status Database::write(WriteBatch& batch, const WriteOptions& options, Timestamp* committed) {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  if (batch.count() == 0) {
    if (committed != nullptr) *committed = impl_->store_->oracle().published();
    return Status();
  }
  const uint64_t limit = impl_->batch_size_max();
  if (batch.size_bytes() > limit) {
    return Status::invalid_argument(format("batch of %zu bytes: at most %llu are allowed",
                                           batch.size_bytes(),
                                           static_cast<unsigned long long>(limit)));
  }
  if (Memtable::batch_size(batch.count(), batch.size_bytes()) > 2 * impl_->memtable_share()) {
    return Status::invalid_argument(format(
        "batch of %u changes: more than a memory budget of %llu bytes can take at once",
        batch.count(), static_cast<unsigned long long>(impl_->store_->options().memory_budget)));
  }
  Store::CommitWait waited = wait_of(options);
  return impl_->commit(batch.encoded(), batch.count(), options.durability, nullptr, committed,
                       &waited);
}

// -- reads --

Result<bool> Database::get(std::string_view key, std::string* value, const ReadOptions& options) {
  return impl_->timed_get([&] { return impl_->get(key, value, options, std::nullopt); });
}

Result<std::optional<PinnedValue>> Database::get(std::string_view key, const ReadOptions& options) {
  return impl_->timed_get([&] { return impl_->get(key, options, std::nullopt); });
}

Status Database::multi_get(std::span<const std::string_view> keys,
                           std::span<std::optional<PinnedValue>> values,
                           const ReadOptions& options) {
  return impl_->multi_get(keys, values, options);
}

Status Database::visit(std::span<const std::string_view> keys, const ReadOptions& options,
                       ValueVisitor* visitor) {
  return impl_->visit(keys, options, visitor);
}

Result<Cursor> Database::scan(const ScanOptions& options) {
  return impl_->scan(options, std::nullopt);
}

// -- transactions --

Result<Transaction> Database::begin(const TransactionOptions& options) {
  return begin(options, /*at_applied=*/false);
}

Result<Transaction> Database::begin(const TransactionOptions& options, bool at_applied) {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  TransactionImpl* transaction = impl_->transactions_.acquire(impl_.get());
  if (transaction == nullptr) return Status::out_of_memory("no memory for a transaction");
  transaction->begin(options, at_applied);
  return Transaction(transaction);
}

Status Database::begin_again(Transaction* transaction, const TransactionOptions& options,
                             uint32_t attempt) {
  pause_after_conflict(attempt);
  VARVE_RETURN_IF_ERROR(impl_->closed());
  if (transaction->is_open()) {
    transaction->impl_->restart();
    return Status();
  }
  // `body` has ended it.
  VARVE_ASSIGN_OR_RETURN(*transaction, begin(options, /*at_applied=*/true));
  return Status();
}

Status Database::tell(Status status, Timestamp read_at) {
  Status published = impl_->await_published(read_at);
  // Of an unknown outcome nothing better can be said.
  const bool stands = published.ok() || status.code() == StatusCode::io_error;
  return stands ? std::move(status) : std::move(published);
}

void Database::pause_after_conflict(uint32_t attempt) {
  impl_->counters_.count(TransactionCounters::retried);
  // Who lost mostly lost against somebody who is done: the first times at once. Later, the more
  // often it lost the longer, by chance, so that the same ones do not meet again.
  constexpr uint32_t kAtOnce = 3;
  if (attempt <= kAtOnce) return;
  const uint64_t longest = std::min(kConflictPauseMax, uint64_t{1000} << std::min(attempt, 20U));
  pause_for(random_seed() % longest);
}

// -- time --

Result<Snapshot> Database::snapshot() {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  Store& store = *impl_->store_;
  SnapshotHandle* handle = impl_->snapshots_.acquire(&store, &impl_->snapshots_);
  if (handle == nullptr) return Status::out_of_memory("no memory for a snapshot");
  store.snapshots().acquire(&handle->entry);
  Snapshot snapshot;
  snapshot.impl_ = handle;
  snapshot.timestamp_ = handle->entry.timestamp;
  return snapshot;
}

Result<Snapshot> Database::snapshot_at(Timestamp time) {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  Store& store = *impl_->store_;
  const uint64_t now = std::max(store.oracle().now(), store.oracle().published().nanos);
  if (time.nanos > now) {
    return Status::invalid_argument(format_time_and_nanos(time) + " lies in the future: it is " +
                                    format_time_and_nanos({now}));
  }
  if (time > store.oracle().published()) {
    // No commit may come at or below it any more, so that the answer is repeatable (protocol 8).
    struct Advance final : CommitPipeline::Action {
      Store* store = nullptr;
      Timestamp time;
      Status run(Timestamp) override {
        // A commit may have passed it meanwhile, or the clock gone back behind it.
        const uint64_t last = store->oracle().last_allocated().nanos;
        if (time.nanos > last) VARVE_RETURN_IF_ERROR(store->commit_ensure_lease(time.nanos - last));
        store->oracle().advance_to(time);
        return Status();
      }
    } advance;
    advance.store = &store;
    advance.time = time;
    VARVE_RETURN_IF_ERROR(impl_->pipeline_.run_alone(&advance));
  }
  SnapshotHandle* handle = impl_->snapshots_.acquire(&store, &impl_->snapshots_);
  if (handle == nullptr) return Status::out_of_memory("no memory for a snapshot");
  store.snapshots().acquire_at(&handle->entry, time);
  Snapshot snapshot;
  snapshot.impl_ = handle;
  snapshot.timestamp_ = time;
  // Registered first: whoever raises a watermark from now on sees it (protocol 10).
  const std::vector<Tree*> trees = store.trees();
  uint64_t lowest = UINT64_MAX;
  for (const Tree* tree : trees) {
    const uint64_t watermark = tree->watermark.load();
    lowest = std::min(lowest, watermark);
    if (time.nanos < watermark) handle->forgotten.push_back(tree->keyspace);
  }
  if (handle->forgotten.size() == trees.size()) {
    return Status::invalid_argument("history at " + format_time_and_nanos(time) +
                                    " is gone: the watermark is " +
                                    format_time_and_nanos({lowest}));
  }
  return snapshot;
}

Result<std::vector<HistoryEntry>> Database::history(std::string_view key, size_t limit,
                                                    Keyspace keyspace) {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  Store& store = *impl_->store_;
  Tree* tree = store.tree(keyspace);
  if (tree == nullptr) return unknown_keyspace(keyspace);
  // A snapshot holds what is there now; the view is taken after it.
  VARVE_ASSIGN_OR_RETURN(const Snapshot snapshot, this->snapshot());
  ReadView* view = store.view_of(tree);
  const ReadViewRef view_ref(view);
  std::vector<MemtableCursor> memtables(view->memtables().size());
  std::vector<std::unique_ptr<RunCursor>> runs;
  std::vector<VersionCursor*> sources;
  for (size_t i = 0; i < memtables.size(); ++i) {
    memtables[i].reset(view->memtables()[i], snapshot.timestamp(), /*all_versions=*/true);
    sources.push_back(&memtables[i]);
  }
  Timestamp collapse_horizon;
  for (const Run& run : view->levels().runs()) {
    runs.push_back(std::make_unique<RunCursor>(&store.memory()));
    runs.back()->reset(run.files, /*fill_cache=*/true);
    sources.push_back(runs.back().get());
    if (const Sstable* file = run.file_for(key, key_head(key))) {
      collapse_horizon = std::max(collapse_horizon, file->info().collapse_horizon);
    }
  }
  MergeCursor merge;
  merge.reset(sources);
  std::vector<HistoryEntry> history;
  for (merge.seek({key, snapshot.timestamp()});
       merge.valid() && merge.user_key() == key && history.size() < limit; merge.next()) {
    const Timestamp timestamp = merge.timestamp();
    if (merge.kind() == VersionKind::value_pointer && !merge.load_value()) break;
    history.push_back({.timestamp = timestamp,
                       .at_or_before = timestamp == kTimestampMin ? collapse_horizon : timestamp,
                       .erased = merge.kind() == VersionKind::tombstone,
                       .value = std::string(merge.value())});
  }
  VARVE_RETURN_IF_ERROR(merge.status());
  return history;
}

// -- keyspaces --

Result<Keyspace> Database::create_keyspace(std::string_view name, const KeyspaceOptions& options) {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  if (name.empty() || name.size() > 255) {
    return Status::invalid_argument(
        format("keyspace name of %zu bytes: 1 to 255 are allowed", name.size()));
  }
  if (options.history_retention && options.history_retention->count() < 0) {
    return Status::invalid_argument("history_retention is negative");
  }
  struct Create final : CommitPipeline::Action {
    Store* store = nullptr;
    std::string_view name;
    const KeyspaceOptions* options = nullptr;
    Keyspace created;
    Status run(Timestamp timestamp) override {
      VARVE_ASSIGN_OR_RETURN(created, store->commit_create_keyspace(name, *options, timestamp));
      return Status();
    }
  } create;
  create.store = impl_->store_.get();
  create.name = name;
  create.options = &options;
  VARVE_RETURN_IF_ERROR(impl_->pipeline_.run_alone(&create));
  return create.created;
}

Status Database::drop_keyspace(Keyspace keyspace) {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  struct Drop final : CommitPipeline::Action {
    Store* store = nullptr;
    ChangeWatch* watch = nullptr;
    Keyspace keyspace;
    Status run(Timestamp timestamp) override {
      VARVE_RETURN_IF_ERROR(store->commit_drop_keyspace(keyspace, timestamp));
      watch->mark_all(keyspace, timestamp);
      return Status();
    }
    bool changes_data() const override { return true; }
  } drop;
  drop.store = impl_->store_.get();
  drop.watch = &impl_->watch_;
  drop.keyspace = keyspace;
  return impl_->pipeline_.run_alone(&drop);
}

Result<Keyspace> Database::find_keyspace(std::string_view name) {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  for (const Tree* tree : impl_->store_->trees()) {
    if (tree->name == name) return tree->keyspace;
  }
  return Status::not_found("no keyspace " + readable(name));
}

std::vector<KeyspaceInfo> Database::keyspaces() {
  std::vector<KeyspaceInfo> result;
  for (const Tree* tree : impl_->store_->trees()) {
    result.push_back({.keyspace = tree->keyspace, .name = tree->name, .options = tree->options});
  }
  return result;
}

// -- upkeep --

Status Database::flush() {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  for (;;) {
    const uint64_t drains = impl_->store_->drains();
    const Status rotated = impl_->rotate(&Store::commit_rotate_all);
    VARVE_RETURN_IF_ERROR(impl_->store_->flush_all());
    // With many keyspaces in a small budget, some memtables have to go before others can begin.
    const bool again =
        rotated.code() == StatusCode::out_of_memory && impl_->store_->drains() != drains;
    if (!again) return rotated;
  }
}

Status Database::compact() {
  VARVE_RETURN_IF_ERROR(flush());
  VARVE_RETURN_IF_ERROR(impl_->store_->compact_all());
  return impl_->store_->wal().give_space_back();
}

Status Database::wait_for_background() {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  return impl_->store_->wait_for_background();
}

Result<VerifyReport> Database::verify() {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  return impl_->store_->verify();
}

Statistics Database::statistics() {
  Statistics statistics;
  if (impl_->closed().ok()) impl_->store_->statistics(&statistics);
  return statistics;
}

Health Database::health() { return impl_->store_->health(); }

MemoryReport Database::memory_report() { return impl_->store_->memory_report(); }

const std::string& Database::directory() const { return impl_->store_->options().directory; }

}  // namespace varve
