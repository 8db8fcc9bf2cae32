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
  EXPECT_FALSE(pick_compaction({}, {}, {}, /*manual=*/true).has_value());
  EXPECT_FALSE(pick_compaction(runs_of({100}), {}, {}, /*manual=*/true).has_value());
}

TEST(CompactionPickTest, single_run_with_old_versions_is_rewritten_when_asked_for) {
  std::vector<RunShape> runs = runs_of({1000});
  runs[0] = {.raw_bytes = 1000, .versions = 10, .tombstones = 0, .user_keys = 9};
  ASSERT_TRUE(pick_compaction(runs, {}, {}, /*manual=*/true).has_value());
  EXPECT_TRUE(pick_compaction(runs, {}, {}, /*manual=*/true)->bottom);
  EXPECT_FALSE(pick_compaction(runs, {}, {}, /*manual=*/false).has_value());
  runs[0] = {.raw_bytes = 1000, .versions = 10, .tombstones = 1, .user_keys = 10};
  EXPECT_TRUE(pick_compaction(runs, {}, {}, /*manual=*/true).has_value());
}

TEST(CompactionPickTest, manual_takes_all_of_them) {
  const std::optional<CompactionChoice> choice =
      pick_compaction(runs_of({1, 2, 3}), {}, {}, /*manual=*/true);
  ASSERT_TRUE(choice.has_value());
  EXPECT_EQ(choice->first, 0u);
  EXPECT_EQ(choice->last, 2u);
  EXPECT_TRUE(choice->bottom);
}

TEST(CompactionPickTest, as_many_runs_as_allowed_are_left_alone) {
  const CompactionLimits limits{.runs_max = 4};
  EXPECT_FALSE(pick_compaction(runs_of({1, 1, 1, 1}), {}, limits, false).has_value());
  EXPECT_TRUE(pick_compaction(runs_of({1, 1, 1, 1, 1}), {}, limits, false).has_value());
}

TEST(CompactionPickTest, small_new_runs_are_merged_and_the_large_old_one_is_not) {
  const std::optional<CompactionChoice> choice =
      pick_compaction(runs_of({10, 10, 10, 10, 1000, 100000}), {}, {.runs_max = 5}, false);
  ASSERT_TRUE(choice.has_value());
  EXPECT_EQ(choice->first, 0u);
  EXPECT_EQ(choice->last, 3u);
  EXPECT_FALSE(choice->bottom);
}

TEST(CompactionPickTest, many_tombstones_above_the_bottom_merge_everything) {
  std::vector<RunShape> runs = runs_of({1000, 1000, 1000});
  runs[0] = {.raw_bytes = 1000, .versions = 10000, .tombstones = 9000};
  runs[2].versions = 10000;
  std::optional<CompactionChoice> choice = pick_compaction(runs, {}, {}, false);
  ASSERT_TRUE(choice.has_value());
  EXPECT_TRUE(choice->bottom);
  EXPECT_EQ(choice->last, 2u);
  // Those at the bottom are there for a snapshot: merging again frees nothing.
  std::swap(runs[0], runs[2]);
  EXPECT_FALSE(pick_compaction(runs, {}, {}, false).has_value());
  // A few are not worth a rewrite.
  std::swap(runs[0], runs[2]);
  runs[0].tombstones = 100;
  EXPECT_FALSE(pick_compaction(runs, {}, {}, false).has_value());
}

TEST(CompactionPickTest, stale_values_merge_everything_once_it_is_worth_it) {
  const std::vector<RunShape> runs = runs_of({1000});
  const CompactionLimits limits{.stale_bytes_min = 5000};
  const auto is_picked = [&](uint64_t bytes, uint64_t needed, bool manual) {
    const auto choice =
        pick_compaction(runs, {.bytes = bytes, .needed_bytes = needed}, limits, manual);
    EXPECT_TRUE(!choice || choice->bottom);
    return choice.has_value();
  };
  EXPECT_TRUE(is_picked(15'000, 9'000, false));
  EXPECT_FALSE(is_picked(15'000, 10'000, false)) << "a third is";
  EXPECT_TRUE(is_picked(15'000, 10'000, true));
  EXPECT_FALSE(is_picked(15'000, 14'000, true)) << "a fifteenth is";
  EXPECT_FALSE(is_picked(10'000, 5'001, false)) << "too few";
  EXPECT_TRUE(is_picked(10'000, 5'001, true));
  EXPECT_FALSE(is_picked(10'000, 20'000, true)) << "several point to each";
  const std::vector<RunShape> large = runs_of({100'000, 100'000});
  EXPECT_FALSE(pick_compaction(large, {.bytes = 150'000, .needed_bytes = 10}, limits, false));
  EXPECT_TRUE(pick_compaction(large, {.bytes = 250'000, .needed_bytes = 10}, limits, false));
}

// Emptying those that it says, again and again, ends; and what is written for it is bounded.
TEST(CompactionPickTest, emptying_value_files_ends_and_is_bounded) {
  VARVE_SEEDED_TEST(random);
  for (int i = 0; i < 2000; ++i) {
    const bool manual = random.one_in(2);
    std::vector<std::pair<uint64_t, uint64_t>> files(1 + random.below(20));
    for (auto& [bytes, needed] : files) {
      bytes = 1 + random.below(1 << 20);
      needed = random.one_in(3) ? bytes : random.below(bytes + 1);
    }
    const auto sum = [&files] {
      ValueShape all;
      for (const auto& [bytes, needed] : files) {
        all.bytes += bytes;
        all.needed_bytes += needed;
      }
      return all;
    };
    for (ValueShape all = sum(); all.much_is_stale(manual); all = sum()) {
      uint64_t written = 0;
      uint64_t freed = 0;
      std::erase_if(files, [&](const auto& file) {
        if (!is_to_be_emptied(file.first, file.second, all, manual)) return false;
        written += file.second;
        freed += file.first - file.second;
        return true;
      });
      ASSERT_GT(freed, 0u);
      ASSERT_LE(written, freed * (manual ? 7 : 2) + 8);
      files.emplace_back(written, written);
    }
  }
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
    const std::optional<CompactionChoice> choice = pick_compaction(runs, {}, limits, false);
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
      while (const std::optional<CompactionChoice> choice =
                 pick_compaction(runs, {}, limits, false)) {
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
