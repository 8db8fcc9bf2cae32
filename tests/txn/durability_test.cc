// What an acknowledgement promises at each level, in the order of the file calls that keep it; and
// what becomes of a database whose disk fails or fills up.

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class DurabilityTest : public DatabaseTest {
 protected:
  static bool is_log(const FileCall& call) { return call.path.ends_with(".wal"); }
  void count_log_calls() {
    hook_ = [this](const FileCall& call) {
      if (is_log(call) && call.kind == FileCall::Kind::sync) ++syncs_;
      if (is_log(call) && call.kind == FileCall::Kind::write) ++writes_;
      return Status();
    };
  }
  // From now on the first call for which `meant` is true fails with `status`, and the following
  // ones if `sticky`.
  void fail(std::function<bool(const FileCall&)> meant, const Status& status, bool sticky = false) {
    failed_.store(0);
    hook_ = [this, meant = std::move(meant), status, sticky](const FileCall& call) {
      if (!meant(call) || (failed_.fetch_add(1) != 0 && !sticky)) return Status();
      return status.with_context(call.path);
    };
  }

  std::atomic<int> syncs_{0};
  std::atomic<int> writes_{0};
  std::atomic<int> failed_{0};
};

TEST_F(DurabilityTest, sync_is_on_disk_before_anyone_reads_it) {
  open();
  ASSERT_OK(db_->put("k", "old"));
  bool synced = false;
  hook_ = [&](const FileCall& call) {
    if (is_log(call) && call.kind == FileCall::Kind::sync) {
      EXPECT_EQ(get("k"), "old") << "published before its sync";
      synced = true;
    }
    return Status();
  };
  ASSERT_OK(db_->put("k", "new", with(Durability::sync)));
  EXPECT_TRUE(synced);
  EXPECT_EQ(get("k"), "new");
}

TEST_F(DurabilityTest, os_is_written_and_not_synced) {
  open();
  count_log_calls();
  ASSERT_OK(db_->put("k", "v", with(Durability::os)));
  EXPECT_EQ(writes_.load(), 1);
  EXPECT_EQ(syncs_.load(), 0);
  kill_and_reopen();
  EXPECT_EQ(get("k"), "v");
}

TEST_F(DurabilityTest, buffered_is_synced_within_the_loss_window) {
  open();
  count_log_calls();
  ASSERT_OK(db_->put("k", "v", with(Durability::buffered)));
  ASSERT_OK(db_->put("l", "v", with(Durability::none)));  // counts as buffered where there is a log
  EXPECT_EQ(writes_.load(), 0);
  EXPECT_EQ(get("k"), "v");
  executor_.run_all();  // delays ignored
  EXPECT_EQ(syncs_.load(), 1);
  kill_and_reopen();
  EXPECT_EQ(get("k"), "v");
  EXPECT_EQ(get("l"), "v");
}

// The weaker one was once forgotten beside the other, which asks for no sync at all.
TEST_F(DurabilityTest, buffered_beside_os_is_synced_within_the_loss_window_too) {
  open();
  const Keyspace buffered = create("buffered", {.durability = Durability::buffered});
  executor_.run_all(4);
  const uint64_t before = db_->statistics().log_syncs;
  WriteBatch batch;
  ASSERT_OK(batch.put("k", "os"));
  ASSERT_OK(batch.put(buffered, "k", "buffered"));
  ASSERT_OK(db_->write(batch));
  executor_.run_all(4);
  EXPECT_GT(db_->statistics().log_syncs, before);
}

TEST_F(DurabilityTest, buffered_commits_that_a_kill_loses_are_a_suffix) {
  open();
  for (int i = 0; i < 20; ++i) {
    ASSERT_OK(db_->put("k" + std::to_string(100 + i), "v",
                       with(i == 11 ? Durability::os : Durability::buffered)));
  }
  kill_and_reopen();
  EXPECT_EQ(rows().size(), 12u) << "all before the one that was written, none after it";
  EXPECT_EQ(rows().back().first, "k111");
}

// The step that syncs was taken to be still waiting while it already ran: a commit that came then
// stayed unsynced until the next one.
TEST_F(DurabilityTest, buffered_commit_during_a_sync_step_is_synced_by_another) {
  open();
  ASSERT_OK(db_->put("first", "v", with(Durability::buffered)));
  std::atomic<int> syncs{0};
  hook_ = [&](const FileCall& call) {
    if (is_log(call) && call.kind == FileCall::Kind::sync && syncs.fetch_add(1) == 0) {
      std::thread([this] {
        ASSERT_OK(db_->put("second", "v", with(Durability::buffered)));
      }).join();
    }
    return Status();
  };
  executor_.run_all();
  executor_.run_all();  // the other was queued with a delay
  EXPECT_EQ(syncs.load(), 2);
  kill_and_reopen();
  EXPECT_EQ(get("first"), "v");
  EXPECT_EQ(get("second"), "v");
}

