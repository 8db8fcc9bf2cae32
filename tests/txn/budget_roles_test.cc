// The budget is driven to its limit by each thing that a program can hold, alone and all together:
// what is too much is refused with a status, writes and compactions go on beside it without end,
// and what was let go of can be had again.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

constexpr int kRows = 12'000;

class BudgetRolesTest : public DatabaseTest {
 protected:
  static constexpr uint64_t kBudget = 8 << 20;

  BudgetRolesTest() {
    options_.memory_budget = kBudget;
    options_.write_buffer_size = 512 << 10;
    options_.cache_size = 0;
    options_.block_size = 4096;
    options_.executor = nullptr;  // threads
    options_.clock = nullptr;
  }
  void TearDown() override {
    let_go();
    DatabaseTest::TearDown();
  }

  static std::string key(int i) { return "key" + std::to_string(1'000'000 + i); }
  static std::string value(int i) { return std::string(1000, static_cast<char>('a' + i % 26)); }

  void make() {
    open();
    unlogged_ = create("unlogged", {.durability = Durability::none});
    for (int i = 0; i < kRows; ++i) ASSERT_OK(db_->put(key(i), value(i)));
    ASSERT_OK(db_->wait_for_background());
  }

  // One kind of thing to hold. `more` takes another one, or says why not. Of what a transaction
  // reads there is never too much, since it is kept within a bound: `most` ends it then.
  struct Kind {
    const char* name;
    MemoryRole role;
    int most;
    bool refused;  // in the end
    std::function<Status()> more;
  };
  std::vector<Kind> kinds() {
    return {
        {"values", MemoryRole::block_frames, kRows, true,
         [this] {
           Result<std::optional<PinnedValue>> got = db_->get(key(static_cast<int>(pins_.size())));
           if (got.ok()) pins_.push_back(std::move(**got));
           return got.status();
         }},
        {"cursors", MemoryRole::cursor, kRows, true,
         [this] {
           Result<Cursor> cursor = db_->scan();
           if (!cursor.ok()) return cursor.status();
           cursor->seek(key(static_cast<int>(cursors_.size() * 97 % kRows)));
           if (!cursor->valid()) return cursor->status();
           cursors_.push_back(std::move(*cursor));
           return Status();
         }},
        {"batches", MemoryRole::batch, kRows, true,
         [this] {
           if (batches_.empty() || batches_.back().count() == 500) batches_.emplace_back(*db_);
           return batches_.back().put(key(static_cast<int>(batches_.back().count())), value(1));
         }},
        {"snapshots", MemoryRole::snapshot_registry, 1'000'000, true,
         [this] {
           Result<Snapshot> taken = db_->snapshot();
           if (taken.ok()) snapshots_.push_back(std::move(*taken));
           return taken.status();
         }},
        {"reads of transactions", MemoryRole::transaction, 20'000, false,
         [this] {
           if (reads_++ % 1000 == 0) {
             Result<Transaction> begun = db_->begin({.isolation = Isolation::serializable});
             if (!begun.ok()) return begun.status();
             readers_.push_back(std::move(*begun));
           }
           std::string found;
           return readers_.back().get(key(reads_ % kRows), &found).status();
         }},
        {"writes of transactions", MemoryRole::transaction, kRows, true,
         [this] {
           if (writes_++ % 500 == 0) {
             Result<Transaction> begun = db_->begin();
             if (!begun.ok()) return begun.status();
             writers_.push_back(std::move(*begun));
           }
           return writers_.back().put("own" + std::to_string(writes_), value(2));
         }},
    };
  }
  void let_go() {
    pins_.clear();
    cursors_.clear();
    batches_.clear();
    snapshots_.clear();
    readers_.clear();
    writers_.clear();
    reads_ = writes_ = 0;
  }

