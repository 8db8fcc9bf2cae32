// Points in time and durations as people write them. What format_time() (base/time_text.h) prints,
// parse_time() takes back.
//
// Thread rule: pure functions, save current_time(). Errors: invalid_argument, quoting the text and
// saying which forms are taken.

#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "varve/status.h"
#include "varve/types.h"

namespace varve::tools {

// Wall clock.
Timestamp current_time();

// One of
//   2026-01-31T12:00:00Z, 2026-01-31T13:00:00.25+01:00   RFC 3339; up to nine digits of a second
//   1769860800000000000                                   nanoseconds since 1970
//   now, -5m, -1h30m, -2.5d                               relative to `now`
// Errors also: before 1970, or after what a Timestamp holds (the year 2554).
Result<Timestamp> parse_time(std::string_view text, Timestamp now);

// One or more numbers, each with a unit: ns us ms s m h d w; or "0"; or "forever", which is
// nanoseconds::max().
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

// Two units at most: "3 h 12 min", "4.2 s", "310 ms".
std::string format_duration(std::chrono::nanoseconds duration);

}  // namespace varve::tools
