// wal.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/time_text.h"
#include "lsm/batch_format.h"
#include "tools/common/output.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/varve/json_text.h"
#include "tools/varve/log_walk.h"
#include "tools/varve/session.h"

namespace varve::cli {

namespace {

using nlohmann::ordered_json;
using tools::Output;

// How much of the log is printed: each holds the ones before it.
enum class Depth : uint8_t { segments, groups, commits, entries };

struct WalOptions {
  CommonOptions common;
  std::optional<uint64_t> segment;
  std::string depth_name = "entries";
  Depth depth = Depth::entries;
  bool values = false;
};

std::string kind_name(WalKind kind) {
  switch (kind) {
    case WalKind::commits:
      return "commits";
    case WalKind::prepare:
      return "prepare";
    case WalKind::resolve:
      return "resolve";
    case WalKind::keyspace_create:
      return "keyspace_create";
    case WalKind::keyspace_drop:
      return "keyspace_drop";
    case WalKind::ingest:
      return "ingest";
    case WalKind::timestamp_lease:
      return "timestamp_lease";
    case WalKind::end_marker:
      return "end_marker";
  }
  return "kind " + std::to_string(static_cast<int>(kind));
}

// Prints what it is shown, as text or as a JSON object a line.
class WalPrinter final : public LogVisitor {
 public:
  WalPrinter(const WalOptions& options, Output* out) : options_(options), out_(*out) {}

  // What made no sense, in all segments.
  uint64_t problems() const { return problems_; }
  uint64_t segments() const { return segments_; }

  void segment(const WalSegmentInfo& info) override {
    name_ = wal_name(info.number);
    ++segments_;
    const WalSegmentHeader& header = info.header;
    if (options_.common.json) {
      out_.json({{"type", "segment"},
                 {"file", name_},
                 {"file_bytes", info.file_size},
                 {"database_id", id_text(header.database)},
                 {"start_lsn", header.start.value},
                 {"predecessor", header.predecessor.value},
                 {"durable_lsn", header.durable.value}});
    } else {
      out_.line("segment " + name_ + "  start " + std::to_string(header.start.value) +
                "  predecessor " + std::to_string(header.predecessor.value) + "  durable " +
                std::to_string(header.durable.value) + "  file " + std::to_string(info.file_size) +
                " bytes");
    }
  }

  bool group(const WalGroup& group) override {
    if (options_.depth >= Depth::groups) print_group(group);
    if (options_.depth >= Depth::commits && group.header.kind == WalKind::commits) {
      print_commits(group);
    }
    return !out_.stopped();
  }

  void segment_end(const LogSegmentEnd& end) override {
    if (options_.common.json) {
      out_.json({{"type", "segment_end"},
                 {"file", name_},
                 {"lsn", end.lsn.value},
                 {"offset", end.offset},
                 {"clean", end.clean},
                 {"groups", end.groups},
                 {"commits", end.commits}});
    } else {
      out_.line("end " + name_ + "  LSN " + std::to_string(end.lsn.value) + "  offset " +
                std::to_string(end.offset) + "  " + tools::counted(end.groups, "group") + ", " +
                tools::counted(end.commits, "commit") +
                (end.clean ? "  closed by an end marker" : ""));
    }
  }

  void problem(const std::string& file, const Status& what) override {
    print_problem(file, tools::escape_message(what.message()));
  }

 private:
  void print_group(const WalGroup& group) {
    const WalGroupHeader& header = group.header;
    if (options_.common.json) {
      out_.json({{"type", "group"},
                 {"kind", kind_name(header.kind)},
                 {"lsn", group.start.value},
                 {"offset", group.offset},
                 {"commits", header.commits},
                 {"time", json_time(header.timestamp)},
                 {"payload_bytes", header.payload_size},
                 {"durable_lsn", header.durable.value}});
    } else {
      out_.line("  group LSN " + std::to_string(group.start.value) + "  offset " +
                std::to_string(group.offset) + "  " + kind_name(header.kind) + " " +
                std::to_string(header.commits) + "  payload " +
                std::to_string(header.payload_size) + " bytes  durable " +
                std::to_string(header.durable.value));
    }
  }

