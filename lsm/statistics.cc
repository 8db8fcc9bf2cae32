// Statistics as text, and as the JSON of the file STATS.

#include "varve/statistics.h"

#include <utility>

#include "base/format.h"
#include "base/time_text.h"
#include "lsm/statistics_fields.h"
#include "lsm/store.h"

namespace varve {

namespace {

unsigned long long ull(uint64_t value) { return value; }

double mib(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

std::string time_or_none(Timestamp time) {
  return time == kTimestampMin ? "none" : format_time(time);
}

void add_string(std::string* json, std::string_view text) {
  *json += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20 ||
        static_cast<unsigned char>(c) >= 0x7f) {
      // Keyspace names may be any bytes: each as the code point of its number.
      *json += format("\\u%04x", static_cast<unsigned char>(c));
    } else {
      *json += c;
    }
  }
  *json += '"';
}

std::string waits_text(const std::array<WaitStatistics, kWaitReasonCount>& waits) {
  std::string text;
  for (size_t i = 0; i < waits.size(); ++i) {
    const WaitStatistics& wait = waits[i];
    if (wait.waits + wait.waiting == 0) continue;
    text += format("waits for %s: %llu, %llu us, longest %llu us; now %llu, oldest %llu us\n",
                   wait_reason_name(static_cast<WaitReason>(i)), ull(wait.waits), ull(wait.micros),
                   ull(wait.longest_micros), ull(wait.waiting), ull(wait.oldest_micros));
  }
  return text;
}

std::string latencies_text(const Statistics& statistics) {
  std::string text;
  const auto micros = [](uint64_t nanos) { return static_cast<double>(nanos) / 1000; };
  for (const LatencyField& field : kLatencyFields) {
    const LatencyStatistics& latency = statistics.*field.field;
    if (latency.count == 0) continue;
    text += format(
        "latency of %s, of %llu timed: p50 %.1f us, p95 %.1f, p99 %.1f, p99.9 %.1f, longest %.1f\n",
        field.name, ull(latency.count), micros(latency.p50_nanos), micros(latency.p95_nanos),
        micros(latency.p99_nanos), micros(latency.p999_nanos), micros(latency.longest_nanos));
  }
  return text;
}

std::string latencies_json(const Statistics& statistics) {
  std::string json = "\"latencies\":{";
  const char* comma = "";
  for (const LatencyField& field : kLatencyFields) {
    const LatencyStatistics& latency = statistics.*field.field;
    json += format("%s\"%s\":{", std::exchange(comma, ","), field.name);
    for (const LatencyNumber& number : kLatencyNumbers) {
      json += format("\"%s\":%llu,", number.name, ull(latency.*number.field));
    }
    json += "\"counts\":[";
    for (size_t i = 0; i < kLatencyBuckets; ++i) {
      json += format("%s%llu", i == 0 ? "" : ",", ull(latency.counts[i]));
    }
    json += "]}";
  }
  return json + "},";
}

}  // namespace

const char* wait_reason_name(WaitReason reason) {
  switch (reason) {
    case WaitReason::memtables:
      return "memtables";
    case WaitReason::runs:
      return "runs";
    case WaitReason::pace:
      return "pace";
    case WaitReason::memory:
      return "memory";
  }
  return "unknown";
}

std::string Health::to_string() const {
  std::string text = ok() ? "healthy\n" : "";
  const auto add = [&text](const char* what, const Status& status) {
    if (!status.ok()) text += format("%s: %s\n", what, status.to_string().c_str());
  };
  add("read-only", failure);
  add("flushes are put off", flush);
  add("compactions are put off", compaction);
  text += waits_text(waits);
  return text;
}

double Statistics::write_amplification() const {
  if (user_bytes_written == 0) return 0;
  return static_cast<double>(log_bytes_written + flush_bytes_written + compaction_bytes_written +
                             spill_bytes_written) /
         static_cast<double>(user_bytes_written);
}

std::string Statistics::to_string() const {
  std::string text;
  for (const StatisticsField& field : kStatisticsFields) {
    text += format("%-26s %llu\n", field.name, ull(this->*field.field));
  }
  text += format("%-26s %.2f\n", "write_amplification", write_amplification());
  text += waits_text(waits);
  text += latencies_text(*this);
  text += format("%-26s %s\n", "last commit", time_or_none(published).c_str());
  for (const KeyspaceStatistics& keyspace : keyspaces) {
    text += format("keyspace %u %s: memtables %.1f MiB, %llu entries, %u immutable; watermark %s\n",
                   keyspace.keyspace.id, readable(keyspace.name).c_str(),
                   mib(keyspace.memtable_bytes), ull(keyspace.memtable_entries),
                   keyspace.immutable_memtables, time_or_none(keyspace.watermark).c_str());
    if (keyspace.value_files != 0) {
      text += format("  large values: %llu files, %.1f MiB, %.1f of it pointed to\n",
                     ull(keyspace.value_files), mib(keyspace.value_bytes),
                     mib(keyspace.value_bytes_needed));
    }
    for (const RunStatistics& run : keyspace.runs) {
      text += format("  run %u: %llu files, %.1f MiB, %llu entries, %llu tombstones\n", run.level,
                     ull(run.files), mib(run.bytes), ull(run.entries), ull(run.tombstones));
    }
  }
  return text;
}

