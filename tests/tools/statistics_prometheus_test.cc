// Statistics in the text format of Prometheus: the format, and that all is there.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/format.h"
#include "lsm/statistics_fields.h"
#include "lsm/store.h"
#include "tests/support/status_check.h"
#include "tests/tools/varve_cli_fixture.h"
#include "varve/varve.h"

namespace varve::tools {
namespace {

using Series = std::map<std::string, std::string>;  // NAME{LABELS} -> value

// The samples of an exposition, each line of which is held to the format.
Series parse_exposition(const std::string& text) {
  static const std::regex kHelp(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ([^\\]|\\\\|\\n)+)");
  static const std::regex kType(R"(# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram))");
  static const std::regex kSample(
      R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\]|\\\\|\\"|\\n)*",?)+\})? )re"
      R"re(([0-9]+(?:\.[0-9]+)?))re");
  // What the samples of a histogram are called beyond its family.
  static const std::regex kPart("(_bucket|_sum|_count)");
  Series series;
  std::set<std::string> families;
  std::string family;
  std::string previous;
  bool is_histogram = false;
  EXPECT_TRUE(text.ends_with('\n'));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line); previous = line) {
    std::smatch match;
    for (const char c : line) EXPECT_GE(c, 0x20) << line;
    if (line.starts_with("# HELP")) {
      if (!std::regex_match(line, match, kHelp)) ADD_FAILURE() << line;
      family = match[1];
      EXPECT_TRUE(family.starts_with("varve_")) << line;
      EXPECT_TRUE(families.insert(family).second) << "twice: " << line;
    } else if (line.starts_with('#')) {
      if (!std::regex_match(line, match, kType)) ADD_FAILURE() << line;
      EXPECT_EQ(match[1], family);
      EXPECT_TRUE(previous.starts_with("# HELP")) << line;
      EXPECT_EQ(match[2] == "counter", family.ends_with("_total")) << line;
      is_histogram = match[2] == "histogram";
    } else {
      if (!std::regex_match(line, match, kSample)) ADD_FAILURE() << line;
      const std::string name = match[1];
      EXPECT_TRUE(name.starts_with(family)) << line;
      const std::string part = name.substr(std::min(family.size(), name.size()));
      EXPECT_TRUE(is_histogram ? std::regex_match(part, kPart) : part.empty()) << line;
      EXPECT_EQ(match[2].str().find(",}"), std::string::npos) << line;
      EXPECT_TRUE(series.emplace(match[1].str() + match[2].str(), match[3]).second) << line;
    }
  }
  return series;
}

std::string seconds(uint64_t micros) {
  return format("%llu.%06llu", static_cast<unsigned long long>(micros / 1'000'000),
                static_cast<unsigned long long>(micros % 1'000'000));
}

// Each field another number.
struct Filled {
  Statistics statistics;
  MemoryReport memory;