  void print_commits(const WalGroup& group) {
    WalCommitReader commits(group.header, group.payload);
    WalCommit commit;
    while (commits.next(&commit)) {
      if (options_.common.json) {
        out_.json({{"type", "commit"},
                   {"time", json_time(commit.timestamp)},
                   {"batch_bytes", commit.batch.size()}});
      } else {
        out_.line("    commit " + format_time(commit.timestamp) + "  " +
                  std::to_string(commit.batch.size()) + " bytes");
      }
      if (options_.depth >= Depth::entries) print_entries(commit.batch, group.offset);
    }
    if (!commits.ok())
      print_problem(name_, "at " + std::to_string(group.offset) + ": commits are not readable");
  }

  void print_entries(std::string_view batch, uint64_t offset) {
    BatchReader entries(batch);
    BatchEntry entry;
    while (entries.next(&entry)) print_entry(entry);
    if (!entries.ok())
      print_problem(name_, "at " + std::to_string(offset) + ": a batch is not readable");
  }

  void print_entry(const BatchEntry& entry) {
    const bool hex = options_.common.hex;
    const bool is_value = entry.kind == VersionKind::value;
    if (options_.common.json) {
      ordered_json object = {
          {"type", "entry"}, {"kind", is_value ? "put" : "erase"}, {"keyspace", entry.keyspace.id}};
      tools::set_bytes(&object, "key", entry.key, hex);
      if (is_value) object["value_bytes"] = entry.value.size();
      if (is_value && options_.values) tools::set_bytes(&object, "value", entry.value, hex);
      out_.json(object);
      return;
    }
    std::string line = is_value ? "      put   " : "      erase ";
    line += std::to_string(entry.keyspace.id) + " " + tools::format_bytes(entry.key, hex);
    if (is_value) line += "  " + tools::counted(entry.value.size(), "byte");
    if (is_value && options_.values) line += "  " + tools::format_bytes(entry.value, hex);
    out_.line(line);
  }

  // `file` may be empty: the log as a whole.
  void print_problem(const std::string& file, const std::string& what) {
    ++problems_;
    if (options_.common.json) {
      out_.json({{"type", "problem"},
                 {"file", file.empty() ? ordered_json(nullptr) : ordered_json(file)},
                 {"what", what}});
    } else {
      out_.line("problem" + (file.empty() ? "" : " in " + file) + ": " + what);
    }
  }

  const WalOptions& options_;
  Output& out_;
  std::string name_;  // of the current segment
  uint64_t segments_ = 0;
  uint64_t problems_ = 0;
};

Result<int> print_wal(const WalOptions& options, Output& out) {
  std::optional<FileNumber> number;
  if (options.segment.has_value()) number = FileNumber{*options.segment};
  WalPrinter printer(options, &out);
  const Status status = walk_log(options.common.directory, number, &printer);
  if (!status.ok()) return status;
  if (printer.problems() == 0) {
    if (printer.segments() != 0) return kExitOk;
    return Status::not_found(options.common.directory + ": no log segment");
  }
  return Status::corruption(options.common.directory + ": " +
                            tools::counted(printer.problems(), "problem") + " in the log");
}

}  // namespace

int run_wal(int argc, char** argv) {
  WalOptions options;
  CommandLine line("wal",
                   "Prints the log: its segments, the groups in them, their commits and entries.\n"
                   "Without --segment it is held against the manifest as well.\n"
                   "Reads the files as they are: takes no lock, changes nothing.",
                   "  varve wal /srv/db\n"
                   "  varve wal /srv/db --depth=groups --segment=13\n"
                   "  varve wal /srv/db --json --values",
                   &options.common);
  line.add_count("--segment", "Only the segment of this number",
                 [&](uint64_t n) { options.segment = n; });
  line.app()
      .add_option("--depth", options.depth_name, "segments, groups, commits or entries")
      ->option_text("WHAT [entries]");
  line.app().add_flag("--values", options.values, "Print values, not only their sizes");
  line.add_hex();
  line.add_json();
  const auto stop = line.parse(argc, argv, [&] {
    constexpr std::string_view kNames[] = {"segments", "groups", "commits", "entries"};
    const auto* found = std::find(std::begin(kNames), std::end(kNames), options.depth_name);
    if (found == std::end(kNames)) {
      throw CLI::ValidationError("--depth", "expected segments, groups, commits or entries");
    }
    options.depth = static_cast<Depth>(found - std::begin(kNames));
    if (options.values && options.depth < Depth::entries) {
      throw CLI::ValidationError("--values", "contradicts --depth=" + options.depth_name);
    }
  });
  if (stop) return *stop;
  return with_output([&](Output& out) { return print_wal(options, out); });
}

}  // namespace varve::cli
