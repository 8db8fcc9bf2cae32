#include "lsm/block_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/lsm/block_fixture.h"
#include "tests/lsm/golden_file.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

using test::ParsedBlock;
using test::VersionRow;

std::vector<test::RowProfile> profiles() {
  std::vector<test::RowProfile> all;
  for (const size_t keys : {1, 2, 15, 16, 17, 120}) {
    for (const char* prefix : {"", "p", "12345678", "a prefix of more than sixteen bytes"}) {
      all.push_back({.keys = keys, .prefix = prefix});
    }
  }
  all.push_back({.keys = 40, .prefix = std::string(5000, 'p')});
  for (const uint64_t spread : {0ull, 1ull, 250ull, 70'000ull, 1ull << 40, 1ull << 62}) {
    all.push_back({.keys = 60, .timestamp_spread = spread, .prefix = "t"});
  }
  all.push_back({.keys = 60, .tombstone_one_in = 1, .prefix = {}});
  all.push_back({.keys = 60, .tombstone_one_in = 0, .value_size_max = 700, .prefix = {}});
  all.push_back({.keys = 3, .versions_max = 200, .timestamp_spread = 1 << 20, .prefix = {}});
  return all;
}

// Keys to ask for: those that are there, their neighbours, and others.
std::vector<std::string> probes(Random* random, const std::vector<VersionRow>& rows,
                                const std::string& prefix) {
  std::set<std::string> keys{"", std::string(1, '\0'), "\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
  for (const VersionRow& row : rows) {
    keys.insert(row.key);
    keys.insert(row.key + '\0');
    keys.insert(row.key.substr(0, row.key.size() - 1));
    std::string next = row.key;
    next.back() = static_cast<char>(next.back() + 1);
    keys.insert(next);
  }
  for (int i = 0; i < 20; ++i) keys.insert(test::random_key(random, prefix));
  return {keys.begin(), keys.end()};
}

// Timestamps at, beside and far from those of the rows.
std::vector<Timestamp> times(const std::vector<VersionRow>& rows, std::string_view key) {
  std::set<Timestamp> all{kTimestampMin, kTimestampMax, rows[rows.size() / 2].timestamp};
  for (const VersionRow& row : rows) {
    if (row.key != key) continue;
    all.insert(row.timestamp);
    if (row.timestamp > kTimestampMin) all.insert({row.timestamp.nanos - 1});
    if (row.timestamp < kTimestampMax) all.insert({row.timestamp.nanos + 1});
  }
  return {all.begin(), all.end()};
}

TEST(BlockView, random_blocks_give_back_their_rows_and_answer_as_the_model) {
  VARVE_SEEDED_TEST(random);
  for (const test::RowProfile& profile : profiles()) {
    SCOPED_TRACE("keys " + std::to_string(profile.keys) + ", spread " +
                 std::to_string(profile.timestamp_spread) + ", prefix of " +
                 std::to_string(profile.prefix.size()));
    const std::vector<VersionRow> rows = test::random_rows(&random, profile);
    const ParsedBlock block(rows);
    ASSERT_TRUE(block.ok()) << block.status().to_string();
    ASSERT_EQ(block.rows(), rows);
    const ParsedBlock of_index(test::block_payload(rows), static_cast<uint32_t>(rows.size()),
                               /*with_tags=*/false);
    ASSERT_TRUE(of_index.ok()) << of_index.status().to_string();
    ASSERT_EQ(of_index.rows(), rows);
    for (const std::string& key : probes(&random, rows, profile.prefix)) {
      for (const Timestamp time : times(rows, key)) {
        const VersionKey wanted{key, time};
        const auto lower = std::partition_point(rows.begin(), rows.end(), [&](const auto& row) {
          return compare_versions(row.version_key(), wanted) < 0;
        });
        const auto upper = std::partition_point(rows.begin(), rows.end(), [&](const auto& row) {
          return compare_versions(row.version_key(), wanted) <= 0;
        });
        ASSERT_EQ(block.view().lower_bound(wanted), lower - rows.begin());
        ASSERT_EQ(block.view().upper_bound(wanted), upper - rows.begin());
        ASSERT_EQ(of_index.view().lower_bound(wanted), lower - rows.begin());
        ASSERT_EQ(of_index.view().upper_bound(wanted), upper - rows.begin());
        const VersionRow* visible = test::visible_row(rows, key, time);
        const uint32_t found = block.view().find(key, key_hash(key), time);
        ASSERT_EQ(found, visible == nullptr ? rows.size() : visible - rows.data());
      }
    }
    for (uint32_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(block.view().heads()[i],
                key_head(std::string_view(rows[i].key).substr(block.view().prefix().size())));
      EXPECT_TRUE(block.view().has_key(i, rows[i].key));
      EXPECT_FALSE(block.view().has_key(i, rows[i].key + "x"));
      EXPECT_FALSE(block.view().has_key(i, rows[i].key.substr(1)));
    }
  }
}

TEST(BlockView, keys_with_the_same_bits_of_their_hashes_are_told_apart) {
  // Of so many keys two have the same tag, surely.
  std::vector<VersionRow> all;
  all.reserve(70'000);
  for (int i = 100'000; i < 170'000; ++i) {
    all.push_back({"key" + std::to_string(i), {5}, VersionKind::value, {}});
  }
  std::map<uint16_t, const VersionRow*> by_tag;
  int pairs = 0;
  for (const VersionRow& row : all) {
    const auto [other, is_new] = by_tag.emplace(static_cast<uint16_t>(key_hash(row.key)), &row);
    if (is_new || pairs == 20) continue;
    ++pairs;
    // The two at the ends of a block whose other keys have other tags, or not.
    std::vector<VersionRow> rows{*other->second};
    const ptrdiff_t between = &row - other->second;
    for (ptrdiff_t i = 1; i < std::min<ptrdiff_t>(between, 100); ++i) {
      rows.push_back(other->second[i]);
    }
    rows.push_back(row);
    const ParsedBlock block(rows);
    ASSERT_TRUE(block.ok());
    const BlockView& view = block.view();
    for (const uint32_t i : {uint32_t{0}, static_cast<uint32_t>(rows.size() - 1)}) {
      const uint64_t hash = key_hash(rows[i].key);
      EXPECT_EQ(view.candidate(hash), 0u);
      EXPECT_EQ(view.find(rows[i].key, hash, {5}, view.candidate(hash)), i);
      EXPECT_EQ(view.find(rows[i].key, hash, {4}, view.candidate(hash)), rows.size());
    }
    const uint64_t absent = key_hash(rows[0].key) + 1;
    if (view.candidate(absent) != rows.size()) continue;
    EXPECT_EQ(view.find(rows[0].key, absent, {5}, view.candidate(absent)), rows.size());
  }
  EXPECT_EQ(pairs, 20);
}

// Heads are of eight bytes, of blocks of an index of sixteen.
TEST(BlockView, keys_that_differ_after_their_heads_only_are_told_apart) {
  for (const std::string same : {"same-head", "sixteen bytes are the same", "seven.."}) {
    std::vector<VersionRow> rows{{"other", {5}, VersionKind::value, {}}};  // no common prefix
    for (const char middle : {'\0', 'm', '\xff'}) {
      for (int i = 100; i < 300; ++i) {
        rows.push_back(
            {same + std::string(8, middle) + std::to_string(i), {5}, VersionKind::value, {}});
      }
    }
    for (const bool with_tags : {true, false}) {
      const ParsedBlock block(test::block_payload(rows), static_cast<uint32_t>(rows.size()),
                              with_tags);
      ASSERT_TRUE(block.ok());
      ASSERT_EQ(block.view().prefix(), "");
      for (uint32_t i = 0; i < rows.size(); ++i) {
        EXPECT_EQ(block.view().lower_bound({rows[i].key, {5}}), i);
        EXPECT_EQ(block.view().lower_bound({rows[i].key, {6}}), i);
        EXPECT_EQ(block.view().lower_bound({rows[i].key, {4}}), i + 1);
        EXPECT_EQ(block.view().upper_bound({rows[i].key, {5}}), i + 1);
      }
      EXPECT_EQ(block.view().lower_bound({same, {5}}), 1u);
      EXPECT_EQ(block.view().lower_bound({same + "n", {5}}), 401u);
      EXPECT_EQ(block.view().lower_bound({same + std::string(20, '\xff'), {5}}), rows.size());
    }
  }
}

TEST(BlockView, keys_whose_hashes_share_the_tag_are_told_apart) {
  const uint16_t tag = static_cast<uint16_t>(key_hash("seven"));
  std::vector<VersionRow> rows;
  for (int i = 0; rows.size() < 41; ++i) {  // and the last tags are padding
    const std::string key = "k" + std::to_string(10'000'000 + i);
    if (static_cast<uint16_t>(key_hash(key)) == tag) {
      rows.push_back({key, {1}, VersionKind::value, key});
    }
  }
  const ParsedBlock block(rows);
  ASSERT_TRUE(block.ok());
  for (uint32_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(block.view().find(rows[i].key, key_hash(rows[i].key), {1}), i);
  }
  EXPECT_EQ(block.view().find("seven", key_hash("seven"), {1}), rows.size());
  // Nothing of that key but with its hash: the padding behind the tags is never taken for a row.
  for (uint64_t hash = 0; hash <= UINT16_MAX; ++hash) {
    EXPECT_EQ(block.view().find("k0", hash, {1}), rows.size());
  }
}

// Offsets have two bytes up to 64 KiB.
TEST(BlockView, payloads_around_64_kib_lead_to_their_rows) {
  std::vector<VersionRow> rows;
  rows.reserve(66);
  for (int i = 0; i < 66; ++i) {
    rows.push_back(
        {"k" + std::to_string(100 + i), {1}, VersionKind::value, std::string(1000, 'v')});
  }
  for (const size_t size : {200'000, 65'537, 65'536, 65'535}) {
    rows[0].value.resize(1000);
    while (test::block_payload(rows).size() > size) rows.pop_back();
    rows[0].value.resize(1000 + size - test::block_payload(rows).size(), 'u');
    const ParsedBlock block(rows);
    ASSERT_TRUE(block.ok());
    EXPECT_EQ(block.rows(), rows) << size;
    for (uint32_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(block.view().find(rows[i].key, key_hash(rows[i].key), {1}), i) << size;
    }
  }
}

TEST(BlockView, block_without_tags_is_the_same_otherwise) {
  const std::vector<VersionRow> rows{{"a", {2}, VersionKind::value, "1"},
                                     {"b", {1}, VersionKind::tombstone, ""}};
  const ParsedBlock block(test::block_payload(rows), 2, /*with_tags=*/false);
  ASSERT_TRUE(block.ok());
  EXPECT_EQ(block.rows(), rows);
  EXPECT_EQ(block.view().lower_bound({"b", kTimestampMax}), 1u);
}

// Reads all there is to read; AddressSanitizer watches.
void use_everything(const ParsedBlock& block) {
  size_t bytes = 0;
  const BlockView& view = block.view();
  for (uint32_t i = 0; i < view.row_count(); ++i) {
    const VersionRow row = block.row(i);
    bytes += row.key.size() + row.value.size() + (row.timestamp.nanos & 1);
    bytes += view.lower_bound(row.version_key()) + view.upper_bound(row.version_key());
    bytes += view.find(row.key, key_hash(row.key), kTimestampMax);
    EXPECT_LE(row.key.size(), kKeySizeMax);
    EXPECT_TRUE(is_known(row.kind));
  }
  EXPECT_NE(bytes, SIZE_MAX);
}

TEST(BlockView, cut_off_payload_is_corruption) {
  const std::vector<VersionRow> rows{{"key1", {1000}, VersionKind::value, "value"},
                                     {"key1", {20}, VersionKind::tombstone, ""},
                                     {"key2", {3000}, VersionKind::value, std::string(200, 'v')}};
  const std::string payload = test::block_payload(rows);
  for (size_t size = 0; size < payload.size(); ++size) {
    const ParsedBlock block(std::string_view(payload).substr(0, size), 3);
    ASSERT_FALSE(block.ok()) << size << " bytes";
    EXPECT_EQ(block.status().code(), StatusCode::corruption) << block.status().to_string();
  }
  EXPECT_FALSE(ParsedBlock(payload + "x", 3).ok()) << "a byte too many";
  EXPECT_FALSE(ParsedBlock(payload, 2).ok()) << "another number of rows than the trailer's";
  EXPECT_FALSE(ParsedBlock(payload, 4).ok());
  EXPECT_FALSE(ParsedBlock(payload, 0).ok());
}

TEST(BlockView, changed_bytes_give_rows_within_the_payload_or_an_error) {
  VARVE_SEEDED_TEST(random);
  size_t parsed = 0;
  for (int round = 0; round < 40; ++round) {
    const std::vector<VersionRow> rows =
        test::random_rows(&random, {.keys = 1 + random.below(8), .prefix = "p"});
    const std::string payload = test::block_payload(rows);
    for (int i = 0; i < 200; ++i) {
      std::string damaged = payload;
      for (uint64_t changes = 1 + random.below(3); changes > 0; --changes) {
        const size_t at = random.below(damaged.size());
        damaged[at] = static_cast<char>(random.one_in(2) ? random.next() : damaged[at] ^ 0x80);
      }
      const ParsedBlock block(damaged, static_cast<uint32_t>(rows.size()));
      if (!block.ok()) continue;
      use_everything(block);
      ++parsed;
    }
  }
  EXPECT_GT(parsed, 0u);
}

TEST(BlockView, hostile_sizes_are_corruption) {
  struct Case {
    const char* what;
    const char* payload;
    uint32_t rows;
  };
  for (const Case& c : {
           Case{"no rows", "00000000 0000 00 01 0000000000000000", 0},
           Case{"timestamps of nine bytes",
                "01000000 0000 09 01 0000000000000000 000000000000000000 0100 61", 1},
           Case{"columns beyond the end", "ffffffff 0000 08 00 0000000000000000", UINT32_MAX},
           Case{"a prefix beyond the end", "01000000 ffff 00 01 0000000000000000 01 00 61", 1},
           Case{"a suffix of 2^64 - 1 bytes",
                "01000000 0000 00 01 0000000000000000 ffffffffffffffffff01 00", 1},
           Case{"a value of 2^63 bytes",
                "01000000 0000 00 01 0000000000000000 00 80808080808080808001", 1},
           Case{"a size in more bytes than it needs",
                "01000000 0000 00 01 0000000000000000 8100 00 61", 1},
           Case{"a size that does not end", "01000000 0000 00 01 0000000000000000 ff ff", 1},
       }) {
    const ParsedBlock block(test::bytes_of_hex(c.payload), c.rows < 100 ? c.rows : 1);
    ASSERT_FALSE(block.ok()) << c.what;
    EXPECT_EQ(block.status().code(), StatusCode::corruption) << c.what;
  }
}

TEST(BlockView, key_over_the_limit_is_corruption) {
  std::string payload = test::bytes_of_hex("01000000 ffff 00 01 0000000000000000");
  payload.append(UINT16_MAX, 'p');
  EXPECT_TRUE(ParsedBlock(payload + std::string("\x01\x00s", 3), 1).ok());
  EXPECT_FALSE(ParsedBlock(payload + std::string("\x02\x00ss", 4), 1).ok());
}

TEST(BlockView, unknown_kind_is_not_supported) {
  const std::vector<VersionRow> rows{{"a", {1}, VersionKind::value, ""},
                                     {"b", {1}, VersionKind::tombstone, ""}};
  std::string payload = test::block_payload(rows);
  ASSERT_EQ(payload[16], 1);  // the kind column: no prefix, no timestamp column
  payload[17] = 5;
  EXPECT_EQ(ParsedBlock(payload, 2).status().code(), StatusCode::not_supported);
  payload = test::block_payload({rows[0]});
  payload[7] = 3;
  EXPECT_EQ(ParsedBlock(payload, 1).status().code(), StatusCode::not_supported);
}

}  // namespace
}  // namespace varve
