// Reading the past: snapshots, snapshot_at(), retention and history.

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/time_text.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class SnapshotTest : public DatabaseTest {
 protected:
  Snapshot snapshot() {
    Result<Snapshot> snapshot = db_->snapshot();
    EXPECT_OK(snapshot);
    return snapshot.ok() ? std::move(*snapshot) : Snapshot();
  }
};

TEST_F(SnapshotTest, sees_what_was_there_across_flush_and_compaction) {
  open();
  ASSERT_OK(db_->put("a", "1"));
  ASSERT_OK(db_->put("b", "1"));
  const Snapshot first = snapshot();
  ASSERT_OK(db_->put("a", "2"));
  ASSERT_OK(db_->erase("b"));
  ASSERT_OK(db_->put("c", "2"));
  const Snapshot second = snapshot();
  ASSERT_OK(db_->put("a", "3"));
  for (int round = 0; round < 4; ++round) {
    EXPECT_EQ(rows({.snapshot = &first}), (Rows{{"a", "1"}, {"b", "1"}}));
    EXPECT_EQ(rows({.snapshot = &second}), (Rows{{"a", "2"}, {"c", "2"}}));
    EXPECT_EQ(rows(), (Rows{{"a", "3"}, {"c", "2"}}));
    EXPECT_EQ(get("a", at(first)), "1");
    EXPECT_EQ(get("b", at(first)), "1");
    EXPECT_EQ(get("b", at(second)), "(absent)");
    EXPECT_EQ(get("c", at(first)), "(absent)");
    EXPECT_EQ(get("a"), "3");
    if (round == 0) ASSERT_OK(db_->flush());
    if (round == 1) ASSERT_OK(db_->put("d", "x"));
    if (round == 1) ASSERT_OK(db_->erase("d"));
    if (round == 1) ASSERT_OK(db_->compact());
    if (round == 2) {
      ASSERT_OK(db_->put("z", "x"));
      ASSERT_OK(db_->erase("z"));
      ASSERT_OK(db_->compact());
    }
  }
  EXPECT_EQ(db_->statistics().keyspaces[0].runs.at(0).entries, 6u) << "no more than is needed";
}

TEST_F(SnapshotTest, released_lets_compaction_forget) {
  open();
  ASSERT_OK(db_->put("k", "1"));
  Snapshot held = snapshot();
  ASSERT_OK(db_->put("k", "2"));
  ASSERT_OK(db_->compact());
  EXPECT_EQ(db_->history("k")->size(), 2u);
  held.release();
  ASSERT_OK(db_->put("other", "x"));
  ASSERT_OK(db_->compact());
  EXPECT_EQ(db_->history("k")->size(), 1u);
  EXPECT_EQ(get("k"), "2");
}

// compact() once left a single run alone, so that nothing freed what a snapshot had kept there.
TEST_F(SnapshotTest, released_lets_compaction_of_a_single_run_forget) {
  open();
  ASSERT_OK(db_->put("k", "1"));
  Snapshot held = snapshot();
  ASSERT_OK(db_->put("k", "2"));
  ASSERT_OK(db_->compact());
  EXPECT_EQ(runs(), 1u);
  ASSERT_OK(db_->compact());
  EXPECT_EQ(db_->history("k")->size(), 2u);
  held.release();
  ASSERT_OK(db_->compact());
  EXPECT_EQ(runs(), 1u);
  EXPECT_EQ(db_->history("k")->size(), 1u);
  EXPECT_EQ(get("k"), "2");
}

// A compaction looks at the snapshots once: one that goes while it runs, or comes, changes nothing
// for those that stay.
TEST_F(SnapshotTest, one_released_and_one_taken_in_the_middle_of_a_compaction) {
  const auto key = [](int i) { return "key" + std::to_string(100 + i); };
  options_.cache_size = 64 * 1024;  // what is merged has to be read
  open();
  std::vector<Snapshot> snapshots;
  std::vector<Rows> expected;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 80; ++i) {
      if (i % 4 == round) {
        ASSERT_OK(db_->erase(key(i)));
      } else {
        ASSERT_OK(db_->put(key(i), std::to_string(round) + std::string(2000, 'v')));
      }
    }
    ASSERT_OK(db_->flush());
    snapshots.push_back(snapshot());
    expected.push_back(rows());
  }
  int reads = 0;
  hook_ = [&](const FileCall& call) {
    if (!call.path.ends_with(".sst") || call.kind != FileCall::Kind::read) return Status();
    ++reads;
    if (reads == 40) snapshots[0].release();
    if (reads == 60) snapshots[2].release();
    if (reads == 80) {
      EXPECT_OK(db_->put(key(3), "later"));
      snapshots.push_back(snapshot());
    }
    return Status();
  };
  ASSERT_OK(db_->compact());
  hook_ = nullptr;
  ASSERT_GT(reads, 120);
  EXPECT_EQ(rows({.snapshot = &snapshots[1]}), expected[1]);
  EXPECT_EQ(rows({.snapshot = &snapshots[3]}), expected[3]);
  EXPECT_EQ(get(key(3), at(snapshots[4])), "later");
  ASSERT_OK(db_->compact());
  EXPECT_EQ(rows({.snapshot = &snapshots[1]}), expected[1]);
  EXPECT_EQ(rows({.snapshot = &snapshots[3]}), expected[3]);
  EXPECT_EQ(get(key(3), at(snapshots[4])), "later");
  snapshots.clear();
}

