#include "tests/model/model_presets.h"

#include <type_traits>

namespace varve::test {

void PrintTo(const Preset& preset, std::ostream* out) { *out << preset.name; }

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all = {
      {.name = "plain"},
      {.name = "threads", .threads = 2},
      {.name = "one_thread", .threads = 1, .durability = Durability::buffered},
      {.name = "tiny_buffers", .write_buffer_size = 16 * 1024},
      {.name = "tiny_buffers_threads", .write_buffer_size = 16 * 1024, .threads = 3},
      {.name = "tiny_blocks", .block_size = 512},
      {.name = "tiny_cache", .cache_size = 8 * 1024, .block_size = 512},
      {.name = "tiny_everything",
       .write_buffer_size = 16 * 1024,
       .cache_size = 4 * 1024,
       .block_size = 512,
       .threads = 2},
      {.name = "no_filters", .block_size = 1024, .filter_bits_per_key = 0},
      {.name = "no_compression", .block_size = 1024, .compression = Compression::none},
      {.name = "sync", .durability = Durability::sync},
      {.name = "buffered", .durability = Durability::buffered},
      {.name = "retention", .block_size = 1024, .retention_nanos = 2'000'000'000},
      {.name = "retention_forever",
       .write_buffer_size = 16 * 1024,
       .block_size = 512,
       .threads = 2,
       .retention_nanos = uint64_t{1} << 62},
      {.name = "unlogged", .write_buffer_size = 16 * 1024, .unlogged_keyspace = true},
      {.name = "unlogged_threads",
       .write_buffer_size = 32 * 1024,
       .block_size = 1024,
       .threads = 2,
       .durability = Durability::buffered,
       .unlogged_keyspace = true},
      {.name = "large_values", .block_size = 1024, .threads = 2, .value_size_max = 20'000},
      {.name = "inline_large_values",
       .block_size = 1024,
       .value_size_max = 20'000,
       .separate_values_from = 0},
      {.name = "values_apart", .block_size = 512, .separate_values_from = 1},
      {.name = "some_values_apart",
       .cache_size = 8 * 1024,
       .block_size = 1024,
       .compression = Compression::none,
       .threads = 2,
       .retention_nanos = 2'000'000'000,
       .separate_values_from = 80,
       .open_files_max = 3},
      // The budget alone, as users set it; the smallest ones are full most of the time.
      {.name = "budget_only", .memory_budget = 16 << 20, .write_buffer_size = 0, .cache_size = 0},
      {.name = "budget_only_threads",
       .memory_budget = 16 << 20,
       .write_buffer_size = 0,
       .cache_size = 0,
       .threads = 2},
      {.name = "least_budget", .memory_budget = 4 << 20, .write_buffer_size = 0, .cache_size = 0},
      {.name = "least_budget_threads",
       .memory_budget = 4 << 20,
       .write_buffer_size = 64 * 1024,
       .cache_size = 0,
       .block_size = 4096,
       .threads = 2},
      {.name = "little_budget_large_values",
       .memory_budget = 16 << 20,
       .write_buffer_size = 256 * 1024,
       .cache_size = 0,
       .block_size = 4096,
       .value_size_max = 50'000},
      {.name = "few_files", .write_buffer_size = 16 * 1024, .block_size = 512, .open_files_max = 1},
      {.name = "few_files_threads",
       .write_buffer_size = 16 * 1024,
       .block_size = 512,
       .threads = 3,
       .open_files_max = 2},
      {.name = "large_blocks", .write_buffer_size = 256 * 1024, .block_size = 256 * 1024},
      {.name = "many_filter_bits", .block_size = 1024, .filter_bits_per_key = 40},
      {.name = "one_filter_bit", .block_size = 1024, .filter_bits_per_key = 1, .threads = 1},
      {.name = "sync_threads",
       .write_buffer_size = 32 * 1024,
       .block_size = 1024,
       .threads = 2,
       .durability = Durability::sync},
      {.name = "buffered_tiny",
       .write_buffer_size = 16 * 1024,
       .cache_size = 4096,
       .block_size = 512,
       .durability = Durability::buffered},
      {.name = "short_retention",
       .write_buffer_size = 16 * 1024,
       .block_size = 1024,
       .threads = 1,
       .retention_nanos = 50'000'000},
      {.name = "retention_buffered_unlogged",
       .write_buffer_size = 32 * 1024,
       .block_size = 2048,
       .durability = Durability::buffered,
       .retention_nanos = 500'000'000,
       .unlogged_keyspace = true},
      {.name = "one_memtable", .write_buffer_size = 8 << 20, .block_size = 1024},
      {.name = "no_filters_no_compression_threads",
       .write_buffer_size = 16 * 1024,
       .cache_size = 16 * 1024,
       .block_size = 512,
       .filter_bits_per_key = 0,
       .compression = Compression::none,
       .threads = 2},
  };
  return all;
}

Preset random_preset(Random* random) {
  Preset preset{.name = "random"};
  const auto pick = [random](auto... choices) {
    const std::common_type_t<decltype(choices)...> all[] = {choices...};
    return all[random->below(sizeof...(choices))];
  };
  // Not the least one: with zstd, a compaction beside a read may leave that none.
  preset.memory_budget = uint64_t{1} << 20 << pick(3, 3, 4, 6);
  preset.write_buffer_size = uint64_t{1024} * pick(16, 32, 64, 256);
  preset.cache_size = uint64_t{1024} * pick(0, 4, 64, 1024);
  preset.block_size = 512u << random->below(8);
  preset.filter_bits_per_key = pick(0u, 1u, 10u, 20u);
  preset.compression = pick(Compression::none, Compression::zstd);
  preset.threads = pick(0, 0, 1, 2, 3);
  preset.durability = pick(Durability::sync, Durability::os, Durability::buffered);
  preset.retention_nanos = pick(uint64_t{0}, uint64_t{0}, uint64_t{100'000'000}, uint64_t{1} << 40);
  preset.unlogged_keyspace = random->one_in(3);
  preset.value_size_max = pick(size_t{50}, size_t{200}, size_t{5000});
  preset.open_files_max = pick(0u, 1u, 3u);
  preset.separate_values_from = pick(0u, 1u, 30u, 1000u, 4096u);
  return preset;
}

}  // namespace varve::test
