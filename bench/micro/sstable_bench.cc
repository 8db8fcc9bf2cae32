// An sstable in the cache, of 2 million rows of 16-byte keys and 100-byte values: the search in its
// index, a hit of the cache, a whole point read; beside as many dependent misses in as much memory.
//
//   index_search   from the top index to the number of the block
//   cache_hit      from a slot to the pinned frame, and back
//   resident_hit   the same inside an epoch guard, as point reads do: nothing is counted
//   get            a point read, without the database around it

#include <benchmark/benchmark.h>

#include <vector>

#include "bench/micro/limits.h"
#include "bench/samples.h"
#include "lsm/run_cursor.h"

namespace varve::bench {
namespace {

constexpr uint64_t kRows = 2'000'000;
constexpr size_t kDataBytes = kRows * (kSampleKeySize + kSampleValueSize);

// The file, all of it in the cache. Made once.
class CachedFile {
 public:
  static CachedFile& instance() {
    static CachedFile file;
    return file;
  }
  Sstable& sstable() { return *sstable_; }
  EpochDomain& epochs() { return files_.epochs(); }
  const std::vector<FrameRef>& partitions() const { return partitions_; }

 private:
  CachedFile() : sstable_(files_.write({.first = 0, .step = 1, .count = kRows})) {
    RunCursor cursor(&files_.manager());
    cursor.reset({&sstable_, 1}, true);
    for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
    }
    for (uint32_t i = 0; i < sstable_->partition_count(); ++i) {
      partitions_.push_back(std::move(*sstable_->partition(i, true)));
      require(sstable_->filter(i, true).ok());
    }
  }
  ~CachedFile() {
    partitions_.clear();
    sstable_->unref();
  }

  SampleFiles files_;
  Sstable* const sstable_;
  std::vector<FrameRef> partitions_;
};

void index_search(benchmark::State& state) {
  CachedFile& file = CachedFile::instance();
  Samples samples;
  uint64_t number = 0;
  uint64_t sum = 0;
  for (auto _ : state) {
    const VersionKey wanted{samples.key(mix64(number++) % kRows), kTimestampMax};
    const uint32_t after = file.sstable().top().upper_bound(wanted);
    sum += file.partitions()[after == 0 ? 0 : after - 1]->view.upper_bound(wanted);
  }
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(index_search);

// Frames drawn by chance among all blocks.
template <typename Hit>
void hit_random_block(benchmark::State& state, const Hit& hit) {
  CachedFile& file = CachedFile::instance();
  uint64_t number = 0;
  uint64_t sum = 0;
  for (auto _ : state) {
    const FrameRef& partition = file.partitions()[mix64(number) % file.partitions().size()];
    const auto block = static_cast<uint32_t>(mix64(~number) % partition->view.row_count());
    sum += hit(file, partition, block);
    ++number;
  }
  benchmark::DoNotOptimize(sum);
}

void cache_hit(benchmark::State& state) {
  hit_random_block(state, [](CachedFile& file, const FrameRef& partition, uint32_t block) {
    const Result<FrameRef> frame = file.sstable().block(partition, block, true);
    require(frame.ok());
    return (*frame)->view.row_count();
  });
}
BENCHMARK(cache_hit);

void resident_hit(benchmark::State& state) {
  hit_random_block(state, [](CachedFile& file, const FrameRef& partition, uint32_t block) {
    const EpochDomain::Guard guard(file.epochs());
    const Frame* frame = partition->children[block].load(kAcquire);
    require(frame != nullptr);
    return frame->view.row_count();
  });
}
BENCHMARK(resident_hit);

void get(benchmark::State& state) {
  CachedFile& file = CachedFile::instance();
  Samples samples;
  uint64_t number = 0;
  uint64_t sum = 0;
  for (auto _ : state) {
    const std::string_view key = samples.key(mix64(number++) % kRows);
    const EpochDomain::Guard guard(file.epochs());
    ReadAccess access{.resident_only = true};
    FoundVersion found;
    const Result<bool> got = file.sstable().get(key, key_hash(key), kTimestampMax, &access, &found);
    require(got.ok() && *got);
    sum += static_cast<uint8_t>(found.value[0]);
  }
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(get);

// A hit: the slot names the frame.
void limit_two_loads(benchmark::State& state) { run_dependent_loads(state, kDataBytes, 2); }
BENCHMARK(limit_two_loads);

// A point read: the index, the head of the block with its tags, the row.
void limit_three_loads(benchmark::State& state) { run_dependent_loads(state, kDataBytes, 3); }
BENCHMARK(limit_three_loads);

}  // namespace
}  // namespace varve::bench
