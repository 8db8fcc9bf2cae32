// select.

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/common/output.h"
#include "tools/common/text_escape.h"
#include "tools/varve/session.h"
#include "tools/varve/table_text.h"
#include "varve/table.h"

namespace varve::cli {

namespace {

using tools::Output;

struct SelectOptions {
  CommonOptions common;
  std::string tenant{kDefaultTenant};
  std::string table;
  std::string columns;
  ScanDefinition scan;
  bool explain = false;
  bool no_header = false;
};

Status print_rows(RowCursor& cursor, const SelectOptions& options, Output& out) {
  std::string line;
  for (size_t i = 0; i < cursor.columns(); ++i) {
    line += (i == 0 ? "" : "\t") + tools::escape(cursor.column_name(i));
  }
  if (!options.common.json && !options.no_header) out.line(line);
  while (!out.stopped() && cursor.next()) {
    if (options.common.json) {
      nlohmann::ordered_json object = nlohmann::ordered_json::object();
      for (size_t i = 0; i < cursor.columns(); ++i) {
        set_value(&object, cursor.column_name(i), cursor.value(i));
      }
      out.json(object);
      continue;
    }
    line.clear();
    for (size_t i = 0; i < cursor.columns(); ++i) {
      line += (i == 0 ? "" : "\t") + cell_text(cursor.value(i));
    }
    out.line(line);
  }
  return cursor.status();
}

Result<int> select(Session& session, Output& out, const SelectOptions& options) {
  const Result<std::unique_ptr<Tables>> tables =
      Tables::open(session.database.get(), {.create_if_missing = false});
  if (!tables.ok()) return tables.status();
  const Result<Table> table = (*tables)->find_table(options.table, options.tenant);
  if (!table.ok()) return table.status();
  Result<RowCursor> cursor = table->scan(options.scan);
  if (!cursor.ok()) return cursor.status();
  Result<Snapshot> now = session.database->snapshot();
  if (!now.ok()) return now.status();
  Status status = cursor->open(session.at() != nullptr ? *session.at() : *now);
  if (!status.ok()) return status;
  if (options.explain && options.common.json) {
    out.json({{"plan", cursor->explain()}});
  } else if (options.explain) {
    out.line(cursor->explain());
  } else {
    status = print_rows(*cursor, options, out);
  }
  if (!status.ok()) return status;
  return kExitOk;
}

}  // namespace

int run_select(int argc, char** argv) {
  SelectOptions options;
  CommandLine line("select",
                   "Prints rows of a table: a line with the names of the columns, then a row a "
                   "line, columns\nseparated by tabs, null as \\N. In the order of the index "
                   "that serves the filter best.",
                   "  varve select /srv/db accounts --where=\"owner = 'Ann' and balance > 10\"\n"
                   "  varve select /srv/db accounts --columns=id,balance --at=-1h --json\n"
                   "  varve select /srv/db accounts --where='balance > 1000' --explain",
                   &options.common);
  line.positional("TABLE", &options.table, "Its name")->required();
  line.app()
      .add_option("--where", options.scan.filter,
                  "Which rows: comparisons, between, in, like 'prefix%', is null, joined by and, "
                  "or, not")
      ->option_text("FILTER");
  line.app()
      .add_option("--columns", options.columns, "What is printed of them; default: all")
      ->option_text("COLUMN,...");
  line.add_count("--limit", "At most N rows", [&](uint64_t n) { options.scan.limit = n; });
  line.app().add_flag("--reverse", options.scan.reverse, "The last one first");
  line.app().add_flag("--explain", options.explain,
                      "Print which index is used, by which bounds, and what is left over");
  line.app().add_flag("--no-header", options.no_header, "Leave the names of the columns out");
  line.app().add_option("--tenant", options.tenant, "Whose table")->option_text("NAME [default]");
  line.add_at();
  line.add_hex_without_keys();
  line.add_json();
  line.add_opening();
  const auto stop = line.parse(argc, argv, [&] {
    if (options.columns.empty()) return;
    for (const KeyPart& part : require_usage("--columns", parse_key(options.columns))) {
      options.scan.columns.push_back(part.column);
    }
  });
  if (stop) return *stop;
  return with_session(options.common, OpenFor::use,
                      [&](Session& session, Output& out) { return select(session, out, options); });
}

}  // namespace varve::cli
