// Filters, small enough for the processor's caches and far larger: build and probe; beside one load
// of a line of as much memory, which may overlap with the next as probes may, and its write.

#include <benchmark/benchmark.h>

#include <vector>

#include "bench/micro/limits.h"
#include "bench/samples.h"
#include "lsm/filter.h"
#include "memory/buffer.h"

namespace varve::bench {
namespace {

constexpr uint32_t kBitsPerKey = 10;

std::vector<uint64_t> make_hashes(uint64_t keys) {
  std::vector<uint64_t> hashes(keys);
  Random random(3);
  for (uint64_t& hash : hashes) hash = random.next();
  return hashes;
}

size_t bytes_of(const benchmark::State& state) {
  return static_cast<size_t>(state.range(0)) * kBitsPerKey / 8;
}

#define VARVE_KEYS ArgName("keys")->Arg(30'000)->Arg(50'000'000)

// Hardly any of the hashes is of a key that is there.
void probe(benchmark::State& state) {
  static MemoryManager manager(0);
  Buffer payload(&manager, MemoryRole::filter);
  require(build_filter(make_hashes(static_cast<uint64_t>(state.range(0))), kBitsPerKey, &payload));
  const FilterView filter = *FilterView::parse(payload.view());
  uint64_t number = 0;
  uint64_t passed = 0;
  for (auto _ : state) passed += filter.may_contain(mix64(number++));
  state.counters["false_positives"] =
      benchmark::Counter(static_cast<double>(passed), benchmark::Counter::kAvgIterations);
}
BENCHMARK(probe)->VARVE_KEYS;

void limit_probe(benchmark::State& state) { run_independent_loads(state, bytes_of(state)); }
BENCHMARK(limit_probe)->VARVE_KEYS;

// A key; partitions have some ten thousand each.
void build(benchmark::State& state) {
  static MemoryManager manager(0);
  const std::vector<uint64_t> hashes = make_hashes(static_cast<uint64_t>(state.range(0)));
  Buffer payload(&manager, MemoryRole::filter);
  for (auto _ : state) {
    payload.clear();
    require(build_filter(hashes, kBitsPerKey, &payload));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(build)->ArgName("keys")->Arg(30'000)->Unit(benchmark::kMicrosecond);

// One write of a key's line, for as many keys.
void limit_build(benchmark::State& state) {
  RandomLines lines(bytes_of(state));
  for (auto _ : state) {
    for (uint64_t key = 0; key < static_cast<uint64_t>(state.range(0)); ++key) {
      lines.at(lines.any(key))[key % kLineSize] |= 1;
    }
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(limit_build)->ArgName("keys")->Arg(30'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace varve::bench
