// table create, list, describe, drop, index.

#include <algorithm>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "table/value_text.h"
#include "tools/common/output.h"
#include "tools/common/text_escape.h"
#include "tools/varve/session.h"
#include "tools/varve/table_text.h"
#include "varve/table.h"

namespace varve::cli {

namespace {

using tools::Output;

struct TableOptions {
  CommonOptions common;
  std::string tenant{kDefaultTenant};
  std::string name;
  // create
  std::vector<std::string> columns;
  std::string key;
  std::vector<std::string> indexes;
  std::vector<std::string> unique;
  TableDefinition definition;
  // index
  IndexDefinition index;
  std::string index_columns;
  std::string covered;
};

// With the tables of the open database.
int with_tables(const TableOptions& options, OpenFor purpose,
                const std::function<Result<int>(Tables& tables, Output& out)>& body) {
  return with_session(options.common, purpose, [&](Session& session, Output& out) -> Result<int> {
    Result<std::unique_ptr<Tables>> tables =
        Tables::open(session.database.get(), {.create_if_missing = purpose == OpenFor::create});
    if (!tables.ok()) return tables.status();
    return body(**tables, out);
  });
}

void add_common(CommandLine* line, TableOptions* options) {
  line->app()
      .add_option("--tenant", options->tenant, "Whose tables")
      ->option_text("NAME [default]");
  line->add_hex_without_keys();
  line->add_json();
  line->add_opening();
}

// NAME=COLUMN[:desc],...
IndexDefinition parse_index(const std::string& option, const std::string& text, bool unique) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw CLI::ValidationError(option, "'" + text + "': expected NAME=COLUMN[:desc],...");
  }
  IndexDefinition index{.name = text.substr(0, equals)};
  index.columns = require_usage(option, parse_key(text.substr(equals + 1)));
  index.unique = unique;
  return index;
}

void define(TableOptions* options) {
  TableDefinition& table = options->definition;
  table.name = options->name;
  table.primary_key = require_usage("--key", parse_key(options->key));
  for (const std::string& text : options->columns) {
    ColumnDefinition column = require_usage("COLUMN", parse_column(text));
    for (const KeyPart& part : table.primary_key) {
      if (part.column == column.name) column.nullable = false;
    }
    table.columns.push_back(std::move(column));
  }
  for (const std::string& text : options->indexes) {
    table.indexes.push_back(parse_index("--index", text, /*unique=*/false));
  }
  for (const std::string& text : options->unique) {
    table.indexes.push_back(parse_index("--unique", text, /*unique=*/true));
  }
}

int run_create(int argc, char** argv) {
  TableOptions options;
  CommandLine line(
      "table create",
      "Creates a table. A COLUMN is NAME:TYPE, with ! behind it if it may not be "
      "null, then =DEFAULT. Types:\nboolean int64 uint64 float64 decimal(DIGITS) "
      "timestamp uuid bytes text array.\nCreates the database if need be.",
      "  varve table create /srv/db people id:int64 name:text! --key=id\n"
      "  varve table create /srv/db accounts id:int64 owner:text 'balance:decimal(2)!=0' "
      "--key=id --index=by_owner=owner,balance:desc",
      &options.common);
  line.positional("TABLE", &options.name, "Its name")->required();
  line.positional_list("COLUMN", &options.columns, "Its columns");
  line.app()
      .add_option("--key", options.key, "The primary key")
      ->required()
      ->option_text("COLUMN[:desc],...");
  line.app()
      .add_option("--index", options.indexes, "An index; may be given several times")
      ->option_text("NAME=COLUMN[:desc],...")
      ->expected(1);
  line.app()
      .add_option("--unique", options.unique, "An index whose keys are of one row each")
      ->option_text("NAME=COLUMN[:desc],...")
      ->expected(1);
  add_common(&line, &options);
  if (const auto stop = line.parse(argc, argv, [&] { define(&options); })) return *stop;
  return with_tables(options, OpenFor::create, [&](Tables& tables, Output& out) -> Result<int> {
    const Result<std::vector<std::string>> tenants = tables.tenants();
    if (!tenants.ok()) return tenants.status();
    if (std::find(tenants->begin(), tenants->end(), options.tenant) == tenants->end()) {
      if (Status status = tables.create_tenant(options.tenant); !status.ok()) return status;
    }
    const Status created = tables.create_table(options.definition, options.tenant).status();
    if (!created.ok()) return created;
    if (options.common.json) out.json(table_json(options.definition));
    return kExitOk;
  });
}

int run_list(int argc, char** argv) {
  TableOptions options;
  CommandLine line("table list", "Prints the tables of a tenant: name, columns, indexes.",
                   "  varve table list /srv/db\n  varve table list /srv/db --tenant=shop --json",
                   &options.common);
  add_common(&line, &options);
  if (const auto stop = line.parse(argc, argv)) return *stop;
  return with_tables(options, OpenFor::use, [&](Tables& tables, Output& out) -> Result<int> {
    const Result<std::vector<TableDefinition>> all = tables.tables(options.tenant);
    if (!all.ok()) return all.status();
    for (const TableDefinition& table : *all) {
      if (options.common.json) {
        out.json(table_json(table));
      } else {
        out.line(tools::escape(table.name) + "\t" + std::to_string(table.columns.size()) + "\t" +
                 std::to_string(table.indexes.size()));
      }
    }
    return kExitOk;
  });
}

