#include "tools/sst_dump/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "tools/common/arguments.h"
#include "tools/common/output.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"

namespace varve::sst_dump {

namespace {

struct NamedCommand {
  std::string_view name;
  Command command;
  std::string_view summary;
};

constexpr std::array<NamedCommand, 8> kCommands{{
    {"check", Command::check, "read everything: structure, checksums, order"},
    {"verify", Command::verify,
     "check, and hold properties, index, handles and filters against the data"},
    {"scan", Command::scan, "print versions: key @ timestamp : kind => value"},
    {"raw", Command::raw, "print the decoded structure, block by block, with offsets"},
    {"properties", Command::properties, "print what the file says of itself"},
    {"layout", Command::layout, "print what lies at which offset, with sizes"},
    {"recompress", Command::recompress,
     "encode again with other block sizes and codecs: sizes and speed"},
    {"identify", Command::identify, "print what each file is, by content"},
}};

std::string command_list() {
  std::string text = "Commands:\n";
  for (const NamedCommand& command : kCommands) {
    text.append("  ").append(command.name).append(12 - command.name.size(), ' ');
    text.append(command.summary).push_back('\n');
  }
  return text;
}

Command parse_command(const std::string& name) {
  std::vector<std::string_view> names;
  for (const NamedCommand& command : kCommands) {
    if (command.name == name) return command.command;
    names.push_back(command.name);
  }
  const std::string nearest(tools::nearest_name(name, names));
  throw CLI::ValidationError("--command",
                             "unknown command '" + name + "'" +
                                 (nearest.empty() ? "" : ", did you mean '" + nearest + "'?"));
}

// Options that only some commands take: given to another one, they would seem to bound what it
// looks at, or to change what it prints.
void check_bounds(const CLI::App& app, Command command) {
  const bool takes_keys = command == Command::scan || command == Command::raw;
  for (const char* option : {"--from", "--to", "--prefix", "--read_num", "--schema"}) {
    const bool takes_count = takes_keys || command == Command::recompress;
    const bool taken = std::string_view(option) == "--read_num" ? takes_count : takes_keys;
    if (!taken && app.count(option) > 0) {
      throw CLI::ValidationError(option, option == std::string_view("--schema")
                                             ? "only for scan and raw, which print rows"
                                             : "not for this command, which looks at the whole "
                                               "file");
    }
  }
}

std::string parse_key(const std::string& option, const std::string& text, bool hex) {
  Result<std::string> key = tools::parse_bytes(text, hex);
  if (!key.ok()) throw CLI::ValidationError(option, std::string(key.status().message()));
  return std::move(*key);
}

int usage_error(const std::string& message) {
  std::fprintf(stderr, "sst-dump: %s (see sst-dump --help)\n",
               tools::escape_message(message).c_str());
  return kExitUsage;
}

}  // namespace

std::optional<int> parse_options(int argc, char** argv, Options* options) {
  CLI::App app(
      "Looks into sstables of the varve storage engine. Opens files for reading only, and "
      "takes no lock.\n" +
          command_list(),
      "sst-dump");
  std::string command;
  bool input_key_hex = false;
  app.set_help_flag("--help,-h", "Print this and exit");
  app.add_option("--command", command, "What to do")->option_text("COMMAND")->required();
  app.add_option(
         "files", options->paths,
         "Sstables; a directory stands for the sstables in it (identify: for all its files)")
      ->option_text("FILE|DIR...")
      ->required();
  app.add_option("--from", options->from, "scan, raw: first key, included")->option_text("KEY");
  app.add_option("--to", options->to, "scan, raw: last key, not included")->option_text("KEY");
  app.add_option("--prefix", options->prefix, "scan, raw: only keys that begin with it")
      ->option_text("KEY");
  app.add_option_function<std::string>(
         "--read_num",
         [options](const std::string& text) {
           const Result<uint64_t> count = tools::parse_count(text);
           if (!count.ok()) {
             throw CLI::ValidationError("--read_num", std::string(count.status().message()));
           }
           options->read_num = *count;
         },
         "scan, raw, recompress: at most N versions of each file")
      ->option_text("N");
  app.add_option("--schema", options->schema,
                 "scan, raw: print rows of tables and entries of indexes by column, as the catalog "
                 "of that database has them")
      ->option_text("DB");
  app.add_flag("--input_key_hex", input_key_hex, "--from, --to and --prefix are hex");
  app.add_flag("--output_hex", options->output_hex, "Print keys and values as hex");
  app.add_flag("--show_properties", options->show_properties, "Print the properties too");
  app.add_flag("--json", options->json, "Print JSON, one object a line");
  app.footer(
      "Examples:\n"
      "  sst-dump --command=verify /srv/db\n"
      "  sst-dump --command=scan /srv/db/000012.sst --prefix=bash/ --read_num=10\n"
      "  sst-dump --command=scan /srv/db/000012.sst --from=00ff --input_key_hex --output_hex\n"
      "  sst-dump --command=scan /srv/db --schema=/srv/db\n"
      "  sst-dump --command=layout /srv/db/000012.sst --json\n"
      "Keys are text with \\xHH for other bytes, or hex with --input_key_hex and --output_hex.\n"
      "Exit status: 0 done; 1 a file is damaged or cannot be read; 2 wrong usage.");
  try {
    std::vector<std::string> arguments = tools::with_empty_values(app, {argv + 1, argv + argc});
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    app.parse(std::move(arguments));
    options->command = parse_command(command);
    check_bounds(app, options->command);
    if (app.count("--schema") > 0 && options->schema.empty()) {
      throw CLI::ValidationError("--schema", "expected the directory of a database");
    }
    options->from = parse_key("--from", options->from, input_key_hex);
    options->to = parse_key("--to", options->to, input_key_hex);
    options->prefix = parse_key("--prefix", options->prefix, input_key_hex);
  } catch (const CLI::CallForHelp&) {
    const Status written = tools::print(app.help());
    if (written.ok()) return kExitOk;
    std::fprintf(stderr, "sst-dump: %s\n", written.to_string().c_str());
    return kExitProblem;
  } catch (const CLI::ExtrasError&) {
    return usage_error(tools::unexpected_argument(app));
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what());
  }
  return std::nullopt;
}

}  // namespace varve::sst_dump