  void expect_within() {
    const MemoryReport report = db_->memory_report();
    // Beside the budget: tables of the allocator, which grow with what it manages.
    EXPECT_LE(report.held_bytes, kBudget + kBudget / 20) << report.to_string();
  }
  // Ten write buffers or so by four threads, of each durability that waits for no disk; and all of
  // it merged.
  void write_and_compact(int round) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([this, t, round] {
        const WriteOptions options = with(t % 2 == 0 ? Durability::os : Durability::buffered);
        for (int i = t; i < kRows / 2; i += 4) {
          WriteBatch batch;
          ASSERT_OK(batch.put(key(i), value(i + round)));
          if (i % 100 == 0) ASSERT_OK(batch.put(unlogged_, key(i), "v"));
          ASSERT_OK(db_->write(batch, options));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_OK(db_->compact()) << db_->memory_report().to_string();
    expect_within();
  }
  void expect_rows(int round) {
    for (int i = 0; i < kRows; i += 7) {
      ASSERT_EQ(get(key(i)), value(i < kRows / 2 ? i + round : i));
    }
  }

  Keyspace unlogged_;
  std::vector<PinnedValue> pins_;
  std::vector<Cursor> cursors_;
  std::vector<WriteBatch> batches_;
  std::vector<Snapshot> snapshots_;
  std::vector<Transaction> readers_;
  std::vector<Transaction> writers_;
  int reads_ = 0;
  int writes_ = 0;
};

TEST_F(BudgetRolesTest, each_alone_fills_it_and_writes_go_on) {
  make();
  if (HasFatalFailure()) return;
  int round = 0;
  for (Kind& kind : kinds()) {
    SCOPED_TRACE(kind.name);
    const uint64_t before = live(kind.role);
    Status status;
    int had = 0;
    while (had < kind.most && (status = kind.more()).ok()) ++had;
    EXPECT_EQ(status.code(), kind.refused ? StatusCode::out_of_memory : StatusCode::ok)
        << status.to_string() << " after " << had;
    EXPECT_GT(had, 100);
    expect_within();
    write_and_compact(++round);
    if (HasFailure()) return;
    let_go();
    // What waits for reuse gives way when memory is short.
    if (kind.role != MemoryRole::block_frames) {
      EXPECT_LE(live(kind.role), before + kBudget / 8);
    }
    EXPECT_OK(kind.more());
    let_go();
    expect_rows(round);
  }
  EXPECT_TRUE(db_->health().ok()) << db_->health().to_string();
}

TEST_F(BudgetRolesTest, all_together_fill_it_and_it_drains) {
  make();
  if (HasFatalFailure()) return;
  std::vector<Kind> left = kinds();
  // In turn, until nobody gets more.
  while (!left.empty()) {
    std::erase_if(left, [&](Kind& kind) {
      for (int i = 0; i < 20; ++i) {
        const Status status = kind.more();
        if (status.ok()) continue;
        EXPECT_EQ(status.code(), StatusCode::out_of_memory) << kind.name << status.to_string();
        return true;
      }
      kind.most -= 20;
      return kind.most <= 0;
    });
  }
  expect_within();
  write_and_compact(1);
  if (HasFailure()) return;
  const MemoryReport report = db_->memory_report();
  uint64_t live_bytes = 0;
  for (size_t role = 0; role < kMemoryRoleCount; ++role) {
    if (static_cast<MemoryRole>(role) == MemoryRole::scan_cache) continue;  // of tables
    EXPECT_GT(report.roles[role].high_water_bytes, 0u)
        << memory_role_name(static_cast<MemoryRole>(role));
    live_bytes += report.roles[role].live_bytes;
  }
  EXPECT_EQ(report.live_bytes, live_bytes);
  EXPECT_EQ(report.held_bytes, report.live_bytes + report.idle_bytes);
  // What is held has not changed beneath its holder, and can be used.
  for (size_t i = 0; i < pins_.size(); ++i) ASSERT_EQ(pins_[i].view(), value(static_cast<int>(i)));
  for (Cursor& cursor : cursors_) ASSERT_EQ(cursor.value().size(), 1000u);
  ASSERT_FALSE(writers_.empty());
  pins_.clear();
  cursors_.clear();
  for (Transaction& transaction : writers_) ASSERT_OK(transaction.commit());
  let_go();
  expect_rows(1);
  ASSERT_OK(db_->wait_for_background());
  EXPECT_TRUE(db_->health().ok()) << db_->health().to_string();
  expect_within();
}

}  // namespace
}  // namespace varve::test
