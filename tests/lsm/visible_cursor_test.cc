#include "lsm/visible_cursor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lsm/merge_cursor.h"
#include "lsm/run_cursor.h"
#include "tests/lsm/test_run.h"
#include "tests/lsm/visible_cursor_fixture.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"

namespace varve::test {
namespace {

TEST_F(VisibleCursorTest, random_versions_snapshots_and_bounds_against_a_vector) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(200); ++i) {
    const std::vector<VersionRow> rows =
        random_rows(&random, {.keys = random.below(40),
                              .versions_max = random.one_in(3) ? 40u : 4u,
                              .timestamp_base = kBase,
                              .timestamp_spread = 100,
                              .tombstone_one_in = 1 + random.below(6)});
    const Timestamp snapshot{random.one_in(4) ? UINT64_MAX : kBase + random.below(110)};
    const auto bound = [&] {
      return rows.empty() || random.one_in(2) ? random_key(&random, "")
                                              : rows[random.below(rows.size())].key;
    };
    const std::string lower = random.one_in(2) ? bound() : "";
    const std::string upper = random.one_in(2) ? bound() : "";
    ModelCursor source(&rows);
    ASSERT_OK(cursor_.set_bounds(lower, upper));
    cursor_.reset(&source, snapshot);
    EXPECT_FALSE(cursor_.valid());
    const std::vector<VersionRow> expected = seen_by(rows, snapshot, lower, upper);
    expect_all(expected);
    replace_every_ = random.one_in(2) ? 4 : 0;
    expect_seeks(expected, &random, rows);
    if (HasFatalFailure()) return;
  }
}

// Runs of sstables, merged, of which most blocks have one version a key and no tombstone: there it
// steps without a look at each version.
class Runs {
 public:
  // Versions of `rows` above each of the `cuts`, which descend, in a run; and the rest.
  Runs(SstableHome* home, const std::vector<VersionRow>& rows, const std::vector<Timestamp>& cuts,
       Random* random) {
    Timestamp above = kTimestampMax;
    for (size_t i = 0; i <= cuts.size(); ++i) {
      const Timestamp cut = i < cuts.size() ? cuts[i] : kTimestampMin;
      std::vector<VersionRow> some;
      std::copy_if(rows.begin(), rows.end(), std::back_inserter(some), [&](const VersionRow& row) {
        return row.timestamp > cut && row.timestamp <= above;
      });
      above = cut;
      if (some.empty()) continue;
      runs_.push_back(std::make_unique<TestRun>(
          home, some, 1 + random->below(3),
          SstableWriterOptions{.block_size = static_cast<uint32_t>(200 + random->below(2000))}, i));
    }
  }
  // Over all of them, anew. That of before stays as it is.
  VersionCursor* make_cursor(SstableHome* home) {
    std::vector<VersionCursor*> children;
    for (const std::unique_ptr<TestRun>& run : runs_) {
      cursors_.push_back(std::make_unique<RunCursor>(&home->manager()));
      cursors_.back()->reset(run->files(), /*fill_cache=*/true);
      children.push_back(cursors_.back().get());
    }
    if (children.size() == 1) return children.front();
    merges_.emplace_back().reset(children);
    return &merges_.back();
  }

 private:
  std::vector<std::unique_ptr<TestRun>> runs_;
  std::vector<std::unique_ptr<RunCursor>> cursors_;
  std::deque<MergeCursor> merges_;
};

