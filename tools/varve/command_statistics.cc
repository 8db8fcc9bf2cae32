// stats, levels, memory.
//
// The text is made from the same JSON that --json prints, since a running owner publishes its
// figures as JSON; members that this build does not know are printed as they are.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/common/output.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/common/time_text.h"
#include "tools/varve/session.h"
#include "tools/varve/statistics_json.h"
#include "tools/varve/statistics_source.h"

namespace varve::cli {

namespace {

using nlohmann::ordered_json;
using tools::Output;
using tools::TextTable;

std::string text(const ordered_json& object, const char* name) {
  if (!object.is_object()) return "";
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? tools::escape(found->get<std::string>())
                                                     : "";
}

std::string scalar_text(const std::string& name, const ordered_json& value) {
  if (value.is_null()) return "none";
  if (value.is_string()) return tools::escape(value.get<std::string>());
  if (value.is_number_float()) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.2f", value.get<double>());
    return digits;
  }
  if (!value.is_number_unsigned()) return value.dump();
  const uint64_t count = value.get<uint64_t>();
  std::string result = tools::format_count(count);
  if (name.find("bytes") != std::string::npos && count >= 1024) {
    result += " (" + tools::format_size(count) + ")";
  }
  return result;
}

// What people read for a member whose name only the engine's authors understand. JSON keeps it.
std::string label(const std::string& name) {
  return name == "published" ? "last commit" : tools::escape(name);
}

// "name  value" for every member that is no list or object.
std::string scalars_text(const ordered_json& object) {
  std::string result;
  for (const auto& [name, value] : object.items()) {
    if (value.is_structured()) continue;
    const std::string shown = label(name);
    result += shown;
    result.append(shown.size() < 26 ? 26 - shown.size() : 1, ' ');
    result += scalar_text(name, value) + "\n";
  }
  return result;
}

std::string keyspace_heading(const ordered_json& keyspace) {
  std::string name = text(keyspace, "name");
  if (name.empty()) name = "0x" + text(keyspace, "name_hex");
  return "keyspace " + name + " (id " + std::to_string(number(keyspace, "id")) + ")";
}

// Of writes, by reason; those that never happened are left out.
std::string waits_text(const ordered_json& statistics) {
  const auto found = statistics.find("waits");
  if (found == statistics.end() || !found->is_object()) return "";
  std::string result;
  for (const auto& [reason, wait] : found->items()) {
    if (number(wait, "waits") + number(wait, "waiting") == 0) continue;
    result += "waits for " + tools::escape(reason) + ": " +
              tools::format_count(number(wait, "waits")) + ", " +
              tools::format_count(number(wait, "micros")) + " us, longest " +
              tools::format_count(number(wait, "longest_micros")) + " us; now " +
              tools::format_count(number(wait, "waiting")) + ", oldest " +
              tools::format_count(number(wait, "oldest_micros")) + " us\n";
  }
  return result;
}

// Of what was timed; kinds of calls that never were are left out.
std::string latencies_text(const ordered_json& statistics) {
  const auto found = statistics.find("latencies");
  if (found == statistics.end() || !found->is_object()) return "";
  std::string result;
  for (const auto& [name, latency] : found->items()) {
    if (number(latency, "count") == 0) continue;
    const auto micros = [&latency = latency](const char* which) {
      char digits[32];
      std::snprintf(digits, sizeof digits, "%.1f us",
                    static_cast<double>(number(latency, which)) / 1000);
      return std::string(digits);
    };
    result += "latency of " + tools::escape(name) + ", of " +
              tools::format_count(number(latency, "count")) + " timed: p50 " + micros("p50_nanos") +
              ", p95 " + micros("p95_nanos") + ", p99 " + micros("p99_nanos") + ", p99.9 " +
              micros("p999_nanos") + ", longest " + micros("longest_nanos") + "\n";
  }
  return result;
}

// The engine's requests to its own allocator, for each commit and read.
std::string allocations_text(const PublishedFigures& figures) {
  const uint64_t operations =
      number(figures.statistics, "commits") + number(figures.statistics, "gets");
  if (operations == 0) return "";
  char line[64];
  std::snprintf(
      line, sizeof line, "%-26s %.2f\n", "allocations per operation",
      static_cast<double>(number(figures.memory, "allocations")) / static_cast<double>(operations));
  return line;
}

std::string stats_text(const PublishedFigures& figures) {
  std::string result = scalars_text(figures.statistics) + allocations_text(figures) +
                       waits_text(figures.statistics) + latencies_text(figures.statistics);
  for (const ordered_json& keyspace : list(figures.statistics, "keyspaces")) {
    uint64_t entries = 0;
    uint64_t bytes = 0;
    for (const ordered_json& run : list(keyspace, "runs")) {
      entries += number(run, "entries");
      bytes += number(run, "bytes");
    }
    result += keyspace_heading(keyspace) + ": " +
              tools::counted(number(keyspace, "memtable_entries"), "version") + " in memtables, " +
              tools::format_count(entries) + " in " +
              tools::counted(list(keyspace, "runs").size(), "run") + " of " +
              tools::format_size(bytes) + "\n";
  }
  return result;
}

std::string levels_text(const PublishedFigures& figures) {
  std::string result;
  for (const ordered_json& keyspace : list(figures.statistics, "keyspaces")) {
    const std::string watermark = text(keyspace, "watermark");
    result += keyspace_heading(keyspace) + ", history since " +
              (watermark.empty() ? "its creation" : watermark) + "\n";
    TextTable table;
    table.row({"level", "files", "bytes", "entries", "tombstones"});
    table.row({"memory", std::to_string(1 + number(keyspace, "immutable_memtables")),
               tools::format_size(number(keyspace, "memtable_bytes")),
               tools::format_count(number(keyspace, "memtable_entries")), ""});
    for (const ordered_json& run : list(keyspace, "runs")) {
      table.row({std::to_string(number(run, "level")), tools::format_count(number(run, "files")),
                 tools::format_size(number(run, "bytes")),
                 tools::format_count(number(run, "entries")),
                 tools::format_count(number(run, "tombstones"))});
    }
    result += table.to_string();
    if (number(keyspace, "value_files") != 0) {
      result += "large values: " + tools::counted(number(keyspace, "value_files"), "file") +
                " of " + tools::format_size(number(keyspace, "value_bytes")) + ", of which " +
                tools::format_size(number(keyspace, "value_bytes_needed")) + " are pointed to\n";
    }
  }
  return result;
}

std::string memory_text(const PublishedFigures& figures) {
  std::string result = scalars_text(figures.memory);
  TextTable roles;
  roles.row({"role", "live", "high water"});
  const auto found = figures.memory.find("roles");
  if (found != figures.memory.end() && found->is_object()) {
    for (const auto& [name, role] : found->items()) {
      roles.row({tools::escape(name), tools::format_size(number(role, "live_bytes")),
                 tools::format_size(number(role, "high_water_bytes"))});
    }
  }
  result += "\n" + roles.to_string();
  if (list(figures.memory, "pools").empty()) return result;
  TextTable pools;
  pools.row({"pool", "item", "acquired", "reused", "missed", "in use", "high water", "held"});
  for (const ordered_json& pool : list(figures.memory, "pools")) {
    pools.row(
        {text(pool, "name"), tools::format_size(number(pool, "item_bytes")),
         tools::format_count(number(pool, "acquired")), tools::format_count(number(pool, "reused")),
         tools::format_count(number(pool, "missed")), tools::format_count(number(pool, "in_use")),
         tools::format_count(number(pool, "high_water")),
         tools::format_size(number(pool, "held_bytes"))});
  }
  return result + "\n" + pools.to_string();
}

ordered_json levels_json(const PublishedFigures& figures) {
  return {{"keyspaces", list(figures.statistics, "keyspaces")}};
}

// What tells the three commands apart.
struct View {
  const char* name;
  const char* summary;
  std::string (*text)(const PublishedFigures& figures);
  ordered_json (*json)(const PublishedFigures& figures);
  bool takes_prometheus;
};

void tell_source(const PublishedFigures& figures) {
  std::fprintf(stderr, "varve: %sfigures of %s, %.1f s old\n",
               figures.owned_by_other ? "another process owns the database; " : "",
               tools::escape(figures.source).c_str(), figures.age_seconds);
}

int run_view(const View& view, int argc, char** argv) {
  CommonOptions common;
  bool published = false;
  bool prometheus = false;
  const std::string command = std::string("  varve ") + view.name + " /srv/db";
  CommandLine line(view.name,
                   std::string(view.summary) +
                       "\nBeside a running owner: as it published in its file STATS, and how old "
                       "that is.",
                   command + "\n" + command + " --json\n" + command +
                       (view.takes_prometheus ? " --prometheus" : "") + " --published",
                   &common);
  line.add_hex_without_keys();
  line.add_json();
  line.app().add_flag("--published", published,
                      "Do not open the database: print what its owner, or its last one, published");
  if (view.takes_prometheus) {
    line.app().add_flag("--prometheus", prometheus,
                        "Print metrics in the text format of Prometheus, those of `levels` and "
                        "`memory` too");
  }
  line.add_opening();
  const auto stop = line.parse(argc, argv, [&] {
    if (prometheus && common.json) {
      throw CLI::ValidationError("--prometheus", "contradicts --json");
    }
    for (const char* opening : {"--memory-budget", "--history-retention"}) {
      if (published && line.app().count(opening) > 0) {
        throw CLI::ValidationError("--published", std::string("contradicts ") + opening);
      }
    }
  });
  if (stop) return *stop;
  return with_output([&](Output& out) -> Result<int> {
    const Result<PublishedFigures> figures = read_figures(common, published);
    if (!figures.ok()) return figures.status();
    const bool from_file = figures->source != kFromDatabase;
    if (common.json) {
      ordered_json object = {{"source", from_file ? "STATS" : kFromDatabase},
                             {"age_seconds", figures->age_seconds},
                             {"owned_by_other", figures->owned_by_other}};
      object.update(view.json(*figures));
      out.json(object);
    } else {
      if (from_file) tell_source(*figures);
      out.write(prometheus ? figures->prometheus : view.text(*figures));
    }
    return kExitOk;
  });
}

}  // namespace

int run_stats(int argc, char** argv) {
  static constexpr View kView = {
      "stats", "Prints what the engine did since it was opened, and what it holds.", stats_text,
      [](const PublishedFigures& figures) { return figures.statistics; },
      /*takes_prometheus=*/true};
  return run_view(kView, argc, argv);
}

int run_levels(int argc, char** argv) {
  static constexpr View kView = {
      "levels", "Prints the memtables and sorted runs of each keyspace, newest first.", levels_text,
      levels_json, /*takes_prometheus=*/false};
  return run_view(kView, argc, argv);
}

int run_memory(int argc, char** argv) {
  static constexpr View kView = {
      "memory", "Prints who holds memory, and how well the pools are used.", memory_text,
      [](const PublishedFigures& figures) { return figures.memory; },
      /*takes_prometheus=*/false};
  return run_view(kView, argc, argv);
}

}  // namespace varve::cli
