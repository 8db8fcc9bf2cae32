// Seeds and sizes of randomised tests. Each run draws a new seed, prints it, and takes it back from
// the environment variable VARVE_TEST_SEED; VARVE_TEST_ITERATIONS says how much to run.

#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/random.h"

namespace varve::test {

inline uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* given = std::getenv(name);
  return given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
}

// One for the whole process.
inline uint64_t test_seed() {
  static const uint64_t seed = number_from_environment("VARVE_TEST_SEED", random_seed());
  return seed;
}

inline uint64_t test_iterations(uint64_t otherwise) {
  return number_from_environment("VARVE_TEST_ITERATIONS", otherwise);
}

}  // namespace varve::test

// At the start of a randomised test: prints the seed, and again with each failure.
#define VARVE_SEEDED_TEST(random)                                      \
  const std::string varve_seed_text =                                  \
      "VARVE_TEST_SEED=" + std::to_string(::varve::test::test_seed()); \
  std::printf("%s\n", varve_seed_text.c_str());                        \
  SCOPED_TRACE(varve_seed_text);                                       \
  ::varve::Random random(::varve::test::test_seed())
