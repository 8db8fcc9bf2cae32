#include "varve/write_batcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "memory/allocation_faults.h"
#include "tests/support/seeded_test.h"
#include "tests/support/sim_file_system.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

// Bounds that are not reached, but for those that a test sets.
WriteBatcherOptions unbounded() {
  WriteBatcherOptions options;
  options.writes_max = UINT64_MAX;
  options.bytes_max = UINT64_MAX;
  options.age_max = std::nullopt;
  return options;
}

uint64_t batches_of(const WriteBatcher& batcher, BatchCause cause) {
  return batcher.report().batches_by_cause.at(static_cast<size_t>(cause));
}

class WriteBatcherTest : public DatabaseTest {
 protected:
  static bool writes_log(const FileCall& call) {
    return call.kind == FileCall::Kind::write && call.path.ends_with(".wal");
  }
  static bool syncs_log(const FileCall& call) {
    return call.kind == FileCall::Kind::sync && call.path.ends_with(".wal");
  }
};

// -- what is promised --

TEST_F(WriteBatcherTest, writes_are_committed_by_flush_and_not_before) {
  open();
  WriteBatcher batcher(*db_, unbounded());
  const uint64_t commits = db_->statistics().commits;
  ASSERT_OK(batcher.put("a", "1"));
  ASSERT_OK(batcher.put("b", "2"));
  ASSERT_OK(batcher.erase("a"));
  EXPECT_EQ(batcher.taken(), 3u);
  EXPECT_EQ(batcher.committed_through(), 0u);
  EXPECT_EQ(batcher.pending(), 3u);
  EXPECT_EQ(get("b"), "(absent)");
  ASSERT_OK(batcher.flush());
  EXPECT_EQ(batcher.committed_through(), 3u);
  EXPECT_EQ(batcher.pending(), 0u);
  EXPECT_EQ(rows(), (Rows{{"b", "2"}}));
  EXPECT_EQ(db_->statistics().commits, commits + 1);
  EXPECT_EQ(batcher.report().last_commit, now());
  ASSERT_OK(batcher.flush()) << "nothing is pending: nothing is to be done";
  EXPECT_EQ(db_->statistics().commits, commits + 1);
}

TEST_F(WriteBatcherTest, committed_is_durable_and_the_rest_is_lost_in_a_crash) {
  open();
  auto batcher = std::make_unique<WriteBatcher>(*db_, unbounded());
  ASSERT_OK(batcher->put("a", "committed"));
  ASSERT_OK(batcher->flush());
  ASSERT_OK(batcher->put("b", "pending"));
  killed_.store(true);
  batcher.reset();
  kill_and_reopen();
  EXPECT_EQ(rows(), (Rows{{"a", "committed"}}));
}

TEST_F(WriteBatcherTest, a_batch_is_as_durable_as_asked_before_anyone_sees_it) {
  options_.durability = Durability::os;
  open();
  WriteBatcherOptions options = unbounded();
  options.writes_max = 2;
  options.durability = Durability::sync;
  WriteBatcher batcher(*db_, options);
  bool synced = false;
  hook_ = [&](const FileCall& call) {
    if (syncs_log(call)) {
      EXPECT_EQ(get("k"), "(absent)") << "published before its sync";
      EXPECT_EQ(batcher.committed_through(), 0u) << "acknowledged before its sync";
      synced = true;
    }
    return Status();
  };
  ASSERT_OK(batcher.put("k", "v"));
  EXPECT_FALSE(synced);
  ASSERT_OK(batcher.put("l", "v"));
  EXPECT_TRUE(synced);
  EXPECT_EQ(batcher.committed_through(), 2u);
  EXPECT_EQ(get("k"), "v");
  hook_ = nullptr;
}

