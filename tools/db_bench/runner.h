// Runs the benchmarks of a command line, in order, over one database, and prints what each did.
//
// Thread rule: one thread.
// Errors: EngineError.

#pragma once

#include <memory>
#include <set>
#include <string>

#include "bench/engines/engine.h"
#include "tools/common/output.h"
#include "tools/db_bench/monitor.h"
#include "tools/db_bench/report.h"
#include "tools/db_bench/settings.h"

namespace varve::bench {

class Runner {
 public:
  explicit Runner(const Settings& settings);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  void run();

 private:
  void run_all();
  void run_one(const Benchmark& benchmark, uint64_t position);
  PhaseFigures run_upkeep(const Benchmark& benchmark);
  void open(const Settings& settings);
  void begin_with_empty_database(const Settings& settings);
  void print_notes();
  void print_note(const std::string& note);
  void print_header();
  void print(const Report& report);
  // Of standard output and standard error, the one that --json leaves to people.
  void say(const std::string& text);
  void write(const std::string& text);  // to standard output, at once

  const Settings settings_;
  const std::unique_ptr<Engine> engine_;
  tools::Output out_;
  Monitor monitor_;
  bool database_is_fresh_ = false;  // empty, and nothing ran on it
  uint64_t first_new_id_;           // ids from here on were given to nobody
  std::set<std::string> notes_said_;
  // Of the benchmark before, if it wrote: what `settle` relates its own time to.
  double written_operations_ = 0;
  double written_seconds_ = 0;
};

}  // namespace varve::bench
