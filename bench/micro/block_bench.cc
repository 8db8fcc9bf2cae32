// Blocks: walking, seeking, point reads, building, loading, compressing; beside them, as limit_...,
// bare loops over the same bytes. 16-byte keys and 100-byte
// values that compress to about half, in blocks of 8 KiB, unless a name says otherwise.
//
// `hot` works on one block, in the processor's caches. `cold` takes one of many blocks at random
// (64 MiB), so that it counts cache misses.
//
// An alternative to compare with, built here only: point reads by a binary search of the head
// column (no tag column): BM_find_by_heads. docs/decisions.md says what came of it.

#include <benchmark/benchmark.h>
#include <zstd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/hash.h"
#include "base/random.h"
#include "bench/micro/limits.h"
#include "lsm/block_builder.h"
#include "lsm/block_reader.h"
#include "lsm/codec.h"
#include "lsm/run_cursor.h"
#include "lsm/sstable_writer.h"
#include "memory/epoch.h"

namespace varve {
namespace {

constexpr size_t kBlockSize = 8 * 1024;

MemoryManager& memory() {
  static MemoryManager manager(0);
  return manager;
}

struct Row {
  std::string key;
  Timestamp timestamp;
  std::string value;
};

enum class Keys : uint8_t {
  random,  // big-endian number, then its hash: db-bench's; heads differ
  paths,   // "user/0012345/name/": long common beginnings within a block, equal heads
};

Row make_row(Keys keys, uint64_t number, Random* random) {
  Row row;
  if (keys == Keys::random) {
    row.key.resize(16);
    store_le(row.key.data(), __builtin_bswap64(number));
    store_le(row.key.data() + 8, mix64(number));
  } else {
    char text[40];
    row.key.assign(text,
                   static_cast<size_t>(std::snprintf(text, sizeof text, "user/%07llu/name/%llu",
                                                     static_cast<unsigned long long>(number / 4),
                                                     static_cast<unsigned long long>(number % 4))));
  }
  row.timestamp.nanos = 1'700'000'000'000'000'000 + random->below(1'000'000'000);
  row.value.resize(100);
  for (size_t i = 0; i < 50; ++i) row.value[i] = static_cast<char>(random->next());
  for (size_t i = 50; i < 100; ++i) row.value[i] = row.value[i - 50];
  return row;
}

// A block as it lies in a frame.
struct LoadedBlock {
  std::string payload;
  std::vector<uint64_t> columns;
  BlockView view;
  std::vector<std::string> keys;
  std::vector<uint64_t> hashes;
};

// Neighbouring rows, of which a gap of 1,000 numbers lies between any two.
LoadedBlock make_block(Keys keys, uint64_t first, Random* random) {
  LoadedBlock block;
  BlockBuilder builder(&memory(), MemoryRole::sstable_builder);
  for (uint64_t i = 0; builder.size_estimate() < kBlockSize; ++i) {
    const Row row = make_row(keys, first + (keys == Keys::random ? i * 1000 : i), random);
    if (!builder.add(row.key, row.timestamp, VersionKind::value, row.value)) std::abort();
    block.keys.push_back(row.key);
    block.hashes.push_back(key_hash(row.key));
  }
  const uint32_t rows = builder.summary().rows;
  Buffer payload(&memory(), MemoryRole::sstable_builder);
  if (!builder.finish(&payload)) std::abort();
  block.payload = payload.view();
  block.columns.resize(BlockView::columns_size(rows, block.payload.size(), true) /
                       sizeof(uint64_t));
  Result<BlockView> view =
      BlockView::parse(block.payload, rows, reinterpret_cast<char*>(block.columns.data()), true);
  if (!view.ok()) std::abort();
  block.view = *view;
  block.view.fill_tags();
  return block;
}

const std::vector<LoadedBlock>& blocks(Keys keys) {
  static const auto make = [](Keys k) {
    Random random(1);
    std::vector<LoadedBlock> all;
    for (uint64_t i = 0; i < 4096; ++i) {
      all.push_back(make_block(k, (k == Keys::random ? 1'000'000 : 200) * i, &random));
    }
    return all;
  };
  static const std::vector<LoadedBlock> random_keys = make(Keys::random);
  if (keys == Keys::random) return random_keys;
  static const std::vector<LoadedBlock> paths = make(Keys::paths);
  return paths;
}

Keys keys_of(const benchmark::State& state) { return static_cast<Keys>(state.range(0)); }
size_t blocks_of(const benchmark::State& state) { return static_cast<size_t>(state.range(1)); }

// Keys (0: random, 1: paths), blocks among which to choose (1: hot, 4096: cold).
void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"keys", "blocks"})->Args({0, 1})->Args({0, 4096})->Args({1, 1})->Args({1, 4096});
}
void hot_shapes(benchmark::internal::Benchmark* b) { b->ArgName("keys")->Arg(0)->Arg(1); }

