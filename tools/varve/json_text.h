// What several commands print as JSON.
//
// Thread rule: pure functions.

#pragma once

#include <nlohmann/json.hpp>

#include "varve/types.h"

namespace varve::cli {

// RFC 3339 with all nine digits, which --at takes; null for kTimestampMin. Not a number: JSON
// readers that think in doubles would round it.
nlohmann::ordered_json json_time(Timestamp time);

}  // namespace varve::cli
