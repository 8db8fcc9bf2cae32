// What is behind a Database: the store, the commit pipeline, and the pools of what is handed out.
//
// Thread rule: as Database.

#pragma once

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cancellation.h"
#include "lsm/store.h"
#include "memory/budget.h"
#include "memory/buffer_pool.h"
#include "memory/object_pool.h"
#include "memory/pool_group.h"
#include "txn/change_watch.h"
#include "txn/commit_check.h"
#include "txn/commit_pipeline.h"
#include "txn/conflict_table.h"
#include "txn/cursor_impl.h"
#include "txn/latency_histogram.h"
#include "txn/snapshot_handle.h"
#include "txn/transaction_counters.h"
#include "txn/transaction_impl.h"
#include "txn/value_visitor.h"
#include "txn/version_reader.h"
#include "txn/write_batch_internal.h"
#include "varve/database.h"

namespace varve {

Status unknown_keyspace(Keyspace keyspace);
Store::CommitWait wait_of(const WriteOptions& options);

class DatabaseImpl final : private Store::MemoryHelp {
 public:
  DatabaseImpl(std::unique_ptr<Executor> executor, std::unique_ptr<Store> store);

  Status closed() const {
    // Relaxed: beside close() only writes may be in progress, which admission sorts out.
    return closed_.load(kRelaxed) ? Status::closed("the database is closed") : Status();
  }

  // What a read is about: the tree, and the time of the snapshot, where `options` names one.
  // Options of reads or scans.
  template <typename Options>
  Status resolve(const Options& options, Tree** tree, std::optional<Timestamp>* at) {
    VARVE_RETURN_IF_ERROR(closed());
    *tree = store_->tree(options.keyspace);
    if (*tree == nullptr) return unknown_keyspace(options.keyspace);
    if (options.snapshot != nullptr) {
      VARVE_RETURN_IF_ERROR(readable_through(*options.snapshot, *tree));
      *at = options.snapshot->timestamp();
    }
    return Status();
  }
  // Finds the value that a get() shows; calls `use(const PointRead&)` while it is held. `at`: of a
  // registered snapshot; unset: the newest published commit.
  template <typename Use>
  Result<bool> look_up(std::string_view key, const ReadOptions& options,
                       std::optional<Timestamp> at, Use use) {
    Tree* tree;
    VARVE_RETURN_IF_ERROR(resolve(options, &tree, &at));
    if (is_cancelled(cancellation_flag(options.cancellation))) return cancelled();
    store_->read_counters().gets.add();
    bool there = false;
    PointRead read{.user_key = key, .hash = key_hash(key)};
    VARVE_RETURN_IF_ERROR(reader_.find({.tree = tree, .at = at, .fill_cache = options.fill_cache},
                                       {&read, 1}, [&](const PointRead& found) {
                                         there = found.version.kind != VersionKind::tombstone;
                                         if (there) use(found);
                                       }));
    return there;
  }
  // get() in both forms, and multi_get().
  Result<bool> get(std::string_view key, std::string* value, const ReadOptions& options,
                   std::optional<Timestamp> at);
  Result<std::optional<PinnedValue>> get(std::string_view key, const ReadOptions& options,
                                         std::optional<Timestamp> at);
  // What `get` answers; in the statistics where it is its turn.
  template <typename Get>
  auto timed_get(const Get& get) -> decltype(get()) {
    return __builtin_expect(get_latency_.draws(), 0) ? get_latency_.timed(get) : get();
  }
  Status multi_get(std::span<const std::string_view> keys,
                   std::span<std::optional<PinnedValue>> values, const ReadOptions& options);
  // Where a read with `options` looks.
  Status find_place(const ReadOptions& options, VersionReader::Place* place);
  // Parts of multi_get(): of VersionReader::kReadsMax keys at most. *values[i] answers keys[i].
  Status get_together(const VersionReader::Place& place, std::span<const std::string_view> keys,
                      std::span<std::optional<PinnedValue>* const> values);
  // `use(i, const PointRead&)` is called with each that is there, while it is held.
  template <typename Use>
  Status find_together(const VersionReader::Place& place, std::span<const std::string_view> keys,
                       Use use) {
    if (is_cancelled(place.cancelled)) return cancelled();
    store_->read_counters().gets.add(keys.size());
    if (keys.size() <= ReadView::kReadsMax) return find_each<ReadView::kReadsMax>(place, keys, use);
    return find_each<VersionReader::kReadsMax>(place, keys, use);
  }
  template <size_t kMax, typename Use>
  Status find_each(const VersionReader::Place& place, std::span<const std::string_view> keys,
                   Use use) {
    PointRead reads[kMax];
    for (size_t i = 0; i < keys.size(); ++i) {
      reads[i].user_key = keys[i];
      reads[i].hash = key_hash(keys[i]);
    }
    return reader_.find(place, {reads, keys.size()}, [&](const PointRead& found) {
      if (found.version.kind == VersionKind::tombstone) return;
      use(static_cast<size_t>(&found - reads), found);
    });
  }
  Status visit(std::span<const std::string_view> keys, const ReadOptions& options,
               ValueVisitor* visitor);

