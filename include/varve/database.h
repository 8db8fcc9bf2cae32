// The database: opens a directory, writes, reads, scans, looks inside.
//
// Thread rule: every function from any thread at once, except that beside close() only writes (put,
// erase, write, and those of a WriteBatcher) may be in progress, and beside destruction nothing.
// Objects handed out (cursors, snapshots, transactions, pinned values), and batches and batchers
// made for it, must be gone before destruction.
// Errors: every call may return `closed` after close(), and writes `read_only` after a failed sync
// of log or manifest: what is on disk is then unknown until the database is opened again.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "varve/cursor.h"
#include "varve/options.h"
#include "varve/pinned_value.h"
#include "varve/snapshot.h"
#include "varve/statistics.h"
#include "varve/status.h"
#include "varve/transaction.h"
#include "varve/types.h"
#include "varve/write_batch.h"

namespace varve {

struct KeyspaceInfo {
  Keyspace keyspace = {};
  std::string name = {};
  KeyspaceOptions options = {};
};

// One version of a key's history.
struct HistoryEntry {
  Timestamp timestamp = {};  // kTimestampMin: `at_or_before` is all that is still known
  Timestamp at_or_before = {};
  bool erased = false;
  std::string value = {};
};

struct VerifyReport {
  uint64_t files = 0;        // sstables, log segments and the manifest
  uint64_t blocks = 0;       // of sstables
  uint64_t entries = 0;      // versions in sstables
  uint64_t log_commits = 0;  // in the log
  uint64_t bytes = 0;        // read
};

class Database {
 public:
  // Opens or creates the database in `directory`. Recovers what every acknowledged commit was
  // promised. Errors: not_found (missing, and not to be created), already_exists, busy (another
  // owner), not_supported (newer format), corruption, io_error,invalid_argument (options, or a
  // directory with foreign files), out_of_memory (others hold too much of a shared budget). A
  // failed open changes nothing that was committed.
  static Result<std::unique_ptr<Database>> open(const Options& options,
                                                const std::string& directory);
  // close() without a deadline, errors logged.
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Stops background work, waits for cursors, snapshots, transactions and pinned values until
  // `deadline` (busy if some are left: the database stays usable), makes the log durable and marks
  // it complete. Writes that are in progress, or wait, are done before or answer `closed`.
  Status close(std::optional<std::chrono::nanoseconds> deadline = std::nullopt);

  // -- writes: each is a commit. Acknowledged means as durable as asked, and visible. --
  Status put(std::string_view key, std::string_view value, const WriteOptions& options = {});
  // Erasing an absent key is ok.
  Status erase(std::string_view key, const WriteOptions& options = {});
  // Commits `batch` whole; it stays as it was. `committed`, if given, receives the timestamp.
  // Errors: not_found (a keyspace that is unknown or dropped: nothing is committed), timed_out,
  // cancelled, no_space, read_only, invalid_argument (the batch takes more than an eighth of the
  // memory budget or 256 MiB, and a key; or, of many small changes, would take about half of
  // the budget in memory; or a value is too large, see kValueSizeMax); busy: background work that
  // it would wait for meets a fault, see health(); io_error: whether it is there is known after
  // reopening.
  Status write(WriteBatch& batch, const WriteOptions& options = {}, Timestamp* committed = nullptr);

