// Where the engine reports what it does: openings, recoveries, stalls, faults. Never keys or
// values.

#pragma once

#include <cstdint>
#include <string_view>

namespace varve {

enum class LogLevel : uint8_t { debug = 0, info = 1, warning = 2, error = 3 };

// Thread rule: write() is called from any thread at once.
class Logger {
 public:
  virtual ~Logger() = default;
  // One line, without its end. `message` is valid only during the call.
  virtual void write(LogLevel level, std::string_view message) = 0;
};

}  // namespace varve
