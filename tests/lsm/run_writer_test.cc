#include "lsm/run_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/atomic.h"
#include "base/manual_clock.h"
#include "lsm/store.h"
#include "tests/lsm/cursor_model.h"
#include "tests/lsm/log_fixture.h"
#include "tests/lsm/sstable_fixture.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"

namespace varve::test {
namespace {

constexpr const char* kDirectory = "/run";

class RunWriterTest : public testing::Test {
 protected:
  RunWriterTest() {
    EXPECT_OK(home_.files().create_directory(kDirectory));
    options_.file_system = &files_;
    options_.directory = kDirectory;
    options_.numbers = &numbers_;
    options_.memory = &home_.manager();
    options_.clock = &clock_;
    options_.block_size = 512;
  }

  Result<WrittenRun> write(const std::vector<VersionRow>& rows, const GcHorizon& horizon,
                           bool bottom) {
    ModelCursor cursor(&rows);
    return write_run(&cursor, horizon, bottom, options_, cancel_);
  }
  // All rows of the run's files, in order; checks that no key lies in two of them.
  std::vector<VersionRow> read(const WrittenRun& run) {
    std::vector<VersionRow> rows;
    for (const SstableInfo& info : run.files) {
      const std::string path = path_in(kDirectory, sstable_name(info.number));
      Result<Sstable*> opened = Sstable::open(&files_, path, &home_.cache(), &values_, info);
      EXPECT_OK(opened);
      if (!opened.ok()) return rows;
      Status status;
      const std::vector<VersionRow> of_file = all_rows(&home_, *opened, &status);
      EXPECT_OK(status);
      EXPECT_EQ(of_file.size(), info.versions);
      EXPECT_EQ(of_file.front().key, info.smallest_key);
      EXPECT_EQ(of_file.back().key, info.largest_key);
      if (!rows.empty()) {
        EXPECT_LT(rows.back().key, of_file.front().key);
      }
      rows.insert(rows.end(), of_file.begin(), of_file.end());
      (*opened)->unref();
    }
    return rows;
  }
  size_t value_files_on_disk() {
    return files_with_suffix(&home_.files(), kDirectory, ".val").size();
  }
  size_t files_on_disk() {
    return files_with_suffix(&home_.files(), kDirectory, ".sst").size() + value_files_on_disk();
  }
  void remove_files(const WrittenRun& run) {
    for (const SstableInfo& info : run.files) {
      ASSERT_OK(files_.remove(path_in(kDirectory, sstable_name(info.number))));
    }
    for (const FileNumber number : run.value_files) {
      ASSERT_OK(files_.remove(path_in(kDirectory, value_file_name(number))));
    }
  }