TEST_F(DurabilityTest, keyspaces_have_levels_of_their_own) {
  open();
  const Keyspace careful = create("careful", {.durability = Durability::sync});
  const Keyspace careless = create("careless", {.durability = Durability::buffered});
  count_log_calls();
  ASSERT_OK(db_->put("k", "v", in(careless)));
  EXPECT_EQ(writes_.load(), 0);
  ASSERT_OK(db_->put("k", "v", in(careful)));
  EXPECT_EQ(syncs_.load(), 1);
  WriteBatch batch;
  ASSERT_OK(batch.put(careless, "l", "v"));
  ASSERT_OK(batch.put(careful, "l", "v"));
  ASSERT_OK(db_->write(batch));
  EXPECT_EQ(syncs_.load(), 2) << "the strongest of a batch counts";
  ASSERT_OK(db_->write(batch, with(Durability::os)));
  EXPECT_EQ(syncs_.load(), 2) << "unless the write says otherwise";
}

TEST_F(DurabilityTest, flush_syncs_the_log_before_it_is_installed) {
  open();
  ASSERT_OK(db_->put("k", "v", with(Durability::buffered)));
  std::string order;
  hook_ = [&](const FileCall& call) {
    if (call.kind == FileCall::Kind::sync) {
      order += call.path.ends_with(".wal") ? 'l' : call.path.ends_with(".sst") ? 's' : 'm';
    }
    if (call.kind == FileCall::Kind::sync_directory) order += 'd';
    return Status();
  };
  ASSERT_OK(db_->flush());
  EXPECT_EQ(order, "lsdm") << "log, sstable, its name, manifest";
}

// -- failures --

TEST_F(DurabilityTest, failed_sync_of_the_log_makes_it_read_only_until_reopened) {
  open();
  ASSERT_OK(db_->put("before", "v", with(Durability::sync)));
  fail([](const FileCall& call) { return is_log(call) && call.kind == FileCall::Kind::sync; },
       Status::io_error("injected"));
  EXPECT_FAILS(db_->put("during", "v", with(Durability::sync)), io_error, "injected");
  EXPECT_EQ(get("during"), "(absent)");
  EXPECT_FAILS(db_->put("after", "v", with(Durability::buffered)), read_only, "injected");
  EXPECT_FAILS(db_->erase("before"), read_only, "until reopened");
  EXPECT_FAILS(db_->create_keyspace("k"), read_only, "");
  EXPECT_FAILS(db_->flush(), read_only, "");
  EXPECT_FAILS(db_->compact(), read_only, "");
  EXPECT_EQ(get("before"), "v");
  EXPECT_EQ(rows(), (Rows{{"before", "v"}}));
  ASSERT_OK(db_->verify());
  EXPECT_FAILS(db_->close(), read_only, "injected");
  db_.reset();
  hook_ = nullptr;
  open();
  EXPECT_EQ(get("before"), "v");
  const std::string during = get("during");
  EXPECT_TRUE(during == "v" || during == "(absent)") << "indeterminate, and then settled";
  kill_and_reopen();
  EXPECT_EQ(get("during"), during);
  ASSERT_OK(db_->put("after", "v"));
}

TEST_F(DurabilityTest, failed_write_of_the_log_makes_it_read_only) {
  open();
  fail([](const FileCall& call) { return is_log(call) && call.kind == FileCall::Kind::write; },
       Status::io_error("injected"));
  EXPECT_FAILS(db_->put("k", "v"), io_error, "injected");
  EXPECT_FAILS(db_->put("k", "v"), read_only, "injected");
  EXPECT_EQ(get("k"), "(absent)");
  static_cast<void>(db_->close());
  db_.reset();
  open();
  EXPECT_EQ(get("k"), "(absent)");
}

TEST_F(DurabilityTest, failed_manifest_makes_it_read_only_and_keeps_everything) {
  for (const FileCall::Kind kind : {FileCall::Kind::write, FileCall::Kind::sync}) {
    open();
    ASSERT_OK(db_->put("k", "v"));
    fail(
        [kind](const FileCall& call) {
          return call.path.ends_with(".manifest") && call.kind == kind;
        },
        Status::io_error("injected"));
    EXPECT_FAILS(db_->flush(), read_only, "injected");
    EXPECT_EQ(get("k"), "v");
    static_cast<void>(db_->close());
    db_.reset();
    hook_ = nullptr;
    open();
    EXPECT_EQ(get("k"), "v");
    ASSERT_OK(db_->verify());
    close();
  }
}

