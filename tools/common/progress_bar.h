// One line on standard error that shows how far a long job is; drawn on a terminal only.
//
//   loading  [##########..........]  48 %  31,204 records  52.1 MiB  18.3 MiB/s  left 3.0 s
//
// Thread rule: one thread. Cost: a clock read per update(), a write at most ten times a second.

#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace varve::tools {

class ProgressBar {
 public:
  // `bytes_total` 0: unknown; the line then shows no bar and no time left.
  ProgressBar(std::string label, uint64_t bytes_total, bool enabled);
  ~ProgressBar() { finish(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(uint64_t bytes, uint64_t records);
  // Removes the line.
  void finish();

  // The line for these figures.
  static std::string render(const std::string& label, uint64_t bytes, uint64_t bytes_total,
                            uint64_t records, std::chrono::nanoseconds elapsed);

 private:
  using Clock = std::chrono::steady_clock;
  const std::string label_;
  const uint64_t bytes_total_;
  const bool enabled_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point next_draw_ = start_;
  bool drawn_ = false;
};

}  // namespace varve::tools
