// Live snapshots, and what may be forgotten because of them.
//
// Every transaction registers, so there are several lists, of which a thread uses one: what it
// changes then mostly lies in the cache of its own core.
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
#include "base/thread_slot.h"
#include "mvcc/version_gc.h"

namespace varve {

// Lies inside a snapshot or cursor, linked in order of timestamps.
struct SnapshotEntry {
  Timestamp timestamp;
  // Of a transaction that has to learn of everything that was written after it.
  bool checked = false;
  SnapshotEntry* older = nullptr;
  SnapshotEntry* newer = nullptr;
  uint32_t part = 0;  // of the registry, that it is in
};

class SnapshotRegistry {
 public:
  // `published` is the oracle's.
  explicit SnapshotRegistry(const Atomic<uint64_t>& published) : published_(published) {}

  // At the newest published commit.
  void acquire(SnapshotEntry* entry) {
    Part& part = choose_part(entry);
    MutexLock lock(part.mutex);
    entry->timestamp = Timestamp{published_.load()};
    part.insert(entry);
  }
  // At the newest one that is published, or at least applied (the oracle's).
  void acquire_applied(SnapshotEntry* entry, const Atomic<uint64_t>& applied) {
    Part& part = choose_part(entry);
    MutexLock lock(part.mutex);
    entry->timestamp = Timestamp{std::max(published_.load(), applied.load(kAcquire))};
    part.insert(entry);
  }

  // At `time`, which is at or below published. Afterwards the caller compares it with the watermark
  // of each keyspace that it reads: below one, that history may be gone already.
  void acquire_at(SnapshotEntry* entry, Timestamp time) {
    Part& part = choose_part(entry);
    MutexLock lock(part.mutex);
    entry->timestamp = time;
    part.insert(entry);
  }

  void release(SnapshotEntry* entry) {
    Part& part = parts_[entry->part];
    MutexLock lock(part.mutex);
    part.remove(entry);
  }

  // Raises `*watermark` to published minus `retention_nanos` and puts the registered snapshots
  // below it into `*snapshots`, which is empty, ascending and distinct: what the horizon refers
  // to.
  GcHorizon horizon(uint64_t retention_nanos, Atomic<uint64_t>* watermark,
                    std::vector<Timestamp>* snapshots) {
    GcHorizon reached;
    {
      const LockOfAll lock(this);
      const uint64_t published = published_.load();
      const uint64_t wanted = published > retention_nanos ? published - retention_nanos : 0;
      if (wanted > watermark->load()) watermark->store(wanted);
      reached.watermark = Timestamp{watermark->load()};
      for (const Part& part : parts_) part.add_to(&reached, snapshots);
    }
    std::sort(snapshots->begin(), snapshots->end());
    snapshots->erase(std::unique(snapshots->begin(), snapshots->end()), snapshots->end());
    reached.snapshots = *snapshots;
    return reached;
  }

  uint64_t count() {
    const LockOfAll lock(this);
    uint64_t count = 0;
    for (const Part& part : parts_) count += part.count;
    return count;
  }
  // kTimestampMax when there is none.
  Timestamp oldest() {
    const LockOfAll lock(this);
    Timestamp oldest = kTimestampMax;
    for (const Part& part : parts_) {
      if (part.oldest != nullptr) oldest = std::min(oldest, part.oldest->timestamp);
    }
    return oldest;
  }

 private:
  // Under its mutex.
  struct alignas(64) Part {
    Mutex mutex;
    SnapshotEntry* oldest = nullptr;
    SnapshotEntry* newest = nullptr;
    uint64_t count = 0;

    // New snapshots are the newest nearly always: the search starts there.
    void insert(SnapshotEntry* entry) {
      SnapshotEntry* older = newest;
      while (older != nullptr && older->timestamp > entry->timestamp) older = older->older;
      entry->older = older;
      entry->newer = older == nullptr ? oldest : older->newer;
      (entry->older != nullptr ? entry->older->newer : oldest) = entry;
      (entry->newer != nullptr ? entry->newer->older : newest) = entry;
      ++count;
    }
    void remove(SnapshotEntry* entry) {
      (entry->older != nullptr ? entry->older->newer : oldest) = entry->newer;
      (entry->newer != nullptr ? entry->newer->older : newest) = entry->older;
      entry->older = entry->newer = nullptr;
      --count;
    }
    // Its snapshots below the watermark.
    void add_to(GcHorizon* reached, std::vector<Timestamp>* snapshots) const {
      for (const SnapshotEntry* entry = oldest;
           entry != nullptr && entry->timestamp < reached->watermark; entry = entry->newer) {
        if (entry->checked) {
          reached->oldest_checked = std::min(reached->oldest_checked, entry->timestamp);
        }
        if (snapshots->empty() || snapshots->back() != entry->timestamp) {
          snapshots->push_back(entry->timestamp);
        }
      }
    }
  };
  static constexpr size_t kParts = 16;

  // One critical section over all lists.
  class LockOfAll {
   public:
    explicit LockOfAll(SnapshotRegistry* registry) VARVE_NO_THREAD_SAFETY_ANALYSIS
        : registry_(registry) {
      for (Part& part : registry_->parts_) part.mutex.lock();
    }
    ~LockOfAll() VARVE_NO_THREAD_SAFETY_ANALYSIS {
      for (Part& part : registry_->parts_) part.mutex.unlock();
    }
    LockOfAll(const LockOfAll&) = delete;
    LockOfAll& operator=(const LockOfAll&) = delete;

   private:
    SnapshotRegistry* const registry_;
  };

  Part& choose_part(SnapshotEntry* entry) {
    entry->part = static_cast<uint32_t>(this_thread_slot() % kParts);
    return parts_[entry->part];
  }

  const Atomic<uint64_t>& published_;
  Part parts_[kParts];
};

}  // namespace varve
