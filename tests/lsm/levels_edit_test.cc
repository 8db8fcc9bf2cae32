#include "lsm/levels_edit.h"

#include <gtest/gtest.h>

#include <string>

#include "base/coding.h"
#include "base/random.h"
#include "tests/lsm/random_edit.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"

namespace varve::test {
namespace {

std::string encoded(const LevelsEdit& edit) {
  std::string bytes;
  encode_edit(edit, &bytes);
  return bytes;
}

void append_field(std::string* to, uint64_t tag, std::string_view bytes) {
  append_varint(to, tag);
  append_sized(to, bytes);
}

TEST(LevelsEditTest, empty_edit_is_no_bytes) {
  EXPECT_EQ(encoded({}), "");
  const Result<LevelsEdit> edit = decode_edit("");
  ASSERT_OK(edit);
  EXPECT_TRUE(edit->added.empty());
  EXPECT_FALSE(edit->next_file.has_value());
}

TEST(LevelsEditTest, random_edits_come_back) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(300); ++i) {
    const std::string bytes = encoded(random_edit(&random));
    const Result<LevelsEdit> edit = decode_edit(bytes);
    ASSERT_OK(edit);
    ASSERT_EQ(encoded(*edit), bytes);
  }
}

TEST(LevelsEditTest, undated_file_is_a_field_of_its_own) {
  LevelsEdit edit;
  edit.added.push_back({.keyspace = {3},
                        .run = {7},
                        .info = {.number = {12},
                                 .id = {1, 2},
                                 .file_size = 4096,
                                 .smallest_key = "a",
                                 .largest_key = "z",
                                 .versions = 10,
                                 .tombstones = 3,
                                 .timestamp_min = {5},
                                 .timestamp_max = {5},
                                 .collapse_horizon = {},
                                 .raw_bytes = 99,
                                 .undated = true}});
  const std::string bytes = encoded(edit);
  EXPECT_EQ(bytes.substr(0, 1), "\x1a") << "tag 26: builds that do not know it refuse it";
  Result<LevelsEdit> decoded = decode_edit(bytes);
  ASSERT_OK(decoded);
  ASSERT_EQ(decoded->added.size(), 1u);
  EXPECT_TRUE(decoded->added[0].info.undated);
  EXPECT_EQ(decoded->added[0].info.timestamp_min, Timestamp{5});
  EXPECT_EQ(encoded(*decoded), bytes);

  SstableInfo& info = edit.added[0].info;
  info.timestamp_min = {4};
  EXPECT_FAILS(decode_edit(encoded(edit)), corruption, "malformed");
  info.timestamp_min = info.timestamp_max = {};
  EXPECT_FAILS(decode_edit(encoded(edit)), corruption, "malformed");
  info.timestamp_min = info.timestamp_max = kTimestampLimit;
  EXPECT_FAILS(decode_edit(encoded(edit)), corruption, "malformed");
  info.timestamp_min = info.timestamp_max = {5};
  info.collapse_horizon = {3};
  EXPECT_FAILS(decode_edit(encoded(edit)), corruption, "malformed");
}

