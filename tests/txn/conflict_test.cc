// What a commit is checked against: the filter, the ring of recent commits, and the tree behind
// them, where each of the former does not decide.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/thread.h"
#include "tests/support/seeded_test.h"
#include "tests/txn/database_fixture.h"
#include "txn/conflict_table.h"
#include "txn/read_set.h"

namespace varve::test {
namespace {

uint64_t hash_of(std::string_view key) { return conflict_hash(kDefaultKeyspace, key_hash(key)); }

// -- the table --

TEST(ConflictTableTest, the_ring_is_exact_from_any_position_that_it_still_has) {
  VARVE_SEEDED_TEST(random);
  MemoryManager manager(64 << 20);
  ConflictTable table(&manager, 8 << 10, Timestamp{5});
  EXPECT_FALSE(table.is_recording());
  const size_t cell = table.enter();
  EXPECT_TRUE(table.is_recording());
  struct Recorded {
    uint64_t position;
    std::string key;
  };
  std::deque<Recorded> recorded;
  uint64_t timestamp = 10;
  for (int i = 0; i < 20'000; ++i) {
    // Of all sizes: so that what is left at the ring's end is as short as can be, too.
    const std::string key(1 + random.below(random.one_in(50) ? 3000 : 40),
                          static_cast<char>('a' + random.below(26)));
    const uint64_t before = table.end();
    table.record({.hash = hash_of(key), .key = key, .timestamp = Timestamp{++timestamp}});
    recorded.push_back({before, key});
    if (recorded.size() > 300) recorded.pop_front();
    if (random.one_in(10)) {
      // As if the group had failed.
      table.rewind(before);
      recorded.pop_back();
    }
    table.publish(table.end());
    if (recorded.empty()) continue;
    const size_t from = random.below(recorded.size());
    const uint64_t position = recorded[from].position;
    if (!table.covers(position, Timestamp{timestamp})) continue;
    std::vector<std::string> walked;
    uint64_t at = position;
    ConflictTable::Recorded each;
    while (table.next(&at, &each)) walked.emplace_back(each.key);
    std::vector<std::string> expected;
    for (size_t k = from; k < recorded.size(); ++k) expected.push_back(recorded[k].key);
    ASSERT_EQ(walked, expected);
  }
  EXPECT_FALSE(table.covers(0, Timestamp{timestamp})) << "trimmed long ago";
  EXPECT_TRUE(table.covers(table.end(), Timestamp{timestamp}));
  table.leave(cell);
  table.release_memory();
  EXPECT_EQ(manager.live_bytes(MemoryRole::conflict_table), 0u);
}

TEST(ConflictTableTest, records_while_transactions_are_open_and_not_for_long_afterwards) {
  MemoryManager manager(64 << 20);
  ConflictTable table(&manager, 1 << 20, Timestamp{5});
  EXPECT_FALSE(table.is_recording());
  const size_t first = table.enter();
  const size_t second = table.enter();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(table.is_recording());
  table.leave(first);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(table.is_recording()) << "one is open";
  table.leave(second);
  int groups = 0;
  while (table.is_recording()) ASSERT_LT(++groups, 1000);
  const size_t third = table.enter();
  EXPECT_TRUE(table.is_recording());
  table.leave(third);
}

TEST(ConflictTableTest, transactions_of_all_threads_count_and_may_end_on_another) {
  MemoryManager manager(64 << 20);
  ConflictTable table(&manager, 1 << 20, Timestamp{5});
  const auto is_recorded_for_long = [&table] {
    for (int i = 0; i < 1000; ++i) {
      if (!table.is_recording()) return false;
    }
    return true;
  };
  for (int t = 0; t < 3; ++t) {
    size_t cell = 0;
    std::vector<Thread> threads;  // that live together, and so count apart
    Atomic<int> entered{0};
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back("varve-test", 0, [&, i] {
        if (i == t) cell = table.enter();
        entered.fetch_add(1);
        while (entered.load() < 3) spin_pause();
      });
    }
    threads.clear();
    EXPECT_TRUE(is_recorded_for_long());
    table.leave(cell);
    EXPECT_FALSE(is_recorded_for_long());
  }
}

TEST(ConflictTableTest, keys_that_were_not_written_are_mostly_known_to_be_unchanged) {
  MemoryManager manager(64 << 20);
  ConflictTable table(&manager, 1 << 20, Timestamp{5});
  const size_t cell = table.enter();
  EXPECT_FALSE(table.unchanged_since(hash_of("a"), Timestamp{4})) << "before it was opened";
  EXPECT_TRUE(table.unchanged_since(hash_of("a"), Timestamp{5}));
  table.record({.hash = hash_of("a"), .key = "a", .timestamp = Timestamp{10}});
  EXPECT_FALSE(table.unchanged_since(hash_of("a"), Timestamp{9}));
  EXPECT_TRUE(table.unchanged_since(hash_of("a"), Timestamp{10}));
  for (uint64_t i = 0; i < 1000; ++i) {
    const std::string key = "k" + std::to_string(i);
    table.record({.hash = hash_of(key), .key = key, .timestamp = Timestamp{20}});
  }
  int unchanged = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    unchanged += table.unchanged_since(hash_of("other" + std::to_string(i)), Timestamp{10});
  }
  EXPECT_GT(unchanged, 950) << "of 65,536 slots a thousand are taken";
  table.raise_floor(Timestamp{30});
  EXPECT_FALSE(table.unchanged_since(hash_of("other"), Timestamp{29}));
  EXPECT_FALSE(table.covers(table.end(), Timestamp{29}));
  table.leave(cell);
}

