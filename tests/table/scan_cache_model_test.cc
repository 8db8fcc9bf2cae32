// Cached scans beside others that are not, at the same moments: random programs, threads, and the
// deterministic scheduler.

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/scheduler.h"
#include "base/thread.h"
#include "tests/support/seeded_test.h"
#include "tests/table/scan_cache_fixture.h"

namespace varve::test {
namespace {

using Texts = std::vector<std::string>;

constexpr int64_t kIdsMax = 40;
constexpr int64_t kBalancesMax = 30;

// -- random programs --

class ScanCacheModelTest : public ScanCacheFixture {
 protected:
  ScanCacheModelTest() : random_(0) {
    options_.memory_budget = 16 << 20;
    options_.write_buffer_size = 64 << 10;
  }
  void TearDown() override {
    pairs_.clear();
    snapshots_.clear();
    other_ = Table();
    others_.reset();
    ScanCacheFixture::TearDown();
  }

  // A scan that is cached, the same one that is not, and how many arguments it takes.
  struct Pair {
    RowCursor cached;
    RowCursor uncached;
    int arguments = 0;
  };

  int64_t random_id() { return static_cast<int64_t>(random_.below(kIdsMax)); }
  std::vector<Value> random_account() {
    static constexpr std::string_view kOwners[] = {"Ann", "Bob", "Eve"};
    std::vector<Value> row = account(random_id(), kOwners[random_.below(3)],
                                     static_cast<int64_t>(random_.below(kBalancesMax)));
    if (random_.one_in(8)) row[1] = Value();
    if (random_.one_in(8)) row[2] = Value();
    row.resize(columns_);
    return row;
  }
  void make_pairs() {
    static constexpr std::pair<const char*, int> kFilters[] = {{"", 0},
                                                               {"id < ?", 1},
                                                               {"id >= ? and id < ?", 2},
                                                               {"id in (?, 7, ?)", 2},
                                                               {"id > ? and balance > ?", 2},
                                                               {"balance >= ?", 1},
                                                               {"balance between ? and ?", 2},
                                                               {"owner = 'Ann'", 0},
                                                               {"owner = 'Bob' and balance < ?", 1},
                                                               {"owner is null", 0}};
    for (const auto& [filter, arguments] : kFilters) {
      for (const bool few : {false, true}) {
        ScanDefinition definition{.filter = filter, .reverse = random_.one_in(2)};
        if (few) definition.limit = 1 + random_.below(5);
        if (random_.one_in(2)) definition.columns = {"owner", "balance"};
        // Two caches, so that each has something that it did not write itself.
        const Table& table = few ? other_ : table_;
        Result<RowCursor> uncached = table.scan(definition);
        ASSERT_OK(uncached);
        pairs_.push_back({scan(table, definition), std::move(*uncached), arguments});
      }
    }
  }
  std::vector<Value> random_arguments(const Pair& pair) {
    std::vector<Value> arguments;
    for (int i = 0; i < pair.arguments; ++i) {
      arguments.push_back(Value::int64(static_cast<int64_t>(random_.below(3) * 13)));
    }
    return arguments;
  }

  // Source: a snapshot, or a transaction.
  template <typename Source>
  void compare(Source&& source) {
    Pair& pair = pairs_[random_.below(pairs_.size())];
    const std::vector<Value> arguments = random_arguments(pair);
    for (uint64_t times = 1 + random_.below(3); times > 0; --times) {
      const Status cached = pair.cached.open(source, arguments);
      const Status uncached = pair.uncached.open(source, arguments);
      ASSERT_EQ(cached.to_string(), uncached.to_string());
      if (cached.ok()) {
        ASSERT_EQ(rest_of(&pair.cached), rest_of(&pair.uncached)) << pair.cached.explain();
      }
      pair.cached.close();
      pair.uncached.close();
    }
  }