TEST_F(WriteBatcherTest, keyspaces_commit_together) {
  open();
  const Keyspace other = create("other");
  WriteBatcher batcher(*db_, unbounded());
  ASSERT_OK(batcher.put("k", "default"));
  ASSERT_OK(batcher.put(other, "k", "other"));
  ASSERT_OK(batcher.put(other, "gone", "v"));
  ASSERT_OK(batcher.erase(other, "gone"));
  ASSERT_OK(batcher.flush());
  EXPECT_EQ(get("k"), "default");
  EXPECT_EQ(rows({.keyspace = other}), (Rows{{"k", "other"}}));
  EXPECT_EQ(batcher.report().batches, 1u);
}

// -- when a batch is committed --

TEST_F(WriteBatcherTest, full_by_number_of_writes_repeated_ones_included) {
  open();
  WriteBatcherOptions options = unbounded();
  options.writes_max = 3;
  WriteBatcher batcher(*db_, options);
  ASSERT_OK(batcher.put("k", "1"));
  ASSERT_OK(batcher.put("k", "2"));
  EXPECT_EQ(batcher.committed_through(), 0u);
  ASSERT_OK(batcher.put("k", "3"));
  EXPECT_EQ(batcher.committed_through(), 3u);
  EXPECT_EQ(get("k"), "3");
  for (int i = 0; i < 7; ++i) ASSERT_OK(batcher.put("l", "v"));
  EXPECT_EQ(batcher.committed_through(), 9u);
  EXPECT_EQ(batcher.pending(), 1u);
  EXPECT_EQ(batches_of(batcher, BatchCause::writes), 3u);
  EXPECT_EQ(batcher.report().batches, 3u);
  EXPECT_EQ(batcher.report().writes, 9u);
  EXPECT_EQ(batcher.report().largest_writes, 3u);
}

TEST_F(WriteBatcherTest, full_by_bytes_of_keys_and_values_repeated_ones_included) {
  open();
  WriteBatcherOptions options = unbounded();
  options.bytes_max = 100;
  WriteBatcher batcher(*db_, options);
  ASSERT_OK(batcher.put("k", std::string(49, 'v')));
  ASSERT_OK(batcher.put("k", std::string(48, 'v')));
  EXPECT_EQ(batcher.committed_through(), 0u) << "99 bytes";
  ASSERT_OK(batcher.erase("l"));
  EXPECT_EQ(batcher.committed_through(), 3u);
  EXPECT_EQ(batches_of(batcher, BatchCause::bytes), 1u);
  EXPECT_EQ(batcher.report().bytes, 100u);
  ASSERT_OK(batcher.put("large", std::string(5000, 'v')));
  EXPECT_EQ(batcher.committed_through(), 4u);
  EXPECT_EQ(batcher.report().largest_bytes, 5005u);
  EXPECT_EQ(batcher.report().bytes, 5105u);
}

TEST_F(WriteBatcherTest, old_batches_are_committed_by_writes_and_poll) {
  open();
  WriteBatcherOptions options = unbounded();
  options.age_max = std::chrono::milliseconds(10);
  WriteBatcher batcher(*db_, options);
  clock_.advance(50'000'000);  // an empty batch has no age
  ASSERT_OK(batcher.put("a", "v"));
  clock_.advance(9'999'999);
  ASSERT_OK(batcher.put("b", "v"));
  ASSERT_OK(batcher.poll());
  EXPECT_EQ(batcher.committed_through(), 0u);
  clock_.advance(1);
  ASSERT_OK(batcher.poll());
  EXPECT_EQ(batcher.committed_through(), 2u);
  ASSERT_OK(batcher.put("c", "v"));
  EXPECT_EQ(batcher.committed_through(), 2u) << "the age is that of the batch";
  clock_.advance(10'000'000);
  ASSERT_OK(batcher.put("d", "v"));
  EXPECT_EQ(batcher.committed_through(), 4u);
  EXPECT_EQ(batches_of(batcher, BatchCause::age), 2u);
  EXPECT_EQ(batcher.report().batches, 2u);
}

TEST_F(WriteBatcherTest, without_a_bound_a_batch_may_be_of_any_age) {
  open();
  WriteBatcher batcher(*db_, unbounded());
  ASSERT_OK(batcher.put("a", "v"));
  clock_.advance(3'600'000'000'000);
  ASSERT_OK(batcher.poll());
  ASSERT_OK(batcher.put("b", "v"));
  EXPECT_EQ(batcher.committed_through(), 0u);
}

