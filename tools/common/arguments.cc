#include "tools/common/arguments.h"

#include <string_view>

#include "tools/common/quantity_text.h"

namespace varve::tools {

namespace {

bool takes_a_value(const CLI::App& app, const std::string& name) {
  const CLI::Option* option = app.get_option_no_throw(name);
  return option != nullptr && option->get_type_size() != 0;
}

}  // namespace

std::vector<std::string> with_empty_values(const CLI::App& app,
                                           const std::vector<std::string>& arguments) {
  std::vector<std::string> result;
  bool options_ended = false;
  for (const std::string& argument : arguments) {
    options_ended |= argument == "--";
    const std::string name = argument.substr(0, argument.find('='));
    const bool empty_value = argument.size() == name.size() + 1 && name.starts_with("--");
    if (!options_ended && empty_value && takes_a_value(app, name)) {
      result.insert(result.end(), {name, ""});
    } else {
      result.push_back(argument);
    }
  }
  return result;
}

std::string unexpected_argument(const CLI::App& app) {
  const std::string argument = app.remaining().front();
  if (!argument.starts_with('-')) return "unexpected argument '" + argument + "'";
  const std::string name = argument.substr(0, argument.find('='));
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) names.push_back(option->get_name());
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  const std::string nearest(nearest_name(name, candidates));
  return "unknown option " + name + (nearest.empty() ? "" : ", did you mean " + nearest + "?");
}

}  // namespace varve::tools
