// Queue, time series, mixgraph: rows of another shape than the other benchmarks', with keys far
// above theirs, so that all of them can share one database.

#include <algorithm>

#include "tools/db_bench/distributions.h"
#include "tools/db_bench/operations.h"
#include "tools/db_bench/permutation.h"
#include "tools/db_bench/workloads.h"

namespace varve::bench {
namespace {

constexpr uint64_t kMixgraphBase = uint64_t{1} << 60;
constexpr uint64_t kSeriesBase = uint64_t{1} << 61;
constexpr uint64_t kQueueBase = uint64_t{1} << 62;

constexpr uint64_t kQueueLength = 1000;  // rows alive at any time
constexpr uint64_t kHeadRows = 10;       // read by one operation

// Points of a series before the measured phase, and read by one operation.
constexpr uint64_t kPointsPerSeries = 1000;
constexpr uint64_t kPointsRead = 100;

uint64_t series_count(const Settings& settings) {
  return std::max<uint64_t>(1, settings.num / kPointsPerSeries);
}

class QueueHeadWorkload final : public Workload {
 public:
  void prepare(Worker& worker) override { worker.session().cursor().open(); }
  void run(Worker& worker) override {
    EngineCursor& cursor = worker.session().cursor();
    while (worker.more()) {
      cursor.refresh();
      cursor.seek(worker.keys().present(kQueueBase));
      for (uint64_t i = 0; i < kHeadRows && cursor.valid(); i++) {
        worker.read_row(cursor.key(), cursor.value());
        if (i + 1 < kHeadRows) cursor.next();
      }
      worker.looked_up(cursor.valid());
      worker.finished(1);
    }
  }
};

class TimeSeriesReads final : public Workload {
 public:
  explicit TimeSeriesReads(const Settings& settings)
      : series_(series_count(settings)), times_(settings.num / series_) {}
  void prepare(Worker& worker) override { worker.session().cursor().open(); }
  void run(Worker& worker) override {
    EngineCursor& cursor = worker.session().cursor();
    while (worker.more()) {
      const uint64_t series = kSeriesBase + worker.draw().below(series_);
      const uint64_t begin = worker.draw().below(times_);
      const uint64_t end = std::min(begin + kPointsRead, times_);
      cursor.refresh();
      cursor.seek(worker.keys().point(series, begin));
      worker.looked_up(cursor.valid());
      for (uint64_t time = begin; time < end && cursor.valid(); time++) {
        worker.read_row(cursor.key(), cursor.value());
        cursor.next();
      }
      worker.finished(1);
    }
  }

 private:
  const uint64_t series_;
  const uint64_t times_;  // that every series has
};

class TimeSeriesAppends final : public Workload {
 public:
  explicit TimeSeriesAppends(const Settings& settings)
      : series_(series_count(settings)), count_(settings.num) {}
  void run(Worker& worker) override {
    const uint64_t row_bytes = worker.keys().size() + worker.values().size();
    while (worker.more()) {
      worker.pace(row_bytes);
      append(worker.session(), worker.keys(), worker.values(), series_, count_++);
      worker.wrote(row_bytes);
      worker.finished(1);
    }
  }
  // The point number `count`: series take turns.
  static void append(Session& session, KeyMaker& keys, ValueMaker& values, uint64_t series,
                     uint64_t count) {
    session.put(keys.point(kSeriesBase + count % series, count / series),
                values.make(kSeriesBase + count));
  }

 private:
  const uint64_t series_;
  uint64_t count_;
};

// The mix and the sizes of the paper that is cited at HotRanges: 83 % get, 14 % put, 3 % scan.
class MixgraphWorkload final : public Workload {
 public:
  explicit MixgraphWorkload(uint64_t num) : num_(num), ids_(num) {}
  void prepare(Worker& worker) override { worker.session().cursor().open(); }
  void run(Worker& worker) override {
    while (worker.more()) {
      const uint64_t dice = worker.draw().below(100);
      const uint64_t id = kMixgraphBase + ids_(worker.draw());
      if (dice < 83) {
        get(worker, id);
      } else if (dice < 97) {
        put(worker, id, value_size(id));
      } else {
        const uint64_t rows = pareto(worker.draw().unit(), 2.517, 14.236);
        scan(worker, id, std::min(rows, kScanRowsMax), kMixgraphBase + num_);
      }
      worker.finished(1);
    }
  }
  // Of the id, not of the moment: what is read does not depend on who wrote last.
  static uint32_t value_size(uint64_t id) {
    Draw draw(id);
    const uint64_t size = pareto(draw.unit(), 0.2615, 25.45);
    return static_cast<uint32_t>(std::clamp<uint64_t>(size, 10, kMixgraphValueSizeMax));
  }

 private:
  static constexpr uint64_t kScanRowsMax = 10'000;

  const uint64_t num_;
  const HotRanges ids_;
};

ValueMaker values_for(const Settings& settings) {
  return {settings.value_size, settings.compression_ratio,
          std::max(settings.value_size, kMixgraphValueSizeMax)};
}

}  // namespace

void prepare_queue(Session& session, const Settings& settings, std::atomic<uint64_t>* rows) {
  KeyMaker keys(settings.key_size);
  ValueMaker values = values_for(settings);
  for (uint64_t tail = 0; tail < settings.num + kQueueLength; tail++) {
    session.put(keys.present(kQueueBase + tail), values.make(kQueueBase + tail));
    if (tail >= kQueueLength) session.erase(keys.present(kQueueBase + tail - kQueueLength));
    rows->store(tail, std::memory_order_relaxed);  // for display only
  }
}

std::unique_ptr<Workload> read_queue_head(const WorkloadContext&) {
  return std::make_unique<QueueHeadWorkload>();
}

void prepare_time_series(Session& session, const Settings& settings, std::atomic<uint64_t>* rows) {
  KeyMaker keys(settings.key_size);
  ValueMaker values = values_for(settings);
  const uint64_t series = series_count(settings);
  for (uint64_t count = 0; count < settings.num; count++) {
    TimeSeriesAppends::append(session, keys, values, series, count);
    rows->store(count, std::memory_order_relaxed);  // for display only
  }
}

std::unique_ptr<Workload> read_time_series(const WorkloadContext& context) {
  return std::make_unique<TimeSeriesReads>(context.settings);
}
std::unique_ptr<Workload> append_time_series(const WorkloadContext& context) {
  return std::make_unique<TimeSeriesAppends>(context.settings);
}

void prepare_mixgraph(Session& session, const Settings& settings, std::atomic<uint64_t>* rows) {
  KeyMaker keys(settings.key_size);
  ValueMaker values = values_for(settings);
  const Permutation order(settings.num, settings.seed);
  for (uint64_t rank = 0; rank < settings.num; rank++) {
    const uint64_t id = kMixgraphBase + order(rank);
    session.put(keys.present(id), values.make(id, MixgraphWorkload::value_size(id)));
    rows->store(rank, std::memory_order_relaxed);  // for display only
  }
}

std::unique_ptr<Workload> mixgraph(const WorkloadContext& context) {
  return std::make_unique<MixgraphWorkload>(context.settings.num);
}

}  // namespace varve::bench
