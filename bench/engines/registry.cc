// Which engines this build has, and what their adapters share.

#include <algorithm>

#include "bench/engines/engine.h"

namespace varve::bench {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Engine> (*make)();
};

constexpr Entry kEngines[] = {
    {"varve", make_varve_engine},
#if defined(VARVE_HAVE_ROCKSDB)
    {"rocksdb", make_rocksdb_engine},
    {"rocksdb-tuned", make_rocksdb_tuned_engine},
    {"rocksdb-optimistic", make_rocksdb_optimistic_engine},
    {"rocksdb-pessimistic", make_rocksdb_pessimistic_engine},
#endif
#if defined(VARVE_HAVE_LEVELDB)
    {"leveldb", make_leveldb_engine},
#endif
#if defined(VARVE_HAVE_LMDB)
    {"lmdb", make_lmdb_engine},
#endif
#if defined(VARVE_HAVE_WIREDTIGER)
    {"wiredtiger", make_wiredtiger_engine},
#endif
#if defined(VARVE_HAVE_SQLITE)
    {"sqlite", make_sqlite_engine},
#endif
};

}  // namespace

std::vector<std::string> engine_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kEngines) names.emplace_back(entry.name);
  return names;
}

std::unique_ptr<Engine> create_engine(std::string_view name) {
  for (const Entry& entry : kEngines) {
    if (entry.name == name) return entry.make();
  }
  return nullptr;
}

uint64_t block_cache_bytes(const EngineConfig& config, uint32_t block_size) {
  // An index entry is about a key and a varint handle; some files overlap while compaction runs,
  // hence a tenth more.
  const uint64_t row_bytes = config.key_size + config.value_size;
  const uint64_t rows_per_block =
      std::max<uint64_t>(1, block_size / std::max<uint64_t>(1, row_bytes));
  const uint64_t index_bytes = config.expected_keys / rows_per_block * (config.key_size + 8);
  const uint64_t filter_bytes = config.expected_keys * static_cast<uint64_t>(config.bloom_bits) / 8;
  const uint64_t outside = (index_bytes + filter_bytes) * 11 / 10;
  return config.cache_size - std::min(outside, config.cache_size / 2);
}

bool is_numbered_file(std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return false;
  const std::string_view number = name.substr(0, name.size() - suffix.size());
  return !number.empty() &&
         std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace varve::bench
