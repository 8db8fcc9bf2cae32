// What transactions did, as a program recorded it, and the check that isolation was kept.
//
//   HistoryRecorder recorder;
//   ... each thread hands in its finished transactions: recorder.record(std::move(transaction));
//   const Verdict verdict = verify_history(recorder.take());
//
// A history holds operations with the timestamps of the versions that they met, snapshots and
// commit timestamps, so nothing has to be guessed: the check is complete and takes time in
// proportion to the history (see verify_history for scans). docs/histories.md describes the two
// text forms and what each anomaly means.
//
// Memory comes from the C++ heap, not from a database's budget.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "varve/status.h"
#include "varve/types.h"

namespace varve {

enum class RecordedIsolation : uint8_t { snapshot, serializable };

// Unknown: the call to commit gave no answer, or one that leaves it open (an I/O error).
enum class RecordedOutcome : uint8_t { committed, aborted, unknown };

// A row that a scan returned.
struct ScannedRow {
  std::string key;
  Timestamp version;  // as in OperationRecord; not set if `own`
  bool own = false;
  std::optional<std::string> value;
};

// What a scan was asked for, and what it returned. It covers the keys from `lower` (included) to
// `upper` (excluded), empty for unbounded; if it ended early, only those up to the last key that it
// looked at: covered are then [lower, ended_at], or [ended_at, upper) in reverse.
struct ScanRecord {
  std::string lower;
  std::string upper;
  bool reverse = false;
  // With as many rows as `limit`, which is not 0, the scan ended at the last of them.
  std::optional<uint64_t> limit;
  std::optional<std::string> ended_at;
  std::vector<ScannedRow> rows;  // in the order in which they came
};

// One operation. The functions make the usual ones.
struct OperationRecord {
  enum class Kind : uint8_t { read, write, erase, scan };

  Kind kind = Kind::read;
  Keyspace keyspace;
  std::string key;  // of a scan: empty
  // Of a read: what it met. `own`: the transaction's own write, which has no timestamp yet.
  // `version` kTimestampMin: older than what history records (timestamps of old versions collapse).
  bool found = false;
  bool own = false;
  Timestamp version;
  // Of a read: nobody else may write the key until this transaction commits, if it writes anything
  // (Transaction::get_for_update()).
  bool for_update = false;
  // What was written or, where recorded, read. Without values some anomalies cannot be seen or are
  // named less exactly: intermediate reads, and reads whose version's timestamp has collapsed.
  std::optional<std::string> value;
  ScanRecord scan;

  static OperationRecord read(std::string key, Timestamp version,
                              std::optional<std::string> value = std::nullopt);
  static OperationRecord read_absent(std::string key);
  static OperationRecord read_own(std::string key, std::optional<std::string> value);
  static OperationRecord write(std::string key, std::string value);
  static OperationRecord erase(std::string key);
  static OperationRecord scanned(ScanRecord scan);
};

// A finished transaction. What was rolled back to a savepoint is not in it: neither writes, nor
// reads that met them. A cursor shows own writes as of its opening, so its scan stands where it was
// opened.
struct TransactionRecord {
  uint64_t id = 0;       // of the history's choosing; distinct
  uint64_t session = 0;  // the client or thread, which runs one transaction at a time
  RecordedIsolation isolation = RecordedIsolation::snapshot;
  RecordedOutcome outcome = RecordedOutcome::committed;
  // Real time, monotonic nanoseconds: when begin was called and when the end was acknowledged. Both
  // 0: not known, or reading the past on purpose; real time is then not checked.
  uint64_t begin_nanos = 0;
  uint64_t end_nanos = 0;
  // None for a batch, or a put, that was written without a transaction: it holds writes and erases
  // only, and is not serializable.
  std::optional<Timestamp> snapshot;
  // Of a committed transaction that wrote. Of others: where known; what only read is placed at its
  // snapshot all the same.
  std::optional<Timestamp> commit;
  std::vector<OperationRecord> operations;  // in program order
};

// Transactions in a compact form: keys and values once each, operations in flat arrays (about 24
// bytes each). Thread rule: const functions by any number of threads, others by one alone.
class History {
 public:
  History();
  History(History&& other) noexcept;
  History& operator=(History&& other) noexcept;
  History(const History&) = delete;
  History& operator=(const History&) = delete;
  ~History();

  // Errors: invalid_argument, saying what does not fit; nothing is then added. Checked is what one
  // record alone can show: an id that is new, a snapshot where something was read, a commit
  // timestamp of what committed writes, keys that are not empty, times in order, rows within the
  // limit. What a database may have done wrong is no error here, but found by verify_history.
  Status add(const TransactionRecord& transaction);

  size_t size() const;
  // The `position`-th that was added; its limits as `ended_at`.
  TransactionRecord transaction(size_t position) const;

 private:
  friend const class CompactHistory& compact_history(const History& history);
  std::unique_ptr<class CompactHistory> compact_;
};

// Takes finished transactions from many threads. Thread rule: record() by any thread at any time;
// it holds a lock, one of several chosen by session, for as long as moving the record takes.
class HistoryRecorder {
 public:
  HistoryRecorder();
  HistoryRecorder(const HistoryRecorder&) = delete;
  HistoryRecorder& operator=(const HistoryRecorder&) = delete;
  ~HistoryRecorder();

  void record(TransactionRecord transaction);
  // All records so far, in order of their ids; the recorder is empty afterwards. Errors: those of
  // History::add; the records are then lost.
  Result<History> take();

