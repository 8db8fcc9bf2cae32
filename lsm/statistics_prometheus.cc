// Statistics in the text format of Prometheus (include/varve/statistics.h).
//
// Source: Prometheus, "Exposition formats", text format 0.0.4.

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/format.h"
#include "lsm/statistics_fields.h"
#include "varve/statistics.h"

namespace varve {

namespace {

unsigned long long ull(uint64_t value) { return value; }

// Exact, unlike a double.
std::string micros_as_seconds(uint64_t micros) {
  return format("%llu.%06llu", ull(micros / 1'000'000), ull(micros % 1'000'000));
}
std::string nanos_as_seconds(uint64_t nanos) {
  return format("%llu.%09llu", ull(nanos / 1'000'000'000), ull(nanos % 1'000'000'000));
}

// NAME="VALUE". The value has to be UTF-8: other bytes than ASCII as \xHH.
std::string label(const char* name, std::string_view value) {
  std::string text = std::string(name) + "=\"";
  for (const char c : readable(value, value.size())) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

// Families one after the other, each with its samples.
class Exposition {
 public:
  // A counter if the name says so.
  void family(std::string_view name, std::string_view help) {
    name_ = name;
    text_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
    text_.append(name).append(name.ends_with("_total") ? " counter\n" : " gauge\n");
  }
  void histogram(std::string_view name, std::string_view help) {
    name_ = name;
    text_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
    text_.append(name).append(" histogram\n");
  }
  // `part`: what follows the family's name.
  void sample(std::string_view labels, std::string_view value, std::string_view part = "") {
    text_.append(name_).append(part);
    if (!labels.empty()) text_.append("{").append(labels).append("}");
    text_.append(" ").append(value).append("\n");
  }
  void sample(std::string_view labels, uint64_t value, std::string_view part = "") {
    sample(labels, std::to_string(value), part);
  }

  const std::string& name() const { return name_; }
  std::string take() { return std::move(text_); }

 private:
  std::string name_;  // of the family
  std::string text_;
};

void add_counters(const Statistics& statistics, Exposition* to) {
  for (const StatisticsField& field : kStatisticsFields) {
    if (to->name() != field.metric) to->family(field.metric, field.help);
    const uint64_t value = statistics.*field.field;
    if (std::string_view(field.metric).find("_seconds") != std::string_view::npos) {
      to->sample(field.labels, micros_as_seconds(value));
    } else {
      to->sample(field.labels, value);
    }
  }
  to->family("varve_write_amplification_ratio", "Bytes written to disk for each byte of the user.");
  to->sample("", format("%.4f", statistics.write_amplification()));
}

void add_time(const char* name, const char* help, Timestamp time, Exposition* to) {
  if (time == kTimestampMin || time == kTimestampMax) return;  // there is none
  to->family(name, help);
  to->sample("", nanos_as_seconds(time.nanos));
}

void add_waits(const Statistics& statistics, Exposition* to) {
  const auto add = [&](const char* name, const char* help, uint64_t WaitStatistics::*field,
                       bool is_time) {
    to->family(name, help);
    for (size_t i = 0; i < kWaitReasonCount; ++i) {
      const std::string labels = label("reason", wait_reason_name(static_cast<WaitReason>(i)));
      const uint64_t value = statistics.waits[i].*field;
      is_time ? to->sample(labels, micros_as_seconds(value)) : to->sample(labels, value);
    }
  };
  add("varve_write_waits_total", "Waits of writes that are over, by reason.",
      &WaitStatistics::waits, false);
  add("varve_write_wait_seconds_total", "Time that writes waited, by reason.",
      &WaitStatistics::micros, true);
  add("varve_write_wait_longest_seconds", "The longest wait that is over, by reason.",
      &WaitStatistics::longest_micros, true);
  add("varve_writes_waiting", "Writes that wait now, by reason.", &WaitStatistics::waiting, false);
  add("varve_writes_waiting_oldest_seconds",
      "How long the oldest write that waits does so, by reason.", &WaitStatistics::oldest_micros,
      true);
}

void add_latencies(const Statistics& statistics, Exposition* to) {
  for (const LatencyField& field : kLatencyFields) {
    const LatencyStatistics& latency = statistics.*field.field;
    to->histogram(field.metric, field.help);
    uint64_t below = 0;
    for (size_t i = 0; i < kLatencyBuckets; ++i) {
      below += latency.counts[i];
      const bool is_last = i + 1 == kLatencyBuckets;
      to->sample(label("le", is_last ? "+Inf" : nanos_as_seconds(latency_bound_nanos(i))), below,
                 "_bucket");
    }
    to->sample("", nanos_as_seconds(latency.total_nanos), "_sum");
    to->sample("", below, "_count");
  }
}

std::string labels_of(const KeyspaceStatistics& keyspace) {
  // Names alone might come out alike.
  return label("keyspace", keyspace.name) + "," +
         label("keyspace_id", std::to_string(keyspace.keyspace.id));
}

void add_keyspaces(const Statistics& statistics, Exposition* to) {
  const auto add = [&](const char* name, const char* help, const auto& value_of) {
    to->family(name, help);
    for (const KeyspaceStatistics& keyspace : statistics.keyspaces) {
      to->sample(labels_of(keyspace), value_of(keyspace));
    }
  };
  const auto add_runs = [&](const char* name, const char* help, uint64_t RunStatistics::*field) {
    to->family(name, help);
    for (const KeyspaceStatistics& keyspace : statistics.keyspaces) {
      for (const RunStatistics& run : keyspace.runs) {
        to->sample(labels_of(keyspace) + "," + label("level", std::to_string(run.level)),
                   run.*field);
      }
    }
  };
  add("varve_memtable_bytes", "Memory of memtables, active and immutable.",
      [](const KeyspaceStatistics& k) { return k.memtable_bytes; });
  add("varve_memtable_entries", "Versions in memtables.",
      [](const KeyspaceStatistics& k) { return k.memtable_entries; });
  add("varve_immutable_memtables", "Memtables that are being flushed, or wait for it.",
      [](const KeyspaceStatistics& k) { return uint64_t{k.immutable_memtables}; });
  add("varve_history_start_timestamp_seconds", "History before that time is gone; 0: none is.",
      [](const KeyspaceStatistics& k) { return nanos_as_seconds(k.watermark.nanos); });
  add("varve_value_files", "Files of large values.",
      [](const KeyspaceStatistics& k) { return k.value_files; });
  add("varve_value_file_bytes", "Bytes of these on disk.",
      [](const KeyspaceStatistics& k) { return k.value_bytes; });
  add("varve_value_file_needed_bytes", "Bytes of these that sstables point to.",
      [](const KeyspaceStatistics& k) { return k.value_bytes_needed; });
  add_runs("varve_run_files", "Sstables of a run; level 0 is the newest.", &RunStatistics::files);
  add_runs("varve_run_bytes", "Bytes of a run on disk.", &RunStatistics::bytes);
  add_runs("varve_run_entries", "Versions in a run, tombstones included.", &RunStatistics::entries);
  add_runs("varve_run_tombstones", "Tombstones in a run.", &RunStatistics::tombstones);
}

// Pools of one name, such as those of several parts that were put into one report, are numbered.
std::string label_of(const std::vector<PoolStatistics>& pools, size_t i) {
  const std::string& name = pools[i].name;
  const auto earlier = std::count_if(pools.begin(), pools.begin() + static_cast<ptrdiff_t>(i),
                                     [&](const PoolStatistics& each) { return each.name == name; });
  return label("pool",
               earlier == 0 ? name : name + format(" #%zu", static_cast<size_t>(earlier) + 1));
}

void add_memory(const MemoryReport& memory, Exposition* to) {
  const auto add = [&](const char* name, const char* help, uint64_t value) {
    to->family(name, help);
    to->sample("", value);
  };
  const auto add_roles = [&](const char* name, const char* help,
                             uint64_t MemoryReport::Role::*field) {
    to->family(name, help);
    for (size_t i = 0; i < kMemoryRoleCount; ++i) {
      to->sample(label("role", memory_role_name(static_cast<MemoryRole>(i))),
                 memory.roles[i].*field);
    }
  };
  const auto add_pools = [&](const char* name, const char* help, uint64_t PoolStatistics::*field) {
    to->family(name, help);
    for (size_t i = 0; i < memory.pools.size(); ++i) {
      to->sample(label_of(memory.pools, i), memory.pools[i].*field);
    }
  };
  add("varve_memory_budget_bytes", "What the engine may hold.", memory.budget_bytes);
  add("varve_memory_live_bytes", "Memory in use: the sum of all roles.", memory.live_bytes);
  add("varve_memory_idle_bytes", "Memory held, and free for the next request.", memory.idle_bytes);
  add("varve_memory_held_bytes", "Memory held from the system: live and idle.", memory.held_bytes);
  add("varve_allocations_total", "Requests of the engine to its own allocator.",
      memory.allocations);
  add("varve_system_allocations_total", "Requests of the engine's allocator to the system.",
      memory.system_allocations);
  add_roles("varve_memory_role_live_bytes", "Memory in use, by role.",
            &MemoryReport::Role::live_bytes);
  add_roles("varve_memory_role_high_water_bytes", "The most that each role has held.",
            &MemoryReport::Role::high_water_bytes);
  add_pools("varve_pool_item_bytes", "Size of an item of a pool; 0 where it varies.",
            &PoolStatistics::item_bytes);
  add_pools("varve_pool_acquired_total", "Requests to a pool.", &PoolStatistics::acquired);
  add_pools("varve_pool_reused_total", "Requests to a pool that were served from memory at hand.",
            &PoolStatistics::reused);
  add_pools("varve_pool_missed_total",
            "Requests to a pool that were served by asking the level below.",
            &PoolStatistics::missed);
  add_pools("varve_pool_in_use", "Items in use.", &PoolStatistics::in_use);
  add_pools("varve_pool_high_water", "Most items in use at once.", &PoolStatistics::high_water);
  add_pools("varve_pool_held_bytes", "Bytes that a pool keeps, in use or not.",
            &PoolStatistics::held_bytes);
}

}  // namespace

std::string to_prometheus(const Statistics& statistics, const MemoryReport& memory) {
  Exposition exposition;
  add_counters(statistics, &exposition);
  add_time("varve_last_commit_timestamp_seconds", "Time of the newest commit that reads see.",
           statistics.published, &exposition);
  add_time("varve_oldest_snapshot_timestamp_seconds", "Time that the oldest open snapshot sees.",
           statistics.oldest_snapshot, &exposition);
  add_waits(statistics, &exposition);
  add_latencies(statistics, &exposition);
  add_keyspaces(statistics, &exposition);
  add_memory(memory, &exposition);
  return exposition.take();
}

}  // namespace varve