TEST_F(WriteBatcherTest, of_age_zero_and_of_no_writes_each_write_is_a_batch) {
  open();
  WriteBatcherOptions at_once = unbounded();
  at_once.age_max = std::chrono::nanoseconds(0);
  WriteBatcherOptions none = unbounded();
  none.writes_max = 0;
  for (const WriteBatcherOptions& options : {at_once, none}) {
    WriteBatcher batcher(*db_, options);
    for (uint64_t i = 1; i <= 3; ++i) {
      ASSERT_OK(batcher.put("k", "v"));
      EXPECT_EQ(batcher.committed_through(), i);
    }
    EXPECT_EQ(batcher.report().batches, 3u);
  }
}

TEST_F(WriteBatcherTest, destruction_and_close_commit_what_is_left) {
  open();
  {
    WriteBatcher batcher(*db_, unbounded());
    ASSERT_OK(batcher.put("a", "v"));
  }
  EXPECT_EQ(get("a"), "v");
  WriteBatcher batcher(*db_, unbounded());
  ASSERT_OK(batcher.put("b", "v"));
  EXPECT_GT(live(MemoryRole::batch), 0u);
  ASSERT_OK(batcher.close());
  EXPECT_EQ(get("b"), "v");
  EXPECT_EQ(batches_of(batcher, BatchCause::close), 1u);
  EXPECT_EQ(live(MemoryRole::batch), 0u);
  EXPECT_FAILS(batcher.put("c", "v"), closed, "write batcher");
  EXPECT_FAILS(batcher.erase("c"), closed, "write batcher");
  EXPECT_FAILS(batcher.flush(), closed, "write batcher");
  EXPECT_FAILS(batcher.poll(), closed, "write batcher");
  EXPECT_FAILS(batcher.close(), closed, "write batcher");
  EXPECT_EQ(batcher.committed_through(), 1u);
}

TEST_F(WriteBatcherTest, names_of_causes) {
  EXPECT_STREQ(batch_cause_name(BatchCause::writes), "writes");
  EXPECT_STREQ(batch_cause_name(BatchCause::bytes), "bytes");
  EXPECT_STREQ(batch_cause_name(BatchCause::age), "age");
  EXPECT_STREQ(batch_cause_name(BatchCause::flush), "flush");
  EXPECT_STREQ(batch_cause_name(BatchCause::close), "close");
}

// -- what is not taken --

TEST_F(WriteBatcherTest, a_write_that_no_commit_takes_is_refused_and_the_others_stay) {
  open();
  const Keyspace dropped = create("dropped");
  ASSERT_OK(db_->drop_keyspace(dropped));
  WriteBatcher batcher(*db_, unbounded());
  ASSERT_OK(batcher.put("k", "v"));
  EXPECT_FAILS(batcher.put("", "v"), invalid_argument, "key of 0 bytes");
  EXPECT_FAILS(batcher.erase(std::string(kKeySizeMax + 1, 'k')), invalid_argument, "65537");
  EXPECT_FAILS(batcher.put("k", std::string_view("v", kValueSizeMax)), invalid_argument, "value");
  EXPECT_FAILS(batcher.put(dropped, "k", "v"), not_found, "dropped");
  EXPECT_FAILS(batcher.erase({12345}, "k"), not_found, "12345");
  EXPECT_EQ(batcher.taken(), 1u);
  ASSERT_OK(batcher.flush());
  EXPECT_EQ(get("k"), "v");
}

