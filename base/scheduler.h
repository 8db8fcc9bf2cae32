// A deterministic scheduler for real threads: one runs at a time, and at each yield point a
// strategy says which one goes on. So a race is found by a seed or by a fuzzer's bytes, and the
// same strategy runs it again exactly.
//
// Yield points are the operations of base/mutex.h and base/atomic.h (statistics aside), starting
// and joining threads, pauses and spins; and what calls schedule_point(). Time is virtual: it
// advances a little with each step, and to the next deadline when every thread waits.
// Clock::system() and random_seed() answer from the run, so that engine code needs nothing of a
// test's.
//
// A run is exact as long as what lasts beyond runs is as it was: what the process does only once
// makes its first run differ.
//
// What it explores are sequentially consistent interleavings. Races of weak memory orders are not
// among them: those are for ThreadSanitizer and reasoning.
//
// Only in builds with VARVE_SCHEDULER (CMake: -DVARVE_SCHEDULER=ON; presets asan and fuzz have it).
// Source: S. Burckhardt et al., A Randomized Scheduler with Probabilistic Guarantees of Finding
// Bugs, ASPLOS 2010, for PctStrategy.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/random.h"

namespace varve {

struct SchedulePoint {
  uint64_t step;
  size_t current;  // number of the thread that came here; threads count from 0 as they were started
  std::span<const size_t> candidates;  // numbers, rising; at least two. May lack `current`
};

class ScheduleStrategy {
 public:
  virtual ~ScheduleStrategy() = default;
  // One of point.candidates. Called on any thread of the run, one at a time.
  virtual size_t choose(const SchedulePoint& point) = 0;
};

// Goes on with the same thread most of the time, else with any: how often, the seed decides for the
// whole run.
class RandomStrategy final : public ScheduleStrategy {
 public:
  explicit RandomStrategy(uint64_t seed);
  size_t choose(const SchedulePoint& point) override;

 private:
  Random random_;
  uint64_t switch_one_in_;
};

// Threads have random priorities, and the most urgent one runs; at `depth - 1` random steps below
// `steps` the running thread becomes the least urgent. Finds a bug that needs `depth` ordered
// events with probability at least 1 / (threads * steps^(depth - 1)) a run.
class PctStrategy final : public ScheduleStrategy {
 public:
  PctStrategy(uint64_t seed, size_t depth, uint64_t steps);
  size_t choose(const SchedulePoint& point) override;

 private:
  uint64_t& priority(size_t thread);

  Random random_;
  std::vector<uint64_t> changes_;     // steps, falling: the next one is the last
  std::vector<uint64_t> priorities_;  // by thread; higher is more urgent; 0: none yet
  uint64_t lowest_;                   // what the next change gives
};

// Bytes in pairs: how long the present thread goes on, and which one then. At their end threads go
// on until they block. Every byte string is a schedule.
class BytesStrategy final : public ScheduleStrategy {
 public:
  explicit BytesStrategy(std::span<const uint8_t> bytes) : bytes_(bytes) { read_run(); }
  size_t choose(const SchedulePoint& point) override;

 private:
  void read_run();
  uint8_t next_byte();

  std::span<const uint8_t> bytes_;
  uint64_t run_ = 0;  // yield points until the next switch
};

struct ScheduleOptions {
  uint64_t entropy_seed = 1;        // of random_seed()
  uint64_t steps_max = 50'000'000;  // beyond it the run counts as a livelock
  uint64_t nanos_per_step = 50;     // of virtual time
  uint64_t first_realtime_nanos = 1'700'000'000'000'000'000;
};

struct ScheduleReport {
  uint64_t steps = 0;
  uint64_t switches = 0;
  size_t threads = 0;
  uint64_t trace_hash = 0;  // of every switch; equal for runs that went alike
};

// Runs `body` as thread 0 and returns when it and all threads that were started under it have
// ended. If none can go on, or the steps run out, prints what each waits for, and aborts. `body`
// may use what outlives it, as long as no other thread does meanwhile. Thread rule: by a thread
// that is not scheduled itself. One run at a time: a lock of the process that a thread of one holds
// while it waits for its turn would stop the other.
ScheduleReport run_scheduled(ScheduleStrategy* strategy, const std::function<void()>& body,
                             const ScheduleOptions& options = {});

}  // namespace varve
