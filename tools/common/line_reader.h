// Reads a file or standard input line by line, in bounded memory.
//
// Thread rule: one thread. A line is valid until the next call of next().
// Errors: not_found or io_error at opening; io_error (reading) and invalid_argument (a line over
// the limit), both as "FILE:LINE: ...".

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "varve/status.h"

namespace varve::tools {

class LineReader {
 public:
  // "-": standard input. `line_bytes_max` bounds the memory: at most twice that is held.
  static Result<std::unique_ptr<LineReader>> open(const std::string& path, size_t line_bytes_max);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line without its '\n'; false at the end. A last line without '\n' counts as a line.
  Result<bool> next(std::string_view* line);

  // Of the line that next() gave last, from 1.
  uint64_t line_number() const { return line_number_; }
  // False if that line ended with the file rather than with '\n'.
  bool line_complete() const { return line_complete_; }
  // "-" reads as "standard input".
  const std::string& name() const { return name_; }
  // Bytes of the lines given so far.
  uint64_t bytes_read() const { return bytes_read_; }
  // Size of the file; 0 where it has none (pipes).
  uint64_t bytes_total() const { return bytes_total_; }

  // "FILE:LINE: message", for errors about the content of the line given last.
  Status error_here(const std::string& message) const { return error_at(line_number_, message); }
  Status error_at(uint64_t line_number, const std::string& message) const;

 private:
  LineReader(std::string name, int fd, uint64_t bytes_total, size_t line_bytes_max);
  Status fill();

  const std::string name_;
  const int fd_;
  const uint64_t bytes_total_;
  const size_t line_bytes_max_;
  std::vector<char> buffer_;
  size_t begin_ = 0;    // first byte not yet given
  size_t scanned_ = 0;  // no '\n' in [begin_, scanned_)
  size_t end_ = 0;      // end of what was read
  bool at_end_ = false;
  bool line_complete_ = true;
  uint64_t line_number_ = 0;
  uint64_t bytes_read_ = 0;
};

}  // namespace varve::tools
