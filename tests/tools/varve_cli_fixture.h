// Tests of the program `varve`: a database in a directory of its own, and commands on it.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/temp_directory.h"
#include "tests/tools/program.h"

namespace varve::tools {

using nlohmann::json;

class VarveCli : public ::testing::Test {
 protected:
  pid_t start(std::vector<std::string> arguments, const std::string& input = "") {
    return test::start_program("varve", std::move(arguments), directory_.path(), input);
  }
  test::Outcome wait(pid_t child) { return test::wait_for_program(child, directory_.path()); }

  test::Outcome run(std::vector<std::string> arguments, const std::string& input = "") {
    return wait(start(std::move(arguments), input));
  }

  // A command that must succeed, quietly; its output.
  std::string ok(std::vector<std::string> arguments, const std::string& input = "") {
    std::string line;
    for (const std::string& argument : arguments) line += " " + argument;
    const test::Outcome outcome = run(std::move(arguments), input);
    EXPECT_EQ(outcome.status, 0) << "varve" << line << "\n" << outcome.err;
    EXPECT_EQ(outcome.err, "") << "varve" << line;
    return outcome.out;
  }

  json ok_json(std::vector<std::string> arguments, const std::string& input = "") {
    const std::string out = ok(std::move(arguments), input);
    const json document = json::parse(out, nullptr, false);
    EXPECT_FALSE(document.is_discarded()) << out;
    return document;
  }

  // A command that must fail with one line on standard error that contains `message`.
  void fails(int status, const std::string& message, std::vector<std::string> arguments,
             const std::string& input = "") {
    std::string line;
    for (const std::string& argument : arguments) line += " " + argument;
    const test::Outcome outcome = run(std::move(arguments), input);
    EXPECT_EQ(outcome.status, status) << "varve" << line << "\n" << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("varve: ")) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_NE(outcome.err.find(message), std::string::npos) << outcome.err;
  }

  const test::TempDirectory directory_;
  const std::string db_ = directory_ / "db";
};

}  // namespace varve::tools
