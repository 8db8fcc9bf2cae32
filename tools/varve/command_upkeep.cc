// verify, compact.

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/common/output.h"
#include "tools/common/quantity_text.h"
#include "tools/varve/session.h"
#include "varve/table.h"

namespace varve::cli {

namespace {

using tools::Output;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string in_seconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", seconds);
  return text;
}

struct VerifyOptions {
  CommonOptions common;
  bool deep = false;
};

// Of a database without tables: all zeros.
Result<TableVerifyReport> verify_tables(Session& session) {
  const Result<std::unique_ptr<Tables>> tables =
      Tables::open(session.database.get(), {.create_if_missing = false});
  if (tables.status().code() == StatusCode::not_found) return TableVerifyReport();
  if (!tables.ok()) return tables.status();
  return (*tables)->verify();
}

Result<int> verify(Session& session, Output& out, const VerifyOptions& options) {
  const Clock::time_point start = Clock::now();
  const Result<VerifyReport> result = session.database->verify();
  if (!result.ok()) return result.status();
  TableVerifyReport tables;
  if (options.deep) {
    const Result<TableVerifyReport> verified = verify_tables(session);
    if (!verified.ok()) return verified.status();
    tables = *verified;
  }
  const double seconds = seconds_since(start);
  if (options.common.json) {
    nlohmann::ordered_json object = {{"files", result->files},
                                     {"blocks", result->blocks},
                                     {"entries", result->entries},
                                     {"log_commits", result->log_commits},
                                     {"bytes", result->bytes}};
    if (options.deep) {
      object["tables"] = tables.tables;
      object["rows"] = tables.rows;
      object["index_entries"] = tables.entries;
    }
    object["seconds"] = seconds;
    out.json(object);
    return kExitOk;
  }
  out.line("verified " + tools::counted(result->files, "file") + ", " +
           tools::counted(result->blocks, "block") + ", " +
           tools::counted(result->entries, "entry") + ", " +
           tools::counted(result->log_commits, "commit") + " in the log, " +
           tools::format_size(result->bytes) + " in " + in_seconds(seconds));
  if (options.deep) {
    out.line("verified " + tools::counted(tables.tables, "table") + ", " +
             tools::counted(tables.rows, "row") + ", " + tools::counted(tables.entries, "entry") +
             " of indexes");
  }
  return kExitOk;
}

struct Totals {
  uint64_t runs = 0;
  uint64_t files = 0;
  uint64_t value_files = 0;
  uint64_t bytes = 0;  // of both
  uint64_t entries = 0;
};

Totals count_runs(const Statistics& statistics) {
  Totals totals;
  for (const KeyspaceStatistics& keyspace : statistics.keyspaces) {
    for (const RunStatistics& run : keyspace.runs) {
      ++totals.runs;
      totals.files += run.files;
      totals.bytes += run.bytes;
      totals.entries += run.entries;
    }
    totals.value_files += keyspace.value_files;
    totals.bytes += keyspace.value_bytes;
  }
  return totals;
}

std::string totals_text(const Totals& totals) {
  return tools::counted(totals.runs, "run") + ", " + tools::counted(totals.files, "sstable") +
         ", " + tools::counted(totals.entries, "entry") + ", " + tools::format_size(totals.bytes);
}

nlohmann::ordered_json totals_json(const Totals& totals) {
  return {{"runs", totals.runs},
          {"sstables", totals.files},
          {"value_files", totals.value_files},
          {"entries", totals.entries},
          {"bytes", totals.bytes}};
}

Result<int> compact(Session& session, Output& out, const CommonOptions& common) {
  const Clock::time_point start = Clock::now();
  // Flushed first, so that "before" holds what lay in the log as well.
  Status status = session.database->flush();
  if (!status.ok()) return status;
  const Totals before = count_runs(session.database->statistics());
  status = session.database->compact();
  if (!status.ok()) return status;
  const Totals after = count_runs(session.database->statistics());
  const double seconds = seconds_since(start);
  if (common.json) {
    out.json(
        {{"before", totals_json(before)}, {"after", totals_json(after)}, {"seconds", seconds}});
  } else {
    out.line("before  " + totals_text(before));
    out.line("after   " + totals_text(after));
    out.line("took    " + in_seconds(seconds));
  }
  return kExitOk;
}

}  // namespace

int run_verify(int argc, char** argv) {
  VerifyOptions options;
  CommandLine line("verify", "Reads every file in use and checks every checksum and every order.",
                   "  varve verify /srv/db\n"
                   "  varve verify /srv/db --deep --json",
                   &options.common);
  line.app().add_flag("--deep", options.deep,
                      "Also hold rows of tables and entries of indexes against each other");
  line.add_hex_without_keys();
  line.add_json();
  line.add_opening();
  if (const auto stop = line.parse(argc, argv)) return *stop;
  return with_session(options.common, OpenFor::use,
                      [&](Session& session, Output& out) { return verify(session, out, options); });
}

int run_compact(int argc, char** argv) {
  CommonOptions common;
  CommandLine line("compact",
                   "Writes memtables out and merges each keyspace into one run. Past versions are "
                   "kept unless\n--history-retention allows to drop them.",
                   "  varve compact /srv/db\n"
                   "  varve compact /srv/db --history-retention=7d",
                   &common);
  line.add_hex_without_keys();
  line.add_json();
  line.add_opening();
  if (const auto stop = line.parse(argc, argv)) return *stop;
  return with_session(common, OpenFor::use,
                      [&](Session& session, Output& out) { return compact(session, out, common); });
}

}  // namespace varve::cli
