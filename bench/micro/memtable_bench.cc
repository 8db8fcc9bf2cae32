// Memtables of 16-byte keys and 100-byte values: inserts, gets, walks; beside bare memory.
//
//   limit_write        a record's bytes, written to places drawn by chance
//   limit_three_loads  three misses that name each other: slot of the table, node, version

#include <benchmark/benchmark.h>

#include <vector>

#include "bench/micro/limits.h"
#include "bench/samples.h"
#include "lsm/memtable.h"

namespace varve::bench {
namespace {

constexpr uint64_t kRows = 400'000;  // about what 64 MiB hold
constexpr size_t kBytes = size_t{64} << 20;
constexpr size_t kRecordSize = kSampleKeySize + kSampleValueSize;

// Rows in a memtable, in one order or the other.
class Rows {
 public:
  Rows() { make_memtable(); }
  ~Rows() { drop_memtable(); }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  void insert(uint64_t number) {
    require(memtable_->reserve(entry_size_, 1));
    const std::string_view key = samples_.key(number);
    memtable_->apply(key, key_hash(key), Timestamp{++timestamp_}, VersionKind::value, value_);
    memtable_->link_if_due();
  }
  void clear() {
    drop_memtable();
    make_memtable();
  }
  uint64_t get(uint64_t number) {
    const std::string_view key = samples_.key(number);
    const EpochDomain::Guard guard(epochs_);
    Memtable::Found found;
    require(memtable_->get(key, key_hash(key), kTimestampMax, &found));
    return static_cast<uint8_t>(found.value[0]);
  }
  Memtable* memtable() { return memtable_; }

 private:
  void make_memtable() {
    memtable_ = Memtable::create(&manager_, &epochs_, kRows, kBytes);
    require(memtable_ != nullptr);
  }
  void drop_memtable() {
    memtable_->unref();
    epochs_.drain();
  }

  const size_t entry_size_ = Memtable::entry_size(kSampleKeySize, kSampleValueSize);
  MemoryManager manager_{0};
  EpochDomain epochs_;
  Memtable* memtable_ = nullptr;
  Samples samples_;
  const std::string value_ = std::string(kSampleValueSize, 'v');
  uint64_t timestamp_ = 0;
};

// Each of kRows once, then a new memtable, unmeasured.
void insert(benchmark::State& state) {
  const bool ascending = state.range(0) != 0;
  Rows rows;
  uint64_t number = 0;
  for (auto _ : state) {
    if (number == kRows) {
      state.PauseTiming();
      rows.clear();
      number = 0;
      state.ResumeTiming();
    }
    rows.insert(ascending ? number : shuffled(number, kRows));
    ++number;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(insert)->ArgName("ascending")->Arg(0)->Arg(1);

void get(benchmark::State& state) {
  Rows rows;
  for (uint64_t i = 0; i < kRows; ++i) rows.insert(i);
  uint64_t number = 0;
  uint64_t sum = 0;
  for (auto _ : state) sum += rows.get(mix64(number++) % kRows);
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(get);

void next(benchmark::State& state) {
  Rows rows;
  for (uint64_t i = 0; i < kRows; ++i) rows.insert(shuffled(i, kRows));
  rows.memtable()->link_waiting();
  MemtableCursor cursor;
  cursor.reset(rows.memtable(), kTimestampMax, false);
  cursor.seek_to_first();
  uint64_t sum = 0;
  for (auto _ : state) {
    sum += static_cast<uint8_t>(cursor.value()[0]);
    cursor.next();
    if (!cursor.valid()) cursor.seek_to_first();
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(next);

void limit_write(benchmark::State& state) { run_random_writes(state, kBytes, kRecordSize); }
BENCHMARK(limit_write);

void limit_three_loads(benchmark::State& state) { run_dependent_loads(state, kBytes, 3); }
BENCHMARK(limit_three_loads);

}  // namespace
}  // namespace varve::bench