TEST_F(SnapshotTest, of_an_empty_database_stays_empty) {
  open();
  const Snapshot empty = snapshot();
  ASSERT_OK(db_->put("k", "1"));
  ASSERT_OK(db_->compact());
  ASSERT_OK(db_->put("k", "2"));
  ASSERT_OK(db_->compact());
  EXPECT_EQ(rows({.snapshot = &empty}), Rows{});
  EXPECT_EQ(get("k", at(empty)), "(absent)");
}

TEST_F(SnapshotTest, many_at_once_each_keep_their_version) {
  open();
  std::vector<Snapshot> held;
  for (int i = 0; i < 200; ++i) {
    ASSERT_OK(db_->put("k", std::to_string(i)));
    held.push_back(snapshot());
    if (i % 50 == 0) ASSERT_OK(db_->flush());
  }
  ASSERT_OK(db_->compact());
  for (size_t i = 0; i < held.size(); ++i) EXPECT_EQ(get("k", at(held[i])), std::to_string(i));
  EXPECT_GT(live(MemoryRole::snapshot_registry), 0u);
  // Every second one goes, in no order.
  for (size_t i = 0; i < held.size(); i += 2) held[(i * 7 + 14) % 200].release();
  ASSERT_OK(db_->put("other", "x"));
  ASSERT_OK(db_->compact());
  for (size_t i = 0; i < held.size(); ++i) {
    if (held[i].held()) EXPECT_EQ(get("k", at(held[i])), std::to_string(i));
  }
  EXPECT_EQ(db_->history("k")->size(), 100u) << "the newest is also what the last one sees";
}