// -- reading --

// The goal: at most 15 ns a row.
void BM_next_row(benchmark::State& state) {
  const LoadedBlock& block = blocks(keys_of(state))[0];
  const BlockView& view = block.view;
  uint64_t sum = 0;
  for (auto _ : state) {
    for (uint32_t i = 0; i < view.row_count(); ++i) {
      const BlockRow row = view.row(i);
      sum += row.suffix.size() + row.value.size() + view.timestamp(i).nanos +
             static_cast<uint64_t>(view.kind(i));
    }
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations() * view.row_count());
}
BENCHMARK(BM_next_row)->Apply(hot_shapes);

// Every word of the same block: memory bandwidth, here of the caches.
void limit_read_block(benchmark::State& state) {
  const LoadedBlock& block = blocks(Keys::random)[0];
  uint64_t sum = 0;
  for (auto _ : state) {
    for (size_t at = 0; at + sizeof(uint64_t) <= block.payload.size(); at += sizeof(uint64_t)) {
      sum += load_le<uint64_t>(block.payload.data() + at);
    }
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * block.view.row_count());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(block.payload.size()));
}
BENCHMARK(limit_read_block);

// The same through RunCursor, which hands out whole keys, over a file of 64 blocks in the cache.
void BM_next_run_cursor(benchmark::State& state) {
  EpochDomain epochs;
  BlockCache cache(&memory(), &epochs, 64 << 20);
  const std::unique_ptr<FileSystem> files = FileSystem::create_memory();
  SstableWriter writer(&memory(), std::move(*files->open("f", OpenMode::create_exclusive)), {1, 2},
                       {});
  Random random(1);
  for (uint64_t i = 0; i < 8000; ++i) {
    const Row row = make_row(keys_of(state), i * 1000, &random);
    if (!writer.add(row.key, key_hash(row.key), row.timestamp, VersionKind::value, row.value)
             .ok()) {
      std::abort();
    }
  }
  if (!writer.finish().ok()) std::abort();
  Sstable* sstable = *Sstable::open_unknown(files.get(), "f", &cache);
  {
    RunCursor cursor(&memory());
    cursor.reset({&sstable, 1}, true);
    uint64_t sum = 0;
    for (auto _ : state) {
      for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
        sum += cursor.user_key().size() + cursor.value().size() + cursor.timestamp().nanos;
      }
    }
    benchmark::DoNotOptimize(sum);
  }
  sstable->unref();
  state.SetItemsProcessed(state.iterations() * 8000);
}
BENCHMARK(BM_next_run_cursor)->Apply(hot_shapes);

// Runs `look_up(block, key number)` on random keys of random blocks. Blocks are drawn ahead, so
// that drawing does not count.
template <typename LookUp>
void look_up_random(benchmark::State& state, const LookUp& look_up) {
  const std::vector<LoadedBlock>& all = blocks(keys_of(state));
  struct Draw {
    const LoadedBlock* block;
    uint32_t row;
  };
  Random random(2);
  std::vector<Draw> draws;
  for (size_t i = 0; i < 1 << 16; ++i) {
    const LoadedBlock& block = all[random.below(blocks_of(state))];
    draws.push_back({&block, static_cast<uint32_t>(random.below(block.keys.size()))});
  }
  size_t at = 0;
  uint64_t sum = 0;
  for (auto _ : state) {
    const Draw& draw = draws[at++ & (draws.size() - 1)];
    sum += look_up(*draw.block, draw.row);
  }
  benchmark::DoNotOptimize(sum);
}

// As Sstable::get does within a block: the value is touched.
void BM_find_by_tag(benchmark::State& state) {
  look_up_random(state, [](const LoadedBlock& block, uint32_t i) -> uint64_t {
    const uint32_t row = block.view.find(block.keys[i], block.hashes[i], kTimestampMax);
    return static_cast<uint8_t>(block.view.row(row).value[0]);
  });
}
BENCHMARK(BM_find_by_tag)->Apply(shapes);

