// Whether anything grows in the long run. A mixed load (bench/soak_load.h) on a real database under
// a modest budget; what is alive stays the same to the row, so what else grows is a leak. In twelve
// cycles: at the end of each the load rests, everything is compacted, and the rows are counted. In
// the first third, the warm-up, the database is closed and opened again after each cycle, then it
// stays open to the end. The verdict holds the last third against the one before.
//
// usage: soak DIRECTORY SECONDS OUTPUT_DIRECTORY [BUDGET_MIB [INTERVAL_SECONDS]]
// DIRECTORY is created and must not hold a database yet; it stays. OUTPUT_DIRECTORY exists; it gets
// samples.tsv, a line each interval, and settled.tsv, a line each cycle.
// Exit status 0: all is flat; 1: something is not, or a call failed, or an answer was wrong.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/soak_load.h"
#include "tools/db_bench/histogram.h"
#include "tools/db_bench/process_figures.h"
#include "varve/varve.h"

namespace varve::soak {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kDataBudgets = 2;  // rows alive, as multiples of the budget
constexpr int kCycles = 12;
constexpr int kWarmUpCycles = kCycles / 3;

struct Sample {  // while the load runs; MiB and microseconds
  double seconds = 0;
  int third = 0;  // of the whole
  double rss = 0, rss_peak = 0, descriptors = 0, threads = 0, disk = 0, live = 0, held = 0;
  double read_p50 = 0, read_p99 = 0, write_p50 = 0, write_p99 = 0;
  uint64_t reads = 0, writes = 0;
};

struct Settled {  // after a cycle, compacted, no snapshot open
  double seconds = 0;
  int third = 0;
  double disk = 0, settle_seconds = 0;
  double rss_closed = 0;  // 0: it stayed open
};

double mib(uint64_t bytes) { return static_cast<double>(bytes) / kMiB; }
double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

class Soak {
 public:
  Soak(std::string directory, double seconds, const std::string& output, uint64_t budget,
       double interval)
      : directory_(std::move(directory)),
        seconds_(seconds),
        budget_(budget),
        interval_(interval),
        rows_(kDataBudgets * budget / kRowBytes),
        // Short beside a cycle, which ends by waiting so long.
        retention_(static_cast<int64_t>(std::clamp(seconds / 90, 1.0, 60.0) * 1e9)),
        load_(rows_, retention_) {
    samples_file_ = open_table(output + "/samples.tsv",
                               "seconds\trss_mib\trss_peak_mib\tdescriptors\tthreads\tdisk_mib\t"
                               "live_mib\theld_mib\treads\tread_p50_us\tread_p99_us\twrites\t"
                               "write_p50_us\twrite_p99_us\n");
    settled_file_ =
        open_table(output + "/settled.tsv", "seconds\tdisk_mib\tsettle_seconds\trss_closed_mib\n");
  }

  // True: all is flat.
  bool run() {
    baseline_descriptors_ = bench::open_descriptors();
    open();
    load_.fill(database_.get());
    began_ = Clock::now();
    for (int cycle = 1; cycle <= kCycles; ++cycle) {
      third_ = (cycle - 1) * 3 / kCycles;
      run_cycle(seconds_ * cycle / kCycles);
      Settled settled = settle();
      if (cycle <= kWarmUpCycles || cycle == kCycles) settled.rss_closed = close();
      settled_.push_back(settled);
      std::fprintf(settled_file_, "%.1f\t%.1f\t%.2f\t%.1f\n", settled.seconds, settled.disk,
                   settled.settle_seconds, settled.rss_closed);
      std::fflush(settled_file_);
      if (cycle <= kWarmUpCycles) open();
    }
    return judge();
  }

 private:
  static std::FILE* open_table(const std::string& path, const char* head) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (file == nullptr) die("cannot write", path);
    std::fputs(head, file);
    return file;
  }

