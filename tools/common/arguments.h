// What CLI11 leaves to be done about the arguments of a command line.
//
// Thread rule: one thread.

#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace varve::tools {

// The arguments, in order, so that `--name=` gives the option `name` an empty value. CLI11 takes
// that for an option whose value is the next argument, and would read `--keyspace= key value` as
// the keyspace "key".
std::vector<std::string> with_empty_values(const CLI::App& app,
                                           const std::vector<std::string>& arguments);

// Says of the first argument that no option and no positional of `app` took what is wrong with it,
// and names the option that is nearest. For a CLI::ExtrasError, whose own text has the arguments in
// reverse.
std::string unexpected_argument(const CLI::App& app);

}  // namespace varve::tools
