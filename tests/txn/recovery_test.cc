// Killed at every single change of a file: while it opens, flushes, compacts, creates and drops
// keyspaces, closes. What was acknowledged is there after each, and batches are whole.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class RecoveryTest : public DatabaseTest {
 protected:
  using Image = std::vector<std::pair<std::string, std::string>>;

  RecoveryTest() {
    options_.write_buffer_size = 64 * 1024;
    options_.block_size = 512;
  }

  // Sstables, several log segments, two keyspaces and one that was dropped; then killed.
  void make() {
    open();
    const Keyspace other = create("other");
    const Keyspace dropped = create("dropped");
    for (int i = 0; i < 60; ++i) {
      WriteBatch batch;
      const std::string key = "k" + std::to_string(i);
      ASSERT_OK(batch.put(key, "1"));
      ASSERT_OK(batch.put(other, key, "2" + std::string(500, 'v')));
      if (i < 40) ASSERT_OK(batch.put(dropped, key, "3"));
      if (i > 10) ASSERT_OK(batch.erase("k" + std::to_string(i - 10)));
      ASSERT_OK(db_->write(batch, with(i % 5 == 0 ? Durability::sync : Durability::os)));
      if (i == 20 || i == 30) ASSERT_OK(db_->flush());
      if (i == 40) ASSERT_OK(db_->drop_keyspace(dropped));
    }
    default_rows_ = rows();
    other_rows_ = rows({.keyspace = other});
    kill();
    image_ = image();
  }
  Image image() {
    Image image;
    for (const std::string& name : std::vector<std::string>(disk_->list(kPath).value())) {
      const std::string path = std::string(kPath) + "/" + name;
      image.emplace_back(path, read_file(disk_.get(), path));
    }
    return image;
  }
  void restore() {
    for (const std::string& name : std::vector<std::string>(disk_->list(kPath).value())) {
      ASSERT_OK(disk_->remove(std::string(kPath) + "/" + name));
    }
    for (const auto& [path, bytes] : image_) write_file(disk_.get(), path, bytes);
  }

  void expect_all() {
    const Result<Keyspace> other = db_->find_keyspace("other");
    ASSERT_OK(other);
    EXPECT_EQ(rows(), default_rows_);
    EXPECT_EQ(rows({.keyspace = *other}), other_rows_);
    EXPECT_OK(db_->verify());
  }

  // The `nth` change of a file from now on does not happen, nor does any after it.
  void kill_at(uint64_t nth) {
    hook_ = [this, nth, changes = uint64_t{0}](const FileCall& call) mutable {
      if (call.changes() && changes++ == nth) killed_.store(true);
      return killed_.load() && call.changes() ? Status::io_error("killed") : Status();
    };
  }

  // Runs `work` on the database again and again, each time killed one change of a file later, until
  // it gets through; looks at what is there after each.
  void kill_at_each_change(const std::function<void()>& work) {
    for (uint64_t nth = 0;; ++nth) {
      SCOPED_TRACE("killed at change " + std::to_string(nth));
      ASSERT_LT(nth, 500u);
      open();
      if (HasFatalFailure()) return;
      kill_at(nth);
      work();
      hook_ = nullptr;
      const bool through = !killed_.load();
      if (db_ != nullptr) kill();
      killed_.store(false);
      open();
      if (HasFatalFailure()) return;
      expect_all();
      kill();
      restore();
      if (HasFailure() || through) return;
    }
  }

  Rows default_rows_;
  Rows other_rows_;
  Image image_;
};

TEST_F(RecoveryTest, killed_while_it_opens_again_and_again) {
  make();
  uint64_t through = 0;
  for (uint64_t nth = 0; through < 3; ++nth) {
    SCOPED_TRACE("killed at change " + std::to_string(nth));
    ASSERT_LT(nth, 200u);
    kill_at(nth);
    Result<std::unique_ptr<Database>> opened = try_open();
    if (!killed_.load()) {
      ++through;
      ASSERT_OK(opened);
    }
    if (opened.ok()) db_ = std::move(*opened);
    killed_.store(true);
    db_.reset();
    hook_ = nullptr;
    killed_.store(false);
    // Every third time from what the failed attempts left, else from the start.
    open();
    if (HasFatalFailure()) return;
    expect_all();
    kill();
    if (nth % 3 == 0) restore();
    if (HasFailure()) return;
  }
}

