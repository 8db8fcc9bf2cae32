// Seeds and sizes of randomised tests. Each run draws a new seed, prints it, and takes it back from
// the environment variable VARVE_TEST_SEED; VARVE_TEST_ITERATIONS says how much to run, and
// VARVE_TEST_PART, as K/N, that an enumeration is to do the K-th of N parts of it.

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

// Of `count` things, those that the part asked for goes through.
struct TestPart {
  uint64_t begin;
  uint64_t end;
};
inline TestPart test_part(uint64_t count) {
  const char* given = std::getenv("VARVE_TEST_PART");
  unsigned long long part = 1;
  unsigned long long parts = 1;
  if (given != nullptr &&
      (std::sscanf(given, "%llu/%llu", &part, &parts) != 2 || part == 0 || part > parts)) {
    ADD_FAILURE() << "VARVE_TEST_PART is '" << given << "', not K/N";
    return {0, 0};
  }
  // count * part may not fit.
  const auto bound = [&](uint64_t k) { return count / parts * k + count % parts * k / parts; };
  return {bound(part - 1), bound(part)};
}

}  // namespace varve::test

// At the start of a randomised test: prints the seed, and again with each failure.
#define VARVE_SEEDED_TEST(random)                                      \
  const std::string varve_seed_text =                                  \
      "VARVE_TEST_SEED=" + std::to_string(::varve::test::test_seed()); \
  std::printf("%s\n", varve_seed_text.c_str());                        \
  SCOPED_TRACE(varve_seed_text);                                       \
  ::varve::Random random(::varve::test::test_seed())