TEST_F(VisibleCursorTest, over_runs_with_one_version_of_most_keys) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(60); ++i) {
    SstableHome home;
    // Long stretches of one age beside a few newer versions, and tombstones.
    std::vector<VersionRow> rows =
        random_rows(&random, {.keys = 400,
                              .versions_max = 1,
                              .timestamp_base = kBase,
                              .timestamp_spread = 2,
                              .tombstone_one_in = random.one_in(2) ? 0u : 100u});
    for (const VersionRow& row : random_rows(&random, {.keys = random.below(20),
                                                      .versions_max = 3,
                                                      .timestamp_base = kBase + 10,
                                                      .timestamp_spread = 10,
                                                      .tombstone_one_in = 4})) {
      rows.push_back(row);
      if (random.one_in(2)) rows.back().key = rows[random.below(rows.size())].key;
    }
    std::sort(rows.begin(), rows.end(), row_before);
    const auto same = [](const VersionRow& a, const VersionRow& b) {
      return a.version_key().user_key == b.version_key().user_key && a.timestamp == b.timestamp;
    };
    rows.erase(std::unique(rows.begin(), rows.end(), same), rows.end());
    const std::vector<Timestamp> cuts[] = {{}, {{kBase + 9}}, {{kBase + 14}, {kBase + 9}, {kBase}}};
    Runs runs(&home, rows, cuts[random.below(3)], &random);
    const Timestamp snapshot{random.one_in(3) ? UINT64_MAX : kBase + random.below(22)};
    const std::string lower = random.one_in(2) ? rows[random.below(rows.size())].key : "";
    const std::string upper = random.one_in(2) ? rows[random.below(rows.size())].key : "";
    ASSERT_OK(cursor_.set_bounds(lower, upper));
    cursor_.reset(runs.make_cursor(&home), snapshot);
    const std::vector<VersionRow> expected = seen_by(rows, snapshot, lower, upper);
    expect_all(expected);
    replace_every_ = random.one_in(2) ? 4 : 0;
    other_source_ = [&](const std::vector<VersionRow>&) { return runs.make_cursor(&home); };
    expect_seeks(expected, &random, rows);
    cursor_.clear(0);
    if (HasFatalFailure()) return;
  }
}

TEST_F(VisibleCursorTest, takes_plain_steps_where_a_block_allows_it_and_nowhere_else) {
  SstableHome home;
  std::vector<VersionRow> rows;
  for (int i = 100; i < 200; ++i) {
    rows.push_back(
        {"k" + std::to_string(i), {kBase + (i == 150 ? 1u : 0u)}, VersionKind::value, "v"});
  }
  const TestRun run(&home, rows, 1, {});
  RunCursor source(&home.manager());
  source.reset(run.files(), /*fill_cache=*/true);
  const auto plain_steps = [&](Timestamp snapshot, std::string_view upper) {
    EXPECT_OK(cursor_.set_bounds({}, upper));
    cursor_.reset(&source, snapshot);
    EXPECT_FALSE(cursor_.next_plain()) << "it stands nowhere";
    cursor_.seek("k110");
    int steps = 0;
    while (cursor_.next_plain()) ++steps;
    EXPECT_EQ(cursor_.key(), "k" + std::to_string(110 + steps));
    return steps;
  };
  EXPECT_EQ(plain_steps({kBase + 1}, {}), 89);
  EXPECT_EQ(plain_steps(kTimestampMax, "k120"), 9);
  EXPECT_EQ(plain_steps(kTimestampMax, "k1195"), 9);
  EXPECT_EQ(plain_steps(kTimestampMax, "k999"), 89);
  EXPECT_EQ(plain_steps({kBase}, {}), 0) << "a version of the block is newer";
  cursor_.seek_for_prev("k150");
  EXPECT_FALSE(cursor_.next_plain()) << "it came from behind";
  const auto plain_steps_back = [&](Timestamp snapshot, std::string_view lower) {
    EXPECT_OK(cursor_.set_bounds(lower, {}));
    cursor_.reset(&source, snapshot);
    EXPECT_FALSE(cursor_.prev_plain()) << "it stands nowhere";
    cursor_.seek_for_prev("k1801");
    EXPECT_EQ(cursor_.key(), "k180");
    int steps = 0;
    while (cursor_.prev_plain()) ++steps;
    EXPECT_EQ(cursor_.key(), "k" + std::to_string(180 - steps));
    EXPECT_EQ(cursor_.timestamp(), rows[static_cast<size_t>(80 - steps)].timestamp);
    return steps;
  };
  EXPECT_EQ(plain_steps_back({kBase + 1}, {}), 80);
  EXPECT_EQ(plain_steps_back(kTimestampMax, "k120"), 60);
  EXPECT_EQ(plain_steps_back(kTimestampMax, "k1195"), 60);
  EXPECT_EQ(plain_steps_back(kTimestampMax, "k0"), 80);
  EXPECT_EQ(plain_steps_back({kBase}, {}), 0) << "a version of the block is newer";
  EXPECT_OK(cursor_.set_bounds({}, {}));
  cursor_.reset(&source, kTimestampMax);
  cursor_.seek("k130");
  EXPECT_FALSE(cursor_.prev_plain()) << "it came from before";
  cursor_.prev();
  cursor_.prev();
  EXPECT_EQ(cursor_.key(), "k128");
  cursor_.next();
  EXPECT_EQ(cursor_.key(), "k129") << "it turned among plain steps";
  cursor_.prev();
  EXPECT_EQ(cursor_.key(), "k128");

  rows[50].kind = VersionKind::tombstone;
  const TestRun erased(&home, rows, 1, {}, 8);
  source.reset(erased.files(), /*fill_cache=*/true);
  EXPECT_EQ(plain_steps(kTimestampMax, {}), 0) << "a version of the block is a tombstone";
  EXPECT_EQ(plain_steps_back(kTimestampMax, {}), 0);
  cursor_.clear(0);
}

