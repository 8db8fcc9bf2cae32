// Points in time as text, for messages and reports.
//
// Thread rule: pure functions.

#pragma once

#include <string>

#include "varve/types.h"

namespace varve {

// RFC 3339 in UTC, always with nine digits of a second: 2026-01-31T12:00:00.000000000Z.
std::string format_time(Timestamp time);

// The same, and the nanoseconds in parentheses: for messages, whose readers may have to find the
// number in a file.
std::string format_time_and_nanos(Timestamp time);

}  // namespace varve
