// A registered point in commit order: reads through it see exactly the commits at or below it.

#pragma once

#include "varve/types.h"

namespace varve {

struct SnapshotHandle;

// Thread rule: may be used for reading by any number of threads at once; moved and destroyed by
// one. Must be released before its database is closed; close() waits for that until its deadline.
// While it lives, the versions that it sees are kept; it keeps no file and no memtable.
class Snapshot {
 public:
  Snapshot() = default;
  Snapshot(Snapshot&& other) noexcept;
  Snapshot& operator=(Snapshot&& other) noexcept;
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  ~Snapshot() { release(); }

  // The newest commit that it sees.
  Timestamp timestamp() const { return timestamp_; }
  bool held() const { return impl_ != nullptr; }
  void release();

 private:
  friend class Database;
  friend const SnapshotHandle* snapshot_handle(const Snapshot& snapshot);
  Timestamp timestamp_;
  void* impl_ = nullptr;  // a SnapshotHandle
};

}  // namespace varve