std::string description(const TableDefinition& table) {
  tools::TextTable columns;
  columns.row({"column", "type", "null", "default"});
  for (const ColumnDefinition& column : table.columns) {
    const Value value = column.default_value.value();
    columns.row({tools::escape(column.name), to_text(column.kind), column.nullable ? "yes" : "no",
                 value.is_null() ? "" : cell_text(value)});
  }
  std::string text = columns.to_string() + "\nprimary key: " + key_text(table.primary_key) + "\n";
  for (const IndexDefinition& index : table.indexes) {
    text += (index.unique ? "unique index " : "index ") + tools::escape(index.name) + ": " +
            key_text(index.columns);
    for (size_t i = 0; i < index.covered.size(); ++i) {
      text += (i == 0 ? "; covers " : ",") + tools::escape(index.covered[i]);
    }
    if (!index.condition.empty()) text += "; where " + index.condition;
    text += index.ready ? "\n" : "; not ready\n";
  }
  return text;
}

int run_describe(int argc, char** argv) {
  TableOptions options;
  CommandLine line("table describe", "Prints columns, primary key and indexes of a table.",
                   "  varve table describe /srv/db people", &options.common);
  line.positional("TABLE", &options.name, "Its name")->required();
  add_common(&line, &options);
  if (const auto stop = line.parse(argc, argv)) return *stop;
  return with_tables(options, OpenFor::use, [&](Tables& tables, Output& out) -> Result<int> {
    const Result<Table> table = tables.find_table(options.name, options.tenant);
    if (!table.ok()) return table.status();
    const Result<TableDefinition> definition = table->definition();
    if (!definition.ok()) return definition.status();
    if (options.common.json) {
      out.json(table_json(*definition));
    } else {
      out.write(description(*definition));
    }
    return kExitOk;
  });
}

int run_drop(int argc, char** argv) {
  TableOptions options;
  std::string index;
  CommandLine line("table drop", "Drops a table and its rows, or one of its indexes.",
                   "  varve table drop /srv/db people\n"
                   "  varve table drop /srv/db accounts --index=by_owner",
                   &options.common);
  line.positional("TABLE", &options.name, "Its name")->required();
  line.app().add_option("--index", index, "Only this index")->option_text("NAME");
  add_common(&line, &options);
  if (const auto stop = line.parse(argc, argv)) return *stop;
  return with_tables(options, OpenFor::use, [&](Tables& tables, Output&) -> Result<int> {
    Status status;
    if (index.empty()) {
      status = tables.drop_table(options.name, options.tenant);
    } else {
      const Result<Table> table = tables.find_table(options.name, options.tenant);
      status = table.ok() ? table->drop_index(index) : table.status();
    }
    if (!status.ok()) return status;
    return kExitOk;
  });
}

int run_index(int argc, char** argv) {
  TableOptions options;
  CommandLine line("table index", "Builds an index of a table.",
                   "  varve table index /srv/db accounts by_owner owner,balance:desc\n"
                   "  varve table index /srv/db accounts rich balance:desc --cover=owner "
                   "--where='balance > 1000'",
                   &options.common);
  line.positional("TABLE", &options.name, "Its name")->required();
  line.positional("INDEX", &options.index.name, "The index's name")->required();
  line.positional("COLUMNS", &options.index_columns, "What it orders by: COLUMN[:desc],...")
      ->required();
  line.app().add_flag("--unique", options.index.unique, "Keys are of one row each");
  line.app()
      .add_option("--cover", options.covered, "Columns that entries hold besides")
      ->option_text("COLUMN,...");
  line.app()
      .add_option("--where", options.index.condition, "Only rows that pass")
      ->option_text("FILTER");
  add_common(&line, &options);
  const auto stop = line.parse(argc, argv, [&] {
    options.index.columns = require_usage("COLUMNS", parse_key(options.index_columns));
    if (options.covered.empty()) return;
    for (const KeyPart& part : require_usage("--cover", parse_key(options.covered))) {
      options.index.covered.push_back(part.column);
    }
  });
  if (stop) return *stop;
  return with_tables(options, OpenFor::use, [&](Tables& tables, Output&) -> Result<int> {
    const Result<Table> table = tables.find_table(options.name, options.tenant);
    if (!table.ok()) return table.status();
    if (Status status = table->create_index(options.index); !status.ok()) return status;
    return kExitOk;
  });
}

constexpr Command kTableCommands[] = {
    {"create", "create a table", run_create},
    {"list", "print the tables of a tenant", run_list},
    {"describe", "print columns, primary key and indexes of a table", run_describe},
    {"drop", "drop a table, or an index of it", run_drop},
    {"index", "build an index", run_index},
};

}  // namespace

int run_table(int argc, char** argv) {
  constexpr CommandGroup kTable = {
      .name = "varve table",
      .commands = kTableCommands,
      .help_head =
          "Tables of a database, and their indexes.\n"
          "Usage: varve table COMMAND DB [TABLE] [ARGUMENTS] [OPTIONS]\n",
      .help_tail = "\nvarve table COMMAND --help describes a command. Rows: varve select.\n"};
  return run_one_of(kTable, argc, argv);
}

}  // namespace varve::cli
