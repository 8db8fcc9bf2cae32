// Many threads at once, with flushes and compactions beneath: made for ThreadSanitizer, and every
// answer is held against what must be true of it at any moment.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/random.h"
#include "base/scheduler.h"
#include "base/thread.h"
#include "tests/support/hooked_files.h"
#include "tests/support/leak_checks.h"
#include "tests/support/seeded_test.h"
#include "tests/support/sim_file_system.h"
#include "tests/support/status_check.h"
#include "tests/support/temp_directory.h"
#include "varve/varve.h"

namespace varve::test {
namespace {

constexpr int kPairs = 50;

class ConcurrencyTest : public testing::Test {
 protected:
  ConcurrencyTest() {
    options_.memory_budget = 64 << 20;
    options_.write_buffer_size = 64 * 1024;
    options_.cache_size = 32 * 1024;
    options_.block_size = 512;
    options_.separate_values_from = 24;
    options_.durability = Durability::os;
    options_.file_system = &files_;
    files_.set_reads_wait(true);  // and several are asked for together
  }
  void open(const std::string& path) {
    Result<std::unique_ptr<Database>> opened = Database::open(options_, path);
    ASSERT_OK(opened);
    db_ = std::move(*opened);
    Result<Keyspace> other = db_->find_keyspace("other");
    if (!other.ok()) other = db_->create_keyspace("other");
    ASSERT_OK(other);
    other_ = *other;
  }

  // -- what the threads do --

  // Both keys of a pair, in two keyspaces, always get the same number in one commit; each writer
  // owns some of the pairs and counts up.
  static std::string left(uint64_t pair) { return "left" + std::to_string(pair); }
  static std::string right(uint64_t pair) { return "right" + std::to_string(pair); }

  void write_pairs(uint64_t writer, uint64_t writers, uint64_t commits) {
    Random random(writer);
    WriteBatch batch;
    std::vector<uint64_t> numbers(kPairs, 0);
    for (uint64_t i = 0; i < commits; ++i) {
      const uint64_t pair = random.below(kPairs / writers) * writers + writer;
      const std::string number =
          std::to_string(++numbers[pair]) + std::string(random.below(100), '.');
      batch.clear();
      ASSERT_OK(batch.put(left(pair), number));
      ASSERT_OK(batch.put(other_, right(pair), number));
      ASSERT_OK(batch.put("filler" + std::to_string(random.below(500)), std::string(100, 'f')));
      WriteOptions options;
      if (random.one_in(20)) options.durability = Durability::sync;
      if (random.one_in(5)) options.durability = Durability::buffered;
      Timestamp committed;
      ASSERT_OK(db_->write(batch, options, &committed));
      ASSERT_GT(committed.nanos, last_committed_[writer]) << "in order";
      last_committed_[writer] = committed.nanos;
      std::string value;
      ASSERT_TRUE(*db_->get(left(pair), &value)) << "acknowledged means visible";
      ASSERT_EQ(value, number);
    }
  }

  static uint64_t number_of(std::string_view value) {
    return std::stoull(std::string(value.substr(0, value.find('.'))));
  }

  void read_pairs(uint64_t seed, const std::atomic<bool>& stop) {
    Random random(seed);
    std::vector<uint64_t> seen(kPairs, 0);
    std::string a;
    std::string b;
    while (!stop.load()) {
      const uint64_t pair = random.below(kPairs);
      Result<Snapshot> snapshot = db_->snapshot();
      ASSERT_OK(snapshot);
      Result<bool> in_left = db_->get(left(pair), &a, {.snapshot = &*snapshot});
      Result<bool> in_right =
          db_->get(right(pair), &b, {.keyspace = other_, .snapshot = &*snapshot});
      ASSERT_OK(in_left);
      ASSERT_OK(in_right);
      ASSERT_EQ(*in_left, *in_right) << "half of a commit";
      if (!*in_left) continue;
      ASSERT_EQ(a, b) << "half of a commit";
      ASSERT_GE(number_of(a), seen[pair]) << "time went back";
      seen[pair] = number_of(a);
      Result<std::optional<PinnedValue>> pinned = db_->get(left(pair));
      ASSERT_OK(pinned);
      ASSERT_GE(number_of((*pinned)->view()), seen[pair]);
      if (random.one_in(10)) check_scans(*snapshot, random.one_in(2));
      if (random.one_in(10)) check_multi_get(&random);
    }
  }

