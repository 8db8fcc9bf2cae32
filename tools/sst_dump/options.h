// The command line of sst-dump.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace varve::sst_dump {

// Part of the interface: docs/sst-dump.md and --help list them.
inline constexpr int kExitOk = 0;
inline constexpr int kExitProblem = 1;  // a file is damaged, or could not be read
inline constexpr int kExitUsage = 2;

enum class Command : uint8_t {
  check,
  scan,
  raw,
  verify,
  properties,
  layout,
  recompress,
  identify,
};

struct Options {
  Command command = Command::check;
  std::vector<std::string> paths;
  std::string from;                // first key, included; empty: from the first
  std::string to;                  // first key not included; empty: to the end
  std::string prefix;              // of keys
  uint64_t read_num = UINT64_MAX;  // versions of each file
  std::string schema;              // directory of a database; empty: rows are bytes
  bool output_hex = false;
  bool show_properties = false;
  bool json = false;

  bool in_range(std::string_view key) const {
    return key >= from && (to.empty() || key < to) && key.starts_with(prefix);
  }
  // Whether every key at or after `key` is out of range.
  bool past_range(std::string_view key) const {
    return (!to.empty() && key >= to) || (key > prefix && !key.starts_with(prefix));
  }
  // Whether `key` and every key before it are out of range.
  bool before_range(std::string_view key) const { return key < from || key < prefix; }
};

// Fills `*options`. A value: the program ends with that exit status (help was printed, or what is
// wrong with the usage).
std::optional<int> parse_options(int argc, char** argv, Options* options);

}  // namespace varve::sst_dump