TEST_F(DurabilityTest, failed_sstable_fails_the_flush_and_loses_nothing) {
  for (const FileCall::Kind kind : {FileCall::Kind::create, FileCall::Kind::write,
                                    FileCall::Kind::sync, FileCall::Kind::close}) {
    open();
    ASSERT_OK(db_->put("k", std::string(5000, 'v')));
    fail([kind](const FileCall& call) { return call.path.ends_with(".sst") && call.kind == kind; },
         Status::io_error("injected"));
    EXPECT_FAILS(db_->flush(), io_error, "injected");
    EXPECT_EQ(get("k"), std::string(5000, 'v'));
    ASSERT_OK(db_->put("beside", "it"));
    kill();
    hook_ = nullptr;
    open();
    EXPECT_EQ(get("k"), std::string(5000, 'v'));
    EXPECT_EQ(get("beside"), "it");
    ASSERT_OK(db_->flush());
    EXPECT_EQ(get("k"), std::string(5000, 'v'));
    close();
  }
}

// A file that failed keeps its number: one of the same name could be taken for it, or removed in
// its place.
TEST_F(DurabilityTest, numbers_of_files_that_failed_are_not_given_again) {
  options_.write_buffer_size = 64 * 1024;
  std::set<std::string> created;
  int sstables = 0;
  hook_ = [&](const FileCall& call) {
    const bool sstable = call.path.ends_with(".sst");
    const bool numbered =
        sstable || call.path.ends_with(".wal") || call.path.ends_with(".manifest");
    if (call.kind == FileCall::Kind::create && numbered) {
      EXPECT_TRUE(created.insert(call.path).second) << call.path;
      sstables += sstable ? 1 : 0;
    }
    // Some fail as they are made, some when there is something in them.
    const bool fails = sstables % 3 == 0 ? call.kind == FileCall::Kind::create
                                         : call.kind == FileCall::Kind::write;
    return sstable && sstables % 3 != 2 && fails ? Status(StatusCode::no_space, "injected")
                                                 : Status();
  };
  open();
  for (int round = 0; round < 30; ++round) {
    ASSERT_OK(db_->put("k" + std::to_string(round % 7), std::string(2000, 'v')));
    static_cast<void>(round % 10 == 9 ? db_->compact() : db_->flush());
  }
  EXPECT_GT(sstables, 30);
  // What is there may not be met again either.
  const auto survivors = created;
  for (const std::string& path : survivors) {
    if (!disk_->info(path).ok()) created.erase(path);
  }
  kill_and_reopen();
  ASSERT_OK(db_->put("k", "v"));
  static_cast<void>(db_->flush());
  hook_ = nullptr;
  EXPECT_EQ(rows().size(), 8u);
}

// Each call that can meet a full disk, once: the write or flush is refused, nothing acknowledged is
// lost, and it goes on when there is room, without reopening.
TEST_F(DurabilityTest, full_disk_refuses_and_heals_by_itself) {
  options_.write_buffer_size = 64 * 1024;  // log segments of 256 KiB
  const auto kinds = {FileCall::Kind::create, FileCall::Kind::allocate, FileCall::Kind::write};
  for (const char* suffix : {".wal", ".sst", ".manifest"}) {
    for (const FileCall::Kind kind : kinds) {
      SCOPED_TRACE(std::string(suffix) + " kind " + std::to_string(static_cast<int>(kind)));
      open();
      std::string acknowledged;
      int refused = 0;
      fail([&](const FileCall& call) { return call.path.ends_with(suffix) && call.kind == kind; },
           Status::no_space("injected"));
      WriteOptions options;
      options.timeout = std::chrono::nanoseconds(0);
      for (int i = 0; i < 800; ++i) {
        Status status = db_->put("k", std::to_string(i) + std::string(1000, 'v'), options);
        if (status.ok()) {
          acknowledged = std::to_string(i);
        } else if (status.code() == StatusCode::no_space) {
          ++refused;
        } else {
          ASSERT_EQ(status.code(), StatusCode::timed_out) << status.to_string();
        }
        executor_.run_all(2);
      }
      EXPECT_LE(refused, 20);
      EXPECT_EQ(acknowledged, "799") << "writes go on";
      Status flushed = db_->flush();
      if (!flushed.ok()) EXPECT_EQ(flushed.code(), StatusCode::no_space) << flushed.to_string();
      ASSERT_OK(db_->flush());
      EXPECT_EQ(get("k").substr(0, 4), "799v");
      hook_ = nullptr;  // not every kind of call is made before the next opening
      kill_and_reopen();
      EXPECT_EQ(get("k").substr(0, 4), "799v");
      ASSERT_OK(db_->verify());
      close();
      ASSERT_OK(disk_->list(kPath));
    }
  }
}