// Of the largest keys and values together not even one fits, and who asks for larger batches than a
// commit takes gets more of them.
TEST_F(WriteBatcherTest, a_batch_never_exceeds_what_one_commit_takes) {
  options_.memory_budget = 8 << 20;
  options_.write_buffer_size = 512 << 10;
  options_.cache_size = 0;
  options_.executor = nullptr;
  options_.clock = nullptr;
  open();
  WriteBatcher batcher(*db_, unbounded());
  const std::string value(1 << 20, 'v');
  EXPECT_FAILS(batcher.put(std::string(kKeySizeMax, 'k'), value), invalid_argument, "at most");
  constexpr uint64_t kWrites = 2000;
  for (uint64_t i = 0; i < kWrites; ++i) {
    ASSERT_OK(batcher.put("k" + std::to_string(i), value.substr(0, 3000))) << i;
  }
  ASSERT_OK(batcher.put("largest", value));
  ASSERT_OK(batcher.failure());
  ASSERT_OK(batcher.flush());
  EXPECT_EQ(batches_of(batcher, BatchCause::bytes), batcher.report().batches - 1);
  EXPECT_GE(batcher.report().batches, 6u);
  EXPECT_EQ(rows().size(), kWrites + 1);
}

// In a memtable each takes many times its own bytes.
TEST_F(WriteBatcherTest, tiny_writes_without_number_become_batches_that_can_be_committed) {
  options_.memory_budget = kMemoryBudgetMin;
  options_.write_buffer_size = 0;
  options_.cache_size = 0;
  options_.executor = nullptr;
  options_.clock = nullptr;
  open();
  constexpr uint64_t kWrites = 40'000;
  {
    WriteBatcher batcher(*db_, unbounded());
    for (uint64_t i = 0; i < kWrites; ++i) ASSERT_OK(batcher.put(std::to_string(i), "")) << i;
    ASSERT_OK(batcher.flush());
    EXPECT_EQ(batcher.report().failures, 0u);
    EXPECT_GT(batches_of(batcher, BatchCause::bytes), 4u);
  }
  options_.memory_budget = 64 << 20;  // a cursor wants some beside a compaction
  reopen();
  EXPECT_EQ(rows().size(), kWrites);
}

// -- failures --

TEST_F(WriteBatcherTest, a_failed_commit_keeps_the_writes_and_is_tried_again_by_the_next_call) {
  open();
  WriteBatcherOptions options = unbounded();
  options.writes_max = 2;
  WriteBatcher batcher(*db_, options);
  std::atomic<bool> full{true};
  hook_ = [&](const FileCall& call) {
    return full.load() && writes_log(call) ? Status::no_space("the disk is full") : Status();
  };
  ASSERT_OK(batcher.put("a", "v"));
  ASSERT_OK(batcher.put("b", "v")) << "it is taken";
  EXPECT_FAILS(batcher.failure(), no_space, "the disk is full");
  EXPECT_FAILS(batcher.put("c", "v"), no_space, "the disk is full");
  EXPECT_FAILS(batcher.erase("c"), no_space, "the disk is full");
  EXPECT_FAILS(batcher.flush(), no_space, "the disk is full");
  EXPECT_FAILS(batcher.poll(), no_space, "the disk is full");
  EXPECT_FAILS(batcher.close(), no_space, "the disk is full");
  EXPECT_EQ(batcher.report().failures, 6u);
  EXPECT_EQ(batcher.taken(), 2u) << "what was refused is not";
  EXPECT_EQ(batcher.pending(), 2u);
  EXPECT_EQ(batcher.committed_through(), 0u);
  EXPECT_EQ(rows(), Rows{});
  full.store(false);
  ASSERT_OK(batcher.put("c", "v"));
  EXPECT_OK(batcher.failure());
  EXPECT_EQ(batcher.committed_through(), 2u);
  EXPECT_EQ(batches_of(batcher, BatchCause::writes), 1u);
  EXPECT_EQ(rows(), (Rows{{"a", "v"}, {"b", "v"}}));
  ASSERT_OK(batcher.close());
  EXPECT_EQ(rows().size(), 3u);
}

