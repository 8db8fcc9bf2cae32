#include "tools/common/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <system_error>

#include "tools/common/text_escape.h"

namespace varve::tools {

namespace {

constexpr size_t kBufferBytes = 64 * 1024;

}  // namespace

void Output::write(std::string_view text) {
  if (stopped_) return;
  buffer_.append(text);
  if (buffer_.size() >= kBufferBytes) (void)flush();
}

void Output::json(const nlohmann::ordered_json& document) { line(document.dump()); }

Status Output::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty() && !stopped_) {
    const ssize_t written = ::write(fd_, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      const int error = errno;
      stopped_ = true;
      if (error != EPIPE) {
        status_ =
            Status::io_error("standard output: write: " + std::generic_category().message(error));
      }
    }
  }
  buffer_.clear();
  return status_;
}

void prepare_standard_streams() {
  // In ascending order, since open() gives the lowest number that is free.
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) != -1) continue;
    const int wrong_direction = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", wrong_direction) != fd) std::_Exit(1);
  }
  std::signal(SIGPIPE, SIG_IGN);
}

bool standard_error_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }
bool standard_output_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

std::string TextTable::to_string() const {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& cells : rows_) {
    widths.resize(std::max(widths.size(), cells.size()));
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  // A column is numeric if its last row is: the heading then follows it to the right.
  const auto is_number = [](const std::string& cell) {
    return !cell.empty() && cell[0] >= '0' && cell[0] <= '9';
  };
  std::vector<bool> right(widths.size());
  if (!rows_.empty()) {
    for (size_t i = 0; i < rows_.back().size(); ++i) right[i] = is_number(rows_.back()[i]);
  }
  std::string text;
  for (const std::vector<std::string>& cells : rows_) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) line.append(2, ' ');
      const size_t padding = widths[i] - cells[i].size();
      if (right[i]) line.append(padding, ' ');
      line.append(cells[i]);
      if (!right[i]) line.append(padding, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text.append(line).push_back('\n');
  }
  return text;
}

void set_bytes(nlohmann::ordered_json* object, const std::string& name, std::string_view bytes,
               bool hex) {
  if (hex || !is_utf8(bytes)) {
    (*object)[name + "_hex"] = to_hex(bytes);
  } else {
    (*object)[name] = bytes;
  }
}

}  // namespace varve::tools
