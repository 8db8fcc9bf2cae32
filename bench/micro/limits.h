// What the machine itself takes: bare loops over memory, to hold beside what a structure of the
// engine takes for the same misses or bytes, in the same run. Such a figure bears the name
// `limit_...`.
//
// Thread rule: each object belongs to one thread.

#pragma once

#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/hash.h"
#include "base/random.h"

namespace varve::bench {

inline constexpr size_t kLineSize = 64;

// Cache lines in one random cycle: each begins with the number of the next one. In large pages
// where the system has them, as the engine's frames and memtables are.
class RandomLines {
 public:
  explicit RandomLines(size_t bytes) : count_(static_cast<uint32_t>(bytes / kLineSize)) {
    constexpr size_t kLargePage = size_t{2} << 20;
    const size_t size = (bytes + kLargePage - 1) / kLargePage * kLargePage;
    lines_.reset(static_cast<char*>(std::aligned_alloc(kLargePage, size)));
    if (lines_ == nullptr) std::abort();
    ::madvise(lines_.get(), size, MADV_HUGEPAGE);  // a wish: without it pages are small
    std::memset(lines_.get(), 0, size);
    // S. Sattolo's shuffle: one cycle through all.
    std::vector<uint32_t> order(count_);
    for (uint32_t i = 0; i < count_; ++i) order[i] = i;
    Random random(1);
    for (uint32_t i = count_ - 1; i > 0; --i) std::swap(order[i], order[random.below(i)]);
    for (uint32_t i = 0; i < count_; ++i) std::memcpy(at(i), &order[i], sizeof order[i]);
  }
  uint32_t count() const { return count_; }
  char* at(uint32_t line) { return lines_.get() + size_t{line} * kLineSize; }
  uint32_t next(uint32_t line) {
    std::memcpy(&line, at(line), sizeof line);
    return line;
  }
  // A line that is as good as drawn by chance.
  uint32_t any(uint64_t number) const {
    return static_cast<uint32_t>(((mix64(number) >> 32) * count_) >> 32);
  }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  const uint32_t count_;
  std::unique_ptr<char, Free> lines_;
};

// `loads` cache misses, each of which names the next: what a search that meets so many cannot beat.
// The first place is drawn anew, so that the processor may overlap one search with the next, as it
// may in the loop that is measured beside it.
inline void run_dependent_loads(benchmark::State& state, size_t bytes, int loads) {
  RandomLines lines(bytes);
  uint64_t number = 0;
  uint32_t sum = 0;
  for (auto _ : state) {
    uint32_t line = lines.any(number++);
    for (int i = 0; i < loads; ++i) line = lines.next(line);
    sum += line;
  }
  benchmark::DoNotOptimize(sum);
}

// Misses that the processor may overlap: what a probe whose address is known at once cannot beat.
inline void run_independent_loads(benchmark::State& state, size_t bytes) {
  RandomLines lines(bytes);
  uint64_t number = 0;
  uint32_t sum = 0;
  for (auto _ : state) sum += lines.next(lines.any(number++));
  benchmark::DoNotOptimize(sum);
}

// Writes of `size` bytes to places drawn by chance.
inline void run_random_writes(benchmark::State& state, size_t bytes, size_t size) {
  RandomLines lines(bytes);
  const std::vector<char> record(size, 'r');
  const auto last = static_cast<uint32_t>(lines.count() - size / kLineSize - 1);
  uint64_t number = 0;
  for (auto _ : state) {
    const uint32_t line = lines.any(number++);
    std::memcpy(lines.at(line < last ? line : last), record.data(), size);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(size));
}

// Copies of `size` bytes through memory: `bytes` are read, and as many written, over and over.
inline void run_copies(benchmark::State& state, size_t bytes, size_t size) {
  const std::vector<char> from(bytes, 'f');
  std::vector<char> to(bytes);
  size_t at = 0;
  for (auto _ : state) {
    if (at + size > bytes) at = 0;
    std::memcpy(to.data() + at, from.data() + at, size);
    benchmark::ClobberMemory();
    at += size;
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(size));
}

}  // namespace varve::bench