// A process that has used up its descriptors can close some: that is no reason to stop for good.
TEST_F(DurabilityTest, descriptors_that_run_out_heal_by_themselves) {
  options_.write_buffer_size = 64 * 1024;
  open();
  for (const char* suffix : {".wal", ".sst"}) {
    SCOPED_TRACE(suffix);
    fail(
        [&](const FileCall& call) {
          return call.path.ends_with(suffix) && call.kind == FileCall::Kind::create;
        },
        Status::busy("too many open files"));
    int refused = 0;
    WriteOptions options;
    options.timeout = std::chrono::nanoseconds(0);
    for (int i = 0; i < 600; ++i) {
      Status status = db_->put("k", std::to_string(i) + std::string(1000, 'v'), options);
      if (!status.ok()) {
        ++refused;
        ASSERT_TRUE(status.code() == StatusCode::busy || status.code() == StatusCode::timed_out)
            << status.to_string();
      }
      executor_.run_all(4);
    }
    EXPECT_LE(refused, 20);
    hook_ = nullptr;
    ASSERT_OK(db_->put("k", "last"));
    ASSERT_OK(db_->flush());
    EXPECT_EQ(get("k"), "last");
  }
}

// An opening has to write too: it is refused, and loses nothing.
TEST_F(DurabilityTest, full_disk_refuses_an_opening_and_nothing_is_lost) {
  open();
  ASSERT_OK(db_->put("k", "flushed"));
  ASSERT_OK(db_->flush());
  ASSERT_OK(db_->put("l", "logged"));
  kill();
  for (const FileCall::Kind kind :
       {FileCall::Kind::create, FileCall::Kind::allocate, FileCall::Kind::write}) {
    // A segment of the log gets its name when it has begun.
    for (const char* suffix : {".manifest", ".free", ".tmp"}) {
      if (suffix == std::string_view(".tmp") && kind == FileCall::Kind::allocate) continue;
      SCOPED_TRACE(std::string(suffix) + " kind " + std::to_string(static_cast<int>(kind)));
      fail([&](const FileCall& call) { return call.path.ends_with(suffix) && call.kind == kind; },
           Status::no_space("injected"));
      EXPECT_FAILS(try_open(), no_space, "injected");
      hook_ = nullptr;
      open();
      EXPECT_EQ(rows(), (Rows{{"k", "flushed"}, {"l", "logged"}}));
      kill();
    }
  }
  open();
}

TEST_F(DurabilityTest, disk_that_stays_full_refuses_writes_and_serves_reads) {
  options_.write_buffer_size = 64 * 1024;
  open();
  ASSERT_OK(db_->put("k", "v"));
  fail(
      [](const FileCall& call) {
        return call.kind == FileCall::Kind::write || call.kind == FileCall::Kind::allocate ||
               call.kind == FileCall::Kind::create;
      },
      Status::no_space("injected"), /*sticky=*/true);
  for (int i = 0; i < 50; ++i) {
    EXPECT_FAILS(db_->put("l" + std::to_string(i), "v"), no_space, "injected");
    executor_.run_all(3);
  }
  EXPECT_EQ(rows(), (Rows{{"k", "v"}}));
  hook_ = nullptr;
  ASSERT_OK(db_->put("m", "v"));
  ASSERT_OK(db_->flush());
  kill_and_reopen();
  EXPECT_EQ(rows(), (Rows{{"k", "v"}, {"m", "v"}}));
}

TEST_F(DurabilityTest, failed_reads_are_errors_and_never_absence) {
  options_.cache_size = 4096;
  open();
  for (int i = 0; i < 300; ++i) ASSERT_OK(db_->put("k" + std::to_string(i), std::string(50, 'v')));
  ASSERT_OK(db_->flush());
  fail(
      [](const FileCall& call) {
        return call.path.ends_with(".sst") && call.kind == FileCall::Kind::read;
      },
      Status::io_error("injected"), /*sticky=*/true);
  int failed = 0;
  for (int i = 0; i < 300; ++i) {
    std::string value;
    Result<bool> found = db_->get("k" + std::to_string(i), &value);
    failed += !found.ok();
    EXPECT_TRUE(!found.ok() || *found);
  }
  EXPECT_GT(failed, 200);
  {
    Result<Cursor> cursor = db_->scan();
    ASSERT_OK(cursor);
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
    }
    EXPECT_FAILS(cursor->status(), io_error, "injected");
  }
  // A merge that cannot read its input writes nothing.
  ASSERT_OK(db_->put("other", "v"));
  EXPECT_FAILS(db_->compact(), io_error, "injected");
  hook_ = nullptr;
  EXPECT_EQ(rows().size(), 301u);
  static_cast<void>(db_->close());
  db_.reset();
  open();
  EXPECT_EQ(rows().size(), 301u);
}