TEST_F(WriteBatcherTest, what_a_dropped_keyspace_holds_up_can_be_discarded) {
  open();
  const Keyspace other = create("other");
  WriteBatcher batcher(*db_, unbounded());
  ASSERT_OK(batcher.put("first", "v"));
  ASSERT_OK(batcher.flush());
  ASSERT_OK(batcher.put("k", "v"));
  ASSERT_OK(batcher.put(other, "k", "v"));
  ASSERT_OK(db_->drop_keyspace(other));
  EXPECT_FAILS(batcher.flush(), not_found, "dropped");
  EXPECT_FAILS(batcher.put("l", "v"), not_found, "dropped");
  EXPECT_EQ(batcher.discard(), 2u);
  EXPECT_OK(batcher.failure());
  EXPECT_EQ(batcher.discard(), 0u);
  EXPECT_EQ(batcher.committed_through(), 1u);
  ASSERT_OK(batcher.put("l", "v"));
  EXPECT_EQ(batcher.taken(), 4u) << "numbers are not given twice";
  ASSERT_OK(batcher.flush());
  EXPECT_EQ(batcher.committed_through(), 4u);
  EXPECT_EQ(batcher.report().discarded, 2u);
  EXPECT_EQ(batcher.report().writes, 2u);
  EXPECT_EQ(rows(), (Rows{{"first", "v"}, {"l", "v"}}));
}

TEST_F(WriteBatcherTest, a_commit_waits_as_long_as_asked) {
  open();
  WriteBatcherOptions options = unbounded();
  options.timeout = std::chrono::nanoseconds(0);
  WriteBatcher batcher(*db_, options);
  // Nobody flushes: the executor stands still. Two write buffers fill up.
  const std::string value(50'000, 'v');
  Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) {
    ASSERT_OK(batcher.put("k" + std::to_string(i), value));
    status = batcher.flush();
  }
  EXPECT_FAILS(status, timed_out, "memtables are full");
  EXPECT_EQ(batcher.pending(), 1u);
  executor_.run_all();
  ASSERT_OK(batcher.flush());
  EXPECT_EQ(rows().size(), batcher.taken());
}

// Whether the batch is on disk nobody knows: it is whole or not there, what was acknowledged before
// is there, and nothing that came later.
TEST_F(WriteBatcherTest, a_failed_sync_leaves_the_outcome_open_and_is_the_only_answer) {
  VARVE_SEEDED_TEST(random);
  options_.durability = Durability::sync;
  options_.clock = nullptr;
  int there = 0;
  const uint64_t rounds = test_iterations(60);
  for (uint64_t round = 0; round < rounds; ++round) {
    SimFileSystem disk(random.next());
    ManualExecutor executor;
    options_.file_system = &disk;
    options_.executor = &executor;
    Result<std::unique_ptr<Database>> opened = Database::open(options_, kPath);
    ASSERT_OK(opened);
    Database& db = **opened;
    WriteBatcherOptions options = unbounded();
    options.writes_max = 3;
    auto batcher = std::make_unique<WriteBatcher>(db, options);
    for (int i = 0; i < 3; ++i) ASSERT_OK(batcher->put("a" + std::to_string(i), "v"));
    EXPECT_EQ(batcher->committed_through(), 3u);
    disk.inject({.error = SimError::io_error, .call = FileCall::Kind::sync, .file = FileType::wal});
    for (int i = 0; i < 3; ++i) ASSERT_OK(batcher->put("b" + std::to_string(i), "v"));
    EXPECT_EQ(disk.faults_met(), 1u);
    EXPECT_FAILS(batcher->failure(), io_error, "known after");
    EXPECT_FAILS(batcher->put("c", "v"), io_error, "known after");
    EXPECT_FAILS(batcher->flush(), io_error, "known after");
    EXPECT_FAILS(batcher->poll(), io_error, "known after");
    EXPECT_FAILS(batcher->close(), io_error, "known after");
    EXPECT_EQ(batcher->committed_through(), 3u);
    EXPECT_EQ(batcher->pending(), 3u);
    EXPECT_EQ(batcher->report().failures, 1u) << "it was tried once";
    std::string value;
    EXPECT_FALSE(*db.get("b0", &value)) << "never seen before it is known";
    if (round % 2 == 0) {
      EXPECT_EQ(batcher->discard(), 3u);
      ASSERT_OK(batcher->put("c", "v"));
      EXPECT_FAILS(batcher->flush(), read_only, "reopen");
    }
    batcher.reset();
    disk.power_off();
    opened->reset();

    const auto pages = static_cast<PagePolicy>(random.below(kPagePolicies));
    const auto names = static_cast<NamePolicy>(random.below(kNamePolicies));
    SCOPED_TRACE(page_policy_name(pages));
    const std::unique_ptr<SimFileSystem> left = disk.crash(pages, names, &random);
    options_.file_system = left.get();
    opened = Database::open(options_, kPath);
    ASSERT_OK(opened);
    int acknowledged = 0;
    int unknown = 0;
    Result<Cursor> cursor = (*opened)->scan();
    ASSERT_OK(cursor);
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
      ++(cursor->key().front() == 'a' ? acknowledged : unknown);
      EXPECT_NE(cursor->key(), "c");
    }
    ASSERT_OK(cursor->status());
    EXPECT_EQ(acknowledged, 3);
    EXPECT_TRUE(unknown == 0 || unknown == 3) << unknown;
    there += unknown == 3;
    *cursor = Cursor();
    opened->reset();
  }
  if (rounds >= 60) {
    EXPECT_GT(there, 0) << "it is really unknown";
    EXPECT_LT(there, static_cast<int>(rounds));
  }
}

