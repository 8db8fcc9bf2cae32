#include "mvcc/version.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "mvcc/visibility.h"

namespace varve {
namespace {

TEST(VersionOrder, keys_order_as_bytes_and_a_prefix_comes_first) {
  const std::vector<std::string> ascending{"",
                                           std::string(1, '\0'),
                                           std::string(2, '\0'),
                                           "a",
                                           std::string("a\0", 2),
                                           "aa",
                                           "b",
                                           "\x7f",
                                           "\x80",
                                           "\xff",
                                           "\xff\xff"};
  for (size_t i = 0; i < ascending.size(); ++i) {
    for (size_t j = 0; j < ascending.size(); ++j) {
      EXPECT_EQ(compare_keys(ascending[i], ascending[j]), i <=> j) << i << " " << j;
    }
  }
}

TEST(VersionOrder, newer_versions_of_a_key_come_first) {
  const VersionKey ascending[] = {
      {"a", kTimestampMax}, {"a", {5}}, {"a", {4}}, {"a", kTimestampMin},
      {"b", kTimestampMax}, {"b", {9}}, {"b", {0}}};
  for (size_t i = 0; i < std::size(ascending); ++i) {
    for (size_t j = 0; j < std::size(ascending); ++j) {
      EXPECT_EQ(compare_versions(ascending[i], ascending[j]), i <=> j) << i << " " << j;
    }
  }
}

TEST(VersionKind, numbers_of_the_format_are_as_documented) {
  EXPECT_EQ(static_cast<int>(VersionKind::value), 1);
  EXPECT_EQ(static_cast<int>(VersionKind::tombstone), 2);
  EXPECT_EQ(static_cast<int>(VersionKind::range_tombstone), 3);
  EXPECT_EQ(static_cast<int>(VersionKind::merge_operand), 4);
  EXPECT_EQ(static_cast<int>(VersionKind::value_with_expiry), 5);
  EXPECT_EQ(static_cast<int>(VersionKind::value_pointer), 6);
  for (int kind = 0; kind < 256; ++kind) {
    const auto each = static_cast<VersionKind>(kind);
    EXPECT_EQ(is_change(each), kind == 1 || kind == 2) << kind;
    EXPECT_EQ(is_known(each), is_change(each) || each == VersionKind::value_pointer) << kind;
  }
}

TEST(Visibility, a_snapshot_sees_what_was_committed_at_or_before_it) {
  EXPECT_TRUE(is_visible({5}, {5}));
  EXPECT_TRUE(is_visible({4}, {5}));
  EXPECT_FALSE(is_visible({6}, {5}));
  EXPECT_TRUE(is_visible(kTimestampMin, kTimestampMin)) << "collapsed versions are seen by all";
}

}  // namespace
}  // namespace varve
