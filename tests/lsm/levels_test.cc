#include "lsm/levels.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "tests/lsm/sstable_fixture.h"
#include "tests/support/status_check.h"

namespace varve::test {
namespace {

class LevelsTest : public testing::Test {
 protected:
  ~LevelsTest() override {
    home_.settle();
    home_.destroy_cache();
    EXPECT_EQ(home_.manager().live_bytes(), 0u);
  }

  // With one reference, for the levels that it goes into.
  Sstable* file(uint64_t number, const std::string& smallest, const std::string& largest,
                uint64_t timestamp = 5, bool undated = false) {
    std::vector<VersionRow> rows{{.key = smallest, .timestamp = {timestamp}, .value = "v"}};
    if (largest != smallest) {
      rows.push_back({.key = largest,
                      .timestamp = {undated ? timestamp : timestamp + 1},
                      .kind = VersionKind::tombstone,
                      .value = ""});
    }
    const std::string path = sstable_name({number});
    home_.write(path, rows, {.undated = undated}, FileId{number, number});
    Result<Sstable*> opened = home_.try_open(path);
    EXPECT_OK(opened);
    SstableInfo info = (*opened)->info();
    (*opened)->unref();
    info.number = {number};
    opened = Sstable::open(&home_.files(), path, &home_.cache(), nullptr, info);
    EXPECT_OK(opened);
    return *opened;
  }
  // Whose versions were committed at `timestamp`.
  Sstable* undated(uint64_t number, uint64_t timestamp) {
    Sstable* made = file(number, "a", "b", 0, /*undated=*/true);
    made->date({timestamp});
    return made;
  }
  static varve::Run run(uint64_t id, std::vector<Sstable*> files) {
    varve::Run run;
    run.id = {id};
    run.files = std::move(files);
    return run;
  }
  static uint64_t number_of(const Sstable* file) {
    return file == nullptr ? 0 : file->info().number.value;
  }

