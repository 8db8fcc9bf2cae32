// Shows how far a phase is: a line on a terminal, a line every --stats_interval_seconds, a row of
// --report_file every second (or interval), in RocksDB's form, and one of --latency_file. Where
// none of these is asked for nothing runs, so that measuring is not disturbed.
//
// Thread rule: begin() and end() by one thread, in turns.

#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tools/db_bench/interval_latencies.h"
#include "tools/db_bench/settings.h"

namespace varve::bench {

class Monitor {
 public:
  // Throws EngineError if a file that was asked for cannot be written.
  explicit Monitor(const Settings& settings);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // What one thread tells.
  struct Source {
    const std::atomic<uint64_t>* operations;  // done
    IntervalLatencies* latencies = nullptr;   // null: none
  };
  // `operations_total`, `seconds_total`: what is known of them; else 0.
  void begin(std::string_view name, std::vector<Source> sources, uint64_t operations_total,
             double seconds_total);
  void end();

 private:
  struct Interval {  // the last point at which something was reported
    uint64_t nanos = 0;
    uint64_t operations = 0;
  };

  void watch();
  uint64_t operations() const;
  void draw_line(double seconds, uint64_t done);
  void print_interval(uint64_t now_nanos, uint64_t done, Interval* last);
  void write_report_row(uint64_t now_nanos, uint64_t done, Interval* last);
  // Of what was finished until `asked_nanos`, when it was asked for. `last`: nothing comes behind.
  void write_latency_row(uint64_t asked_nanos, bool last);

  const double interval_seconds_;
  const bool on_terminal_;
  std::FILE* report_ = nullptr;
  std::FILE* latencies_ = nullptr;
  const uint64_t started_nanos_;

  std::string name_;
  std::vector<Source> sources_;
  uint64_t operations_total_ = 0;
  double seconds_total_ = 0;
  uint64_t begin_nanos_ = 0;
  bool drawn_ = false;

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool end_ = false;
};

}  // namespace varve::bench
