// Closing: what it waits for, what it leaves behind, and what a closed database answers.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lsm/store.h"
#include "memory/allocation_faults.h"
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
    EXPECT_FAILS(db_->close(milliseconds(0)), busy,
                 "1 cursors, snapshots, transactions or pinned values");
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

// What a failed flush concerns is lost with it, and nothing else: not the keyspaces after it, nor
// what only waited to be written to the log.
TEST_F(DatabaseCloseTest, a_flush_that_fails_takes_nothing_else_with_it) {
  open();
  const Keyspace first = create("first", {.durability = Durability::none});
  const Keyspace second = create("second", {.durability = Durability::none});
  ASSERT_OK(db_->put("k", "unlogged", in(first)));
  ASSERT_OK(db_->put("k", "unlogged", in(second)));
  ASSERT_OK(db_->put("k", "logged", with(Durability::buffered)));
  bool failed = false;
  hook_ = [&](const FileCall& call) {
    if (call.kind != FileCall::Kind::create || !call.path.ends_with(".sst") || failed) {
      return Status();
    }
    failed = true;
    return Status::io_error("injected");
  };
  EXPECT_FAILS(db_->close(), io_error, "injected");
  EXPECT_TRUE(failed);
  db_.reset();
  hook_ = nullptr;
  open();
  EXPECT_EQ(get("k"), "logged");
  EXPECT_EQ(get("k", from(first)), "(absent)");
  EXPECT_EQ(get("k", from(second)), "unlogged");
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

// Writers that do not stop by themselves when the database is closed beside them.
// Also for those that are not counted by their bytes.
TEST_F(DatabaseCloseTest, writes_end_when_the_smallest_commit_is_done) {
  options_.write_buffer_size = 5 << 20;
  const Result<StoreOptions> derived = derive_store_options(options_, kPath);
  ASSERT_OK(derived);
  const Result<std::unique_ptr<Store>> store = Store::open(*derived);
  ASSERT_OK(store);
  Store::CommitWait small;
  ASSERT_OK((*store)->admit(100, &small));
  EXPECT_FALSE(small.is_counted);
  std::atomic<bool> ended{false};
  std::thread closer([&] {
    (*store)->end_writes();
    ended.store(true);
  });
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_FALSE(ended.load());
  (*store)->leave(100, small);
  closer.join();
  EXPECT_FAILS((*store)->admit(100, &small), closed, "closed");
  EXPECT_OK((*store)->close());
}

class DatabaseCloseBesideWritersTest : public DatabaseTest {
 protected:
  DatabaseCloseBesideWritersTest() {
    options_.write_buffer_size = 64 * 1024;
    options_.memory_budget = 16 << 20;
  }
  // Until the database answers with something else than ok.
  void begin_writers(size_t count, const std::vector<Keyspace>& keyspaces = {kDefaultKeyspace},
                     bool some_large = true) {
    for (size_t w = 0; w < count; ++w) {
      writers_.emplace_back([this, w, keyspaces, some_large] {
        for (uint32_t i = 0;; ++i) {
          const Keyspace keyspace = keyspaces[i % keyspaces.size()];
          const std::string key = std::to_string(w) + " " + std::to_string(i);
          // The large ones are encoded in memory of the database's.
          const std::string value(some_large && i % 7 == 0 ? 5000 : 100,
                                  static_cast<char>('a' + i % 26));
          const Status status = db_->put(key, value, in(keyspace));
          const std::lock_guard lock(mutex_);
          if (!status.ok()) {
            ends_.push_back(status);
            return;
          }
          acknowledged_[{keyspace.id, key}] = value;
        }
      });
    }
  }
  void close_beside_writers() {
    EXPECT_OK(db_->close());
    for (std::thread& writer : writers_) writer.join();
    EXPECT_EQ(db_->memory_report().live_bytes, 0u) << db_->memory_report().to_string();
    check_directory(&files_, kPath);
    db_.reset();
  }
  void expect_all_acknowledged() {
    hook_ = nullptr;
    open();
    for (const auto& [place, value] : acknowledged_) {
      EXPECT_EQ(get(place.second, from(Keyspace{place.first})), value) << place.second;
    }
    uint64_t found = 0;
    for (const KeyspaceInfo& info : db_->keyspaces()) {
      ScanOptions all;
      all.keyspace = info.keyspace;
      found += rows(all).size();
    }
    EXPECT_EQ(found, acknowledged_.size()) << "what was refused is not there";
  }
  void wait_until_stalled(WaitReason reason, uint64_t writers) {
    while (db_->health().waits[static_cast<size_t>(reason)].waiting < writers) {
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
  size_t acknowledged() {
    const std::lock_guard lock(mutex_);
    return acknowledged_.size();
  }

  std::vector<std::thread> writers_;
  std::mutex mutex_;
  std::map<std::pair<uint32_t, std::string>, std::string> acknowledged_;
  std::vector<Status> ends_;
};

// A commit that was queued while the log was ended was lost, or met memory that was given back.
TEST_F(DatabaseCloseBesideWritersTest, each_queued_commit_is_kept_or_answers_closed) {
  options_.executor = nullptr;
  options_.clock = nullptr;
  for (int round = 0; round < 10; ++round) {
    // Beside the smaller ones every commit is counted by its size, beside the larger ones few.
    options_.write_buffer_size = round % 2 == 0 ? 64 << 10 : 5 << 20;
    open();
    if (round == 0) create("unlogged", {.durability = Durability::none});
    const Keyspace unlogged = *db_->find_keyspace("unlogged");
    acknowledged_.clear();
    ends_.clear();
    writers_.clear();
    for (const auto& [key, value] : rows()) ASSERT_OK(db_->erase(key));
    ScanOptions others;
    others.keyspace = unlogged;
    for (const auto& [key, value] : rows(others)) ASSERT_OK(db_->erase(key, in(unlogged)));
    begin_writers(16, {kDefaultKeyspace, unlogged});
    while (acknowledged() < 200) std::this_thread::yield();
    close_beside_writers();
    EXPECT_EQ(ends_.size(), 16u);
    for (const Status& end : ends_) EXPECT_FAILS(end, closed, "closed");
    expect_all_acknowledged();
    close();
  }
}

TEST_F(DatabaseCloseBesideWritersTest, writers_that_wait_for_a_flush_answer_closed) {
  open();  // nothing is flushed: the executor is the test's
  begin_writers(4);
  wait_until_stalled(WaitReason::memtables, 4);
  close_beside_writers();
  EXPECT_EQ(ends_.size(), 4u);
  for (const Status& end : ends_) EXPECT_FAILS(end, closed, "closed");
  expect_all_acknowledged();
}

TEST_F(DatabaseCloseBesideWritersTest, writers_that_wait_for_memory_answer_closed) {
  open();
  ASSERT_OK(db_->put("k", "v"));
  acknowledged_[{0, "k"}] = "v";
  AllocationFaults::begin(1, UINT64_MAX);
  begin_writers(4, {kDefaultKeyspace}, /*some_large=*/false);
  wait_until_stalled(WaitReason::memory, 1);
  close_beside_writers();
  AllocationFaults::end();
  EXPECT_EQ(ends_.size(), 4u);
  for (const Status& end : ends_) EXPECT_FAILS(end, closed, "closed");
  expect_all_acknowledged();
}

TEST_F(DatabaseCloseBesideWritersTest, writers_that_wait_on_a_full_disk_are_told_so) {
  options_.executor = nullptr;
  options_.clock = nullptr;
  hook_ = [](const FileCall& call) {
    const bool sstable = call.path.find(".sst") != std::string::npos;
    return sstable && call.kind == FileCall::Kind::create
               ? Status(StatusCode::no_space, call.path + ": no space")
               : Status();
  };
  open();
  begin_writers(4);
  for (std::thread& writer : writers_) writer.join();
  writers_.clear();
  for (const Status& end : ends_) EXPECT_FAILS(end, no_space, "no space");
  close_beside_writers();
  expect_all_acknowledged();
}

TEST_F(DatabaseCloseBesideWritersTest, a_flush_and_a_compaction_under_way_are_given_up) {
  options_.clock = nullptr;
  for (int round = 0; round < 3; ++round) {
    options_.executor = &executor_;  // runs pile up
    hook_ = nullptr;
    open();
    ASSERT_OK(db_->compact());
    const auto put = [&](int i) {
      const std::string key = "key" + std::to_string(i);
      const std::string value(300, static_cast<char>('a' + (i + round) % 26));
      ASSERT_OK(db_->put(key, value));
      acknowledged_[{0, key}] = value;
    };
    for (int i = 0; i < 600; ++i) {
      put(i);
      if (i % 30 == 29) ASSERT_OK(db_->flush());
    }
    close();
    options_.executor = nullptr;
    std::atomic<bool> opened{false};
    std::atomic<bool> compacting{false};
    std::atomic<bool> flushing{false};
    hook_ = [&](const FileCall& call) {
      if (call.path.find(".sst") == std::string::npos) return Status();
      if (opened.load() && call.kind == FileCall::Kind::read) compacting = true;
      if (opened.load() && call.kind == FileCall::Kind::create) flushing = true;
      std::this_thread::sleep_for(milliseconds(5));
      return Status();
    };
    open();
    opened = true;
    while (!compacting.load()) std::this_thread::yield();
    for (int i = 0; !flushing.load(); ++i) put(i % 600);
    EXPECT_EQ(db_->statistics().compactions, 0u) << "it is not done yet";
    begin_writers(4);
    close_beside_writers();
    writers_.clear();
    for (const Status& end : ends_) EXPECT_FAILS(end, closed, "closed");
    expect_all_acknowledged();
    EXPECT_OK(db_->verify());
    close();
  }
}

}  // namespace
}  // namespace varve::test
