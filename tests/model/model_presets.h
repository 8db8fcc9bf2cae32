// The options that histories run under: named ones, each for a corner of the engine, and random
// ones.

#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "base/random.h"
#include "varve/types.h"

namespace varve::test {

struct Preset {
  std::string name;
  uint64_t memory_budget = 64 << 20;
  uint64_t write_buffer_size = 64 * 1024;
  uint64_t cache_size = 1 << 20;
  uint32_t block_size = 16 * 1024;
  uint32_t filter_bits_per_key = 10;
  Compression compression = Compression::zstd;
  int threads = 0;  // 0: a manual executor
  Durability durability = Durability::os;
  uint64_t retention_nanos = 0;
  bool unlogged_keyspace = false;
  size_t value_size_max = 200;
  uint32_t separate_values_from = 8192;
  uint32_t open_files_max = 0;
};

void PrintTo(const Preset& preset, std::ostream* out);

// At least thirty.
const std::vector<Preset>& presets();
Preset random_preset(Random* random);

}  // namespace varve::test