// -- the read set --

TEST(ReadSetTest, covers_all_that_was_added_within_its_limit) {
  VARVE_SEEDED_TEST(random);
  MemoryManager manager(64 << 20);
  for (const size_t limit : {size_t{200}, size_t{2000}, size_t{1} << 20}) {
    ReadSet set(&manager, limit);
    for (int round = 0; round < 20; ++round) {
      set.clear();
      std::vector<std::pair<Keyspace, std::string>> keys;
      std::vector<std::pair<Keyspace, std::pair<std::string, std::string>>> ranges;
      for (int i = 0; i < 300; ++i) {
        const Keyspace keyspace{static_cast<uint32_t>(random.below(3))};
        const std::string key = "k" + std::to_string(random.below(500));
        if (random.one_in(5)) {
          const std::string upper =
              random.one_in(10) ? "" : "k" + std::to_string(random.below(500));
          ASSERT_TRUE(set.add(ReadSet::Range{keyspace, key, upper}));
          ranges.push_back({keyspace, {key, upper}});
        } else {
          ASSERT_TRUE(set.add(ReadSet::Key{conflict_hash(keyspace, key_hash(key)), keyspace, key}));
          keys.emplace_back(keyspace, key);
        }
      }
      const auto in_ranges = [&](Keyspace keyspace, std::string_view key) {
        size_t place = 0;
        ReadSet::Range range;
        while (set.next(&place, &range)) {
          if (range.keyspace == keyspace && range.contains(key)) return true;
        }
        return false;
      };
      size_t bytes = 0;
      std::map<std::pair<uint32_t, std::string>, int> found;
      size_t place = 0;
      ReadSet::Key each;
      while (set.next(&place, &each)) {
        EXPECT_EQ(++(found[{each.keyspace.id, std::string(each.key)}]), 1) << "once is enough";
        bytes += each.key.size();
      }
      EXPECT_LE(bytes, limit);
      std::map<std::pair<uint32_t, int>, bool> within;
      for (uint32_t keyspace = 0; keyspace < 3; ++keyspace) {
        for (int probe = 0; probe < 500; ++probe) {
          within[{keyspace, probe}] = in_ranges(Keyspace{keyspace}, "k" + std::to_string(probe));
        }
      }
      ASSERT_TRUE(set.arrange());
      for (const auto& [where, inside] : within) {
        const std::string key = "k" + std::to_string(where.second);
        ReadSet::Range range;
        ASSERT_EQ(set.find_range(Keyspace{where.first}, key, &range), inside) << key;
        ASSERT_EQ(in_ranges(Keyspace{where.first}, key), inside) << key;
        if (inside) ASSERT_TRUE(range.keyspace.id == where.first && range.contains(key));
      }
      for (const auto& [keyspace, key] : keys) {
        ASSERT_TRUE(found.contains({keyspace.id, key}) || in_ranges(keyspace, key)) << key;
      }
      for (const auto& [keyspace, bounds] : ranges) {
        for (int probe = 0; probe < 500; probe += 7) {
          const std::string key = "k" + std::to_string(probe);
          if (key < bounds.first || (!bounds.second.empty() && key >= bounds.second)) continue;
          ASSERT_TRUE(in_ranges(keyspace, key)) << key;
        }
      }
    }
  }
}

