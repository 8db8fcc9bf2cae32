// Which planted fault is switched on. Only in the tree that tests/mutants/run.py makes: it copies
// this file to base/mutant.h there.

#pragma once

#include <cstdlib>
#include <cstring>

namespace varve {

inline bool mutant(const char* name) {
  static const char* const chosen = std::getenv("VARVE_MUTANT");
  return chosen != nullptr && std::strcmp(chosen, name) == 0;
}

}  // namespace varve
