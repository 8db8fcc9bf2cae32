// What a compaction does with a row: the merge of runs alone, and with all that follows until the
// rows are in sstables (in memory); beside copying the rows' bytes, and zstd over them.

#include <benchmark/benchmark.h>
#include <zstd.h>

#include <vector>

#include "bench/micro/limits.h"
#include "bench/samples.h"
#include "lsm/merge_cursor.h"
#include "lsm/run_cursor.h"

namespace varve::bench {
namespace {

constexpr uint64_t kRows = 400'000;
constexpr size_t kRowSize = kSampleKeySize + kSampleValueSize;

// Runs whose rows take turns, or whose ranges follow each other.
class Runs {
 public:
  Runs(uint64_t count, bool interleaved) {
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t rows = kRows / count;
      files_.push_back(home_.write(
          {.first = interleaved ? i : i * rows, .step = interleaved ? count : 1, .count = rows}));
    }
    std::vector<VersionCursor*> children;
    for (Sstable*& file : files_) {
      cursors_.push_back(std::make_unique<RunCursor>(&home_.manager()));
      cursors_.back()->reset({&file, 1}, true);
      children.push_back(cursors_.back().get());
    }
    merge_.reset(children);
  }
  ~Runs() {
    for (const std::unique_ptr<RunCursor>& cursor : cursors_) cursor->clear();
    for (Sstable* file : files_) file->unref();
  }
  Runs(const Runs&) = delete;
  Runs& operator=(const Runs&) = delete;

  MergeCursor& merge() { return merge_; }
  MemoryManager& manager() { return home_.manager(); }

 private:
  SampleFiles home_;
  std::vector<Sstable*> files_;
  std::vector<std::unique_ptr<RunCursor>> cursors_;
  MergeCursor merge_;
};

// Arguments: runs; whether their rows take turns, or their ranges follow each other.
void next(benchmark::State& state) {
  Runs runs(static_cast<uint64_t>(state.range(0)), state.range(1) != 0);
  MergeCursor& merge = runs.merge();
  merge.seek_to_first();
  uint64_t sum = 0;
  for (auto _ : state) {
    sum += merge.user_key().size() + merge.value().size();
    merge.next();
    if (!merge.valid()) merge.seek_to_first();
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(next)
    ->ArgNames({"runs", "interleaved"})
    ->Args({1, 0})
    ->Args({2, 1})
    ->Args({4, 1})
    ->Args({8, 1})
    ->Args({4, 0});

// A row from the merge into an sstable: hash, block, index, filter, checksum, codec.
void compact(benchmark::State& state) {
  Runs runs(static_cast<uint64_t>(state.range(0)), true);
  MergeCursor& merge = runs.merge();
  const std::unique_ptr<FileSystem> files = FileSystem::create_memory();
  const auto codec = static_cast<Compression>(state.range(1));
  for (auto _ : state) {
    SstableWriter writer(&runs.manager(), std::move(*files->open("f", OpenMode::create_exclusive)),
                         {1, 2}, {.codec = codec});
    for (merge.seek_to_first(); merge.valid(); merge.next()) {
      require(writer
                  .add(merge.user_key(), key_hash(merge.user_key()), merge.timestamp(),
                       merge.kind(), merge.value())
                  .ok());
    }
    require(writer.finish().ok());
    require(files->remove("f").ok());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kRows * kRowSize));
}
BENCHMARK(compact)
    ->ArgNames({"runs", "zstd"})
    ->Args({4, 0})
    ->Args({4, 1})
    ->Unit(benchmark::kMillisecond);

void limit_copy(benchmark::State& state) { run_copies(state, kRows * kRowSize, kRowSize); }
BENCHMARK(limit_copy);

// As many rows' bytes as `compact` has, in pieces of a block.
void limit_zstd(benchmark::State& state) {
  constexpr size_t kPiece = 16 * 1024;
  Samples samples;
  std::string rows;
  for (uint64_t i = 0; i < kRows; ++i) rows.append(samples.key(i)).append(samples.value(i));
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  std::vector<char> to(ZSTD_compressBound(kPiece));
  for (auto _ : state) {
    for (size_t at = 0; at + kPiece <= rows.size(); at += kPiece) {
      benchmark::DoNotOptimize(
          ZSTD_compressCCtx(context, to.data(), to.size(), rows.data() + at, kPiece, 1));
    }
  }
  ZSTD_freeCCtx(context);
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(rows.size()));
}
BENCHMARK(limit_zstd)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace varve::bench
