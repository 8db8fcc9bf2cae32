#include "lsm/memtable.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "memory/epoch.h"
#include "memory/memory_manager.h"
#include "tests/lsm/cursor_model.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"

namespace varve::test {
namespace {

class MemtableTest : public testing::Test {
 protected:
  void SetUp() override {
    memtable_ = Memtable::create(&manager_, &epochs_, 0);
    ASSERT_NE(memtable_, nullptr);
  }
  void TearDown() override {
    if (memtable_ != nullptr) memtable_->unref();
    epochs_.drain();
    EXPECT_EQ(manager_.live_bytes(), 0u);
  }

  void add(const VersionRow& row) {
    ASSERT_TRUE(memtable_->reserve(Memtable::entry_size(row.key.size(), row.value.size()), 1));
    memtable_->apply(row.key, key_hash(row.key), row.timestamp, row.kind, row.value);
  }
  // Oldest first, as commits come.
  void add_all(std::vector<VersionRow> rows) {
    std::stable_sort(rows.begin(), rows.end(), [](const VersionRow& a, const VersionRow& b) {
      return a.timestamp < b.timestamp;
    });
    for (const VersionRow& row : rows) add(row);
  }
  const VersionRow* find(const std::string& key, Timestamp snapshot, VersionRow* row) {
    EpochDomain::Guard guard(epochs_);
    Memtable::Found found;
    if (!memtable_->get(key, key_hash(key), snapshot, &found)) return nullptr;
    *row = {.key = key,
            .timestamp = found.timestamp,
            .kind = found.kind,
            .value = std::string(found.value)};
    return row;
  }

  MemoryManager manager_{0};
  EpochDomain epochs_;
  Memtable* memtable_ = nullptr;
};

TEST_F(MemtableTest, empty) {
  VersionRow row;
  EXPECT_TRUE(memtable_->empty());
  EXPECT_EQ(memtable_->versions(), 0u);
  EXPECT_EQ(find("k", kTimestampMax, &row), nullptr);
  EXPECT_EQ(memtable_->first_lsn(), kLsnMax);
  EXPECT_EQ(memtable_->end_lsn(), Lsn{});
  Random random(1);
  for (const bool all : {false, true}) {
    MemtableCursor cursor;
    cursor.reset(memtable_, kTimestampMax, all);
    expect_rows(&cursor, {}, &random);
  }
}

TEST_F(MemtableTest, get_answers_as_of_a_snapshot) {
  add({.key = "k", .timestamp = {10}, .value = "ten"});
  add({.key = "k", .timestamp = {20}, .kind = VersionKind::tombstone, .value = ""});
  add({.key = "k", .timestamp = {30}, .value = "thirty"});
  VersionRow row;
  EXPECT_EQ(find("k", {9}, &row), nullptr);
  ASSERT_NE(find("k", {10}, &row), nullptr);
  EXPECT_EQ(row.value, "ten");
  ASSERT_NE(find("k", {29}, &row), nullptr);
  EXPECT_EQ(row.kind, VersionKind::tombstone);
  EXPECT_EQ(row.timestamp, Timestamp{20});
  ASSERT_NE(find("k", kTimestampMax, &row), nullptr);
  EXPECT_EQ(row.value, "thirty");
  EXPECT_EQ(memtable_->keys(), 1u);
  EXPECT_EQ(memtable_->versions(), 3u);
}

TEST_F(MemtableTest, random_rows_against_a_vector) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(40); ++i) {
    const std::vector<VersionRow> rows =
        random_rows(&random, {.keys = 1 + random.below(300),
                              .versions_max = random.one_in(4) ? 50u : 4u,
                              .timestamp_base = 1000,
                              .timestamp_spread = 500});
    add_all(rows);
    ASSERT_EQ(memtable_->versions(), rows.size());
    for (int probe = 0; probe < 200; ++probe) {
      const std::string key =
          random.one_in(3) ? random_key(&random, "") : rows[random.below(rows.size())].key;
      const Timestamp snapshot{950 + random.below(600)};
      const VersionRow* expected = visible_row(rows, key, snapshot);
      VersionRow row;
      ASSERT_EQ(find(key, snapshot, &row) != nullptr, expected != nullptr) << key;
      if (expected != nullptr) {
        ASSERT_EQ(row, *expected);
      }
    }
    MemtableCursor cursor;
    cursor.reset(memtable_, kTimestampMax, /*all_versions=*/true);
    expect_rows(&cursor, rows, &random);
    // With a snapshot: of each key one version, tombstones too.
    const Timestamp snapshot{950 + random.below(600)};
    std::vector<VersionRow> visible;
    for (const VersionRow& row : rows) {
      if (row.timestamp <= snapshot && (visible.empty() || visible.back().key != row.key)) {
        visible.push_back(row);
      }
    }
    cursor.reset(memtable_, snapshot, /*all_versions=*/false);
    expect_rows(&cursor, visible, &random);
    // All versions at or below a snapshot.
    std::vector<VersionRow> below;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(below),
                 [&](const VersionRow& row) { return row.timestamp <= snapshot; });
    cursor.reset(memtable_, snapshot, /*all_versions=*/true);
    expect_rows(&cursor, below, &random);
    if (HasFatalFailure()) return;
    memtable_->unref();
    memtable_ = Memtable::create(&manager_, &epochs_, random.below(100));
  }
}

