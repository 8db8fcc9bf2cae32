// Runs the threads of one benchmark: preparation, warm-up, measured pass; and checks what it left.
//
// Thread rule: one phase at a time.
// Errors: EngineError, the first that a thread met; the other threads were stopped.

#pragma once

#include <cstdint>

#include "bench/engines/engine.h"
#include "tools/db_bench/benchmarks.h"
#include "tools/db_bench/monitor.h"
#include "tools/db_bench/settings.h"
#include "tools/db_bench/worker.h"

namespace varve::bench {

// What a phase did. Negative: not known.
struct PhaseFigures {
  uint32_t threads = 1;
  double seconds = 0;         // of the measured pass
  double thread_seconds = 0;  // summed over its threads
  PassFigures total;          // of these threads
  Histogram latencies;        // ticks
  PassFigures beside;         // of the thread beside them
  double beside_seconds = 0;
  AllocationCount process_allocations;
  double cpu_seconds = 0;
  double stall_seconds = -1;
  double write_amp = -1;
};

struct PhaseInputs {
  Engine& engine;
  const Settings& settings;  // of this benchmark: its num, its value size
  const Benchmark& benchmark;
  uint64_t position = 0;      // among --benchmarks; draws depend on it
  uint64_t first_new_id = 0;  // see WorkloadContext
};

PhaseFigures run_phase(const PhaseInputs& inputs, Monitor& monitor);

// Figures of the process and the engine between two points of time, for upkeep too.
class Bracket {
 public:
  explicit Bracket(Engine& engine);
  // Fills seconds (unless set), process_allocations, cpu_seconds, stall_seconds, write_amp.
  void close(PhaseFigures* figures, uint64_t user_bytes) const;

 private:
  Engine& engine_;
  EngineFigures engine_figures_;
  double storage_bytes_;
  double cpu_seconds_;
  uint64_t nanos_;
  AllocationCount allocations_;
};

}  // namespace varve::bench
