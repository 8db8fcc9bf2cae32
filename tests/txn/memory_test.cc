// Whose memory it is: every role is seen at work, and all of them are empty after close.

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class MemoryTest : public DatabaseTest {
 protected:
  uint64_t high_water(MemoryRole role) {
    return db_->memory_report().roles[static_cast<size_t>(role)].high_water_bytes;
  }
};

TEST_F(MemoryTest, each_role_is_seen_non_zero) {
  open();
  EXPECT_GT(live(MemoryRole::memtable), 0u);
  EXPECT_GT(live(MemoryRole::control), 0u);
  {
    const uint64_t before = live_batch_bytes();
    WriteBatch batch;
    ASSERT_OK(batch.put("k", "v"));
    EXPECT_GT(live_batch_bytes(), before);
    EXPECT_EQ(live(MemoryRole::batch), 0u) << "it belongs to no database";
    WriteBatch of_database(*db_);
    ASSERT_OK(of_database.put("k", "v"));
    EXPECT_GT(live(MemoryRole::batch), 0u);
    batch = std::move(of_database);
    EXPECT_EQ(batch.count(), 1u);
  }
  EXPECT_EQ(live(MemoryRole::batch), 0u);
  ASSERT_OK(db_->put("large", std::string(10'000, 'v')));
  EXPECT_GT(live(MemoryRole::batch), 0u) << "too large for the stack";
  EXPECT_GT(live(MemoryRole::log_buffer), 0u);
  for (int i = 0; i < 200; ++i) ASSERT_OK(db_->put("k" + std::to_string(i), std::string(100, 'v')));
  ASSERT_OK(db_->flush());
  EXPECT_GT(high_water(MemoryRole::sstable_builder), 0u);
  EXPECT_EQ(live(MemoryRole::sstable_builder), 0u);
  EXPECT_GT(live(MemoryRole::index), 0u);
  get("k1");
  EXPECT_GT(live(MemoryRole::filter), 0u);
  EXPECT_GT(live(MemoryRole::block_frames), 0u);
  {
    Result<Cursor> cursor = db_->scan();
    ASSERT_OK(cursor);
    EXPECT_GT(live(MemoryRole::cursor), 0u);
    Result<Snapshot> snapshot = db_->snapshot();
    ASSERT_OK(snapshot);
    EXPECT_GT(live(MemoryRole::snapshot_registry), 0u);
  }
  ASSERT_OK(db_->put("k1", "v"));
  ASSERT_OK(db_->compact());
  EXPECT_GT(high_water(MemoryRole::compaction), 0u);
  EXPECT_EQ(live(MemoryRole::compaction), 0u);
  const Keyspace unlogged = create("unlogged", {.durability = Durability::none});
  WriteBatch mixed;
  ASSERT_OK(mixed.put("k", "v"));
  ASSERT_OK(mixed.put(unlogged, "k", "v"));
  ASSERT_OK(db_->write(mixed));
  EXPECT_GT(live(MemoryRole::commit_queue), 0u);
  // close_and_check() in TearDown sees each of them at zero.
}

TEST_F(MemoryTest, report_adds_up) {
  open();
  for (int i = 0; i < 1000; ++i)
    ASSERT_OK(db_->put("k" + std::to_string(i), std::string(100, 'v')));
  ASSERT_OK(db_->flush());
  EXPECT_EQ(rows().size(), 1000u);
  const MemoryReport report = db_->memory_report();
  EXPECT_EQ(report.budget_bytes, options_.memory_budget);
  uint64_t live = 0;
  for (const MemoryReport::Role& role : report.roles) {
    live += role.live_bytes;
    EXPECT_GE(role.high_water_bytes, role.live_bytes);
  }
  EXPECT_EQ(report.live_bytes, live);
  EXPECT_EQ(report.held_bytes, report.live_bytes + report.idle_bytes);
  bool cursors = false;
  for (const PoolStatistics& pool : report.pools) {
    EXPECT_EQ(pool.acquired, pool.reused + pool.missed) << pool.name;
    EXPECT_LE(pool.in_use, pool.high_water) << pool.name;
    cursors |= pool.name == "cursor" && pool.acquired == 1;
  }
  EXPECT_TRUE(cursors);
  EXPECT_NE(report.to_string().find("block_frames"), std::string::npos);
}

TEST_F(MemoryTest, pools_reuse_what_was_released) {
  open();
  ASSERT_OK(db_->put("k", "v"));
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(db_->scan());
    ASSERT_OK(db_->snapshot());
  }
  for (const PoolStatistics& pool : db_->memory_report().pools) {
    if (pool.name == "cursor" || pool.name == "snapshot") {
      EXPECT_EQ(pool.acquired, 10u) << pool.name;
      EXPECT_EQ(pool.missed, 1u) << pool.name;
      EXPECT_EQ(pool.in_use, 0u) << pool.name;
    }
  }
}

TEST_F(MemoryTest, flushed_memtables_and_dropped_keyspaces_give_theirs_back) {
  options_.write_buffer_size = 4 << 20;
  open();
  const uint64_t empty = live(MemoryRole::memtable);
  const Keyspace keyspace = create("k");
  for (int i = 0; i < 500; ++i) {
    ASSERT_OK(db_->put("k" + std::to_string(i), std::string(1000, 'v')));
    ASSERT_OK(db_->put("k" + std::to_string(i), std::string(1000, 'v'), in(keyspace)));
  }
  EXPECT_GT(live(MemoryRole::memtable), 1u << 20);
  ASSERT_OK(db_->drop_keyspace(keyspace));
  ASSERT_OK(db_->flush());
  ASSERT_OK(db_->wait_for_background());
  // Two memtables, each sized for as many keys as the one before.
  EXPECT_LT(live(MemoryRole::memtable), 3 * empty + 128 * 1024);
}

// Flushed memtables once waited for dozens of retirements until they were freed: six write buffers
// were held instead of two.
TEST_F(MemoryTest, memtables_stay_within_two_write_buffers) {
  options_.executor = nullptr;  // threads
  options_.clock = nullptr;
  open();
  for (int i = 0; i < 40'000; ++i) {
    ASSERT_OK(db_->put("key" + std::to_string(i * 7919 % 40'000), std::string(1000, 'v')));
  }
  ASSERT_GT(db_->statistics().flushes, 20u);
  const uint64_t high_water =
      db_->memory_report().roles[static_cast<size_t>(MemoryRole::memtable)].high_water_bytes;
  // A memtable ends with the group that fills it; a new one has its hash table before it counts.
  EXPECT_LT(high_water, 2 * options_.write_buffer_size + options_.write_buffer_size / 4);
}

// To make a memtable takes time that all commits would wait for; so one is made while another
// fills.
class NextMemtableTest : public MemoryTest {
 protected:
  void put_some(Keyspace keyspace) {
    for (int i = 0; i < 20; ++i) {
      ASSERT_OK(db_->put("key" + std::to_string(keys_++), "v", in(keyspace)));
    }
  }
  // Writes until the memtable of `keyspace` is `share` of what it may be, in a thousand.
  void fill_to(uint64_t share, Keyspace keyspace = kDefaultKeyspace) {
    while (state_of(keyspace).memtable_bytes < options_.write_buffer_size / 1000 * share) {
      put_some(keyspace);
    }
  }
  KeyspaceStatistics state_of(Keyspace keyspace) {
    for (const KeyspaceStatistics& each : db_->statistics().keyspaces) {
      if (each.keyspace == keyspace) return each;
    }
    ADD_FAILURE() << "no such keyspace";
    return {};
  }
  // What a step adds to memtables. Flushes, which take from them, are not run.
  template <typename Step>
  int64_t added_by(const Step& step) {
    const uint64_t before = live(MemoryRole::memtable);
    step();
    return static_cast<int64_t>(live(MemoryRole::memtable) - before);
  }

  uint64_t keys_ = 0;
};

TEST_F(NextMemtableTest, is_made_before_it_is_needed) {
  open();
  fill_to(500);
  EXPECT_EQ(added_by([&] { executor_.run_all(); }), 0);
  fill_to(800);
  const int64_t made = added_by([&] { executor_.run_all(); });
  EXPECT_GT(made, 2 * static_cast<int64_t>(keys_ * sizeof(uint64_t))) << "its table is";
  fill_to(900);
  EXPECT_EQ(added_by([&] { executor_.run_all(); }), 0) << "one is enough";
  int64_t last = 0;  // what the next one, when it began, took besides
  while (state_of(kDefaultKeyspace).immutable_memtables == 0) {
    last = added_by([&] { put_some(kDefaultKeyspace); });
  }
  EXPECT_LT(last, made / 2);
}

TEST_F(NextMemtableTest, is_given_up_with_its_keyspace) {
  open();
  const Keyspace keyspace = create("k");
  fill_to(800, keyspace);
  const int64_t made = added_by([&] { executor_.run_all(); });
  EXPECT_GT(made, 0);
  const int64_t dropped = added_by([&] { ASSERT_OK(db_->drop_keyspace(keyspace)); });
  EXPECT_LT(dropped, -made / 2) << "what all dropped ones share was made";
}

TEST_F(NextMemtableTest, is_given_up_for_others) {
  options_.memory_budget = 8 << 20;
  options_.cache_size = 0;
  open();
  fill_to(800);
  const int64_t made = added_by([&] { executor_.run_all(); });
  EXPECT_GT(made, 0);
  WriteBatch batch(*db_);
  const int64_t given_up = added_by([&] {
    for (int i = 0; batch.put(std::to_string(i), std::string(10'000, 'v')).ok(); ++i) {
      ASSERT_LT(i, 1000);
    }
  });
  EXPECT_EQ(given_up, -made);
  batch = WriteBatch();
  while (state_of(kDefaultKeyspace).immutable_memtables == 0) put_some(kDefaultKeyspace);
}

// A replay has one memtable at a time, and the database none that is idle.
TEST_F(NextMemtableTest, is_not_made_by_a_replay) {
  open();
  fill_to(800);
  kill_and_reopen();
  EXPECT_LE(added_by([&] { executor_.run_all(); }), 0);
}

TEST_F(MemoryTest, cache_stays_within_its_size) {
  options_.cache_size = 64 * 1024;
  open();
  for (int i = 0; i < 3000; ++i)
    ASSERT_OK(db_->put("k" + std::to_string(i), std::string(100, 'v')));
  ASSERT_OK(db_->compact());
  EXPECT_EQ(rows().size(), 3000u);
  for (int i = 0; i < 3000; ++i) get("k" + std::to_string(i));
  const uint64_t frames =
      live(MemoryRole::block_frames) + live(MemoryRole::index) + live(MemoryRole::filter);
  EXPECT_GT(db_->statistics().blocks_evicted, 100u);
  // Of 400 KiB.
  EXPECT_LT(frames, 4 * options_.cache_size) << "evicted ones may wait to be reclaimed";
}

}  // namespace
}  // namespace varve::test