  void check_scans(const Snapshot& snapshot, bool forward) {
    Result<Cursor> lefts = db_->scan({.snapshot = &snapshot, .prefix = "left"});
    Result<Cursor> rights =
        db_->scan({.keyspace = other_, .snapshot = &snapshot, .prefix = "right"});
    ASSERT_OK(lefts);
    ASSERT_OK(rights);
    for (Cursor* cursor : {&*lefts, &*rights}) {
      forward ? cursor->seek_to_first() : cursor->seek_to_last();
    }
    while (lefts->valid() && rights->valid()) {
      ASSERT_EQ(lefts->key().substr(4), rights->key().substr(5));
      ASSERT_EQ(lefts->value(), rights->value());
      for (Cursor* cursor : {&*lefts, &*rights}) forward ? cursor->next() : cursor->prev();
    }
    ASSERT_OK(lefts->status());
    ASSERT_OK(rights->status());
    ASSERT_EQ(lefts->valid(), rights->valid());
  }

  void check_multi_get(Random* random) {
    const std::string key = left(random->below(kPairs));
    const std::string_view keys[] = {key, "absent", key};
    std::optional<PinnedValue> values[3];
    ASSERT_OK(db_->multi_get(keys, values));
    ASSERT_EQ(values[0].has_value(), values[2].has_value());
    if (values[0]) ASSERT_EQ(values[0]->view(), values[2]->view());
    ASSERT_FALSE(values[1].has_value());
  }

  void run(uint64_t commits) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> readers;
    for (uint64_t i = 0; i < 2; ++i) {
      readers.emplace_back([&, i] { read_pairs(test_seed() + i, stop); });
    }
    std::thread upkeep([&] {
      for (int i = 0; !stop.load(); ++i) {
        ASSERT_OK(i % 5 == 4 ? db_->compact() : db_->flush());
        ASSERT_OK(db_->verify());
        static_cast<void>(db_->statistics());
        static_cast<void>(db_->memory_report());
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    std::vector<std::thread> writers;
    for (uint64_t i = 0; i < 2; ++i) {
      writers.emplace_back([&, i] { write_pairs(i, 2, commits); });
    }
    for (std::thread& writer : writers) writer.join();
    stop.store(true);
    for (std::thread& reader : readers) reader.join();
    upkeep.join();
  }

  const ProcessBaseline baseline_;
  const std::unique_ptr<FileSystem> memory_ = FileSystem::create_memory();
  HookedFiles files_{memory_.get()};
  Options options_;
  std::unique_ptr<Database> db_;
  Keyspace other_;
  uint64_t last_committed_[2] = {};
};

TEST_F(ConcurrencyTest, readers_and_writers_with_flushes_and_compactions_beneath) {
  open("/db");
  run(test_iterations(2500));
  EXPECT_GT(db_->statistics().flushes, 3u);
  EXPECT_GT(db_->statistics().compactions, 0u);
  const uint64_t commits = db_->statistics().commits;
  EXPECT_GE(commits, db_->statistics().commit_groups);
  close_and_check(std::move(db_), &files_);
  open("/db");
  ASSERT_OK(db_->verify());
  close_and_check(std::move(db_), &files_);
  baseline_.expect_restored();
}

// Two syncs of the log at once: the one that ended first closed segments beneath the other, which
// then failed and made the database read-only.
TEST_F(ConcurrencyTest, on_a_real_disk_with_log_segments_that_come_and_go) {
  TempDirectory directory;
  options_.file_system = nullptr;
  options_.write_buffer_size = 128 * 1024;
  open(directory / "db");
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 150; ++i) {
        WriteOptions options;
        options.durability = i % 4 == 0 ? Durability::sync : Durability::os;
        ASSERT_OK(db_->put("t" + std::to_string(t) + "/" + std::to_string(i),
                           std::string(3000, 'v'), options));
      }
    });
  }
  threads.emplace_back([this] {
    for (int i = 0; i < 40; ++i) {
      ASSERT_OK(db_->put("upkeep", "v"));
      ASSERT_OK(db_->flush());
    }
  });
  for (std::thread& thread : threads) thread.join();
  close_and_check(std::move(db_), FileSystem::posix());
  open(directory / "db");
  for (int t = 0; t < 3; ++t) {
    for (int i = 0; i < 150; ++i) {
      std::string value;
      ASSERT_TRUE(*db_->get("t" + std::to_string(t) + "/" + std::to_string(i), &value));
    }
  }
  close_and_check(std::move(db_), FileSystem::posix());
  baseline_.expect_restored();
}

