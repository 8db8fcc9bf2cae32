// Live snapshots, and what may be forgotten because of them.
//
// Invariants:
//  1. A snapshot is registered before anything below it may be dropped: acquire() reads the
//  published
//     timestamp and registers in one critical section; a horizon is computed in one too. So either
//     the horizon holds the snapshot, or the snapshot's timestamp is at or above its watermark.
//     For a snapshot of the past (acquire_at) the caller looks at the watermark after registering.
//  2. The watermark of a keyspace only rises (protocol 11).
//
// Thread rule: everything from any thread.
// Memory: entries lie in their owners (snapshots, cursors); none is allocated here.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/atomic.h"
#include "base/mutex.h"
#include "mvcc/version_gc.h"

namespace varve {

// Lies inside a snapshot or cursor, linked in order of timestamps.
struct SnapshotEntry {
  Timestamp timestamp;
  // Of a transaction that has to learn of everything that was written after it.
  bool checked = false;
  SnapshotEntry* older = nullptr;
  SnapshotEntry* newer = nullptr;
};

class SnapshotRegistry {
 public:
  // `published` is the oracle's.
  explicit SnapshotRegistry(const Atomic<uint64_t>& published) : published_(published) {}

  // At the newest published commit.
  void acquire(SnapshotEntry* entry) {
    MutexLock lock(mutex_);
    entry->timestamp = Timestamp{published_.load()};
    insert(entry);
  }

  // At `time`, which is at or below published. Afterwards the caller compares it with the watermark
  // of each keyspace that it reads: below one, that history may be gone already.
  void acquire_at(SnapshotEntry* entry, Timestamp time) {
    MutexLock lock(mutex_);
    entry->timestamp = time;
    insert(entry);
  }

  void release(SnapshotEntry* entry) {
    MutexLock lock(mutex_);
    (entry->older != nullptr ? entry->older->newer : oldest_) = entry->newer;
    (entry->newer != nullptr ? entry->newer->older : newest_) = entry->older;
    entry->older = entry->newer = nullptr;
    --count_;
  }

  // Raises `*watermark` to published minus `retention_nanos` and appends the registered snapshots
  // below it to `*snapshots`, ascending and distinct: what the horizon refers to.
  GcHorizon horizon(uint64_t retention_nanos, Atomic<uint64_t>* watermark,
                    std::vector<Timestamp>* snapshots) {
    MutexLock lock(mutex_);
    const uint64_t published = published_.load();
    const uint64_t wanted = published > retention_nanos ? published - retention_nanos : 0;
    if (wanted > watermark->load()) watermark->store(wanted);
    GcHorizon reached{.watermark = Timestamp{watermark->load()}, .snapshots = {}};
    for (const SnapshotEntry* entry = oldest_;
         entry != nullptr && entry->timestamp < reached.watermark; entry = entry->newer) {
      if (entry->checked) {
        reached.oldest_checked = std::min(reached.oldest_checked, entry->timestamp);
      }
      if (snapshots->empty() || snapshots->back() != entry->timestamp) {
        snapshots->push_back(entry->timestamp);
      }
    }
    reached.snapshots = *snapshots;
    return reached;
  }

  uint64_t count() {
    MutexLock lock(mutex_);
    return count_;
  }
  // kTimestampMax when there is none.
  Timestamp oldest() {
    MutexLock lock(mutex_);
    return oldest_ == nullptr ? kTimestampMax : oldest_->timestamp;
  }

 private:
  // New snapshots are the newest nearly always: the search starts there.
  void insert(SnapshotEntry* entry) VARVE_REQUIRES(mutex_) {
    SnapshotEntry* older = newest_;
    while (older != nullptr && older->timestamp > entry->timestamp) older = older->older;
    entry->older = older;
    entry->newer = older == nullptr ? oldest_ : older->newer;
    (entry->older != nullptr ? entry->older->newer : oldest_) = entry;
    (entry->newer != nullptr ? entry->newer->older : newest_) = entry;
    ++count_;
  }

  const Atomic<uint64_t>& published_;
  Mutex mutex_;
  SnapshotEntry* oldest_ VARVE_GUARDED_BY(mutex_) = nullptr;
  SnapshotEntry* newest_ VARVE_GUARDED_BY(mutex_) = nullptr;
  uint64_t count_ VARVE_GUARDED_BY(mutex_) = 0;
};

}  // namespace varve
