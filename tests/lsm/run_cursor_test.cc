#include "lsm/run_cursor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/lsm/failing_files.h"
#include "tests/lsm/test_run.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

using test::FailingFiles;
using test::SstableHome;
using test::TestRun;
using test::VersionRow;

void expect_at(const RunCursor& cursor, const std::vector<VersionRow>& rows, ptrdiff_t expected,
               const std::string& what) {
  ASSERT_TRUE(cursor.status().ok()) << cursor.status().to_string();
  const bool inside = expected >= 0 && expected < static_cast<ptrdiff_t>(rows.size());
  ASSERT_EQ(cursor.valid(), inside) << what;
  if (inside) {
    ASSERT_EQ(test::row_at(cursor), rows[static_cast<size_t>(expected)]) << what;
  }
}

struct Shape {
  size_t files;
  SstableWriterOptions options;
  test::RowProfile profile;
  bool fill_cache;
};

TEST(RunCursor, walks_and_seeks_as_the_model_does) {
  VARVE_SEEDED_TEST(random);
  const Shape shapes[] = {
      {1, {.block_size = 1}, {.keys = 300, .prefix = "p"}, true},
      {4, {.block_size = 100}, {.keys = 300, .prefix = {}}, true},
      {3,
       {.block_size = 700, .codec = Compression::zstd},
       {.keys = 200, .value_size_max = 200, .prefix = std::string(20, 'p')},
       false},
      {9, {.block_size = 1 << 20}, {.keys = 40, .prefix = {}}, false},
      {2,
       {.block_size = 40},
       {.keys = 4, .versions_max = 400, .timestamp_spread = 1 << 20, .prefix = {}},
       true},
      {1, {}, {.keys = 1, .versions_max = 1, .prefix = {}}, true},
      {3,
       {.block_size = 60, .undated = true},
       {.keys = 300, .versions_max = 1, .prefix = {}},
       true},
  };
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(std::to_string(shape.files) + " files, blocks of " +
                 std::to_string(shape.options.block_size));
    SstableHome home(50'000);
    std::vector<VersionRow> rows = test::random_rows(&random, shape.profile);
    if (shape.options.undated) {
      const auto same_key = [](const VersionRow& a, const VersionRow& b) { return a.key == b.key; };
      rows.erase(std::unique(rows.begin(), rows.end(), same_key), rows.end());
      for (VersionRow& row : rows) row.timestamp = {1000};
    }
    const TestRun run(&home, rows, shape.files, shape.options);
    RunCursor cursor(&home.manager());
    cursor.reset(run.files(), shape.fill_cache);
    EXPECT_FALSE(cursor.valid());

    ptrdiff_t at = 0;
    for (cursor.seek_to_first(); cursor.valid(); cursor.next(), ++at) {
      expect_at(cursor, rows, at, "forwards");
      ASSERT_FALSE(::testing::Test::HasFatalFailure());
    }
    EXPECT_TRUE(cursor.status().ok());
    ASSERT_EQ(at, static_cast<ptrdiff_t>(rows.size()));
    for (cursor.seek_to_last(); cursor.valid(); cursor.prev()) {
      expect_at(cursor, rows, --at, "backwards");
      ASSERT_FALSE(::testing::Test::HasFatalFailure());
    }
    EXPECT_TRUE(cursor.status().ok());
    ASSERT_EQ(at, 0);

    for (int i = 0; i < 2000; ++i) {
      // A place at, just before or just after a version; of its key; or anywhere.
      const VersionRow& near = rows[random.below(rows.size())];
      std::string key =
          random.one_in(4) ? test::random_key(&random, shape.profile.prefix) : near.key;
      if (random.one_in(8)) key.push_back('\0');
      if (random.one_in(8)) key.pop_back();
      Timestamp time{near.timestamp.nanos + random.below(3) - 1};
      if (random.one_in(4)) time = random.one_in(2) ? kTimestampMin : kTimestampMax;
      const VersionKey wanted{key, time};
      const auto lower = std::partition_point(rows.begin(), rows.end(), [&](const VersionRow& row) {
        return compare_versions(row.version_key(), wanted) < 0;
      });
      const auto upper = std::partition_point(rows.begin(), rows.end(), [&](const VersionRow& row) {
        return compare_versions(row.version_key(), wanted) <= 0;
      });
      const bool backwards = random.one_in(2);
      if (backwards) {
        cursor.seek_for_prev(wanted);
        at = upper - rows.begin() - 1;
      } else {
        cursor.seek(wanted);
        at = lower - rows.begin();
      }
      expect_at(cursor, rows, at, backwards ? "seek_for_prev" : "seek");
      ASSERT_FALSE(::testing::Test::HasFatalFailure());
      for (uint64_t steps = random.below(6); steps > 0 && cursor.valid(); --steps) {
        if (random.one_in(2)) {
          cursor.next();
          ++at;
        } else {
          cursor.prev();
          --at;
        }
        expect_at(cursor, rows, at, "a step");
        ASSERT_FALSE(::testing::Test::HasFatalFailure());
      }
    }
  }
}

