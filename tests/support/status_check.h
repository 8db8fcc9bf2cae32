// Statuses and results in assertions.

#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "varve/status.h"

namespace varve::test {

inline const Status& status_of(const Status& status) { return status; }
template <typename T>
const Status& status_of(const Result<T>& result) {
  return result.status();
}

inline testing::AssertionResult is_ok(const Status& status) {
  if (status.ok()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << status.to_string();
}

// A failure of `code` whose message holds `part`.
inline testing::AssertionResult is_failure(const Status& status, StatusCode code,
                                           std::string_view part) {
  if (status.code() == code && status.message().find(part) != std::string_view::npos) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "got " << status.to_string() << "; expected "
                                     << status_code_name(code) << " with '" << part << "'";
}

}  // namespace varve::test

#define EXPECT_OK(call) EXPECT_TRUE(::varve::test::is_ok(::varve::test::status_of(call)))
#define ASSERT_OK(call) ASSERT_TRUE(::varve::test::is_ok(::varve::test::status_of(call)))
#define EXPECT_FAILS(call, code, part) \
  EXPECT_TRUE(                         \
      ::varve::test::is_failure(::varve::test::status_of(call), ::varve::StatusCode::code, part))
#define ASSERT_FAILS(call, code, part) \
  ASSERT_TRUE(                         \
      ::varve::test::is_failure(::varve::test::status_of(call), ::varve::StatusCode::code, part))
