// printf-style lines for a Logger, and the logger that writes the file LOG of a database.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "varve/clock.h"
#include "varve/file_system.h"
#include "varve/logger.h"

namespace varve {

// Null logger: nothing happens. Lines are cut at 1,000 bytes. Allocates nothing itself.
void log_line(Logger* logger, LogLevel level, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

// Appends "2026-01-31T12:00:00.000000Z I message" lines to `path`; on opening, an existing file is
// renamed to `path`.old, and again whenever the file exceeds `bytes_max`. A write error is ignored:
// the log is for people, nothing depends on it.
Result<std::unique_ptr<Logger>> open_file_logger(FileSystem* file_system, Clock* clock,
                                                 const std::string& path,
                                                 uint64_t bytes_max = 4 << 20);

}  // namespace varve
