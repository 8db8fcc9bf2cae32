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

bool EngineMemory::memtables_are_excessive() const {
  const uint64_t budget = manager_.budget_bytes();
  return budget != 0 && member_count_.load(kRelaxed) != 0 &&  // a hint
         memtable_bytes_.load() > budget / 2;
}

bool EngineMemory::shed_excess(uint64_t more_bytes) {
  const uint64_t budget = manager_.budget_bytes();
  const size_t members = member_count_.load(kRelaxed);  // a hint; looked at again
  // A single one keeps to its two write buffers.
  if (budget == 0 || members < 2 || memtable_bytes_.load() + more_bytes <= budget / 2) return false;
  // Half of what would be each one's part: were all below, no excess would be theirs.
  return shed_from(/*leader=*/nullptr, budget / (4 * members));
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
