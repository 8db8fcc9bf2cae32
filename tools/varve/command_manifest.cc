// manifest.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "base/time_text.h"
#include "lsm/current_file.h"
#include "lsm/manifest.h"
#include "tools/common/output.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/common/time_text.h"
#include "tools/varve/absent_database.h"
#include "tools/varve/json_text.h"
#include "tools/varve/session.h"

namespace varve::cli {

namespace {

using nlohmann::ordered_json;
using tools::Output;

std::string time_text(Timestamp time) { return time == kTimestampMin ? "none" : format_time(time); }

const char* durability_name(Durability durability) {
  switch (durability) {
    case Durability::sync:
      return "sync";
    case Durability::os:
      return "os";
    case Durability::buffered:
      return "buffered";
    case Durability::none:
      return "none";
  }
  return "?";
}

std::string durability_text(const KeyspaceOptions& options) {
  return options.durability.has_value() ? durability_name(*options.durability) : "as the database";
}

std::string retention_text(const KeyspaceOptions& options) {
  return options.history_retention.has_value() ? tools::format_duration(*options.history_retention)
                                               : "as the database";
}

ordered_json json_file(const AddedFile& file, bool hex) {
  const SstableInfo& info = file.info;
  ordered_json object = {{"file", sstable_name(info.number)},
                         {"keyspace", file.keyspace.id},
                         {"run", file.run.value},
                         {"file_id", id_text(info.id)},
                         {"bytes", info.file_size},
                         {"raw_bytes", info.raw_bytes},
                         {"versions", info.versions},
                         {"tombstones", info.tombstones}};
  tools::set_bytes(&object, "smallest_key", info.smallest_key, hex);
  tools::set_bytes(&object, "largest_key", info.largest_key, hex);
  object["time_min"] = json_time(info.timestamp_min);
  object["time_max"] = json_time(info.timestamp_max);
  object["collapse_horizon"] = json_time(info.collapse_horizon);
  if (info.undated) object["undated"] = true;
  return object;
}

ordered_json json_edit(const LevelsEdit& edit, bool hex) {
  ordered_json object;
  for (const AddedKeyspace& added : edit.keyspaces_added) {
    ordered_json keyspace = {{"id", added.keyspace.id}};
    tools::set_bytes(&keyspace, "name", added.name, false);
    keyspace["created"] = json_time(added.created);
    keyspace["flushed_lsn"] = added.flushed.value;
    keyspace["durability"] = durability_text(added.options);
    keyspace["history_retention"] = retention_text(added.options);
    object["add_keyspace"].push_back(std::move(keyspace));
  }
  for (const DroppedKeyspace& dropped : edit.keyspaces_dropped) {
    object["drop_keyspace"].push_back(
        {{"id", dropped.keyspace.id}, {"time", json_time(dropped.dropped)}});
  }
  for (const AddedFile& added : edit.added) object["add_file"].push_back(json_file(added, hex));
  for (const RemovedFile& removed : edit.removed) {
    object["remove_file"].push_back(
        {{"file", sstable_name(removed.number)}, {"keyspace", removed.keyspace.id}});
  }
  for (const FlushedPosition& flushed : edit.flushed) {
    object["flushed"].push_back({{"keyspace", flushed.keyspace.id}, {"lsn", flushed.lsn.value}});
  }
  for (const KeyspaceWatermark& mark : edit.watermarks) {
    object["watermark"].push_back(
        {{"keyspace", mark.keyspace.id}, {"time", json_time(mark.watermark)}});
  }
  if (edit.next_file) object["next_file"] = edit.next_file->value;
  if (edit.next_keyspace) object["next_keyspace"] = edit.next_keyspace->id;
  if (edit.lease) object["lease"] = json_time(*edit.lease);
  if (edit.log_start) object["log_start_lsn"] = edit.log_start->value;
  if (edit.log_end) object["log_end_lsn"] = edit.log_end->value;
  if (edit.last_timestamp) object["last_timestamp"] = json_time(*edit.last_timestamp);
  return object;
}

std::string file_text(const AddedFile& file, bool hex) {
  const SstableInfo& info = file.info;
  return sstable_name(info.number) + "  keyspace " + std::to_string(file.keyspace.id) + "  run " +
         std::to_string(file.run.value) + "  " + tools::format_size(info.file_size) + "  " +
         tools::counted(info.versions, "version") + ", " +
         tools::counted(info.tombstones, "tombstone") + "  times " + time_text(info.timestamp_min) +
         " to " + time_text(info.timestamp_max) + "  keys " +
         tools::format_bytes(info.smallest_key, hex) + " to " +
         tools::format_bytes(info.largest_key, hex);
}

// A line for each part of the edit.
std::string edit_text(const LevelsEdit& edit, bool hex) {
  std::string text;
  const auto line = [&](const char* what, const std::string& rest) {
    text.append("  ").append(what).append(" ").append(rest).append("\n");
  };
  const auto keyspace = [](Keyspace id) { return "keyspace " + std::to_string(id.id) + "  "; };
  for (const AddedKeyspace& added : edit.keyspaces_added) {
    line("add", keyspace(added.keyspace) + tools::escape(added.name) + "  created " +
                    time_text(added.created) + "  flushed LSN " +
                    std::to_string(added.flushed.value) + "  durability " +
                    durability_text(added.options) + "  retention " +
                    retention_text(added.options));
  }
  for (const DroppedKeyspace& dropped : edit.keyspaces_dropped) {
    line("drop", keyspace(dropped.keyspace) + time_text(dropped.dropped));
  }
  for (const AddedFile& added : edit.added) line("add file", file_text(added, hex));
  for (const RemovedFile& removed : edit.removed) {
    line("remove file",
         sstable_name(removed.number) + "  keyspace " + std::to_string(removed.keyspace.id));
  }
  for (const FlushedPosition& flushed : edit.flushed) {
    line("flushed", keyspace(flushed.keyspace) + "LSN " + std::to_string(flushed.lsn.value));
  }
  for (const KeyspaceWatermark& mark : edit.watermarks) {
    line("watermark", keyspace(mark.keyspace) + time_text(mark.watermark));
  }
  if (edit.next_file) line("next file", std::to_string(edit.next_file->value));
  if (edit.next_keyspace) line("next keyspace", std::to_string(edit.next_keyspace->id));
  if (edit.lease) line("lease", time_text(*edit.lease));
  if (edit.log_start) line("log start", "LSN " + std::to_string(edit.log_start->value));
  if (edit.log_end) line("log end", "LSN " + std::to_string(edit.log_end->value));
  if (edit.last_timestamp) line("last timestamp", time_text(*edit.last_timestamp));
  return text;
}

struct ManifestOptions {
  CommonOptions common;
  bool state = false;
};

Result<int> print_manifest(const ManifestOptions& options, Output& out) {
  const bool json = options.common.json;
  const bool hex = options.common.hex;
  FileSystem* const files = FileSystem::posix();
  const Result<CurrentManifest> current = read_current(files, options.common.directory);
  if (current.status().code() == StatusCode::not_found) {
    return absent_database(options.common.directory);
  }
  if (!current.ok()) return current.status();
  const std::string name = manifest_name(current->number);
  const auto print = [&](ordered_json head, const std::string& line, const LevelsEdit& edit) {
    if (json) {
      head.update(json_edit(edit, hex));
      out.json(head);
    } else {
      out.line(line);
      out.write(edit_text(edit, hex));
    }
  };
  if (json) {
    out.json({{"type", "manifest"}, {"file", name}, {"file_id", id_text(current->file)}});
  } else {
    out.line("manifest " + name + "  id " + id_text(current->file));
  }
  const Result<ManifestState> state = read_manifest(
      files, path_in(options.common.directory, name), &current->file,
      [&](uint64_t offset, const LevelsEdit& edit) {
        if (options.state) return;
        print({{"type", "edit"}, {"offset", offset}}, "edit at " + std::to_string(offset), edit);
      });
  if (!state.ok()) return state.status();
  if (options.state) {
    const std::string database = id_text(state->database);
    print({{"type", "state"}, {"database_id", database}}, "state of database " + database,
          state->as_edit());
  }
  return kExitOk;
}

}  // namespace

int run_manifest(int argc, char** argv) {
  ManifestOptions options;
  CommandLine line("manifest",
                   "Prints the edits of the manifest that is in force.\n"
                   "Reads the files as they are: takes no lock, changes nothing.",
                   "  varve manifest /srv/db\n"
                   "  varve manifest /srv/db --state --json",
                   &options.common);
  line.app().add_flag("--state", options.state, "Print what all edits add up to instead");
  line.add_hex();
  line.add_json();
  if (const auto stop = line.parse(argc, argv)) return *stop;
  return with_output([&](Output& out) { return print_manifest(options, out); });
}

}  // namespace varve::cli
