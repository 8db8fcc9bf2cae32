// Which id a workload touches next, where that is not uniform. Ranks: 0 is the most popular.
//
// Thread rule: const after construction, so shared by all threads.

#pragma once

#include <array>
#include <cstdint>

#include "tools/db_bench/random.h"

namespace varve::bench {

// Zipf's law with theta 0.99, as YCSB draws it (J. Gray et al., "Quickly generating billion-record
// synthetic databases", SIGMOD 1994), the harmonic sum by Euler-Maclaurin instead of n steps.
class Zipf {
 public:
  explicit Zipf(uint64_t size, double theta = 0.99);
  uint64_t operator()(Draw& draw) const;  // rank in [0, size)

 private:
  uint64_t size_;
  double theta_;
  double zeta_;
  double alpha_;
  double eta_;
};

// Exponential popularity as of RocksDB's --read_random_exp_range: the rank is size * e^(-range *
// u), and popular ids are spread over the key space.
uint64_t exponential_id(Draw& draw, uint64_t size, double range);

// Generalised Pareto, location 0, rounded up.
uint64_t pareto(double unit, double shape, double scale);

// Ids as of mixgraph (Z. Cao et al., "Characterizing, Modeling, and Benchmarking RocksDB Key-Value
// Workloads at Facebook", FAST 2020; the figures are that paper's model "prefix_dist"): 30 ranges
// of keys whose popularity is the sum of two exponentials, in scattered order; a power law within.
class HotRanges {
 public:
  explicit HotRanges(uint64_t size);
  uint64_t operator()(Draw& draw) const;  // id in [0, size)

 private:
  static constexpr int kRanges = 30;
  uint64_t size_;
  uint64_t range_size_;
  std::array<double, kRanges> cumulated_;  // share of ranges up to and including this one
};

}  // namespace varve::bench