TEST_F(DurabilityTest, several_gets_fail_with_whichever_read_fails) {
  options_.cache_size = 4096;
  open();
  for (int i = 0; i < 300; ++i) ASSERT_OK(db_->put("k" + std::to_string(i), std::string(50, 'v')));
  ASSERT_OK(db_->flush());
  const std::vector<std::string_view> keys = {"k299", "k1", "absent", "k50", "k150", "k222"};
  for (int nth = 1;; ++nth) {
    SCOPED_TRACE("read " + std::to_string(nth));
    int reads = 0;
    fail(
        [&](const FileCall& call) {
          return call.path.ends_with(".sst") && call.kind == FileCall::Kind::read && ++reads == nth;
        },
        Status::io_error("injected"), /*sticky=*/false);
    Result<Transaction> transaction = db_->begin();
    ASSERT_OK(transaction);
    const auto get_all = [&](std::vector<std::optional<PinnedValue>>* values) {
      return nth % 2 == 0 ? transaction->multi_get(keys, *values) : db_->multi_get(keys, *values);
    };
    std::vector<std::optional<PinnedValue>> values(keys.size());
    const Status status = get_all(&values);
    hook_ = nullptr;
    if (reads >= nth) {
      EXPECT_FAILS(status, io_error, "injected");
    } else {
      EXPECT_OK(status);
    }
    // Nothing of the failure is left behind, in the cache or elsewhere.
    std::vector<std::optional<PinnedValue>> again(keys.size());
    ASSERT_OK(get_all(&again));
    for (size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(again[i].has_value(), keys[i] != "absent");
    if (reads < nth) {
      EXPECT_GT(nth, 5) << "blocks of five keys";
      break;
    }
  }
}

// -- waiting --

TEST_F(DurabilityTest, write_that_finds_no_room_in_time_is_timed_out_and_not_there) {
  options_.write_buffer_size = 64 * 1024;
  open();
  WriteOptions options;
  options.timeout = std::chrono::nanoseconds(0);
  Status status;
  int i = 0;
  for (; i < 1000 && status.ok(); ++i) {
    status = db_->put("k" + std::to_string(i), std::string(1000, 'v'), options);
  }
  EXPECT_FAILS(status, timed_out, "flushes are behind");
  EXPECT_LT(i, 400);
  options.timeout = std::chrono::nanoseconds(-1);
  EXPECT_FAILS(db_->put("k", "v", options), timed_out, "");
  EXPECT_EQ(get("k" + std::to_string(i - 1)), "(absent)");
  executor_.run_all();
  ASSERT_OK(db_->put("k", "v", options));
  EXPECT_GE(db_->statistics().write_stalls, 2u);
}

// One commit that alone exceeds what memtables may hold: the next waited for ever, since only a
// commit's leader begins a new memtable.
TEST_F(DurabilityTest, commit_larger_than_the_write_buffer_does_not_block_the_next) {
  options_.write_buffer_size = 64 * 1024;
  open();
  WriteOptions options;
  options.timeout = std::chrono::nanoseconds(0);
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(db_->put("k" + std::to_string(i), std::string(1 << 20, 'v'), options));
    ASSERT_OK(db_->put("l", "v", options));
    executor_.run_all();
  }
  EXPECT_EQ(rows().size(), 6u);
  EXPECT_GE(db_->statistics().flushes, 4u);
}

// A keyspace that is written once must not keep the log of all others for ever.
TEST_F(DurabilityTest, cold_keyspace_does_not_hold_the_log_back) {
  options_.write_buffer_size = 64 * 1024;
  open();
  const Keyspace cold = create("cold");
  ASSERT_OK(db_->put("k", "v", in(cold)));
  for (int i = 0; i < 4000; ++i) {
    ASSERT_OK(db_->put("k" + std::to_string(i % 10), std::string(1000, 'v')));
    executor_.run_all();
  }
  EXPECT_LT(db_->statistics().log_bytes, 2u << 20) << "of 4 MiB written";
  EXPECT_EQ(get("k", from(cold)), "v");
}

}  // namespace
}  // namespace varve::test
