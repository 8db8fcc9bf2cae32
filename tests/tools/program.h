// Runs one of the programs as a user would, and keeps what it says.
//
// Thread rule: one program of a directory at a time.

#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace varve::test {

struct Outcome {
  int status = -1;  // exit status; 128 + signal when killed by one
  std::string out;
  std::string err;

  std::vector<std::string> lines() const;  // of out
};

// Starts build/tools/NAME. Standard streams are files in `directory`; the program reads `input`.
pid_t start_program(const std::string& name, std::vector<std::string> arguments,
                    const std::string& directory, std::string_view input = {});
// Waits until it has ended.
Outcome wait_for_program(pid_t child, const std::string& directory);

// A command line of the shell, in which $TOOLS is where the programs are; its exit status.
int run_shell(const std::string& command);

void write_file(const std::string& path, std::string_view bytes);
std::string read_file(const std::string& path);

}  // namespace varve::test
