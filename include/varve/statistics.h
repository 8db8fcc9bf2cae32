// What the engine did and holds, as plain structs.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "varve/status.h"
#include "varve/types.h"

namespace varve {

// Who holds memory. Order is stable; new roles are added at the end.
enum class MemoryRole : uint8_t {
  memtable,
  sstable_builder,
  compaction,
  block_frames,
  index,
  filter,
  cursor,
  batch,
  snapshot_registry,
  commit_queue,
  log_buffer,
  control,         // levels, views, keyspaces, tables of files
  transaction,     // what transactions wrote and read, and they themselves
  conflict_table,  // what was committed lately, for their checks
  scan_cache,      // what scans of tables found
};
inline constexpr size_t kMemoryRoleCount = 15;
const char* memory_role_name(MemoryRole role);

// Counters of one allocator, pool or size class.
struct PoolStatistics {
  std::string name;
  uint64_t item_bytes = 0;  // size of an item; 0 where it varies
  uint64_t acquired = 0;    // requests
  uint64_t reused = 0;      // of these, served from memory at hand
  uint64_t missed = 0;      // of these, served by asking the level below
  uint64_t in_use = 0;      // items now
  uint64_t high_water = 0;  // most items at once, or more where several threads had some
  uint64_t held_bytes = 0;  // bytes kept, in use or not
};

struct MemoryReport {
  struct Role {
    uint64_t live_bytes = 0;
    uint64_t high_water_bytes = 0;
  };
  uint64_t budget_bytes = 0;
  std::array<Role, kMemoryRoleCount> roles{};  // indexed by MemoryRole
  uint64_t live_bytes = 0;                     // sum of roles
  uint64_t idle_bytes = 0;                     // held from the system, free for the next request
  uint64_t held_bytes = 0;                     // live + idle
  // Requests of the engine to its own allocator since it began, and of the allocator to the system.
  // In steady work the latter stand still; the former, by the operation, are what it costs.
  uint64_t allocations = 0;
  uint64_t system_allocations = 0;
  std::vector<PoolStatistics> pools;
  std::string to_string() const;
};

// Why a write waits before it enters the commit queue.
enum class WaitReason : uint8_t {
  memtables,  // two write buffers are full, flushes are behind
  runs,       // reads have too many runs to look at, compactions are behind
  memory,     // the budget is full of what cannot be evicted
  pace,       // so that none of the above comes about: flushes or compactions are getting behind
};
inline constexpr size_t kWaitReasonCount = 4;
const char* wait_reason_name(WaitReason reason);

// Times in microseconds.
struct WaitStatistics {
  uint64_t waits = 0;  // that are over
  uint64_t micros = 0;
  uint64_t longest_micros = 0;
  uint64_t waiting = 0;        // now
  uint64_t oldest_micros = 0;  // age of the oldest of these
};

// The state of a database as somebody on duty wants to know it.
struct Health {
  Status failure;     // not ok: read-only until reopened, and why
  Status flush;       // not ok: why the last flush is put off; it is tried again by itself
  Status compaction;  // the same of the last compaction
  std::array<WaitStatistics, kWaitReasonCount> waits{};  // indexed by WaitReason