TEST_F(MemtableTest, keys_in_order_and_in_reverse_order) {
  VARVE_SEEDED_TEST(random);
  std::vector<VersionRow> rows;
  for (int i = 0; i < 2000; ++i) {
    rows.push_back({.key = "k" + std::to_string(10000 + i), .timestamp = {1}, .value = "v"});
  }
  for (const VersionRow& row : rows) add(row);
  MemtableCursor cursor;
  cursor.reset(memtable_, kTimestampMax, false);
  expect_rows(&cursor, rows, &random);
  memtable_->unref();
  memtable_ = Memtable::create(&manager_, &epochs_, 0);
  for (size_t i = rows.size(); i > 0; --i) add(rows[i - 1]);
  cursor.reset(memtable_, kTimestampMax, false);
  expect_rows(&cursor, rows, &random);
}

// A chain of many versions: each read jumps; walking it would take thousands of millions of steps.
TEST_F(MemtableTest, long_chain_is_read_anywhere) {
  constexpr uint64_t kVersions = 100'000;
  for (uint64_t i = 1; i <= kVersions; ++i) {
    add({.key = "hot", .timestamp = {i * 10}, .value = std::to_string(i)});
  }
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < kVersions; ++i) {
    const uint64_t version = 1 + random.below(kVersions);
    VersionRow row;
    ASSERT_NE(find("hot", {version * 10 + random.below(10)}, &row), nullptr);
    ASSERT_EQ(row.value, std::to_string(version));
  }
}

TEST_F(MemtableTest, knows_the_log_that_it_covers) {
  memtable_->cover_log({100}, {150});
  memtable_->cover_log({150}, {180});
  EXPECT_EQ(memtable_->first_lsn(), Lsn{100});
  EXPECT_EQ(memtable_->end_lsn(), Lsn{180});
}

TEST_F(MemtableTest, outlives_its_owner_while_referenced) {
  add({.key = "k", .timestamp = {1}, .value = "v"});
  memtable_->ref();
  memtable_->unref();
  VersionRow row;
  EXPECT_NE(find("k", {1}, &row), nullptr);
  EXPECT_GT(memtable_->held_bytes(), 0u);
  EXPECT_GE(manager_.live_bytes(MemoryRole::memtable), memtable_->held_bytes());
}

