#include "txn/database_impl.h"

#include <algorithm>

#include "base/format.h"
#include "txn/held_value.h"

namespace varve {

namespace {

constexpr size_t kIdleCursors = 64;
constexpr size_t kIdleSnapshots = 1024;
constexpr size_t kIdleTransactions = 64;
// The conflict table takes at most this part of the budget (protocol 3).
constexpr uint64_t kConflictTableShare = 32;
// An entry up to this size is encoded on the stack.
constexpr size_t kStackBatchSize = 1024;
// What an entry takes in a memtable beside its key and value, about.
constexpr uint64_t kEntryOverhead = 64;

}  // namespace

Status unknown_keyspace(Keyspace keyspace) {
  return Status::not_found(format("keyspace %u is unknown or dropped", keyspace.id));
}

Store::CommitWait wait_of(const WriteOptions& options) {
  return {.timeout = options.timeout, .cancelled = cancellation_flag(options.cancellation)};
}

DatabaseImpl::DatabaseImpl(std::unique_ptr<Executor> executor, std::unique_ptr<Store> store)
    : own_executor_(std::move(executor)),
      store_(std::move(store)),
      reader_(store_.get()),
      commit_latency_(store_->options().clock, store_->options().user.latency_sampling),
      get_latency_(store_->options().clock, store_->options().user.latency_sampling),
      conflicts_(&store_->memory(), store_->options().memory_budget / kConflictTableShare,
                 store_->oracle().last_allocated()),
      watch_(&store_->oracle()),
      checker_(store_.get(), &conflicts_, &counters_),
      pipeline_(store_.get(), &conflicts_, &watch_, &counters_),
      cursors_("cursor", &store_->memory(), MemoryRole::cursor, kIdleCursors),
      snapshots_("snapshot", &store_->memory(), MemoryRole::snapshot_registry, kIdleSnapshots),
      transactions_("transaction", &store_->memory(), MemoryRole::transaction, kIdleTransactions),
      batches_(&store_->memory(), {.name = "batch",
                                   .role = MemoryRole::batch,
                                   .idle_bytes_max = store_->options().memory_budget / 64,
                                   .urgent_bytes_max = urgent_bytes_max()}),
      batch_memory_{.manager = &store_->memory(),
                    .value_size_max = store_->options().value_size_max} {
  store_->share_memory(this);
}

// -- reads --

Result<bool> DatabaseImpl::get(std::string_view key, std::string* value, const ReadOptions& options,
                               std::optional<Timestamp> at) {
  return look_up(key, options, at,
                 [value](const PointRead& found) { value->assign(found.version.value); });
}

Result<std::optional<PinnedValue>> DatabaseImpl::get(std::string_view key,
                                                     const ReadOptions& options,
                                                     std::optional<Timestamp> at) {
  HeldValue held;
  VARVE_ASSIGN_OR_RETURN(const bool got, look_up(key, options, at, [&](const PointRead& found) {
                           held.hold(&store_->cache(), found.version, found.memtable);
                         }));
  if (!got) return std::optional<PinnedValue>();
  VARVE_RETURN_IF_ERROR(held.settle());
  PinnedValue pinned;
  held.give(&pinned);
  return std::optional<PinnedValue>(std::move(pinned));
}

Status DatabaseImpl::multi_get(std::span<const std::string_view> keys,
                               std::span<std::optional<PinnedValue>> values,
                               const ReadOptions& options) {
  if (keys.size() != values.size()) {
    return Status::invalid_argument(
        format("%zu keys, but room for %zu values", keys.size(), values.size()));
  }
  VersionReader::Place place;
  VARVE_RETURN_IF_ERROR(find_place(options, &place));
  // One look is as of one moment by itself.
  std::optional<ReadViewRef> view;
  if (keys.size() > VersionReader::kReadsMax) view.emplace(reader_.pin(&place));
  std::optional<PinnedValue>* places[VersionReader::kReadsMax];
  for (size_t begin = 0; begin < keys.size(); begin += VersionReader::kReadsMax) {
    const size_t count = std::min(VersionReader::kReadsMax, keys.size() - begin);
    for (size_t i = 0; i < count; ++i) places[i] = &values[begin + i];
    VARVE_RETURN_IF_ERROR(get_together(place, keys.subspan(begin, count), {places, count}));
  }
  return Status();
}

Status DatabaseImpl::find_place(const ReadOptions& options, VersionReader::Place* place) {
  VARVE_RETURN_IF_ERROR(resolve(options, &place->tree, &place->at));
  place->fill_cache = options.fill_cache;
  place->cancelled = cancellation_flag(options.cancellation);
  return Status();
}

Status DatabaseImpl::visit(std::span<const std::string_view> keys, const ReadOptions& options,
                           ValueVisitor* visitor) {
  VersionReader::Place place{.expected = true};
  VARVE_RETURN_IF_ERROR(find_place(options, &place));
  std::optional<ReadViewRef> view;  // as in multi_get()
  if (keys.size() > VersionReader::kReadsMax) view.emplace(reader_.pin(&place));
  for (size_t begin = 0; begin < keys.size(); begin += VersionReader::kReadsMax) {
    const size_t count = std::min(VersionReader::kReadsMax, keys.size() - begin);
    VARVE_RETURN_IF_ERROR(find_together(
        place, keys.subspan(begin, count),
        [&](size_t i, const PointRead& read) { visitor->visit(begin + i, read.version.value); }));
  }
  return Status();
}

Status DatabaseImpl::get_together(const VersionReader::Place& place,
                                  std::span<const std::string_view> keys,
                                  std::span<std::optional<PinnedValue>* const> values) {
  HeldValue held[VersionReader::kReadsMax];
  for (size_t i = 0; i < keys.size(); ++i) values[i]->reset();
  const Status status = find_together(place, keys, [&](size_t i, const PointRead& found) {
    held[i].hold(&store_->cache(), found.version, found.memtable);
  });
  if (!status.ok() && status.code() != StatusCode::cancelled) return status;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (held[i].empty()) continue;
    VARVE_RETURN_IF_ERROR(held[i].settle());
    held[i].give(&values[i]->emplace());
  }
  return status;
}

