#include "varve/snapshot.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "base/time_text.h"
#include "txn/snapshot_handle.h"

namespace varve {

Snapshot::Snapshot(Snapshot&& other) noexcept { *this = std::move(other); }

Snapshot& Snapshot::operator=(Snapshot&& other) noexcept {
  if (this != &other) {
    release();
    timestamp_ = other.timestamp_;
    impl_ = std::exchange(other.impl_, nullptr);
  }
  return *this;
}

void Snapshot::release() {
  if (impl_ == nullptr) return;
  auto* handle = static_cast<SnapshotHandle*>(std::exchange(impl_, nullptr));
  handle->store->snapshots().release(&handle->entry);
  handle->forgotten.clear();
  handle->pool->release(handle);
}

Status readable_through(const Snapshot& snapshot, const Tree* tree) {
  const SnapshotHandle* handle = snapshot_handle(snapshot);
  if (handle == nullptr) return Status::invalid_argument("the snapshot was released");
  if (handle->forgotten.empty() || std::find(handle->forgotten.begin(), handle->forgotten.end(),
                                             tree->keyspace) == handle->forgotten.end()) {
    return Status();
  }
  return Status::invalid_argument("keyspace " + readable(tree->name) + " keeps no history at " +
                                  format_time_and_nanos(snapshot.timestamp()) +
                                  ": its watermark is " +
                                  format_time_and_nanos({tree->watermark.load()}));
}

}  // namespace varve