  Filled() {
    uint64_t next = 1'000'000'007;
    for (const StatisticsField& field : kStatisticsFields) statistics.*field.field = ++next;
    statistics.published = {1'700'000'000'000'000'001};
    statistics.oldest_snapshot = {1'600'000'000'000'000'002};
    for (WaitStatistics& wait : statistics.waits) {
      wait = {.waits = ++next,
              .micros = ++next,
              .longest_micros = ++next,
              .waiting = ++next,
              .oldest_micros = ++next};
    }
    for (const LatencyField& field : kLatencyFields) {
      LatencyStatistics& latency = statistics.*field.field;
      for (const LatencyNumber& number : kLatencyNumbers) latency.*number.field = ++next;
      for (uint64_t& count : latency.counts) count = ++next;
    }
    for (const std::string& name : {std::string("plain"), std::string("a\"b\\c\nd\xff", 8),
                                    std::string("a\"b\\c\nd\xff", 8)}) {
      KeyspaceStatistics keyspace;
      keyspace.keyspace = {static_cast<uint32_t>(statistics.keyspaces.size())};
      keyspace.name = name;
      keyspace.memtable_bytes = ++next;
      keyspace.memtable_entries = ++next;
      keyspace.immutable_memtables = static_cast<uint32_t>(++next);
      keyspace.watermark = {++next};
      keyspace.value_files = ++next;
      keyspace.value_bytes = ++next;
      keyspace.value_bytes_needed = ++next;
      for (uint32_t level = 0; level < 2; ++level) {
        keyspace.runs.push_back({.level = level,
                                 .files = ++next,
                                 .bytes = ++next,
                                 .entries = ++next,
                                 .tombstones = ++next});
      }
      statistics.keyspaces.push_back(keyspace);
    }
    memory.budget_bytes = ++next;
    memory.live_bytes = ++next;
    memory.idle_bytes = ++next;
    memory.held_bytes = ++next;
    memory.allocations = ++next;
    memory.system_allocations = ++next;
    for (MemoryReport::Role& role : memory.roles) {
      role = {.live_bytes = ++next, .high_water_bytes = ++next};
    }
    for (const char* name : {"slab 8", "cursor", "cursor"}) {
      memory.pools.push_back({.name = name,
                              .item_bytes = ++next,
                              .acquired = ++next,
                              .reused = ++next,
                              .missed = ++next,
                              .in_use = ++next,
                              .high_water = ++next,
                              .held_bytes = ++next});
    }
  }
};

// Takes what it compares out of the series: what is left was in no JSON.
class Compared {
 public:
  explicit Compared(Series series) : series_(std::move(series)) {}
  void expect(const std::string& name, const std::string& labels, const std::string& value) {
    const std::string key = labels.empty() ? name : name + "{" + labels + "}";
    const auto found = series_.find(key);
    ASSERT_NE(found, series_.end()) << key;
    EXPECT_EQ(found->second, value) << key;
    series_.erase(found);
  }
  void expect_number(const std::string& name, const std::string& labels, const json& number) {
    expect(name, labels, std::to_string(number.get<uint64_t>()));
  }
  const Series& left() const { return series_; }

 private:
  Series series_;
};

// All that a JSON document of statistics has, member by member; a member that nobody here knows is
// a failure.
class HeldAgainstJson {
 public:
  explicit HeldAgainstJson(Series series) : compared_(std::move(series)) {}

  void compare(const json& document) {
    for (const auto& [name, value] : document["statistics"].items()) statistic(name, value);
    for (const auto& [name, value] : document["memory"].items()) memory(name, value);
    EXPECT_EQ(compared_.left(), Series());
  }

 private:
  void statistic(const std::string& name, const json& value) {
    const auto* const end = std::end(kStatisticsFields);
    const auto* const field = std::find_if(std::begin(kStatisticsFields), end,
                                           [&](const auto& each) { return name == each.name; });
    if (field != end && name.ends_with("_micros")) {
      compared_.expect(field->metric, field->labels, seconds(value.get<uint64_t>()));
    } else if (field != end) {
      compared_.expect_number(field->metric, field->labels, value);
    } else if (name == "write_amplification") {
      compared_.expect("varve_write_amplification_ratio", "", format("%.4f", value.get<double>()));
    } else if (name == "published") {
      compared_.expect("varve_last_commit_timestamp_seconds", "", "1700000000.000000001");
    } else if (name == "oldest_snapshot") {
      compared_.expect("varve_oldest_snapshot_timestamp_seconds", "", "1600000000.000000002");
    } else if (name == "waits") {
      for (const auto& [reason, wait] : value.items()) waits("reason=\"" + reason + "\"", wait);
    } else if (name == "latencies") {
      EXPECT_EQ(value.size(), 2u);
      for (const auto& [kind, latency] : value.items()) latencies(kind, latency);
    } else if (name == "keyspaces") {
      for (const json& each : value) keyspace(each);
    } else {
      ADD_FAILURE() << name;
    }
  }