Result<Cursor> DatabaseImpl::scan(const ScanOptions& options, std::optional<Timestamp> at) {
  Tree* tree;
  VARVE_RETURN_IF_ERROR(resolve(options, &tree, &at));
  CursorImpl* impl = cursors_.acquire(store_.get(), &cursors_, &open_cursors_);
  if (impl == nullptr) return Status::out_of_memory("no memory for a cursor");
  Cursor cursor(impl);
  VARVE_RETURN_IF_ERROR(impl->open(options, tree, at ? &*at : nullptr));
  return cursor;
}

// -- writes --

Status DatabaseImpl::write_one(VersionKind kind, std::string_view key, std::string_view value,
                               const WriteOptions& options) {
  VARVE_RETURN_IF_ERROR(closed());
  VARVE_RETURN_IF_ERROR(check_entry_sizes(key, value, batch_memory_.value_size_max));
  const BatchEntry entry{.kind = kind, .keyspace = options.keyspace, .key = key, .value = value};
  const size_t size_max = batch_entry_size_max(key.size(), value.size());
  Store::CommitWait waited = wait_of(options);
  if (size_max <= kStackBatchSize) {
    char bytes[kStackBatchSize];
    const char* end = encode_batch_entry(bytes, entry);
    return commit({bytes, static_cast<size_t>(end - bytes)}, 1, options.durability, nullptr,
                  nullptr, &waited);
  }
  const Status status = write_large(entry, size_max, options, &waited);
  if (status.code() == StatusCode::closed) batches_.trim();  // close() may have done it before
  return status;
}