TEST_F(WriteBatcherTest, a_database_that_was_closed_takes_nothing_more) {
  open();
  {
    WriteBatcher idle(*db_, unbounded());
    WriteBatcher batcher(*db_, unbounded());
    ASSERT_OK(batcher.put("k", "v"));
    ASSERT_OK(db_->close()) << "a batcher does not hold it open";
    EXPECT_FAILS(batcher.put("l", "v"), closed, "the database is closed");
    EXPECT_FAILS(batcher.erase("k"), closed, "the database is closed");
    EXPECT_FAILS(batcher.flush(), closed, "the database is closed");
    EXPECT_FAILS(batcher.poll(), closed, "the database is closed");
    EXPECT_FAILS(batcher.close(), closed, "the database is closed");
    EXPECT_EQ(batcher.pending(), 1u);
    EXPECT_EQ(batcher.discard(), 1u);
    EXPECT_OK(batcher.close());
    EXPECT_FAILS(idle.flush(), closed, "the database is closed");
    EXPECT_OK(idle.close()) << "it has lost nothing";
  }
  db_.reset();
  open();
  EXPECT_EQ(rows(), Rows{});
}

TEST_F(WriteBatcherTest, destruction_tells_the_logger_what_is_lost) {
  struct Lines final : Logger {
    void write(LogLevel level, std::string_view message) override {
      if (level == LogLevel::error) text.append(message).append("\n");
    }
    std::string text;
  } lines;
  options_.logger = &lines;
  open();
  {
    WriteBatcher batcher(*db_, unbounded());
    ASSERT_OK(batcher.put("k", "v"));
    ASSERT_OK(batcher.put("l", "v"));
    ASSERT_OK(db_->close());
  }
  EXPECT_NE(lines.text.find("2 writes that are not committed: closed"), std::string::npos)
      << lines.text;
  db_.reset();
}

// -- memory --