  // Writes are taken, and nothing hinders the work behind them.
  bool ok() const { return failure.ok() && flush.ok() && compaction.ok(); }
  std::string to_string() const;
};

// Times of calls, in nanoseconds, of those that were timed (Options::latency_sampling).
inline constexpr size_t kLatencyBuckets = 16;
// What calls that LatencyStatistics counts in the i-th place took less than; the last has no bound.
constexpr uint64_t latency_bound_nanos(size_t i) {
  return i + 1 < kLatencyBuckets ? uint64_t{128} << 2 * i : UINT64_MAX;
}
struct LatencyStatistics {
  uint64_t count = 0;  // that were timed
  uint64_t total_nanos = 0;
  uint64_t longest_nanos = 0;
  // That so much of them (half, 95 %, 99 %, 99.9 %) does not exceed, to 1/8 of it.
  uint64_t p50_nanos = 0;
  uint64_t p95_nanos = 0;
  uint64_t p99_nanos = 0;
  uint64_t p999_nanos = 0;
  // By time: see latency_bound_nanos().
  std::array<uint64_t, kLatencyBuckets> counts{};
};

struct RunStatistics {
  uint32_t level = 0;  // 0 is the newest
  uint64_t files = 0;
  uint64_t bytes = 0;    // on disk
  uint64_t entries = 0;  // versions, tombstones included
  uint64_t tombstones = 0;
};

struct KeyspaceStatistics {
  Keyspace keyspace;
  std::string name;
  uint64_t memtable_bytes = 0;  // active and immutable
  uint64_t memtable_entries = 0;
  uint32_t immutable_memtables = 0;
  std::vector<RunStatistics> runs;  // newest first
  // Files of large values (Options::separate_values_from): bytes on disk, and what of these is
  // pointed to, older versions included.
  uint64_t value_files = 0;
  uint64_t value_bytes = 0;
  uint64_t value_bytes_needed = 0;
  Timestamp watermark;  // history below it is gone
};

// Counters since open, unless said otherwise. Times in microseconds. Rates are the reader's: what a
// counter grew by between two calls, through the time between them.
struct Statistics {
  uint64_t commits = 0;
  uint64_t commit_groups = 0;
  uint64_t entries_written = 0;
  uint64_t user_bytes_written = 0;  // keys and values
  uint64_t log_bytes_written = 0;
  uint64_t log_syncs = 0;
  uint64_t flushes = 0;
  uint64_t flush_bytes_written = 0;
  uint64_t compactions = 0;
  uint64_t compaction_bytes_read = 0;
  uint64_t compaction_bytes_written = 0;
  uint64_t compaction_entries_in = 0;
  uint64_t compaction_entries_out = 0;
  uint64_t spills =
      0;  // runs that transactions wrote beyond their share of memory, merges included
  uint64_t spill_bytes_written = 0;
  uint64_t gets = 0;
  uint64_t filter_probes = 0;
  uint64_t filter_negatives = 0;
  uint64_t block_hits = 0;
  uint64_t block_stored_hits = 0;  // of them: of blocks that are kept compressed
  uint64_t block_misses = 0;
  uint64_t blocks_evicted = 0;
  uint64_t write_stalls = 0;  // of all reasons
  uint64_t write_stall_micros = 0;
  std::array<WaitStatistics, kWaitReasonCount> waits{};  // indexed by WaitReason
  // Transactions. Of those that began and are none of the others, some are open still.
  uint64_t transactions_begun = 0;
  uint64_t transactions_committed = 0;
  uint64_t transactions_committed_empty = 0;  // that wrote nothing: not among the former
  uint64_t transactions_rolled_back = 0;      // without a conflict
  uint64_t transactions_unknown = 0;          // whose commit answered io_error
  uint64_t transactions_retried = 0;          // begun again by transact(), after a conflict
  // That lost, by what others wrote meanwhile: a key that they wrote too; one that they read and
  // rely on; something within a range that they read. Never by the conflict table's word alone.
  uint64_t conflicts_on_write = 0;
  uint64_t conflicts_on_read = 0;
  uint64_t conflicts_on_range = 0;
  // Of the last, those that may be false: so much was read that spans stood for it.
  uint64_t conflicts_on_span = 0;
  // Keys that the conflict table did not clear, so that they were looked up in the tree; of them,
  // those that had not changed: the table's false alarms.
  uint64_t conflict_lookups = 0;
  uint64_t conflict_lookups_unchanged = 0;
  // From the call to the acknowledgement: with waits for memory, the queue, log and sync.
  LatencyStatistics commit_latency;
  LatencyStatistics get_latency;  // of get() and get_for_update(), which found something or not
  uint64_t snapshots_open = 0;
  uint64_t cursors_open = 0;
  uint64_t disk_bytes = 0;  // files of the database, now
  uint64_t log_bytes = 0;   // of these, log segments
  Timestamp published;      // newest commit that reads see
  Timestamp oldest_snapshot;
  std::vector<KeyspaceStatistics> keyspaces;
  // (log + flush + compaction + spilled bytes) / user bytes; 0 before the first write.
  double write_amplification() const;
  std::string to_string() const;
};

// All of it in the text exposition format of Prometheus (0.0.4): metrics named varve_..., in
// seconds and bytes, with labels for reasons, kinds of conflicts, keyspaces, levels, roles and
// pools; latencies as histograms. A time that there is not, such as that of the oldest snapshot
// when none is open, is left out. No label says which database it is.
std::string to_prometheus(const Statistics& statistics, const MemoryReport& memory);

}  // namespace varve
