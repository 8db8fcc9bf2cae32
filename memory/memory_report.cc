// MemoryReport as text, and the names of roles (include/varve/statistics.h).

#include <cinttypes>

#include "base/format.h"
#include "varve/statistics.h"

namespace varve {

const char* memory_role_name(MemoryRole role) {
  switch (role) {
    case MemoryRole::memtable:
      return "memtable";
    case MemoryRole::sstable_builder:
      return "sstable_builder";
    case MemoryRole::compaction:
      return "compaction";
    case MemoryRole::block_frames:
      return "block_frames";
    case MemoryRole::index:
      return "index";
    case MemoryRole::filter:
      return "filter";
    case MemoryRole::cursor:
      return "cursor";
    case MemoryRole::batch:
      return "batch";
    case MemoryRole::snapshot_registry:
      return "snapshot_registry";
    case MemoryRole::commit_queue:
      return "commit_queue";
    case MemoryRole::log_buffer:
      return "log_buffer";
    case MemoryRole::control:
      return "control";
    case MemoryRole::transaction:
      return "transaction";
    case MemoryRole::conflict_table:
      return "conflict_table";
    case MemoryRole::scan_cache:
      return "scan_cache";
  }
  return "unknown";
}

static_assert(static_cast<size_t>(MemoryRole::scan_cache) + 1 == kMemoryRoleCount);

std::string MemoryReport::to_string() const {
  std::string text = format("memory: held %" PRIu64 " (live %" PRIu64 ", idle %" PRIu64
                            ") of budget %" PRIu64 " bytes\n",
                            held_bytes, live_bytes, idle_bytes, budget_bytes);
  text += format("allocations %" PRIu64 ", of the system %" PRIu64 "\n", allocations,
                 system_allocations);
  text += format("%-20s %14s %14s\n", "role", "live", "high water");
  for (size_t i = 0; i < roles.size(); ++i) {
    if (roles[i].high_water_bytes == 0) continue;
    text +=
        format("%-20s %14" PRIu64 " %14" PRIu64 "\n", memory_role_name(static_cast<MemoryRole>(i)),
               roles[i].live_bytes, roles[i].high_water_bytes);
  }
  text += format("%-20s %10s %12s %12s %10s %10s %10s %14s\n", "pool", "item", "acquired", "reused",
                 "missed", "in use", "high water", "held");
  for (const PoolStatistics& pool : pools) {
    text += format("%-20s %10" PRIu64 " %12" PRIu64 " %12" PRIu64 " %10" PRIu64 " %10" PRIu64
                   " %10" PRIu64 " %14" PRIu64 "\n",
                   pool.name.c_str(), pool.item_bytes, pool.acquired, pool.reused, pool.missed,
                   pool.in_use, pool.high_water, pool.held_bytes);
  }
  return text;
}

}  // namespace varve
