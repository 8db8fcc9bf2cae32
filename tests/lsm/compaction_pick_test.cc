#include "lsm/compaction_pick.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "tests/support/seeded_test.h"

namespace varve::test {
namespace {

std::vector<RunShape> runs_of(const std::vector<uint64_t>& bytes) {
  std::vector<RunShape> runs;
  for (const uint64_t b : bytes) {
    runs.push_back({.raw_bytes = b, .versions = b / 100, .tombstones = 0, .user_keys = b / 100});
  }
  return runs;
}

TEST(CompactionPickTest, nothing_to_merge_in_fewer_than_two_runs) {
  EXPECT_FALSE(pick_compaction({}, {}, /*manual=*/true).has_value());
  EXPECT_FALSE(pick_compaction(runs_of({100}), {}, /*manual=*/true).has_value());
}

TEST(CompactionPickTest, single_run_with_old_versions_is_rewritten_when_asked_for) {
  std::vector<RunShape> runs = runs_of({1000});
  runs[0] = {.raw_bytes = 1000, .versions = 10, .tombstones = 0, .user_keys = 9};
  ASSERT_TRUE(pick_compaction(runs, {}, /*manual=*/true).has_value());
  EXPECT_TRUE(pick_compaction(runs, {}, /*manual=*/true)->bottom);
  EXPECT_FALSE(pick_compaction(runs, {}, /*manual=*/false).has_value());
  runs[0] = {.raw_bytes = 1000, .versions = 10, .tombstones = 1, .user_keys = 10};
  EXPECT_TRUE(pick_compaction(runs, {}, /*manual=*/true).has_value());
}

TEST(CompactionPickTest, manual_takes_all_of_them) {
  const std::optional<CompactionChoice> choice =
      pick_compaction(runs_of({1, 2, 3}), {}, /*manual=*/true);
  ASSERT_TRUE(choice.has_value());
  EXPECT_EQ(choice->first, 0u);
  EXPECT_EQ(choice->last, 2u);
  EXPECT_TRUE(choice->bottom);
}

TEST(CompactionPickTest, as_many_runs_as_allowed_are_left_alone) {
  const CompactionLimits limits{.runs_max = 4};
  EXPECT_FALSE(pick_compaction(runs_of({1, 1, 1, 1}), limits, false).has_value());
  EXPECT_TRUE(pick_compaction(runs_of({1, 1, 1, 1, 1}), limits, false).has_value());
}

TEST(CompactionPickTest, small_new_runs_are_merged_and_the_large_old_one_is_not) {
  const std::optional<CompactionChoice> choice =
      pick_compaction(runs_of({10, 10, 10, 10, 1000, 100000}), {.runs_max = 5}, false);
  ASSERT_TRUE(choice.has_value());
  EXPECT_EQ(choice->first, 0u);
  EXPECT_EQ(choice->last, 3u);
  EXPECT_FALSE(choice->bottom);
}

TEST(CompactionPickTest, many_tombstones_above_the_bottom_merge_everything) {
  std::vector<RunShape> runs = runs_of({1000, 1000, 1000});
  runs[0] = {.raw_bytes = 1000, .versions = 10000, .tombstones = 9000};
  runs[2].versions = 10000;
  std::optional<CompactionChoice> choice = pick_compaction(runs, {}, false);
  ASSERT_TRUE(choice.has_value());
  EXPECT_TRUE(choice->bottom);
  EXPECT_EQ(choice->last, 2u);
  // Those at the bottom are there for a snapshot: merging again frees nothing.
  std::swap(runs[0], runs[2]);
  EXPECT_FALSE(pick_compaction(runs, {}, false).has_value());
  // A few are not worth a rewrite.
  std::swap(runs[0], runs[2]);
  runs[0].tombstones = 100;
  EXPECT_FALSE(pick_compaction(runs, {}, false).has_value());
}

TEST(CompactionPickTest, any_choice_is_of_neighbours_within_limits_and_says_if_it_is_the_bottom) {
  VARVE_SEEDED_TEST(random);
  for (int i = 0; i < 20'000; ++i) {
    const CompactionLimits limits{.runs_max = 1 + random.below(10),
                                  .tombstones_min = random.below(1000)};
    std::vector<RunShape> runs(random.below(30));
    for (RunShape& run : runs) {
      run.raw_bytes = random.next() >> (20 + random.below(44));
      run.versions = random.below(5000);
      run.tombstones = random.one_in(2) ? 0 : random.below(run.versions + 1);
    }
    const std::optional<CompactionChoice> choice = pick_compaction(runs, limits, false);
    if (!choice) {
      ASSERT_TRUE(runs.size() < 2 || runs.size() <= limits.runs_max);
      continue;
    }
    ASSERT_LT(choice->first, choice->last) << "it saves a run";
    ASSERT_LT(choice->last, runs.size());
    ASSERT_EQ(choice->bottom, choice->last + 1 == runs.size());
    ASSERT_EQ(choice->first, 0u) << "the newest take part: they are the cheapest";
    ASSERT_TRUE(choice->bottom || runs.size() > limits.runs_max);
  }
}

// However runs arrive, merging them as told bounds both their number and the bytes rewritten.
TEST(CompactionPickTest, merging_as_told_bounds_runs_and_rewriting) {
  VARVE_SEEDED_TEST(random);
  const CompactionLimits limits;
  for (const bool even : {true, false}) {
    std::vector<RunShape> runs;
    uint64_t flushed = 0;
    uint64_t merged = 0;
    for (int i = 0; i < 2000; ++i) {
      const uint64_t bytes = even ? 1000 : 1 + random.below(2000);
      flushed += bytes;
      runs.insert(runs.begin(), {.raw_bytes = bytes, .versions = bytes / 10, .tombstones = 0});
      while (const std::optional<CompactionChoice> choice = pick_compaction(runs, limits, false)) {
        RunShape sum;
        for (size_t r = choice->first; r <= choice->last; ++r) {
          sum.raw_bytes += runs[r].raw_bytes;
          sum.versions += runs[r].versions;
        }
        merged += sum.raw_bytes;
        runs.erase(runs.begin() + static_cast<ptrdiff_t>(choice->first),
                   runs.begin() + static_cast<ptrdiff_t>(choice->last) + 1);
        runs.insert(runs.begin() + static_cast<ptrdiff_t>(choice->first), sum);
      }
      ASSERT_LE(runs.size(), limits.runs_max);
    }
    // 2000 flushes in 7 runs: the best schedule rewrites each byte about 6 times (C(13, 7) = 1716),
    // merging all of them each time would do so 1000 times.
    EXPECT_LT(merged / flushed, 12u);
  }
}

}  // namespace
}  // namespace varve::test
