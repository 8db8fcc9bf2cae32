#include "tools/common/line_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <utility>

namespace varve::tools {

namespace {

// One read() each; a smaller one costs system calls, a larger one only memory.
constexpr size_t kReadBytes = 256 * 1024;

// Beyond any memory, and twice that is still a number.
constexpr size_t kLineBytesMost = SIZE_MAX / 4;

std::string error_text(int error) { return std::generic_category().message(error); }

}  // namespace

Result<std::unique_ptr<LineReader>> LineReader::open(const std::string& path,
                                                     size_t line_bytes_max) {
  const bool standard_input = path == "-";
  const int fd = standard_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    const std::string message = path + ": open: " + error_text(error);
    return error == ENOENT ? Status::not_found(message) : Status::io_error(message);
  }
  struct stat info {};
  const bool known = ::fstat(fd, &info) == 0;
  if (known && S_ISDIR(info.st_mode) && !standard_input) {
    ::close(fd);
    return Status::io_error(path + ": a directory, expected a file");
  }
  const bool regular = known && S_ISREG(info.st_mode);
  return std::unique_ptr<LineReader>(
      new LineReader(standard_input ? "standard input" : path, fd,
                     regular ? static_cast<uint64_t>(info.st_size) : 0, line_bytes_max));
}

LineReader::LineReader(std::string name, int fd, uint64_t bytes_total, size_t line_bytes_max)
    : name_(std::move(name)),
      fd_(fd),
      bytes_total_(bytes_total),
      line_bytes_max_(std::min(line_bytes_max, kLineBytesMost)),
      buffer_(kReadBytes) {}

LineReader::~LineReader() {
  if (fd_ != STDIN_FILENO) ::close(fd_);
}

Status LineReader::error_at(uint64_t line_number, const std::string& message) const {
  return Status::invalid_argument(name_ + ":" + std::to_string(line_number) + ": " + message);
}

// Makes room behind end_ and reads into it once.
Status LineReader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    scanned_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) {
    if (end_ > line_bytes_max_) {
      return error_at(line_number_ + 1,
                      "a line of more than " + std::to_string(line_bytes_max_) + " bytes");
    }
    buffer_.resize(std::min(buffer_.size() * 2, line_bytes_max_ + kReadBytes));
  }
  ssize_t got = 0;
  do {
    got = ::read(fd_, buffer_.data() + end_, buffer_.size() - end_);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    return Status::io_error(name_ + ":" + std::to_string(line_number_ + 1) +
                            ": read: " + error_text(errno));
  }
  at_end_ = got == 0;
  end_ += static_cast<size_t>(got);
  return Status();
}

Result<bool> LineReader::next(std::string_view* line) {
  for (;;) {
    const char* from = buffer_.data() + scanned_;
    const auto* found = static_cast<const char*>(std::memchr(from, '\n', end_ - scanned_));
    const size_t stop = found != nullptr ? static_cast<size_t>(found - buffer_.data()) : end_;
    const bool is_line = found != nullptr || (at_end_ && end_ > begin_);
    if (is_line) {
      if (stop - begin_ > line_bytes_max_) {
        return error_at(line_number_ + 1,
                        "a line of more than " + std::to_string(line_bytes_max_) + " bytes");
      }
      *line = std::string_view(buffer_.data() + begin_, stop - begin_);
      line_complete_ = found != nullptr;
      const size_t after = stop + (line_complete_ ? 1 : 0);
      bytes_read_ += after - begin_;
      begin_ = scanned_ = after;
      ++line_number_;
      return true;
    }
    if (at_end_) return false;
    scanned_ = end_;
    const Status status = fill();
    if (!status.ok()) return status;
  }
}

}  // namespace varve::tools
