// What write batches and the database share: the limits of entries, and the memory of batches.

#pragma once

#include <cstdint>
#include <string_view>

#include "memory/memory_manager.h"
#include "varve/status.h"

namespace varve {

// Of batches that belong to no database. Lives as long as the process.
MemoryManager& process_memory();

// Of batches that belong to one.
struct BatchMemory {
  MemoryManager* manager;
  uint64_t value_size_max;  // that the database takes
};

// invalid_argument for a key or value that no database takes.
Status check_entry_sizes(std::string_view key, std::string_view value, uint64_t value_size_max);

}  // namespace varve
