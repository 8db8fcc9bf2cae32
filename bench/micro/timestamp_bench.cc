// What a read pays for its timestamp: the load of the published one, from a cache line that a
// committing thread writes, beside a copy that the reading thread keeps for itself and renews every
// 64 reads. docs/decisions.md says what came of it.

#include <benchmark/benchmark.h>

#include <memory>

#include "base/atomic.h"
#include "base/thread.h"
#include "mvcc/timestamp_oracle.h"

namespace varve {
namespace {

// Commits as fast as it can, or so often that `pause_nanos` lie between.
class Writer {
 public:
  Writer(TimestampOracle* oracle, uint64_t pause_nanos)
      : thread_("varve-bench", 0, [this, oracle, pause_nanos] {
          Clock* const clock = Clock::system();
          for (uint64_t next = 0; !stop_.load(kRelaxed);) {
            const uint64_t now = clock->monotonic_nanos();
            if (now < next) continue;
            next = now + pause_nanos;
            oracle->publish(oracle->allocate(1));
          }
        }) {}
  ~Writer() { stop_.store(true); }

 private:
  Atomic<bool> stop_{false};
  Thread thread_;
};

// Arguments: nanoseconds between two commits beside it; 0: there are none.
void read_timestamp(benchmark::State& state, bool cached) {
  TimestampOracle oracle(Clock::system(), {1}, {UINT64_MAX});
  std::unique_ptr<Writer> writer;
  const auto pause = static_cast<uint64_t>(state.range(0));
  if (pause != 0) writer = std::make_unique<Writer>(&oracle, pause);
  Timestamp own = oracle.published();
  uint64_t reads = 0;
  for (auto _ : state) {
    if (!cached || ++reads % 64 == 0) own = oracle.published();
    benchmark::DoNotOptimize(own.nanos);
    benchmark::ClobberMemory();
  }
}
void read_published(benchmark::State& state) { read_timestamp(state, false); }
void read_thread_cached(benchmark::State& state) { read_timestamp(state, true); }
BENCHMARK(read_published)->ArgName("pause")->Arg(0)->Arg(1000)->Arg(100);
BENCHMARK(read_thread_cached)->ArgName("pause")->Arg(0)->Arg(1000)->Arg(100);

}  // namespace
}  // namespace varve
