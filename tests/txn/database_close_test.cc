// Closing: what it waits for, what it leaves behind, and what a closed database answers.

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/temp_directory.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

using std::chrono::milliseconds;
using DatabaseCloseTest = DatabaseTest;

TEST_F(DatabaseCloseTest, every_call_after_close_is_closed) {
  open();
  ASSERT_OK(db_->put("k", "v"));
  ASSERT_OK(db_->close());
  std::string value;
  WriteBatch batch;
  ASSERT_OK(batch.put("k", "v"));
  EXPECT_FAILS(db_->put("k", "v"), closed, "closed");
  EXPECT_FAILS(db_->erase("k"), closed, "closed");
  EXPECT_FAILS(db_->write(batch), closed, "closed");
  EXPECT_FAILS(db_->get("k", &value), closed, "closed");
  EXPECT_FAILS(db_->get("k"), closed, "closed");
  EXPECT_FAILS(db_->multi_get({}, {}), closed, "closed");
  EXPECT_FAILS(db_->scan(), closed, "closed");
  EXPECT_FAILS(db_->snapshot(), closed, "closed");
  EXPECT_FAILS(db_->snapshot_at({1}), closed, "closed");
  EXPECT_FAILS(db_->history("k"), closed, "closed");
  EXPECT_FAILS(db_->create_keyspace("n"), closed, "closed");
  EXPECT_FAILS(db_->drop_keyspace({1}), closed, "closed");
  EXPECT_FAILS(db_->find_keyspace("n"), closed, "closed");
  EXPECT_FAILS(db_->flush(), closed, "closed");
  EXPECT_FAILS(db_->compact(), closed, "closed");
  EXPECT_FAILS(db_->wait_for_background(), closed, "closed");
  EXPECT_FAILS(db_->verify(), closed, "closed");
  EXPECT_FAILS(db_->close(), closed, "closed");
  EXPECT_EQ(db_->statistics().commits, 0u);
  EXPECT_EQ(db_->memory_report().live_bytes, 0u);
  EXPECT_EQ(db_->directory(), kPath);
  static_cast<void>(db_->keyspaces());
  db_.reset();
}

TEST_F(DatabaseCloseTest, is_busy_at_the_deadline_while_something_is_held) {
  open();
  ASSERT_OK(db_->put("k", "v"));
  ASSERT_OK(db_->flush());
  ASSERT_OK(db_->put("m", "v"));
  const auto expect_busy = [this] {
    EXPECT_FAILS(db_->close(milliseconds(0)), busy, "1 cursors, snapshots or pinned values");
    EXPECT_FAILS(db_->close(milliseconds(-5)), busy, "held");
    ASSERT_OK(db_->put("n", "the database stays usable"));
  };
  {
    Result<Cursor> cursor = db_->scan();
    ASSERT_OK(cursor);
    expect_busy();
    cursor->seek_to_first();
    EXPECT_EQ(cursor->key(), "k");
  }
  {
    Result<Snapshot> snapshot = db_->snapshot();
    expect_busy();
  }
  {
    Result<std::optional<PinnedValue>> of_block = db_->get("k");
    expect_busy();
  }
  {
    Result<std::optional<PinnedValue>> of_memtable = db_->get("m");
    expect_busy();
  }
  EXPECT_EQ(get("n"), "the database stays usable");
  ASSERT_OK(db_->close(milliseconds(0)));
  db_.reset();
}

TEST_F(DatabaseCloseTest, waits_for_what_is_released_in_time) {
  options_.clock = nullptr;
  open();
  ASSERT_OK(db_->put("k", "v"));
  Snapshot snapshot = std::move(*db_->snapshot());
  std::thread releaser([held = std::move(snapshot)]() mutable {
    std::this_thread::sleep_for(milliseconds(20));
    held.release();
  });
  EXPECT_OK(db_->close(std::chrono::minutes(1)));
  releaser.join();
  db_.reset();
}

TEST_F(DatabaseCloseTest, destruction_closes) {
  open();
  ASSERT_OK(db_->put("k", "v", with(Durability::buffered)));
  db_.reset();
  open();
  EXPECT_EQ(get("k"), "v");
}

