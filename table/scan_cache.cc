#include "table/scan_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "base/assert.h"

namespace varve {

namespace {

// Entries of this size, rows and all, on average: else chains are long, or buckets are for nothing.
constexpr uint64_t kBytesPerBucket = 1024;
constexpr uint64_t kBucketsMin = 16;

size_t bucket_count_of(uint64_t bytes_max) {
  const uint64_t wanted =
      std::clamp<uint64_t>(bytes_max / kBytesPerBucket, kBucketsMin, ChangeWatch::kRangesMax);
  return std::bit_floor(wanted);
}

}  // namespace

// Behind it: the question, and the bounds of the range.
struct ScanCache::Entry {
  std::string_view question() const {
    return {reinterpret_cast<const char*>(this + 1), question_size};
  }

  Entry* next = nullptr;  // in its bucket
  Entry* newer = nullptr;
  Entry* older = nullptr;
  CachedResult* result = nullptr;
  WatchedRange range;
  uint64_t hash = 0;
  size_t question_size = 0;
  size_t size = 0;  // of all
};

ScanCache::ScanCache(MemoryManager* manager, ChangeWatch* watch, uint64_t bytes_max)
    : manager_(manager),
      watch_(watch),
      bytes_max_(bytes_max),
      bucket_count_(bucket_count_of(bytes_max)) {
  auto* const buckets = static_cast<Bucket*>(allocate(bucket_count_ * sizeof(Bucket)));
  MutexLock lock(mutex_);
  buckets_ = buckets;
  if (buckets_ != nullptr) std::uninitialized_fill_n(buckets_, bucket_count_, Bucket());
}

ScanCache::~ScanCache() {
  MutexLock lock(mutex_);
  while (oldest_ != nullptr) evict(oldest_);
  if (buckets_ != nullptr) free(buckets_, bucket_count_ * sizeof(Bucket));
  VARVE_ASSERT(counts_.bytes == 0);
}

// -- memory --

void* ScanCache::allocate(size_t size) {
  const size_t taken = MemoryManager::usable_size(size);
  {
    MutexLock lock(mutex_);
    if (!make_room(taken)) return nullptr;
    counts_.bytes += taken;
  }
  // Not under the lock: it may wait for others to give memory back.
  void* const block = manager_->allocate(size, MemoryRole::scan_cache);
  if (block == nullptr) {
    MutexLock lock(mutex_);
    counts_.bytes -= taken;
  }
  return block;
}

void ScanCache::release(void* block, size_t size) {
  MutexLock lock(mutex_);
  free(block, size);
}

void ScanCache::free(void* block, size_t size) {
  manager_->release(block, size, MemoryRole::scan_cache);
  counts_.bytes -= MemoryManager::usable_size(size);
}

bool ScanCache::make_room(size_t size) {
  Entry* entry = oldest_;
  while (counts_.bytes + size > bytes_max_ && entry != nullptr) {
    Entry* const newer = entry->newer;
    // What readers hold would give nothing back.
    if (entry->result == nullptr || entry->result->readers_ == 0) {
      if (entry->result != nullptr) ++counts_.evicted;
      evict(entry);
    }
    entry = newer;
  }
  return counts_.bytes + size <= bytes_max_;
}

// -- entries --

ScanCache::Entry* ScanCache::entry_of(const Question& question) {
  if (buckets_ == nullptr) return nullptr;
  Entry* entry = *bucket_of(question.hash);
  while (entry != nullptr &&
         (entry->hash != question.hash || entry->question() != question.bytes)) {
    entry = entry->next;
  }
  return entry;
}

void ScanCache::unlink(Entry* entry) {
  (entry->newer != nullptr ? entry->newer->older : newest_) = entry->older;
  (entry->older != nullptr ? entry->older->newer : oldest_) = entry->newer;
  entry->newer = entry->older = nullptr;
}

void ScanCache::make_newest(Entry* entry) {
  if (newest_ == entry) return;
  unlink(entry);
  entry->older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = entry;
  newest_ = entry;
}

void ScanCache::evict(Entry* entry) {
  watch_->remove(&entry->range);
  drop_result(entry);
  unlink(entry);
  Entry** link = bucket_of(entry->hash);
  while (*link != entry) link = &(*link)->next;
  *link = entry->next;
  const size_t size = entry->size;
  entry->~Entry();
  free(entry, size);
}

void ScanCache::drop_result(Entry* entry) {
  CachedResult* const result = std::exchange(entry->result, nullptr);
  if (result == nullptr) return;
  --counts_.entries;
  result->kept_ = false;
  if (result->readers_ == 0) free(result);
}

void ScanCache::free(CachedResult* result) {
  const size_t size = sizeof(CachedResult) + result->size_;
  result->~CachedResult();
  free(result, size);
}

// -- reading --

const CachedResult* ScanCache::find(const Question& question) {
  MutexLock lock(mutex_);
  Entry* const entry = entry_of(question);
  if (entry == nullptr || entry->result == nullptr) return nullptr;
  const Timestamp steady_from = entry->range.steady_from();
  if (entry->result->read_at_ < steady_from) {
    ++counts_.invalidated;
    drop_result(entry);
    return nullptr;
  }
  // What an older snapshot sees may be something else.
  if (question.at < steady_from) return nullptr;
  make_newest(entry);
  ++entry->result->readers_;
  ++counts_.hits;
  return entry->result;
}

void ScanCache::release(const CachedResult* result) {
  MutexLock lock(mutex_);
  auto* const own = const_cast<CachedResult*>(result);
  if (--own->readers_ == 0 && !own->kept_) free(own);
}

// -- filling --

ScanCache::Entry* ScanCache::make_entry(const Question& question,
                                        const ChangeWatch::Bounds& bounds) {
  const size_t size =
      sizeof(Entry) + question.bytes.size() + bounds.lower.size() + bounds.upper.size();
  void* const block = allocate(size);
  if (block == nullptr) return nullptr;
  auto* const entry = new (block) Entry;
  entry->hash = question.hash;
  entry->question_size = question.bytes.size();
  entry->size = size;
  auto* to = reinterpret_cast<char*>(entry + 1);
  for (const std::string_view bytes : {question.bytes, bounds.lower, bounds.upper}) {
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    to += bytes.size();
  }
  return entry;
}

void ScanCache::add(Entry* entry, const ChangeWatch::Bounds& bounds) {
  const char* const lower = entry->question().data() + entry->question_size;
  if (!watch_->add(&entry->range, {.keyspace = bounds.keyspace,
                                   .lower = {lower, bounds.lower.size()},
                                   .upper = {lower + bounds.lower.size(), bounds.upper.size()}})) {
    const size_t size = entry->size;
    entry->~Entry();
    return free(entry, size);
  }
  Entry** const bucket = bucket_of(entry->hash);
  entry->next = *bucket;
  *bucket = entry;
  entry->older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = entry;
  newest_ = entry;
}

bool ScanCache::watch(const Question& question, const ChangeWatch::Bounds& bounds) {
  {
    MutexLock lock(mutex_);
    ++counts_.misses;
    if (buckets_ == nullptr) return false;
    if (Entry* const entry = entry_of(question)) {
      make_newest(entry);
      return question.at >= entry->range.steady_from();
    }
  }
  Entry* const made = make_entry(question, bounds);
  if (made == nullptr) return false;
  MutexLock lock(mutex_);
  if (entry_of(question) == nullptr) {
    add(made, bounds);
  } else {
    // Somebody else was faster.
    const size_t size = made->size;
    made->~Entry();
    free(made, size);
  }
  const Entry* const entry = entry_of(question);
  return entry != nullptr && question.at >= entry->range.steady_from();
}

void ScanCache::keep(const Question& question, std::string_view rows) {
  auto* const block = static_cast<CachedResult*>(allocate(sizeof(CachedResult) + rows.size()));
  if (block == nullptr) return count_refused();
  auto* const made = new (block) CachedResult;
  made->read_at_ = question.at;
  made->size_ = rows.size();
  if (!rows.empty()) std::memcpy(reinterpret_cast<char*>(made + 1), rows.data(), rows.size());
  MutexLock lock(mutex_);
  Entry* const entry = entry_of(question);
  if (entry == nullptr || question.at < entry->range.steady_from()) return free(made);
  drop_result(entry);  // another walk's, perhaps of before a change
  entry->result = made;
  ++counts_.entries;
}

ScanCacheStatistics ScanCache::statistics() {
  MutexLock lock(mutex_);
  ScanCacheStatistics statistics = counts_;
  statistics.capacity_bytes = bytes_max_;
  statistics.bypassed = bypassed_.get();
  statistics.refused = refused_.get();
  return statistics;
}

}  // namespace varve