Status DatabaseImpl::write_large(const BatchEntry& entry, size_t size_max,
                                 const WriteOptions& options, Store::CommitWait* waited) {
  for (;;) {
    const uint64_t drains = store_->drains();
    const PooledBuffer bytes(batches_, size_max);
    if (bytes.data() != nullptr) {
      const char* end = encode_batch_entry(bytes.data(), entry);
      return commit({bytes.data(), static_cast<size_t>(end - bytes.data())}, 1, options.durability,
                    nullptr, nullptr, waited);
    }
    VARVE_RETURN_IF_ERROR(
        store_->await_memory(Status::out_of_memory("no memory for a write"), drains, waited));
  }
}

Status DatabaseImpl::commit(std::string_view batch, uint32_t entries,
                            std::optional<Durability> durability, CommitCheck* check,
                            Timestamp* committed, Store::CommitWait* waited) {
  const uint64_t begun = commit_latency_.begin();
  const uint64_t bytes = batch.size() + uint64_t{entries} * kEntryOverhead;
  for (;;) {
    VARVE_RETURN_IF_ERROR(store_->admit(bytes, waited));
    const uint64_t drains = store_->drains();
    const Status status = pipeline_.commit(batch, entries, durability, check, committed);
    store_->leave(bytes, *waited);
    if (status.ok() && (check == nullptr || check->verdict == CommitCheck::Verdict::clear)) {
      commit_latency_.end(begun);
    }
    if (status.code() != StatusCode::out_of_memory) return status;
    VARVE_RETURN_IF_ERROR(store_->await_memory(status, drains, waited));
  }
}

Status DatabaseImpl::await_published(Timestamp time) {
  if (time <= store_->oracle().published()) return Status();
  struct Nothing final : CommitPipeline::Action {
    Status run(Timestamp) override { return Status(); }
  } nothing;
  Status status = pipeline_.run_alone(&nothing);  // behind all that came before
  return time <= store_->oracle().published() ? Status() : status;
}

namespace {

// Alone in the commit queue: the second half of the check, and the commit.
struct CommitSpilled final : CommitPipeline::Action {
  Store* store = nullptr;
  const CommitChecker* checker = nullptr;
  ChangeWatch* watch = nullptr;
  CommitCheck* check = nullptr;
  Timestamp committed;

  Status run(Timestamp timestamp) override {
    VARVE_RETURN_IF_ERROR(check->in_queue() ? checker->check_published({}, check)
                                            : checker->check_recent_spilled(check));
    // Nothing is published; what is to be answered, the verdict says.
    if (check->verdict != CommitCheck::Verdict::clear) return {StatusCode::conflict, ""};
    VARVE_RETURN_IF_ERROR(store->commit_spilled(check->spilled, timestamp));
    uint64_t entries = 0;
    uint64_t bytes = 0;
    for (const Store::SpilledRun& run : check->spilled) {
      watch->mark_all(run.keyspace, timestamp);
      for (const Sstable* file : run.files) {
        entries += file->info().versions;
        bytes += file->info().raw_bytes;
      }
    }
    store->count_commit_group(1, entries, bytes);
    committed = timestamp;
    return Status();
  }
  bool changes_data() const override { return true; }
};

}  // namespace

// So that the queue has little left to wait for.
Status DatabaseImpl::flush_before(const CommitCheck& check) {
  struct Rotate final : CommitPipeline::Action {
    Store* store = nullptr;
    std::span<const Store::SpilledRun> runs;
    Status run(Timestamp) override { return store->commit_rotate_for(runs); }
  } rotate;
  rotate.store = store_.get();
  rotate.runs = check.spilled;
  VARVE_RETURN_IF_ERROR(pipeline_.run_alone(&rotate));
  Status status = store_->flush_for(check.spilled);
  if (status.code() != StatusCode::io_error) return status;
  const Status failed = store_->failure();
  return failed.ok() ? Status::busy(status.to_string()) : failed;
}

