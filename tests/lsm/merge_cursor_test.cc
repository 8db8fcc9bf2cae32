#include "lsm/merge_cursor.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/lsm/cursor_model.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"

namespace varve::test {
namespace {

// Children that share out rows, and the merge over them.
struct Merge {
  explicit Merge(size_t children) : rows(children) {}
  void start() {
    for (const std::vector<VersionRow>& of_child : rows) {
      children.push_back(std::make_unique<ModelCursor>(&of_child));
      pointers.push_back(children.back().get());
    }
    cursor.reset(pointers);
  }
  std::vector<std::vector<VersionRow>> rows;
  std::vector<std::unique_ptr<ModelCursor>> children;
  std::vector<VersionCursor*> pointers;
  MergeCursor cursor;
};

VersionRow row(std::string key, uint64_t timestamp) {
  return {.key = std::move(key), .timestamp = {timestamp}, .value = std::to_string(timestamp)};
}

TEST(MergeCursorTest, no_children_and_empty_children) {
  Random random(1);
  MergeCursor cursor;
  cursor.reset({});
  expect_rows(&cursor, {}, &random);
  Merge merge(3);
  merge.start();
  expect_rows(&merge.cursor, {}, &random);
}

TEST(MergeCursorTest, any_split_of_rows_over_children_reads_as_one_vector) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(150); ++i) {
    const std::vector<VersionRow> rows =
        random_rows(&random, {.keys = random.below(40), .timestamp_spread = 20});
    Merge merge(1 + random.below(8));
    for (const VersionRow& r : rows) merge.rows[random.below(merge.rows.size())].push_back(r);
    merge.start();
    expect_rows(&merge.cursor, rows, &random);
    if (HasFatalFailure()) return;
  }
}

TEST(MergeCursorTest, source_names_the_child_that_yields) {
  Merge merge(3);
  merge.rows[0] = {row("b", 5)};
  merge.rows[1] = {row("a", 2), row("b", 4)};
  merge.rows[2] = {row("b", 1), row("c", 1)};
  merge.start();
  std::vector<size_t> sources;
  for (merge.cursor.seek_to_first(); merge.cursor.valid(); merge.cursor.next()) {
    sources.push_back(merge.cursor.source());
  }
  EXPECT_EQ(sources, (std::vector<size_t>{1, 0, 1, 2, 2}));
}

// As long as a child stays in front, the others are not touched.
TEST(MergeCursorTest, a_run_of_rows_from_one_child_moves_only_that_child) {
  Merge merge(3);
  for (int i = 0; i < 1000; ++i) merge.rows[1].push_back(row("m" + std::to_string(10000 + i), 1));
  merge.rows[0] = {row("z", 1)};
  merge.rows[2] = {row("y", 1)};
  merge.start();
  merge.cursor.seek_to_first();
  for (int i = 0; i < 999; ++i) merge.cursor.next();
  EXPECT_EQ(merge.children[0]->steps(), 1u);
  EXPECT_EQ(merge.children[2]->steps(), 1u);
  EXPECT_EQ(merge.children[1]->steps(), 1000u);
}

// An end by error is not an end: the merge would miss what the child did not yield.
TEST(MergeCursorTest, a_failing_child_ends_the_walk_with_its_error) {
  VARVE_SEEDED_TEST(random);
  const std::vector<VersionRow> rows = random_rows(&random, {.keys = 60, .timestamp_spread = 20});
  for (uint64_t i = 0; i < 100; ++i) {
    Merge merge(4);
    for (const VersionRow& r : rows) merge.rows[random.below(4)].push_back(r);
    merge.start();
    const size_t failing = random.below(4);
    const uint64_t after = 1 + random.below(merge.rows[failing].size());
    merge.children[failing]->fail_after(after);
    const bool forward = random.one_in(2);
    forward ? merge.cursor.seek_to_first() : merge.cursor.seek_to_last();
    size_t seen = 0;
    while (merge.cursor.valid()) {
      ASSERT_LT(seen, rows.size());
      ASSERT_EQ(merge.cursor.user_key(), rows[forward ? seen : rows.size() - 1 - seen].key);
      ++seen;
      forward ? merge.cursor.next() : merge.cursor.prev();
    }
    ASSERT_FAILS(merge.cursor.status(), io_error, "injected");
    ASSERT_LT(seen, rows.size());
    // A seek begins anew.
    expect_rows(&merge.cursor, rows, &random, 5);
    if (HasFatalFailure()) return;
  }
}

TEST(MergeCursorTest, reset_takes_other_children) {
  Merge first(2);
  first.rows[0] = {row("a", 1)};
  first.rows[1] = {row("b", 1)};
  first.start();
  first.cursor.seek_to_first();
  const std::vector<VersionRow> other{row("x", 9)};
  ModelCursor child(&other);
  VersionCursor* const children[] = {&child};
  first.cursor.reset(children);
  EXPECT_FALSE(first.cursor.valid());
  Random random(1);
  expect_rows(&first.cursor, other, &random);
}

}  // namespace
}  // namespace varve::test