  // A walk in a transaction that may write, or end, on the way.
  void walk(Transaction* transaction) {
    Pair& pair = pairs_[random_.below(pairs_.size())];
    const std::vector<Value> arguments = random_arguments(pair);
    const Status cached = pair.cached.open(transaction, arguments);
    ASSERT_EQ(cached.to_string(), pair.uncached.open(transaction, arguments).to_string());
    if (!cached.ok()) return;
    std::optional<Savepoint> savepoint;
    for (int step = 0; step < 60; ++step) {
      switch (random_.below(12)) {
        case 0:
          change_in(transaction);
          break;
        case 1:
          if (Result<Savepoint> set = transaction->set_savepoint(); set.ok()) savepoint = *set;
          break;
        case 2:
          if (savepoint) (void)transaction->rollback_to(*savepoint);
          break;
        case 3:
          if (random_.one_in(10)) (void)transaction->commit();
          break;
        default:
          break;
      }
      const bool more = pair.cached.next();
      ASSERT_EQ(more, pair.uncached.next())
          << pair.cached.status().to_string() << ", and " << pair.uncached.status().to_string();
      ASSERT_EQ(pair.cached.status().code(), pair.uncached.status().code());
      if (!more) break;
      for (size_t i = 0; i < pair.cached.columns(); ++i) {
        ASSERT_EQ(to_text(pair.cached.value(i)), to_text(pair.uncached.value(i)));
      }
    }
    pair.cached.close();
    pair.uncached.close();
  }

  void change_in(Transaction* transaction) {
    Result<TableRows> rows = table_.rows(transaction);
    if (!rows.ok()) return;  // it has ended
    if (random_.one_in(3)) {
      const Value key[] = {Value::int64(random_id())};
      EXPECT_OK(rows->erase(key));
    } else {
      EXPECT_OK(rows->upsert(random_account()));
    }
  }
  void transact() {
    const bool read_only = random_.one_in(4);
    Transaction transaction =
        begin({.isolation = random_.one_in(4) ? Isolation::serializable : Isolation::snapshot,
               .read_only = read_only,
               .write_memory_max = random_.one_in(8) ? 200u : 0u});
    const bool writes = !read_only && random_.one_in(2);
    for (uint64_t i = random_.below(4); writes && i > 0; --i) change_in(&transaction);
    compare(&transaction);
    if (HasFatalFailure()) return;
    if (!read_only) walk(&transaction);
    executor_.run_all();
    if (random_.one_in(2)) (void)transaction.commit();
    executor_.run_all();
  }
  void change_table() {
    const std::string name = "note" + std::to_string(random_.below(2));
    if (!table_.add_column({.name = name, .kind = {ColumnType::int64}}).ok()) {
      EXPECT_OK(table_.drop_column(name));
    }
    if (random_.one_in(3)) {
      const IndexDefinition index{.name = "balance_again", .columns = {{"balance"}}};
      if (!table_.create_index(index).ok()) EXPECT_OK(table_.drop_index(index.name));
    }
    columns_ = table_.definition()->columns.size();
    executor_.run_all();
  }
  void step() {
    switch (random_.below(20)) {
      case 0:
      case 1:
      case 2: {
        const std::vector<Value> row = random_account();
        ASSERT_OK(change([&](TableRows* rows) { return rows->upsert(row); }));
        return;
      }
      case 3: {
        const Value key[] = {Value::int64(random_id())};
        ASSERT_OK(change([&](TableRows* rows) { return rows->erase(key).status(); }));
        return;
      }
      case 4:
        if (snapshots_.size() == 6) snapshots_.pop_front();
        snapshots_.push_back(snapshot());
        return;
      case 5:
      case 6:
      case 7:
        if (!snapshots_.empty()) compare(snapshots_[random_.below(snapshots_.size())]);
        return;
      case 8:
        return transact();
      case 9:
        if (random_.one_in(20)) change_table();
        return;
      case 10:
        if (random_.one_in(20)) ASSERT_OK(db_->put("other", "key"));
        return;
      default: {
        const Snapshot now = snapshot();
        return compare(now);
      }
    }
  }