// The alternative without a tag column: heads and offsets only.
void BM_find_by_heads(benchmark::State& state) {
  look_up_random(state, [](const LoadedBlock& block, uint32_t i) -> uint64_t {
    const uint32_t row = block.view.lower_bound({block.keys[i], kTimestampMax});
    if (row == block.view.row_count() || !block.view.has_key(row, block.keys[i])) std::abort();
    return static_cast<uint8_t>(block.view.row(row).value[0]);
  });
}
BENCHMARK(BM_find_by_heads)->Apply(shapes);

// A key that is not there but passed the filter.
void BM_find_absent_by_tag(benchmark::State& state) {
  look_up_random(state, [](const LoadedBlock& block, uint32_t i) -> uint64_t {
    return block.view.find(block.keys[i], block.hashes[i] * 0x9e3779b97f4a7c15ull, kTimestampMin);
  });
}
BENCHMARK(BM_find_absent_by_tag)->Apply(shapes);

void BM_find_absent_by_heads(benchmark::State& state) {
  look_up_random(state, [](const LoadedBlock& block, uint32_t i) -> uint64_t {
    const uint32_t row = block.view.lower_bound({block.keys[i], kTimestampMin});
    return row + block.view.has_key(std::min(row, block.view.row_count() - 1), block.keys[i]);
  });
}
BENCHMARK(BM_find_absent_by_heads)->Apply(shapes);

void BM_seek_by_heads(benchmark::State& state) {
  look_up_random(state, [](const LoadedBlock& block, uint32_t i) -> uint64_t {
    return block.view.lower_bound({block.keys[i], kTimestampMax});
  });
}
BENCHMARK(BM_seek_by_heads)->Apply(shapes);

// A search in blocks of 64 MiB: the tags with the offsets behind them, the row.
void limit_two_loads(benchmark::State& state) {
  bench::run_dependent_loads(state, 4096 * kBlockSize, 2);
}
BENCHMARK(limit_two_loads);

// -- building and loading --

std::vector<Row> rows_of_a_block(Keys keys) {
  Random random(1);
  std::vector<Row> rows;
  for (uint64_t i = 0; i < 125; ++i) rows.push_back(make_row(keys, i * 1000, &random));
  return rows;
}

void BM_build(benchmark::State& state) {
  const std::vector<Row> rows = rows_of_a_block(keys_of(state));
  BlockBuilder builder(&memory(), MemoryRole::sstable_builder);
  Buffer payload(&memory(), MemoryRole::sstable_builder);
  for (auto _ : state) {
    for (const Row& row : rows) {
      if (!builder.add(row.key, row.timestamp, VersionKind::value, row.value)) std::abort();
    }
    payload.clear();
    if (!builder.finish(&payload)) std::abort();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(rows.size()));
}
BENCHMARK(BM_build)->Apply(hot_shapes);

// What it costs that columns are derived, not stored.
void BM_parse(benchmark::State& state) {
  const LoadedBlock& block = blocks(Keys::random)[0];
  const bool with_tags = state.range(0) != 0;
  std::vector<uint64_t> columns(
      BlockView::columns_size(block.view.row_count(), block.payload.size(), with_tags) /
      sizeof(uint64_t));
  for (auto _ : state) {
    Result<BlockView> view = BlockView::parse(block.payload, block.view.row_count(),
                                              reinterpret_cast<char*>(columns.data()), with_tags);
    if (with_tags) view->fill_tags();
    benchmark::DoNotOptimize(view);
  }
  state.SetItemsProcessed(state.iterations() * block.view.row_count());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(block.payload.size()));
}
BENCHMARK(BM_parse)->ArgName("tags")->Arg(0)->Arg(1);

void BM_checksum(benchmark::State& state) {
  const LoadedBlock& block = blocks(Keys::random)[0];
  for (auto _ : state) benchmark::DoNotOptimize(checksum(block.payload, {1, 2}, 4096));
  state.SetItemsProcessed(state.iterations() * block.view.row_count());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(block.payload.size()));
}
BENCHMARK(BM_checksum);