// A keyspace without a log lost at a clean close what was not yet flushed.
TEST_F(DatabaseCloseTest, keeps_what_no_log_holds) {
  open();
  const Keyspace unlogged = create("unlogged", {.durability = Durability::none});
  ASSERT_OK(db_->put("k", "v", in(unlogged)));
  ASSERT_OK(db_->put("logged", "v"));
  reopen();
  EXPECT_EQ(get("k", from(unlogged)), "v");
  EXPECT_EQ(get("logged"), "v");
  EXPECT_EQ(db_->statistics().flushes, 0u);
}

// Obsolete files were removed only at destruction, when the directory had a new owner maybe.
TEST_F(DatabaseCloseTest, leaves_no_obsolete_files) {
  open();
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 100; ++i) {
      ASSERT_OK(db_->put("key" + std::to_string(i), std::to_string(round)));
    }
    ASSERT_OK(db_->flush());
    {
      Result<Cursor> cursor = db_->scan();  // holds the files of its view
      ASSERT_OK(cursor);
      ASSERT_OK(db_->put("k", "v"));
      ASSERT_OK(db_->compact());
    }
  }
  ASSERT_OK(db_->close());
  check_directory(&files_, kPath);
  EXPECT_EQ(files_with_suffix(disk_.get(), kPath, ".sst").size(), 1u);
  EXPECT_EQ(files_with_suffix(disk_.get(), kPath, ".free").size(), 0u);
  db_.reset();
}

// Each opening begins a log segment; what older ones reserved, or hold in vain, is given back.
TEST_F(DatabaseCloseTest, openings_and_closings_leave_little_log) {
  TempDirectory directory;
  options_.file_system = nullptr;
  options_.memory_budget = 512 << 20;
  options_.write_buffer_size = 64 << 20;
  const std::string path = directory / "db";
  const auto used = [&] {
    uint64_t bytes = 0;
    for (const std::string& name : std::vector<std::string>(*FileSystem::posix()->list(path))) {
      bytes += FileSystem::posix()->info(path + "/" + name)->allocated_bytes;
    }
    return bytes;
  };
  const auto segments = [&] { return files_with_suffix(FileSystem::posix(), path, ".wal").size(); };
  for (int i = 0; i < 30; ++i) {
    Result<std::unique_ptr<Database>> opened = Database::open(options_, path);
    ASSERT_OK(opened);
    if (i == 0) ASSERT_OK((*opened)->put("k", "v"));
    std::string value;
    EXPECT_TRUE(*(*opened)->get("k", &value));
    EXPECT_EQ(value, "v");
    ASSERT_OK((*opened)->close());
    EXPECT_LT(used(), 1u << 20) << i;
    EXPECT_LE(segments(), 10u) << i;
  }
  EXPECT_LE(segments(), 2u) << "nothing in them is needed any more";
}

TEST_F(DatabaseCloseTest, gives_back_descriptors_threads_and_directory) {
  TempDirectory directory;
  options_.file_system = nullptr;
  options_.executor = nullptr;
  options_.clock = nullptr;
  options_.write_buffer_size = 64 * 1024;
  for (int round = 0; round < 3; ++round) {
    Result<std::unique_ptr<Database>> opened = Database::open(options_, directory / "db");
    ASSERT_OK(opened);
    for (int i = 0; i < 1000; ++i) {
      ASSERT_OK((*opened)->put("key" + std::to_string(i), std::string(400, 'v')));
    }
    close_and_check(std::move(*opened), FileSystem::posix());
    baseline_.expect_restored();
  }
}

TEST_F(DatabaseCloseTest, with_queued_and_delayed_steps) {
  options_.executor = nullptr;
  options_.clock = nullptr;
  for (int round = 0; round < 20; ++round) {
    open();
    ASSERT_OK(db_->put("k" + std::to_string(round), "v", with(Durability::buffered)));
    if (round % 2 == 0) ASSERT_OK(db_->flush());
    close();
  }
  open();
  EXPECT_EQ(rows().size(), 20u);
}

}  // namespace
}  // namespace varve::test
