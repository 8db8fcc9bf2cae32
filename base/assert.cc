#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace varve {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "varve: assertion failed: %s at %s:%d\n", expression, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace varve
