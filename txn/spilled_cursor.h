// Finds a transaction's spilled writes in order, as of one place, for its cursors.
//
//   runs -> RunCursor -> LiveVersions -> MergeCursor -> VisibleCursor, tombstones shown
//
// It stays where it is between two questions of one walk, so a step costs no seek. When runs were
// spilled, merged or undone meanwhile it begins anew.
//
// Thread rule: the transaction's thread. Holds references on the files that it walks.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lsm/merge_cursor.h"
#include "lsm/run_cursor.h"
#include "lsm/visible_cursor.h"
#include "txn/ordered_writes.h"
#include "txn/spilled_writes.h"

namespace varve {

class SpilledCursor {
 public:
  // `cancelled` may be null.
  SpilledCursor(MemoryManager* manager, const SpilledWrites* writes, Keyspace keyspace,
                uint64_t place, const Atomic<bool>* cancelled)
      : manager_(manager),
        writes_(writes),
        keyspace_(keyspace),
        place_(place),
        cancelled_(cancelled),
        visible_(manager) {}
  ~SpilledCursor() { let_go(); }
  SpilledCursor(const SpilledCursor&) = delete;
  SpilledCursor& operator=(const SpilledCursor&) = delete;

  // A walk begins: the next question may be about any key.
  void restart() { positioned_ = false; }
  // What OrderedWrites::nearest() says of entries in memory; the query's place is not looked at.
  // Keys of one walk do not go back. The entry is valid until the next call. Errors: of reading;
  // out_of_memory; cancelled.
  Result<bool> nearest(const OrderedWrites::Query& query, BatchEntry* entry);

 private:
  void build();
  void let_go();
  void seek(const OrderedWrites::Query& query);

  MemoryManager* const manager_;
  const SpilledWrites* const writes_;
  const Keyspace keyspace_;
  const uint64_t place_;
  const Atomic<bool>* const cancelled_;
  uint64_t generation_ = 0;  // 0: nothing is built
  bool positioned_ = false;
  bool backward_ = false;
  std::vector<std::vector<Sstable*>> files_;
  std::vector<std::unique_ptr<RunCursor>> cursors_;
  std::vector<std::unique_ptr<LiveVersions>> live_;
  MergeCursor merge_;
  VisibleCursor visible_;
};

}  // namespace varve
