#include "tools/db_bench/worker.h"

#include <algorithm>
#include <ctime>

namespace varve::bench {
namespace {

void sleep_nanos(double nanos) {
  const auto whole = static_cast<int64_t>(nanos);
  const timespec wait{.tv_sec = whole / 1'000'000'000, .tv_nsec = whole % 1'000'000'000};
  nanosleep(&wait, nullptr);
}

}  // namespace

Worker::Worker(const Settings& settings, Session* session, const WorkerPlace& place,
               const std::atomic<bool>* stop)
    : session_(session),
      place_(place),
      stop_(stop),
      draw_(mix64(place.seed) + place.thread),
      keys_(settings.key_size),
      values_(settings.value_size, settings.compression_ratio,
              std::max(settings.value_size, kMixgraphValueSizeMax)),
      intervals_(settings.latency_file.empty() ? nullptr : std::make_unique<IntervalLatencies>()) {}

void Worker::begin_pass() {
  figures_ = {};
  histogram_.clear();
  progress_.store(0, std::memory_order_relaxed);
  limit_ = limits_.operations;
  ticks_per_byte_ =
      limits_.bytes_per_second == 0 ? 0 : 1e9 / limits_.bytes_per_second / nanos_per_tick();
  const uint64_t duration_ticks = static_cast<uint64_t>(limits_.seconds * 1e9 / nanos_per_tick());
  figures_.allocations = allocations_of_thread();
  figures_.start_nanos = monotonic_nanos();
  begin_ticks_ = last_ticks_ = ticks_now();
  turn_ticks_ = static_cast<double>(begin_ticks_);
  woken_ticks_ = begin_ticks_;
  deadline_ = limits_.seconds == 0 ? UINT64_MAX : begin_ticks_ + duration_ticks;
}

void Worker::end_pass() {
  figures_.end_nanos = monotonic_nanos();
  if (intervals_ != nullptr) intervals_->hand_over();
  figures_.allocations = allocations_of_thread() - figures_.allocations;
}

// Operations start at fixed times, each its bytes after the one before. Who is early sleeps, 100 us
// at least, so that waiting takes no processor from the engine's background work; operations whose
// time passed while the timer overslept count from the wake-up, since that delay is not the
// engine's. Who is late because the engine was slow counts from the intended start.
void Worker::wait_for_turn(uint64_t bytes) {
  constexpr double kLeastSleepNanos = 100'000;
  const uint64_t now = ticks_now();
  const auto intended = static_cast<uint64_t>(turn_ticks_);
  if (intended > now) {
    const double early_nanos = static_cast<double>(intended - now) * nanos_per_tick();
    sleep_nanos(std::max(early_nanos, kLeastSleepNanos));
    woken_ticks_ = ticks_now();
  }
  begin_ticks_ = std::max(intended, woken_ticks_);
  turn_ticks_ += static_cast<double>(bytes) * ticks_per_byte_;
}

}  // namespace varve::bench
