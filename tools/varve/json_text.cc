#include "tools/varve/json_text.h"

#include "base/time_text.h"

namespace varve::cli {

nlohmann::ordered_json json_time(Timestamp time) {
  if (time == kTimestampMin) return nullptr;
  return format_time(time);
}

}  // namespace varve::cli