  void latencies(const std::string& kind, const json& latency) {
    EXPECT_EQ(latency.size(), 8u);
    const std::string name = "varve_" + kind + "_latency_seconds";
    // As far as Prometheus works percentiles out by itself.
    uint64_t below = 0;
    ASSERT_EQ(latency["counts"].size(), kLatencyBuckets);
    for (size_t i = 0; i < kLatencyBuckets; ++i) {
      below += latency["counts"][i].get<uint64_t>();
      const std::string bound =
          i + 1 == kLatencyBuckets
              ? "+Inf"
              : format("%llu.%09llu",
                       static_cast<unsigned long long>(latency_bound_nanos(i) / 1'000'000'000),
                       static_cast<unsigned long long>(latency_bound_nanos(i) % 1'000'000'000));
      compared_.expect(name + "_bucket", "le=\"" + bound + "\"", std::to_string(below));
    }
    compared_.expect(name + "_count", "", std::to_string(below));
    const uint64_t total = latency["total_nanos"];
    compared_.expect(name + "_sum", "",
                     format("%llu.%09llu", static_cast<unsigned long long>(total / 1'000'000'000),
                            static_cast<unsigned long long>(total % 1'000'000'000)));
  }

  void waits(const std::string& reason, const json& wait) {
    EXPECT_EQ(wait.size(), 5u);
    compared_.expect_number("varve_write_waits_total", reason, wait["waits"]);
    compared_.expect("varve_write_wait_seconds_total", reason, seconds(wait["micros"]));
    compared_.expect("varve_write_wait_longest_seconds", reason, seconds(wait["longest_micros"]));
    compared_.expect_number("varve_writes_waiting", reason, wait["waiting"]);
    compared_.expect("varve_writes_waiting_oldest_seconds", reason, seconds(wait["oldest_micros"]));
  }

  void keyspace(const json& keyspace) {
    EXPECT_EQ(keyspace.size(), 10u);
    const uint64_t id = keyspace["id"];
    const std::string name = id == 0 ? "plain" : R"(a\"b\\c\\x0Ad\\xFF)";
    const std::string labels =
        "keyspace=\"" + name + "\",keyspace_id=\"" + std::to_string(id) + "\"";
    compared_.expect_number("varve_memtable_bytes", labels, keyspace["memtable_bytes"]);
    compared_.expect_number("varve_memtable_entries", labels, keyspace["memtable_entries"]);
    compared_.expect_number("varve_immutable_memtables", labels, keyspace["immutable_memtables"]);
    compared_.expect(
        "varve_history_start_timestamp_seconds", labels,
        format("1.%09llu", static_cast<unsigned long long>(keyspace["watermark"].get<uint64_t>() %
                                                           1'000'000'000)));
    compared_.expect_number("varve_value_files", labels, keyspace["value_files"]);
    compared_.expect_number("varve_value_file_bytes", labels, keyspace["value_bytes"]);
    compared_.expect_number("varve_value_file_needed_bytes", labels,
                            keyspace["value_bytes_needed"]);
    for (const json& run : keyspace["runs"]) {
      EXPECT_EQ(run.size(), 5u);
      const std::string level =
          labels + ",level=\"" + std::to_string(run["level"].get<uint64_t>()) + "\"";
      for (const char* field : {"files", "bytes", "entries", "tombstones"}) {
        compared_.expect_number(std::string("varve_run_") + field, level, run[field]);
      }
    }
  }

  void memory(const std::string& name, const json& value) {
    if (name == "roles") {
      for (const auto& [role, bytes] : value.items()) {
        EXPECT_EQ(bytes.size(), 2u);
        const std::string label = "role=\"" + role + "\"";
        compared_.expect_number("varve_memory_role_live_bytes", label, bytes["live_bytes"]);
        compared_.expect_number("varve_memory_role_high_water_bytes", label,
                                bytes["high_water_bytes"]);
      }
    } else if (name == "pools") {
      std::set<std::string> names;
      for (const json& each : value) {
        EXPECT_EQ(each.size(), 8u);
        const std::string pool = each["name"];
        const std::string label = "pool=\"" + pool + (names.insert(pool).second ? "\"" : " #2\"");
        for (const char* field : {"item_bytes", "in_use", "high_water", "held_bytes"}) {
          compared_.expect_number(std::string("varve_pool_") + field, label, each[field]);
        }
        for (const char* field : {"acquired", "reused", "missed"}) {
          compared_.expect_number(std::string("varve_pool_") + field + "_total", label,
                                  each[field]);
        }
      }
    } else if (name.ends_with("allocations")) {
      compared_.expect_number("varve_" + name + "_total", "", value);
    } else {
      compared_.expect_number("varve_memory_" + name, "", value);
    }
  }

  Compared compared_;
};

TEST(StatisticsPrometheus, EveryFieldOfTheJsonIsThereWithItsValue) {
  const Filled filled;
  const Series series = parse_exposition(to_prometheus(filled.statistics, filled.memory));
  HeldAgainstJson(series).compare(
      json::parse(encode_statistics_json(filled.statistics, filled.memory, 0)));
}

TEST(StatisticsPrometheus, TimesThatThereAreNotAreLeftOut) {
  Statistics statistics;
  statistics.oldest_snapshot = kTimestampMax;
  const std::string text = to_prometheus(statistics, {});
  parse_exposition(text);
  EXPECT_EQ(text.find("varve_last_commit_timestamp_seconds"), std::string::npos);
  EXPECT_EQ(text.find("varve_oldest_snapshot_timestamp_seconds"), std::string::npos);
}

TEST_F(VarveCli, StatsArePrintedForPrometheus) {
  ok({"put", db_, "key", "value"});
  ok({"put", db_, "key", "value", "--keyspace=odd \\xff\""});
  const Series closed = parse_exposition(ok({"stats", db_, "--prometheus"}));
  EXPECT_EQ(closed.at("varve_commits_total"), "0");
  EXPECT_EQ(closed.at(R"(varve_memtable_entries{keyspace="odd \\xFF\"",keyspace_id="1"})"), "1");
  EXPECT_GT(std::stoull(closed.at("varve_memory_budget_bytes")), 0u);
  EXPECT_TRUE(closed.contains("varve_pool_held_bytes{pool=\"cursor\"}"));
  EXPECT_EQ(closed.at("varve_commit_latency_seconds_bucket{le=\"+Inf\"}"), "0");
  EXPECT_GT(std::stoull(closed.at("varve_allocations_total")), 0u);
  fails(2, "--prometheus: contradicts --json", {"stats", db_, "--prometheus", "--json"});
  EXPECT_EQ(run({"memory", db_, "--prometheus"}).status, 2);
}

// What its owner published, whose figures are of that time.
TEST_F(VarveCli, StatsForPrometheusAreThoseThatWerePublished) {
  ok({"put", db_, "key", "value"});
  const Filled filled;
  test::write_file(db_ + "/STATS", encode_statistics_json(filled.statistics, filled.memory, 1));
  const test::Outcome outcome = run({"stats", db_, "--prometheus", "--published"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.err.find("figures of " + db_ + "/STATS"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.out, to_prometheus(filled.statistics, filled.memory));
  // Of another build: what is missing counts as nothing.
  test::write_file(db_ + "/STATS",
                   R"({"format_version":1,"feature_flags":0,"time_nanos":1,)"
                   R"("statistics":{"commits":7,"gets":"many","keyspaces":[3],"waits":[]},)"
                   R"("memory":{"pools":[{"name":5}],"roles":{"index":9}}})");
  const Series series = parse_exposition(run({"stats", db_, "--prometheus", "--published"}).out);
  EXPECT_EQ(series.at("varve_commits_total"), "7");
  EXPECT_EQ(series.at("varve_gets_total"), "0");
  EXPECT_EQ(series.at("varve_memory_role_live_bytes{role=\"index\"}"), "0");
}

}  // namespace
}  // namespace varve::tools
