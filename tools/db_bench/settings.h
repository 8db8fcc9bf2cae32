// What the command line asked for, with defaults filled in.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/engines/engine.h"
#include "varve/types.h"

namespace varve::bench {

// Sizes in bytes, times in seconds. `reads` and `writes` count per thread.
struct Settings {
  std::vector<std::string> benchmarks;
  std::string engine = "varve";
  std::string directory;
  bool use_existing_db = false;

  uint64_t num = 1'000'000;
  bool num_given = false;
  std::optional<uint64_t> reads;   // default: num
  std::optional<uint64_t> writes;  // default: reads; of loads: num, in all
  double duration = 0;             // 0: by number of operations
  double warmup = 0.05;            // share of the operations
  uint32_t threads = 1;
  uint64_t seed = 1;

  uint32_t key_size = 16;
  uint32_t value_size = 100;
  double compression_ratio = 0.5;
  std::optional<uint32_t> batch_size;  // default: 1, of some benchmarks more
  uint32_t seek_nexts = 0;
  bool reverse_iterator = false;
  double read_random_exp_range = 0;
  uint32_t readwritepercent = 50;
  uint64_t benchmark_write_rate_limit = 0;  // bytes a second, 0: none

  Isolation isolation = Isolation::snapshot;
  std::optional<TransactionMode> transaction_mode;  // that was asked for
  uint32_t transaction_sets = 2;
  uint64_t hot_keys = 0;  // 0: all

  Durability durability = Durability::os;
  Compression compression = Compression::zstd;
  uint64_t cache_size = uint64_t{1} << 30;
  uint64_t write_buffer_size = uint64_t{64} << 20;
  uint64_t memory_budget = 0;  // 0: of the two
  uint32_t block_size = 0;     // 0: the engine's own
  uint32_t min_blob_size = 8192;
  uint32_t bloom_bits = 10;
  uint64_t history_retention = 0;

  bool histogram = false;
  bool statistics = false;
  bool json = false;
  double stats_interval_seconds = 0;
  std::string report_file;
  std::string latency_file;

  uint64_t budget_bytes() const {
    return memory_budget != 0 ? memory_budget : budget_of_parts(cache_size, write_buffer_size);
  }
  uint64_t reads_per_thread() const { return reads.value_or(num); }
  uint64_t writes_per_thread() const { return writes.value_or(reads_per_thread()); }
};

// Reads the command line. nullopt: the process should end with *exit_status; what there was to say
// (help, version, the error and the nearest known name) has been printed.
std::optional<Settings> parse_flags(int argc, char** argv, int* exit_status);

}  // namespace varve::bench