TEST_F(VisibleCursorTest, merged_it_takes_plain_steps_up_to_the_next_version_of_another_source) {
  SstableHome home;
  std::vector<VersionRow> rows;
  for (int i = 100; i < 200; ++i) {
    rows.push_back({"k" + std::to_string(i), {kBase}, VersionKind::value, "v"});
  }
  const TestRun old_run(&home, rows, 1, {}, 1);
  const TestRun new_run(&home, {{"k150", {kBase + 1}, VersionKind::tombstone, {}}}, 1, {}, 2);
  RunCursor of_new(&home.manager());
  RunCursor of_old(&home.manager());
  of_new.reset(new_run.files(), /*fill_cache=*/true);
  of_old.reset(old_run.files(), /*fill_cache=*/true);
  VersionCursor* const children[] = {&of_new, &of_old};
  MergeCursor merged;
  merged.reset(children);
  cursor_.reset(&merged, kTimestampMax);
  int plain = 0;
  int steps = 0;
  for (cursor_.seek_to_first(); cursor_.valid(); ++steps) {
    EXPECT_NE(cursor_.key(), "k150");
    if (cursor_.next_plain()) {
      ++plain;
    } else {
      cursor_.next();
    }
  }
  EXPECT_EQ(steps, 99);
  // It asks how far it may go once a source has come first some times.
  EXPECT_GT(plain, 70);
  EXPECT_LT(plain, 99);
  plain = steps = 0;
  for (cursor_.seek_to_last(); cursor_.valid(); ++steps) {
    EXPECT_NE(cursor_.key(), "k150");
    if (cursor_.prev_plain()) {
      ++plain;
    } else {
      cursor_.prev();
    }
  }
  EXPECT_EQ(steps, 99);
  EXPECT_GT(plain, 70);
  EXPECT_LT(plain, 99);
  cursor_.clear(0);
}

// Steps of the source for one step of the cursor, with very many versions that are not to be shown.
TEST_F(VisibleCursorTest, leaps_over_versions_that_a_snapshot_does_not_see) {
  constexpr uint64_t kVersions = 100'000;
  std::vector<VersionRow> rows{{.key = "a", .timestamp = {1}, .value = "1"}};
  for (uint64_t i = kVersions; i > 0; --i) {
    rows.push_back({.key = "hot", .timestamp = {i}, .value = std::to_string(i)});
  }
  rows.push_back({.key = "z", .timestamp = {1}, .value = "1"});
  for (const uint64_t snapshot : {uint64_t{1}, kVersions / 2, kVersions}) {
    ModelCursor source(&rows);
    ASSERT_OK(cursor_.set_bounds("", ""));
    cursor_.reset(&source, {snapshot});
    const std::vector<VersionRow> expected = seen_by(rows, {snapshot});
    ASSERT_EQ(expected.size(), 3u);
    EXPECT_EQ(expected[1].value, std::to_string(snapshot));
    for (int i = 0; i < 100; ++i) {
      expect_all(expected);
      cursor_.seek("hot");
      ASSERT_TRUE(stands_on(expected, 1));
      cursor_.next();
      cursor_.prev();
      ASSERT_TRUE(stands_on(expected, 1));
      cursor_.seek_for_prev("hot");
      ASSERT_TRUE(stands_on(expected, 1));
    }
    EXPECT_LT(source.steps(), 100u * 150) << "of " << kVersions << " versions each";
  }
}

