#include "memory/budget.h"

#include <algorithm>

namespace varve {

Budget::Budget(uint64_t bytes) : bytes_(bytes) {
  if (bytes == 0) {
    for (uint64_t& limit : limits_) limit = UINT64_MAX;
    return;
  }
  const uint64_t quota = quota_of(bytes);
  limits_[static_cast<size_t>(Urgency::normal)] = bytes - quota;
  limits_[static_cast<size_t>(Urgency::commit)] = bytes - quota * 3 / 4;
  limits_[static_cast<size_t>(Urgency::compaction)] = bytes - quota * 3 / 8;
  limits_[static_cast<size_t>(Urgency::flush)] = bytes;
}

int64_t Budget::raise(Atomic<int64_t>& high_water, int64_t value) {
  int64_t seen = high_water.load(kRelaxed);  // a statistic
  while (seen < value && !high_water.compare_exchange(seen, value, kRelaxed)) {
  }
  return std::max(seen, value);
}

void Budget::settle(Change& change, MemoryRole role) {
  Account& account = accounts_[static_cast<size_t>(role)];
  const int64_t live = change.live.load(kRelaxed);  // all relaxed: statistics
  const int64_t peak = change.peak.load(kRelaxed);
  change.live.store(0, kRelaxed);
  change.peak.store(0, kRelaxed);
  const int64_t before = account.live.fetch_add(live, kRelaxed);
  raise(account.high_water, before + std::max(live, peak));
}

void Budget::charge_shared(size_t bytes, MemoryRole role) {
  Account& account = accounts_[static_cast<size_t>(role)];
  const int64_t size = static_cast<int64_t>(bytes);
  raise(account.high_water, account.live.fetch_add(size, kRelaxed) + size);  // a statistic
}

void Budget::discharge_shared(size_t bytes, MemoryRole role) {
  // A statistic.
  accounts_[static_cast<size_t>(role)].live.fetch_sub(static_cast<int64_t>(bytes), kRelaxed);
}

MemoryReport::Role Budget::role(MemoryRole role) const {
  const size_t index = static_cast<size_t>(role);
  Account& account = accounts_[index];
  const size_t slots = std::min(thread_slot_limit(), kThreadSlots);
  int64_t live = account.live.load(kRelaxed);  // all relaxed: statistics
  int64_t most_above = 0;
  for (size_t slot = 0; slot < slots; ++slot) {
    const Change& change = slots_[slot].changes[index];
    const int64_t slot_live = change.live.load(kRelaxed);
    live += slot_live;
    most_above = std::max(most_above, change.peak.load(kRelaxed) - slot_live);
  }
  // Read one after another while others write: a sum below zero means none.
  live = std::max<int64_t>(live, 0);
  const int64_t high_water = raise(account.high_water, live + most_above);
  return {.live_bytes = static_cast<uint64_t>(live),
          .high_water_bytes = static_cast<uint64_t>(high_water)};
}

}  // namespace varve