TEST_F(RecoveryTest, killed_while_it_is_created) {
  for (uint64_t nth = 0;; ++nth) {
    ASSERT_LT(nth, 100u);
    kill_at(nth);
    Result<std::unique_ptr<Database>> opened = try_open();
    const bool through = !killed_.load();
    if (opened.ok()) db_ = std::move(*opened);
    killed_.store(true);
    db_.reset();
    hook_ = nullptr;
    killed_.store(false);
    open();
    if (HasFatalFailure()) return;
    EXPECT_EQ(rows(), Rows{});
    ASSERT_OK(db_->put("k", "v"));
    close();
    for (const std::string& name : std::vector<std::string>(disk_->list(kPath).value())) {
      ASSERT_OK(disk_->remove(std::string(kPath) + "/" + name));
    }
    ASSERT_OK(disk_->remove_directory(kPath));
    if (through) return;
  }
}

TEST_F(RecoveryTest, killed_while_it_flushes) {
  make();
  kill_at_each_change([this] { static_cast<void>(db_->flush()); });
}

TEST_F(RecoveryTest, killed_while_it_compacts) {
  make();
  kill_at_each_change([this] { static_cast<void>(db_->compact()); });
}

TEST_F(RecoveryTest, killed_while_it_closes) {
  make();
  kill_at_each_change([this] {
    static_cast<void>(db_->close());
    db_.reset();
  });
}

TEST_F(RecoveryTest, killed_while_it_creates_and_drops_keyspaces) {
  make();
  kill_at_each_change([this] {
    Result<Keyspace> created = db_->create_keyspace("fresh");
    if (!created.ok()) return;
    static_cast<void>(db_->put("k", "v", in(*created)));
    static_cast<void>(db_->flush());
    static_cast<void>(db_->drop_keyspace(*created));
  });
}

TEST_F(RecoveryTest, killed_in_background_steps) {
  make();
  kill_at_each_change([this] {
    // Rows of their own, below all others in order, so that the rest can be compared.
    const Result<Keyspace> scratch = db_->create_keyspace("scratch");
    if (!scratch.ok()) return;
    for (int i = 0; i < 40; ++i) {
      WriteOptions options = in(*scratch);
      options.timeout = std::chrono::nanoseconds(0);
      static_cast<void>(db_->put("k" + std::to_string(i), std::string(5000, 'v'), options));
      executor_.run_all();
    }
  });
}

TEST_F(RecoveryTest, log_of_many_segments_and_flushed_parts) {
  options_.durability = Durability::buffered;
  open();
  const Keyspace other = create("other");
  Rows expected;
  for (int i = 0; i < 3000; ++i) {
    const std::string key = "k" + std::to_string(10000 + i);
    ASSERT_OK(db_->put(key, std::string(300, 'v'), i % 50 == 0 ? in(other) : WriteOptions()));
    if (i % 50 != 0) expected.emplace_back(key, std::string(300, 'v'));
    if (i % 50 == 0) executor_.run_all(8);
  }
  executor_.run_all();  // the log is synced
  kill_and_reopen();
  EXPECT_EQ(rows(), expected);
  EXPECT_EQ(rows({.keyspace = other}).size(), 60u);
  kill_and_reopen();
  EXPECT_EQ(rows(), expected);
  reopen();
  EXPECT_EQ(rows(), expected);
}

// A loss of power may spare groups behind the one that it tore. They are lost with it, and must not
// come back when what is written next ends just where they begin.
TEST_F(RecoveryTest, what_lies_behind_the_end_of_the_log_does_not_come_back) {
  open();
  for (const char* key : {"a", "b", "c"}) ASSERT_OK(db_->put(key, key));
  kill();
  const Image left = image();
  for (const auto& [path, bytes] : left) {
    if (!path.ends_with(".wal")) continue;
    // The same bytes in each group but for the key, the timestamp and the checksum.
    const size_t torn = bytes.find("\1b\1b");
    ASSERT_NE(torn, std::string::npos);
    std::string damaged = bytes;
    damaged[torn + 1] = 'x';
    write_file(disk_.get(), path, damaged);
  }
  open();
  EXPECT_EQ(rows(), (Rows{{"a", "a"}}));
  ASSERT_OK(db_->put("d", "d"));
  kill_and_reopen();
  ASSERT_NE(db_, nullptr);
  EXPECT_EQ(rows(), (Rows{{"a", "a"}, {"d", "d"}}));
  EXPECT_OK(db_->verify());
}

