// load.

#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "tools/common/output.h"
#include "tools/common/progress_bar.h"
#include "tools/common/quantity_text.h"
#include "tools/common/record_reader.h"
#include "tools/varve/loader.h"
#include "tools/varve/session.h"

namespace varve::cli {

namespace {

using tools::Output;

struct LoadCommand {
  CommonOptions common;
  std::string file = "-";
  tools::RecordReaderOptions reader;
  LoaderOptions loader;
  std::string ack_file;
  bool no_create = false;
};

void add_options(CommandLine* line, LoadCommand* options, std::string* format) {
  CLI::App& app = line->app();
  line->positional("FILE", &options->file, "What to read; - is standard input (default)");
  app.add_option("--format", *format, "tsv, jsonl or control (Debian control stanzas)")
      ->option_text("FORMAT [by the file's name, else tsv]");
  app.add_option("--batch-size", options->loader.batch_records_max, "Records of one commit")
      ->option_text("N [1000]")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option(
         "--ack-file", options->ack_file,
         "After each commit that is acknowledged, append its keys to FILE, in hex, one a line")
      ->option_text("FILE");
  app.add_flag("--only-changed", options->loader.only_changed,
               "Do not write records whose value is there already");
  app.add_flag("--delete-missing", options->loader.delete_missing,
               "In the end erase the keys that the input does not hold; keeps the input's keys in "
               "memory");
  app.add_option_function<std::string>(
         "--record-size-max",
         [options](const std::string& text) {
           options->reader.record_bytes_max =
               require_usage("--record-size-max", tools::parse_size(text));
         },
         "Refuse records whose text is longer")
      ->option_text("SIZE [64MiB]");
  app.add_flag("--no-create", options->no_create, "Fail if database or keyspace does not exist");
  line->add_keyspace("Keyspace to write");
  line->add_durability();
  line->add_hex();
  line->add_json();
  line->add_opening();
}

// Reads all, writes all.
Status load_records(tools::RecordReader& reader, Loader& loader, bool show_progress) {
  tools::ProgressBar progress("loading", reader.lines().bytes_total(), show_progress);
  tools::Record record;
  for (;;) {
    const Result<bool> more = reader.next(&record);
    if (!more.ok()) return more.status();
    if (!*more) break;
    Status status = loader.add(record);
    if (!status.ok()) {
      return status.with_context(reader.lines().name() + ":" +
                                 std::to_string(reader.lines().line_number()));
    }
    progress.update(reader.lines().bytes_read(), loader.figures().records);
  }
  return loader.finish();
}

double rate(uint64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

void print_figures(const LoadFigures& figures, double seconds, const LoadCommand& options,
                   Output& out) {
  if (options.common.json) {
    out.json({{"records", figures.records},
              {"bytes", figures.bytes},
              {"written", figures.written},
              {"unchanged", figures.unchanged},
              {"erased", figures.erased},
              {"commits", figures.commits},
              {"seconds", seconds},
              {"records_per_second", rate(figures.records, seconds)},
              {"bytes_per_second", rate(figures.bytes, seconds)}});
    return;
  }
  char text[256];
  std::snprintf(text, sizeof text, "%s, %s, %.2f s, %s records/s, %s/s",
                tools::counted(figures.records, "record").c_str(),
                tools::format_size(figures.bytes).c_str(), seconds,
                tools::format_count(static_cast<uint64_t>(rate(figures.records, seconds))).c_str(),
                tools::format_size(static_cast<uint64_t>(rate(figures.bytes, seconds))).c_str());
  out.line(text);
  std::string changes = "written " + tools::format_count(figures.written);
  if (options.loader.only_changed)
    changes += ", unchanged " + tools::format_count(figures.unchanged);
  if (options.loader.delete_missing) changes += ", erased " + tools::format_count(figures.erased);
  out.line(changes + ", in " + tools::counted(figures.commits, "commit"));
}

Result<int> load(Session& session, Output& out, LoadCommand& options, tools::RecordReader& reader,
                 AckFile* ack_file) {
  const auto start = std::chrono::steady_clock::now();
  options.loader.keyspace = session.keyspace;
  options.loader.durability = options.common.durability;
  Loader loader(*session.database, options.loader, ack_file);
  Status status = load_records(reader, loader, tools::standard_error_is_terminal());
  if (!status.ok()) {
    return status.with_context("stopped with " +
                               tools::counted(loader.figures().written, "record") + " written");
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  print_figures(loader.figures(), elapsed.count(), options, out);
  return kExitOk;
}

}  // namespace

int run_load(int argc, char** argv) {
  LoadCommand options;
  std::string format;
  CommandLine line("load",
                   "Writes the records of FILE: KEY TAB VALUE lines, JSON lines with \"key\" and "
                   "\"value\", or Debian\ncontrol stanzas (key: Package/Version/Architecture). "
                   "Creates database and keyspace if need be.",
                   "  apt-cache dumpavail | varve load /srv/db --format=control\n"
                   "  varve load /srv/db prices.tsv --only-changed --delete-missing\n"
                   "  varve load /srv/db events.jsonl --keyspace=events --durability=os\n"
                   "  varve load /srv/db big.tsv --batch-size=100 --ack-file=acknowledged",
                   &options.common);
  add_options(&line, &options, &format);
  const auto stop = line.parse(argc, argv, [&] {
    options.reader.format = format.empty()
                                ? tools::format_of_name(options.file)
                                : require_usage("--format", tools::parse_record_format(format));
  });
  if (stop) return *stop;
  options.reader.hex = options.common.hex;

  // Input and acknowledgement file first: a name that is wrong must not leave a new database
  // behind.
  Result<std::unique_ptr<tools::RecordReader>> reader =
      tools::RecordReader::open(options.file, options.reader);
  if (!reader.ok()) return report(reader.status());
  std::unique_ptr<AckFile> ack_file;
  if (!options.ack_file.empty()) {
    Result<std::unique_ptr<AckFile>> opened = AckFile::open(options.ack_file);
    if (!opened.ok()) return report(opened.status());
    ack_file = std::move(*opened);
  }
  const OpenFor purpose = options.no_create ? OpenFor::use : OpenFor::create;
  return with_session(options.common, purpose, [&](Session& session, Output& out) {
    return load(session, out, options, **reader, ack_file.get());
  });
}

}  // namespace varve::cli
