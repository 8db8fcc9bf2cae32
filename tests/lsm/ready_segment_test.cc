// Segments of the log that are made while the one before them fills (lsm/wal_writer.h).

#include <gtest/gtest.h>

#include "lsm/wal_writer.h"
#include "tests/lsm/log_fixture.h"

namespace varve::test {
namespace {

class ReadySegmentTest : public LogTest {
 protected:
  // Until half of the current segment is written.
  void append_until_wanted() {
    for (int i = 0; !writer_->wants_segment(); ++i) {
      ASSERT_LT(i, 1000);
      ASSERT_OK(append(1, 100));
    }
  }
  // Until the next segment is begun.
  void append_until_next() {
    const size_t before = segment_numbers().size();
    while (segment_numbers().size() == before) ASSERT_OK(append(1, 100));
  }
  size_t free_files() { return files_with_suffix(disk_.get(), kDirectory, ".free").size(); }
  void expect_log() {
    const ReadLog log = read();
    ASSERT_OK(log.status);
    expect_groups(log, written_.size());
    EXPECT_EQ(writer_->segment_numbers(/*from=*/{}), segment_numbers()) << "numbers ascend";
  }
};

TEST_F(ReadySegmentTest, is_made_while_one_fills) {
  start(10'000);
  writer_->prepare_segment();
  EXPECT_EQ(free_files(), 0u) << "not yet";
  for (int segment = 0; segment < 3; ++segment) {
    append_until_wanted();
    EXPECT_GT(writer_->end().value % 10'000, 5'000u);
    const uint64_t before = writer_->disk_bytes();
    writer_->prepare_segment();
    EXPECT_FALSE(writer_->wants_segment());
    EXPECT_EQ(free_files(), 1u);
    EXPECT_EQ(writer_->disk_bytes(), before + 10'000);
    int made = 0;
    files_.set_hook([&](const FileCall& call) {
      made += call.kind == FileCall::Kind::create || call.kind == FileCall::Kind::allocate ||
              call.kind == FileCall::Kind::open_write;
      return Status();
    });
    append_until_next();
    files_.set_hook(nullptr);
    EXPECT_EQ(made, 0);
    EXPECT_EQ(free_files(), 0u);
  }
  expect_log();
}

TEST_F(ReadySegmentTest, is_made_of_one_that_was_released) {
  start(1000);
  for (int i = 0; i < 20; ++i) ASSERT_OK(append(1, 100));
  ASSERT_OK(writer_->sync());
  ASSERT_OK(writer_->release_before(writer_->end()));
  const size_t free = free_files();
  ASSERT_GT(free, 0u);
  written_.clear();
  append_until_next();  // and a whole one
  const Lsn from = writer_->end();
  append_until_wanted();
  writer_->prepare_segment();
  append_until_next();
  EXPECT_EQ(free_files(), free - 2);
  EXPECT_OK(read(from).status);
}

TEST_F(ReadySegmentTest, goes_where_space_is_given_back) {
  start(10'000);
  append_until_wanted();
  writer_->prepare_segment();
  EXPECT_EQ(free_files(), 1u);
  ASSERT_OK(writer_->give_space_back());
  EXPECT_EQ(free_files(), 0u);
  EXPECT_LT(writer_->disk_bytes(), 10'000u);
  append_until_next();
  expect_log();
}

// Who needs it tries again, and hears of it.
TEST_F(ReadySegmentTest, is_done_without_where_it_could_not_be_made) {
  for (const FileCall::Kind kind : {FileCall::Kind::create, FileCall::Kind::allocate}) {
    start(10'000);
    append_until_wanted();
    fail(kind, ".free", Status::no_space("injected"));
    writer_->prepare_segment();
    EXPECT_EQ(failed_.load(), 1);
    EXPECT_EQ(free_files(), 0u);
    append_until_next();
    expect_log();
    remove_log();
  }
}

TEST_F(ReadySegmentTest, is_done_without_where_it_cannot_be_begun) {
  for (const FileCall::Kind kind : {FileCall::Kind::write, FileCall::Kind::rename}) {
    start(10'000);
    append_until_wanted();
    writer_->prepare_segment();
    EXPECT_EQ(free_files(), 1u);
    fail(kind, ".free", Status::io_error("injected"));
    append_until_next();
    EXPECT_GE(failed_.load(), 1);
    files_.set_hook(nullptr);
    EXPECT_EQ(free_files(), 0u);
    expect_log();
    remove_log();
  }
}

// Segments are told apart by ascending numbers: one that was begun meanwhile has a higher one.
TEST_F(ReadySegmentTest, is_given_up_when_it_comes_too_late) {
  start(10'000);
  append_until_wanted();
  bool begun = false;
  files_.set_hook([&](const FileCall& call) {
    if (call.kind == FileCall::Kind::create && !std::exchange(begun, true)) append_until_next();
    return Status();
  });
  writer_->prepare_segment();
  EXPECT_TRUE(begun);
  EXPECT_EQ(free_files(), 1u);
  append_until_next();
  append_until_next();
  EXPECT_EQ(free_files(), 0u);
  ASSERT_OK(writer_->sync());
  expect_log();
  ASSERT_OK(writer_->release_before(writer_->end()));
  EXPECT_EQ(segment_numbers().size(), 1u) << "all but the last were synced and closed";
}

// A large commit is rare: what it took is not kept for the next.

}  // namespace
}  // namespace varve::test