  Random random_;
  size_t columns_ = 3;  // of the table now
  std::unique_ptr<Tables> others_;
  Table other_;
  std::vector<Pair> pairs_;
  std::deque<Snapshot> snapshots_;
};

TEST_F(ScanCacheModelTest, cached_scans_show_what_others_do) {
  VARVE_SEEDED_TEST(random);
  random_ = Random(random.next());
  Result<std::unique_ptr<Tables>> others =
      Tables::open(db_.get(), {.scan_cache_bytes = kScanCacheBytesMin});
  ASSERT_OK(others);
  others_ = std::move(*others);
  other_ = *others_->find_table("accounts");
  make_pairs();
  const uint64_t steps = test_iterations(8000);
  for (uint64_t i = 0; i < steps; ++i) {
    step();
    if (HasFailure()) return;
  }
  for (Tables* each : {tables_.get(), others_.get()}) {
    const ScanCacheStatistics statistics = each->scan_cache_statistics();
    std::printf("%llu hits, %llu misses, %llu bypassed, %llu invalidated, %llu evicted\n",
                static_cast<unsigned long long>(statistics.hits),
                static_cast<unsigned long long>(statistics.misses),
                static_cast<unsigned long long>(statistics.bypassed),
                static_cast<unsigned long long>(statistics.invalidated),
                static_cast<unsigned long long>(statistics.evicted));
    if (steps < 4000) continue;
    // Else it would show nothing.
    EXPECT_GT(statistics.hits, statistics.misses / 10);
    EXPECT_GT(statistics.misses, 0u);
    EXPECT_GT(statistics.bypassed, 0u);
    EXPECT_GT(statistics.invalidated, 0u);
  }
}

// -- threads --

// Accounts between which money is moved, and who counts it by cached scans. All of it is there at
// all times, counts never go back, and other scans of the same snapshot say the same.
class Bank {
 public:
  static constexpr int64_t kAccounts = 12;
  static constexpr int64_t kEach = 100;

  Bank() {
    options_.memory_budget = 16 << 20;
    options_.durability = Durability::os;
    options_.file_system = files_.get();
    Result<std::unique_ptr<Database>> database = Database::open(options_, "/db");
    EXPECT_OK(database);
    database_ = std::move(*database);
    Result<std::unique_ptr<Tables>> tables =
        Tables::open(database_.get(), {.scan_cache_bytes = kScanCacheBytesMin});
    EXPECT_OK(tables);
    tables_ = std::move(*tables);
    const auto column = [](const char* name) {
      return ColumnDefinition{.name = name, .kind = {ColumnType::int64}, .nullable = false};
    };
    Result<Table> table = tables_->create_table(
        {.name = "accounts",
         .columns = {column("id"), column("balance"), column("moves")},
         .primary_key = {{"id"}},
         .indexes = {{.name = "all", .columns = {{"moves"}}, .covered = {"balance"}},
                     {.name = "some", .columns = {{"balance"}}}}});
    EXPECT_OK(table);
    table_ = *table;
    EXPECT_OK(database_->transact([&](Transaction& transaction) {
      std::vector<Value> rows;
      for (int64_t id = 0; id < kAccounts; ++id) {
        for (const int64_t value : {id, kEach, int64_t{0}}) rows.push_back(Value::int64(value));
      }
      return table_.rows(&transaction)->insert_all(rows);
    }));
  }

  // Moves one between two accounts, and counts it in both.
  void move(Random* random) {
    const auto from = static_cast<int64_t>(random->below(kAccounts));
    const int64_t to = (from + 1) % kAccounts;
    const Status status =
        database_
            ->transact([&](Transaction& transaction) {
              Result<TableRows> rows = table_.rows(&transaction);
              if (!rows.ok()) return rows.status();
              for (const int64_t id : {from, to}) {
                const Value key[] = {Value::int64(id)};
                Row row;
                const Result<bool> found = rows->get(key, &row);
                if (!found.ok()) return found.status();
                EXPECT_TRUE(*found);
                Value balance;
                Value moves;
                EXPECT_OK(row.get(1, &balance));
                EXPECT_OK(row.get(2, &moves));
                const int64_t left = balance.as_int64() + (id == from ? -1 : 1);
                const ColumnChange changes[] = {{1, Value::int64(left)},
                                                {2, Value::int64(moves.as_int64() + 1)}};
                const Result<bool> updated = rows->update(key, changes);
                if (!updated.ok()) return updated.status();
              }
              return Status();
            })
            .status();
    EXPECT_OK(status);
  }