TEST_F(VisibleCursorTest, long_stretches_of_tombstones_end_without_a_row) {
  std::vector<VersionRow> rows;
  for (int i = 0; i < 5000; ++i) {
    rows.push_back({.key = std::to_string(10000 + i),
                    .timestamp = {5},
                    .kind = VersionKind::tombstone,
                    .value = {}});
    rows.push_back({.key = std::to_string(10000 + i), .timestamp = {1}, .value = "old"});
  }
  ModelCursor source(&rows);
  ASSERT_OK(cursor_.set_bounds("", ""));
  cursor_.reset(&source, kTimestampMax);
  expect_all({});
  ASSERT_OK(cursor_.set_bounds("", ""));
  cursor_.reset(&source, {1});
  expect_all(seen_by(rows, {1}));
}

TEST_F(VisibleCursorTest, errors_of_the_source_end_the_walk) {
  VARVE_SEEDED_TEST(random);
  const std::vector<VersionRow> rows = random_rows(
      &random, {.keys = 40, .versions_max = 30, .timestamp_base = kBase, .timestamp_spread = 100});
  for (int i = 0; i < 300; ++i) {
    const Timestamp snapshot{kBase + random.below(110)};
    const std::vector<VersionRow> expected = seen_by(rows, snapshot);
    ModelCursor source(&rows);
    ASSERT_OK(cursor_.set_bounds("", ""));
    cursor_.reset(&source, snapshot);
    source.fail_after(1 + random.below(60));
    const bool forward = random.one_in(2);
    forward ? cursor_.seek_to_first() : cursor_.seek_to_last();
    ptrdiff_t at = forward ? 0 : std::ssize(expected) - 1;
    while (cursor_.valid()) {
      ASSERT_LT(static_cast<size_t>(at), expected.size());
      const VersionRow& row = expected[static_cast<size_t>(at)];
      ASSERT_EQ(cursor_.key(), row.key);
      ASSERT_EQ(cursor_.value(), row.value);
      at += forward ? 1 : -1;
      forward ? cursor_.next() : cursor_.prev();
    }
    if (cursor_.status().ok()) {  // it got through before the failure
      ASSERT_EQ(at, forward ? std::ssize(expected) : -1);
    } else {
      ASSERT_FAILS(cursor_.status(), io_error, "injected");
    }
  }
}

