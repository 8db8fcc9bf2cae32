// Rounding of sizes.

#pragma once

#include <cstddef>

namespace varve {

// The next multiple of `alignment`, a power of two, at or above `size`.
constexpr size_t align_up(size_t size, size_t alignment) {
  return (size + alignment - 1) & ~(alignment - 1);
}

}  // namespace varve
