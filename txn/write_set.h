// What a transaction wrote: a write batch, whose bytes become the log record, with savepoints, and
// an order over it so that the transaction's own scans see it. Beyond the transaction's share of
// memory the batch is spilled to disk, and begins anew (txn/spilled_writes.h).
//
// A place in the set is how many bytes were written: the batch's, and those spilled before it. What
// was written before a place stays readable as of it, also what was overwritten since, until it is
// undone. So a cursor that was opened at a place goes on seeing what it saw (protocol 24).
//
// Thread rule: one thread at a time. Memory: keeps it between uses, up to kKeptBytesMax.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "lsm/batch_format.h"
#include "memory/buffer.h"
#include "txn/ordered_writes.h"
#include "txn/spilled_writes.h"
#include "txn/write_batch_internal.h"
#include "varve/write_batch.h"

namespace varve {

class WriteSet {
 public:
  WriteSet(BatchMemory* memory, Store* store)
      : batch_(memory),
        ordered_(memory->manager),
        folded_(memory->manager, MemoryRole::batch),
        spilled_(store) {}

  // Errors: as WriteBatch; the set is unchanged then.
  Status append(VersionKind kind, Keyspace keyspace, std::string_view key, std::string_view value);
  // The newest change of `key`. Its views are valid until the next change, and while `spilled`,
  // which it may lie in, is there. Errors: of reading what was spilled.
  Result<bool> find(Keyspace keyspace, std::string_view key, BatchEntry* entry,
                    FoundVersion* spilled) const;

  // Of the batch.
  uint32_t count() const { return batch_.count(); }
  size_t batch_bytes() const { return batch_.size_; }
  uint64_t batch_entries() const { return batch_.entries_; }
  size_t index_bytes() const { return batch_.held_bytes() - batch_.capacity_; }
  // Of the batch, without what it says of `key`.
  size_t size_bytes_without(Keyspace keyspace, std::string_view key) const;
  // Whether anything was written that commits; of what was spilled, perhaps.
  bool empty() const { return batch_.count() == 0 && spilled_.empty(); }
  // The batch, without what was overwritten. Savepoints are forgotten; no cursor is open.
  std::string_view encode();
  void clear();

  // -- what is more than memory may hold --
  // Writes the batch to disk and gives its memory back. `cursors`: places that open cursors read as
  // of. Errors: as SpilledWrites; the set is as it was, or the batch was spilled all the same.
  Status spill(std::span<const uint64_t> cursors);
  bool has_spilled() const { return !spilled_.empty(); }
  // Spills the batch, and makes what was spilled ready to commit. Savepoints are forgotten; no
  // cursor is open. Errors: as spill().
  Status finish();
  SpilledWrites& spilled() { return spilled_; }

  // Overwritten entries are cleared away when they are more than this, and than half.
  static constexpr uint64_t kWastedBytesMin = 64 << 10;

  // -- savepoints: numbered from 1, never again within a transaction --
  uint64_t set_savepoint();
  // Undoes what came after it; it stays. The place that it stands for; nothing: there is none of
  // that number.
  std::optional<uint64_t> rollback_to(uint64_t savepoint);
  // Forgets it and those after it. False: there is none of that number.
  bool release(uint64_t savepoint);

  // -- order --
  uint64_t place() const { return base_ + batch_.size_; }
  // Of the batch; `place` of the query is one of the set. False: there is none. Errors:
  // out_of_memory.
  using Query = OrderedWrites::Query;
  Result<bool> nearest(const Query& query, BatchEntry* entry);
  // While cursors read it, what was overwritten stays where it is.
  void cursor_opened() { ++cursors_; }
  void cursor_closed() { --cursors_; }

 private:
  struct Savepoint {
    uint64_t number;
    uint64_t place;
  };
  // An entry that another one folded away; both in the batch.
  struct Folded {
    uint64_t by;
    uint64_t what;
  };

  void compact_if_wasteful();
  bool nearest_unordered(const Query& query, BatchEntry* entry) const;
  std::vector<Timestamp> readers(std::span<const uint64_t> cursors) const;
  void empty_batch();

  // Up to so many entries an order costs more than it saves.
  static constexpr uint32_t kUnorderedMax = 32;
  static constexpr size_t kKeptBytesMax = 64 << 10;

  WriteBatch batch_;
  OrderedWrites ordered_;  // of entries up to its own place
  Buffer folded_;          // of Folded, in order of `by`; kept while there are savepoints
  std::vector<Savepoint> savepoints_;
  uint64_t next_savepoint_ = 1;
  uint32_t cursors_ = 0;
  SpilledWrites spilled_;
  uint64_t base_ = 0;  // place at which the batch begins
};

}  // namespace varve
