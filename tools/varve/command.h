// What every command of `varve` is made of: its entry in the table, its command line, its exit
// status.
//
// A command is a function of argc and argv (argv[0] is the command's own name). It describes its
// command line to a CommandLine, lets it parse, and runs its body inside with_session() or
// with_output(), which open, close and report. So a body only computes, and returns an exit status
// or a Status.

#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "varve/status.h"
#include "varve/types.h"

namespace varve::cli {

// Part of the interface: docs/cli.md and --help list them.
inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNotFound = 3;  // a key that was asked for is not there
inline constexpr int kExitBusy = 4;      // another process owns the database

struct Command {
  std::string_view name;
  std::string_view summary;  // one line of `varve --help`
  int (*run)(int argc, char** argv);
};

// Defined by the command_*.cc files.
int run_get(int argc, char** argv);
int run_put(int argc, char** argv);
int run_erase(int argc, char** argv);
int run_scan(int argc, char** argv);
int run_count(int argc, char** argv);
int run_load(int argc, char** argv);
int run_dump(int argc, char** argv);
int run_history(int argc, char** argv);
int run_find(int argc, char** argv);
int run_stats(int argc, char** argv);
int run_levels(int argc, char** argv);
int run_memory(int argc, char** argv);
int run_verify(int argc, char** argv);
int run_compact(int argc, char** argv);
int run_manifest(int argc, char** argv);
int run_wal(int argc, char** argv);
int run_verify_history(int argc, char** argv);
int run_table(int argc, char** argv);
int run_select(int argc, char** argv);
int run_import(int argc, char** argv);

// Runs the command that argv[1] names, with what comes behind it. `group`: what the commands are
// of, such as "varve table"; `help`: what it says of itself, before the list of commands, and after
// it.
struct CommandGroup {
  std::string_view name;
  std::span<const Command> commands;
  std::string_view help_head;
  std::string_view help_tail;
};
int run_one_of(const CommandGroup& group, int argc, char** argv);

// Prints a text that needs no database; returns the exit status.
int print_and_exit(std::string_view text);

// Prints "varve: " and the status on one line of standard error; returns the exit status for it.
int report(const Status& status);

// The options that several commands share. A command adds those that mean something to it.
struct CommonOptions {
  std::string directory;
  std::string keyspace = "default";
  bool json = false;
  bool hex = false;
  std::optional<Timestamp> at;
  uint64_t memory_budget = 0;  // 0: the engine's default
  std::optional<Durability> durability;
  // The engine keeps past versions for as long as it is told at every opening. A tool that is only
  // passing by must not cut that short, so by default it drops nothing.
  std::chrono::nanoseconds history_retention = std::chrono::nanoseconds::max();
};

class CommandLine {
 public:
  // The first positional argument, which goes to CommonOptions::directory.
  struct Subject {
    const char* name = "DB";
    const char* help = "Directory of the database";
  };

  // `examples`: lines for the end of --help, each a whole command. Adds the positional DB, or what
  // the command works on instead.
  CommandLine(const std::string& name, const std::string& summary, const std::string& examples,
              CommonOptions* options)
      : CommandLine(name, summary, examples, options, Subject()) {}
  CommandLine(const std::string& name, const std::string& summary, const std::string& examples,
              CommonOptions* options, const Subject& subject);

  CLI::App& app() { return app_; }
  // A positional argument.
  CLI::Option* positional(const std::string& name, std::string* value, const std::string& help);
  // One that takes one argument or more. Call it once at most.
  void positional_list(const std::string& name, std::vector<std::string>* values,
                       const std::string& help);

  // An option whose value is parse_count()'s.
  void add_count(const std::string& name, const std::string& help,
                 const std::function<void(uint64_t count)>& set);
  void add_json();
  void add_hex();
  // --hex of a command that takes and prints no keys: every command has the option.
  void add_hex_without_keys();
  void add_keyspace(const std::string& help);
  void add_at();
  void add_durability();
  // --memory-budget and --history-retention, of every command that opens the database.
  void add_opening();

  // Runs `check`, which may throw CLI::ValidationError, once the arguments are parsed. A value: the
  // command ends with that exit status (help was asked for, or the usage is wrong).
  std::optional<int> parse(int argc, char** argv, const std::function<void()>& check = {});

 private:
  CLI::App app_;
  const std::string name_;
  const Subject subject_;
  std::vector<std::string>* list_ = nullptr;  // of positional_list()
  CommonOptions* const options_;
};

// The value, or a usage error that names `option`.
template <typename T>
T require_usage(const std::string& option, Result<T> result) {
  if (!result.ok()) throw CLI::ValidationError(option, std::string(result.status().message()));
  return std::move(*result);
}

// Bytes given on the command line, by --hex. Usage error: bad escapes or digits.
std::string bytes_argument(const std::string& option, const std::string& text, bool hex);
// The same, and one that can be a key: not empty.
std::string key_argument(const std::string& option, const std::string& text, bool hex);

}  // namespace varve::cli
