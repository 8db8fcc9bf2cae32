#include "base/time_text.h"

#include <gtest/gtest.h>

namespace varve {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(TimeText, TimesAreRfc3339WithNineDigits) {
  EXPECT_EQ(format_time(kTimestampMin), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(format_time(Timestamp{1'769'860'800 * kSecond}), "2026-01-31T12:00:00.000000000Z");
  EXPECT_EQ(format_time(Timestamp{1'709'210'096 * kSecond + 7}), "2024-02-29T12:34:56.000000007Z");
  EXPECT_EQ(format_time(kTimestampMax), "2554-07-21T23:34:33.709551615Z");
}

TEST(TimeText, TheNumberStandsBesideTheTime) {
  EXPECT_EQ(format_time_and_nanos(Timestamp{kSecond + 1}),
            "1970-01-01T00:00:01.000000001Z (1000000001)");
}

}  // namespace
}  // namespace varve
