#include "txn/change_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/manual_clock.h"
#include "base/scheduler.h"
#include "base/thread.h"
#include "lsm/batch_format.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"
#include "txn/database_impl.h"

namespace varve::test {
namespace {

std::string batch_of(Keyspace keyspace, const std::vector<std::string>& keys) {
  std::string batch;
  for (const std::string& key : keys) {
    char bytes[200];
    const char* end = encode_batch_entry(bytes, {.keyspace = keyspace, .key = key, .value = "v"});
    batch.append(bytes, static_cast<size_t>(end - bytes));
  }
  return batch;
}

class ChangeWatchTest : public testing::Test {
 protected:
  ~ChangeWatchTest() override {
    for (WatchedRange& range : ranges_) watch_.remove(&range);
  }
  WatchedRange* add(Keyspace keyspace, std::string_view lower, std::string_view upper) {
    WatchedRange* const range = &ranges_.emplace_back();
    EXPECT_TRUE(watch_.add(range, {.keyspace = keyspace, .lower = lower, .upper = upper}));
    return range;
  }

  ManualClock clock_;
  TimestampOracle oracle_{&clock_, Timestamp{100}, kTimestampMax};
  ChangeWatch watch_{&oracle_};
  std::deque<WatchedRange> ranges_;
};

TEST_F(ChangeWatchTest, a_commit_marks_the_ranges_that_hold_its_keys) {
  const Keyspace one{1};
  const Keyspace two{2};
  EXPECT_FALSE(watch_.watches_any());
  const WatchedRange* const narrow = add(one, "b", "c");
  const WatchedRange* const to_the_end = add(one, "b", "");
  const WatchedRange* const before = add(one, "a", "b");
  const WatchedRange* const elsewhere = add(two, "", "");
  EXPECT_TRUE(watch_.watches_any());
  const Timestamp added = oracle_.last_allocated();
  const Timestamp first = oracle_.allocate(3);
  const Timestamp second{first.nanos + 1};
  const Timestamp third{first.nanos + 2};
  watch_.mark(batch_of(one, {"b"}), first);  // lower bounds belong to ranges, upper ones do not
  EXPECT_EQ(narrow->steady_from(), first);
  EXPECT_EQ(to_the_end->steady_from(), first);
  EXPECT_EQ(before->steady_from(), added);
  EXPECT_EQ(elsewhere->steady_from(), added);
  watch_.mark(batch_of(one, {"aa", "c"}), second);
  EXPECT_EQ(narrow->steady_from(), first);
  EXPECT_EQ(to_the_end->steady_from(), second);
  EXPECT_EQ(before->steady_from(), second);
  watch_.mark_all(two, third);
  EXPECT_EQ(elsewhere->steady_from(), third);
  EXPECT_EQ(to_the_end->steady_from(), second);
}

// Its leader may have looked what is watched before the range was.
TEST_F(ChangeWatchTest, a_commit_under_way_counts_where_a_range_is_added) {
  const Timestamp under_way = oracle_.allocate(1);
  ASSERT_LT(oracle_.published(), under_way);
  EXPECT_EQ(add(Keyspace{1}, "a", "b")->steady_from(), under_way);
}

TEST_F(ChangeWatchTest, an_older_mark_changes_nothing) {
  const Timestamp first = oracle_.allocate(2);
  const WatchedRange* const range = add(Keyspace{1}, "a", "b");
  watch_.mark(batch_of(Keyspace{1}, {"a"}), first);
  EXPECT_EQ(range->steady_from(), oracle_.last_allocated());
}

TEST_F(ChangeWatchTest, so_many_ranges_and_no_more_are_watched) {
  for (size_t i = 0; i < ChangeWatch::kRangesMax; ++i) add(Keyspace{1}, "a", "b");
  WatchedRange more;
  EXPECT_FALSE(watch_.add(&more, {.keyspace = {1}, .lower = "a", .upper = "b"}));
  EXPECT_EQ(watch_.size(), ChangeWatch::kRangesMax);
  const Timestamp marked = oracle_.allocate(1);
  watch_.mark(batch_of(Keyspace{1}, {"a"}), marked);
  for (const WatchedRange& range : ranges_) ASSERT_EQ(range.steady_from(), marked);
}

// Ranges that come and go, against a list that is walked.
TEST_F(ChangeWatchTest, random_ranges_are_those_of_a_list) {
  VARVE_SEEDED_TEST(random);
  struct Listed {
    Keyspace keyspace;
    std::string lower;
    std::string upper;
    Timestamp steady_from;
    WatchedRange range;
  };
  std::vector<std::unique_ptr<Listed>> list;
  const auto random_key = [&] {
    return std::string(1 + random.below(2), static_cast<char>('a' + random.below(12)));
  };
  uint64_t marked = 0;
  for (uint64_t step = 0; step < test_iterations(20'000); ++step) {
    const Keyspace keyspace{static_cast<uint32_t>(random.below(3))};
    if (random.one_in(3) && list.size() < 60) {
      auto made = std::make_unique<Listed>();
      made->keyspace = keyspace;
      made->lower = random.one_in(8) ? "" : random_key();
      made->upper = random.one_in(8) ? "" : made->lower + random_key();
      made->steady_from = oracle_.last_allocated();
      ASSERT_TRUE(watch_.add(&made->range, {made->keyspace, made->lower, made->upper}));
      list.push_back(std::move(made));
    } else if (random.one_in(3) && !list.empty()) {
      std::swap(list[random.below(list.size())], list.back());
      watch_.remove(&list.back()->range);
      list.pop_back();
    } else {
      const Timestamp timestamp = oracle_.allocate(1);
      const std::vector<std::string> keys{random_key(), random_key()};
      const bool all = random.one_in(50);
      all ? watch_.mark_all(keyspace, timestamp) : watch_.mark(batch_of(keyspace, keys), timestamp);
      for (const auto& each : list) {
        const bool holds = std::any_of(keys.begin(), keys.end(), [&](const std::string& key) {
          return key >= each->lower && (each->upper.empty() || key < each->upper);
        });
        if (each->keyspace != keyspace || (!all && !holds)) continue;
        each->steady_from = timestamp;
        ++marked;
      }
    }
    ASSERT_EQ(watch_.size(), list.size());
    for (const auto& each : list) ASSERT_EQ(each->range.steady_from(), each->steady_from);
  }
  EXPECT_GT(marked, 0u);
  for (const auto& each : list) watch_.remove(&each->range);
}

// -- beside commits --

// A database without what stands above it.
class Engine {
 public:
  explicit Engine(Durability durability) {
    options_.memory_budget = 16 << 20;
    options_.durability = durability;
    options_.file_system = files_.get();
    Result<StoreOptions> derived = derive_store_options(options_, "/db");
    EXPECT_OK(derived);
    std::unique_ptr<Executor> executor = Executor::create_threads(1);
    derived->executor = executor.get();
    Result<std::unique_ptr<Store>> store = Store::open(*derived);
    EXPECT_OK(store);
    database_ = std::make_unique<DatabaseImpl>(std::move(executor), std::move(*store));
  }
  ~Engine() {
    database_->closed_.store(true);
    database_->store_->end_writes();
    database_->give_up_pools();
    EXPECT_OK(database_->store_->close());
  }
  DatabaseImpl& operator*() { return *database_; }

 private:
  const std::unique_ptr<FileSystem> files_ = FileSystem::create_memory();
  Options options_;
  std::unique_ptr<DatabaseImpl> database_;
};

// What a thread that watches has seen.
struct Look {
  Timestamp snapshot;     // taken before
  Timestamp steady_from;  // was asked
};

// Writers, and a thread that watches what they write, looks, and lets go, again and again. No
// commit that a snapshot saw may be behind what its range was then steady from.
void watch_beside_writers(uint64_t commits, uint64_t looks, Durability durability) {
  Engine engine(durability);
  DatabaseImpl& database = *engine;
  std::vector<Timestamp> committed[2];
  std::vector<Look> seen;
  {
    std::vector<Thread> threads;
    for (std::vector<Timestamp>& mine : committed) {
      threads.emplace_back("writer", 0, [&database, &mine, commits] {
        for (uint64_t i = 0; i < commits; ++i) {
          Store::CommitWait waited;
          EXPECT_OK(database.commit(batch_of(kDefaultKeyspace, {"key"}), 1, std::nullopt, nullptr,
                                    &mine.emplace_back(), &waited));
        }
      });
    }
    threads.emplace_back("watcher", 0, [&] {
      for (uint64_t i = 0; i < looks; ++i) {
        WatchedRange range;
        ASSERT_TRUE(database.watch_.add(
            &range, {.keyspace = kDefaultKeyspace, .lower = "key", .upper = "keyz"}));
        for (int again = 0; again < 3; ++again) {
          SnapshotEntry entry;
          database.store_->snapshots().acquire(&entry);
          seen.push_back({.snapshot = entry.timestamp, .steady_from = range.steady_from()});
          database.store_->snapshots().release(&entry);
        }
        database.watch_.remove(&range);
      }
    });
  }
  for (const Look& look : seen) {
    for (const std::vector<Timestamp>& mine : committed) {
      for (const Timestamp commit : mine) {
        ASSERT_TRUE(commit > look.snapshot || commit <= look.steady_from)
            << "a commit at " << commit.nanos << " was seen at " << look.snapshot.nanos
            << ", and not told of: " << look.steady_from.nanos;
      }
    }
  }
}

TEST(ChangeWatchCommits, threads_see_no_commit_that_is_not_told_of) {
  watch_beside_writers(/*commits=*/3000, /*looks=*/3000, Durability::sync);
  // No lock of the log's orders anything here.
  watch_beside_writers(/*commits=*/30'000, /*looks=*/10'000, Durability::none);
}

#if defined(VARVE_SCHEDULER)
TEST(ChangeWatchCommits, no_schedule_shows_a_commit_that_is_not_told_of) {
  VARVE_SEEDED_TEST(random);
  const uint64_t iterations = test_iterations(300);
  for (uint64_t i = 0; i < iterations; ++i) {
    const uint64_t seed = random.next();
    SCOPED_TRACE("schedule " + std::to_string(i) + ", seed " + std::to_string(seed));
    RandomStrategy by_chance(seed);
    PctStrategy by_priority(seed, /*depth=*/4, /*steps=*/4000);
    ScheduleStrategy* const strategies[] = {&by_chance, &by_priority};
    run_scheduled(strategies[i % 2],
                  [i] {
                    watch_beside_writers(/*commits=*/4, /*looks=*/4,
                                         i % 4 < 2 ? Durability::sync : Durability::none);
                  },
                  {.entropy_seed = seed});
    if (testing::Test::HasFailure()) return;
  }
}
#endif

}  // namespace
}  // namespace varve::test
