#include "tools/db_bench/interval_latencies.h"

namespace varve::bench {

void IntervalLatencies::clear() {
  const std::lock_guard lock(mutex_);
  own_.clear();
  handed_over_.clear();
}

void IntervalLatencies::hand_over() {
  const std::lock_guard lock(mutex_);
  handed_over_.merge(own_);
  own_.clear();
  answered_ = asked_.load(std::memory_order_relaxed);
}

void IntervalLatencies::take(Histogram* sum) {
  const std::lock_guard lock(mutex_);
  sum->merge(handed_over_);
  handed_over_.clear();
  asked_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace varve::bench
