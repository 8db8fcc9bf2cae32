#include "lsm/engine_memory.h"

#include <algorithm>

#include "base/format.h"
#include "lsm/store.h"

namespace varve {

EngineMemory::EngineMemory(uint64_t budget, uint64_t cache_size)
    : manager_(budget), frames_(&manager_, &epochs_, cache_size != 0 ? cache_size : UINT64_MAX) {
  manager_.set_reclaimer(this);
}

bool EngineMemory::reclaim(size_t bytes) {
  if (frames_.reclaim(bytes)) return true;
  // What waits for reuse goes too, but is no reason to ask again: it comes back piece by piece.
  bool any = false;
  MutexLock lock(mutex_);
  for (Member* member : members_) any |= member->give_up_idle_memory();
  return any;
}

void EngineMemory::join(Member* member) {
  MutexLock lock(mutex_);
  members_.push_back(member);
  member_count_.store(members_.size());
}

void EngineMemory::leave(Member* member) {
  MutexLock lock(mutex_);
  std::erase(members_, member);
  member_count_.store(members_.size());
}

bool EngineMemory::memtables_are_excessive(uint64_t own_bytes, uint64_t more_bytes) const {
  const uint64_t budget = manager_.budget_bytes();
  return budget != 0 && others_hold_memtables(own_bytes) &&
         memtable_bytes_.load() + more_bytes > budget / 2;
}

bool EngineMemory::shed_worthwhile() {
  // An eighth of what each one's part of that half would be: if all were below, the excess would
  // not be theirs.
  const size_t members = std::max<size_t>(member_count_.load(kRelaxed), 1);  // a hint
  const uint64_t worth = manager_.budget_bytes() / (16 * members);
  return shed_from(/*leader=*/nullptr, std::max<uint64_t>(worth, 1));
}

bool EngineMemory::shed_from(const Member* leader, uint64_t worth_bytes) {
  MutexLock lock(mutex_);
  Member* largest = nullptr;
  uint64_t most = worth_bytes - 1;
  for (Member* member : members_) {
    const MemtableState state = member->memtable_state();
    if (!state.flushes) continue;
    if (state.immutable != 0 && member != leader) return true;
    if (state.active <= most) continue;
    most = state.active;
    largest = member;
  }
  if (largest == nullptr || largest == leader) return false;
  largest->shed_memory();
  return true;
}

void EngineMemory::count_drain() {
  drains_.fetch_add(1);
  MutexLock lock(mutex_);
  for (Member* member : members_) member->memory_was_given_back();
}

MemoryBudget::MemoryBudget(std::shared_ptr<EngineMemory> memory) : memory_(std::move(memory)) {}
MemoryBudget::~MemoryBudget() = default;

Result<std::shared_ptr<MemoryBudget>> MemoryBudget::create(uint64_t bytes, uint64_t cache_size) {
  VARVE_ASSIGN_OR_RETURN(const uint64_t budget, derive_memory_budget(bytes));
  if (cache_size > budget) {
    return Status::invalid_argument(format("a cache of %llu bytes exceeds the budget of %llu",
                                           static_cast<unsigned long long>(cache_size),
                                           static_cast<unsigned long long>(budget)));
  }
  return std::shared_ptr<MemoryBudget>(
      new MemoryBudget(std::make_shared<EngineMemory>(budget, cache_size)));
}

uint64_t MemoryBudget::bytes() const { return memory_->manager().budget_bytes(); }

MemoryReport MemoryBudget::report() const { return memory_->manager().report(); }

}  // namespace varve
