#include "mvcc/snapshot_registry.h"
#include "base/mutex.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "tests/support/seeded_test.h"

namespace varve {
namespace {

// Threads that live together, and so have slots of their own; each does what it is told, one at a
// time.
class Threads {
 public:
  explicit Threads(size_t count) {
    for (size_t i = 0; i < count; ++i) threads_.emplace_back([this, i] { work(i); });
  }
  ~Threads() {
    for (size_t i = 0; i < threads_.size(); ++i) run(i, {});
    for (std::thread& thread : threads_) thread.join();
  }
  // Returns when thread `i` has run `job`; an empty one is its last.
  void run(size_t i, const std::function<void()>& job) {
    job_ = &job;
    turn_.store(i + 1);
    while (turn_.load() != 0) std::this_thread::yield();
  }

 private:
  void work(size_t i) {
    for (bool more = true; more;) {
      while (turn_.load() != i + 1) std::this_thread::yield();
      more = static_cast<bool>(*job_);
      if (more) (*job_)();
      turn_.store(0);
    }
  }

  Atomic<size_t> turn_{0};  // 1 and more: a thread's
  const std::function<void()>* job_ = nullptr;
  std::vector<std::thread> threads_;
};

class SnapshotRegistryTest : public ::testing::Test {
 protected:
  std::vector<uint64_t> horizon(uint64_t retention, Atomic<uint64_t>* watermark) {
    std::vector<Timestamp> snapshots;
    const Timestamp reached = registry_.horizon(retention, watermark, &snapshots).watermark;
    EXPECT_EQ(reached.nanos, watermark->load());
    std::vector<uint64_t> nanos;
    for (const Timestamp s : snapshots) nanos.push_back(s.nanos);
    return nanos;
  }