  // -- transactions --
  // Errors: out_of_memory.
  Result<Transaction> begin(const TransactionOptions& options = {});
  // Calls `body(Transaction&)`, which returns a Status, and commits; again from the start, if need
  // be after a pause, whenever another transaction got in the way. The commit timestamp. Errors:
  // what `body` returned, other than conflict; as Transaction::commit(); conflict after
  // TransactionOptions::attempts_max of them.
  // From its second call on, `body` may see what a commit with durability `sync` wrote that is
  // still on its way to the disk. transact() returns, whatever `body` says, once that is there (an
  // exception does not wait), or read_only if it will not be; so what is read is to be told to
  // others afterwards.
  template <typename Body>
  Result<Timestamp> transact(Body&& body, const TransactionOptions& options = {}) {
    Result<Transaction> transaction = begin(options);
    if (!transaction.ok()) return std::move(transaction).status();
    for (uint32_t attempt = 1;; ++attempt) {
      const Timestamp read_at = transaction->snapshot_timestamp();
      Status status = body(*transaction);
      if (status.ok()) {
        Result<Timestamp> committed = attempt < options.attempts_max
                                          ? transaction->commit_or_begin_again()
                                          : transaction->commit();
        if (committed.ok()) return committed;
        status = std::move(committed).status();
      }
      if (status.code() != StatusCode::conflict || attempt >= options.attempts_max) {
        return tell(std::move(status), read_at);
      }
      status = begin_again(&*transaction, options, attempt);
      if (!status.ok()) return tell(std::move(status), read_at);
    }
  }

  // -- reads --
  // Copies the value into `*value` (allocates only when its capacity is too small). False: absent.
  Result<bool> get(std::string_view key, std::string* value, const ReadOptions& options = {});
  // Without a copy; nullopt: absent.
  Result<std::optional<PinnedValue>> get(std::string_view key, const ReadOptions& options = {});
  // values[i] answers keys[i], all as of one snapshot. Errors: the first one met.
  Status multi_get(std::span<const std::string_view> keys,
                   std::span<std::optional<PinnedValue>> values, const ReadOptions& options = {});
  Result<Cursor> scan(const ScanOptions& options = {});

  // -- time --
  // As of now.
  Result<Snapshot> snapshot();
  // As of `time`: repeatable. Errors: invalid_argument (in the future; or below the watermark,
  // which it names: that history is gone).
  Result<Snapshot> snapshot_at(Timestamp time);
  // All versions still kept of `key`, newest first, at most `limit`.
  Result<std::vector<HistoryEntry>> history(std::string_view key, size_t limit = SIZE_MAX,
                                            Keyspace keyspace = kDefaultKeyspace);

  // -- keyspaces --
  // Errors: already_exists, invalid_argument (name: 1 to 255 bytes).
  Result<Keyspace> create_keyspace(std::string_view name, const KeyspaceOptions& options = {});
  // Its data is gone at once for new readers, its files soon. Errors: not_found, invalid_argument
  // (the default keyspace).
  Status drop_keyspace(Keyspace keyspace);
  // not_found.
  Result<Keyspace> find_keyspace(std::string_view name);
  std::vector<KeyspaceInfo> keyspaces();

  // -- upkeep --
  // Writes the memtables of all keyspaces to sstables and waits for it.
  Status flush();
  // Flushes, merges each keyspace into one run, and waits for it.
  Status compact();
  // Waits until no flush or compaction is due.
  Status wait_for_background();
  // Reads every file in use, log and manifest included, and checks every checksum and every order.
  Result<VerifyReport> verify();

  Statistics statistics();
  // Whether writes go on, and what keeps them. Cheap: a monitor may call it every second.
  Health health();
  MemoryReport memory_report();
  const std::string& directory() const;

 private:
  friend class WriteBatch;
  friend class WriteBatcher;
  friend class Tables;
  friend class RowScanner;
  // As multi_get(), without values that the caller holds.
  Status visit(std::span<const std::string_view> keys, const ReadOptions& options,
               class ValueVisitor* visitor);
  explicit Database(std::unique_ptr<class DatabaseImpl> impl);
  // Of transact().
  Status begin_again(Transaction* transaction, const TransactionOptions& options, uint32_t attempt);
  void pause_after_conflict(uint32_t attempt);
  Result<Transaction> begin(const TransactionOptions& options, bool at_applied);
  // Once what was read at `read_at` is as durable as was asked for.
  Status tell(Status status, Timestamp read_at);
  std::unique_ptr<class DatabaseImpl> impl_;
};

}  // namespace varve
