// The names that --benchmarks takes, and what each stands for.

#pragma once

#include <span>
#include <string_view>

#include "tools/db_bench/workloads.h"

namespace varve::bench {

enum class BenchmarkKind {
  load,        // begins with an empty database, writes `num` ids in all, no warm-up
  operations,  // `reads` or `writes` operations a thread, after a warm-up
  upkeep,      // one call of the engine
  text,        // prints what the engine tells
};

struct Benchmark {
  std::string_view name;
  std::string_view description;
  BenchmarkKind kind = BenchmarkKind::operations;

  // -- load, operations --
  WorkloadFactory workload = nullptr;
  bool writes = false;                // --writes counts its operations; loads and their like
  bool one_thread = false;            // whatever --threads
  bool ascending = false;             // writes new keys in ascending order
  bool synced = false;                // durability sync, whatever was asked for
  bool thousandth = false;            // its --num defaults to a thousandth
  uint32_t value_size = 0;            // 0: --value_size
  bool inserts = false;               // takes ids above `num`
  WorkloadFactory beside = nullptr;   // one more thread, until the others are done
  bool until_beside_ends = false;     // instead: as long as it takes that thread, and no warm-up
  Preparation preparation = nullptr;  // unmeasured, before the warm-up
  bool settled = false;               // what it wrote, as `settle` does
  bool own_rows = false;              // reads no others: it can begin with an empty database
  bool transactions = false;          // an engine without them cannot run it; reports conflicts
  VerificationFactory verification = nullptr;
  bool tables = false;         // an engine without them cannot run it; reports conflicts
  bool builds_online = false;  // likewise one whose builds keep writers out
  uint64_t operations = 0;     // how many, if not given; 0: num
  bool shared_among = false;   // the threads: that many in all

  // -- upkeep, text --
  void (Engine::*call)() = nullptr;
  std::string (Engine::*tell)() = nullptr;
  bool settles = false;  // reports ops_per_second_settled after writes
};

std::span<const Benchmark> all_benchmarks();
// Null if there is none.
const Benchmark* find_benchmark(std::string_view name);

}  // namespace varve::bench