#if defined(VARVE_DEBUG)
TEST_F(MemtableTest, refused_memory_changes_nothing) {
  add({.key = "k", .timestamp = {1}, .value = "v"});
  for (uint64_t call = 1; call < 4; ++call) {
    manager_.fail_allocation_after(call);
    const bool reserved = memtable_->reserve(10 << 20, 1000);
    manager_.fail_allocation_after(0);
    EXPECT_EQ(reserved, call > 2) << call;  // the table, the arena's block
  }
  VersionRow row;
  EXPECT_NE(find("k", {1}, &row), nullptr);
  for (uint64_t call = 1; call < 3; ++call) {
    manager_.fail_allocation_after(call);
    EXPECT_EQ(Memtable::create(&manager_, &epochs_, 100), nullptr);
    manager_.fail_allocation_after(0);
  }
}
#endif

// Heights are drawn, and a reservation holds whatever is drawn.
TEST_F(MemtableTest, a_reservation_is_enough_for_all_of_a_group) {
  uint64_t next = 0;
  for (const size_t entries : {1u, 2u, 3u, 10u, 1000u, 20'000u}) {
    const std::string value(entries % 7, 'v');
    const size_t size = Memtable::entry_size(/*key_size=*/8, value.size());
    ASSERT_TRUE(memtable_->reserve(entries * size, entries));
    const size_t held = memtable_->held_bytes();
    for (size_t i = 0; i < entries; ++i) {
      std::string key = std::to_string(next++);
      key.insert(0, 8 - key.size(), '0');
      memtable_->apply(key, key_hash(key), Timestamp{next}, VersionKind::value, value);
    }
    EXPECT_EQ(memtable_->held_bytes(), held) << entries;
    EXPECT_LE(entries * size, Memtable::batch_size(entries, entries * (8 + value.size())));
  }
  EXPECT_EQ(memtable_->versions(), next);
}

// Keys that are linked many at a time, at any number of them: ascending, descending, anywhere, and
// with equal heads.
TEST_F(MemtableTest, walks_see_what_was_linked_in_batches) {
  VARVE_SEEDED_TEST(random);
  for (uint64_t i = 0; i < test_iterations(60); ++i) {
    SCOPED_TRACE(i);
    TearDown();
    SetUp();
    std::set<std::string> keys;
    uint64_t next = 1 << 20;
    const bool equal_heads = random.one_in(3);
    uint64_t timestamp = 0;
    for (uint64_t rounds = 1 + random.below(6); rounds != 0; --rounds) {
      const uint64_t order = random.below(3);
      for (uint64_t left = random.below(random.one_in(4) ? 700 : 40); left != 0; --left) {
        const uint64_t number = order == 0   ? next++
                                : order == 1 ? (1 << 19) - (next++ & 0x3ffff)
                                             : random.below(1 << 21);
        std::string key = std::to_string(10'000'000 + number);
        if (equal_heads) key.insert(0, "eightbyt");
        add({.key = key, .timestamp = {++timestamp}, .value = "v"});
        keys.insert(key);
      }
      if (random.one_in(2)) memtable_->link_if_due();
      if (random.one_in(2)) continue;
      MemtableCursor cursor;
      cursor.reset(memtable_, kTimestampMax, /*all_versions=*/false);
      cursor.seek_to_first();
      for (const std::string& key : keys) {
        ASSERT_TRUE(cursor.valid());
        ASSERT_EQ(cursor.user_key(), key);
        cursor.next();
      }
      ASSERT_FALSE(cursor.valid());
      for (auto key = keys.begin(); key != keys.end(); std::advance(key, 1)) {
        cursor.seek({*key, kTimestampMax});  // through the upper levels
        ASSERT_TRUE(cursor.valid());
        ASSERT_EQ(cursor.user_key(), *key);
      }
    }
  }
}

// One writer, readers beside it, while the table of keys grows several times.
TEST_F(MemtableTest, readers_beside_the_writer_see_a_prefix) {
  constexpr uint64_t kKeys = 3000;
  std::atomic<uint64_t> published{0};
  std::atomic<bool> stop{false};
  const auto key_of = [](uint64_t i) { return "k" + std::to_string(i * 7919 % kKeys); };
  std::vector<std::thread> readers;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    readers.emplace_back([&, seed] {
      Random random(seed);
      while (!stop.load()) {
        const uint64_t snapshot = published.load();
        if (snapshot == 0) continue;
        const uint64_t wanted = 1 + random.below(snapshot);
        VersionRow row;
        ASSERT_NE(find(key_of(wanted), {snapshot}, &row), nullptr);
        ASSERT_GE(row.timestamp.nanos, wanted);
        if (!random.one_in(50)) continue;
        MemtableCursor cursor;
        cursor.reset(memtable_, {snapshot}, false);
        std::string last;
        uint64_t seen = 0;
        if (seed % 2 == 0) {
          for (cursor.seek_to_first(); cursor.valid(); cursor.next(), ++seen) {
            ASSERT_LT(last, cursor.user_key());
            ASSERT_LE(cursor.timestamp().nanos, snapshot);
            last = cursor.user_key();
          }
        } else {
          for (cursor.seek_to_last(); cursor.valid(); cursor.prev(), ++seen) {
            ASSERT_TRUE(last.empty() || last > cursor.user_key());
            last = cursor.user_key();
          }
        }
        ASSERT_EQ(seen, std::min(snapshot, kKeys));
      }
    });
  }
  for (uint64_t i = 1; i <= 2 * kKeys; ++i) {
    add({.key = key_of(i), .timestamp = {i}, .value = std::to_string(i)});
    published.store(i);
    memtable_->link_if_due();  // beside the readers, who do it too
  }
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
}