  Atomic<uint64_t> published_{100};
  SnapshotRegistry registry_{published_};
};

TEST_F(SnapshotRegistryTest, acquire_takes_the_newest_published_commit) {
  SnapshotEntry entry;
  registry_.acquire(&entry);
  EXPECT_EQ(entry.timestamp, Timestamp{100});
  EXPECT_EQ(registry_.count(), 1u);
  EXPECT_EQ(registry_.oldest(), Timestamp{100});
  registry_.release(&entry);
  EXPECT_EQ(registry_.count(), 0u);
  EXPECT_EQ(registry_.oldest(), kTimestampMax);
}

TEST_F(SnapshotRegistryTest, horizon_names_the_snapshots_below_the_watermark_once_each) {
  SnapshotEntry entries[5];
  const uint64_t times[] = {30, 10, 30, 50, 80};
  for (size_t i = 0; i < 5; ++i) registry_.acquire_at(&entries[i], Timestamp{times[i]});
  Atomic<uint64_t> watermark{0};
  EXPECT_EQ(horizon(50, &watermark), (std::vector<uint64_t>{10, 30})) << "50 is at the watermark";
  EXPECT_EQ(watermark.load(), 50u);
  registry_.release(&entries[0]);
  EXPECT_EQ(horizon(50, &watermark), (std::vector<uint64_t>{10, 30})) << "the other one at 30";
  registry_.release(&entries[2]);
  EXPECT_EQ(horizon(0, &watermark), (std::vector<uint64_t>{10, 50, 80}));
  for (const size_t i : {1, 3, 4}) registry_.release(&entries[i]);
  EXPECT_EQ(horizon(0, &watermark), (std::vector<uint64_t>{}));
}

TEST_F(SnapshotRegistryTest, watermark_only_rises) {
  Atomic<uint64_t> watermark{0};
  horizon(20, &watermark);
  EXPECT_EQ(watermark.load(), 80u);
  horizon(90, &watermark);
  EXPECT_EQ(watermark.load(), 80u) << "a wider window does not bring history back";
  horizon(UINT64_MAX, &watermark);
  EXPECT_EQ(watermark.load(), 80u);
  Atomic<uint64_t> other{0};
  horizon(UINT64_MAX, &other);
  EXPECT_EQ(other.load(), 0u);
  horizon(100, &other);
  EXPECT_EQ(other.load(), 0u);
}

TEST_F(SnapshotRegistryTest, a_snapshot_of_the_past_holds_what_later_horizons_drop) {
  SnapshotEntry entry;
  registry_.acquire_at(&entry, Timestamp{40});
  EXPECT_EQ(entry.timestamp, Timestamp{40});
  Atomic<uint64_t> watermark{0};
  EXPECT_EQ(horizon(50, &watermark), std::vector<uint64_t>{40});
  registry_.release(&entry);
  EXPECT_EQ(horizon(50, &watermark), std::vector<uint64_t>{});
}

TEST_F(SnapshotRegistryTest, a_snapshot_at_timestamp_0_is_one_like_others) {
  published_.store(0);
  SnapshotEntry entry;
  registry_.acquire(&entry);
  EXPECT_EQ(entry.timestamp, Timestamp{0});
  published_.store(10);
  Atomic<uint64_t> watermark{0};
  EXPECT_EQ(horizon(0, &watermark), std::vector<uint64_t>{0});
  registry_.release(&entry);
}

TEST_F(SnapshotRegistryTest, random_snapshots_agree_with_a_multiset) {
  VARVE_SEEDED_TEST(random);
  Threads threads(3);
  std::list<SnapshotEntry> entries;
  std::multiset<uint64_t> model;
  Atomic<uint64_t> watermark{0};
  for (int i = 0; i < 5000; ++i) {
    published_.store(published_.load() + random.below(5));
    switch (random.below(4)) {
      case 0:
        threads.run(random.below(3), [&] { registry_.acquire(&entries.emplace_back()); });
        model.insert(entries.back().timestamp.nanos);
        break;
      case 1: {
        const uint64_t time = random.below(published_.load() + 1);
        threads.run(random.below(3),
                    [&] { registry_.acquire_at(&entries.emplace_back(), Timestamp{time}); });
        model.insert(time);
        break;
      }
      case 2:
        if (!entries.empty()) {
          auto at = entries.begin();
          std::advance(at, static_cast<ptrdiff_t>(random.below(entries.size())));
          model.erase(model.find(at->timestamp.nanos));
          threads.run(random.below(3), [&] { registry_.release(&*at); });
          entries.erase(at);
        }
        break;
      case 3: {
        std::vector<uint64_t> expected;
        const std::vector<uint64_t> found = horizon(random.below(200), &watermark);
        std::unique_copy(model.begin(), model.lower_bound(watermark.load()),
                         std::back_inserter(expected));
        ASSERT_EQ(found, expected);
        break;
      }
    }
    ASSERT_EQ(registry_.count(), model.size());
    ASSERT_EQ(registry_.oldest().nanos, model.empty() ? UINT64_MAX : *model.begin());
  }
  for (SnapshotEntry& entry : entries) registry_.release(&entry);
}

// The race behind lost history: a snapshot that reads its timestamp before it is registered.
TEST_F(SnapshotRegistryTest, no_snapshot_slips_below_a_horizon_unseen) {
  Atomic<uint64_t> watermark{0};
  Atomic<uint64_t> stop{0};
  Atomic<int> reading{2};
  std::thread publisher([&] {
    while (stop.load() == 0) published_.fetch_add(1);
  });
  // What compactions went by, in order.
  struct Horizon {
    Timestamp reached;
    std::vector<Timestamp> snapshots;
  };
  Mutex horizons_mutex;
  std::vector<Horizon> horizons;
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        SnapshotEntry entry;
        registry_.acquire(&entry);
        {
          // Also those that were taken while it was being registered.
          MutexLock lock(horizons_mutex);
          for (auto at = horizons.rbegin(); at != horizons.rend() && at->reached > entry.timestamp;
               ++at) {
            EXPECT_TRUE(
                std::binary_search(at->snapshots.begin(), at->snapshots.end(), entry.timestamp));
          }
        }
        // From here on every horizon must hold it, or stay at or below it.
        std::vector<Timestamp> snapshots;
        const Timestamp reached = registry_.horizon(0, &watermark, &snapshots).watermark;
        EXPECT_TRUE(entry.timestamp >= reached ||
                    std::binary_search(snapshots.begin(), snapshots.end(), entry.timestamp));
        registry_.release(&entry);
      }
      reading.fetch_sub(1);
    });
  }
  uint64_t before = 0;
  for (int i = 0; i < 3000 || reading.load() != 0; ++i) {
    std::vector<Timestamp> snapshots;
    const Timestamp reached = registry_.horizon(0, &watermark, &snapshots).watermark;
    EXPECT_GE(reached.nanos, before);
    before = reached.nanos;
    EXPECT_TRUE(std::is_sorted(snapshots.begin(), snapshots.end()));
    {
      MutexLock lock(horizons_mutex);
      horizons.push_back({reached, snapshots});
    }
    // A snapshot of the past that stands after the look at the watermark is in later horizons.
    SnapshotEntry entry;
    registry_.acquire_at(&entry, reached);
    if (entry.timestamp.nanos >= watermark.load()) {
      snapshots.clear();
      const Timestamp next = registry_.horizon(0, &watermark, &snapshots).watermark;
      EXPECT_TRUE(entry.timestamp >= next ||
                  std::binary_search(snapshots.begin(), snapshots.end(), entry.timestamp));
    }
    registry_.release(&entry);
  }
  for (std::thread& reader : readers) reader.join();
  stop.store(1);
  publisher.join();
  EXPECT_EQ(registry_.count(), 0u);
}

}  // namespace
}  // namespace varve
