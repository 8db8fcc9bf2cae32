#include "lsm/wal_writer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <functional>

#include "tests/lsm/log_fixture.h"

namespace varve::test {
namespace {

class WalWriterTest : public LogTest {
 protected:
  void count_calls() {
    files_.set_hook([this](const FileCall& call) {
      if (call.kind == FileCall::Kind::write) ++writes_;
      if (call.kind == FileCall::Kind::sync) ++syncs_;
      return Status();
    });
  }
  std::atomic<int> writes_{0};
  std::atomic<int> syncs_{0};
};

TEST_F(WalWriterTest, groups_come_back_as_they_were_written) {
  start();
  ASSERT_OK(append(1, 10));
  ASSERT_OK(append(3, 100));
  ASSERT_OK(append(1, 5000));
  EXPECT_EQ(writer_->end(), writer_->written());
  EXPECT_EQ(writer_->durable(), Lsn{});
  const ReadLog log = read();
  ASSERT_OK(log.status);
  expect_groups(log, 3);
  EXPECT_EQ(log.end, writer_->end());
  EXPECT_FALSE(log.clean);
}

// With its predecessor gone, the header of a segment is all that says where the log goes on. Once
// it was lost to a power cut, and the manifest needed the log from a place where no segment began.
TEST_F(WalWriterTest, segment_stays_until_the_header_of_its_successor_is_durable) {
  start();
  ASSERT_OK(append(1, 100));
  ASSERT_OK(writer_->finish());
  const Lsn end = writer_->end();
  const FileNumber old = segment_numbers().front();
  start(1 << 20, {{.number = old, .start = {}, .end = end}}, end);
  ASSERT_EQ(segment_numbers().size(), 2u);
  ASSERT_OK(writer_->release_before(end));
  EXPECT_EQ(segment_numbers().size(), 2u) << "nothing of the new one was synced";
  count_calls();
  ASSERT_OK(writer_->sync());
  EXPECT_EQ(syncs_.load(), 1) << "though nothing was appended";
  ASSERT_OK(writer_->sync());
  EXPECT_EQ(syncs_.load(), 1);
  ASSERT_OK(writer_->release_before(end));
  EXPECT_EQ(segment_numbers().size(), 1u);
  EXPECT_GT(segment_numbers().front(), old);
}

TEST_F(WalWriterTest, one_write_a_group_and_none_for_buffered_ones) {
  start();
  count_calls();
  ASSERT_OK(append(5, 100));
  EXPECT_EQ(writes_.load(), 1);
  ASSERT_OK(append(1, 100, /*buffered=*/true));
  ASSERT_OK(append(1, 100, /*buffered=*/true));
  EXPECT_EQ(writes_.load(), 1);
  EXPECT_LT(writer_->written(), writer_->end());
  ASSERT_OK(append(1, 100));
  EXPECT_EQ(writes_.load(), 2) << "what waited goes along";
  EXPECT_EQ(writer_->written(), writer_->end());
  ASSERT_OK(append(1, 100, /*buffered=*/true));
  ASSERT_OK(writer_->write());
  EXPECT_EQ(writes_.load(), 3);
  ASSERT_OK(writer_->write());
  EXPECT_EQ(writes_.load(), 3);
  EXPECT_EQ(syncs_.load(), 0);
  const ReadLog log = read();
  ASSERT_OK(log.status);
  expect_groups(log, 5);
}

TEST_F(WalWriterTest, buffered_groups_wait_for_a_bounded_time_in_bytes) {
  start(64 << 20);
  count_calls();
  for (int i = 0; i < 30; ++i) {
    ASSERT_OK(append(1, 100'000, /*buffered=*/true));
  }
  EXPECT_GE(writes_.load(), 2);
  EXPECT_LE(manager_.live_bytes(), 4u << 20);
}

TEST_F(WalWriterTest, sync_makes_everything_durable_once) {
  start();
  count_calls();
  ASSERT_OK(append(1, 100, /*buffered=*/true));
  ASSERT_OK(writer_->sync());
  EXPECT_EQ(syncs_.load(), 1);
  EXPECT_EQ(writer_->durable(), writer_->end());
  ASSERT_OK(writer_->sync());
  EXPECT_EQ(syncs_.load(), 1) << "there was nothing to do";
  ASSERT_OK(append(1, 10));
  EXPECT_EQ(written_.back().durable, written_[0].end);
  EXPECT_EQ(writer_->syncs(), 1u);
}

TEST_F(WalWriterTest, segments_follow_each_other) {
  start(1000);
  for (int i = 0; i < 40; ++i) {
    ASSERT_OK(append(1, 100 + i));
  }
  EXPECT_GT(segment_numbers().size(), 5u);
  const ReadLog log = read();
  ASSERT_OK(log.status);
  expect_groups(log, 40);
  ASSERT_EQ(log.used.size(), segment_numbers().size());
  for (size_t i = 1; i < log.used.size(); ++i) {
    EXPECT_EQ(log.used[i].start, log.used[i - 1].end);
  }
}

TEST_F(WalWriterTest, a_group_larger_than_a_segment_makes_a_larger_one) {
  start(1000);
  ASSERT_OK(append(1, 10));
  ASSERT_OK(append(1, 50'000));
  ASSERT_OK(append(1, 10));
  const ReadLog log = read();
  ASSERT_OK(log.status);
  expect_groups(log, 3);
}

TEST_F(WalWriterTest, buffered_groups_stay_in_the_segment_that_ends) {
  start(1000);
  for (int i = 0; i < 40; ++i) {
    ASSERT_OK(append(1, 100, /*buffered=*/i % 5 != 4));
  }
  ASSERT_OK(writer_->write());
  const ReadLog log = read();
  ASSERT_OK(log.status);
  expect_groups(log, 40);
}

TEST_F(WalWriterTest, finish_marks_a_clean_end) {
  start();
  ASSERT_OK(append(2, 10, /*buffered=*/true));
  ASSERT_OK(writer_->finish());
  EXPECT_EQ(writer_->durable(), writer_->end());
  const ReadLog log = read();
  ASSERT_OK(log.status);
  EXPECT_TRUE(log.clean);
  expect_groups(log, 1);
  EXPECT_EQ(log.end, writer_->end());
}

TEST_F(WalWriterTest, goes_on_behind_what_recovery_kept) {
  start(1000);
  for (int i = 0; i < 20; ++i) {
    ASSERT_OK(append(1, 100));
  }
  const ReadLog before = read();
  std::vector<WalWriter::Inherited> inherited;
  for (const WalReader::UsedSegment& segment : before.used) {
    inherited.push_back({.number = segment.number, .start = segment.start, .end = segment.end});
  }
  start(1000, inherited, before.end);
  EXPECT_EQ(writer_->durable(), before.end);
  for (int i = 0; i < 20; ++i) {
    ASSERT_OK(append(1, 100));
  }
  const ReadLog log = read();
  ASSERT_OK(log.status);
  expect_groups(log, 40);
}

// -- recycling --

TEST_F(WalWriterTest, released_segments_are_recycled_or_removed) {
  start(1000);
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(append(1, 100));
  }
  ASSERT_OK(writer_->sync());  // what is not synced stays
  const size_t segments = segment_numbers().size();
  const Lsn middle = written_[50].start;
  ASSERT_OK(writer_->release_before(middle));
  EXPECT_LT(segment_numbers().size(), segments);
  EXPECT_EQ(files_with_suffix(disk_.get(), kDirectory, ".free").size(), 4u);
  EXPECT_LE(writer_->oldest(), middle);
  const ReadLog log = read(middle);
  ASSERT_OK(log.status);
  EXPECT_EQ(log.groups.back().commits, written_.back().commits);
  ASSERT_OK(writer_->release_before(kLsnMax));
  EXPECT_EQ(segment_numbers().size(), 1u) << "the current one stays";
  ASSERT_OK(writer_->give_space_back());
  EXPECT_EQ(files_with_suffix(disk_.get(), kDirectory, ".free").size(), 0u);
  ASSERT_OK(append(1, 100));
}

TEST_F(WalWriterTest, space_that_is_given_back_is_taken_again) {
  start(1 << 20);
  ASSERT_OK(append(1, 100));
  EXPECT_GE(writer_->disk_bytes(), 1u << 20);
  ASSERT_OK(writer_->give_space_back());
  const uint64_t used = writer_->disk_bytes();
  EXPECT_LT(used, 1000u);
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(append(1, 1000));
  }
  EXPECT_GT(writer_->disk_bytes(), used + 100'000);
  const ReadLog log = read(Lsn{});
  ASSERT_OK(log.status);
  EXPECT_EQ(log.groups.size(), written_.size());
}

// An error need not mean that nothing happened.
TEST_F(WalWriterTest, segments_that_went_although_their_release_failed_are_let_go) {
  start(1000);
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(append(1, 100));
  }
  ASSERT_OK(writer_->sync());
  for (const FileCall::Kind kind : {FileCall::Kind::rename, FileCall::Kind::remove}) {
    bool failed = false;
    files_.set_hook([&](const FileCall& call) {
      if (call.kind != kind || failed) return Status();
      failed = true;
      EXPECT_OK(disk_->remove(call.path));
      return Status::io_error("injected");
    });
    EXPECT_FAILS(writer_->release_before(written_[50].start), io_error, "injected");
    files_.set_hook(nullptr);
  }
  ASSERT_OK(writer_->release_before(kLsnMax));
  EXPECT_EQ(segment_numbers().size(), 1u);
  EXPECT_EQ(writer_->segment_numbers(/*from=*/{}), segment_numbers());
}

// Nothing depends on a segment that is kept for reuse.
TEST_F(WalWriterTest, free_segments_that_cannot_be_reused_are_given_up) {
  start(1000);
  const auto release_some = [&] {
    for (int i = 0; i < 60; ++i) ASSERT_OK(append(1, 100));
    ASSERT_OK(writer_->sync());
    ASSERT_OK(writer_->release_before(written_.back().start));
  };
  release_some();
  const auto is_free = [](const FileCall& call) { return call.path.ends_with(".free"); };
  using Fault = std::function<Status(const FileCall&)>;
  const Fault faults[] = {
      [&](const FileCall& call) {  // somebody removed it
        if (call.kind == FileCall::Kind::open_write) EXPECT_OK(disk_->remove(call.path));
        return Status();
      },
      [](const FileCall& call) {
        return call.kind == FileCall::Kind::write ? Status::io_error("injected") : Status();
      },
      [](const FileCall& call) {
        return call.kind == FileCall::Kind::rename ? Status::io_error("injected") : Status();
      },
  };
  for (const Fault& fault : faults) {
    const size_t before = segment_numbers().size();
    int met = 0;
    files_.set_hook([&](const FileCall& call) {
      if (!is_free(call) || met != 0) return Status();
      Status status = fault(call);
      met += !status.ok() || !disk_->info(call.path).ok();
      return status;
    });
    while (segment_numbers().size() == before) ASSERT_OK(append(1, 100));
    EXPECT_EQ(met, 1);
    files_.set_hook(nullptr);
  }
  EXPECT_OK(read(written_.back().start).status);
}

TEST_F(WalWriterTest, buffers_of_large_groups_are_given_back) {
  start();
  ASSERT_OK(append(1, 3 << 20, /*buffered=*/true));
  ASSERT_OK(append(1, 3 << 20));
  EXPECT_LE(manager_.live_bytes(MemoryRole::log_buffer), 2u << 20);
}

TEST_F(WalWriterTest, unsynced_segments_are_not_released) {
  start(1000);
  for (int i = 0; i < 30; ++i) {
    ASSERT_OK(append(1, 100));
  }
  const std::vector<FileNumber> before = segment_numbers();
  ASSERT_GT(before.size(), 2u);
  ASSERT_OK(writer_->release_before(kLsnMax));
  EXPECT_EQ(segment_numbers(), before);
}

// What a recycled file held in its earlier life is neither read nor taken for an attestation.
TEST_F(WalWriterTest, remains_of_an_earlier_life_are_not_read) {
  start(4000);
  for (int i = 0; i < 60; ++i) {
    ASSERT_OK(append(1, 100 + i % 7));
    if (i % 3 == 0) {
      ASSERT_OK(writer_->sync());
    }
  }
  ASSERT_OK(writer_->sync());
  ASSERT_OK(writer_->release_before(writer_->end()));
  const size_t released = written_.size();
  const Lsn from = writer_->end();
  // Now shorter: each new segment begins in a recycled file full of valid-looking groups.
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 25; ++i) {
      ASSERT_OK(append(1, 96));
      const ReadLog log = read(from);
      ASSERT_OK(log.status);
      ASSERT_EQ(log.end, writer_->end());
      ASSERT_EQ(log.groups.back().commits, written_.back().commits);
    }
  }
  EXPECT_GT(written_.size(), released);
  EXPECT_LT(files_with_suffix(disk_.get(), kDirectory, ".free").size(), 4u) << "some were reused";
}

// -- failures --

TEST_F(WalWriterTest, failed_write_or_sync_is_final) {
  for (const FileCall::Kind kind : {FileCall::Kind::write, FileCall::Kind::sync}) {
    start();
    ASSERT_OK(append(1, 10));
    fail(kind, ".wal", Status::io_error("injected"));
    Status status = append(1, 10);
    if (status.ok()) status = writer_->sync();
    EXPECT_FAILS(status, io_error, "injected");
    EXPECT_FAILS(append(1, 10), io_error, "injected");
    EXPECT_FAILS(writer_->sync(), io_error, "injected");
    EXPECT_FAILS(writer_->write(), io_error, "injected");
    EXPECT_FAILS(writer_->finish(), io_error, "injected");
    files_.set_hook(nullptr);
    timestamp_ += 1000;
    written_.clear();
    writer_.reset();
    for (const FileNumber number : segment_numbers()) {
      ASSERT_OK(disk_->remove(path(number)));
    }
  }
}

// A refused group must not come back: neither half of it, nor with the next one.
TEST_F(WalWriterTest, full_disk_refuses_a_group_and_the_next_takes_its_place) {
  start();
  ASSERT_OK(append(1, 10));
  fail(FileCall::Kind::write, ".wal", Status::no_space("injected"));
  EXPECT_FAILS(append(1, 50), no_space, "injected");
  ASSERT_OK(append(1, 30));
  ASSERT_OK(append(1, 10, /*buffered=*/true));
  fail(FileCall::Kind::write, ".wal", Status::no_space("injected"));
  EXPECT_FAILS(append(1, 50), no_space, "injected");
  ASSERT_OK(writer_->sync());
  const ReadLog log = read();
  ASSERT_OK(log.status);
  expect_groups(log, 3);
}

// Of two segments with the same start and predecessor, recovery followed the one that was given up.
TEST_F(WalWriterTest, segment_that_could_not_be_begun_leaves_nothing_behind) {
  struct Place {
    FileCall::Kind kind;
    bool recycles;  // which can be done without
  };
  for (const Place& place :
       {Place{FileCall::Kind::create, false}, Place{FileCall::Kind::allocate, false},
        Place{FileCall::Kind::write, false}, Place{FileCall::Kind::rename, false},
        Place{FileCall::Kind::open_write, true}, Place{FileCall::Kind::write, true},
        Place{FileCall::Kind::rename, true}}) {
    SCOPED_TRACE(static_cast<int>(place.kind) + (place.recycles ? 1000 : 0));
    start(1000);
    if (place.recycles) {
      for (int i = 0; i < 20; ++i) {
        ASSERT_OK(append(1, 100));
      }
      ASSERT_OK(writer_->sync());
      ASSERT_OK(writer_->release_before(writer_->end()));
      written_.clear();
    }
    const Lsn from = writer_->oldest();
    fail(place.kind, ".free", Status::no_space("injected"));
    int refused = 0;
    for (int i = 0; i < 40; ++i) {
      Status status = append(1, 100);
      if (!status.ok()) {
        EXPECT_FAILS(status, no_space, "injected");
        ++refused;
      }
    }
    EXPECT_EQ(refused, place.recycles ? 0 : 1);
    EXPECT_GE(failed_.load(), 1);
    files_.set_hook(nullptr);
    const ReadLog log = read(from);
    ASSERT_OK(log.status);
    ASSERT_FALSE(log.groups.empty());
    EXPECT_EQ(log.groups.back().commits, written_.back().commits);
    EXPECT_EQ(log.end, writer_->end());
    EXPECT_EQ(log.used.size(), segment_numbers().size()) << "each file is part of the log";
    remove_log();
  }
}

#if defined(VARVE_DEBUG)
TEST_F(WalWriterTest, refused_memory_changes_nothing) {
  start();
  ASSERT_OK(append(1, 10));
  const Lsn end = writer_->end();
  manager_.fail_allocation_after(1);
  EXPECT_FAILS(append(1, 100'000), out_of_memory, "memory");
  EXPECT_EQ(writer_->end(), end);
  ASSERT_OK(append(1, 100'000));
  const ReadLog log = read();
  ASSERT_OK(log.status);
  expect_groups(log, 2);
}
#endif

// The leader appends and rolls over while others sync and release: syncs close segments.
TEST_F(WalWriterTest, syncs_from_many_threads) {
  start(2000);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop.load()) {
        ASSERT_OK(writer_->sync());
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop.load()) {
      ASSERT_OK(writer_->release_before(writer_->durable()));
    }
  });
  for (int i = 0; i < 1000; ++i) {
    ASSERT_OK(append(1, 200, /*buffered=*/i % 3 == 0));
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  ASSERT_OK(writer_->sync());
  EXPECT_EQ(writer_->durable(), writer_->end());
}

}  // namespace
}  // namespace varve::test
