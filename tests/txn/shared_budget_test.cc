// Several databases on one budget: what one does not need the others use, memtables of one make
// room for another's writes, and each is closed on its own.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/leak_checks.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"
#include "varve/varve.h"

namespace varve::test {
namespace {

class SharedBudgetTest : public testing::Test {
 protected:
  static constexpr uint64_t kBudget = 16 << 20;

  SharedBudgetTest() {
    Result<std::shared_ptr<MemoryBudget>> budget = MemoryBudget::create(kBudget);
    EXPECT_OK(budget);
    budget_ = std::move(*budget);
    options_.shared_budget = budget_;
    options_.durability = Durability::os;
    options_.block_size = 4096;
    options_.write_buffer_size = 1 << 20;
    options_.file_system = &files_;
    options_.executor = executor_.get();
  }
  void TearDown() override {
    for (std::unique_ptr<Database>& database : databases_) {
      if (database != nullptr) EXPECT_OK(database->close());
    }
    databases_.clear();
    options_.shared_budget = nullptr;
    EXPECT_EQ(budget_->report().live_bytes, 0u);
  }

  Database* open(const std::string& path) {
    Result<std::unique_ptr<Database>> opened = Database::open(options_, path);
    EXPECT_OK(opened);
    if (!opened.ok()) return nullptr;
    databases_.push_back(std::move(*opened));
    return databases_.back().get();
  }
  static std::string key(int i) { return "key" + std::to_string(1'000'000 + i); }
  static std::string value(int i) { return std::string(1000, static_cast<char>('a' + i % 26)); }
  static void fill(Database* database, int rows) {
    for (int i = 0; i < rows; ++i) ASSERT_OK(database->put(key(i), value(i)));
  }
  static void expect_filled(Database* database, int rows) {
    Result<Cursor> cursor = database->scan();
    ASSERT_OK(cursor);
    int i = 0;
    for (cursor->seek_to_first(); cursor->valid(); cursor->next(), ++i) {
      ASSERT_EQ(cursor->key(), key(i));
      ASSERT_EQ(cursor->value(), value(i));
    }
    ASSERT_OK(cursor->status());
    EXPECT_EQ(i, rows);
  }
  void expect_within() {
    const MemoryReport report = budget_->report();
    EXPECT_LE(report.held_bytes, kBudget + kBudget / 20) << report.to_string();
  }