// -- in a database --

class ConflictTest : public DatabaseTest {
 protected:
  using DatabaseTest::begin;
  Transaction begin() { return begin(Isolation::serializable); }
  static void read(Transaction& transaction, std::string_view key) {
    std::string value;
    EXPECT_OK(transaction.get(key, &value));
  }
  static StatusCode commit(Transaction& transaction) {
    return transaction.commit().status().code();
  }
};

// Far more is committed than slots and ring hold: what did not change is still found unchanged.
TEST_F(ConflictTest, trimmed_history_is_no_conflict_and_hides_none) {
  options_.memory_budget = 8 << 20;
  options_.write_buffer_size = 256 << 10;
  open();
  ASSERT_OK(db_->put("mine", "0"));
  ASSERT_OK(db_->put("others", "0"));
  Transaction clear = begin();
  Transaction conflicting = begin();
  Transaction range = begin();
  for (Transaction* each : {&clear, &conflicting, &range}) {
    read(*each, "mine");
    ASSERT_OK(each->put("written " + std::to_string(reinterpret_cast<uintptr_t>(each)), "1"));
  }
  read(conflicting, "others");
  {
    Result<Cursor> cursor = range.scan({.lower = "a", .upper = "k"});
    ASSERT_OK(cursor);
    cursor->seek_to_first();
    EXPECT_FALSE(cursor->valid());
  }
  ASSERT_OK(db_->put("others", "1"));
  for (int i = 0; i < 60'000; ++i) {
    ASSERT_OK(db_->put("z" + std::to_string(i), std::string(50, 'v')));
    if (i % 1000 == 0) executor_.run_all();
  }
  EXPECT_EQ(commit(clear), StatusCode::ok);
  EXPECT_EQ(commit(range), StatusCode::ok);
  EXPECT_EQ(commit(conflicting), StatusCode::conflict);
}

TEST_F(ConflictTest, changes_are_found_wherever_they_went) {
  open();
  ASSERT_OK(db_->put("a", "0"));
  ASSERT_OK(db_->put("k", "0"));
  for (const bool erased : {false, true}) {
    for (int where = 0; where < 4; ++where) {
      SCOPED_TRACE(std::to_string(where) + (erased ? " erased" : ""));
      Transaction point = begin();
      Transaction range = begin();
      Transaction writer = begin(Isolation::snapshot);
      read(point, "k");
      {
        Result<Cursor> cursor = range.scan();
        ASSERT_OK(cursor);
        cursor->seek_to_first();
        while (cursor->valid()) cursor->next();
      }
      ASSERT_OK(point.put("p", "1"));
      ASSERT_OK(range.put("r", "1"));
      ASSERT_OK(writer.put("k", "2"));
      ASSERT_OK(erased ? db_->erase("k") : db_->put("k", "1"));
      if (where >= 1) ASSERT_OK(db_->flush());
      if (where >= 2) ASSERT_OK(db_->compact());
      if (where >= 3) {
        ASSERT_OK(db_->put("k", "again"));
        ASSERT_OK(db_->compact());
      }
      EXPECT_EQ(commit(point), StatusCode::conflict);
      EXPECT_EQ(commit(range), StatusCode::conflict);
      EXPECT_EQ(commit(writer), StatusCode::conflict);
    }
  }
}

// Written and erased again since, and merged to the bottom: the tombstone has nothing left to hide,
// and yet is all that tells of it.
TEST_F(ConflictTest, a_key_that_came_and_went_is_a_conflict) {
  open();
  ASSERT_OK(db_->put("a", "0"));
  Transaction writer = begin(Isolation::snapshot);
  ASSERT_OK(writer.put("k", "mine"));
  ASSERT_OK(db_->put("k", "1"));
  ASSERT_OK(db_->erase("k"));
  ASSERT_OK(db_->put("b", "0"));  // so that the watermark is above it
  ASSERT_OK(db_->compact());
  EXPECT_EQ(commit(writer), StatusCode::conflict);
  ASSERT_OK(writer.rollback());
  ASSERT_OK(db_->put("b", "1"));
  ASSERT_OK(db_->compact());
  EXPECT_EQ(db_->statistics().keyspaces.at(0).runs.at(0).tombstones, 0u) << "nobody needs it now";
}

