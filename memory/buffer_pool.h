// Reusable buffers by size: for what is encoded or read piece by piece. A buffer comes back for
// another use with its memory, so that steady work allocates nothing.
//
// Tiers are powers of two from 64 bytes to 1 MiB. Threads are spread over shards, each with its own
// lock and its own idle buffers, so that a thread mostly meets its own ones. Larger buffers are
// allocated and released each time.
//
// Thread rule: all functions from any thread; a buffer may be given back by another thread.
// Ownership: the caller owns a buffer until release(). All must be back before destruction.
// Debug builds mark each buffer in use with its acquirer (memory/pool_check.h), and
// AddressSanitizer sees uses of idle ones.
// Invariants:
// 1. Idle buffers: at most idle_items_max(tier) in each shard and tier, idle_bytes_max in all.
// 2. held_bytes = buffers in use + idle ones; all are live bytes of the pool's role.
// Errors: acquire() gives null data when memory is refused; nothing is changed then.
// Units: bytes.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.h"
#include "base/mutex.h"
#include "memory/memory_manager.h"
#include "memory/pool_check.h"

namespace varve {

class BufferPool {
 public:
  struct Item {
    char* data = nullptr;
    size_t capacity = 0;
  };
  struct Settings {
    const char* name = "";  // in statistics; outlives the pool
    MemoryRole role{};
    size_t idle_bytes_max = size_t{4} << 20;
    // Buffers of at most so many bytes reach as deep into the budget as commits do.
    size_t urgent_bytes_max = 0;
  };

  BufferPool(MemoryManager* manager, const Settings& settings)
      : manager_(manager), settings_(settings), check_(settings.name) {}
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // At least `size` bytes, uninitialised, aligned to 64.
  Item acquire(size_t size) { return acquire(size, __builtin_return_address(0)); }
  // For who acquires for somebody else: an address in that one's code.
  Item acquire(size_t size, const void* acquirer);
  // As it was acquired.
  void release(const Item& item);

  // Gives idle buffers back to the manager; returns their bytes.
  size_t trim();
  // False if the pool's own figures contradict each other. While no other call is in progress.
  bool validate();
  // item_bytes is 0: sizes vary.
  PoolStatistics statistics();

 private:
  static constexpr size_t kTierSizeMin = 64;
  static constexpr size_t kTierSizeMax = size_t{1} << 20;
  static constexpr size_t kTierCount = 15;
  static_assert(kTierSizeMin << (kTierCount - 1) == kTierSizeMax);
  static constexpr size_t kIdleItemsMax = 8;
  // More than the cores of a usual machine: threads that run at once seldom share one.
  static constexpr size_t kShardCount = 16;

  struct Tier {
    size_t count = 0;
    char* items[kIdleItemsMax];
  };
  struct alignas(64) Shard {
    Mutex mutex;
    Tier tiers[kTierCount] VARVE_GUARDED_BY(mutex);
    // Of calls through this shard; buffers may come back through another one.
    uint64_t acquired VARVE_GUARDED_BY(mutex) = 0;
    uint64_t missed VARVE_GUARDED_BY(mutex) = 0;
  };

  static size_t tier_size(size_t tier) { return kTierSizeMin << tier; }
  static size_t tier_of(size_t size);
  // In one shard: fewer of the larger ones.
  static size_t idle_items_max(size_t tier);
  Shard& this_shard();
  Item take(size_t size);
  Item allocate(size_t capacity, Shard& shard);
  bool keep(const Item& item);
  bool waits(const char* data);
  void count_acquired(size_t bytes);

  MemoryManager* const manager_;
  const Settings settings_;
  Shard shards_[kShardCount];
  alignas(64) Atomic<size_t> idle_bytes_{0};
  alignas(64) Atomic<int64_t> in_use_{0};
  Atomic<int64_t> in_use_bytes_{0};
  Atomic<int64_t> high_water_{0};
  [[no_unique_address]] PoolCheck check_;
};

// Gives its buffer back when it goes out of scope.
class PooledBuffer {
 public:
  PooledBuffer(BufferPool& pool, size_t size)
      : pool_(pool), buffer_(pool.acquire(size, __builtin_return_address(0))) {}
  ~PooledBuffer() {
    if (buffer_.data != nullptr) pool_.release(buffer_);
  }
  PooledBuffer(const PooledBuffer&) = delete;
  PooledBuffer& operator=(const PooledBuffer&) = delete;

  // Null when memory was refused.
  char* data() const { return buffer_.data; }
  size_t capacity() const { return buffer_.capacity; }

 private:
  BufferPool& pool_;
  BufferPool::Item buffer_;
};

}  // namespace varve