  const std::unique_ptr<FileSystem> disk_ = FileSystem::create_memory();
  HookedFiles files_{disk_.get()};
  const std::unique_ptr<Executor> executor_ = Executor::create_threads(2);
  std::shared_ptr<MemoryBudget> budget_;
  Options options_;
  std::vector<std::unique_ptr<Database>> databases_;
};

TEST_F(SharedBudgetTest, many_databases_write_and_read_within_it) {
  constexpr int kDatabases = 12;
  constexpr int kRows = 4000;  // 4 MB each: three budgets in all
  for (int i = 0; i < kDatabases; ++i) open("/db" + std::to_string(i));
  std::atomic<bool> done{false};
  std::thread looks([&] {
    while (!done.load()) expect_within();
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = t; i < kDatabases; i += 4) {
        Database* database = databases_[static_cast<size_t>(i)].get();
        fill(database, kRows);
        expect_filled(database, kRows);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::unique_ptr<Database>& database : databases_) {
    ASSERT_OK(database->wait_for_background());
    expect_filled(database.get(), kRows);
  }
  done.store(true);
  looks.join();
  expect_within();
  EXPECT_GT(budget_->report().live_bytes, kBudget / 2) << "one cache, and it is made use of";
}

// Without it a database that was written to once would keep its memtables from the others for ever.
TEST_F(SharedBudgetTest, idle_memtables_make_room_for_others) {
  options_.write_buffer_size = 6 << 20;
  Database* idle = open("/idle");
  fill(idle, 4500);
  ASSERT_EQ(idle->statistics().flushes, 0u);
  Database* busy = open("/busy");
  fill(busy, 12'000);
  EXPECT_GE(idle->statistics().flushes, 1u);
  expect_within();
  expect_filled(idle, 4500);
  expect_filled(busy, 12'000);
}

// A full disk stops flushes: its memtables are not waited for.
TEST_F(SharedBudgetTest, who_cannot_flush_is_not_waited_for) {
  options_.write_buffer_size = 6 << 20;
  std::atomic<bool> is_full{false};
  files_.set_hook([&is_full](const FileCall& call) {
    return is_full.load() && call.kind == FileCall::Kind::create && call.path.starts_with("/full/")
               ? Status::no_space("injected")
               : Status();
  });
  Database* full = open("/full");
  fill(full, 4000);
  is_full.store(true);
  Database* other = open("/other");
  fill(other, 12'000);
  expect_filled(other, 12'000);
  is_full.store(false);
  expect_filled(full, 4000);
  ASSERT_OK(full->flush());
  EXPECT_OK(full->close());  // they use the hook
  EXPECT_OK(other->close());
  databases_.clear();
}

// One that cannot flush holds more than its half, since it was alone when it was written to. The
// others once flushed at every commit, as if that would help.
TEST_F(SharedBudgetTest, who_cannot_flush_does_not_make_others_flush_all_the_time) {
  options_.write_buffer_size = 5 << 20;
  std::atomic<bool> is_full{false};
  files_.set_hook([&is_full](const FileCall& call) {
    return is_full.load() && call.kind == FileCall::Kind::create && call.path.ends_with(".sst") &&
                   call.path.starts_with("/full/")
               ? Status::no_space("injected")
               : Status();
  });
  Database* full = open("/full");
  is_full.store(true);
  fill(full, 8000);
  ASSERT_GT(full->memory_report().roles[static_cast<size_t>(MemoryRole::memtable)].live_bytes,
            kBudget / 2);
  Database* other = open("/other");
  fill(other, 4000);
  EXPECT_LE(other->statistics().flushes, 10u);
  expect_filled(other, 4000);
  is_full.store(false);
  ASSERT_OK(full->flush());
  EXPECT_OK(full->close());  // they use the hook
  EXPECT_OK(other->close());
  databases_.clear();
}

// Closed, and not yet destroyed, it holds nothing.
TEST_F(SharedBudgetTest, who_is_closed_does_not_count) {
  options_.write_buffer_size = 5 << 20;
  for (const char* path : {"/first", "/second"}) {
    Database* closed = open(path);
    fill(closed, 4500);
    ASSERT_OK(closed->close());
  }
  Database* third = open("/third");
  open("/fourth");
  fill(third, 3500);
  EXPECT_EQ(third->statistics().flushes, 0u);
  databases_.erase(databases_.begin(), databases_.begin() + 2);
}

// Each was closed with most of a write buffer in its log, alone. Together these are more than the
// budget has, and no memtable is full.
TEST_F(SharedBudgetTest, are_opened_together_whatever_their_logs_hold) {
  constexpr int kDatabases = 12;
  options_.write_buffer_size = 3 << 20;
  for (int i = 0; i < kDatabases; ++i) {
    Database* database = open("/db" + std::to_string(i));
    fill(database, 2500);
    EXPECT_EQ(database->statistics().flushes, 0u);
    ASSERT_OK(database->close());
    databases_.clear();
  }
  for (int i = 0; i < kDatabases; ++i) {
    ASSERT_NE(open("/db" + std::to_string(i)), nullptr) << i;
    expect_within();
  }
  for (const std::unique_ptr<Database>& database : databases_) {
    expect_filled(database.get(), 2500);
  }
}

// The same after all of them were killed, and all at once.
TEST_F(SharedBudgetTest, are_opened_and_closed_side_by_side) {
  constexpr int kDatabases = 10;
  options_.write_buffer_size = 3 << 20;
  const KeyspaceOptions unlogged{.durability = Durability::none};
  const auto side_by_side = [](const auto& each) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kDatabases; ++i) threads.emplace_back([&each, i] { each(i); });
    for (std::thread& thread : threads) thread.join();
  };
  databases_.resize(kDatabases);
  const auto open_one = [this](int i) {
    Result<std::unique_ptr<Database>> opened = Database::open(options_, "/db" + std::to_string(i));
    ASSERT_OK(opened);
    databases_[static_cast<size_t>(i)] = std::move(*opened);
  };
  for (int round = 0; round < 3; ++round) {
    side_by_side(open_one);
    for (const std::unique_ptr<Database>& database : databases_) ASSERT_NE(database, nullptr);
    side_by_side([&](int i) {
      Database* database = databases_[static_cast<size_t>(i)].get();
      if (round > 0) expect_filled(database, 2500);
      fill(database, 2500);
      Result<Keyspace> keyspace = database->find_keyspace("unlogged");
      WriteOptions options;
      if (keyspace.ok()) {
        ReadOptions from;
        from.keyspace = *keyspace;
        std::string got;
        for (int row = 0; row < 1000; row += 10) {
          Result<bool> found = database->get(key(row), &got, from);
          ASSERT_OK(found);
          ASSERT_TRUE(*found) << "lost by an orderly close";
        }
      } else {
        keyspace = database->create_keyspace("unlogged", unlogged);
        ASSERT_OK(keyspace);
      }
      options.keyspace = *keyspace;
      for (int row = 0; row < 1000; ++row) ASSERT_OK(database->put(key(row), value(row), options));
    });
    side_by_side([&](int i) { EXPECT_OK(databases_[static_cast<size_t>(i)]->close()); });
    for (std::unique_ptr<Database>& database : databases_) database.reset();
  }
}

// What waits to be handed to the log takes memory that nobody else can be given; not for longer
// than it waits.
TEST_F(SharedBudgetTest, idle_logs_hold_next_to_nothing) {
  options_.durability = Durability::buffered;
  options_.loss_window = std::chrono::milliseconds(20);
  for (int i = 0; i < 8; ++i) fill(open("/db" + std::to_string(i)), 700);
  const auto log_buffers = [this] {
    return budget_->report().roles[static_cast<size_t>(MemoryRole::log_buffer)].live_bytes;
  };
  for (int i = 0; i < 1000 && log_buffers() > 8 * (192 << 10); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_LE(log_buffers(), 8u * (192 << 10));
}

// Values that users hold in blocks, of all databases together, leave most of the budget to others.
TEST_F(SharedBudgetTest, what_users_pin_is_bounded_together) {
  constexpr int kDatabases = 4;
  std::vector<PinnedValue> held;
  for (int d = 0; d < kDatabases; ++d) {
    fill(open("/db" + std::to_string(d)), 3000);
    ASSERT_OK(databases_.back()->flush());
  }
  for (int i = 0; i < 1000; i += 3) {
    for (const std::unique_ptr<Database>& database : databases_) {
      Result<std::optional<PinnedValue>> got = database->get(key(i));
      ASSERT_OK(got);
      held.push_back(std::move(**got));
    }
  }
  // All else in the cache gives way: some rows of this one's fill all there is.
  fill(open("/last"), 6000);
  expect_filled(databases_.back().get(), 6000);
  const MemoryReport report = budget_->report();
  const uint64_t copies = report.roles[static_cast<size_t>(MemoryRole::cursor)].live_bytes;
  EXPECT_GT(copies, 500u * 1000u) << "beyond a quarter, values are copied";
  for (size_t v = 0; v < held.size(); ++v) {
    ASSERT_EQ(held[v].view(), value(static_cast<int>(v) / kDatabases * 3));
  }
  held.clear();
}

// While one is closed and destroyed the other's reads evict what is left of its blocks: whoever
// took a block out must be through with it before its cache is gone.
TEST_F(SharedBudgetTest, is_closed_while_another_evicts_its_blocks) {
  constexpr int kRounds = 15;
  Database* reader = open("/reader");
  fill(reader, 12'000);
  ASSERT_OK(reader->flush());
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&, t] {
      for (int i = t * 977; !done.load(); i = (i + 7) % 12'000) {
        Result<std::optional<PinnedValue>> got = reader->get(key(i));
        ASSERT_OK(got);
        ASSERT_EQ((*got)->view(), value(i));
      }
    });
  }
  for (int round = 0; round < kRounds; ++round) {
    Result<std::unique_ptr<Database>> passing = Database::open(options_, "/passing");
    ASSERT_OK(passing);
    fill(passing->get(), 2000);
    ASSERT_OK((*passing)->flush());
    expect_filled(passing->get(), 2000);
    EXPECT_OK((*passing)->close());
  }
  done.store(true);
  for (std::thread& thread : readers) thread.join();
}

// Others have it flush its memtables while it closes: only one of both begins them.
TEST_F(SharedBudgetTest, is_closed_while_others_ask_it_for_memory) {
  constexpr int kRounds = 20;
  options_.write_buffer_size = 4 << 20;
  Database* busy = open("/busy");
  std::atomic<bool> done{false};
  std::thread writer([&] {
    while (!done.load()) fill(busy, 500);
  });
  for (int round = 0; round < kRounds; ++round) {
    Result<std::unique_ptr<Database>> passing = Database::open(options_, "/passing");
    ASSERT_OK(passing);
    Result<Keyspace> unlogged = (*passing)->find_keyspace("unlogged");
    if (!unlogged.ok()) {
      unlogged = (*passing)->create_keyspace("unlogged", {.durability = Durability::none});
    }
    ASSERT_OK(unlogged);
    WriteOptions options;
    options.keyspace = *unlogged;
    for (int i = 0; i < 3000; ++i) ASSERT_OK((*passing)->put(key(i), value(round + i), options));
    EXPECT_OK((*passing)->close());
    passing->reset();
    passing = Database::open(options_, "/passing");
    ASSERT_OK(passing);
    std::string got;
    ReadOptions from;
    from.keyspace = *unlogged;
    for (int i = 0; i < 3000; i += 100) {
      Result<bool> found = (*passing)->get(key(i), &got, from);
      ASSERT_OK(found);
      ASSERT_TRUE(*found) << i;
      ASSERT_EQ(got, value(round + i));
    }
  }
  done.store(true);
  writer.join();
}

TEST_F(SharedBudgetTest, is_closed_whatever_users_hold_of_another) {
  Database* first = open("/first");
  Database* second = open("/second");
  fill(first, 100);
  fill(second, 100);
  ASSERT_OK(first->flush());
  ASSERT_OK(second->flush());
  std::optional<PinnedValue> held;
  {
    Result<std::optional<PinnedValue>> got = second->get(key(7));
    ASSERT_OK(got);
    held = std::move(*got);
    ASSERT_TRUE(held.has_value());
  }
  Result<Cursor> cursor = second->scan();
  ASSERT_OK(cursor);
  cursor->seek_to_first();
  expect_filled(first, 100);
  EXPECT_OK(first->close(std::chrono::nanoseconds(0)));
  EXPECT_FAILS(second->close(std::chrono::nanoseconds(0)), busy, "2 cursors");
  EXPECT_EQ(held->view(), value(7));
  EXPECT_EQ(cursor->key(), key(0));
  held.reset();
  cursor = Status::closed("done");
  EXPECT_OK(second->close(std::chrono::nanoseconds(0)));
  databases_.clear();
}

TEST_F(SharedBudgetTest, statistics_are_each_databases_own) {
  Database* first = open("/first");
  Database* second = open("/second");
  fill(first, 100);
  ASSERT_OK(first->flush());
  expect_filled(first, 100);
  EXPECT_GT(first->statistics().block_misses, 0u);
  EXPECT_EQ(second->statistics().block_misses, 0u);
  EXPECT_EQ(first->memory_report().live_bytes, second->memory_report().live_bytes);
}

TEST_F(SharedBudgetTest, settings_that_contradict_it_are_refused) {
  options_.memory_budget = 8 << 20;
  EXPECT_FAILS(Database::open(options_, "/db"), invalid_argument, "shared budget");
  options_.memory_budget = 0;
  options_.cache_size = 1 << 20;
  EXPECT_FAILS(Database::open(options_, "/db"), invalid_argument, "shared budget");
  options_.cache_size = 0;
  options_.write_buffer_size = 9 << 20;
  EXPECT_FAILS(Database::open(options_, "/db"), invalid_argument, "exceed the budget");
  EXPECT_FAILS(MemoryBudget::create(1 << 20), invalid_argument, "at least");
  EXPECT_FAILS(MemoryBudget::create(8 << 20, 9 << 20), invalid_argument, "exceeds the budget");
  Result<std::shared_ptr<MemoryBudget>> derived = MemoryBudget::create(0);
  ASSERT_OK(derived);
  EXPECT_GE((*derived)->bytes(), kMemoryBudgetMin);
}

}  // namespace
}  // namespace varve::test
