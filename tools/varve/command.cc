#include "tools/varve/command.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tools/common/arguments.h"
#include "tools/common/output.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/common/time_text.h"
#include "varve/options.h"

namespace varve::cli {

namespace {

constexpr const char* kExitStatuses =
    "Exit status: 0 done; 1 error; 2 wrong usage; 3 a key is not there; 4 another process owns the "
    "database.";

std::string memory_budget_min_text() { return std::to_string(kMemoryBudgetMin >> 20) + "MiB"; }

Durability parse_durability(const std::string& name) {
  if (name == "sync") return Durability::sync;
  if (name == "os") return Durability::os;
  if (name == "buffered") return Durability::buffered;
  throw CLI::ValidationError("--durability", "'" + name + "' (expected sync, os or buffered)");
}

// CLI11 takes a list's argument of the form [a,b] apart. A character in front keeps it whole; so
// that every argument comes back as it was, those that begin with that character get it too.
constexpr char kWhole = '\x01';

bool needs_mark(const std::string& argument) {
  return !argument.empty() && (argument[0] == '[' || argument[0] == kWhole);
}

void remove_mark(std::string* argument) {
  if (!argument->empty() && (*argument)[0] == kWhole) argument->erase(0, 1);
}

// A keyspace's name is text with escapes, as `levels` prints it; --hex is for keys and values.
std::string keyspace_argument(const std::string& text) {
  std::string name = bytes_argument("--keyspace", text, /*hex=*/false);
  if (name.empty()) throw CLI::ValidationError("--keyspace", "a name has at least one byte");
  return name;
}

void print_usage_error(const std::string& command, const std::string& message) {
  std::fprintf(stderr, "varve: %s: %s (see varve %s --help)\n", command.c_str(),
               tools::escape_message(message).c_str(), command.c_str());
}

}  // namespace

int report(const Status& status) {
  std::fprintf(stderr, "varve: %s\n", tools::escape_message(status.to_string()).c_str());
  return status.code() == StatusCode::busy ? kExitBusy : kExitError;
}

int run_one_of(const CommandGroup& group, int argc, char** argv) {
  const std::string own(group.name);
  if (argc < 2) {
    std::fprintf(stderr, "varve: a command is missing (see %s --help)\n", own.c_str());
    return kExitUsage;
  }
  const std::string name = argv[1];
  if (name == "--help" || name == "-h" || name == "help") {
    std::string text(group.help_head);
    text += "\nCommands:\n";
    for (const Command& command : group.commands) {
      text.append("  ").append(command.name).append(16 - command.name.size(), ' ');
      text.append(command.summary).append("\n");
    }
    return print_and_exit(text.append(group.help_tail));
  }
  std::vector<std::string_view> names;
  for (const Command& command : group.commands) {
    if (command.name == name) return command.run(argc - 1, argv + 1);
    names.push_back(command.name);
  }
  const std::string nearest(tools::nearest_name(name, names));
  std::fprintf(stderr, "varve: unknown command '%s'%s (see %s --help)\n",
               tools::escape(name).c_str(),
               nearest.empty() ? "" : (", did you mean '" + nearest + "'?").c_str(), own.c_str());
  return kExitUsage;
}

int print_and_exit(std::string_view text) {
  const Status written = tools::print(text);
  return written.ok() ? kExitOk : report(written);
}

CommandLine::CommandLine(const std::string& name, const std::string& summary,
                         const std::string& examples, CommonOptions* options,
                         const Subject& subject)
    : app_(summary, "varve " + name), name_(name), subject_(subject), options_(options) {
  app_.footer("Examples:\n" + examples + "\n" + kExitStatuses);
  app_.set_help_flag("--help,-h", "Print this and exit");
  positional(subject.name, &options->directory, subject.help)->required();
}

CLI::Option* CommandLine::positional(const std::string& name, std::string* value,
                                     const std::string& help) {
  return app_.add_option(name, *value, help)->option_text(" ");
}

void CommandLine::positional_list(const std::string& name, std::vector<std::string>* values,
                                  const std::string& help) {
  list_ = values;
  app_.add_option(name, *values, help)->required()->option_text("...");
}

void CommandLine::add_count(const std::string& name, const std::string& help,
                            const std::function<void(uint64_t count)>& set) {
  // CLI11 would take -1 for the largest number.
  app_.add_option_function<std::string>(
          name,
          [name, set](const std::string& text) {
            set(require_usage(name, tools::parse_count(text)));
          },
          help)
      ->option_text("N");
}

void CommandLine::add_json() {
  app_.add_flag("--json", options_->json, "Print JSON, one object a line");
}

void CommandLine::add_hex() {
  app_.add_flag("--hex", options_->hex,
                "Keys and values are hex, in arguments and in what is printed");
}

void CommandLine::add_hex_without_keys() {
  app_.add_flag("--hex", options_->hex, "Changes nothing: this command takes and prints no keys");
}

void CommandLine::add_keyspace(const std::string& help) {
  app_.add_option("--keyspace", options_->keyspace, help)->option_text("NAME [default]");
}

void CommandLine::add_at() {
  app_.add_option_function<std::string>(
          "--at",
          [this](const std::string& text) {
            options_->at = require_usage("--at", tools::parse_time(text, tools::current_time()));
          },
          "Read the past, as of TIME: RFC 3339 (2026-01-31T12:00:00Z), nanoseconds since 1970, or "
          "relative (-5m, -1h30m, -2d)")
      ->option_text("TIME");
}

void CommandLine::add_durability() {
  app_.add_option_function<std::string>(
          "--durability",
          [this](const std::string& name) { options_->durability = parse_durability(name); },
          "What the commit survives: sync (power loss), os (death of the process), buffered (loses "
          "at most the last 100 ms)")
      ->option_text("LEVEL [sync]");
}

void CommandLine::add_opening() {
  app_.add_option_function<std::string>(
          "--memory-budget",
          [this](const std::string& text) {
            options_->memory_budget = require_usage("--memory-budget", tools::parse_size(text));
            if (options_->memory_budget < kMemoryBudgetMin) {
              throw CLI::ValidationError(
                  "--memory-budget",
                  "'" + text + "' (at least " + memory_budget_min_text() + " are needed)");
            }
          },
          "Memory that the engine may use, such as 256MiB; at least " + memory_budget_min_text())
      ->option_text("SIZE [a quarter of the machine's]");
  app_.add_option_function<std::string>(
          "--history-retention",
          [this](const std::string& text) {
            options_->history_retention =
                require_usage("--history-retention", tools::parse_duration(text));
          },
          "How far back this process must keep past versions, such as 7d or 0; older ones may be "
          "dropped for good")
      ->option_text("DURATION [forever]");
}

std::optional<int> CommandLine::parse(int argc, char** argv, const std::function<void()>& check) {
  try {
    std::vector<std::string> arguments = tools::with_empty_values(app_, {argv + 1, argv + argc});
    if (list_ != nullptr) {
      for (std::string& argument : arguments) {
        if (needs_mark(argument)) argument.insert(0, 1, kWhole);
      }
    }
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    app_.parse(std::move(arguments));
    if (list_ != nullptr) {
      for (std::string& value : *list_) remove_mark(&value);
      for (std::string* value : {&options_->directory, &options_->keyspace}) remove_mark(value);
    }
    if (options_->directory.empty()) {
      throw CLI::ValidationError(subject_.name, "the name is empty");
    }
    options_->keyspace = keyspace_argument(options_->keyspace);
    if (check) check();
  } catch (const CLI::CallForHelp&) {
    return print_and_exit(app_.help());
  } catch (const CLI::ExtrasError&) {
    print_usage_error(name_, tools::unexpected_argument(app_));
    return kExitUsage;
  } catch (const CLI::ParseError& error) {
    print_usage_error(name_, error.what());
    return kExitUsage;
  }
  return std::nullopt;
}

std::string bytes_argument(const std::string& option, const std::string& text, bool hex) {
  return require_usage(option, tools::parse_bytes(text, hex));
}

std::string key_argument(const std::string& option, const std::string& text, bool hex) {
  std::string key = bytes_argument(option, text, hex);
  if (key.empty()) throw CLI::ValidationError(option, "a key has at least one byte");
  return key;
}

}  // namespace varve::cli
