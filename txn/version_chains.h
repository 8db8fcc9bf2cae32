// The versions of each key of a history in order of their timestamps, and who wrote them.
//
// Besides what committed transactions wrote, a chain holds
//   * the state before the history: versions that were read, that no transaction of the history
//     wrote and that are older than all its commits;
//   * a read of timestamp 0 below all these: a collapsed version, which counts from the lowest
//     snapshot on that met it;
//   * what a transaction of unknown outcome wrote, once a version of it was read. Without a commit
//     timestamp of its own it takes that of the version, if it alone can have written it; if
//     several can have, the version has no writer. If all that was read of it had collapsed, nobody
//     knows when it committed: its versions have no writer either, and count from the lowest
//     snapshot on that met one.
//
// An erase of a key that is not there changes nothing that anybody could see. Such a version takes
// part in the conflict check, but is not `effective`: reads pass over it.
//
// Thread rule: const after construction. Keeps a reference to the history.

#pragma once

#include <cstdint>
#include <vector>

#include "txn/compact_history.h"

namespace varve {

struct ChainVersion {
  uint64_t timestamp;
  uint32_t key;
  uint32_t writer;  // position of the transaction; kNone: not of the history
  uint32_t value;   // kNone: not recorded
  bool erased;
  bool effective;
  bool collapsed;  // its timestamp is only an upper bound
};

// What a read or a row of a scan says about one key.
struct Observation {
  uint32_t key;
  bool found;
  uint64_t version;
  uint32_t value;     // kNone: not recorded
  uint64_t snapshot;  // of the reader
};

// A write of a transaction that did not commit, as far as is known.
struct UncommittedWrite {
  uint32_t key;
  uint32_t writer;
  uint32_t value;
  bool erased;
};

class VersionChains {
 public:
  explicit VersionChains(const CompactHistory& history);

  // Of the transaction at `position`; true also for one of unknown outcome that was read.
  bool committed(uint32_t position) const { return committed_[position]; }
  // Of one that committed writes.
  uint64_t commit(uint32_t position) const { return commits_[position]; }

  const std::vector<ChainVersion>& versions() const { return versions_; }
  uint32_t begin(uint32_t key) const { return begins_[key]; }
  uint32_t end(uint32_t key) const { return begins_[key + 1]; }

  // The newest effective version of `key` at or below `timestamp`; kNone: not there yet.
  uint32_t newest_at(uint32_t key, uint64_t timestamp) const;
  // The effective version before this one; kNone: none.
  uint32_t before(uint32_t version) const;
  // The version of exactly that timestamp, effective or not; kNone: none.
  uint32_t exact(uint32_t key, uint64_t timestamp) const;
  // The newest version below `timestamp`, effective or not; kNone: none.
  uint32_t newest_below(uint32_t key, uint64_t timestamp) const;
  // Among those whose timestamp is their own: that, and the one before `version`.
  uint32_t newest_dated_below(uint32_t key, uint64_t timestamp) const;
  uint32_t dated_before(uint32_t version) const;
  bool present(uint32_t version) const { return version != kNone && !versions_[version].erased; }

  // Which version the reader met. `known` is false if none of the chain can have been; `version`
  // kNone: the state before the first.
  struct Met {
    bool known = false;
    uint32_t version = kNone;
  };
  Met met(const Observation& observation) const;

  // Whether a transaction of unknown outcome, which nobody read, may have erased the key after
  // `newest` and at or below `snapshot`.
  bool may_be_erased(uint32_t key, uint32_t newest, uint64_t snapshot) const;
  // The write of an aborted transaction that this observation met; null: none.
  const UncommittedWrite* aborted_write(const Observation& observation) const;

 private:
  template <typename Visit>
  void for_each_observation(const Visit& visit) const;
  void add_writes_of(uint32_t position);
  void add_uncommitted_writes();
  bool resolve_unknown(const Observation& observation, bool by_time_alone);
  std::vector<Observation> unmatched() const;
  uint64_t first_commit() const;  // of what wrote
  void add_unwritten(const std::vector<Observation>& observations);
  void add_unmatched();
  void add_collapsed();
  void add_collapsed_unknown();
  std::vector<Observation> unexplained_collapsed() const;
  struct Author {
    bool exists = false;
    uint32_t writer = kNone;
  };
  Author author_of(const Observation& observation) const;
  void place_whole(uint32_t position, const std::vector<Observation>& met);
  void order();
  void settle_ties();
  void mark_effective();
  std::pair<const UncommittedWrite*, const UncommittedWrite*> uncommitted(uint32_t key) const;

  const CompactHistory& history_;
  std::vector<bool> committed_;
  std::vector<uint64_t> commits_;
  std::vector<ChainVersion> versions_;         // by (key, timestamp)
  std::vector<uint32_t> begins_;               // by key
  std::vector<uint32_t> effective_;            // newest effective at or before each; kNone: none
  std::vector<UncommittedWrite> uncommitted_;  // by key
  std::vector<uint32_t> last_writer_;  // by key: position + 1 of who was last seen to write it
};

// Calls visit(observation, position of the reader) for each read and row that is not the reader's
// own write.
template <typename Visit>
void VersionChains::for_each_observation(const Visit& visit) const {
  const auto& transactions = history_.transactions();
  for (uint32_t position = 0; position < transactions.size(); ++position) {
    const CompactTransaction& transaction = transactions[position];
    for (const CompactOperation& operation : history_.operations(transaction)) {
      if (operation.kind == OperationRecord::Kind::read && !operation.own) {
        visit(Observation{.key = operation.key,
                          .found = operation.found,
                          .version = operation.version,
                          .value = operation.value,
                          .snapshot = transaction.snapshot},
              position);
      } else if (operation.kind == OperationRecord::Kind::scan) {
        for (const CompactRow& row : history_.rows(history_.scan(operation))) {
          if (row.own) continue;
          visit(Observation{.key = row.key,
                            .found = true,
                            .version = row.version,
                            .value = row.value,
                            .snapshot = transaction.snapshot},
                position);
        }
      }
    }
  }
}

}  // namespace varve
