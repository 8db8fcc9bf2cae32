// varve: looks into and fills databases from the command line. docs/cli.md is its reference.

#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include "base/build_info.h"
#include "base/format.h"
#include "tools/common/output.h"
#include "tools/common/text_escape.h"
#include "tools/varve/command.h"

namespace varve::cli {

namespace {

constexpr Command kCommands[] = {
    {"get", "print the value of a key, or check many keys", run_get},
    {"put", "write a value", run_put},
    {"erase", "erase keys", run_erase},
    {"scan", "print keys and values in order", run_scan},
    {"count", "count keys", run_count},
    {"load", "write records from TSV, JSON lines or Debian control files", run_load},
    {"dump", "print all records in a form that load reads back", run_dump},
    {"history", "print every version of a key that is still kept", run_history},
    {"stats", "print what the engine did and holds", run_stats},
    {"levels", "print the sorted runs of each keyspace", run_levels},
    {"memory", "print who holds memory", run_memory},
    {"verify", "read every file and check it", run_verify},
    {"compact", "merge each keyspace into one run", run_compact},
    {"find", "print in which files the versions of a key lie", run_find},
    {"manifest", "print the edits of the manifest", run_manifest},
    {"wal", "print the groups, commits and entries of the log", run_wal},
    {"table", "create, list, describe, drop and index tables", run_table},
    {"select", "print rows of a table", run_select},
    {"import", "write rows of a CSV or JSON lines file into a table", run_import},
    {"verify-history", "check a recorded history of transactions (no DB)", run_verify_history},
};

constexpr CommandGroup kVarve = {
    .name = "varve",
    .commands = kCommands,
    .help_head =
        "Looks into, fills and maintains databases of the varve storage engine.\n"
        "Usage: varve COMMAND DB [ARGUMENTS] [OPTIONS]\n",
    .help_tail =
        "\nvarve COMMAND --help describes a command; varve --version tells what this build is.\n"
        "Keys and values are text with \\xHH for other bytes, or hex with --hex.\n"
        "Exit status: 0 done; 1 error; 2 wrong usage; 3 a key is not there; 4 another process owns "
        "the database.\n"};

std::string version_text() {
  namespace info = build_info;
  std::string text = format("varve %s\n", info::kVersion);
  text += format("revision         %s\n", info::kRevision);
  text += format("instruction set  %s\n", info::kInstructionSet);
  text += format("compiler         %s, %s%s%s\n", info::kCompiler, info::kBuildType,
                 info::kSanitizers[0] == '\0' ? "" : ", sanitizer ", info::kSanitizers);
  text += format("xxHash           %s\n", info::kXxhashVersion);
  text += format("zstd             %s\n", info::kZstdVersion);
  text += format("mimalloc         %s\n", info::kMimallocVersion);
  return text;
}

int run(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--version") return print_and_exit(version_text());
  return run_one_of(kVarve, argc, argv);
}

}  // namespace

}  // namespace varve::cli

int main(int argc, char** argv) {
  varve::tools::prepare_standard_streams();
  try {
    return varve::cli::run(argc, argv);
  } catch (const std::exception& error) {
    // Memory ran out, most likely. What was acknowledged is safe.
    std::fprintf(stderr, "varve: %s\n", varve::tools::escape_message(error.what()).c_str());
    return varve::cli::kExitError;
  }
}