Status DatabaseImpl::commit_spilled(CommitCheck* check, Timestamp* committed,
                                    Store::CommitWait* waited) {
  const uint64_t begun = commit_latency_.begin();
  for (;;) {
    VARVE_RETURN_IF_ERROR(store_->admit(kEntryOverhead, waited));
    const uint64_t drains = store_->drains();
    Status status = check->in_queue() ? Status() : flush_before(*check);
    if (status.ok() && !check->in_queue()) status = checker_.check_published({}, check);
    if (status.ok() && (check->in_queue() || check->verdict == CommitCheck::Verdict::clear)) {
      CommitSpilled action;
      action.store = store_.get();
      action.checker = &checker_;
      action.watch = &watch_;
      action.check = check;
      status = pipeline_.run_alone(&action);
      *committed = action.committed;
      if (status.ok()) commit_latency_.end(begun);
    }
    store_->leave(kEntryOverhead, *waited);
    if (status.code() == StatusCode::conflict) return Status();
    if (status.code() != StatusCode::out_of_memory) return status;
    VARVE_RETURN_IF_ERROR(store_->await_memory(status, drains, waited));
  }
}

Status DatabaseImpl::rotate(Status (Store::*which)()) {
  struct Rotate final : CommitPipeline::Action {
    Store* store = nullptr;
    Status (Store::*which)() = nullptr;
    Status run(Timestamp) override { return (store->*which)(); }
  } rotate;
  rotate.store = store_.get();
  rotate.which = which;
  return pipeline_.run_alone(&rotate);
}

// -- memory --

Status DatabaseImpl::rotate_largest() { return rotate(&Store::commit_rotate_largest); }

void DatabaseImpl::append_pools(std::vector<PoolStatistics>* pools) {
  pools->push_back(cursors_.statistics());
  pools->push_back(snapshots_.statistics());
  pools->push_back(transactions_.statistics());
  pools->push_back(batches_.statistics());
  upper_pools_.append_statistics(pools);
}

void DatabaseImpl::add_statistics(Statistics* statistics) {
  using Counters = TransactionCounters;
  statistics->transactions_begun = counters_.sum(Counters::begun);
  statistics->transactions_committed = counters_.sum(Counters::committed);
  statistics->transactions_committed_empty = counters_.sum(Counters::committed_empty);
  statistics->transactions_rolled_back = counters_.sum(Counters::rolled_back);
  statistics->transactions_unknown = counters_.sum(Counters::unknown);
  statistics->transactions_retried = counters_.sum(Counters::retried);
  statistics->commit_latency = commit_latency_.statistics();
  statistics->get_latency = get_latency_.statistics();
  statistics->conflicts_on_write = counters_.sum(Counters::conflict_on_write);
  statistics->conflicts_on_read = counters_.sum(Counters::conflict_on_read);
  statistics->conflicts_on_range = counters_.sum(Counters::conflict_on_range);
  statistics->conflicts_on_span = counters_.sum(Counters::conflict_on_span);
  statistics->conflict_lookups = counters_.sum(Counters::looked_up);
  statistics->conflict_lookups_unchanged = counters_.sum(Counters::looked_up_unchanged);
}

bool DatabaseImpl::give_up_idle_memory() {
  cursors_.trim();
  transactions_.trim();
  batches_.trim();
  upper_pools_.trim();
  return open_cursors_.renew_parked() != 0;
}

uint64_t DatabaseImpl::held_by_users() {
  const int64_t pins = store_->cache().pins().count();
  return cursors_.in_use() + snapshots_.in_use() + transactions_.in_use() +
         static_cast<uint64_t>(std::max<int64_t>(pins, 0));
}

void DatabaseImpl::give_up_pools() {
  cursors_.trim();
  snapshots_.trim();
  transactions_.trim();
  batches_.trim();
  upper_pools_.trim();
  conflicts_.release_memory();
  pipeline_.release_memory();
}

}  // namespace varve