TEST_F(ConcurrencyTest, commits_form_groups_and_keep_their_order) {
  open("/db");
  constexpr uint64_t kWriters = 6;
  constexpr uint64_t kCommits = 200;
  std::vector<std::vector<uint64_t>> times(kWriters);
  std::vector<std::thread> writers;
  for (uint64_t w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      WriteBatch batch;
      for (uint64_t i = 0; i < kCommits; ++i) {
        batch.clear();
        ASSERT_OK(batch.put("shared", std::to_string(w) + "/" + std::to_string(i)));
        ASSERT_OK(batch.put("own" + std::to_string(w), std::to_string(i)));
        Timestamp committed;
        ASSERT_OK(db_->write(batch, {}, &committed));
        times[w].push_back(committed.nanos);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  std::vector<uint64_t> all;
  uint64_t newest = 0;
  uint64_t newest_writer = 0;
  for (uint64_t w = 0; w < kWriters; ++w) {
    for (size_t i = 1; i < times[w].size(); ++i) EXPECT_LT(times[w][i - 1], times[w][i]);
    all.insert(all.end(), times[w].begin(), times[w].end());
    if (times[w].back() > newest) {
      newest = times[w].back();
      newest_writer = w;
    }
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end()) << "each commit has its own timestamp";
  std::string value;
  ASSERT_TRUE(*db_->get("shared", &value));
  EXPECT_EQ(value, std::to_string(newest_writer) + "/" + std::to_string(kCommits - 1));
  const Statistics statistics = db_->statistics();
  EXPECT_EQ(statistics.commits, kWriters * kCommits);
  EXPECT_LE(statistics.commit_groups, statistics.commits);
  close_and_check(std::move(db_), &files_);
}

#if defined(VARVE_SCHEDULER)
// Virtual time: a sync takes a millisecond, what the threads do in between almost nothing. Who
// commits again at once shares the next sync; who comes back late is not waited for every time.
TEST_F(ConcurrencyTest, committers_gather_for_a_sync) {
  SimFileSystem disk(/*seed=*/1);
  HookedFiles files(&disk, [](const FileCall& call) {
    if (call.kind == FileCall::Kind::sync) pause_for(1'000'000);
    return Status();
  });
  options_.file_system = &files;
  options_.durability = Durability::sync;
  constexpr uint64_t kCommits = 100;
  const auto syncs_of = [&](const std::string& path, size_t writers, uint64_t pause) {
    uint64_t syncs = 0;
    RandomStrategy strategy(/*seed=*/writers);
    const auto body = [&] {
      open(path);
      const uint64_t before = db_->statistics().log_syncs;
      std::vector<Thread> threads;
      for (size_t w = 0; w < writers; ++w) {
        threads.emplace_back("writer", 0, [&, w] {
          for (uint64_t i = 0; i < kCommits; ++i) {
            ASSERT_OK(db_->put(std::to_string(w), "value"));
            if (pause != 0) pause_for(pause);
          }
        });
      }
      threads.clear();
      syncs = db_->statistics().log_syncs - before;
      close_and_check(std::move(db_), &files);
    };
    run_scheduled(&strategy, body);
    return syncs;
  };
  EXPECT_EQ(syncs_of("/one", 1, 0), kCommits);
  EXPECT_LT(syncs_of("/two", 2, 0), kCommits * 5 / 4);
  EXPECT_LT(syncs_of("/eight", 8, 0), kCommits * 3 / 2);
  // Waiting for whoever pauses for longer than a sync would help nobody.
  EXPECT_GT(syncs_of("/late", 2, 5'000'000), kCommits * 3 / 2);
}
#endif

// Pinned values are released from other threads than those that got them.
// Writers once waited for ever: the compactions that came due during a manual one had found the
// keyspace taken, and nobody asked again.
TEST_F(ConcurrencyTest, writers_go_on_after_a_manual_compaction) {
  options_.write_buffer_size = 64 * 1024;
  open("/db");
  for (int i = 0; i < 3000; ++i) ASSERT_OK(db_->put(std::to_string(i % 50), std::string(200, 'v')));
  std::atomic<bool> stop{false};
  std::thread compactor([&] {
    while (!stop.load()) EXPECT_OK(db_->compact());
  });
  WriteOptions options;
  options.timeout = std::chrono::seconds(60);
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_OK(db_->put(std::to_string(i), std::string(200, 'w'), options));
  }
  stop.store(true);
  compactor.join();
  for (int i = 0; i < 5000; ++i) {
    ASSERT_OK(db_->put(std::to_string(i), std::string(200, 'x'), options));
  }
  ASSERT_OK(db_->wait_for_background());
  EXPECT_LE(db_->statistics().keyspaces[0].runs.size(), 7u);
}

// Each writer once looked for itself, and all of them were let in.
TEST_F(ConcurrencyTest, large_commits_of_many_writers_stay_within_two_write_buffers) {
  options_.write_buffer_size = 1 << 20;
  open("/db");
  std::vector<std::thread> writers;
  for (int t = 0; t < 8; ++t) {
    writers.emplace_back([this, t] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_OK(db_->put(std::to_string(t) + "/" + std::to_string(i), std::string(700'000, 'v')));
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  const uint64_t high_water =
      db_->memory_report().roles[static_cast<size_t>(MemoryRole::memtable)].high_water_bytes;
  EXPECT_LT(high_water, 3 * options_.write_buffer_size);
}

TEST_F(ConcurrencyTest, pinned_values_and_snapshots_cross_threads) {
  open("/db");
  for (int i = 0; i < 200; ++i) {
    ASSERT_OK(db_->put("k" + std::to_string(i), std::string(100, static_cast<char>('a' + i % 26))));
  }
  ASSERT_OK(db_->flush());
  for (int round = 0; round < 20; ++round) {
    std::vector<PinnedValue> pinned;
    for (int i = 0; i < 200; ++i) {
      Result<std::optional<PinnedValue>> got = db_->get("k" + std::to_string(i));
      ASSERT_OK(got);
      pinned.push_back(std::move(**got));
    }
    Snapshot snapshot = std::move(*db_->snapshot());
    std::thread other([values = std::move(pinned), held = std::move(snapshot)]() mutable {
      for (size_t i = 0; i < values.size(); ++i) {
        EXPECT_EQ(values[i].view().size(), 100u);
        values[i].release();
      }
      held.release();
    });
    ASSERT_OK(db_->put("k" + std::to_string(round), std::string(100, 'z')));
    if (round % 5 == 0) ASSERT_OK(db_->compact());
    other.join();
  }
  close_and_check(std::move(db_), &files_);
}

}  // namespace
}  // namespace varve::test
