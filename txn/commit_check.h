// Whether a transaction may commit: nothing that it wrote, or read and relies on, was written by a
// commit between its start and its own (first committer wins; and for what it read, serializable).
//
// Both halves of the check (txn/conflict_table.h), and what they come to:
//   check_published()  on the transaction's own thread, outside the queue; may read from disk
//   check_recent()     by the leader, in commit order; touches memory only
// Where the second cannot answer, or not soon, because so much was committed in between, the first
// is made again, for what came since; after kAttemptsMax such times the leader makes it in the
// queue, where nothing can come in between. So history that was trimmed never makes a transaction
// fail (protocol 3).
//
// What a transaction spilled is not in its batch: the first half walks through its files, or, where
// that is less, through what was committed since its last check and looks that up in them; the
// second looks up in them what was committed since, which may read from disk too, but seldom more
// than filters.
//
// Source of the rule that reads are validated at commit, in commit order: H. T. Kung, J. T.
// Robinson, On optimistic methods for concurrency control, TODS 6(2), 1981.
//
// Thread rule: stated for each function.

#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "txn/conflict_table.h"
#include "txn/read_set.h"
#include "txn/transaction_counters.h"
#include "txn/version_reader.h"

namespace varve {

struct CommitCheck {
  static constexpr uint32_t kAttemptsMax = 3;

  Timestamp start;                 // of its snapshot, which is registered as a checked one
  const ReadSet* reads = nullptr;  // null: none matter
  std::span<const Store::SpilledRun> spilled = {};  // what it wrote, beside the batch
  // Who lost is told at once, and not when the group is durable that it lost in: it begins again
  // from what is applied. (From what is published it would lose against the same commit again.)
  bool begins_again = false;
  // What was published up to here has been checked, and is clear.
  Timestamp clear_through = {};
  // How far the latest check outside the queue went.
  uint64_t position = 0;
  Timestamp through = {};
  uint32_t attempts = 0;
  bool in_queue() const { return attempts > kAttemptsMax; }

  // Versions above it are news.
  Timestamp since() const { return std::max(start, clear_through); }

  enum class Verdict : uint8_t { clear, conflict, again };
  Verdict verdict = Verdict::clear;
  // What was written by others: a key that the transaction wrote, or read, or something within a
  // range. Views of batch, reads, or spilled_key.
  enum class Cause : uint8_t { write, read, range };
  ReadSet::Range conflict = {};
  std::string spilled_key = {};
  Cause cause = Cause::write;
};

class CommitChecker {
 public:
  CommitChecker(Store* store, ConflictTable* table, TransactionCounters* counters)
      : store_(store), table_(table), counters_(counters), reader_(store) {}

  // The transaction's thread; or the leader, when no commit is in progress. What is published, but
  // not before the transaction began, which may have been ahead of that. Sets the verdict:
  // clear or conflict. Errors: of reading, io_error as busy (of a commit, io_error would leave open
  // whether it is there); the verdict is not set then.
  Status check_published(std::string_view batch, CommitCheck* check) const;
  // The leader.
  void check_recent(std::string_view batch, CommitCheck* check) const;
  // The leader, no commit being in progress: check_recent(), for what was spilled too. Errors: as
  // check_published().
  Status check_recent_spilled(CommitCheck* check) const;

 private:
  // The leader gives up after so many steps: others wait.
  static constexpr uint64_t kStepsMax = 1'000'000;

  Status look_up(std::string_view batch, CommitCheck* check) const;
  // By keys of what was spilled, or by keys of what others committed since, whichever is less.
  Status look_up_spilled(CommitCheck* check) const;
  static uint64_t bytes_of(const Store::SpilledRun& run);
  static uint64_t bytes_since(const ReadView& view, const CommitCheck& check);
  Result<bool> changed_by_others(const Store::SpilledRun& run, CommitCheck* check) const;
  Result<bool> others_changed(const Store::SpilledRun& run, const ReadView& view,
                              CommitCheck* check) const;
  Result<bool> shows_spilled(VersionCursor* others, const Store::SpilledRun& run,
                             CommitCheck* check) const;
  Result<bool> wrote(const Store::SpilledRun& run, const ConflictTable::Recorded& key) const;
  // `cause`: why it matters.
  Result<bool> changed(const ReadSet::Key& key, CommitCheck::Cause cause, CommitCheck* check) const;
  Result<bool> changed(const ReadSet::Range& range, CommitCheck* check) const;
  // True: the verdict is there. `steps`: those taken so far.
  bool decide_key(const ReadSet::Key& key, CommitCheck::Cause cause, uint64_t* steps,
                  CommitCheck* check) const;
  bool decide_ranges(uint64_t* steps, CommitCheck* check) const;

  Store* const store_;
  ConflictTable* const table_;
  TransactionCounters* const counters_;
  const VersionReader reader_;
};

}  // namespace varve