  SstableHome home_;
};

TEST_F(LevelsTest, no_runs) {
  Levels* levels = Levels::create({});
  EXPECT_OK(check_levels(*levels));
  EXPECT_EQ(levels->bytes(), 0u);
  EXPECT_TRUE(levels->runs().empty());
  levels->unref();
}

TEST_F(LevelsTest, runs_sum_up_their_files) {
  std::vector<varve::Run> runs;
  runs.push_back(run(2, {file(1, "a", "c"), file(2, "d", "d", 50)}));
  Levels* levels = Levels::create(std::move(runs));
  ASSERT_OK(check_levels(*levels));
  const varve::Run& only = levels->runs()[0];
  EXPECT_EQ(only.versions, 3u);
  EXPECT_EQ(only.tombstones, 1u);
  EXPECT_EQ(only.timestamp_max, Timestamp{50});
  EXPECT_EQ(only.bytes, only.files[0]->info().file_size + only.files[1]->info().file_size);
  EXPECT_EQ(levels->bytes(), only.bytes);
  levels->unref();
}

TEST_F(LevelsTest, file_for_finds_the_one_that_may_hold_a_key) {
  // Largest keys that share their first eight bytes.
  std::vector<varve::Run> runs;
  runs.push_back(run(
      1, {file(1, "b", "d"), file(2, "samehead1", "samehead3"), file(3, "samehead5", "samehead7"),
          file(4, "samehead8", "samehead8"), file(5, "x", "z")}));
  Levels* levels = Levels::create(std::move(runs));
  ASSERT_OK(check_levels(*levels));
  const auto found = [&](const std::string& key) {
    return number_of(levels->runs()[0].file_for(key, key_head(key)));
  };
  EXPECT_EQ(found("a"), 0u);
  EXPECT_EQ(found("b"), 1u);
  EXPECT_EQ(found("c"), 1u);
  EXPECT_EQ(found("d"), 1u);
  EXPECT_EQ(found("e"), 0u);
  EXPECT_EQ(found("samehead"), 0u);
  EXPECT_EQ(found("samehead1"), 2u);
  EXPECT_EQ(found("samehead33"), 0u);
  EXPECT_EQ(found("samehead4"), 0u);
  EXPECT_EQ(found("samehead6"), 3u);
  EXPECT_EQ(found("samehead8"), 4u);
  EXPECT_EQ(found("samehead9"), 0u);
  EXPECT_EQ(found("y"), 5u);
  EXPECT_EQ(found("zz"), 0u);
  levels->unref();
}

TEST_F(LevelsTest, apply_removes_and_adds_and_leaves_the_base) {
  std::vector<varve::Run> runs;
  runs.push_back(run(5, {file(1, "a", "b")}));
  runs.push_back(run(3, {file(2, "a", "b", 3), file(3, "c", "d", 3)}));
  runs.push_back(run(1, {file(4, "a", "z", 1)}));
  Levels* base = Levels::create(std::move(runs));
  const FileNumber removed[] = {{2}, {3}, {4}};
  const Levels::Addition added[] = {{.run = {3}, .sstable = file(6, "m", "z", 1)},
                                    {.run = {3}, .sstable = file(5, "a", "l", 3)}};
  Levels* changed = Levels::apply(*base, removed, added);
  ASSERT_OK(check_levels(*changed));
  ASSERT_EQ(changed->runs().size(), 2u);
  EXPECT_EQ(changed->runs()[0].id, RunId{5});
  EXPECT_EQ(changed->runs()[1].id, RunId{3});
  EXPECT_EQ(number_of(changed->runs()[1].files[0]), 5u) << "in order of keys";
  EXPECT_EQ(number_of(changed->runs()[1].files[1]), 6u);
  EXPECT_EQ(base->runs().size(), 3u);
  base->unref();
  EXPECT_EQ(number_of(changed->runs()[0].files[0]), 1u) << "shared, and counted";
  changed->unref();
}

TEST_F(LevelsTest, check_finds_what_must_not_be) {
  const auto expect_bad = [&](std::vector<varve::Run> runs, const char* part) {
    Levels* levels = Levels::create(std::move(runs));
    EXPECT_FAILS(check_levels(*levels), corruption, part);
    levels->unref();
  };
  const auto runs = [](auto... run) {
    std::vector<varve::Run> all;
    (all.push_back(std::move(run)), ...);
    return all;
  };
  expect_bad(runs(run(1, {})), "empty");
  expect_bad(runs(run(1, {file(1, "a", "b")}), run(2, {file(2, "a", "b")})), "out of order");
  expect_bad(runs(run(2, {file(3, "a", "b")}), run(2, {file(4, "a", "b")})), "out of order");
  expect_bad(runs(run(1, {file(5, "a", "m"), file(6, "l", "z")})), "overlap");
  expect_bad(runs(run(1, {file(7, "a", "m"), file(8, "m", "z")})), "overlap");
  expect_bad(runs(run(1, {file(9, "m", "z"), file(10, "a", "b")})), "overlap");
  expect_bad(runs(run(2, {file(11, "a", "b", 0)}), run(1, {file(12, "a", "b")})), "collapsed");
  expect_bad(runs(run(2, {undated(15, 6)}), run(1, {file(16, "a", "b")})), "begins at 6");
  expect_bad(runs(run(2, {file(17, "a", "b")}), run(1, {undated(18, 5)})), "committed from 5 to 5");
  expect_bad(runs(run(2, {file(22, "a", "b", 5)}), run(1, {file(23, "c", "d", 6)})), "newer one");
  // At the bottom they may be.
  Levels* levels =
      Levels::create(runs(run(2, {file(13, "a", "b")}), run(1, {file(14, "a", "b", 0)})));
  EXPECT_OK(check_levels(*levels));
  levels->unref();
  levels = Levels::create(runs(run(3, {file(19, "a", "b", 9)}), run(2, {undated(20, 8)}),
                               run(1, {file(21, "a", "b")})));
  EXPECT_OK(check_levels(*levels));
  levels->unref();
}

}  // namespace
}  // namespace varve::test
