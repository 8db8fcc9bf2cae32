#include "memory/buffer_pool.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "base/thread_slot.h"
#include "memory/poison.h"

namespace varve {

BufferPool::~BufferPool() {
  trim();
  check_.expect_none();
}

size_t BufferPool::tier_of(size_t size) {
  return size <= kTierSizeMin ? 0 : static_cast<size_t>(std::bit_width((size - 1) / kTierSizeMin));
}

size_t BufferPool::idle_items_max(size_t tier) {
  constexpr size_t kIdleTierBytesMax = 512 * 1024;
  return std::clamp<size_t>(kIdleTierBytesMax / tier_size(tier), 1, kIdleItemsMax);
}

// Threads without a slot share one with others.
BufferPool::Shard& BufferPool::this_shard() { return shards_[this_thread_slot() % kShardCount]; }

BufferPool::Item BufferPool::acquire(size_t size, const void* acquirer) {
  const Item item = take(size);
  if (item.data != nullptr) check_.acquired(item.data, item.capacity, acquirer);
  return item;
}

BufferPool::Item BufferPool::take(size_t size) {
  Shard& shard = this_shard();
  if (size > kTierSizeMax) return allocate(MemoryManager::usable_size(size), shard);
  const size_t number = tier_of(size);
  {
    MutexLock lock(shard.mutex);
    Tier& tier = shard.tiers[number];
    if (tier.count != 0) {
      ++shard.acquired;
      char* data = tier.items[--tier.count];
      idle_bytes_.fetch_sub(tier_size(number), kRelaxed);  // a bound, not an order
      count_acquired(tier_size(number));
      unpoison(data, tier_size(number));
      return {data, tier_size(number)};
    }
  }
  return allocate(tier_size(number), shard);
}

BufferPool::Item BufferPool::allocate(size_t capacity, Shard& shard) {
  void* memory = capacity <= settings_.urgent_bytes_max
                     ? manager_->allocate_urgently(capacity, settings_.role, Urgency::commit)
                     : manager_->allocate(capacity, settings_.role);
  char* data = static_cast<char*>(memory);
  MutexLock lock(shard.mutex);
  ++shard.acquired;
  ++shard.missed;
  if (data == nullptr) return {};
  count_acquired(capacity);
  return {data, capacity};
}

void BufferPool::release(const Item& item) {
  VARVE_DCHECK(item.data != nullptr);
  if (!check_.released(item.data)) check_.refuse(waits(item.data));
  in_use_bytes_.fetch_sub(static_cast<int64_t>(item.capacity), kRelaxed);  // a statistic
  if (!keep(item)) manager_->release(item.data, item.capacity, settings_.role);
  // Last: who waits for zero may free the pool.
  in_use_.fetch_sub(1);
}

bool BufferPool::keep(const Item& item) {
  if (item.capacity > kTierSizeMax) return false;
  const size_t number = tier_of(item.capacity);
  const size_t size = tier_size(number);
  VARVE_ASSERT(size == item.capacity);
  Shard& shard = this_shard();
  MutexLock lock(shard.mutex);
  Tier& tier = shard.tiers[number];
  if (tier.count == idle_items_max(number)) return false;
  // A bound, not an order: relaxed.
  if (idle_bytes_.fetch_add(size, kRelaxed) + size > settings_.idle_bytes_max) {
    idle_bytes_.fetch_sub(size, kRelaxed);
    return false;
  }
  poison(item.data, size);
  tier.items[tier.count++] = item.data;
  return true;
}

bool BufferPool::waits(const char* data) {
  for (Shard& shard : shards_) {
    MutexLock lock(shard.mutex);
    for (const Tier& tier : shard.tiers) {
      if (std::find(tier.items, tier.items + tier.count, data) != tier.items + tier.count) {
        return true;
      }
    }
  }
  return false;
}

void BufferPool::count_acquired(size_t bytes) {
  in_use_bytes_.fetch_add(static_cast<int64_t>(bytes), kRelaxed);  // all relaxed: statistics
  const int64_t now = in_use_.fetch_add(1, kRelaxed) + 1;
  int64_t seen = high_water_.load(kRelaxed);
  while (seen < now && !high_water_.compare_exchange(seen, now, kRelaxed)) {
  }
}

size_t BufferPool::trim() {
  size_t trimmed = 0;
  for (Shard& shard : shards_) {
    MutexLock lock(shard.mutex);
    for (size_t number = 0; number < kTierCount; ++number) {
      Tier& tier = shard.tiers[number];
      while (tier.count != 0) {
        char* data = tier.items[--tier.count];
        unpoison(data, tier_size(number));
        manager_->release(data, tier_size(number), settings_.role);
        trimmed += tier_size(number);
      }
    }
  }
  idle_bytes_.fetch_sub(trimmed, kRelaxed);  // a bound, not an order
  return trimmed;
}

bool BufferPool::validate() {
  size_t idle_bytes = 0;
  bool within_limits = true;
  for (Shard& shard : shards_) {
    MutexLock lock(shard.mutex);
    for (size_t number = 0; number < kTierCount; ++number) {
      const Tier& tier = shard.tiers[number];
      within_limits &= tier.count <= idle_items_max(number);
      idle_bytes += tier.count * tier_size(number);
    }
    within_limits &= shard.missed <= shard.acquired;
  }
  return within_limits && idle_bytes == idle_bytes_.load() &&
         idle_bytes <= settings_.idle_bytes_max && in_use_.load() >= 0 &&
         in_use_bytes_.load() >= 0 && in_use_.load() <= high_water_.load() &&
         check_.counts(static_cast<uint64_t>(in_use_.load()));
}

PoolStatistics BufferPool::statistics() {
  PoolStatistics result;
  result.name = settings_.name;
  for (Shard& shard : shards_) {
    MutexLock lock(shard.mutex);
    result.acquired += shard.acquired;
    result.missed += shard.missed;
  }
  result.reused = result.acquired - result.missed;
  result.in_use = static_cast<uint64_t>(std::max<int64_t>(in_use_.load(), 0));
  result.high_water = static_cast<uint64_t>(high_water_.load());
  result.held_bytes =
      static_cast<uint64_t>(std::max<int64_t>(in_use_bytes_.load(), 0)) + idle_bytes_.load();
  return result;
}

}  // namespace varve
