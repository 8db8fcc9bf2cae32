#include "lsm/compaction_pick.h"

namespace varve {

namespace {

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

CompactionChoice cheapest_merge(std::span<const RunShape> runs, const CompactionLimits& limits) {
  CompactionChoice best;
  double best_cost = 0;
  for (size_t first = 0; first + 1 < runs.size(); ++first) {
    uint64_t bytes = runs[first].raw_bytes;
    for (size_t last = first + 1; last < runs.size() && last - first < limits.merge_runs_max;
         ++last) {
      bytes += runs[last].raw_bytes;
      const double cost = static_cast<double>(bytes) / static_cast<double>(last - first);
      if (best.last == 0 || cost < best_cost) {
        best = {.first = first, .last = last, .bottom = last + 1 == runs.size()};
        best_cost = cost;
      }
    }
  }
  return best;
}

}  // namespace

std::optional<CompactionChoice> pick_compaction(std::span<const RunShape> runs,
                                                const CompactionLimits& limits, bool manual) {
  if (runs.size() < 2) return std::nullopt;
  if (manual || much_is_dead(runs, limits)) return all_of(runs);
  if (runs.size() > limits.runs_max) return cheapest_merge(runs, limits);
  return std::nullopt;
}

}  // namespace varve
