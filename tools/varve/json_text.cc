#include "tools/varve/json_text.h"

#include "tools/common/time_text.h"

namespace varve::cli {

nlohmann::ordered_json json_time(Timestamp time) {
  if (time == kTimestampMin) return nullptr;
  return tools::format_time(time);
}

}  // namespace varve::cli
