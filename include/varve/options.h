// How a database is opened. Three settings matter: memory_budget, durability, history_retention.
// The others have a derived or sensible default; each names its trade-off.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "varve/types.h"

namespace varve {

class Cancellation;
class Clock;
class Executor;
class FileSystem;
class Logger;
class MemoryBudget;
class Snapshot;

// The least that Options::memory_budget may be.
inline constexpr uint64_t kMemoryBudgetMin = 4ull * 1024 * 1024;

struct Options {
  // Bytes for everything the engine holds: memtables, cache, indexes, filters, cursors, batches.
  // 0: a quarter of what this machine, or the control group, has; else at least kMemoryBudgetMin.
  uint64_t memory_budget = 0;
  // What an acknowledged commit survives, unless a write says otherwise.
  Durability durability = Durability::sync;
  // How long past versions stay readable through snapshot_at(). Costs disk space: every version of
  // that window is kept. 0: only what open snapshots need.
  std::chrono::nanoseconds history_retention{0};

  // Create the database when the directory is missing or empty.
  bool create_if_missing = true;
  // Refuse to open one that exists: already_exists.
  bool error_if_exists = false;
  // Commits that durability `buffered` may lose, as time.
  std::chrono::milliseconds loss_window{100};
  // Bytes of one memtable before it is flushed. Larger: fewer rewrites, longer recovery.
  // 0: an eighth of the budget, between 64 KiB and 64 MiB. Where two of them take more than half of
  // it, less than an eighth is left for the largest value.
  uint64_t write_buffer_size = 0;
  // At most so many bytes of blocks, indexes and filters are kept in memory. 0: what else leaves of
  // the budget, which moves between them and memtables by demand.
  uint64_t cache_size = 0;
  // Sstables that are open at a time; others are opened when they are read. 0: half of what the
  // process may open (RLIMIT_NOFILE).
  uint32_t open_files_max = 0;
  // Memory that this database shares with others, instead of a budget of its own: memory_budget and
  // cache_size stay 0. Null: it shares none.
  std::shared_ptr<MemoryBudget> shared_budget = nullptr;
  // Codec of the bottom run, which holds most data; runs above it are not compressed.
  Compression compression = Compression::zstd;
  // Uncompressed bytes of a data block. Larger: denser on disk, more bytes read for a point read.
  uint32_t block_size = 8 * 1024;
  // Values of at least so many bytes are written once, to files of values, and sstables point to
  // them: compactions do not rewrite them, but a scan reads each on its own, and each is compressed
  // on its own. 0: none are.
  uint32_t separate_values_from = 8 * 1024;
  // Bits a key in filters. 10: about 1 % of absent keys cost a block read. 0: no filters.
  uint32_t filter_bits_per_key = 10;
  // Of so many commits and point reads one is timed, for latencies in Statistics. 1: each, at the
  // price of reading the clock twice; 0: none.
  uint32_t latency_sampling = 64;
  // Background threads when no executor is given. 0: one for flushes and one for compactions.
  int background_threads = 0;

  // Seams; null means the operating system's. They must outlive the database.
  FileSystem* file_system = nullptr;
  Clock* clock = nullptr;
  Executor* executor = nullptr;
  Logger* logger = nullptr;  // null: a file LOG in the directory, rotated at open
};

// Options of one keyspace, fixed when it is created, kept in the manifest.
struct KeyspaceOptions {
  // Unset: the database's. `none`: no log for this keyspace.
  std::optional<Durability> durability = {};
  // Unset: the database's.
  std::optional<std::chrono::nanoseconds> history_retention = {};
};

struct ReadOptions {
  Keyspace keyspace = kDefaultKeyspace;
  // Null: the latest published commit.
  const Snapshot* snapshot = nullptr;
  // False: blocks read for this call do not displace others in the cache.
  bool fill_cache = true;
  // Looked at before each key that has to be read from a file, and before each few others. Null:
  // nobody cancels.
  const Cancellation* cancellation = nullptr;
};

struct WriteOptions {
  Keyspace keyspace = kDefaultKeyspace;  // of put() and erase(); a batch names its own
  // Unset: the keyspace's, else the database's; `none` counts as `buffered` on a logged keyspace.
  std::optional<Durability> durability = {};
  // Longest wait for memory or disk before the commit is begun; then timed_out. Unset: as long as
  // it takes.
  std::optional<std::chrono::nanoseconds> timeout = {};
  // Ends that wait; then cancelled, and nothing was changed.
  const Cancellation* cancellation = nullptr;
};

// Bounds are copied by the cursor.
struct ScanOptions {
  Keyspace keyspace = kDefaultKeyspace;
  const Snapshot* snapshot = nullptr;  // null: as of the cursor's opening
  std::string_view lower = {};         // first key, included; empty: from the first
  // First key not included; empty: to the end.
  std::string_view upper = {};
  // Only keys that begin with it; combined with the bounds above.
  std::string_view prefix = {};
  bool fill_cache = true;
  // Ends the walk; looked at for each version that it comes by, also of those that it does not
  // show. Null: nobody cancels.
  const Cancellation* cancellation = nullptr;
  // In a transaction: also what it writes after the cursor was opened.
  bool live = false;
};

}  // namespace varve