TEST_F(ConflictTest, without_memory_for_the_table_the_tree_is_asked) {
  open();
  ASSERT_OK(db_->put("a", "0"));
  ASSERT_OK(db_->put("b", "0"));
  // As long as the budget is full of what a user holds, the table gets nothing: its slots take as
  // much as one of these batches.
  std::vector<WriteBatch> held;
  const std::string value((1 << 20) - 100, 'v');
  Status status;
  while (status.ok()) status = held.emplace_back(*db_).put("f", value);
  ASSERT_EQ(status.code(), StatusCode::out_of_memory);
  Transaction clear = begin();
  ASSERT_EQ(live(MemoryRole::conflict_table), 0u);
  Transaction conflicting = begin();
  Transaction range = begin();
  {
    Result<Cursor> cursor = range.scan({.upper = "b"});
    ASSERT_OK(cursor);
    cursor->seek_to_first();
  }
  read(clear, "a");
  read(conflicting, "b");
  ASSERT_OK(clear.put("c", "1"));
  ASSERT_OK(conflicting.put("d", "1"));
  ASSERT_OK(range.put("e", "1"));
  ASSERT_OK(db_->put("b", "1"));
  EXPECT_EQ(commit(clear), StatusCode::ok);
  EXPECT_EQ(commit(conflicting), StatusCode::conflict);
  EXPECT_EQ(commit(range), StatusCode::ok);
  // Two members of one group: they gather behind a commit that comes to nothing.
  Transaction first = begin(Isolation::snapshot);
  Transaction second = begin(Isolation::snapshot);
  ASSERT_OK(first.put("n", "first"));
  ASSERT_OK(second.put("n", "second"));
  std::atomic<bool> holds{true};
  std::atomic<bool> held_up{false};
  hook_ = [&](const FileCall& call) {
    if (!call.path.ends_with(".wal") || call.kind != FileCall::Kind::write ||
        held_up.exchange(true)) {
      return Status();
    }
    while (holds.load()) std::this_thread::yield();
    return Status::no_space(call.path + ": full");
  };
  std::thread in_front([&] { EXPECT_EQ(db_->put("x", "1").code(), StatusCode::no_space); });
  while (!held_up.load()) std::this_thread::yield();
  StatusCode codes[2];
  std::thread one([&] { codes[0] = commit(first); });
  std::thread other([&] { codes[1] = commit(second); });
  // Long enough for both to come into the queue; if not, nothing is tested, and nothing fails.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  holds.store(false);
  for (std::thread* thread : {&in_front, &one, &other}) thread->join();
  hook_ = nullptr;
  std::sort(std::begin(codes), std::end(codes));
  EXPECT_EQ(codes[0], StatusCode::ok);
  EXPECT_EQ(codes[1], StatusCode::conflict);
  ASSERT_EQ(live(MemoryRole::conflict_table), 0u);
  held.clear();
  Transaction another = begin();
  EXPECT_GT(live(MemoryRole::conflict_table), 0u) << "the next one asks again";
}

// A seek may name a key out of the cursor's bounds: what lies between them was not read.
TEST_F(ConflictTest, a_range_that_was_read_ends_at_the_bounds_of_its_cursor) {
  open();
  ASSERT_OK(db_->put("k3", "0"));
  const auto commit_after = [&](std::string_view changed, auto seek) {
    Transaction transaction = begin();
    {
      Result<Cursor> cursor = transaction.scan({.lower = "k2", .upper = "k5"});
      EXPECT_OK(cursor);
      seek(*cursor);
    }
    EXPECT_OK(transaction.put("written", "1"));
    EXPECT_OK(db_->put(changed, "1"));
    return commit(transaction);
  };
  const auto from_below = [](Cursor& cursor) { cursor.seek("k0"); };
  EXPECT_EQ(commit_after("k1", from_below), StatusCode::ok);
  EXPECT_EQ(commit_after("k3", from_below), StatusCode::conflict);
  EXPECT_EQ(commit_after("k2", from_below), StatusCode::conflict);
  const auto from_above = [](Cursor& cursor) { cursor.seek_for_prev("k9"); };
  EXPECT_EQ(commit_after("k7", from_above), StatusCode::ok);
  EXPECT_EQ(commit_after("k5", from_above), StatusCode::ok);
  EXPECT_EQ(commit_after("k4", from_above), StatusCode::conflict);
  const auto down_from_below = [](Cursor& cursor) { cursor.seek_for_prev("k1"); };
  const auto up_from_above = [](Cursor& cursor) { cursor.seek("k6"); };
  for (const std::string_view changed : {"k0", "k1", "k3", "k6", "k7"}) {
    EXPECT_EQ(commit_after(changed, down_from_below), StatusCode::ok) << changed;
    EXPECT_EQ(commit_after(changed, up_from_above), StatusCode::ok) << changed;
  }
}

