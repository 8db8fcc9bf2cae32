// What is behind a Transaction: a registered snapshot, what it wrote, what it read and relies on,
// and its open cursors.
//
//   reads    own writes first, then the versions that the snapshot sees
//   commit   what it wrote, and relies on, is checked; its batch goes through the commit pipeline
//            like every other (txn/commit_check.h, txn/commit_pipeline.h); if it spilled, by an
//            edit of the manifest (lsm/spill.cc)
//
// Thread rule: one thread at a time. Pooled: keeps some memory between uses.

#pragma once

#include <optional>
#include <string_view>

#include "lsm/store.h"
#include "memory/object_pool.h"
#include "mvcc/snapshot_registry.h"
#include "txn/read_set.h"
#include "txn/transaction_counters.h"
#include "txn/transaction_cursor.h"
#include "txn/value_visitor.h"
#include "txn/write_set.h"
#include "varve/transaction.h"

namespace varve {

class CursorImpl;
class DatabaseImpl;
struct CommitCheck;

class TransactionImpl final : public PoolLink {
 public:
  explicit TransactionImpl(DatabaseImpl* database);

  // `at_applied`: what is about to be published can be read; await_published() comes before anybody
  // is told.
  void begin(const TransactionOptions& options, bool at_applied);
  // After a conflict: begins again, from what is applied.
  void restart();
  // It ends, if it has not yet, and goes back to the pool.
  void release();

  Result<bool> get(std::string_view key, std::string* value, const ReadOptions& options,
                   bool for_update);
  Result<std::optional<PinnedValue>> get(std::string_view key, const ReadOptions& options,
                                         bool for_update);
  Status multi_get(std::span<const std::string_view> keys,
                   std::span<std::optional<PinnedValue>> values, const ReadOptions& options,
                   bool for_update);
  Status visit(std::span<const std::string_view> keys, const ReadOptions& options,
               ValueVisitor* visitor);
  Status write(VersionKind kind, std::string_view key, std::string_view value,
               const WriteOptions& options);
  Result<Cursor> scan(const ScanOptions& options);
  // A cursor of its goes on with other bounds.
  Status reset_cursor(CursorImpl* cursor, const ScanOptions& options);

  Result<Savepoint> set_savepoint();
  Status rollback_to(Savepoint savepoint);
  Status release_savepoint(Savepoint savepoint);

  // `begins_again`: restart() follows a conflict, and waits for nobody.
  Result<Timestamp> commit(bool begins_again);
  // Of what is in memory: it goes to disk.
  Status spill();

  // Of calls then.
  static Status ended();
  // kTimestampMin once it has ended.
  Timestamp start() const { return open_ ? entry_.timestamp : kTimestampMin; }
  // Differs after each change of what it wrote, its end included.
  uint64_t changes() const { return changes_; }
  // What it reads is what its snapshot shows, and nobody need know of it: so far it wrote nothing.
  bool reads_as_snapshot() const {
    return open_ && writes_.empty() && writes_.place() == 0 &&
           (options_.read_only || options_.isolation != Isolation::serializable);
  }
  bool is_read_only() const { return options_.read_only; }

 private:
  // The part of its memory that what it read may take.
  static constexpr uint64_t kReadSetShare = 64;
  // Where memory is refused, so small a part of its share is spilled; less is not worth a file.
  static constexpr uint64_t kSpilledShare = 8;

  // Of every call: whether it can go on.
  Status check_usable() const;
  Status check_read(const Snapshot* snapshot) const;
  // Whether the transaction wrote the key itself: then `*own` says what, its value perhaps in
  // `*spilled`. The read is noted.
  Result<bool> begin_read(Keyspace keyspace, std::string_view key, bool for_update, BatchEntry* own,
                          FoundVersion* spilled);
  // The value of an own write, nullopt of a tombstone, as users hold it.
  Result<std::optional<PinnedValue>> held(const BatchEntry& own);
  // Calls `own(BatchEntry)` if the transaction wrote the key itself, else `others()`.
  template <typename Own, typename Others>
  auto read(std::string_view key, const ReadOptions& options, bool for_update, Own own,
            Others others) -> decltype(others());
  // Of each key: calls `own(i, BatchEntry)` if the transaction wrote it itself; else it is among
  // those that `others(place, keys, their numbers)` is called with, VersionReader::kReadsMax at
  // most.
  template <typename Own, typename Others>
  Status read_each(std::span<const std::string_view> keys, const ReadOptions& options,
                   bool for_update, Own own, Others others);
  // What `read` answers; again after a flush, if it was refused memory.
  template <typename Read>
  auto with_patience(const Read& read) -> decltype(read());
  // The commit relies on the key, at this level, or because of `for_update`.
  Status note_read(Keyspace keyspace, std::string_view key, bool for_update);
  // Bytes of its batch.
  uint64_t share() const;
  bool outgrows_its_share(Keyspace keyspace, std::string_view key, size_t size) const;
  Result<Timestamp> commit_spilled();
  Result<Timestamp> end_unwritten();
  Result<Timestamp> commit_batch(bool begins_again);
  Status check_published(std::string_view batch, CommitCheck* check, Store::CommitWait* waited);
  // The end of either.
  Result<Timestamp> settle(const CommitCheck& check, Timestamp committed);
  void attach(CursorImpl* cursor, const ScanOptions& options);
  void detach_cursors();
  static Status no_savepoint(Savepoint savepoint);
  Status conflict_status(const CommitCheck& check) const;
  // Snapshot, cursors, what it wrote and read: all is let go of.
  void end(TransactionCounters::Event how);
  // And it says `why` until it is rolled back.
  void lose(TransactionCounters::Event how, Status why);

  DatabaseImpl* const database_;
  TransactionOptions options_;
  SnapshotEntry entry_;
  bool open_ = false;
  bool entered_ = false;  // into the conflict table
  size_t conflict_cell_ = 0;
  bool ranges_lost_ = false;
  uint64_t changes_ = 0;
  WriteSet writes_;
  ReadSet reads_;
  TransactionCursor* cursors_ = nullptr;  // open ones
  Status lost_;
};

}  // namespace varve
