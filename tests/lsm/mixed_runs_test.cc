// Walks over runs whose keys lie mixed: a merge plays their steps ahead.

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "base/hash.h"
#include "lsm/merge_cursor.h"
#include "lsm/run_cursor.h"
#include "tests/lsm/test_run.h"
#include "tests/lsm/visible_cursor_fixture.h"
#include "tests/support/seeded_test.h"

namespace varve::test {
namespace {

using MixedRunsTest = VisibleCursorTest;

// Keys whose heads are all different, from one end of their range to the other; of which many are
// the same; all the same; and keys that do not fit into what is copied at once.
std::string mixed_key(uint64_t kind, uint64_t i, uint64_t count) {
  const uint64_t number = __builtin_bswap64(i * (UINT64_MAX / count));
  const std::string word(reinterpret_cast<const char*>(&number), sizeof number);
  switch (kind) {
    case 0:
      return word;
    case 1:
      return word.substr(0, 1) + "equal head" + word;
    case 2:
      return "equal head" + word;
    default:
      return word + std::string(40, 'x') + word;
  }
}

// Runs whose keys lie mixed, newest first; the first may be in memory. Steps are played ahead, and
// broken off by keys of several runs, tombstones, ends of blocks, bounds and turns.
TEST_F(MixedRunsTest, show_what_a_vector_says) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(80); ++i) {
    SstableHome home;
    const size_t count = 2 + random.below(9);
    const uint64_t keys = 1 + random.below(600);
    const uint64_t kind = random.below(4);
    const uint64_t several_one_in = random.one_in(3) ? 2 : 50;
    const uint64_t erased_one_in = random.one_in(2) ? 200 : 10;
    std::vector<std::vector<VersionRow>> of_run(count);
    std::vector<VersionRow> rows;
    const auto add = [&](size_t run, const std::string& key) {
      const bool erased = random.one_in(erased_one_in);
      const uint64_t age = 100 * (count - run);
      rows.push_back({.key = key,
                      .timestamp = {kBase + age + random.below(100)},
                      .kind = erased ? VersionKind::tombstone : VersionKind::value,
                      .value = erased ? "" : random_text(&random, random.below(150))});
      of_run[run].push_back(rows.back());
    };
    for (uint64_t k = 0; k < keys; ++k) {
      const std::string key = mixed_key(kind, k, keys);
      size_t run = random.below(count);
      add(run, key);
      while (random.one_in(several_one_in) && ++run < count) add(run, key);
    }
    std::sort(rows.begin(), rows.end(), row_before);

    const ModelCursor in_memory(&of_run[0]);
    std::deque<TestRun> runs;
    for (size_t run = random.below(2); run < count; ++run) {
      const SstableWriterOptions options{.block_size = uint32_t{64} << random.below(7)};
      runs.emplace_back(&home, of_run[run], 1 + random.below(2), options, run);
    }
    struct Merge {
      explicit Merge(const ModelCursor& model) : in_memory(model) {}
      std::deque<RunCursor> of_runs;
      ModelCursor in_memory;
      MergeCursor merged;
    };
    std::deque<Merge> merges;
    other_source_ = [&](const std::vector<VersionRow>&) {
      Merge& merge = merges.emplace_back(in_memory);
      std::vector<VersionCursor*> children;
      if (runs.size() < count) children.push_back(&merge.in_memory);
      for (const TestRun& run : runs) {
        merge.of_runs.emplace_back(&home.manager()).reset(run.files(), /*fill_cache=*/true);
        children.push_back(&merge.of_runs.back());
      }
      merge.merged.reset(children);
      return &merge.merged;
    };
    const Timestamp snapshot{random.one_in(2) ? UINT64_MAX : kBase + random.below(100 * count)};
    const std::string lower = random.one_in(2) ? rows[random.below(rows.size())].key : "";
    const std::string upper = random.one_in(2) ? rows[random.below(rows.size())].key : "";
    ASSERT_OK(cursor_.set_bounds(lower, upper));
    cursor_.reset(other_source_(rows), snapshot);
    const std::vector<VersionRow> expected = seen_by(rows, snapshot, lower, upper);
    expect_all(expected);
    replace_every_ = random.one_in(2) ? 4 : 0;
    expect_seeks(expected, &random, rows);
    cursor_.clear(0);
    if (HasFatalFailure()) return;
  }
}

TEST_F(MixedRunsTest, are_walked_by_plain_steps_mostly) {
  SstableHome home;
  constexpr uint64_t kKeys = 3000;
  std::vector<std::vector<VersionRow>> rows(5);
  for (uint64_t k = 0; k < kKeys; ++k) {
    rows[mix64(k) % rows.size()].push_back(
        {mixed_key(0, k, kKeys), {kBase}, VersionKind::value, std::string(100, 'v')});
  }
  std::deque<TestRun> runs;
  std::deque<RunCursor> of_runs;
  std::vector<VersionCursor*> children;
  for (size_t run = 0; run < rows.size(); ++run) {
    runs.emplace_back(&home, rows[run], 1, SstableWriterOptions{}, run);
    of_runs.emplace_back(&home.manager()).reset(runs.back().files(), /*fill_cache=*/true);
    children.push_back(&of_runs.back());
  }
  MergeCursor merged;
  merged.reset(children);
  cursor_.reset(&merged, kTimestampMax);
  uint64_t shown = 0;
  uint64_t plain = 0;
  for (cursor_.seek_to_first(); cursor_.valid(); ++shown) {
    cursor_.next_plain() ? void(++plain) : cursor_.next();
  }
  EXPECT_EQ(shown, kKeys);
  EXPECT_GT(plain, kKeys * 9 / 10);
  shown = plain = 0;
  for (cursor_.seek_to_last(); cursor_.valid(); ++shown) {
    cursor_.prev_plain() ? void(++plain) : cursor_.prev();
  }
  EXPECT_EQ(shown, kKeys);
  EXPECT_GT(plain, kKeys * 9 / 10);
  cursor_.clear(0);
}

}  // namespace
}  // namespace varve::test
