// Whether a transaction may commit: nothing that it wrote, or read and relies on, was written by a
// commit between its start and its own (first committer wins; and for what it read, serializable).
//
// Both halves of the check (txn/conflict_table.h), and what they come to:
//   check_published()  on the transaction's own thread, outside the queue; may read from disk
//   check_recent()     by the leader, in commit order; touches memory only
// Where the second cannot answer, because so much was committed in between, the first is made
// again; after kAttemptsMax such times the leader makes it in the queue, where nothing can come in
// between. So history that was trimmed never makes a transaction fail (protocol 3).
//
// Source of the rule that reads are validated at commit, in commit order: H. T. Kung, J. T.
// Robinson, On optimistic methods for concurrency control, TODS 6(2), 1981.
//
// Thread rule: stated for each function.

#pragma once

#include <cstdint>
#include <string_view>

#include "txn/conflict_table.h"
#include "txn/read_set.h"
#include "txn/version_reader.h"

namespace varve {

struct CommitCheck {
  static constexpr uint32_t kAttemptsMax = 3;

  Timestamp start;                 // of its snapshot, which is registered
  const ReadSet* reads = nullptr;  // null: none matter
  // How far it was checked outside the queue.
  uint64_t position = 0;
  Timestamp through = {};
  uint32_t attempts = 0;
  bool in_queue() const { return attempts > kAttemptsMax; }

  enum class Verdict : uint8_t { clear, conflict, again };
  Verdict verdict = Verdict::clear;
  // What was written by others: a key, or something within a range. Views of batch or reads.
  ReadSet::Range conflict = {};
  bool is_range = false;
};

class CommitChecker {
 public:
  CommitChecker(Store* store, ConflictTable* table)
      : store_(store), table_(table), reader_(store) {}

  // The transaction's thread; or the leader, when no commit is in progress. Sets the verdict:
  // clear or conflict. Errors: of reading; the verdict is not set then.
  Status check_published(std::string_view batch, CommitCheck* check) const;
  // The leader.
  void check_recent(std::string_view batch, CommitCheck* check) const;

 private:
  Result<bool> changed(const ReadSet::Key& key, CommitCheck* check) const;
  Result<bool> changed(const ReadSet::Range& range, CommitCheck* check) const;
  bool wrote(const ReadSet::Key& key, CommitCheck* check) const;

  Store* const store_;
  ConflictTable* const table_;
  const VersionReader reader_;
};

}  // namespace varve