TEST_F(ConflictTest, keys_that_no_database_takes_may_be_asked_for) {
  open();
  Transaction transaction = begin();
  for (int i = 0; i < 30; ++i) {
    read(transaction, std::string(100'000, 'x') + std::to_string(i));
    read(transaction, "");
  }
  ASSERT_OK(transaction.put("a", "1"));
  EXPECT_EQ(commit(transaction), StatusCode::ok);
}

TEST_F(ConflictTest, a_check_that_cannot_read_can_be_repeated) {
  options_.cache_size = 64 << 10;
  open();
  for (int i = 0; i < 2000; ++i)
    ASSERT_OK(db_->put("k" + std::to_string(i), std::string(200, 'v')));
  Transaction transaction = begin();
  ASSERT_OK(transaction.put("k7", "mine"));
  for (int i = 1000; i < 2000; ++i) {
    ASSERT_OK(db_->put("k" + std::to_string(i), std::string(200, 'w')));
  }
  {
    Result<Cursor> cursor = transaction.scan({.lower = "k1", .upper = "k10"});
    ASSERT_OK(cursor);
    cursor->seek_to_first();
  }
  ASSERT_OK(db_->compact());
  hook_ = [](const FileCall& call) {
    return call.kind == FileCall::Kind::read ? Status::io_error(call.path + ": no") : Status();
  };
  EXPECT_EQ(commit(transaction), StatusCode::busy);
  hook_ = nullptr;
  EXPECT_TRUE(transaction.is_open());
  EXPECT_EQ(commit(transaction), StatusCode::ok);
  EXPECT_EQ(get("k7"), "mine");
}

// A commit that is refused by the disk leaves nothing behind that its own repetition, or anybody
// else, would take for a conflict.
TEST_F(ConflictTest, a_commit_that_found_the_disk_full_can_be_repeated) {
  options_.durability = Durability::sync;
  open();
  ASSERT_OK(db_->put("a", "0"));
  Transaction transaction = begin();
  read(transaction, "a");
  ASSERT_OK(transaction.put("a", "1"));
  bool full = true;
  hook_ = [&](const FileCall& call) {
    return full && call.path.ends_with(".wal") && call.changes()
               ? Status::no_space(call.path + ": full")
               : Status();
  };
  ASSERT_EQ(commit(transaction), StatusCode::no_space);
  full = false;
  EXPECT_EQ(commit(transaction), StatusCode::ok);
  hook_ = nullptr;
  EXPECT_EQ(get("a"), "1");
}

TEST_F(ConflictTest, a_failed_sync_ends_it_with_an_unknown_outcome) {
  options_.durability = Durability::sync;
  open();
  ASSERT_OK(db_->put("a", "0"));
  Transaction transaction = begin();
  ASSERT_OK(transaction.put("a", "1"));
  hook_ = [&](const FileCall& call) {
    return call.kind == FileCall::Kind::sync ? Status::io_error(call.path + ": no") : Status();
  };
  const Status unknown = transaction.commit().status();
  EXPECT_EQ(unknown.code(), StatusCode::io_error);
  EXPECT_NE(unknown.message().find("known after reopening"), std::string::npos);
  hook_ = nullptr;
  EXPECT_EQ(commit(transaction), StatusCode::io_error) << "it has ended";
  ASSERT_OK(transaction.rollback());
  EXPECT_EQ(db_->put("b", "1").code(), StatusCode::read_only);
  EXPECT_EQ(get("a"), "0") << "it is not visible";
  kill_and_reopen();
  EXPECT_TRUE(get("a") == "0" || get("a") == "1");
}

}  // namespace
}  // namespace varve::test
