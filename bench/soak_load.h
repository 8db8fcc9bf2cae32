// The load of bench/soak.cc: writers that overwrite, erase and write anew, point readers, scans
// both ways, snapshots held for a while, reads of the past, keyspaces made and dropped. Paced, so
// that the machine is not the limit. What is alive stays the same to the row. Every answer is
// checked; a wrong one, or a call that fails, ends the process with status 1.
//
// Thread rule: one thread calls; the load's own threads run from start() to rest().

#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tools/db_bench/histogram.h"
#include "varve/varve.h"

namespace varve::soak {

inline constexpr uint64_t kRowBytes = 16 + 400;  // key and value

[[noreturn]] void die(const char* what, const std::string& why);
void check(const char* what, const Status& status);
template <typename T>
T check(const char* what, Result<T> result) {
  if (!result.ok()) die(what, result.status().to_string());
  return std::move(*result);
}

// Calls that one thread timed since the last look, in nanoseconds.
class Latencies {
 public:
  template <typename Call>
  void time(Call call) {
    using Clock = std::chrono::steady_clock;
    const auto began = Clock::now();
    call();
    const auto nanos =
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - began).count();
    const std::lock_guard lock(mutex_);
    histogram_.add(static_cast<uint64_t>(nanos));
  }
  void take(bench::Histogram* into) {
    const std::lock_guard lock(mutex_);
    into->merge(histogram_);
    histogram_.clear();
  }

 private:
  std::mutex mutex_;
  bench::Histogram histogram_;
};

class Load {
 public:
  static constexpr int kWriters = 2;
  static constexpr int kReaders = 4;
  static constexpr int kScanners = 2;

  // `rows` are alive; a ninth as many are not there, which ones changes. Snapshots are held, and
  // the past is read, within `retention`.
  Load(uint64_t rows, std::chrono::nanoseconds retention);

  // Writes the rows that are alive.
  void fill(Database* database);
  void start(Database* database);
  // Returns when all threads have ended and hold nothing.
  void rest();
  // Reads all rows; their number must be what it was.
  void count(Database* database) const;

  // Calls since the last one; added to what is there.
  void take(bench::Histogram* reads, bench::Histogram* writes);
  // What was done, in words.
  std::string to_string() const;

 private:
  // Rows that one writer alone changes; the first `alive` of them are there.
  struct Slice {
    std::vector<uint32_t> rows;
    size_t alive = 0;
  };

  template <typename Step>
  void pace(std::chrono::nanoseconds pause, Step step);
  bool answered(const char* what, const Status& status);
  void write_on(size_t writer);
  void read_on(size_t reader);
  void scan_on();
  void hold_snapshots();
  void make_keyspaces();

  const uint64_t rows_alive_;
  const uint64_t rows_;  // all that there may be
  const std::chrono::nanoseconds retention_;
  Database* database_ = nullptr;
  std::array<Slice, kWriters> slices_;
  std::array<Latencies, kWriters> writes_;
  std::array<Latencies, kReaders> reads_;
  std::vector<std::thread> threads_;
  std::atomic<bool> rest_{true};
  std::atomic<uint64_t> rows_scanned_{0};
  std::atomic<uint64_t> keyspaces_made_{0};
  std::atomic<uint64_t> snapshots_made_{0};
  std::atomic<uint64_t> reads_of_the_past_{0};
  std::atomic<uint64_t> refused_{0};  // reads that were told that there is no memory
};

}  // namespace varve::soak
