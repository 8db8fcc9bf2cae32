#include "varve/database.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/time_text.h"
#include "lsm/store.h"
#include "memory/buffer_pool.h"
#include "memory/object_pool.h"
#include "txn/commit_pipeline.h"
#include "txn/cursor_impl.h"
#include "txn/held_value.h"
#include "txn/snapshot_handle.h"
#include "txn/write_batch_internal.h"

namespace varve {

namespace {

constexpr size_t kIdleCursors = 64;
constexpr size_t kIdleSnapshots = 1024;
// An entry up to this size is encoded on the stack.
constexpr size_t kStackBatchSize = 1024;
// What an entry takes in a memtable beside its key and value, about.
constexpr uint64_t kEntryOverhead = 64;
// While close() waits for what users hold, it looks this often.
constexpr uint64_t kCloseLookNanos = 1'000'000;

Status unknown_keyspace(Keyspace keyspace) {
  return Status::not_found(format("keyspace %u is unknown or dropped", keyspace.id));
}

}  // namespace

class Database::Impl final : private Store::MemoryHelp {
 public:
  Impl(std::unique_ptr<Executor> executor, std::unique_ptr<Store> store)
      : own_executor_(std::move(executor)),
        store_(std::move(store)),
        pipeline_(store_.get()),
        cursors_("cursor", &store_->memory(), MemoryRole::cursor, kIdleCursors),
        snapshots_("snapshot", &store_->memory(), MemoryRole::snapshot_registry, kIdleSnapshots),
        batches_(&store_->memory(), {.name = "batch",
                                     .role = MemoryRole::batch,
                                     .idle_bytes_max = store_->options().memory_budget / 64}),
        batch_memory_{.manager = &store_->memory(),
                      .value_size_max = store_->options().value_size_max} {
    store_->share_memory(this);
  }

  Status closed() const {
    // Relaxed: beside close() only writes may be in progress, which admission sorts out.
    return closed_.load(kRelaxed) ? Status::closed("the database is closed") : Status();
  }

  // A view and a timestamp that belong together: every commit at or below the timestamp is in the
  // view (protocol 10). Inside an epoch guard.
  ReadView* consistent_view(Tree* tree, const Snapshot* snapshot, Timestamp* timestamp) {
    for (;;) {
      ReadView* view = tree->view.load(kAcquire);  // pairs with the store's publish_view()
      *timestamp = snapshot != nullptr ? snapshot->timestamp() : store_->oracle().published();
      if (tree->view.load() == view) return view;
    }
  }

  // Finds the version that a get() shows; calls `use` with it while it is held. `use` gets the
  // memtable, for values in one.
  template <typename Use>
  Result<bool> look_up(std::string_view key, const ReadOptions& options, Use use) {
    VARVE_RETURN_IF_ERROR(closed());
    Tree* tree = store_->tree(options.keyspace);
    if (tree == nullptr) return unknown_keyspace(options.keyspace);
    if (options.snapshot != nullptr) {
      VARVE_RETURN_IF_ERROR(readable_through(*options.snapshot, tree));
    }
    store_->read_counters().gets.add();
    const uint64_t hash = key_hash(key);
    ReadAccess access{.resident_only = true, .fill_cache = options.fill_cache};
    FoundVersion found;
    Memtable* memtable = nullptr;
    Timestamp timestamp;
    ReadView* view;
    {
      EpochDomain::Guard guard(store_->epochs());
      view = consistent_view(tree, options.snapshot, &timestamp);
      VARVE_ASSIGN_OR_RETURN(const bool got, view->get(key, hash, timestamp, &store_->epochs(),
                                                       &access, &found, &memtable));
      if (!access.missed) {
        if (!got || found.kind == VersionKind::tombstone) return false;
        use(found, memtable);
        return true;
      }
      view->ref();
    }
    // Something has to be read: without the guard, which never spans I/O, but with a reference.
    const ReadViewRef view_ref(view);
    return look_up_in(view, key, hash, timestamp, options.fill_cache, use);
  }

  template <typename Use>
  Result<bool> look_up_in(ReadView* view, std::string_view key, uint64_t hash, Timestamp timestamp,
                          bool fill_cache, Use use) {
    ReadAccess access{.resident_only = false, .fill_cache = fill_cache};
    FoundVersion found;
    Memtable* memtable = nullptr;
    VARVE_ASSIGN_OR_RETURN(const bool got, view->get(key, hash, timestamp, &store_->epochs(),
                                                     &access, &found, &memtable));
    if (!got || found.kind == VersionKind::tombstone) return false;
    use(found, memtable);
    return true;
  }