  // `at`: as above; ScanOptions::snapshot goes before it.
  Result<Cursor> scan(const ScanOptions& options, std::optional<Timestamp> at);

  // One change, as a commit.
  Status write_one(VersionKind kind, std::string_view key, std::string_view value,
                   const WriteOptions& options);
  // Returns once every commit up to `time`, which was applied, is published. Errors: those of the
  // database: they are not, and never will be.
  Status await_published(Timestamp time);
  // An encoded batch. With `check`, only if that turns out clear; ok either way.
  Status commit(std::string_view batch, uint32_t entries, std::optional<Durability> durability,
                CommitCheck* check, Timestamp* committed, Store::CommitWait* waited);
  // What a transaction spilled, as a commit, if `check` turns out clear; ok either way. Errors: as
  // Store::commit_spilled().
  Status commit_spilled(CommitCheck* check, Timestamp* committed, Store::CommitWait* waited);
  // Begins new memtables, in commit order.
  Status rotate(Status (Store::*which)());
  // Bytes that a batch may have.
  uint64_t batch_size_max() const {
    return std::min(kValueSizeMax, store_->options().memory_budget / 8) + kKeySizeMax;
  }
  // What one commit may want of memtables: many small entries take many times their own bytes. Up
  // to twice as much is tried.
  uint64_t memtable_share() const {
    const uint64_t budget = store_->options().memory_budget;
    return (budget - Budget::quota_of(budget)) / 4;
  }

  // What users hold must not keep anybody from writing: buffers of so many bytes, for single
  // writes, are taken from what is kept for commits. Many at once must not use that up.
  size_t urgent_bytes_max() const {
    return std::min<uint64_t>(store_->options().memory_budget / 512, 64 << 10);
  }

  // Cursors, snapshots, transactions and values that users hold.
  uint64_t held_by_users();
  void give_up_pools();

  Status rotate_largest() override;
  void append_pools(std::vector<PoolStatistics>* pools) override;
  void add_statistics(Statistics* statistics) override;
  bool give_up_idle_memory() override;

  const std::unique_ptr<Executor> own_executor_;
  const std::unique_ptr<Store> store_;
  const VersionReader reader_;
  TransactionCounters counters_;
  LatencyHistogram commit_latency_;
  LatencyHistogram get_latency_;
  ConflictTable conflicts_;
  ChangeWatch watch_;
  const CommitChecker checker_;
  CommitPipeline pipeline_;
  OpenCursors open_cursors_;
  ObjectPool<CursorImpl> cursors_;
  ObjectPool<SnapshotHandle> snapshots_;
  ObjectPool<TransactionImpl> transactions_;
  BufferPool batches_;  // encodings of single changes that are too large for the stack
  BatchMemory batch_memory_;
  PoolGroups upper_pools_;  // of the layers above
  Atomic<bool> closed_{false};

 private:
  Status flush_before(const CommitCheck& check);
  Status write_large(const BatchEntry& entry, size_t size_max, const WriteOptions& options,
                     Store::CommitWait* waited);
};

}  // namespace varve
