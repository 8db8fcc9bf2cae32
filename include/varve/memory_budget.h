// One memory budget for several databases of a process: what one of them does not need, another
// may use, and none of them is told its share beforehand.

#pragma once

#include <cstdint>
#include <memory>

#include "varve/statistics.h"
#include "varve/status.h"

namespace varve {

class EngineMemory;

// Given to each database as Options::shared_budget. Blocks of all of them are cached together; when
// memory is short, the database whose memtables hold most is the one that is flushed.
//
// Thread rule: all functions from any thread. Ownership: each database holds it until it is closed.
class MemoryBudget {
 public:
  // `bytes`: at least kMemoryBudgetMin; 0: a quarter of what this machine, or the control group,
  // has. `cache_size`: as Options::cache_size, for all together.
  // Errors: invalid_argument.
  static Result<std::shared_ptr<MemoryBudget>> create(uint64_t bytes, uint64_t cache_size = 0);
  ~MemoryBudget();
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  uint64_t bytes() const;
  // What all databases hold together. Theirs (Database::memory_report) say the same, and add the
  // pools that they have each.
  MemoryReport report() const;

 private:
  friend class EngineMemory;
  explicit MemoryBudget(std::shared_ptr<EngineMemory> memory);
  const std::shared_ptr<EngineMemory> memory_;
};

}  // namespace varve
