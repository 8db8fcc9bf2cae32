// Transactions: reads as of one snapshot, own writes included, and writes that commit together if
// nobody else got in the way.
//
// They are optimistic: nothing is locked while a transaction works, and commit() checks it. What is
// promised at each level, with examples: docs/transactions.md.
//
// Thread rule: one transaction, with its cursors, by one thread at a time; any number side by side.
// Lifetime: must have ended, or been destroyed, before its database is closed; close() waits for
// that until its deadline.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "varve/cursor.h"
#include "varve/options.h"
#include "varve/pinned_value.h"
#include "varve/status.h"
#include "varve/types.h"

namespace varve {

enum class Isolation : uint8_t {
  // Reads see one moment; of two transactions that write the same key side by side, the first to
  // commit wins. Two that each read what the other writes may both commit (write skew), unless they
  // read it with get_for_update().
  snapshot = 0,
  // As if serializable transactions that write ran one after the other, in the order of their
  // commit timestamps: what one read, absent keys and ranges included, is still so when it commits.
  serializable = 1,
};

struct TransactionOptions {
  Isolation isolation = Isolation::snapshot;
  // Refuses writes. Committing one that wrote nothing costs nothing, whether it says so or not.
  bool read_only = false;
  // Of the commit. Unset: the keyspaces', else the database's. One whose writes went to disk is
  // always made durable, as by `sync`.
  std::optional<Durability> durability = {};
  // Longest wait of one write, or of the commit, for memory or disk; then timed_out. 0: none waits.
  // Unset: as long as it takes.
  std::optional<std::chrono::nanoseconds> timeout = {};
  // Bytes of what it writes that are kept in memory, and half as much to find it; what is more goes
  // to disk until it commits, as does less when memory is short. 0: an eighth of the memory budget,
  // which is the most. Less: more files to write and merge.
  uint64_t write_memory_max = 0;
  // Of Database::transact(): after so many conflicts it gives up.
  uint32_t attempts_max = 1000;
};

struct Savepoint {
  uint64_t number = 0;
};

// Errors of every call: invalid_argument, once it has ended; once it lost, conflict, or io_error
// when its outcome is unknown: then roll it back and begin another. What else fails leaves it as it
// was, and the call can be repeated; but when there was no memory for a range that it had read, it
// can only be rolled back, as commit() says then.
class Transaction {
 public:
  // One that has ended.
  Transaction() = default;
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&& other) noexcept;  // rolls back what was there
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();  // rolls back

  // -- reads: as of the transaction's beginning, and its own writes. options.snapshot stays null --
  // As Database::get(), which both are like.
  Result<bool> get(std::string_view key, std::string* value, const ReadOptions& options = {});
  Result<std::optional<PinnedValue>> get(std::string_view key, const ReadOptions& options = {});
  // And a commit that writes anything succeeds only if nobody else writes the key meanwhile,
  // present or absent, at either level.
  Result<bool> get_for_update(std::string_view key, std::string* value,
                              const ReadOptions& options = {});
  Result<std::optional<PinnedValue>> get_for_update(std::string_view key,
                                                    const ReadOptions& options = {});
  // As Database::multi_get(), and faster than one get() after the other; values may be set where it
  // fails.
  Status multi_get(std::span<const std::string_view> keys,
                   std::span<std::optional<PinnedValue>> values, const ReadOptions& options = {});
  Status multi_get_for_update(std::span<const std::string_view> keys,
                              std::span<std::optional<PinnedValue>> values,
                              const ReadOptions& options = {});
  // Shows own writes as of its opening (or all of them: ScanOptions::live), with timestamp
  // kTimestampMax. Ends with the transaction: it then says invalid_argument, as it does when a
  // savepoint is rolled back to that is older than it. One that was cancelled counts, at level
  // serializable, as having read on to its bound.
  Result<Cursor> scan(const ScanOptions& options = {});

  // -- writes: seen by others once committed. Of `options`, the durability does not count --
  // As many as the disk holds twice: what went to disk is merged when it commits. Errors:
  // invalid_argument (sizes; read-only), timed_out, out_of_memory; and of what goes to disk:
  // no_space, busy (a fault of a file), read_only, not_found (a keyspace that it wrote to was
  // dropped).
  Status put(std::string_view key, std::string_view value, const WriteOptions& options = {});
  // Erasing an absent key is ok.
  Status erase(std::string_view key, const WriteOptions& options = {});

  // -- savepoints. Errors: invalid_argument: there is none of that number (any more) --
  Result<Savepoint> set_savepoint();
  // Undoes the writes that came after it, and forgets later savepoints. Reads still count.
  Status rollback_to(Savepoint savepoint);
  // Forgets it, and later ones; what was written stays.
  Status release(Savepoint savepoint);

  // -- end --
  // All or nothing. When it returns, the writes are as durable as asked, and visible. The commit
  // timestamp; of a transaction that wrote nothing, the timestamp that it read at. Errors: conflict
  // (names the key or range that somebody else wrote; nothing was written); as Database::write();
  // io_error: it has ended, and whether it is there is known after reopening. After other errors,
  // busy included, it is still open, without savepoints and cursors, and commit() can be repeated.
  Result<Timestamp> commit();
  // Nothing that it wrote is there. Ok also after a conflict.
  Status rollback();

  bool is_open() const { return impl_ != nullptr; }
  // What it reads at; kTimestampMin once it has ended.
  Timestamp snapshot_timestamp() const;

 private:
  friend class Database;
  friend class RowScanner;
  friend class CachedScan;
  // Differs after each change of what it wrote, its end included.
  uint64_t changes() const;
  // As multi_get(), without values that the caller holds.
  Status visit(std::span<const std::string_view> keys, const ReadOptions& options,
               class ValueVisitor* visitor);
  // What it reads is what its snapshot shows, and nobody need know of it: so far it wrote nothing.
  bool reads_as_snapshot() const;
  bool is_read_only() const;
  // commit() of Database::transact(): stays after a conflict, which it hears of before the winner
  // is durable.
  Result<Timestamp> commit_or_begin_again();
  explicit Transaction(class TransactionImpl* impl) : impl_(impl) {}
  void let_go();

  class TransactionImpl* impl_ = nullptr;
};

}  // namespace varve
