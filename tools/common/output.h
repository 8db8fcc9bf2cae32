// What tools write: standard output with its errors kept, aligned tables, bytes in JSON.
//
// Thread rule: one thread.

#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "varve/status.h"

namespace varve::tools {

// Buffered standard output. Call prepare_standard_streams() once before the first.
class Output {
 public:
  explicit Output(int fd = 1) : fd_(fd) {}
  ~Output() { (void)flush(); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(std::string_view text);
  void line(std::string_view text) {
    write(text);
    write("\n");
  }
  // JSON on one line.
  void json(const nlohmann::ordered_json& document);

  // True once nothing more can be written: the reader of the pipe is gone (`... | head`), or an
  // error. Long loops stop then.
  bool stopped() const { return stopped_; }
  // Writes what is buffered. A reader that went away is no error: it has what it wanted.
  Status flush();

 private:
  const int fd_;
  std::string buffer_;
  bool stopped_ = false;
  Status status_;
};

// Writes `text`, all that a program has to say, to standard output.
inline Status print(std::string_view text) {
  Output out;
  out.write(text);
  return out.flush();
}

// What main() does first of all.
//  - Standard streams that the process was started without give an error from now on. Otherwise the
//    next file that is opened would take their number: a database would be written over with what
//    is printed.
//  - A write to a pipe that nobody reads fails instead of killing the process, which would leave an
//    open database without its clean close.
void prepare_standard_streams();

// True if people, not programs, read standard error / standard output.
bool standard_error_is_terminal();
bool standard_output_is_terminal();

// Rows of cells in aligned columns, two spaces apart; the first row is the heading. Cells that
// begin with a digit are set to the right.
class TextTable {
 public:
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string to_string() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Sets member `name` to the bytes as a string if they are UTF-8 and not `hex`; else member
// `name`_hex to their hex form. RecordReader reads both.
void set_bytes(nlohmann::ordered_json* object, const std::string& name, std::string_view bytes,
               bool hex);

}  // namespace varve::tools
