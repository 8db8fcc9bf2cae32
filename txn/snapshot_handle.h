// What is behind a Snapshot.

#pragma once

#include <vector>

#include "lsm/store.h"
#include "memory/object_pool.h"
#include "varve/snapshot.h"

namespace varve {

struct SnapshotHandle : PoolLink {
  SnapshotHandle(Store* owner, ObjectPool<SnapshotHandle>* home) : store(owner), pool(home) {}
  Store* const store;
  ObjectPool<SnapshotHandle>* const pool;
  SnapshotEntry entry;
  // Keyspaces whose history had already been forgotten at its time when it was taken.
  std::vector<Keyspace> forgotten;
};

// Null: it holds nothing.
inline const SnapshotHandle* snapshot_handle(const Snapshot& snapshot) {
  return static_cast<const SnapshotHandle*>(snapshot.impl_);
}

// invalid_argument: the snapshot holds nothing, or lies below the keyspace's history.
Status readable_through(const Snapshot& snapshot, const Tree* tree);

}  // namespace varve