TEST_F(SnapshotTest, at_a_time_within_retention) {
  options_.history_retention = std::chrono::seconds(100);
  open();
  std::vector<Timestamp> times;
  for (int i = 0; i < 20; ++i) {
    clock_.advance(1'000'000'000);
    WriteBatch batch;
    ASSERT_OK(batch.put("k", std::to_string(i)));
    times.emplace_back();
    ASSERT_OK(db_->write(batch, {}, &times.back()));
    if (i % 5 == 4) ASSERT_OK(db_->compact());
  }
  for (size_t i = 0; i < times.size(); ++i) {
    for (const uint64_t later : {0, 1, 999'999'999}) {
      Result<Snapshot> past = db_->snapshot_at({times[i].nanos + later});
      if (i + 1 == times.size() && later > 0) break;  // the clock stands there
      ASSERT_OK(past);
      EXPECT_EQ(past->timestamp().nanos, times[i].nanos + later);
      EXPECT_EQ(get("k", at(*past)), std::to_string(i));
      EXPECT_EQ(rows({.snapshot = &*past}), (Rows{{"k", std::to_string(i)}}));
    }
    Result<Snapshot> before = db_->snapshot_at({times[i].nanos - 1});
    ASSERT_OK(before);
    EXPECT_EQ(get("k", at(*before)), i == 0 ? "(absent)" : std::to_string(i - 1));
  }
}

TEST_F(SnapshotTest, at_a_time_in_the_future_is_refused) {
  open();
  ASSERT_OK(db_->put("k", "v"));
  const Timestamp future{clock_.realtime_nanos() + 1'000'000};
  EXPECT_FAILS(db_->snapshot_at(future), invalid_argument,
               format_time_and_nanos(future) + " lies in the future: it is ");
  EXPECT_FAILS(db_->snapshot_at(kTimestampMax), invalid_argument, "future");
}

TEST_F(SnapshotTest, at_a_time_later_than_any_commit_is_repeatable) {
  open();
  ASSERT_OK(db_->put("k", "1"));
  clock_.advance(1'000'000'000);
  const Timestamp time{clock_.realtime_nanos() - 5};
  Result<Snapshot> snapshot = db_->snapshot_at(time);
  ASSERT_OK(snapshot);
  EXPECT_EQ(snapshot->timestamp(), time);
  clock_.set_realtime(clock_.realtime_nanos() - 500'000'000);  // the wall clock goes back
  WriteBatch batch;
  ASSERT_OK(batch.put("k", "2"));
  Timestamp committed;
  ASSERT_OK(db_->write(batch, {}, &committed));
  EXPECT_GT(committed, time);
  EXPECT_EQ(get("k", at(*snapshot)), "1");
  Result<Snapshot> again = db_->snapshot_at(time);
  ASSERT_OK(again);
  EXPECT_EQ(get("k", at(*again)), "1");
}

TEST_F(SnapshotTest, below_the_watermark_is_refused_and_names_it) {
  open();
  ASSERT_OK(db_->put("k", "1"));
  const Timestamp first = now();
  clock_.advance(1'000'000'000);
  ASSERT_OK(db_->put("k", "2"));
  ASSERT_OK(db_->flush());
  const Timestamp watermark = db_->statistics().keyspaces[0].watermark;
  EXPECT_GT(watermark, first);
  EXPECT_FAILS(db_->snapshot_at(first), invalid_argument,
               "history at " + format_time_and_nanos(first) + " is gone: the watermark is " +
                   format_time_and_nanos(watermark));
  EXPECT_FAILS(db_->snapshot_at({0}), invalid_argument, "gone");
  ASSERT_OK(db_->snapshot_at(watermark));
  // Widening retention does not bring history back, reopening neither.
  options_.history_retention = std::chrono::hours(1);
  reopen();
  EXPECT_EQ(db_->statistics().keyspaces[0].watermark, watermark);
  EXPECT_FAILS(db_->snapshot_at(first), invalid_argument, "gone");
}

TEST_F(SnapshotTest, of_the_past_is_refused_only_where_history_is_gone) {
  open();
  const Keyspace keeps = create("keeps", {.history_retention = std::chrono::hours(1)});
  ASSERT_OK(db_->put("k", "1"));
  ASSERT_OK(db_->put("k", "1", in(keeps)));
  const Timestamp first = now();
  clock_.advance(1'000'000'000);
  ASSERT_OK(db_->put("k", "2"));
  ASSERT_OK(db_->put("k", "2", in(keeps)));
  ASSERT_OK(db_->compact());
  Result<Snapshot> past = db_->snapshot_at(first);
  ASSERT_OK(past);
  EXPECT_EQ(get("k", {.keyspace = keeps, .snapshot = &*past}), "1");
  std::string value;
  EXPECT_FAILS(db_->get("k", &value, at(*past)), invalid_argument,
               "keyspace default keeps no history at " + format_time_and_nanos(past->timestamp()) +
                   ": its watermark is ");
  EXPECT_FAILS(db_->scan({.snapshot = &*past}), invalid_argument, "default");
  const std::string_view keys[] = {"k"};
  std::optional<PinnedValue> values[1];
  EXPECT_FAILS(db_->multi_get(keys, values, at(*past)), invalid_argument, "watermark");
  // A cursor whose reset() is refused says so at every seek; it looked like an empty range.
  Result<Cursor> cursor = db_->scan({.keyspace = keeps});
  ASSERT_OK(cursor);
  EXPECT_FAILS(cursor->reset({.snapshot = &*past}), invalid_argument, "default");
  cursor->seek_to_first();
  EXPECT_FALSE(cursor->valid());
  EXPECT_FAILS(cursor->status(), invalid_argument, "default");
  Cursor moved = std::move(*cursor);
  moved.seek_to_first();
  EXPECT_FAILS(moved.status(), invalid_argument, "default");
  ASSERT_OK(moved.reset({.keyspace = keeps, .snapshot = &*past}));
  moved.seek_to_first();
  ASSERT_TRUE(moved.valid());
  EXPECT_EQ(moved.value(), "1");
}

TEST_F(SnapshotTest, a_held_one_protects_its_time_from_being_forgotten) {
  open();
  ASSERT_OK(db_->put("k", "1"));
  Result<Snapshot> past = db_->snapshot_at(now());
  ASSERT_OK(past);
  for (int i = 0; i < 3; ++i) {
    clock_.advance(1'000'000'000);
    ASSERT_OK(db_->put("k", "2"));
    ASSERT_OK(db_->compact());
  }
  EXPECT_EQ(get("k", at(*past)), "1");
}

TEST_F(SnapshotTest, history_shows_all_versions_newest_first) {
  options_.history_retention = std::chrono::hours(1);
  open();
  for (int i = 0; i < 6; ++i) {
    ASSERT_OK(i == 3 ? db_->erase("k") : db_->put("k", std::to_string(i)));
    if (i == 1 || i == 4) ASSERT_OK(db_->flush());
  }
  for (int round = 0; round < 2; ++round) {
    Result<std::vector<HistoryEntry>> history = db_->history("k");
    ASSERT_OK(history);
    ASSERT_EQ(history->size(), 6u);
    for (size_t i = 0; i < 6; ++i) {
      const HistoryEntry& entry = (*history)[i];
      EXPECT_EQ(entry.erased, i == 2);
      if (i != 2) EXPECT_EQ(entry.value, std::to_string(5 - i));
      EXPECT_EQ(entry.at_or_before, entry.timestamp);
      if (i > 0) EXPECT_LT(entry.timestamp, (*history)[i - 1].timestamp);
    }
    EXPECT_EQ(db_->history("k", 2)->size(), 2u);
    EXPECT_EQ(db_->history("k", 0)->size(), 0u);
    EXPECT_EQ(db_->history("none")->size(), 0u);
    ASSERT_OK(db_->compact());
  }
}

TEST_F(SnapshotTest, history_of_what_is_only_known_roughly) {
  open();
  ASSERT_OK(db_->put("k", "1"));
  const Timestamp first = now();
  ASSERT_OK(db_->put("k", "2"));
  ASSERT_OK(db_->compact());
  Result<std::vector<HistoryEntry>> history = db_->history("k");
  ASSERT_OK(history);
  ASSERT_EQ(history->size(), 1u);
  EXPECT_EQ((*history)[0].timestamp, kTimestampMin);
  EXPECT_GT((*history)[0].at_or_before, first);
  EXPECT_EQ((*history)[0].value, "2");
  EXPECT_EQ((*db_->get("k"))->timestamp(), kTimestampMin);
}

TEST_F(SnapshotTest, tombstones_go_at_the_bottom_and_not_above_it) {
  open();
  for (int i = 0; i < 100; ++i) ASSERT_OK(db_->put("k" + std::to_string(i), "v"));
  ASSERT_OK(db_->flush());
  for (int i = 0; i < 100; ++i) ASSERT_OK(db_->erase("k" + std::to_string(i)));
  ASSERT_OK(db_->flush());
  EXPECT_EQ(db_->statistics().keyspaces[0].runs.at(0).tombstones, 100u);
  EXPECT_EQ(rows(), Rows{});
  ASSERT_OK(db_->compact());
  EXPECT_EQ(runs(), 0u) << "nothing is left";
  EXPECT_EQ(files_with_suffix(disk_.get(), kPath, ".sst").size(), 0u);
  reopen();
  EXPECT_EQ(rows(), Rows{});
}

// A hundred thousand versions of one key under a snapshot: a read that went from version to version
// would need ten thousand million steps here and not end within the test's time.
TEST_F(SnapshotTest, hot_key_under_a_snapshot_is_read_in_few_steps) {
#if defined(VARVE_DEBUG)
  constexpr int kVersions = 20'000;
#else
  constexpr int kVersions = 100'000;
#endif
  options_.write_buffer_size = 24 << 20;
  options_.history_retention = std::chrono::hours(1);
  open();
  ASSERT_OK(db_->put("a", "before"));
  ASSERT_OK(db_->put("hot", "first"));
  ASSERT_OK(db_->put("z", "after"));
  const Snapshot old = snapshot();
  WriteBatch batch;
  for (int i = 0; i < kVersions; ++i) {
    batch.clear();
    ASSERT_OK(batch.put("hot", std::to_string(i)));
    ASSERT_OK(db_->write(batch));
  }
  const Rows expected{{"a", "before"}, {"hot", "first"}, {"z", "after"}};
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < kVersions; ++i) {
      std::string value;
      ASSERT_TRUE(db_->get("hot", &value, at(old)).value());
      ASSERT_EQ(value, "first");
    }
    Result<Cursor> cursor = db_->scan({.snapshot = &old});
    ASSERT_OK(cursor);
    for (int i = 0; i < kVersions / 10; ++i) {
      cursor->seek("b");
      ASSERT_EQ(cursor->value(), "first");
      cursor->next();
      ASSERT_EQ(cursor->key(), "z");
      cursor->prev();
      ASSERT_EQ(cursor->value(), "first");
      cursor->prev();
      ASSERT_EQ(cursor->key(), "a");
    }
    cursor = Status::closed("done");
    ASSERT_OK(db_->flush());  // then from the sstable
  }
  EXPECT_EQ(db_->history("hot")->size(), static_cast<size_t>(kVersions) + 1);
}

}  // namespace
}  // namespace varve::test
