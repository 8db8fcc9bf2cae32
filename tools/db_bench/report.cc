#include "tools/db_bench/report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/format.h"
#include "tools/db_bench/clock.h"

namespace varve::bench {
namespace {

using nlohmann::ordered_json;

constexpr double kMib = 1024 * 1024;

unsigned long long wide(uint64_t number) { return number; }

// Not known is null; so is what a division by nothing gives.
ordered_json known(double number) {
  return number < 0 || number != number ? ordered_json(nullptr) : ordered_json(number);
}

double micros(double ticks) { return ticks * nanos_per_tick() / 1e3; }

double per(double amount, double by) { return by == 0 ? 0 : amount / by; }

double micros_per_op(const PhaseFigures& figures) {
  const double seconds = figures.thread_seconds > 0 ? figures.thread_seconds : figures.seconds;
  return per(seconds * 1e6, static_cast<double>(std::max<uint64_t>(1, figures.total.operations)));
}

double ops_per_second(const PhaseFigures& figures) {
  return per(static_cast<double>(figures.total.operations), figures.seconds);
}

double mib_per_second(const PhaseFigures& figures) {
  return per(static_cast<double>(figures.total.bytes) / kMib, figures.seconds);
}

void add_allocations(const PhaseFigures& figures, ordered_json* object) {
  const auto operations = static_cast<double>(std::max<uint64_t>(1, figures.total.operations));
  const bool counted = allocations_are_counted();
  const auto per_op = [&](uint64_t count) {
    return known(counted ? static_cast<double>(count) / operations : -1);
  };
  (*object)["fg_allocs_per_op"] = per_op(figures.total.allocations.calls);
  (*object)["allocs_per_op"] = per_op(figures.process_allocations.calls);
  (*object)["alloc_bytes_per_op"] = per_op(figures.process_allocations.bytes);
}

}  // namespace

std::string report_line(const Report& report) {
  const PhaseFigures& figures = report.figures;
  std::string line =
      format("%-12s : %11.3f micros/op %.0f ops/sec %.3f seconds %llu operations;",
             report.benchmark.c_str(), micros_per_op(figures), ops_per_second(figures),
             figures.seconds, wide(figures.total.operations));
  if (figures.total.bytes != 0) line += format(" %6.1f MB/s", mib_per_second(figures));
  if (figures.total.lookups != 0) {
    line += format(" (%llu of %llu found)", wide(figures.total.found), wide(figures.total.lookups));
  }
  if (report.conflicts.has_value()) line += format(" %llu conflicts", wide(*report.conflicts));
  if (figures.beside.operations != 0) {
    line += format(" beside %.0f writes/sec",
                   per(static_cast<double>(figures.beside.operations), figures.beside_seconds));
  }
  if (report.ops_per_second_settled.has_value()) {
    line += format(" %.0f ops/sec settled", *report.ops_per_second_settled);
  }
  return line;
}

std::string report_json(const Report& report) {
  const PhaseFigures& figures = report.figures;
  const Histogram& latencies = figures.latencies;
  ordered_json object;
  object["engine"] = report.engine;
  object["benchmark"] = report.benchmark;
  object["threads"] = figures.threads;
  object["ops"] = figures.total.operations;
  object["seconds"] = figures.seconds;
  object["ops_per_second"] = ops_per_second(figures);
  object["micros_per_op"] = micros_per_op(figures);
  object["mib_per_second"] = mib_per_second(figures);
  object["p50_us"] = micros(latencies.quantile(0.50));
  object["p95_us"] = micros(latencies.quantile(0.95));
  object["p99_us"] = micros(latencies.quantile(0.99));
  object["p999_us"] = micros(latencies.quantile(0.999));
  object["max_us"] = micros(static_cast<double>(latencies.largest()));
  object["found"] = figures.total.found;
  object["checksum"] = format("%016llx", wide(figures.total.checksum));
  add_allocations(figures, &object);
  object["rss_peak_mib"] = known(report.rss_peak_mib);
  object["budget_mib"] = report.budget_mib;
  object["disk_mib"] = report.disk_mib;
  object["write_amp"] = known(figures.write_amp);
  object["cpu_seconds"] = known(figures.cpu_seconds);
  object["stall_seconds"] = known(figures.stall_seconds);
  if (figures.beside.operations != 0) {
    object["beside_ops_per_second"] =
        per(static_cast<double>(figures.beside.operations), figures.beside_seconds);
  }
  if (report.conflicts.has_value()) object["conflicts"] = *report.conflicts;
  if (report.ops_per_second_settled.has_value()) {
    object["ops_per_second_settled"] = *report.ops_per_second_settled;
  }
  if (!report.text.empty()) object["text"] = report.text;
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string histogram_text(const Report& report) {
  const Histogram& latencies = report.figures.latencies;
  const auto quantile = [&](double share) { return micros(latencies.quantile(share)); };
  std::string text = "Microseconds per operation:\n";
  text +=
      format("Count: %llu  Average: %.4f\n", wide(latencies.count()), micros(latencies.average()));
  text += format("Min: %.4f  Median: %.4f  Max: %.4f\n",
                 micros(static_cast<double>(latencies.smallest())), quantile(0.5),
                 micros(static_cast<double>(latencies.largest())));
  text += format("Percentiles: P50: %.4f P75: %.4f P95: %.4f P99: %.4f P99.9: %.4f P99.99: %.4f\n",
                 quantile(0.5), quantile(0.75), quantile(0.95), quantile(0.99), quantile(0.999),
                 quantile(0.9999));
  text += "------------------------------------------------------\n";
  const double all = static_cast<double>(std::max<uint64_t>(1, latencies.count()));
  double seen = 0;
  latencies.for_each_range([&](uint64_t lower, uint64_t upper, uint64_t count) {
    seen += static_cast<double>(count);
    text += format("[ %12.3f, %12.3f ) %10llu %7.3f%% %7.3f%%\n",
                   micros(static_cast<double>(lower)), micros(static_cast<double>(upper)),
                   wide(count), 100 * static_cast<double>(count) / all, 100 * seen / all);
  });
  return text;
}

}  // namespace varve::bench