TEST(RunCursor, empty_run_has_no_versions) {
  SstableHome home;
  RunCursor cursor(&home.manager());
  cursor.reset({}, true);
  cursor.seek_to_first();
  EXPECT_FALSE(cursor.valid());
  cursor.seek_to_last();
  EXPECT_FALSE(cursor.valid());
  cursor.seek({"a", kTimestampMax});
  EXPECT_FALSE(cursor.valid());
  cursor.seek_for_prev({"a", kTimestampMax});
  EXPECT_FALSE(cursor.valid());
  EXPECT_TRUE(cursor.status().ok());
}

TEST(RunCursor, reset_and_clear_make_it_reusable_and_let_go_of_blocks) {
  SstableHome home;
  const std::vector<VersionRow> rows{{"a", {1}, VersionKind::value, "x"},
                                     {"b", {1}, VersionKind::value, "y"}};
  RunCursor cursor(&home.manager());
  {
    const TestRun run(&home, rows, 2, {});
    cursor.reset(run.files(), false);
    cursor.seek_to_last();
    ASSERT_TRUE(cursor.valid());
    EXPECT_EQ(cursor.file_index(), 1u);
    EXPECT_GT(home.manager().live_bytes(MemoryRole::block_frames), 0u);
    cursor.clear();
    EXPECT_FALSE(cursor.valid());
    EXPECT_EQ(home.manager().live_bytes(MemoryRole::block_frames), 0u);
    cursor.reset(run.files(), true);
    cursor.seek_to_first();
    ASSERT_TRUE(cursor.valid());
    EXPECT_EQ(cursor.user_key(), "a");
    cursor.clear();
  }
}

TEST(RunCursor, keys_and_values_stay_until_the_next_move_whatever_the_cache_does) {
  SstableHome home(0);
  Random random(9);
  const std::vector<VersionRow> rows =
      test::random_rows(&random, {.keys = 200, .value_size_max = 100, .prefix = "k"});
  const TestRun run(&home, rows, 2, {.block_size = 50});
  RunCursor cursor(&home.manager());
  RunCursor other(&home.manager());
  cursor.reset(run.files(), true);
  other.reset(run.files(), true);
  size_t at = 0;
  for (cursor.seek_to_first(); cursor.valid(); cursor.next(), ++at) {
    other.seek_to_last();
    other.seek_to_first();
    home.epochs().collect();
    ASSERT_EQ(test::row_at(cursor), rows[at]);
  }
  EXPECT_EQ(at, rows.size());
}

TEST(RunCursor, a_failed_read_ends_the_walk_with_an_error_not_with_the_end) {
  Random random(9);
  const std::vector<VersionRow> rows = test::random_rows(&random, {.keys = 60, .prefix = "k"});
  for (const bool backwards : {false, true}) {
    uint64_t failures = 0;
    for (uint64_t nth = 1;; ++nth) {
      SstableHome home;
      FailingFiles files(&home.files());
      home.use(&files);
      const TestRun run(&home, rows, 3, {.block_size = 300});
      RunCursor cursor(&home.manager());
      cursor.reset(run.files(), true);
      files.fail(FailingFiles::Kind::read, nth);
      size_t seen = 0;
      if (backwards) {
        for (cursor.seek_to_last(); cursor.valid(); cursor.prev()) ++seen;
      } else {
        for (cursor.seek_to_first(); cursor.valid(); cursor.next()) ++seen;
      }
      if (!files.met()) {
        EXPECT_EQ(seen, rows.size());
        break;
      }
      EXPECT_LT(seen, rows.size());
      EXPECT_EQ(cursor.status().code(), StatusCode::io_error);
      EXPECT_NE(cursor.status().message().find("run"), std::string_view::npos);
      // A new positioning starts afresh.
      cursor.seek_to_first();
      EXPECT_TRUE(cursor.valid() && cursor.status().ok());
      ++failures;
    }
    EXPECT_GT(failures, 10u);
  }
}

TEST(RunCursor, walk_without_filling_leaves_the_cache_as_it_is) {
  SstableHome home;
  Random random(9);
  const std::vector<VersionRow> rows = test::random_rows(&random, {.keys = 100, .prefix = "k"});
  const TestRun run(&home, rows, 1, {.block_size = 100});
  const uint64_t before = home.cache().bytes();
  Status status;
  EXPECT_EQ(test::all_rows(&home, run.files()[0], &status, /*fill_cache=*/false), rows);
  EXPECT_EQ(home.cache().bytes(), before);
  EXPECT_EQ(test::all_rows(&home, run.files()[0], &status, /*fill_cache=*/true), rows);
  EXPECT_GT(home.cache().bytes(), before);
}

}  // namespace
}  // namespace varve