  void open() {
    Options options;
    options.memory_budget = budget_;
    options.durability = Durability::os;
    options.history_retention = retention_;
    options.error_if_exists = samples_.empty();
    database_ = check("open", Database::open(options, directory_));
  }

  // Returns the resident memory afterwards.
  double close() {
    check("close", database_->close());
    if (const uint64_t live = database_->memory_report().live_bytes; live != 0) {
      die("close", std::to_string(live) + " bytes are live");
    }
    database_.reset();
    if (const int left = bench::open_descriptors() - baseline_descriptors_; left != 0) {
      die("close", std::to_string(left) + " descriptors are left");
    }
    for (int i = 0; bench::running_threads() > 1; ++i) {  // a joined one may show for long
      if (i == 1000) die("close", "threads are left");
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return bench::rss_mib();
  }

  void run_cycle(double until) {
    load_.start(database_.get());
    while (seconds_since(began_) < until) {
      Sample sample;
      const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                          std::chrono::duration<double>(interval_));
      while (Clock::now() < end) {
        sample.rss_peak = std::max(sample.rss_peak, bench::rss_mib());
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
      take(&sample);
    }
    load_.rest();
    bench::Histogram rest;  // an interval that was not whole
    load_.take(&rest, &rest);
  }

  void take(Sample* sample) {
    bench::Histogram reads, writes;
    load_.take(&reads, &writes);
    const MemoryReport memory = database_->memory_report();
    sample->seconds = seconds_since(began_);
    sample->third = third_;
    sample->rss = bench::rss_mib();
    sample->descriptors = bench::open_descriptors();
    sample->threads = bench::running_threads();
    sample->disk = bench::disk_mib(directory_);
    sample->live = mib(memory.live_bytes);
    sample->held = mib(memory.held_bytes);
    sample->reads = reads.count();
    sample->read_p50 = reads.quantile(0.5) / 1e3;
    sample->read_p99 = reads.quantile(0.99) / 1e3;
    sample->writes = writes.count();
    sample->write_p50 = writes.quantile(0.5) / 1e3;
    sample->write_p99 = writes.quantile(0.99) / 1e3;
    std::fprintf(samples_file_,
                 "%.1f\t%.1f\t%.1f\t%.0f\t%.0f\t%.1f\t%.1f\t%.1f\t%llu\t%.1f\t%.1f\t%llu\t%.1f\t"
                 "%.1f\n",
                 sample->seconds, sample->rss, sample->rss_peak, sample->descriptors,
                 sample->threads, sample->disk, sample->live, sample->held,
                 static_cast<unsigned long long>(sample->reads), sample->read_p50, sample->read_p99,
                 static_cast<unsigned long long>(sample->writes), sample->write_p50,
                 sample->write_p99);
    std::fflush(samples_file_);
    reads_ += sample->reads;
    writes_ += sample->writes;
    samples_.push_back(*sample);
  }

  // Compacts all away that may go, counts what is left.
  Settled settle() {
    const auto began = Clock::now();
    std::this_thread::sleep_for(retention_);  // so that no version is kept for its age
    check("compact", database_->compact());
    check("wait_for_background", database_->wait_for_background());
    Settled settled{.seconds = seconds_since(began_),
                    .third = third_,
                    .disk = bench::disk_mib(directory_),
                    .settle_seconds = seconds_since(began)};
    load_.count(database_.get());
    return settled;
  }

  // -- the verdict --

  template <typename Row>
  static double median(const std::vector<Row>& rows, double Row::*figure, int third) {
    std::vector<double> values;
    for (const Row& row : rows) {
      if (row.third == third) values.push_back(row.*figure);
    }
    if (values.empty()) die("verdict", "no sample in a third: the load had no time");
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
  }

  static bool line(const char* name, double before, double after, double limit) {
    const bool flat = after <= limit;
    std::printf("%-34s %10.1f %10.1f %10.1f  %s\n", name, before, after, limit,
                flat ? "flat" : "GROWS");
    return flat;
  }

  bool judge() const {
    std::printf(
        "%.2f hours, budget %.0f MiB, %llu rows of %llu bytes alive, history %.0f s, "
        "%zu samples\nreads %llu, writes %llu, %s\n\n",
        seconds_ / 3600, mib(budget_), static_cast<unsigned long long>(rows_),
        static_cast<unsigned long long>(kRowBytes), static_cast<double>(retention_.count()) / 1e9,
        samples_.size(), static_cast<unsigned long long>(reads_),
        static_cast<unsigned long long>(writes_), load_.to_string().c_str());
    std::printf("%-34s %10s %10s %10s\n", "", "2nd third", "3rd third", "at most");
    // Median of the samples; it may grow by a share and by a little more.
    struct Figure {
      const char* name;
      double Sample::*value;
      double share;
      double more;
    };
    static constexpr Figure kFigures[] = {
        {"resident memory, MiB", &Sample::rss, 0.03, 2},
        {"file descriptors", &Sample::descriptors, 0.1, 2},
        {"threads", &Sample::threads, 0, 0},
        {"disk under load, MiB", &Sample::disk, 0.1, 8},
        {"live bytes of the engine, MiB", &Sample::live, 0.05, 1},
        {"reads, p50, us", &Sample::read_p50, 0.25, 10},
        {"reads, p99, us", &Sample::read_p99, 0.25, 50},
        {"writes, p50, us", &Sample::write_p50, 0.25, 10},
        {"writes, p99, us", &Sample::write_p99, 0.25, 50},
    };
    bool flat = true;
    for (const Figure& figure : kFigures) {
      const double before = median(samples_, figure.value, 1);
      const double after = median(samples_, figure.value, 2);
      flat &= line(figure.name, before, after, before * (1 + figure.share) + figure.more);
    }
    const double disk = median(settled_, &Settled::disk, 1);
    flat &= line("disk after compaction, MiB", disk, median(settled_, &Settled::disk, 2),
                 disk * 1.03 + 1);
    const double closed = settled_[kWarmUpCycles - 1].rss_closed;
    flat &= line("resident when closed (1st, end), MiB", closed, settled_.back().rss_closed,
                 closed * 1.1 + 8);
    double peak = 0;
    for (const Sample& sample : samples_) peak = std::max(peak, sample.rss_peak);
    flat &= line("peak resident (budget, all), MiB", mib(budget_), peak, mib(budget_) * 1.05 + 16);
    std::printf("\nverdict: %s\n", flat ? "flat" : "NOT FLAT");
    return flat;
  }

  const std::string directory_;
  const double seconds_;
  const uint64_t budget_;
  const double interval_;
  const uint64_t rows_;
  const std::chrono::nanoseconds retention_;
  std::FILE* samples_file_;
  std::FILE* settled_file_;
  int baseline_descriptors_ = 0;
  Clock::time_point began_;
  int third_ = 0;
  Load load_;
  std::unique_ptr<Database> database_;
  std::vector<Sample> samples_;
  std::vector<Settled> settled_;
  uint64_t reads_ = 0;
  uint64_t writes_ = 0;
};

}  // namespace
}  // namespace varve::soak

int main(int argc, char** argv) {
  if (argc < 4 || argc > 6) {
    std::fprintf(
        stderr, "usage: soak DIRECTORY SECONDS OUTPUT_DIRECTORY [BUDGET_MIB [INTERVAL_SECONDS]]\n");
    return 2;
  }
  const double seconds = std::strtod(argv[2], nullptr);
  const uint64_t budget = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 64;
  const double interval =
      argc > 5 ? std::strtod(argv[5], nullptr) : std::clamp(seconds / 600, 1.0, 60.0);
  if (!(seconds >= 60) || budget < 4 || !(interval > 0)) {
    std::fprintf(stderr, "soak: at least 60 seconds, 4 MiB, and an interval\n");
    return 2;
  }
  varve::soak::Soak soak(argv[1], seconds, argv[3], budget << 20, interval);
  return soak.run() ? 0 : 1;
}