// Keys that a snapshot does not see are passed within one step of the cursor.
TEST_F(MemtableTest, a_cursor_that_is_cancelled_stops_among_keys_that_it_does_not_see) {
  for (int i = 0; i < 100; ++i) {
    add({.key = std::to_string(1000 + i), .timestamp = {10}, .value = "v"});
  }
  Atomic<bool> flag{true};
  MemtableCursor cursor;
  cursor.reset(memtable_, {5}, /*all_versions=*/false, &flag);
  const auto each_way = [&](auto check) {
    cursor.seek_to_first();
    check();
    cursor.seek_to_last();
    check();
    cursor.seek({"1050", {5}});
    check();
    cursor.seek_for_prev({"1050", {5}});
    check();
  };
  each_way([&] {
    EXPECT_FALSE(cursor.valid());
    EXPECT_FAILS(cursor.status(), cancelled, "caller");
  });
  flag.store(false);
  each_way([&] {
    EXPECT_FALSE(cursor.valid());
    EXPECT_OK(cursor.status());
  });
  // Nothing is passed: nothing is long.
  flag.store(true);
  cursor.reset(memtable_, {10}, /*all_versions=*/false, &flag);
  each_way([&] {
    EXPECT_TRUE(cursor.valid());
    EXPECT_OK(cursor.status());
  });
}

// Its failure is forgotten when it is sought again, also where it finds the key at once.
TEST_F(MemtableTest, a_cursor_that_was_cancelled_can_be_sought_again) {
  add({.key = "a", .timestamp = {1}, .value = "v"});
  add({.key = "b", .timestamp = {10}, .value = "v"});
  add({.key = "c", .timestamp = {10}, .value = "v"});
  Atomic<bool> flag{true};
  MemtableCursor cursor;
  cursor.reset(memtable_, {5}, /*all_versions=*/false, &flag);
  cursor.seek({"b", {5}});
  ASSERT_FAILS(cursor.status(), cancelled, "caller");
  cursor.seek({"a", {5}});
  EXPECT_TRUE(cursor.valid());
  EXPECT_OK(cursor.status());
  cursor.next();
  EXPECT_FAILS(cursor.status(), cancelled, "caller");
}

}  // namespace
}  // namespace varve::test
