// What open snapshots cost puts and gets: each at a timestamp of its own, with the versions that it
// holds on to. Compare the two arguments within one run, repeated and interleaved:
//   snapshot_bench --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "varve/varve.h"

namespace varve {
namespace {

constexpr uint64_t kRows = 500'000;
constexpr uint64_t kPuts = 100'000;
constexpr size_t kValueSize = 100;

struct Silence final : Logger {
  void write(LogLevel, std::string_view) override {}
};

// A database in memory: the rows written and merged, then a number of puts, a snapshot after each
// of the first `snapshots`.
class Rows {
 public:
  explicit Rows(uint64_t snapshots) {
    Options options;
    options.memory_budget = 512 << 20;
    options.durability = Durability::os;
    options.compression = Compression::none;
    options.file_system = files_.get();
    options.logger = &silence_;
    Result<std::unique_ptr<Database>> opened = Database::open(options, "/rows");
    ok_ = opened.ok();
    if (!ok_) return;
    database_ = std::move(*opened);
    for (uint64_t i = 0; i < kRows; ++i) put(i * 7919 % kRows);
    ok_ = ok_ && database_->compact().ok();
    for (uint64_t i = 0; i < kPuts; ++i) {
      put(random_.below(kRows));
      if (i >= snapshots) continue;
      Result<Snapshot> snapshot = database_->snapshot();
      ok_ = ok_ && snapshot.ok();
      if (ok_) snapshots_.push_back(std::move(*snapshot));
    }
  }
  ~Rows() { snapshots_.clear(); }
  bool ok() const { return ok_; }
  void put(uint64_t row) { ok_ = database_->put(key_of(row), value_).ok() && ok_; }
  void get(uint64_t row) {
    const Result<std::optional<PinnedValue>> value = database_->get(key_of(row));
    ok_ = value.ok() && value->has_value() && ok_;
  }
  uint64_t random_row() { return random_.below(kRows); }

 private:
  std::string_view key_of(uint64_t row) {
    for (size_t i = 0; i < 8; ++i) key_[i] = static_cast<char>(row >> (56 - 8 * i));
    return {key_, sizeof key_};
  }

  const std::unique_ptr<FileSystem> files_ = FileSystem::create_memory();
  Silence silence_;
  std::unique_ptr<Database> database_;
  std::vector<Snapshot> snapshots_;
  Random random_{1};
  char key_[16] = {};
  const std::string value_ = std::string(kValueSize, 'v');
  bool ok_ = false;
};

template <void (Rows::*operation)(uint64_t)>
void beside_snapshots(benchmark::State& state) {
  Rows rows(static_cast<uint64_t>(state.range(0)));
  for (auto _ : state) (rows.*operation)(rows.random_row());
  if (!rows.ok()) state.SkipWithError("an operation failed");
}
BENCHMARK(beside_snapshots<&Rows::put>)->Name("put")->ArgName("snapshots")->Arg(0)->Arg(kPuts);
BENCHMARK(beside_snapshots<&Rows::get>)->Name("get")->ArgName("snapshots")->Arg(0)->Arg(kPuts);

}  // namespace
}  // namespace varve
