// One thread of a benchmark: its session, its draws, and what it measured in the current pass (the
// unmeasured warm-up, then the measured one).
//
// A workload's loop is `while (worker.more()) { one operation; worker.finished(1); }`. finished()
// reads the clock once: an operation lasts from the end of the one before, or, at a fixed rate,
// from when it was meant to start (open loop), so that an engine which stalls pays for all who
// waited.
//
// Thread rule: one thread; progress() from any, intervals() as said there.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "bench/engines/engine.h"
#include "tools/db_bench/allocation_counters.h"
#include "tools/db_bench/clock.h"
#include "tools/db_bench/histogram.h"
#include "tools/db_bench/interval_latencies.h"
#include "tools/db_bench/random.h"
#include "tools/db_bench/records.h"
#include "tools/db_bench/settings.h"

namespace varve::bench {

// When a pass ends: by operations or by time, whichever is set, or when `stop` becomes true.
struct PassLimits {
  uint64_t operations = UINT64_MAX;
  double seconds = 0;           // 0: no limit
  double bytes_per_second = 0;  // of writes; 0: as fast as they go
};

struct PassFigures {
  uint64_t operations = 0;
  uint64_t bytes = 0;          // of keys and values, read and written
  uint64_t written_bytes = 0;  // of these, written
  uint64_t lookups = 0;
  uint64_t found = 0;      // of lookups
  uint64_t conflicts = 0;  // transactions that lost, and were tried again
  uint64_t checksum = 0;
  uint64_t start_nanos = 0;
  uint64_t end_nanos = 0;
  AllocationCount allocations;
};

// Where a worker stands among others.
struct WorkerPlace {
  uint32_t thread = 0;
  uint32_t threads = 1;
  uint64_t seed = 0;  // of the benchmark
};

class Worker {
 public:
  Worker(const Settings& settings, Session* session, const WorkerPlace& place,
         const std::atomic<bool>* stop);

  // -- for workloads --
  Session& session() { return *session_; }
  const WorkerPlace& place() const { return place_; }
  Draw& draw() { return draw_; }
  KeyMaker& keys() { return keys_; }
  ValueMaker& values() { return values_; }

  // Whether to begin another operation.
  bool more() const {
    return figures_.operations < limit_ && last_ticks_ < deadline_ &&
           !stop_->load(std::memory_order_relaxed);  // late by an operation or so: harmless
  }
  uint64_t operations_left() const { return limit_ - figures_.operations; }
  // Before an operation that writes `bytes`: waits for its turn if there is a rate.
  void pace(uint64_t bytes) {
    if (ticks_per_byte_ != 0) wait_for_turn(bytes);
  }
  // Operations that ended together, such as a batch: one latency.
  void finished(uint64_t operations) {
    const uint64_t now = ticks_now();
    note(now > begin_ticks_ ? now - begin_ticks_ : 0, 1);
    finish(now, operations);
  }
  // Rows of a walk, timed as a group since one row is cheaper than a reading of the clock: each
  // counts with the group's mean, and the maximum is that of whole groups.
  void finished_rows(uint64_t rows) {
    const uint64_t now = ticks_now();
    const uint64_t elapsed = now > begin_ticks_ ? now - begin_ticks_ : 0;
    note(elapsed / rows, rows);
    histogram_.note_largest(elapsed);
    if (intervals_ != nullptr) intervals_->note_largest(elapsed);
    finish(now, rows);
  }
  void read_row(std::string_view key, std::string_view value) {
    figures_.checksum += fold_row(key, value);
    figures_.bytes += key.size() + value.size();
  }
  // Rows of `bytes` whose fold_row() make this sum.
  void read_rows(uint64_t checksum, uint64_t bytes) {
    figures_.checksum += checksum;
    figures_.bytes += bytes;
  }
  void conflicted(uint64_t times = 1) { figures_.conflicts += times; }
  void looked_up(bool found) {
    figures_.lookups++;
    figures_.found += found ? 1 : 0;
  }
  void wrote(uint64_t bytes) {
    figures_.bytes += bytes;
    figures_.written_bytes += bytes;
  }

  // -- for the runner --
  // Sets up the next pass; begin_pass() then starts its time.
  void set_limits(const PassLimits& limits) { limits_ = limits; }
  void begin_pass();
  void end_pass();
  const PassFigures& figures() const { return figures_; }
  const Histogram& histogram() const { return histogram_; }            // ticks
  const std::atomic<uint64_t>& progress() const { return progress_; }  // operations of this pass
  IntervalLatencies* intervals() const { return intervals_.get(); }    // null: not asked for

 private:
  void note(uint64_t ticks, uint64_t times) {
    histogram_.add(ticks, times);
    if (intervals_ != nullptr) intervals_->add(ticks, times);
  }
  void finish(uint64_t now, uint64_t operations) {
    begin_ticks_ = last_ticks_ = now;
    figures_.operations += operations;
    progress_.store(figures_.operations, std::memory_order_relaxed);  // for display only
  }
  void wait_for_turn(uint64_t bytes);

  Session* const session_;
  const WorkerPlace place_;
  const std::atomic<bool>* const stop_;
  Draw draw_;
  KeyMaker keys_;
  ValueMaker values_;

  PassLimits limits_;
  uint64_t limit_ = 0;
  uint64_t deadline_ = UINT64_MAX;
  uint64_t begin_ticks_ = 0;  // of the operation in progress
  uint64_t last_ticks_ = 0;
  double ticks_per_byte_ = 0;
  double turn_ticks_ = 0;  // when the next operation is meant to start
  uint64_t woken_ticks_ = 0;

  PassFigures figures_;
  Histogram histogram_;
  const std::unique_ptr<IntervalLatencies> intervals_;
  std::atomic<uint64_t> progress_{0};
};

// What one thread of a benchmark does. Constructed, used and destroyed by that thread.
class Workload {
 public:
  virtual ~Workload() = default;
  // Before the first pass, unmeasured: open cursors, size buffers.
  virtual void prepare(Worker&) {}
  // One pass: until worker.more() is false.
  virtual void run(Worker& worker) = 0;
};

}  // namespace varve::bench
