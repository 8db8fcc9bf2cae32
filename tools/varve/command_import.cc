// import.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tools/common/output.h"
#include "tools/common/progress_bar.h"
#include "tools/common/quantity_text.h"
#include "tools/varve/import_source.h"
#include "tools/varve/importer.h"
#include "tools/varve/session.h"
#include "tools/varve/table_guess.h"
#include "tools/varve/table_text.h"
#include "varve/table.h"

namespace varve::cli {

namespace {

using tools::Output;

// Of an input that cannot be read twice, such as a pipe: what columns are guessed from. Enough to
// see what a column holds, little enough to keep.
constexpr size_t kFirstRowsMax = 1000;
constexpr size_t kFirstBytesMax = 16 << 20;

struct ImportCommand {
  CommonOptions common;
  std::string tenant{kDefaultTenant};
  std::string table;
  std::string file;
  ImportSourceOptions source;
  ImporterOptions importer;
  bool create = false;
  std::vector<KeyPart> key;
};

// The texts of options that become something else.
struct ImportTexts {
  std::string format;
  std::string delimiter;
  std::string null_text;
  std::string columns;
  std::string key;
};

struct Input {
  std::unique_ptr<ImportSource> source;
  std::vector<ImportRow> first;  // rows that were read already
};

void add_options(CommandLine* line, ImportCommand* options, ImportTexts* texts) {
  CLI::App& app = line->app();
  line->positional("TABLE", &options->table, "Its name")->required();
  line->positional("FILE", &options->file, "What to read; - is standard input")->required();
  app.add_option("--format", texts->format, "csv or jsonl")->option_text("FORMAT [by FILE's name]");
  app.add_option("--delimiter", texts->delimiter,
                 "Of CSV: what stands between fields; \\t is a tab")
      ->option_text("C [,]");
  app.add_option("--null", texts->null_text,
                 "Of CSV: a field without quotes that says TEXT is null")
      ->option_text("TEXT [empty]");
  app.add_option("--columns", texts->columns, "Of CSV: the first line is a row, too")
      ->option_text("COLUMN,...");
  app.add_flag("--create", options->create, "If the table is missing, make one that fits the rows");
  app.add_option("--key", texts->key, "The primary key of the table that --create makes")
      ->option_text("COLUMN[:desc],... [the first column]");
  app.add_flag("--upsert", options->importer.upsert,
               "Replace rows that are there; otherwise they are an error");
  app.add_option("--batch", options->importer.batch_rows_max, "Rows of one transaction")
      ->option_text("ROWS [1000]")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--tenant", options->tenant, "Whose table")->option_text("NAME [default]");
  line->add_durability();
  line->add_hex_without_keys();
  line->add_json();
  line->add_opening();
}

ImportFormat parse_format(const std::string& name) {
  if (name == "csv") return ImportFormat::csv;
  if (name == "jsonl") return ImportFormat::jsonl;
  throw CLI::ValidationError("--format", "'" + name + "' (expected csv or jsonl)");
}

ImportFormat format_of_file(const std::string& file) {
  if (file == "-") {
    throw CLI::ValidationError("--format", "expected csv or jsonl for standard input");
  }
  if (file.ends_with(".csv")) return ImportFormat::csv;
  for (const char* ending : {".jsonl", ".ndjson", ".json"}) {
    if (file.ends_with(ending)) return ImportFormat::jsonl;
  }
  throw CLI::ValidationError("--format", "expected csv or jsonl, as '" + file +
                                             "' ends in none of .csv .jsonl .ndjson .json");
}

void check_options(const CLI::App& app, const ImportTexts& texts, ImportCommand* options) {
  ImportSourceOptions& source = options->source;
  source.format = texts.format.empty() ? format_of_file(options->file) : parse_format(texts.format);
  for (const char* option : {"--delimiter", "--null", "--columns"}) {
    if (source.format != ImportFormat::csv && app.count(option) > 0) {
      throw CLI::ValidationError(option, "for CSV only");
    }
  }
  if (app.count("--delimiter") > 0) {
    const std::string bytes = bytes_argument("--delimiter", texts.delimiter, /*hex=*/false);
    if (bytes.size() != 1 || std::string_view("\"\r\n").find(bytes) != std::string_view::npos ||
        (static_cast<uint8_t>(bytes[0]) & 0x80) != 0) {
      throw CLI::ValidationError("--delimiter",
                                 "'" + texts.delimiter + "' (expected one ASCII character)");
    }
    source.delimiter = bytes[0];
  }
  source.null_text = texts.null_text;
  if (!texts.columns.empty()) {
    for (const KeyPart& part : require_usage("--columns", parse_key(texts.columns))) {
      source.columns.push_back(part.column);
    }
  }
  if (texts.key.empty()) return;
  if (!options->create) throw CLI::ValidationError("--key", "only with --create");
  options->key = require_usage("--key", parse_key(texts.key));
}

// Reads all rows of the file once more, apart from `input`.
Status look_at_file(const ImportCommand& options, TableGuess* guess,
                    std::vector<ImportColumn>* columns) {
  Result<std::unique_ptr<ImportSource>> source = ImportSource::open(options.file, options.source);
  if (!source.ok()) return source.status();
  const tools::LineReader& lines = (*source)->lines();
  tools::ProgressBar progress("looking", lines.bytes_total(), tools::standard_error_is_terminal());
  ImportRow row;
  for (uint64_t rows = 1;; ++rows) {
    const Result<bool> more = (*source)->next(&row);
    if (!more.ok()) return more.status();
    if (!*more) break;
    guess->add(row);
    progress.update(lines.bytes_read(), rows);
  }
  *columns = (*source)->columns();
  return Status();
}

// Keeps the rows that it reads. False: there are more.
Result<bool> look_at_first_rows(TableGuess* guess, Input* input) {
  size_t bytes = 0;
  while (input->first.size() < kFirstRowsMax && bytes < kFirstBytesMax) {
    ImportRow row;
    const Result<bool> more = input->source->next(&row);
    if (!more.ok()) return more.status();
    if (!*more) return true;
    guess->add(row);
    bytes += row.bytes();
    input->first.push_back(std::move(row));
  }
  return false;
}

Result<TableDefinition> guess_table(const ImportCommand& options, Input* input) {
  TableGuess guess;
  const bool can_be_read_twice = options.file != "-" && input->source->lines().bytes_total() > 0;
  if (!can_be_read_twice) {
    const Result<bool> all_rows = look_at_first_rows(&guess, input);
    if (!all_rows.ok()) return all_rows.status();
    return guess.table(options.table, input->source->columns(), options.key, *all_rows);
  }
  std::vector<ImportColumn> columns;
  if (Status status = look_at_file(options, &guess, &columns); !status.ok()) return status;
  return guess.table(options.table, columns, options.key, /*all_rows=*/true);
}

Result<Table> create_table(Tables& tables, const ImportCommand& options, Input* input) {
  const Result<TableDefinition> definition = guess_table(options, input);
  if (!definition.ok()) return definition.status();
  const Result<std::vector<std::string>> tenants = tables.tenants();
  if (!tenants.ok()) return tenants.status();
  if (std::find(tenants->begin(), tenants->end(), options.tenant) == tenants->end()) {
    if (Status status = tables.create_tenant(options.tenant); !status.ok()) return status;
  }
  return tables.create_table(*definition, options.tenant);
}

Status import_rows(Input& input, Importer& importer) {
  // Before there is a row: a file of names alone may have wrong ones.
  if (Status status = importer.match_columns(); !status.ok()) return status;
  for (const ImportRow& row : input.first) {
    if (Status status = importer.add(row); !status.ok()) return status;
  }
  const tools::LineReader& lines = input.source->lines();
  tools::ProgressBar progress("importing", lines.bytes_total(),
                              tools::standard_error_is_terminal());
  ImportRow row;
  for (;;) {
    const Result<bool> more = input.source->next(&row);
    if (!more.ok()) return more.status();
    if (!*more) return importer.finish();
    if (Status status = importer.add(row); !status.ok()) return status;
    progress.update(lines.bytes_read(), importer.figures().rows);
  }
}

// Says what an import that failed leaves behind.
Status stopped(const Status& status, uint64_t rows) {
  std::string message(status.message());
  message += rows == 0 ? " (no row was imported)"
                       : " (" + tools::counted(rows, "row") + " before it " +
                             (rows == 1 ? "was imported and stays)" : "were imported and stay)");
  return {status.code(), std::move(message)};
}

void print_figures(const ImportFigures& figures, bool created, double seconds,
                   const ImportCommand& options, Output& out) {
  const double rate = seconds > 0 ? static_cast<double>(figures.rows) / seconds : 0;
  if (options.common.json) {
    out.json({{"table", options.table},
              {"created", created},
              {"rows", figures.rows},
              {"bytes", figures.bytes},
              {"commits", figures.commits},
              {"seconds", seconds},
              {"rows_per_second", rate}});
    return;
  }
  char text[128];
  std::snprintf(text, sizeof text, "%s, %s, %.2f s, %s rows/s",
                tools::counted(figures.rows, "row").c_str(),
                tools::format_size(figures.bytes).c_str(), seconds,
                tools::format_count(static_cast<uint64_t>(rate)).c_str());
  out.line(text);
  out.line((created ? "into a new table, in " : "in ") + tools::counted(figures.commits, "commit"));
}

Result<int> import(Session& session, Output& out, const ImportCommand& options, Input& input) {
  const auto start = std::chrono::steady_clock::now();
  const Result<std::unique_ptr<Tables>> tables =
      Tables::open(session.database.get(), {.create_if_missing = options.create});
  if (!tables.ok()) return tables.status();
  Result<Table> table = (*tables)->find_table(options.table, options.tenant);
  const bool created = options.create && table.status().code() == StatusCode::not_found;
  if (created) {
    table = create_table(**tables, options, &input);
    if (!table.ok()) return stopped(table.status(), 0);
  }
  if (!table.ok()) return table.status();
  const Result<TableDefinition> definition = table->definition();
  if (!definition.ok()) return definition.status();
  if (!options.key.empty() && key_text(options.key) != key_text(definition->primary_key)) {
    return Status::invalid_argument("--key: table " + options.table + " is there, its key is " +
                                    key_text(definition->primary_key));
  }
  ImporterOptions importer_options = options.importer;
  importer_options.durability = options.common.durability;
  Importer importer(*session.database, *table, *definition, *input.source, importer_options);
  const Status status = import_rows(input, importer);
  if (!status.ok()) return stopped(status, importer.figures().rows);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  print_figures(importer.figures(), created, elapsed.count(), options, out);
  return kExitOk;
}

}  // namespace

int run_import(int argc, char** argv) {
  ImportCommand options;
  ImportTexts texts;
  CommandLine line(
      "import",
      "Writes the rows of FILE into a table: CSV, whose first line names the columns, or "
      "JSON lines, an\nobject each. Rows are committed in batches. One that is wrong ends "
      "the import: nothing of its batch\nis there then, and all of the batches before.",
      "  varve import /srv/db people people.csv --create --key=id\n"
      "  varve import /srv/db people changes.jsonl --upsert\n"
      "  zcat big.csv.gz | varve import /srv/db people - --format=csv --delimiter=';' "
      "--null=NULL",
      &options.common);
  add_options(&line, &options, &texts);
  const auto stop = line.parse(argc, argv, [&] { check_options(line.app(), texts, &options); });
  if (stop) return *stop;

  // The input first: a name that is wrong must not leave a new database behind.
  Input input;
  Result<std::unique_ptr<ImportSource>> source = ImportSource::open(options.file, options.source);
  if (!source.ok()) return report(source.status());
  input.source = std::move(*source);
  const OpenFor purpose = options.create ? OpenFor::create : OpenFor::use;
  return with_session(options.common, purpose, [&](Session& session, Output& out) {
    return import(session, out, options, input);
  });
}

}  // namespace varve::cli