TEST_F(WriteBatcherTest, memory_is_the_databases_and_a_large_writes_is_given_back) {
  open();
  WriteBatcherOptions options = unbounded();
  options.bytes_max = 10'000;
  WriteBatcher batcher(*db_, options);
  const auto fill = [&] {
    for (int i = 0; i < 1000; ++i) ASSERT_OK(batcher.put("k" + std::to_string(i), "0123456789"));
  };
  fill();
  const uint64_t before = live(MemoryRole::batch);
  EXPECT_GT(before, 0u);
  EXPECT_LT(before, 10'000 * 3 / 2 + 1000 * 150u);
  fill();
  EXPECT_EQ(live(MemoryRole::batch), before) << "kept, and used again";
  ASSERT_OK(batcher.put("large", std::string(1 << 20, 'v')));
  EXPECT_OK(batcher.failure());
  EXPECT_EQ(batcher.pending(), 0u);
  EXPECT_LE(live(MemoryRole::batch), before);
}

TEST_F(WriteBatcherTest, refused_more_memory_it_commits_what_it_has) {
  open();
  WriteBatcher batcher(*db_, unbounded());
  const AllThroughSlabs all;
  const std::string value(100, 'v');
  for (int i = 0; i < 200; ++i) ASSERT_OK(batcher.put("k" + std::to_string(i), value));
  AllocationFaults::begin(1);
  for (int i = 200; AllocationFaults::refused() == 0 && i < 1000; ++i) {
    ASSERT_OK(batcher.put("k" + std::to_string(i), value));
  }
  AllocationFaults::end();
  EXPECT_EQ(batches_of(batcher, BatchCause::bytes), 1u);
  EXPECT_EQ(batcher.pending(), 1u);
  ASSERT_OK(batcher.flush());
  EXPECT_EQ(rows().size(), batcher.taken());
}

TEST_F(WriteBatcherTest, a_write_that_is_refused_memory_is_not_taken) {
  open();
  WriteBatcherOptions options = unbounded();
  options.timeout = std::chrono::nanoseconds(0);
  WriteBatcher batcher(*db_, options);
  {
    const AllThroughSlabs all;
    AllocationFaults::begin(1, UINT64_MAX);
    const Status status = batcher.put("k", "v");
    AllocationFaults::end();
    EXPECT_FAILS(status, timed_out, "the memory budget is full");
  }
  EXPECT_EQ(batcher.taken(), 0u);
  ASSERT_OK(batcher.put("k", "v"));
  ASSERT_OK(batcher.flush());
  EXPECT_EQ(get("k"), "v");
}

// -- threads --

// Each thread has one of its own; all of them meet in the same groups, and the database is closed
// beside them. What each was told is committed is there, in the order of its stream.
TEST_F(WriteBatcherTest, many_side_by_side_and_beside_close) {
  options_.executor = nullptr;
  options_.clock = nullptr;
  open();
  constexpr int kThreads = 4;
  constexpr uint64_t kWritesMin = 2000;
  struct Stream {
    uint64_t taken = 0;
    uint64_t committed = 0;
    StatusCode end = StatusCode::ok;
  };
  std::vector<Stream> streams(kThreads);
  std::atomic<int> well_under_way{0};
  const auto key = [](int thread, uint64_t write) {
    return std::to_string(thread) + "/" + std::to_string(1'000'000'000 + write);
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      WriteBatcherOptions options;
      options.writes_max = 20 + static_cast<uint64_t>(t);
      WriteBatcher batcher(*db_, options);
      Status status;
      for (uint64_t i = 1; status.ok(); ++i) {
        status = batcher.put(key(t, i), std::string(20, 'v'));
        if (i == kWritesMin) ++well_under_way;
      }
      streams[static_cast<size_t>(t)] = {
          .taken = batcher.taken(), .committed = batcher.committed_through(), .end = status.code()};
      batcher.discard();
    });
  }
  while (well_under_way.load() < kThreads) std::this_thread::yield();
  ASSERT_OK(db_->close());
  for (std::thread& thread : threads) thread.join();
  db_.reset();
  open();
  for (int t = 0; t < kThreads; ++t) {
    const Stream& stream = streams[static_cast<size_t>(t)];
    EXPECT_EQ(stream.end, StatusCode::closed);
    EXPECT_GE(stream.committed, kWritesMin - 40);
    const std::string prefix = std::to_string(t) + "/";
    uint64_t there = 0;
    for (const auto& [found, value] : rows({.prefix = prefix})) {
      ASSERT_EQ(found, key(t, ++there));
    }
    EXPECT_EQ(there, stream.committed) << "a beginning of the stream that ends with a batch";
    EXPECT_LT(stream.taken - stream.committed, 20u + static_cast<uint64_t>(t) + 1);
  }
}

}  // namespace
}  // namespace varve::test
