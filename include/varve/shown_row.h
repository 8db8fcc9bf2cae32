// What a cursor shows, where the engine has it: so that a step writes it once. For Cursor's inline
// functions, not for its users.

#pragma once

#include <string_view>

#include "varve/types.h"

namespace varve::internal {

struct ShownRow {
  std::string_view key;
  std::string_view value;
  Timestamp timestamp;
};

inline constexpr ShownRow kNoRow{};

}  // namespace varve::internal