  struct Counted {
    int64_t balance = 0;
    int64_t moves = 0;
    friend bool operator==(const Counted&, const Counted&) = default;
  };
  Counted count(RowCursor* cursor, const Snapshot& at) {
    Counted counted;
    EXPECT_OK(cursor->open(at));
    while (cursor->next()) {
      counted.balance += cursor->value(0).as_int64();
      counted.moves += cursor->value(1).as_int64();
    }
    EXPECT_OK(cursor->status());
    cursor->close();
    return counted;
  }
  // By one of the ways to all accounts.
  void look(uint64_t times, const char* filter) {
    ScanDefinition definition{.columns = {"balance", "moves"}, .filter = filter};
    Result<RowCursor> uncached = table_.scan(definition);
    definition.cached = true;
    Result<RowCursor> cached = table_.scan(definition);
    ASSERT_OK(uncached);
    ASSERT_OK(cached);
    int64_t moves = 0;
    for (uint64_t i = 0; i < times || (while_written_ && writers_.load() != 0); ++i) {
      Result<Snapshot> now = database_->snapshot();
      ASSERT_OK(now);
      const Counted first = count(&*cached, *now);
      ASSERT_EQ(first.balance, kAccounts * kEach);
      ASSERT_GE(first.moves, moves) << "went back";
      moves = first.moves;
      ASSERT_EQ(first, count(&*uncached, *now));
      ASSERT_EQ(first, count(&*cached, *now));
    }
  }

  struct Size {
    uint64_t moves = 0;          // of each writer
    uint64_t looks = 0;          // of each reader
    bool while_written = false;  // and more, as long as there are writers
  };
  void run(const Size& size, uint64_t seed) {
    while_written_ = size.while_written;
    std::vector<Thread> threads;
    for (uint64_t writer = 0; writer < 2; ++writer) {
      writers_.fetch_add(1);
      threads.emplace_back("writer", 0, [this, moves = size.moves, seed, writer] {
        Random random(seed + writer);
        for (uint64_t i = 0; i < moves; ++i) move(&random);
        writers_.fetch_sub(1);
      });
    }
    for (const char* filter : {"id >= 0", "moves >= 0", "balance > -1000000"}) {
      threads.emplace_back("reader", 0,
                           [this, looks = size.looks, filter] { look(looks, filter); });
    }
  }
  ScanCacheStatistics statistics() { return tables_->scan_cache_statistics(); }
  // Nobody writes any more: what is asked twice is there.
  void expect_hits_at_rest() {
    for (int i = 0; i < 2; ++i) look(1, "moves >= 0");
    const uint64_t before = statistics().hits;
    look(1, "moves >= 0");
    EXPECT_EQ(statistics().hits, before + 2);
  }

 private:
  const std::unique_ptr<FileSystem> files_ = FileSystem::create_memory();
  Options options_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Tables> tables_;
  Table table_;
  Atomic<uint64_t> writers_{0};  // at work
  bool while_written_ = false;
};

TEST(ScanCacheThreads, all_money_is_there_at_all_times) {
  VARVE_SEEDED_TEST(random);
  Bank bank;
  bank.run({.moves = 6000, .looks = 500, .while_written = true}, random.next());
  bank.expect_hits_at_rest();
  const ScanCacheStatistics statistics = bank.statistics();
  std::printf("%llu hits, %llu misses, %llu invalidated\n",
              static_cast<unsigned long long>(statistics.hits),
              static_cast<unsigned long long>(statistics.misses),
              static_cast<unsigned long long>(statistics.invalidated));
}

#if defined(VARVE_SCHEDULER)
TEST(ScanCacheThreads, all_money_is_there_in_every_schedule) {
  VARVE_SEEDED_TEST(random);
  const uint64_t iterations = test_iterations(60);
  uint64_t hits = 0;
  for (uint64_t i = 0; i < iterations; ++i) {
    const uint64_t seed = random.next();
    SCOPED_TRACE("schedule " + std::to_string(i) + ", seed " + std::to_string(seed));
    RandomStrategy by_chance(seed);
    PctStrategy by_priority(seed, /*depth=*/4, /*steps=*/40'000);
    ScheduleStrategy* const strategies[] = {&by_chance, &by_priority};
    const auto body = [&] {
      Bank bank;
      bank.run({.moves = 3, .looks = 3}, seed);
      bank.expect_hits_at_rest();
      hits += bank.statistics().hits;
    };
    run_scheduled(strategies[i % 2], body, {.entropy_seed = seed});
    if (testing::Test::HasFailure()) return;
  }
  std::printf("%llu hits in %llu schedules\n", static_cast<unsigned long long>(hits),
              static_cast<unsigned long long>(iterations));
}
#endif

}  // namespace
}  // namespace varve::test
