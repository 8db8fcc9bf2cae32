#include "tools/db_bench/monitor.h"

#include <algorithm>
#include <chrono>

#include "bench/engines/engine.h"
#include "tools/common/output.h"
#include "tools/common/quantity_text.h"
#include "tools/db_bench/clock.h"

namespace varve::bench {
namespace {

constexpr std::chrono::milliseconds kStep{200};

double seconds_since(uint64_t nanos, uint64_t now) {
  return static_cast<double>(now - nanos) / 1e9;
}

std::FILE* open_to_write(const char* flag, const std::string& path) {
  if (path.empty()) return nullptr;
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) throw EngineError("cannot write " + std::string(flag) + " " + path);
  return file;
}

}  // namespace

Monitor::Monitor(const Settings& settings)
    : interval_seconds_(settings.stats_interval_seconds),
      on_terminal_(tools::standard_error_is_terminal()),
      report_(open_to_write("--report_file", settings.report_file)),
      latencies_(open_to_write("--latency_file", settings.latency_file)),
      started_nanos_(monotonic_nanos()) {
  if (report_ != nullptr) std::fputs("secs_elapsed,interval_qps,benchmark\n", report_);
  if (latencies_ != nullptr) {
    std::fputs("secs_elapsed,operations,p50_us,p99_us,p99.9_us,max_us,benchmark\n", latencies_);
  }
}

Monitor::~Monitor() {
  if (thread_.joinable()) end();
  if (report_ != nullptr) std::fclose(report_);
  if (latencies_ != nullptr) std::fclose(latencies_);
}

void Monitor::begin(std::string_view name, std::vector<Source> sources, uint64_t operations_total,
                    double seconds_total) {
  if (!on_terminal_ && interval_seconds_ == 0 && report_ == nullptr && latencies_ == nullptr) {
    return;
  }
  name_ = name;
  sources_ = std::move(sources);
  operations_total_ = operations_total;
  seconds_total_ = seconds_total;
  begin_nanos_ = monotonic_nanos();
  end_ = false;
  thread_ = std::thread([this] { watch(); });
}

void Monitor::end() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  ended_.notify_one();
  thread_.join();
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void Monitor::watch() {
  Interval printed{.nanos = begin_nanos_};
  Interval reported{.nanos = begin_nanos_};
  uint64_t asked_nanos = begin_nanos_;  // for latencies
  const double report_interval = interval_seconds_ > 0 ? interval_seconds_ : 1;
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, kStep, [this] { return end_; })) {
    const uint64_t now = monotonic_nanos();
    const uint64_t done = operations();
    if (on_terminal_) draw_line(seconds_since(begin_nanos_, now), done);
    if (interval_seconds_ > 0 && seconds_since(printed.nanos, now) >= interval_seconds_) {
      print_interval(now, done, &printed);
    }
    if (report_ != nullptr && seconds_since(reported.nanos, now) >= report_interval) {
      write_report_row(now, done, &reported);
    }
    if (latencies_ != nullptr && seconds_since(asked_nanos, now) >= report_interval) {
      write_latency_row(asked_nanos, /*last=*/false);
      asked_nanos = now;
    }
  }
  if (report_ != nullptr) write_report_row(monotonic_nanos(), operations(), &reported);
  // What was asked for last, and what the threads handed over when they ended.
  if (latencies_ != nullptr) write_latency_row(monotonic_nanos(), /*last=*/true);
}

uint64_t Monitor::operations() const {
  uint64_t sum = 0;
  for (const Source& source : sources_) {
    sum += source.operations->load(std::memory_order_relaxed);  // for display only
  }
  return sum;
}

void Monitor::draw_line(double seconds, uint64_t done) {
  drawn_ = true;
  std::fprintf(stderr, "\r\033[K%s  %.0f s", name_.c_str(), seconds);
  if (!sources_.empty()) {
    const double rate = static_cast<double>(done) / std::max(seconds, 1e-9);
    std::fprintf(stderr, "  %s operations  %s ops/sec", tools::format_count(done).c_str(),
                 tools::format_count(static_cast<uint64_t>(rate)).c_str());
  }
  double share = 0;
  if (operations_total_ != 0) {
    share = static_cast<double>(done) / static_cast<double>(operations_total_);
  } else if (seconds_total_ > 0) {
    share = seconds / seconds_total_;
  }
  if (share > 0) {
    share = std::min(share, 1.0);
    std::fprintf(stderr, "  %.0f %%  left %.0f s", share * 100, seconds * (1 / share - 1));
  }
  std::fflush(stderr);
}

void Monitor::print_interval(uint64_t now_nanos, uint64_t done, Interval* last) {
  const double seconds = seconds_since(begin_nanos_, now_nanos);
  const double interval = seconds_since(last->nanos, now_nanos);
  std::fprintf(
      stderr,
      "%s%-12s : %.1f s, (%llu,%llu) ops and (%.1f,%.1f) ops/second in (%.3f,%.3f) seconds\n",
      drawn_ ? "\r\033[K" : "", name_.c_str(), seconds,
      static_cast<unsigned long long>(done - last->operations),
      static_cast<unsigned long long>(done),
      static_cast<double>(done - last->operations) / interval, static_cast<double>(done) / seconds,
      interval, seconds);
  *last = {.nanos = now_nanos, .operations = done};
}

void Monitor::write_report_row(uint64_t now_nanos, uint64_t done, Interval* last) {
  const double interval = seconds_since(last->nanos, now_nanos);
  if (interval <= 0) return;
  std::fprintf(report_, "%.1f,%.0f,%s\n", seconds_since(started_nanos_, now_nanos),
               static_cast<double>(done - last->operations) / interval, name_.c_str());
  std::fflush(report_);
  *last = {.nanos = now_nanos, .operations = done};
}

void Monitor::write_latency_row(uint64_t asked_nanos, bool last) {
  Histogram sum;
  for (const Source& source : sources_) {
    if (source.latencies != nullptr) source.latencies->take(&sum);
  }
  // A row of zeros says that all were held up; not the first time, when nobody was asked before.
  if (sum.count() == 0 && (last || asked_nanos == begin_nanos_)) return;
  const double tick_us = nanos_per_tick() / 1000;
  std::fprintf(latencies_, "%.1f,%llu,%.3f,%.3f,%.3f,%.3f,%s\n",
               seconds_since(begin_nanos_, asked_nanos),
               static_cast<unsigned long long>(sum.count()), sum.quantile(0.5) * tick_us,
               sum.quantile(0.99) * tick_us, sum.quantile(0.999) * tick_us,
               static_cast<double>(sum.largest()) * tick_us, name_.c_str());
  std::fflush(latencies_);
}

}  // namespace varve::bench
