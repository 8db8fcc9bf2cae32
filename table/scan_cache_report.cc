// How a cache of scans fares, as numbers and in the text format of Prometheus
// (include/varve/table.h).

#include <string>
#include <string_view>

#include "base/format.h"
#include "varve/table.h"

namespace varve {

double ScanCacheStatistics::hit_rate() const {
  const uint64_t asked = hits + misses;
  return asked == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(asked);
}

std::string to_prometheus(const ScanCacheStatistics& statistics) {
  struct Field {
    const char* name;
    uint64_t ScanCacheStatistics::*field;
    const char* help;
  };
  static constexpr Field kFields[] = {
      {"capacity_bytes", &ScanCacheStatistics::capacity_bytes, "What the cache of scans may take."},
      {"bytes", &ScanCacheStatistics::bytes, "What the cache of scans takes."},
      {"entries", &ScanCacheStatistics::entries, "Results in the cache of scans."},
      {"hits_total", &ScanCacheStatistics::hits, "Scans that were answered with a result."},
      {"misses_total", &ScanCacheStatistics::misses,
       "Scans that were not answered with a result, and might have been."},
      {"bypassed_total", &ScanCacheStatistics::bypassed,
       "Scans that asked for the cache, and could not be answered from it."},
      {"invalidated_total", &ScanCacheStatistics::invalidated,
       "Results that a commit had changed when they were asked for."},
      {"evicted_total", &ScanCacheStatistics::evicted, "Results that made room for others."},
      {"refused_total", &ScanCacheStatistics::refused,
       "Results that were too large, or that there was no memory for."},
  };
  std::string text;
  const auto add = [&text](const std::string& name, const char* help, const std::string& value) {
    const bool is_counter = name.ends_with("_total");
    text += "# HELP " + name + " " + help + "\n# TYPE " + name;
    text += is_counter ? " counter\n" : " gauge\n";
    text += name + " " + value + "\n";
  };
  for (const Field& field : kFields) {
    add(std::string("varve_scan_cache_") + field.name, field.help,
        std::to_string(statistics.*field.field));
  }
  add("varve_scan_cache_hit_ratio", "Part of the scans that were answered with a result.",
      format("%.4f", statistics.hit_rate()));
  return text;
}

}  // namespace varve
