#include "base/log.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "base/mutex.h"

namespace varve {
namespace {

constexpr size_t kLineBytesMax = 1000;  // of a message
constexpr size_t kHeadBytesMax = 64;    // "2026-01-31T12:00:00.000000Z I "

struct CivilDate {
  uint64_t year;
  unsigned month;
  unsigned day;
};

// Source: H. Hinnant, chrono-compatible low-level date algorithms, civil_from_days; days >= 0.
CivilDate civil_date(uint64_t days_since_1970) {
  const uint64_t days = days_since_1970 + 719468;  // since 0000-03-01
  const uint64_t era = days / 146097;              // of 400 years
  const uint64_t day_of_era = days % 146097;
  const uint64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const uint64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint64_t shifted_month = (5 * day_of_year + 2) / 153;  // March is 0
  const unsigned day = static_cast<unsigned>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
  const unsigned month =
      static_cast<unsigned>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

// Returns the size.
size_t format_head(char (&head)[kHeadBytesMax], uint64_t realtime_nanos, LogLevel level) {
  const uint64_t micros = realtime_nanos / 1000 % 1'000'000;
  const uint64_t seconds = realtime_nanos / 1'000'000'000;
  const unsigned second_of_day = static_cast<unsigned>(seconds % 86400);
  const CivilDate date = civil_date(seconds / 86400);
  const int size = std::snprintf(head, sizeof head, "%04llu-%02u-%02uT%02u:%02u:%02u.%06lluZ %c ",
                                 static_cast<unsigned long long>(date.year), date.month, date.day,
                                 second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60,
                                 static_cast<unsigned long long>(micros),
                                 "DIWE"[static_cast<unsigned>(level) & 3]);
  return static_cast<size_t>(size);
}

std::string old_path(const std::string& path) { return path + ".old"; }

// The file is only ever appended to, with one write a line.
class FileLogger final : public Logger {
 public:
  struct Parts {
    FileSystem* file_system;
    Clock* clock;
    std::string path;
    uint64_t bytes_max;
    std::unique_ptr<File> file;
  };
  explicit FileLogger(Parts parts) : parts_(std::move(parts)) {}

  void write(LogLevel level, std::string_view message) override {
    char head[kHeadBytesMax];
    const size_t head_size = format_head(head, parts_.clock->realtime_nanos(), level);
    char line[kHeadBytesMax + kLineBytesMax + 1];
    std::memcpy(line, head, head_size);
    const size_t size = std::min(message.size(), kLineBytesMax);
    // A line stays one line, whatever was put into a message.
    std::transform(message.begin(), message.begin() + size, line + head_size,
                   [](char c) { return static_cast<unsigned char>(c) < 0x20 ? ' ' : c; });
    line[head_size + size] = '\n';
    MutexLock lock(mutex_);
    append(line, head_size + size + 1);
  }

 private:
  void append(char* line, size_t size) VARVE_REQUIRES(mutex_) {
    if (size_ != 0 && size_ + size > parts_.bytes_max) rotate();
    IoRequest request;
    request.kind = IoRequest::Kind::write;
    request.offset = size_;
    request.data = line;
    request.size = size;
    parts_.file->submit(&request);
    parts_.file->wait(&request);
    if (request.status.ok()) size_ += size;  // else the next line overwrites what there may be
  }

  // On any failure the present file goes on, wherever it is named now, and is tried again after
  // another `bytes_max`.
  void rotate() VARVE_REQUIRES(mutex_) {
    const uint64_t step = parts_.bytes_max;
    if (size_ < next_try_) return;
    next_try_ = size_ + step;
    const Status renamed =
        parts_.file_system->rename(parts_.path, old_path(parts_.path), /*replace=*/true);
    if (!renamed.ok() && renamed.code() != StatusCode::not_found) return;
    auto opened = parts_.file_system->open(parts_.path, OpenMode::create_exclusive);
    if (!opened.ok()) return;
    static_cast<void>(parts_.file->close());
    parts_.file = std::move(opened).value();
    size_ = 0;
    next_try_ = 0;
  }

  Parts parts_;  // immutable, except that `file` is guarded by mutex_
  Mutex mutex_;
  uint64_t size_ VARVE_GUARDED_BY(mutex_) = 0;
  uint64_t next_try_ VARVE_GUARDED_BY(mutex_) = 0;  // size at which a rotation is tried
};

}  // namespace

void log_line(Logger* logger, LogLevel level, const char* format, ...) {
  if (logger == nullptr) return;
  char line[kLineBytesMax + 1];
  va_list arguments;
  va_start(arguments, format);
  const int size = std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (size < 0) return;
  logger->write(level, {line, std::min(static_cast<size_t>(size), kLineBytesMax)});
}

Result<std::unique_ptr<Logger>> open_file_logger(FileSystem* file_system, Clock* clock,
                                                 const std::string& path, uint64_t bytes_max) {
  const Status renamed = file_system->rename(path, old_path(path), /*replace=*/true);
  if (!renamed.ok() && renamed.code() != StatusCode::not_found) return renamed;
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file,
                         file_system->open(path, OpenMode::create_exclusive));
  std::unique_ptr<Logger> logger = std::make_unique<FileLogger>(
      FileLogger::Parts{file_system, clock, path, bytes_max, std::move(file)});
  return logger;
}

}  // namespace varve
