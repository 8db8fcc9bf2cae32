// find.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/time_text.h"
#include "tools/common/output.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/varve/find_key.h"
#include "tools/varve/json_text.h"
#include "tools/varve/session.h"

namespace varve::cli {

namespace {

using nlohmann::ordered_json;
using tools::Output;
using Where = VersionPlace::Where;

const char* where_name(Where where) {
  switch (where) {
    case Where::memtable:
      return "memtable";
    case Where::log:
      return "log";
    case Where::sstable:
      return "sstable";
  }
  return "?";
}

const char* kind_name(VersionKind kind) { return kind == VersionKind::tombstone ? "erase" : "put"; }

ordered_json place_json(const VersionPlace& place) {
  ordered_json object;
  object["time"] = json_time(place.timestamp);
  if (place.timestamp == kTimestampMin) object["at_or_before"] = json_time(place.collapse_horizon);
  object["kind"] = kind_name(place.kind);
  if (place.kind != VersionKind::tombstone) object["value_bytes"] = place.value_bytes;
  object["where"] = where_name(place.where);
  object["file"] = place.file;
  object["offset"] = place.offset;
  if (place.where == Where::sstable) {
    object["level"] = place.level;
    object["run"] = place.run;
    object["partition"] = place.partition;
    object["block"] = place.block;
  } else {
    object["lsn"] = place.lsn.value;
  }
  return object;
}

std::string place_text(const VersionPlace& place) {
  std::string line = place.timestamp == kTimestampMin ? "<=" + format_time(place.collapse_horizon)
                                                      : format_time(place.timestamp);
  line += std::string("  ") + kind_name(place.kind);
  if (place.kind != VersionKind::tombstone) {
    line += " " + tools::counted(place.value_bytes, "byte");
  }
  line += std::string("  ") + where_name(place.where) + "  " + place.file;
  if (place.where == Where::sstable) {
    line += "  level " + std::to_string(place.level) + "  run " + std::to_string(place.run) +
            "  partition " + std::to_string(place.partition) + "  block " +
            std::to_string(place.block) + " at " + std::to_string(place.offset);
  } else {
    line +=
        "  group at " + std::to_string(place.offset) + "  LSN " + std::to_string(place.lsn.value);
  }
  return line;
}

}  // namespace

int run_find(int argc, char** argv) {
  CommonOptions common;
  std::string key;
  CommandLine line(
      "find",
      "Prints where each version of KEY lies, newest first: 'memtable' is in the log "
      "only, 'log' is\nin the log and flushed as well, 'sstable' names file, level and "
      "block.\nReads the files as they are: takes no lock, changes nothing.",
      "  varve find /srv/db bash/5.2.15-2+b7/amd64\n"
      "  varve find /srv/db counter --keyspace=metrics --json",
      &common);
  line.positional("KEY", &key, "The key")->required();
  line.add_keyspace("Keyspace to read");
  line.add_hex();
  line.add_json();
  const auto stop = line.parse(argc, argv, [&] { key = key_argument("KEY", key, common.hex); });
  if (stop) return *stop;
  return with_output([&](Output& out) -> Result<int> {
    const Result<std::vector<VersionPlace>> places =
        find_key({.directory = common.directory, .keyspace = common.keyspace, .key = key});
    if (!places.ok()) return places.status();
    if (common.json) {
      ordered_json object;
      tools::set_bytes(&object, "key", key, common.hex);
      object["places"] = ordered_json::array();
      for (const VersionPlace& place : *places) object["places"].push_back(place_json(place));
      out.json(object);
    } else {
      for (const VersionPlace& place : *places) out.line(place_text(place));
    }
    if (!places->empty()) return kExitOk;
    std::fprintf(stderr, "varve: no such key: %s\n", tools::format_bytes(key, common.hex).c_str());
    return kExitNotFound;
  });
}

}  // namespace varve::cli