  SstableHome home_;
  HookedFiles files_{&home_.files()};
  ValueFiles values_{&files_, kDirectory, &home_.manager()};
  CountingNumbers numbers_;
  ManualClock clock_;
  RunWriterOptions options_;
  Atomic<bool> cancel_{false};
};

TEST_F(RunWriterTest, nothing_in_no_files_out) {
  const Result<WrittenRun> run = write({}, {.watermark = {100}, .snapshots = {}}, true);
  ASSERT_OK(run);
  EXPECT_TRUE(run->files.empty());
  EXPECT_EQ(files_on_disk(), 0u);
}

// Sums that hold say nothing of the order: a hostile file must not trip an assertion.
TEST_F(RunWriterTest, versions_out_of_order_are_corruption) {
  const GcHorizon all{.watermark = {}, .snapshots = {}};
  VersionRow later{.key = "b", .timestamp = {5}, .kind = VersionKind::value, .value = "v"};
  VersionRow earlier = later;
  earlier.key = "a";
  EXPECT_FAILS(write({later, earlier}, all, true), corruption, "out of order");
  earlier = later;
  earlier.timestamp = {6};
  EXPECT_FAILS(write({later, earlier}, all, true), corruption, "out of order");
  EXPECT_FAILS(write({later, later}, all, true), corruption, "out of order");
  EXPECT_EQ(files_on_disk(), 0u);
}

TEST_F(RunWriterTest, keeps_everything_above_the_watermark) {
  VARVE_SEEDED_TEST(random);
  const std::vector<VersionRow> rows = random_rows(&random, {.keys = 300});
  for (const bool bottom : {false, true}) {
    options_.separate_from = bottom ? 10 : 0;
    const Result<WrittenRun> run = write(rows, {.watermark = {}, .snapshots = {}}, bottom);
    ASSERT_OK(run);
    EXPECT_EQ(read(*run), rows);
    EXPECT_EQ(run->versions_in, rows.size());
    EXPECT_EQ(run->versions_out, rows.size());
  }
}

// What every reader that may come sees is as before; and of what nobody sees nothing is left.
TEST_F(RunWriterTest, readers_see_the_same_before_and_after) {
  VARVE_SEEDED_TEST(random);
  constexpr uint64_t kBase = 1'700'000'000'000'000'000;
  for (uint64_t i = 0; i < test_iterations(60); ++i) {
    const std::vector<VersionRow> rows = random_rows(&random, {.keys = 1 + random.below(60),
                                                               .versions_max = 12,
                                                               .timestamp_base = kBase,
                                                               .timestamp_spread = 100});
    const Timestamp watermark{kBase + random.below(110)};
    std::vector<Timestamp> snapshots;
    for (uint64_t s = random.below(5); s > 0; --s) {
      const Timestamp snapshot{kBase - 5 + random.below(110)};
      if (snapshot < watermark) snapshots.push_back(snapshot);
    }
    std::sort(snapshots.begin(), snapshots.end());
    snapshots.erase(std::unique(snapshots.begin(), snapshots.end()), snapshots.end());
    const bool bottom = random.one_in(2);
    options_.separate_from = static_cast<uint32_t>(random.below(3) * 12);
    const Result<WrittenRun> run =
        write(rows, {.watermark = watermark, .snapshots = snapshots}, bottom);
    ASSERT_OK(run);
    const std::vector<VersionRow> kept = read(*run);
    std::vector<Timestamp> readers = snapshots;
    for (uint64_t t = watermark.nanos; t < kBase + 115; ++t) readers.push_back({t});
    for (const VersionRow& row : rows) {
      for (const Timestamp reader : readers) {
        const VersionRow* before = visible_row(rows, row.key, reader);
        const VersionRow* after = visible_row(kept, row.key, reader);
        const bool there = before != nullptr && before->kind == VersionKind::value;
        if (!bottom) {
          // A tombstone still hides what lies below.
          ASSERT_EQ(after == nullptr, before == nullptr);
          if (before != nullptr) {
            ASSERT_EQ(*after, *before);
          }
        } else {
          ASSERT_EQ(after != nullptr && after->kind == VersionKind::value, there);
          if (there) {
            ASSERT_EQ(after->value, before->value);
            ASSERT_TRUE(after->timestamp == before->timestamp || after->timestamp == kTimestampMin);
          }
        }
      }
    }
    // Each version that was kept is what some reader sees.
    for (const VersionRow& row : kept) {
      ASSERT_TRUE(std::any_of(readers.begin(), readers.end(), [&](Timestamp reader) {
        const VersionRow* seen = visible_row(kept, row.key, reader);
        return seen != nullptr && *seen == row;
      })) << row.key;
      if (bottom && row.timestamp == kTimestampMin) {
        ASSERT_NE(row.kind, VersionKind::tombstone);
      }
    }
  }
}

TEST_F(RunWriterTest, files_end_between_keys_when_they_are_full) {
  std::vector<VersionRow> rows;
  for (int i = 0; i < 200; ++i) {
    for (uint64_t version = 20; version > 0; --version) {
      rows.push_back({.key = "k" + std::to_string(1000 + i),
                      .timestamp = {version},
                      .value = std::string(50, 'v')});
    }
  }
  options_.file_size_max = 8 * 1024;
  const Result<WrittenRun> run = write(rows, {.watermark = {}, .snapshots = {}}, false);
  ASSERT_OK(run);
  EXPECT_GT(run->files.size(), 10u);
  EXPECT_EQ(read(*run), rows);
  uint64_t bytes = 0;
  for (const SstableInfo& info : run->files) bytes += info.file_size;
  EXPECT_EQ(run->bytes, bytes);
}

// All versions of one key stay in one file, however many they are.
TEST_F(RunWriterTest, one_key_larger_than_a_file) {
  std::vector<VersionRow> rows;
  for (uint64_t version = 2000; version > 0; --version) {
    rows.push_back({.key = "hot", .timestamp = {version}, .value = std::string(50, 'v')});
  }
  rows.push_back({.key = "next", .timestamp = {1}, .value = "v"});
  options_.file_size_max = 8 * 1024;
  const Result<WrittenRun> run = write(rows, {.watermark = {}, .snapshots = {}}, false);
  ASSERT_OK(run);
  EXPECT_EQ(run->files.size(), 2u);
  EXPECT_EQ(read(*run), rows);
}

// What a merge does with pointers: they are copied, but for those to a file that is to be emptied.
TEST_F(RunWriterTest, values_stay_where_they_are_unless_their_file_is_to_be_emptied) {
  VARVE_SEEDED_TEST(random);
  const std::vector<VersionRow> rows = random_rows(&random, {.keys = 500, .value_size_max = 200});
  const GcHorizon all{.watermark = {}, .snapshots = {}};
  options_.separate_from = 50;
  options_.value_file_size_max = 4 * 1024;
  options_.value_codec = Compression::zstd;
  const Result<WrittenRun> first = write(rows, all, false);
  ASSERT_OK(first);
  ASSERT_GT(first->value_files.size(), 3u);
  EXPECT_EQ(value_files_on_disk(), first->value_files.size());
  ASSERT_EQ(first->files.size(), 1u);
  Result<Sstable*> source =
      Sstable::open(&files_, path_in(kDirectory, sstable_name(first->files[0].number)),
                    &home_.cache(), &values_, first->files[0]);
  ASSERT_OK(source);
  uint64_t values = 0;
  for (const ValueUse& use : (*source)->properties().values) values += use.values;
  EXPECT_EQ(values, static_cast<uint64_t>(
                        std::count_if(rows.begin(), rows.end(), [](const VersionRow& row) {
                          return row.kind == VersionKind::value && row.value.size() >= 50;
                        })));

  const std::vector<FileNumber> emptied{first->value_files[1], first->value_files[2]};
  for (const bool empties : {false, true}) {
    options_.emptied = empties ? std::span(emptied) : std::span<const FileNumber>();
    RunCursor cursor(&home_.manager());
    cursor.reset({&*source, 1}, /*fill_cache=*/false);
    const Result<WrittenRun> second = write_run(&cursor, all, false, options_, cancel_);
    ASSERT_OK(second);
    EXPECT_EQ(second->value_files.empty(), !empties);
    EXPECT_EQ(second->value_bytes == 0, !empties);
    EXPECT_EQ(read(*second), rows);
    Result<Sstable*> merged =
        Sstable::open(&files_, path_in(kDirectory, sstable_name(second->files[0].number)),
                      &home_.cache(), &values_, second->files[0]);
    ASSERT_OK(merged);
    uint64_t kept = 0;
    for (const ValueUse& use : (*merged)->properties().values) {
      EXPECT_TRUE(!empties ||
                  std::find(emptied.begin(), emptied.end(), use.file.number) == emptied.end());
      kept += use.values;
    }
    EXPECT_EQ(kept, values);
    VerifyReport report;
    EXPECT_OK(verify_sstable(*merged, &home_.manager(), &report));
    (*merged)->unref();
    remove_files(*second);
  }
  (*source)->unref();
}

TEST_F(RunWriterTest, cancelled_between_versions_leaves_no_files) {
  VARVE_SEEDED_TEST(random);
  const std::vector<VersionRow> rows = random_rows(&random, {.keys = 20'000});
  cancel_.store(true);
  const Result<WrittenRun> run = write(rows, {.watermark = {}, .snapshots = {}}, true);
  EXPECT_EQ(run.status().code(), StatusCode::cancelled);
  EXPECT_EQ(files_on_disk(), 0u);
}

TEST_F(RunWriterTest, failures_of_files_and_of_the_input_leave_no_files) {
  VARVE_SEEDED_TEST(random);
  const std::vector<VersionRow> rows = random_rows(&random, {.keys = 600});
  options_.file_size_max = 4 * 1024;
  options_.separate_from = 10;
  options_.value_file_size_max = 4 * 1024;
  for (uint64_t nth = 0;; ++nth) {
    uint64_t calls = 0;
    files_.set_hook([&](const FileCall& call) {
      if (call.kind == FileCall::Kind::remove || !call.changes()) return Status();
      return calls++ == nth ? Status::io_error("injected") : Status();
    });
    const Result<WrittenRun> run = write(rows, {.watermark = {}, .snapshots = {}}, true);
    files_.set_hook(nullptr);
    if (run.ok()) {
      EXPECT_GT(nth, 10u);
      EXPECT_GT(run->value_files.size(), 1u);
      EXPECT_EQ(read(*run), rows);
      remove_files(*run);
      break;
    }
    ASSERT_FAILS(run, io_error, "injected");
    ASSERT_EQ(files_on_disk(), 0u);
  }
  for (const uint64_t after : {1, 2, 100, 500}) {
    ModelCursor cursor(&rows);
    cursor.fail_after(after);
    EXPECT_FAILS(write_run(&cursor, {.watermark = {}, .snapshots = {}}, true, options_, cancel_),
                 io_error, "injected");
    EXPECT_EQ(files_on_disk(), 0u);
  }
}

}  // namespace
}  // namespace varve::test