// A timestamp of a lost commit is never issued again.
TEST_F(RecoveryTest, timestamps_go_on_above_what_may_have_been_issued) {
  open();
  Timestamp lost;
  WriteBatch batch;
  ASSERT_OK(batch.put("k", "v"));
  ASSERT_OK(db_->write(batch, with(Durability::buffered), &lost));
  kill_and_reopen();
  EXPECT_EQ(get("k"), "(absent)");
  clock_.set_realtime(clock_.realtime_nanos() - 3'000'000'000);
  Timestamp next;
  ASSERT_OK(db_->write(batch, {}, &next));
  EXPECT_GT(next, lost);
  reopen();
  Timestamp last;
  ASSERT_OK(db_->write(batch, {}, &last));
  EXPECT_GT(last, next);
}

// After a clean close timestamps follow the clock again, not the lease.
TEST_F(RecoveryTest, clean_close_ends_the_lease) {
  open();
  ASSERT_OK(db_->put("k", "v"));
  const Timestamp before = now();
  reopen();
  EXPECT_EQ(now(), before);
  EXPECT_LT(now().nanos, clock_.realtime_nanos() + 1000);
}

// A log of many write buffers, as a larger setting left it, is not put into memory as a whole.
class LongLogTest : public RecoveryTest {
 protected:
  static constexpr uint64_t kSmallBuffer = 64 * 1024;

  // About 20 small write buffers in one log, over two keyspaces.
  void make_long() {
    options_.write_buffer_size = 8 << 20;
    open();
    const Keyspace other = create("other");
    for (int i = 0; i < 1200; ++i) {
      WriteBatch batch;
      const std::string key = "k" + std::to_string(i % 400);
      ASSERT_OK(batch.put(key, std::to_string(i)));
      ASSERT_OK(batch.put(other, key, std::string(1000, static_cast<char>('a' + i % 26))));
      if (i % 7 == 0) ASSERT_OK(batch.erase("k" + std::to_string((i + 200) % 400)));
      ASSERT_OK(db_->write(batch));
    }
    default_rows_ = rows();
    other_rows_ = rows({.keyspace = other});
    ASSERT_EQ(db_->statistics().flushes, 0u);
    kill();
    image_ = image();
    options_.write_buffer_size = kSmallBuffer;
  }
};

TEST_F(LongLogTest, is_replayed_within_the_write_buffer) {
  make_long();
  open();
  expect_all();
  EXPECT_GE(db_->statistics().flushes, 10u);
  const MemoryReport report = db_->memory_report();
  // One that is full, and the next one's first steps.
  EXPECT_LE(report.roles[static_cast<size_t>(MemoryRole::memtable)].high_water_bytes,
            2 * kSmallBuffer);
  kill_and_reopen();
  expect_all();
  EXPECT_EQ(db_->statistics().flushes, 0u) << "flushed once, it is not replayed again";
}

TEST_F(LongLogTest, killed_while_it_is_replayed) {
  make_long();
  for (uint64_t nth = 0;; ++nth) {
    SCOPED_TRACE("killed at change " + std::to_string(nth));
    ASSERT_LT(nth, 2000u);
    kill_at(nth);
    Result<std::unique_ptr<Database>> opened = try_open();
    hook_ = nullptr;
    const bool through = !killed_.load();
    opened = Status::io_error("let go");
    killed_.store(false);
    open();
    if (HasFatalFailure()) return;
    expect_all();
    kill();
    restore();
    if (HasFailure() || through) return;
    nth += nth / 8;  // close together at first, then fewer
  }
}

}  // namespace
}  // namespace varve::test