  Status write_one(VersionKind kind, std::string_view key, std::string_view value,
                   const WriteOptions& options) {
    VARVE_RETURN_IF_ERROR(closed());
    VARVE_RETURN_IF_ERROR(check_entry_sizes(key, value, batch_memory_.value_size_max));
    const BatchEntry entry{.kind = kind, .keyspace = options.keyspace, .key = key, .value = value};
    const size_t size_max = batch_entry_size_max(key.size(), value.size());
    Store::CommitWait waited{.timeout = options.timeout};
    if (size_max <= kStackBatchSize) {
      char bytes[kStackBatchSize];
      const char* end = encode_batch_entry(bytes, entry);
      return commit({bytes, static_cast<size_t>(end - bytes)}, 1, options, nullptr, &waited);
    }
    const Status status = write_large(entry, size_max, options, &waited);
    if (status.code() == StatusCode::closed) batches_.trim();  // close() may have done it before
    return status;
  }

  Status write_large(const BatchEntry& entry, size_t size_max, const WriteOptions& options,
                     Store::CommitWait* waited) {
    for (;;) {
      const uint64_t drains = store_->drains();
      const PooledBuffer bytes(batches_, size_max);
      if (bytes.data() != nullptr) {
        const char* end = encode_batch_entry(bytes.data(), entry);
        return commit({bytes.data(), static_cast<size_t>(end - bytes.data())}, 1, options, nullptr,
                      waited);
      }
      VARVE_RETURN_IF_ERROR(
          store_->await_memory(Status::out_of_memory("no memory for a write"), drains, waited));
    }
  }

  Status commit(std::string_view batch, uint32_t entries, const WriteOptions& options,
                Timestamp* committed, Store::CommitWait* waited) {
    const uint64_t bytes = batch.size() + uint64_t{entries} * kEntryOverhead;
    for (;;) {
      VARVE_RETURN_IF_ERROR(store_->admit(bytes, waited));
      const uint64_t drains = store_->drains();
      const Status status = pipeline_.commit(batch, entries, options.durability, committed);
      store_->leave(bytes);
      if (status.code() != StatusCode::out_of_memory) return status;
      VARVE_RETURN_IF_ERROR(store_->await_memory(status, drains, waited));
    }
  }

  // Begins new memtables, in commit order.
  Status rotate(Status (Store::*which)()) {
    struct Rotate final : CommitPipeline::Action {
      Store* store = nullptr;
      Status (Store::*which)() = nullptr;
      Status run(Timestamp) override { return (store->*which)(); }
    } rotate;
    rotate.store = store_.get();
    rotate.which = which;
    return pipeline_.run_alone(&rotate);
  }

  Status rotate_largest() override { return rotate(&Store::commit_rotate_largest); }
  void append_pools(std::vector<PoolStatistics>* pools) override {
    pools->push_back(cursors_.statistics());
    pools->push_back(snapshots_.statistics());
    pools->push_back(batches_.statistics());
  }
  bool give_up_idle_memory() override {
    cursors_.trim();
    batches_.trim();
    return open_cursors_.renew_parked() != 0;
  }

  SnapshotHandle* new_snapshot() { return snapshots_.acquire(store_.get(), &snapshots_); }

  uint64_t held_by_users() {
    const int64_t pins = store_->cache().pins().count();
    return cursors_.in_use() + snapshots_.in_use() +
           static_cast<uint64_t>(std::max<int64_t>(pins, 0));
  }

  const std::unique_ptr<Executor> own_executor_;
  std::unique_ptr<Store> store_;
  CommitPipeline pipeline_;
  OpenCursors open_cursors_;
  ObjectPool<CursorImpl> cursors_;
  ObjectPool<SnapshotHandle> snapshots_;
  BufferPool batches_;  // encodings of single changes that are too large for the stack
  BatchMemory batch_memory_;
  Atomic<bool> closed_{false};
};

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

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
      new Database(std::make_unique<Impl>(std::move(executor), std::move(store))));
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
      return Status::busy(format("%llu cursors, snapshots or pinned values are still held",
                                 static_cast<unsigned long long>(held)));
    }
    pause_for(kCloseLookNanos);
  }
  impl_->closed_.store(true);
  impl_->store_->end_writes();
  // Of writes that were just answered.
  while (impl_->batches_.statistics().in_use != 0) pause_for(kCloseLookNanos);
  impl_->cursors_.trim();
  impl_->snapshots_.trim();
  impl_->batches_.trim();
  impl_->pipeline_.release_memory();
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
  const uint64_t limit =
      std::min(kValueSizeMax, impl_->store_->options().memory_budget / 8) + kKeySizeMax;
  if (batch.size_bytes() > limit) {
    return Status::invalid_argument(format("batch of %zu bytes: at most %llu are allowed",
                                           batch.size_bytes(),
                                           static_cast<unsigned long long>(limit)));
  }
  Store::CommitWait waited{.timeout = options.timeout};
  return impl_->commit(batch.encoded(), batch.count(), options, committed, &waited);
}

