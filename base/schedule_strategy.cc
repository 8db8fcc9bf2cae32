#include "base/scheduler.h"

#include <algorithm>
#include <functional>

namespace varve {
namespace {

bool can_go_on(const SchedulePoint& point) {
  return std::ranges::binary_search(point.candidates, point.current);
}

}  // namespace

RandomStrategy::RandomStrategy(uint64_t seed)
    : random_(seed), switch_one_in_(uint64_t{1} << random_.below(10)) {}

size_t RandomStrategy::choose(const SchedulePoint& point) {
  if (can_go_on(point) && !random_.one_in(switch_one_in_)) return point.current;
  return point.candidates[random_.below(point.candidates.size())];
}

PctStrategy::PctStrategy(uint64_t seed, size_t depth, uint64_t steps)
    : random_(seed), lowest_(depth) {
  for (size_t i = 1; i < depth; ++i) changes_.push_back(random_.below(steps));
  std::ranges::sort(changes_, std::greater<>());
}

uint64_t& PctStrategy::priority(size_t thread) {
  if (thread >= priorities_.size()) priorities_.resize(thread + 1);
  // Above all that changes give.
  if (priorities_[thread] == 0) priorities_[thread] = (uint64_t{1} << 32) + (random_.next() >> 32);
  return priorities_[thread];
}

size_t PctStrategy::choose(const SchedulePoint& point) {
  while (!changes_.empty() && changes_.back() <= point.step) {
    changes_.pop_back();
    priority(point.current) = lowest_--;
  }
  size_t chosen = point.candidates.front();
  for (const size_t thread : point.candidates) {
    if (priority(thread) > priority(chosen)) chosen = thread;
  }
  return chosen;
}

uint8_t BytesStrategy::next_byte() {
  const uint8_t byte = bytes_.front();
  bytes_ = bytes_.subspan(1);
  return byte;
}

// Short runs for most bytes, and some thousands of steps for the highest.
void BytesStrategy::read_run() {
  if (bytes_.size() < 2) {
    run_ = UINT64_MAX;
    return;
  }
  const uint64_t byte = next_byte();
  run_ = byte < 128 ? byte : uint64_t{128} << ((byte - 128) / 16);
}

size_t BytesStrategy::choose(const SchedulePoint& point) {
  if (can_go_on(point)) {
    if (run_ == UINT64_MAX) return point.current;
    if (run_ > 0) {
      --run_;
      return point.current;
    }
  } else if (run_ == UINT64_MAX) {
    return point.candidates.front();
  }
  const size_t chosen = next_byte() % point.candidates.size();
  read_run();
  return point.candidates[chosen];
}

}  // namespace varve