 private:
  struct Shard;
  std::unique_ptr<Shard[]> shards_;
};

// Writes the history to `sink`, in pieces of some 64 KiB. Errors: the first that `sink` returns.
using HistorySink = std::function<Status(std::string_view text)>;
// JSON lines, a transaction a line, in the order in which they were added.
Status write_history_json(const History& history, const HistorySink& sink);
// The operation maps of a Jepsen history, in order of time: an invocation and a completion each.
Status write_history_edn(const History& history, const HistorySink& sink);

// Named after Adya (Weak Consistency, 1999) and Elle (Kingsbury and Alvaro, VLDB 2020) where they
// have a name for it. Numbers are part of the interface; new ones are added at the end.
enum class AnomalyKind : uint8_t {
  dirty_write = 0,                // G0: a cycle of overwriting alone
  aborted_read = 1,               // G1a: read what an aborted transaction wrote
  intermediate_read = 2,          // G1b: read a write that its own transaction wrote over
  circular_information_flow = 3,  // G1c: a cycle of overwriting and reading
  read_skew = 4,                  // G-single: a cycle with one anti-dependency
  non_repeatable_read = 5,        // one key read twice, two versions
  stale_read = 6,                 // an older version than the newest at its snapshot
  future_read = 7,                // a version that is newer than its snapshot
  unwritten_read = 8,             // a version that nobody wrote
  own_write_missed = 9,           // did not see its own write, or one that it did not make
  missing_phantom = 10,           // a key that a scan should have returned
  extra_phantom = 11,             // a key that it should not have
  scan_disorder = 12,             // rows out of order, twice, or outside of the bounds
  lost_update = 13,           // wrote over a version that it had not seen, of a key that it read
  missed_conflict = 14,       // the same of a key that it did not read, or read for update
  write_skew = 15,            // G2-item: a cycle with adjacent anti-dependencies, all by key
  predicate_write_skew = 16,  // G2: the same with an anti-dependency by range
  read_only_anomaly = 17,     // a cycle that only a read-only transaction closes
  long_fork = 18,             // a cycle with several anti-dependencies, none adjacent (PSI)
  real_time_violation = 19,   // did not see what was acknowledged before it began
  duplicate_timestamp = 20,   // two commits with one timestamp
  timestamp_order = 21,       // a commit not after its own snapshot
  outdated_read = 22,         // committed writes though what it read had changed
};
inline constexpr size_t kAnomalyKinds = 23;

// Such as "write skew (G2-item)".
std::string_view anomaly_name(AnomalyKind kind);

struct Anomaly {
  AnomalyKind kind;
  std::string explanation;             // a paragraph
  std::vector<uint64_t> transactions;  // ids; with a cycle, in its order
  // A line for each edge, such as "T1 -rw-> T2: T1 read key x before the version of T2"; the last
  // one leads back to the first transaction. Empty: no cycle was needed to see it.
  std::vector<std::string> cycle;
};

struct HistoryFigures {
  uint64_t transactions = 0;
  uint64_t committed = 0;  // with those of unknown outcome that somebody read
  uint64_t aborted = 0;
  uint64_t unknown = 0;  // that nobody read
  uint64_t reads = 0;
  uint64_t writes = 0;  // and erases
  uint64_t scans = 0;
  uint64_t rows = 0;  // of scans
  uint64_t keys = 0;
  uint64_t versions = 0;
  uint64_t edges = 0;  // of the dependency graph, where a cycle could be
};

using AnomalyCounts = std::array<uint64_t, kAnomalyKinds>;

struct Verdict {
  // No promise was broken.
  bool ok() const { return violation_counts == AnomalyCounts{}; }
  uint64_t count(AnomalyKind kind) const { return violation_counts[static_cast<size_t>(kind)]; }
  uint64_t allowed(AnomalyKind kind) const { return allowed_counts[static_cast<size_t>(kind)]; }

  std::vector<Anomaly> violations;  // the first ones of each kind; the counts are of all
  AnomalyCounts violation_counts{};
  // Cycles that snapshot isolation allows and that a transaction at that level takes part in.
  // write_skew and predicate_write_skew count pairs of transactions, each of which wrote over what
  // the other one read; a strongly connected component without such a pair counts once, as what its
  // shortest cycle is.
  std::vector<Anomaly> allowed_examples;  // at most one of each kind
  AnomalyCounts allowed_counts{};
  HistoryFigures figures;
};

struct VerifyHistoryOptions {
  size_t described_max = 10;  // violations of each kind that are described, not only counted
  // Holds serializable transactions that write to more than serializability: nothing that one read,
  // a key or all of a range, may have changed between its snapshot and its commit, whoever changed
  // it. varve promises this (docs/transactions.md); a history of another system may well be
  // serializable without.
  bool outdated_reads = false;
};

// Checks that
//  1. every read and scan, of committed, aborted and unknown transactions, met for each key the
//     newest version at or below the snapshot, or the transaction's own last write;
//  2. the first committer wins: no version of a key that a transaction wrote, or read for update,
//     lies between its snapshot and its commit;
//  3. the dependency graph of ww, wr and rw edges has no cycle among serializable transactions,
//     and none that snapshot isolation forbids: each has two adjacent rw edges (Cerone and Gotsman,
//     Analysing Snapshot Isolation, PODC 2016);
//  4. if asked for, that what a serializable transaction read is as it was when it commits writes;
//  5. a transaction sees what was acknowledged, or seen by one that ended, before it began; commit
//     timestamps are distinct, and later than their transactions' snapshots.
// Versions that no transaction of the history wrote make up the state before it, if they are older
// than each of its commits. A transaction of unknown outcome counts as committed if a version of it
// was read. docs/histories.md has both rules in full.
//
// Cost: n log n in operations and rows, plus, for each scan, the keys of the history in its range,
// those included that it did not return. A million transactions of six operations: about half a
// GiB. Thread rule: may run beside others on one history.
Verdict verify_history(const History& history, const VerifyHistoryOptions& options = {});

}  // namespace varve
