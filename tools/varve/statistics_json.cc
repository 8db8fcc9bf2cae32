#include "tools/varve/statistics_json.h"

#include <algorithm>

#include "lsm/statistics_fields.h"

namespace varve::cli {

using nlohmann::ordered_json;

namespace {

// A member that is an object; an empty one: there is none.
const ordered_json& object_in(const ordered_json& object, const char* name) {
  static const ordered_json kEmpty = ordered_json::object();
  if (!object.is_object()) return kEmpty;
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : kEmpty;
}

std::string name_in(const ordered_json& object) {
  if (!object.is_object()) return "";
  const auto found = object.find("name");
  return found != object.end() && found->is_string() ? name_bytes(found->get<std::string>()) : "";
}

uint32_t small_number(const ordered_json& object, const char* name) {
  return static_cast<uint32_t>(number(object, name));
}

KeyspaceStatistics keyspace_from(const ordered_json& object) {
  KeyspaceStatistics keyspace;
  keyspace.keyspace = {small_number(object, "id")};
  keyspace.name = name_in(object);
  keyspace.memtable_bytes = number(object, "memtable_bytes");
  keyspace.memtable_entries = number(object, "memtable_entries");
  keyspace.immutable_memtables = small_number(object, "immutable_memtables");
  keyspace.watermark = {number(object, "watermark")};
  keyspace.value_files = number(object, "value_files");
  keyspace.value_bytes = number(object, "value_bytes");
  keyspace.value_bytes_needed = number(object, "value_bytes_needed");
  for (const ordered_json& run : list(object, "runs")) {
    keyspace.runs.push_back({.level = small_number(run, "level"),
                             .files = number(run, "files"),
                             .bytes = number(run, "bytes"),
                             .entries = number(run, "entries"),
                             .tombstones = number(run, "tombstones")});
  }
  return keyspace;
}

LatencyStatistics latency_from(const ordered_json& object) {
  LatencyStatistics latency;
  for (const LatencyNumber& each : kLatencyNumbers) {
    latency.*each.field = number(object, each.name);
  }
  const ordered_json& counts = list(object, "counts");
  for (size_t i = 0; i < std::min(counts.size(), kLatencyBuckets); ++i) {
    if (counts[i].is_number_unsigned()) latency.counts[i] = counts[i].get<uint64_t>();
  }
  return latency;
}

}  // namespace

uint64_t number(const ordered_json& object, const char* name) {
  if (!object.is_object()) return 0;
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

const ordered_json& list(const ordered_json& object, const char* name) {
  static const ordered_json kEmpty = ordered_json::array();
  if (!object.is_object()) return kEmpty;
  const auto found = object.find(name);
  return found != object.end() && found->is_array() ? *found : kEmpty;
}

std::string name_bytes(const std::string& text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const bool pair = (lead == 0xC2 || lead == 0xC3) && i + 1 < text.size();
    bytes.push_back(pair ? static_cast<char>((lead & 3) << 6 | (text[++i] & 0x3F)) : text[i]);
  }
  return bytes;
}

Statistics statistics_from(const ordered_json& object) {
  Statistics statistics;
  for (const StatisticsField& field : kStatisticsFields) {
    statistics.*field.field = number(object, field.name);
  }
  statistics.published = {number(object, "published")};
  statistics.oldest_snapshot = {number(object, "oldest_snapshot")};
  const ordered_json& waits = object_in(object, "waits");
  for (size_t i = 0; i < kWaitReasonCount; ++i) {
    const ordered_json& wait = object_in(waits, wait_reason_name(static_cast<WaitReason>(i)));
    statistics.waits[i] = {.waits = number(wait, "waits"),
                           .micros = number(wait, "micros"),
                           .longest_micros = number(wait, "longest_micros"),
                           .waiting = number(wait, "waiting"),
                           .oldest_micros = number(wait, "oldest_micros")};
  }
  const ordered_json& latencies = object_in(object, "latencies");
  for (const LatencyField& field : kLatencyFields) {
    statistics.*field.field = latency_from(object_in(latencies, field.name));
  }
  for (const ordered_json& keyspace : list(object, "keyspaces")) {
    statistics.keyspaces.push_back(keyspace_from(keyspace));
  }
  return statistics;
}

MemoryReport memory_report_from(const ordered_json& object) {
  MemoryReport memory;
  memory.budget_bytes = number(object, "budget_bytes");
  memory.live_bytes = number(object, "live_bytes");
  memory.idle_bytes = number(object, "idle_bytes");
  memory.held_bytes = number(object, "held_bytes");
  memory.allocations = number(object, "allocations");
  memory.system_allocations = number(object, "system_allocations");
  const ordered_json& roles = object_in(object, "roles");
  for (size_t i = 0; i < kMemoryRoleCount; ++i) {
    const ordered_json& role = object_in(roles, memory_role_name(static_cast<MemoryRole>(i)));
    memory.roles[i] = {.live_bytes = number(role, "live_bytes"),
                       .high_water_bytes = number(role, "high_water_bytes")};
  }
  for (const ordered_json& pool : list(object, "pools")) {
    memory.pools.push_back({.name = name_in(pool),
                            .item_bytes = number(pool, "item_bytes"),
                            .acquired = number(pool, "acquired"),
                            .reused = number(pool, "reused"),
                            .missed = number(pool, "missed"),
                            .in_use = number(pool, "in_use"),
                            .high_water = number(pool, "high_water"),
                            .held_bytes = number(pool, "held_bytes")});
  }
  return memory;
}

}  // namespace varve::cli
