// Keeps what scans of tables found, for others who ask the same.
//
//   find     a result, if it is what a snapshot sees; it stays in place until it is released
//   watch    before a walk: the keys that it reads are watched (txn/change_watch.h)
//   keep     after it: what it found, if no commit came between
//
// An entry is what was asked, as bytes (table/cached_scan.h), with the range that it reads and,
// once a walk came to its end, the result. Entries outlive what they held, so that their ranges are
// watched already when the same is asked again. Who was not used for longest goes first; what a
// reader holds stays.
//
// Invariants:
//  1. A result was read at or above the time from which its range was steady when it was kept, and
//     is shown only where that still holds, to snapshots at or above that time: ChangeWatch says
//     why that is what they see.
//  2. Entries, results and memory of walks together never take more than the bytes given. A result
//     has at most an eighth of them.
//
// Thread rule: any thread. Locks: its own before the watch's.
// Memory: of the budget. What is refused is not kept: no error.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/atomic.h"
#include "base/mutex.h"
#include "memory/memory_manager.h"
#include "txn/change_watch.h"
#include "varve/table.h"

namespace varve {

// Rows as they were appended, held in one block.
class CachedResult {
 public:
  std::string_view rows() const { return {reinterpret_cast<const char*>(this + 1), size_}; }

 private:
  friend class ScanCache;
  uint64_t readers_ = 0;  // under the cache's lock, as all of it but the rows
  bool kept_ = true;      // by an entry
  Timestamp read_at_;
  size_t size_ = 0;
};

class ScanCache {
 public:
  // `manager` and `watch` outlive it.
  ScanCache(MemoryManager* manager, ChangeWatch* watch, uint64_t bytes_max);
  // Requires that what was found was released, and all memory.
  ~ScanCache();
  ScanCache(const ScanCache&) = delete;
  ScanCache& operator=(const ScanCache&) = delete;

  // What is asked. Longer than question_size_max(): it cannot be kept.
  struct Question {
    std::string_view bytes = {};
    uint64_t hash = 0;  // key_hash() of them
    Timestamp at = {};  // of a snapshot that was taken already
  };
  size_t question_size_max() const { return std::min<size_t>(bytes_max_ / 64, 64 << 10); }
  size_t result_size_max() const { return bytes_max_ / 8; }

  // Counted, if there is one. Null: not there, or not known to be what the snapshot sees.
  const CachedResult* find(const Question& question);
  void release(const CachedResult* result);
  // Counted as a miss. False: what a walk finds at that snapshot cannot be kept.
  bool watch(const Question& question, const ChangeWatch::Bounds& bounds);
  // What a walk found, if nothing has changed and there is memory for it.
  void keep(const Question& question, std::string_view rows);
  void count_bypassed() { bypassed_.add(); }
  void count_refused() { refused_.add(); }

  // For what walks find until it is kept: of the same bytes. Null: refused.
  void* allocate(size_t size);
  void release(void* block, size_t size);

  ScanCacheStatistics statistics();

 private:
  struct Entry;
  struct Bucket {
    Entry* first = nullptr;
  };

  Entry** bucket_of(uint64_t hash) VARVE_REQUIRES(mutex_) {
    return &buckets_[hash & (bucket_count_ - 1)].first;
  }
  Entry* entry_of(const Question& question) VARVE_REQUIRES(mutex_);
  Entry* make_entry(const Question& question, const ChangeWatch::Bounds& bounds);
  void add(Entry* entry, const ChangeWatch::Bounds& bounds) VARVE_REQUIRES(mutex_);
  void make_newest(Entry* entry) VARVE_REQUIRES(mutex_);
  void unlink(Entry* entry) VARVE_REQUIRES(mutex_);
  bool make_room(size_t size) VARVE_REQUIRES(mutex_);
  void evict(Entry* entry) VARVE_REQUIRES(mutex_);
  void drop_result(Entry* entry) VARVE_REQUIRES(mutex_);
  void free(void* block, size_t size) VARVE_REQUIRES(mutex_);
  void free(CachedResult* result) VARVE_REQUIRES(mutex_);

  MemoryManager* const manager_;
  ChangeWatch* const watch_;
  const uint64_t bytes_max_;
  const size_t bucket_count_;  // a power of two
  Counter bypassed_;
  Counter refused_;
  Mutex mutex_;
  Bucket* buckets_ VARVE_GUARDED_BY(mutex_) = nullptr;  // null: there was no memory for them
  Entry* newest_ VARVE_GUARDED_BY(mutex_) = nullptr;
  Entry* oldest_ VARVE_GUARDED_BY(mutex_) = nullptr;
  ScanCacheStatistics counts_ VARVE_GUARDED_BY(mutex_);
};

}  // namespace varve
