#include "lsm/block_builder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/lsm/block_fixture.h"
#include "tests/lsm/golden_file.h"

namespace varve {
namespace {

using test::VersionRow;

constexpr VersionKind kValue = VersionKind::value;
constexpr VersionKind kTombstone = VersionKind::tombstone;

class BlockBuilderTest : public ::testing::Test {
 protected:
  void add(std::string_view key, uint64_t timestamp, VersionKind kind, std::string_view value) {
    ASSERT_TRUE(builder_.add(key, Timestamp{timestamp}, kind, value));
  }
  std::string finish() {
    Buffer payload(&manager_, MemoryRole::sstable_builder);
    EXPECT_TRUE(builder_.finish(&payload));
    return std::string(payload.view());
  }

  MemoryManager manager_{0};
  BlockBuilder builder_{&manager_, MemoryRole::sstable_builder};
};

TEST_F(BlockBuilderTest, example_of_the_format_is_encoded_as_written_there) {
  add("ab", 7, kValue, "x");
  add("ac", 5, kValue, "");
  EXPECT_EQ(finish(), test::bytes_of_hex("02000000 0100 01 01 0500000000000000 61 02 00"
                                         "01 01 62 78 01 00 63"));
}

// The cases that the header of the format tells apart, each a golden payload.
struct GoldenCase {
  const char* name;
  const char* description;
  std::vector<VersionRow> rows;
};

std::vector<GoldenCase> golden_cases() {
  return {
      {"block",
       "the example of lsm/block_format.h",
       {{"ab", {7}, kValue, "x"}, {"ac", {5}, kValue, ""}}},
      {"block_one_row",
       "one row: the whole key is the prefix",
       {{"key", {0x0102030405060708}, kTombstone, ""}}},
      {"block_kinds",
       "kind column, timestamps of two bytes, two versions of a key, no prefix",
       {{"a", {1000}, kTombstone, ""},
        {"a", {300}, kValue, "old"},
        {std::string("b\0", 2), {1}, kValue, std::string(200, 'v')}}},
      {"block_wide_timestamps",
       "timestamps of eight bytes",
       {{"k1", {UINT64_MAX}, kValue, "newest"}, {"k2", {0}, kValue, "collapsed"}}},
      {"block_long_keys",
       "sizes that take two bytes",
       {{std::string(300, 'a') + std::string(130, 'b'), {9}, kValue, std::string(128, '1')},
        {std::string(300, 'a') + std::string(130, 'c'), {9}, kValue, std::string(127, '2')}}},
  };
}

TEST_F(BlockBuilderTest, golden_blocks) {
  for (const GoldenCase& c : golden_cases()) {
    SCOPED_TRACE(c.name);
    test::expect_golden(c.name, c.description, test::block_payload(c.rows));
    const test::ParsedBlock block(test::golden_bytes(c.name), static_cast<uint32_t>(c.rows.size()));
    ASSERT_TRUE(block.ok()) << block.status().to_string();
    EXPECT_EQ(block.rows(), c.rows);
  }
}

TEST_F(BlockBuilderTest, summary_counts_what_was_added) {
  EXPECT_TRUE(builder_.empty());
  add("a", 10, kValue, "1");
  EXPECT_FALSE(builder_.summary().has_equal_keys);
  add("b", 30, kTombstone, "");
  add("b", 20, kValue, "2");
  const BlockSummary summary = builder_.summary();
  EXPECT_EQ(summary.rows, 3u);
  EXPECT_EQ(summary.tombstones, 1u);
  EXPECT_EQ(summary.first_timestamp, Timestamp{10});
  EXPECT_EQ(summary.timestamp_min, Timestamp{10});
  EXPECT_EQ(summary.timestamp_max, Timestamp{30});
  EXPECT_TRUE(summary.has_equal_keys);
  EXPECT_EQ(builder_.first_key(), "a");
  EXPECT_EQ(builder_.last_key(), "b");
}

TEST_F(BlockBuilderTest, finished_builder_starts_afresh_and_appends_to_what_is_there) {
  add("abc1", 1, kTombstone, "");
  add("abc2", 2, kValue, "x");
  const std::string first = finish();
  EXPECT_TRUE(builder_.empty());
  EXPECT_EQ(builder_.summary().tombstones, 0u);
  add("abc1", 1, kTombstone, "");
  add("abc2", 2, kValue, "x");
  Buffer payload(&manager_, MemoryRole::sstable_builder);
  ASSERT_TRUE(payload.append("before"));
  ASSERT_TRUE(builder_.finish(&payload));
  EXPECT_EQ(payload.view(), "before" + first);
}

TEST_F(BlockBuilderTest, size_estimate_is_near_what_finish_yields) {
  test::RowProfile profile{.keys = 200, .prefix = {}};
  Random random(1);
  for (const VersionRow& row : test::random_rows(&random, profile)) {
    add(row.key, row.timestamp.nanos, row.kind, row.value);
  }
  const double estimate = static_cast<double>(builder_.size_estimate());
  const double size = static_cast<double>(finish().size());
  EXPECT_GT(estimate, size * 0.8);
  EXPECT_LT(estimate, size * 1.4);
}

TEST_F(BlockBuilderTest, largest_key_and_a_large_value_fit) {
  const std::string key(kKeySizeMax, 'k');
  const std::string value(5 << 20, 'v');
  add(key, 5, kValue, value);
  add(key, 4, kValue, "");
  const test::ParsedBlock block(finish(), 2);
  ASSERT_TRUE(block.ok()) << block.status().to_string();
  EXPECT_EQ(block.row(0), (VersionRow{key, {5}, kValue, value}));
  EXPECT_EQ(block.row(1), (VersionRow{key, {4}, kValue, ""}));
}

using BlockBuilderDeathTest = BlockBuilderTest;

TEST_F(BlockBuilderDeathTest, versions_out_of_order_never_reach_disk) {
  add("b", 5, kValue, "");
  EXPECT_DEATH((void)builder_.add("a", Timestamp{9}, kValue, ""), "assert");
  EXPECT_DEATH((void)builder_.add("b", Timestamp{6}, kValue, ""), "assert");
  EXPECT_DEATH((void)builder_.add("b", Timestamp{5}, kValue, ""), "assert");
  add("b", 4, kValue, "");
}

#if defined(VARVE_DEBUG)
TEST_F(BlockBuilderTest, refused_memory_is_reported) {
  uint64_t refused = 0;
  for (uint64_t call = 1; call < 60; ++call) {
    BlockBuilder builder(&manager_, MemoryRole::sstable_builder);
    Buffer payload(&manager_, MemoryRole::sstable_builder);
    manager_.fail_allocation_after(call);
    bool ok = true;
    for (int i = 0; i < 100 && ok; ++i) {
      ok = builder.add("key" + std::to_string(1000 + i), Timestamp{1}, kValue, "value");
    }
    if (ok) ok = builder.finish(&payload);
    manager_.fail_allocation_after(0);
    refused += !ok;
  }
  EXPECT_GT(refused, 5u);
  EXPECT_LT(refused, 59u) << "the last calls are never made";
}
#endif

}  // namespace
}  // namespace varve