// Whatever it passes without showing it, at most the step that was under way and one leap with a
// seek on either side of it are still made.
TEST_F(VisibleCursorTest, cancelled_it_stops_at_the_next_version_both_ways) {
  std::vector<VersionRow> tombstones;
  std::vector<VersionRow> unseen;  // all newer than the snapshot
  std::vector<VersionRow> old;     // of one key, but for a neighbour on each side
  old.push_back({.key = "a", .timestamp = {1}, .kind = VersionKind::tombstone, .value = {}});
  for (int i = 0; i < 10'000; ++i) {
    const std::string key = std::to_string(10'000 + i);
    tombstones.push_back(
        {.key = key, .timestamp = {5}, .kind = VersionKind::tombstone, .value = {}});
    unseen.push_back({.key = key, .timestamp = {500}, .value = "v"});
  }
  for (int i = 0; i < 10'000; ++i) {
    old.push_back({.key = "k" + std::to_string(10'000 + i / 4),
                   .timestamp = {static_cast<uint64_t>(10 - i % 4)},
                   .kind = VersionKind::tombstone,
                   .value = {}});
  }
  for (const std::vector<VersionRow>* rows : {&tombstones, &unseen, &old}) {
    for (const bool forward : {true, false}) {
      for (const uint64_t after : {1, 2, 3, 100, 4999}) {
        Atomic<bool> flag{false};
        ModelCursor source(rows);
        ASSERT_OK(cursor_.set_bounds("", ""));
        cursor_.reset(&source, {100}, &flag);
        source.set_after(after, &flag);
        forward ? cursor_.seek_to_first() : cursor_.seek_to_last();
        EXPECT_FALSE(cursor_.valid());
        EXPECT_FAILS(cursor_.status(), cancelled, "caller");
        EXPECT_LE(source.steps(), after + 12) << "a key's versions, going back";
        EXPECT_TRUE(cursor_.is_cancelled());
        flag.store(false);
        forward ? cursor_.seek_to_first() : cursor_.seek_to_last();
        EXPECT_OK(cursor_.status()) << "a plain end";
        EXPECT_GT(source.steps(), 5000u);
      }
    }
  }
}

TEST_F(VisibleCursorTest, cancelled_it_shows_no_further_row_and_goes_on_when_sought_again) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(200); ++i) {
    const std::vector<VersionRow> rows =
        random_rows(&random, {.keys = 1 + random.below(40),
                              .versions_max = random.one_in(3) ? 40u : 4u,
                              .timestamp_base = kBase,
                              .timestamp_spread = 100,
                              .tombstone_one_in = 1 + random.below(6)});
    const Timestamp snapshot{kBase + random.below(110)};
    const std::vector<VersionRow> expected = seen_by(rows, snapshot);
    Atomic<bool> flag{false};
    ModelCursor source(&rows);
    ASSERT_OK(cursor_.set_bounds("", ""));
    cursor_.reset(&source, snapshot, &flag);
    const bool forward = random.one_in(2);
    forward ? cursor_.seek_to_first() : cursor_.seek_to_last();
    ptrdiff_t at = forward ? 0 : std::ssize(expected) - 1;
    for (uint64_t steps = random.below(20); steps > 0 && cursor_.valid(); --steps) {
      ASSERT_TRUE(stands_on(expected, at));
      at += forward ? 1 : -1;
      forward ? cursor_.next() : cursor_.prev();
    }
    if (!cursor_.valid()) continue;
    ASSERT_TRUE(stands_on(expected, at));
    const std::string here(cursor_.key());
    flag.store(true);
    ASSERT_EQ(cursor_.key(), here) << "what it shows, it shows";
    forward ? cursor_.next() : cursor_.prev();
    ASSERT_FALSE(cursor_.valid());
    if (cursor_.status().ok()) {  // nothing at all came behind it
      ASSERT_EQ(at, forward ? std::ssize(expected) - 1 : 0);
    } else {
      ASSERT_FAILS(cursor_.status(), cancelled, "caller");
    }
    cursor_.seek(here);
    ASSERT_FAILS(cursor_.status(), cancelled, "caller");
    flag.store(false);
    cursor_.seek(here);
    ASSERT_TRUE(stands_on(expected, at));
    expect_all(expected);
    cursor_.reset(&source, snapshot);
    flag.store(true);
    expect_all(expected);
  }
}

#if defined(VARVE_DEBUG)
TEST_F(VisibleCursorTest, says_so_when_memory_is_refused) {
  const std::vector<VersionRow> rows{
      {.key = "a", .timestamp = {1}, .value = "1"},
      {.key = std::string(5000, 'b'), .timestamp = {1}, .value = ""}};
  ModelCursor source(&rows);
  manager_.fail_allocation_after(1);
  EXPECT_FAILS(cursor_.set_bounds("lower", ""), out_of_memory, "bounds");
  ASSERT_OK(cursor_.set_bounds("", ""));
  cursor_.reset(&source, {1});
  cursor_.seek_to_first();
  ASSERT_TRUE(cursor_.valid());
  manager_.fail_allocation_after(1);
  cursor_.next();
  EXPECT_FALSE(cursor_.valid());
  EXPECT_FAILS(cursor_.status(), out_of_memory, "key");
  // Seeking again begins anew; it once ended every later walk with this error.
  expect_all(rows);
  ASSERT_OK(cursor_.set_bounds("", ""));
  cursor_.reset(&source, {1});
  expect_all(rows);
}
#endif

}  // namespace
}  // namespace varve::test
