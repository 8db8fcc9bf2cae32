// What is printed about a benchmark: RocksDB's line, and JSON lines.
//
// Thread rule: one thread.

#pragma once

#include <optional>
#include <string>

#include "tools/db_bench/phase.h"

namespace varve::bench {

struct Report {
  std::string engine;
  std::string benchmark;
  PhaseFigures figures;
  double rss_peak_mib = -1;
  double budget_mib = 0;
  double disk_mib = 0;
  std::optional<double> ops_per_second_settled;
  std::optional<uint64_t> conflicts;
  std::string text;  // of benchmarks that print what the engine tells
};

// `name : X micros/op N ops/sec S seconds K operations; MB/s (found of total)`, without a newline.
std::string report_line(const Report& report);
// One object, without a newline. What is not known is null.
std::string report_json(const Report& report);
// Count, average, percentiles and buckets, in microseconds.
std::string histogram_text(const Report& report);

}  // namespace varve::bench