TEST(LevelsEditTest, every_field_comes_back_as_it_was) {
  LevelsEdit edit;
  edit.added.push_back({.keyspace = {3},
                        .run = {7},
                        .info = {.number = {12},
                                 .id = {1, 2},
                                 .file_size = 4096,
                                 .smallest_key = "a",
                                 .largest_key = std::string("z\0", 2),
                                 .versions = 10,
                                 .tombstones = 3,
                                 .timestamp_min = {5},
                                 .timestamp_max = {9},
                                 .collapse_horizon = {4},
                                 .raw_bytes = 99}});
  edit.removed.push_back({.keyspace = {3}, .number = {11}});
  edit.keyspaces_added.push_back({.keyspace = {4},
                                  .name = "name",
                                  .options = {.durability = Durability::none,
                                              .history_retention = std::chrono::nanoseconds(0)},
                                  .created = {8},
                                  .flushed = {100}});
  edit.keyspaces_added.push_back(
      {.keyspace = {5}, .name = "other", .options = {}, .created = {9}, .flushed = {}});
  edit.keyspaces_dropped.push_back({.keyspace = {2}, .dropped = {7}});
  edit.flushed.push_back({.keyspace = {3}, .lsn = {500}});
  edit.watermarks.push_back({.keyspace = {3}, .watermark = {6}});
  edit.next_file = FileNumber{13};
  edit.next_keyspace = Keyspace{6};
  edit.lease = Timestamp{1000};
  edit.log_start = Lsn{400};
  edit.last_timestamp = Timestamp{999};
  edit.log_end = Lsn{600};
  const Result<LevelsEdit> found = decode_edit(encoded(edit));
  ASSERT_OK(found);
  const SstableInfo& info = found->added.at(0).info;
  EXPECT_EQ(found->added[0].keyspace, Keyspace{3});
  EXPECT_EQ(found->added[0].run, RunId{7});
  EXPECT_EQ(info.number, FileNumber{12});
  EXPECT_EQ(info.id, (FileId{1, 2}));
  EXPECT_EQ(info.file_size, 4096u);
  EXPECT_EQ(info.smallest_key, "a");
  EXPECT_EQ(info.largest_key, std::string("z\0", 2));
  EXPECT_EQ(info.versions, 10u);
  EXPECT_EQ(info.tombstones, 3u);
  EXPECT_EQ(info.timestamp_min, Timestamp{5});
  EXPECT_EQ(info.timestamp_max, Timestamp{9});
  EXPECT_EQ(info.collapse_horizon, Timestamp{4});
  EXPECT_EQ(info.raw_bytes, 99u);
  EXPECT_EQ(found->removed.at(0).number, FileNumber{11});
  EXPECT_EQ(found->keyspaces_added.at(0).name, "name");
  EXPECT_EQ(found->keyspaces_added[0].options.durability, Durability::none);
  EXPECT_EQ(found->keyspaces_added[0].options.history_retention, std::chrono::nanoseconds(0));
  EXPECT_EQ(found->keyspaces_added[0].created, Timestamp{8});
  EXPECT_EQ(found->keyspaces_added[0].flushed, Lsn{100});
  EXPECT_FALSE(found->keyspaces_added.at(1).options.durability.has_value());
  EXPECT_FALSE(found->keyspaces_added[1].options.history_retention.has_value());
  EXPECT_EQ(found->keyspaces_dropped.at(0).dropped, Timestamp{7});
  EXPECT_EQ(found->flushed.at(0).lsn, Lsn{500});
  EXPECT_EQ(found->watermarks.at(0).watermark, Timestamp{6});
  EXPECT_EQ(found->next_file, FileNumber{13});
  EXPECT_EQ(found->next_keyspace, Keyspace{6});
  EXPECT_EQ(found->lease, Timestamp{1000});
  EXPECT_EQ(found->log_start, Lsn{400});
  EXPECT_EQ(found->last_timestamp, Timestamp{999});
  EXPECT_EQ(found->log_end, Lsn{600});
}

TEST(LevelsEditTest, unknown_fields_are_skipped_or_refused_by_their_tag) {
  std::string bytes;
  append_field(&bytes, 101, "whatever");
  append_field(&bytes, 14, std::string(1, '\x05'));
  const Result<LevelsEdit> edit = decode_edit(bytes);
  ASSERT_OK(edit);
  EXPECT_EQ(edit->next_file, FileNumber{5});
  append_field(&bytes, 102, "whatever");
  EXPECT_FAILS(decode_edit(bytes), not_supported, "field 102");
}

TEST(LevelsEditTest, malformed_fields_are_corruption_that_names_the_place) {
  std::string bytes;
  append_field(&bytes, 14, std::string("\x05\x05", 2));  // a byte too many
  EXPECT_FAILS(decode_edit(bytes), corruption, "field 14 at byte 0");
  bytes.clear();
  append_field(&bytes, 12, std::string(1, '\x05'));  // a number missing
  EXPECT_FAILS(decode_edit(bytes), corruption, "field 12");
  const auto refused = [](auto change) {
    Random random(7);
    LevelsEdit edit;
    edit.added.push_back(random_file(&random, {0}));
    edit.keyspaces_added.push_back(
        {.keyspace = {1}, .name = "n", .options = {}, .created = {}, .flushed = {}});
    change(&edit);
    EXPECT_FAILS(decode_edit(encoded(edit)), corruption, "malformed");
  };
  refused([](LevelsEdit* edit) {
    edit->added[0].info.smallest_key = "b";
    edit->added[0].info.largest_key = "a";
  });
  refused([](LevelsEdit* edit) {
    edit->added[0].info.largest_key = std::string(kKeySizeMax + 1, 'z');
  });
  refused([](LevelsEdit* edit) { edit->keyspaces_added[0].name = ""; });
  refused([](LevelsEdit* edit) { edit->keyspaces_added[0].name = std::string(256, 'n'); });
  refused([](LevelsEdit* edit) {
    edit->keyspaces_added[0].options.durability = static_cast<Durability>(4);
  });
  refused([](LevelsEdit* edit) { edit->lease = kTimestampMax; });
  refused([](LevelsEdit* edit) { edit->last_timestamp = kTimestampMax; });
}

TEST(LevelsEditTest, every_truncation_is_corruption_or_fewer_fields) {
  VARVE_SEEDED_TEST(random);
  for (int i = 0; i < 20; ++i) {
    const std::string bytes = encoded(random_edit(&random));
    for (size_t size = 0; size < bytes.size(); ++size) {
      const Result<LevelsEdit> edit = decode_edit(std::string_view(bytes).substr(0, size));
      if (edit.ok()) {
        ASSERT_EQ(encoded(*edit), bytes.substr(0, size)) << "ends between two fields";
      } else {
        ASSERT_EQ(edit.status().code(), StatusCode::corruption);
      }
    }
  }
}

}  // namespace
}  // namespace varve::test