// -- reads --

Result<bool> Database::get(std::string_view key, std::string* value, const ReadOptions& options) {
  return impl_->look_up(
      key, options, [value](const FoundVersion& found, Memtable*) { value->assign(found.value); });
}

Result<std::optional<PinnedValue>> Database::get(std::string_view key, const ReadOptions& options) {
  HeldValue held(&impl_->store_->cache());
  VARVE_ASSIGN_OR_RETURN(const bool got,
                         impl_->look_up(key, options, [&](FoundVersion& found, Memtable* memtable) {
                           held.hold(found, memtable);
                         }));
  if (!got) return std::optional<PinnedValue>();
  VARVE_RETURN_IF_ERROR(held.settle());
  PinnedValue pinned;
  give(&held, &pinned);
  return std::optional<PinnedValue>(std::move(pinned));
}

Status Database::multi_get(std::span<const std::string_view> keys,
                           std::span<std::optional<PinnedValue>> values,
                           const ReadOptions& options) {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  if (keys.size() != values.size()) {
    return Status::invalid_argument(
        format("%zu keys, but room for %zu values", keys.size(), values.size()));
  }
  Store& store = *impl_->store_;
  Tree* tree = store.tree(options.keyspace);
  if (tree == nullptr) return unknown_keyspace(options.keyspace);
  if (options.snapshot != nullptr) {
    VARVE_RETURN_IF_ERROR(readable_through(*options.snapshot, tree));
  }
  Timestamp timestamp;
  ReadView* view;
  {
    EpochDomain::Guard guard(store.epochs());
    view = impl_->consistent_view(tree, options.snapshot, &timestamp);
    view->ref();
  }
  const ReadViewRef view_ref(view);
  for (size_t i = 0; i < keys.size(); ++i) {
    values[i].reset();
    store.read_counters().gets.add();
    HeldValue held(&store.cache());
    VARVE_ASSIGN_OR_RETURN(
        const bool got,
        impl_->look_up_in(
            view, keys[i], key_hash(keys[i]), timestamp, options.fill_cache,
            [&](FoundVersion& found, Memtable* memtable) { held.hold(found, memtable); }));
    if (!got) continue;
    VARVE_RETURN_IF_ERROR(held.settle());
    give(&held, &values[i].emplace());
  }
  return Status();
}

void Database::give(HeldValue* held, PinnedValue* pinned) {
  pinned->data_ = held->view();
  pinned->timestamp_ = held->timestamp();
  const HeldValue::Owned owned = held->take();
  pinned->owner_ = owned.owner;
  pinned->release_ = owned.release;
}

Result<Cursor> Database::scan(const ScanOptions& options) {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  Store* store = impl_->store_.get();
  Tree* tree = store->tree(options.keyspace);
  if (tree == nullptr) return unknown_keyspace(options.keyspace);
  Timestamp snapshot;
  if (options.snapshot != nullptr) {
    VARVE_RETURN_IF_ERROR(readable_through(*options.snapshot, tree));
    snapshot = options.snapshot->timestamp();
  }
  CursorImpl* impl = impl_->cursors_.acquire(store, &impl_->cursors_, &impl_->open_cursors_);
  if (impl == nullptr) return Status::out_of_memory("no memory for a cursor");
  Cursor cursor(impl);
  VARVE_RETURN_IF_ERROR(
      impl->open(options, tree, options.snapshot != nullptr ? &snapshot : nullptr));
  return cursor;
}

// -- time --

Result<Snapshot> Database::snapshot() {
  VARVE_RETURN_IF_ERROR(impl_->closed());
  SnapshotHandle* handle = impl_->new_snapshot();
  if (handle == nullptr) return Status::out_of_memory("no memory for a snapshot");
  impl_->store_->snapshots().acquire(&handle->entry);
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
  SnapshotHandle* handle = impl_->new_snapshot();
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
    Keyspace keyspace;
    Status run(Timestamp timestamp) override {
      return store->commit_drop_keyspace(keyspace, timestamp);
    }
  } drop;
  drop.store = impl_->store_.get();
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
  return impl_->store_->wal().drop_free_segments();
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
