#include "lsm/compaction_pick.h"

#include <algorithm>
#include <vector>

namespace varve {

namespace {

// The codec makes a byte of the bottom run about half as costly again as one above it.
constexpr double kBottomCost = 1.5;
// Ends the search for absurd shapes; with seven runs, 12^7 / 7! flushes and more.
constexpr size_t kRewritesMax = 12;

CompactionChoice all_of(std::span<const RunShape> runs) {
  return {.first = 0, .last = runs.size() - 1, .bottom = true};
}

bool much_is_dead(std::span<const RunShape> runs, const CompactionLimits& limits) {
  uint64_t versions = 0;
  uint64_t tombstones = 0;
  for (const RunShape& run : runs) {
    versions += run.versions;
    tombstones += run.tombstones;
  }
  tombstones -= runs.back().tombstones;  // kept there for a snapshot: merging again frees nothing
  return tombstones >= limits.tombstones_min && tombstones * 3 >= versions;
}

// What is freed is as much as is rewritten for it, the values themselves apart.
bool is_worth_it(const ValueShape& values, std::span<const RunShape> runs,
                 const CompactionLimits& limits) {
  uint64_t bytes = 0;
  for (const RunShape& run : runs) bytes += run.raw_bytes;
  return values.stale_bytes() >= std::max(limits.stale_bytes_min, bytes);
}

// n over k.
double binomial(size_t n, size_t k) {
  double result = 1;
  for (size_t i = 1; i <= k; ++i) {
    result = result * static_cast<double>(n - k + i) / static_cast<double>(i);
  }
  return result;
}

// What a flush brings, as far as the runs tell: the mean of the smallest ones.
double flush_bytes(std::span<const RunShape> runs) {
  std::vector<uint64_t> bytes;
  for (const RunShape& run : runs) bytes.push_back(run.raw_bytes);
  std::sort(bytes.begin(), bytes.end());
  const size_t count = std::min<size_t>(bytes.size(), 3);
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += static_cast<double>(bytes[i]);
  return std::max(1.0, sum / static_cast<double>(count));
}

CompactionChoice cheapest_merge(std::span<const RunShape> runs, const CompactionLimits& limits) {
  double total = 0;
  for (const RunShape& run : runs) total += static_cast<double>(run.raw_bytes);
  const double flushes = total / flush_bytes(runs);
  // How often each byte will have been rewritten when there are some times as many flushes.
  size_t rewrites = 1;
  while (rewrites < kRewritesMax && binomial(rewrites + limits.runs_max, limits.runs_max) < flushes)
    ++rewrites;
  ++rewrites;
  size_t best = 1;
  double best_cost = 0;
  double bytes = static_cast<double>(runs[0].raw_bytes);
  for (size_t last = 1; last < runs.size(); ++last) {
    bytes += static_cast<double>(runs[last].raw_bytes);
    const bool bottom = last + 1 == runs.size();
    // With `last` places free again, so many flushes pass until a merge this deep comes back.
    const double cost = bytes * (bottom ? kBottomCost : 1.0) / binomial(rewrites + last, last);
    if (last == 1 || cost < best_cost) {
      best = last;
      best_cost = cost;
    }
  }
  return {.first = 0, .last = best, .bottom = best + 1 == runs.size()};
}

}  // namespace

std::optional<CompactionChoice> pick_compaction(std::span<const RunShape> runs,
                                                const ValueShape& values,
                                                const CompactionLimits& limits, bool manual) {
  if (runs.empty()) return std::nullopt;
  const bool stale = values.much_is_stale(manual);
  if (stale && (manual || is_worth_it(values, runs, limits))) return all_of(runs);
  if (runs.size() == 1) {
    // Shorter retention, or a snapshot that is gone, may free what was kept there.
    const bool may_hold_dead = runs[0].versions > runs[0].user_keys || runs[0].tombstones != 0;
    return manual && may_hold_dead ? std::optional(all_of(runs)) : std::nullopt;
  }
  if (manual || much_is_dead(runs, limits)) return all_of(runs);
  if (runs.size() > limits.runs_max) return cheapest_merge(runs, limits);
  return std::nullopt;
}

bool is_to_be_emptied(uint64_t file_bytes, uint64_t needed_bytes, const ValueShape& all,
                      bool manual) {
  if (!all.much_is_stale(manual)) return false;
  return static_cast<double>(needed_bytes) * static_cast<double>(all.bytes) <=
         static_cast<double>(all.needed_bytes) * static_cast<double>(file_bytes);
}

}  // namespace varve
