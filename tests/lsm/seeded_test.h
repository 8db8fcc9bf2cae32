// Seeds of randomised tests. Each run draws a new one, prints it, and takes it back from the
// environment variable VARVE_TEST_SEED.

#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/random.h"

namespace varve::test {

inline uint64_t test_seed() {
  static const uint64_t seed = [] {
    const char* given = std::getenv("VARVE_TEST_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 0) : random_seed();
  }();
  return seed;
}

}  // namespace varve::test

// At the start of a randomised test: prints the seed, and again with each failure.
#define VARVE_SEEDED_TEST(random)                                                              \
  const std::string varve_seed_text =                                                          \
      "VARVE_TEST_SEED=" + std::to_string(::varve::test::test_seed());                         \
  std::printf("%s\n", varve_seed_text.c_str());                                                \
  SCOPED_TRACE(varve_seed_text);                                                               \
  ::varve::Random random(::varve::test::test_seed())
