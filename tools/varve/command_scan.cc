// scan, count, dump.

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/common/output.h"
#include "tools/common/text_escape.h"
#include "tools/varve/json_text.h"
#include "tools/varve/session.h"
#include "varve/cursor.h"

namespace varve::cli {

namespace {

using tools::Output;

struct RangeOptions {
  CommonOptions common;
  std::string from;
  std::string to;
  std::string prefix;
  uint64_t limit = UINT64_MAX;
  bool reverse = false;
  bool keys_only = false;
};

void add_range(CommandLine* line, RangeOptions* options) {
  CLI::App& app = line->app();
  app.add_option("--from", options->from, "First key, included")->option_text("KEY");
  app.add_option("--to", options->to, "Last key, not included")->option_text("KEY");
  app.add_option("--prefix", options->prefix, "Only keys that begin with it")->option_text("KEY");
  line->add_keyspace("Keyspace to read");
  line->add_at();
  line->add_hex();
  line->add_json();
  line->add_opening();
}

void check_range(RangeOptions* options) {
  const bool hex = options->common.hex;
  options->from = bytes_argument("--from", options->from, hex);
  options->to = bytes_argument("--to", options->to, hex);
  options->prefix = bytes_argument("--prefix", options->prefix, hex);
}

// Calls `visit` for the keys of the range, up to the limit, until it returns false.
Status walk(Session& session, const RangeOptions& options,
            const std::function<bool(const Cursor& cursor)>& visit) {
  ScanOptions scan;
  scan.keyspace = session.keyspace;
  scan.snapshot = session.at();
  scan.lower = options.from;
  scan.upper = options.to;
  scan.prefix = options.prefix;
  scan.fill_cache = false;
  Result<Cursor> cursor = session.database->scan(scan);
  if (!cursor.ok()) return cursor.status();
  if (options.limit == 0) return Status();
  if (options.reverse) {
    cursor->seek_to_last();
  } else {
    cursor->seek_to_first();
  }
  for (uint64_t left = options.limit; cursor->valid();
       options.reverse ? cursor->prev() : cursor->next()) {
    if (!visit(*cursor) || --left == 0) break;
  }
  return cursor->status();
}

void print_json(const Cursor& cursor, const RangeOptions& options, bool with_time, Output* out) {
  nlohmann::ordered_json object;
  tools::set_bytes(&object, "key", cursor.key(), options.common.hex);
  if (!options.keys_only) tools::set_bytes(&object, "value", cursor.value(), options.common.hex);
  if (with_time) object["time"] = json_time(cursor.timestamp());
  out->json(object);
}

void print_text(const Cursor& cursor, const RangeOptions& options, Output* out) {
  std::string line = tools::format_bytes(cursor.key(), options.common.hex);
  if (!options.keys_only) {
    line.push_back('\t');
    if (options.common.hex) {
      line += tools::to_hex(cursor.value());
    } else {
      tools::append_escaped(cursor.value(), &line);
    }
  }
  out->line(line);
}

// Prints the range, as JSON lines or TSV.
int print_range(const RangeOptions& options, bool with_time) {
  return with_session(options.common, OpenFor::use,
                      [&](Session& session, Output& out) -> Result<int> {
                        const Status status = walk(session, options, [&](const Cursor& cursor) {
                          if (options.common.json) {
                            print_json(cursor, options, with_time, &out);
                          } else {
                            print_text(cursor, options, &out);
                          }
                          return !out.stopped();
                        });
                        if (!status.ok()) return status;
                        return kExitOk;
                      });
}

}  // namespace

int run_scan(int argc, char** argv) {
  RangeOptions options;
  CommandLine line("scan", "Prints keys and values in order, KEY TAB VALUE a line.",
                   "  varve scan /srv/db --prefix=bash/\n"
                   "  varve scan /srv/db --from=m --to=n --reverse --limit=10 --keys-only\n"
                   "  varve scan /srv/db --at=2026-01-31T12:00:00Z --json",
                   &options.common);
  add_range(&line, &options);
  line.add_count("--limit", "At most N keys", [&](uint64_t n) { options.limit = n; });
  line.app().add_flag("--reverse", options.reverse, "Largest key first");
  line.app().add_flag("--keys-only", options.keys_only, "Leave the values out");
  if (const auto stop = line.parse(argc, argv, [&] { check_range(&options); })) return *stop;
  return print_range(options, true);
}

int run_dump(int argc, char** argv) {
  RangeOptions options;
  std::string format = "tsv";
  CommandLine line(
      "dump", "Prints all records of a keyspace, in a form that load reads back.",
      "  varve dump /srv/db > db.tsv && varve load /srv/copy db.tsv\n"
      "  varve dump /srv/db --format=jsonl --keyspace=files\n"
      "  varve dump /srv/db --at=-1d --hex | varve load /srv/copy - --format=tsv --hex",
      &options.common);
  add_range(&line, &options);
  line.app()
      .add_option("--format", format, "tsv or jsonl; --json means jsonl")
      ->option_text("FORMAT [tsv]")
      ->check(CLI::IsMember({"tsv", "jsonl"}));
  const auto stop = line.parse(argc, argv, [&] {
    check_range(&options);
    if (options.common.json && format == "tsv" && line.app().count("--format") > 0) {
      throw CLI::ValidationError("--format", "tsv contradicts --json");
    }
  });
  if (stop) return *stop;
  options.common.json |= format == "jsonl";
  return print_range(options, false);
}

int run_count(int argc, char** argv) {
  RangeOptions options;
  CommandLine line("count", "Counts the keys of a keyspace, or of a range.",
                   "  varve count /srv/db\n"
                   "  varve count /srv/db --prefix=lib --at=-1h --json",
                   &options.common);
  add_range(&line, &options);
  if (const auto stop = line.parse(argc, argv, [&] { check_range(&options); })) return *stop;
  return with_session(
      options.common, OpenFor::use, [&](Session& session, Output& out) -> Result<int> {
        uint64_t keys = 0;
        uint64_t key_bytes = 0;
        uint64_t value_bytes = 0;
        const Status status = walk(session, options, [&](const Cursor& cursor) {
          ++keys;
          key_bytes += cursor.key().size();
          value_bytes += cursor.value().size();
          return true;
        });
        if (!status.ok()) return status;
        if (options.common.json) {
          out.json({{"keys", keys}, {"key_bytes", key_bytes}, {"value_bytes", value_bytes}});
        } else {
          out.line(std::to_string(keys));
        }
        return kExitOk;
      });
}

}  // namespace varve::cli