// Rows through the whole writer: blocks, index, filter, checksums, file in memory.
void BM_write_sstable(benchmark::State& state) {
  Random random(1);
  std::vector<Row> rows;
  std::vector<uint64_t> hashes;
  for (uint64_t i = 0; i < 20'000; ++i) {
    rows.push_back(make_row(Keys::random, i * 1000, &random));
    hashes.push_back(key_hash(rows.back().key));
  }
  const std::unique_ptr<FileSystem> files = FileSystem::create_memory();
  uint64_t size = 0;
  for (auto _ : state) {
    SstableWriter writer(&memory(), std::move(*files->open("f", OpenMode::create_exclusive)),
                         {1, 2}, {.codec = static_cast<Compression>(state.range(0))});
    for (size_t i = 0; i < rows.size(); ++i) {
      const Row& row = rows[i];
      if (!writer.add(row.key, hashes[i], row.timestamp, VersionKind::value, row.value).ok()) {
        std::abort();
      }
    }
    if (!writer.finish().ok()) std::abort();
    size = writer.file_size();
    if (!files->remove("f").ok()) std::abort();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(rows.size()));
  state.counters["bytes_per_row"] = static_cast<double>(size) / static_cast<double>(rows.size());
}
BENCHMARK(BM_write_sstable)->ArgName("zstd")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

// -- compression --

void BM_compress(benchmark::State& state) {
  const LoadedBlock& block = blocks(Keys::random)[0];
  Codec codec(&memory(), MemoryRole::block_frames);
  std::string to(block.payload.size(), '\0');
  size_t size = 0;
  for (auto _ : state) size = codec.compress(block.payload, to.data());
  state.SetItemsProcessed(state.iterations() * block.view.row_count());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(block.payload.size()));
  state.counters["ratio"] = static_cast<double>(size) / static_cast<double>(block.payload.size());
}
BENCHMARK(BM_compress);

void BM_decompress(benchmark::State& state) {
  const LoadedBlock& block = blocks(Keys::random)[0];
  Codec codec(&memory(), MemoryRole::block_frames);
  std::string stored(block.payload.size(), '\0');
  stored.resize(codec.compress(block.payload, stored.data()));
  std::string to(block.payload.size(), '\0');
  for (auto _ : state) {
    if (!codec.decompress(stored, to.data(), to.size()).ok()) std::abort();
  }
  state.SetItemsProcessed(state.iterations() * block.view.row_count());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(block.payload.size()));
}
BENCHMARK(BM_decompress);

// zstd itself, and copying as much as comes out.
void limit_zstd_decompress(benchmark::State& state) {
  const LoadedBlock& block = blocks(Keys::random)[0];
  std::string stored(ZSTD_compressBound(block.payload.size()), '\0');
  stored.resize(
      ZSTD_compress(stored.data(), stored.size(), block.payload.data(), block.payload.size(), 1));
  std::string to(block.payload.size(), '\0');
  ZSTD_DCtx* context = ZSTD_createDCtx();
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        ZSTD_decompressDCtx(context, to.data(), to.size(), stored.data(), stored.size()));
  }
  ZSTD_freeDCtx(context);
  state.SetItemsProcessed(state.iterations() * block.view.row_count());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(block.payload.size()));
}
BENCHMARK(limit_zstd_decompress);

void limit_copy_block(benchmark::State& state) { bench::run_copies(state, kBlockSize, kBlockSize); }
BENCHMARK(limit_copy_block);

// Levels side by side, on the same block, with contexts of the heap.
void BM_zstd_level(benchmark::State& state) {
  const LoadedBlock& block = blocks(Keys::random)[0];
  ZSTD_CCtx* context = ZSTD_createCCtx();
  std::string to(ZSTD_compressBound(block.payload.size()), '\0');
  size_t size = 0;
  for (auto _ : state) {
    size = ZSTD_compressCCtx(context, to.data(), to.size(), block.payload.data(),
                             block.payload.size(), static_cast<int>(state.range(0)));
  }
  ZSTD_freeCCtx(context);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(block.payload.size()));
  state.counters["ratio"] = static_cast<double>(size) / static_cast<double>(block.payload.size());
}
BENCHMARK(BM_zstd_level)->ArgName("level")->Arg(-5)->Arg(-3)->Arg(-1)->Arg(1)->Arg(3)->Arg(6);

}  // namespace
}  // namespace varve
