#include "varve/status.h"

#include <gtest/gtest.h>

#include "base/assert.h"

namespace varve {
namespace {

TEST(Status, DefaultIsOkAndEmpty) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::ok);
  EXPECT_EQ(status.message(), "");
  EXPECT_EQ(status.to_string(), "ok");
}

TEST(Status, FailureKeepsCodeAndMessage) {
  const Status status = Status::corruption("000012.sst at 4096");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::corruption);
  EXPECT_EQ(status.message(), "000012.sst at 4096");
  EXPECT_EQ(status.to_string(), "corruption: 000012.sst at 4096");
}

TEST(Status, CodeOkWithMessageIsOk) {
  const Status status(StatusCode::ok, "ignored");
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.message(), "");
}

TEST(Status, EveryCodeGoesWithoutMessage) {
  for (uint8_t code = 1; code <= static_cast<uint8_t>(StatusCode::already_exists); ++code) {
    const Status status(StatusCode{code}, "");
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status.code(), StatusCode{code});
    EXPECT_EQ(status.message(), "");
    Status copy = status;
    EXPECT_EQ(copy.code(), StatusCode{code});
    EXPECT_EQ(copy.to_string(), status_code_name(StatusCode{code}));
    copy = copy.with_context("put");
    EXPECT_EQ(copy.code(), StatusCode{code});
    EXPECT_EQ(copy.message(), "put: ");
    copy = Status();
    EXPECT_TRUE(copy.ok());
  }
}

TEST(Status, CopyIsIndependent) {
  Status first = Status::busy("lock");
  const Status copy = first;
  first = Status();
  EXPECT_TRUE(first.ok());
  EXPECT_EQ(copy.code(), StatusCode::busy);
  EXPECT_EQ(copy.message(), "lock");
}

TEST(Status, AssignmentToItselfKeepsIt) {
  Status status = Status::busy("lock");
  Status& same = status;
  status = same;
  EXPECT_EQ(status.message(), "lock");
}

TEST(Status, MovedFromIsOk) {
  Status first = Status::busy("lock");
  const Status second = std::move(first);
  EXPECT_EQ(second.code(), StatusCode::busy);
  EXPECT_TRUE(first.ok());  // NOLINT: what a moved-from status is, is part of the interface
}

TEST(Status, WithContextGoesBeforeTheMessage) {
  const Status status = Status::io_error("read: EIO").with_context("000001.log");
  EXPECT_EQ(status.to_string(), "io_error: 000001.log: read: EIO");
  EXPECT_TRUE(Status().with_context("anything").ok());
}

// Numbers and names are part of the interface.
TEST(Status, NumbersAndNamesAreStable) {
  const std::pair<StatusCode, std::string_view> expected[] = {
      {StatusCode::ok, "ok"},
      {StatusCode::invalid_argument, "invalid_argument"},
      {StatusCode::not_found, "not_found"},
      {StatusCode::corruption, "corruption"},
      {StatusCode::io_error, "io_error"},
      {StatusCode::no_space, "no_space"},
      {StatusCode::busy, "busy"},
      {StatusCode::conflict, "conflict"},
      {StatusCode::timed_out, "timed_out"},
      {StatusCode::read_only, "read_only"},
      {StatusCode::closed, "closed"},
      {StatusCode::not_supported, "not_supported"},
      {StatusCode::out_of_memory, "out_of_memory"},
      {StatusCode::cancelled, "cancelled"},
      {StatusCode::already_exists, "already_exists"},
  };
  uint8_t number = 0;
  for (const auto& [code, name] : expected) {
    EXPECT_EQ(static_cast<uint8_t>(code), number++);
    EXPECT_EQ(status_code_name(code), name);
  }
  EXPECT_EQ(status_code_name(static_cast<StatusCode>(200)), "unknown");
}

Result<int> half(int value) {
  if (value % 2 != 0) return Status::invalid_argument("odd");
  return value / 2;
}

Status quarter(int value, int* out) {
  VARVE_ASSIGN_OR_RETURN(const int once, half(value));
  VARVE_ASSIGN_OR_RETURN(*out, half(once));
  VARVE_RETURN_IF_ERROR(Status());
  return {};
}

TEST(Result, HoldsAValueOrAFailure) {
  EXPECT_TRUE(half(4).ok());
  EXPECT_EQ(half(4).value(), 2);
  EXPECT_FALSE(half(3).ok());
  EXPECT_EQ(half(3).status().code(), StatusCode::invalid_argument);
}

TEST(Result, MacrosReturnTheFirstFailure) {
  int out = -1;
  EXPECT_TRUE(quarter(8, &out).ok());
  EXPECT_EQ(out, 2);
  EXPECT_EQ(quarter(6, &out).code(), StatusCode::invalid_argument);
  EXPECT_EQ(out, 2);
}

}  // namespace
}  // namespace varve