std::string encode_statistics_json(const Statistics& statistics, const MemoryReport& memory,
                                   uint64_t now_nanos) {
  std::string json =
      format("{\"format_version\":%u,\"feature_flags\":0,\"time_nanos\":%llu,\"statistics\":{",
             kStatsVersion, ull(now_nanos));
  for (const StatisticsField& field : kStatisticsFields) {
    json += format("\"%s\":%llu,", field.name, ull(statistics.*field.field));
  }
  json += format("\"write_amplification\":%.4f,\"published\":%llu,\"oldest_snapshot\":%llu,",
                 statistics.write_amplification(), ull(statistics.published.nanos),
                 ull(statistics.oldest_snapshot.nanos));
  json += latencies_json(statistics);
  json += "\"waits\":{";
  for (size_t i = 0; i < kWaitReasonCount; ++i) {
    const WaitStatistics& wait = statistics.waits[i];
    json += format(
        "%s\"%s\":{\"waits\":%llu,\"micros\":%llu,\"longest_micros\":%llu,\"waiting\":%llu,"
        "\"oldest_micros\":%llu}",
        i == 0 ? "" : ",", wait_reason_name(static_cast<WaitReason>(i)), ull(wait.waits),
        ull(wait.micros), ull(wait.longest_micros), ull(wait.waiting), ull(wait.oldest_micros));
  }
  json += "},\"keyspaces\":[";
  for (size_t k = 0; k < statistics.keyspaces.size(); ++k) {
    const KeyspaceStatistics& keyspace = statistics.keyspaces[k];
    json += format("%s{\"id\":%u,\"name\":", k == 0 ? "" : ",", keyspace.keyspace.id);
    add_string(&json, keyspace.name);
    json += format(
        ",\"memtable_bytes\":%llu,\"memtable_entries\":%llu,\"immutable_memtables\":%u,"
        "\"watermark\":%llu,\"value_files\":%llu,\"value_bytes\":%llu,"
        "\"value_bytes_needed\":%llu,\"runs\":[",
        ull(keyspace.memtable_bytes), ull(keyspace.memtable_entries), keyspace.immutable_memtables,
        ull(keyspace.watermark.nanos), ull(keyspace.value_files), ull(keyspace.value_bytes),
        ull(keyspace.value_bytes_needed));
    for (size_t r = 0; r < keyspace.runs.size(); ++r) {
      const RunStatistics& run = keyspace.runs[r];
      json += format(
          "%s{\"level\":%u,\"files\":%llu,\"bytes\":%llu,\"entries\":%llu,\"tombstones\":%llu}",
          r == 0 ? "" : ",", run.level, ull(run.files), ull(run.bytes), ull(run.entries),
          ull(run.tombstones));
    }
    json += "]}";
  }
  json += format(
      "]},\"memory\":{\"budget_bytes\":%llu,\"live_bytes\":%llu,\"idle_bytes\":%llu,"
      "\"held_bytes\":%llu,\"allocations\":%llu,\"system_allocations\":%llu,\"roles\":{",
      ull(memory.budget_bytes), ull(memory.live_bytes), ull(memory.idle_bytes),
      ull(memory.held_bytes), ull(memory.allocations), ull(memory.system_allocations));
  for (size_t i = 0; i < kMemoryRoleCount; ++i) {
    json += format("%s\"%s\":{\"live_bytes\":%llu,\"high_water_bytes\":%llu}", i == 0 ? "" : ",",
                   memory_role_name(static_cast<MemoryRole>(i)), ull(memory.roles[i].live_bytes),
                   ull(memory.roles[i].high_water_bytes));
  }
  json += "},\"pools\":[";
  for (size_t i = 0; i < memory.pools.size(); ++i) {
    const PoolStatistics& pool = memory.pools[i];
    json += format("%s{\"name\":", i == 0 ? "" : ",");
    add_string(&json, pool.name);
    json += format(
        ",\"item_bytes\":%llu,\"acquired\":%llu,\"reused\":%llu,\"missed\":%llu,\"in_use\":%llu,"
        "\"high_water\":%llu,\"held_bytes\":%llu}",
        ull(pool.item_bytes), ull(pool.acquired), ull(pool.reused), ull(pool.missed),
        ull(pool.in_use), ull(pool.high_water), ull(pool.held_bytes));
  }
  return json + "]}}\n";
}

}  // namespace varve
