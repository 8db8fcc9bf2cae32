#include "tools/db_bench/distributions.h"

#include <algorithm>
#include <cmath>

#include "tools/db_bench/permutation.h"

namespace varve::bench {
namespace {

// Sum of i^-theta for i in [1, n].
double generalised_harmonic(uint64_t n, double theta) {
  constexpr uint64_t kExact = 1000;
  double sum = 0;
  for (uint64_t i = 1; i <= std::min(n, kExact); i++)
    sum += std::pow(static_cast<double>(i), -theta);
  if (n <= kExact) return sum;
  const auto a = static_cast<double>(kExact);
  const auto b = static_cast<double>(n);
  const double integral = (std::pow(b, 1 - theta) - std::pow(a, 1 - theta)) / (1 - theta);
  const double ends = (std::pow(b, -theta) - std::pow(a, -theta)) / 2;
  return sum + integral + ends;  // the next term is below 1e-4 of the last one summed
}

}  // namespace

Zipf::Zipf(uint64_t size, double theta)
    : size_(size),
      theta_(theta),
      zeta_(generalised_harmonic(size, theta)),
      alpha_(1 / (1 - theta)),
      eta_((1 - std::pow(2.0 / static_cast<double>(size), 1 - theta)) /
           (1 - generalised_harmonic(2, theta) / zeta_)) {}

uint64_t Zipf::operator()(Draw& draw) const {
  const double unit = draw.unit();
  const double scaled = unit * zeta_;
  if (scaled < 1) return 0;
  if (scaled < 1 + std::pow(0.5, theta_)) return std::min<uint64_t>(1, size_ - 1);
  const double rank = static_cast<double>(size_) * std::pow(eta_ * unit - eta_ + 1, alpha_);
  return std::min(static_cast<uint64_t>(rank), size_ - 1);
}

uint64_t exponential_id(Draw& draw, uint64_t size, double range) {
  const double rank = static_cast<double>(size) * std::exp(-range * draw.unit());
  constexpr uint64_t kPrime = 0x5bd1e995;
  return std::min(static_cast<uint64_t>(rank), size - 1) * kPrime % size;
}

uint64_t pareto(double unit, double shape, double scale) {
  return static_cast<uint64_t>(std::ceil(scale * (std::pow(1 - unit, -shape) - 1) / shape));
}

HotRanges::HotRanges(uint64_t size)
    : size_(size), range_size_(std::max<uint64_t>(1, size / kRanges)), cumulated_{} {
  const Permutation scattered(kRanges, 42);
  double sum = 0;
  for (int rank = 0; rank < kRanges; rank++) {
    const double x = rank + 1;
    const double share = 14.18 * std::exp(-2.917 * x) + 0.0164 * std::exp(-0.08082 * x);
    cumulated_[scattered(static_cast<uint64_t>(rank))] = share;
    sum += share;
  }
  double reached = 0;
  for (double& share : cumulated_) share = reached += share / sum;
}

uint64_t HotRanges::operator()(Draw& draw) const {
  const auto found = std::lower_bound(cumulated_.begin(), cumulated_.end() - 1, draw.unit());
  const auto range = static_cast<uint64_t>(found - cumulated_.begin());
  // The inverse of the cumulated power law a * x^b; rank 1 is the most popular key of its range.
  const double rank = std::ceil(std::pow(draw.unit() / 0.002312, 1 / 0.3467));
  const uint64_t offset = mix64(static_cast<uint64_t>(rank)) % range_size_;
  return std::min(range * range_size_ + offset, size_ - 1);
}

}  // namespace varve::bench
