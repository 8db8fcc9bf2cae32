// What the statistics say of transactions; and by their means, that no verdict is a false one.

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lsm/store.h"
#include "tests/support/seeded_test.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

uint64_t conflicts(const Statistics& s) {
  return s.conflicts_on_write + s.conflicts_on_read + s.conflicts_on_range;
}
uint64_t ended(const Statistics& s) {
  return s.transactions_committed + s.transactions_committed_empty + s.transactions_rolled_back +
         s.transactions_unknown + conflicts(s);
}

class TransactionStatisticsTest : public DatabaseTest {
 protected:
  // A conflict table of 1/32 of `budget`, half of it slots of 8 bytes, a quarter the ring.
  void open_within(uint64_t budget) {
    options_.memory_budget = budget;
    options_.write_buffer_size = budget / 32;
    options_.cache_size = 0;
    open();
  }
  using DatabaseTest::begin;
  Transaction begin() { return begin(Isolation::serializable); }
  static void read(Transaction& transaction, std::string_view key) {
    std::string value;
    EXPECT_OK(transaction.get(key, &value));
  }
};

TEST_F(TransactionStatisticsTest, tries_of_transact_after_a_conflict_are_counted) {
  open();
  uint32_t tries = 0;
  const auto lose_twice = [&](Transaction& transaction) -> Status {
    if (Status status = transaction.put("a", "mine"); !status.ok()) return status;
    return ++tries <= 2 ? db_->put("a", "theirs") : Status();
  };
  ASSERT_OK(db_->transact(lose_twice));
  EXPECT_EQ(db_->statistics().transactions_retried, 2u);
  EXPECT_EQ(conflicts(db_->statistics()), 2u);
  // The last try is none that is followed by another one.
  tries = 0;
  EXPECT_EQ(db_->transact(lose_twice, {.attempts_max = 2}).status().code(), StatusCode::conflict);
  EXPECT_EQ(db_->statistics().transactions_retried, 3u);
  EXPECT_NE(db_->statistics().to_string().find("transactions_retried       3"), std::string::npos);
}

TEST_F(TransactionStatisticsTest, commits_and_gets_are_timed) {
  options_.latency_sampling = 1;
  open();
  ASSERT_OK(db_->put("a", "1"));
  WriteBatch batch(*db_);
  ASSERT_OK(batch.put("b", "2"));
  ASSERT_OK(db_->write(batch));
  {
    Transaction transaction = begin();
    read(transaction, "a");
    read(transaction, "absent");
    ASSERT_OK(transaction.put("a", "3"));
    read(transaction, "a");  // its own: nothing is looked up
    ASSERT_OK(transaction.commit());
    Transaction loser = begin();
    read(loser, "a");
    ASSERT_OK(loser.put("c", "4"));
    ASSERT_OK(db_->put("a", "5"));
    EXPECT_EQ(loser.commit().status().code(), StatusCode::conflict);
  }
  ASSERT_OK(db_->get("a"));
  const Statistics statistics = db_->statistics();
  EXPECT_EQ(statistics.commit_latency.count, 4u);
  EXPECT_EQ(statistics.get_latency.count, 4u);
  EXPECT_NE(statistics.to_string().find("latency of commit, of 4 timed: p50 "), std::string::npos);
}

// A hook of the files turns the clock while a commit waits for the disk.
TEST_F(TransactionStatisticsTest, the_wait_for_the_disk_is_a_part_of_a_commits_latency) {
  options_.latency_sampling = 1;
  options_.durability = Durability::sync;
  open();
  hook_ = [this](const FileCall& call) {
    if (call.changes()) clock_.advance(3'000'000);
    return Status();
  };
  for (int i = 0; i < 10; ++i) ASSERT_OK(db_->put("a", "1"));
  hook_ = nullptr;
  const LatencyStatistics latency = db_->statistics().commit_latency;
  EXPECT_EQ(latency.count, 10u);
  EXPECT_GE(latency.p50_nanos, 3'000'000u);
  EXPECT_GE(latency.total_nanos, 30'000'000u);
}

TEST_F(TransactionStatisticsTest, nothing_is_timed_where_that_is_not_wanted) {
  options_.latency_sampling = 0;
  open();
  for (int i = 0; i < 100; ++i) ASSERT_OK(db_->put("a", "1"));
  EXPECT_EQ(db_->statistics().commit_latency.count, 0u);
  EXPECT_EQ(db_->statistics().to_string().find("latency"), std::string::npos);
}

TEST_F(TransactionStatisticsTest, every_end_is_counted_once) {
  open();
  {
    Transaction committed = begin();
    ASSERT_OK(committed.put("a", "1"));
    ASSERT_OK(committed.commit());
    Transaction empty = begin();
    read(empty, "a");
    ASSERT_OK(empty.commit());
    TransactionOptions read_only;
    read_only.read_only = true;
    Result<Transaction> reader = db_->begin(read_only);
    ASSERT_OK(reader);
    ASSERT_OK(reader->commit());
    Transaction rolled_back = begin();
    ASSERT_OK(rolled_back.put("a", "2"));
    ASSERT_OK(rolled_back.rollback());
    Transaction still_open = begin();
    Transaction dropped = begin();
    EXPECT_EQ(db_->statistics().transactions_begun, 6u);
    EXPECT_EQ(ended(db_->statistics()), 4u);
  }
  {
    Transaction loses = begin();
    ASSERT_OK(loses.put("a", "2"));
    ASSERT_OK(db_->put("a", "3"));
    EXPECT_EQ(loses.commit().status().code(), StatusCode::conflict);
    EXPECT_EQ(loses.commit().status().code(), StatusCode::conflict);
    ASSERT_OK(loses.rollback());
  }
  const Statistics s = db_->statistics();
  EXPECT_EQ(s.transactions_begun, 7u);
  EXPECT_EQ(s.transactions_committed, 1u);
  EXPECT_EQ(s.transactions_committed_empty, 2u);
  EXPECT_EQ(s.transactions_rolled_back, 3u);
  EXPECT_EQ(s.transactions_unknown, 0u);
  EXPECT_EQ(s.conflicts_on_write, 1u);
  EXPECT_EQ(ended(s), s.transactions_begun);
}

TEST_F(TransactionStatisticsTest, an_unknown_outcome_is_neither_committed_nor_rolled_back) {
  options_.durability = Durability::sync;
  open();
  ASSERT_OK(db_->put("a", "0"));
  Transaction transaction = begin();
  ASSERT_OK(transaction.put("a", "1"));
  hook_ = [](const FileCall& call) {
    return call.kind == FileCall::Kind::sync ? Status::io_error(call.path + ": no") : Status();
  };
  EXPECT_EQ(transaction.commit().status().code(), StatusCode::io_error);
  hook_ = nullptr;
  ASSERT_OK(transaction.rollback());
  const Statistics s = db_->statistics();
  EXPECT_EQ(s.transactions_unknown, 1u);
  EXPECT_EQ(ended(s), 1u);
  kill();
}

TEST_F(TransactionStatisticsTest, each_conflict_has_its_cause) {
  open();
  Transaction on_write = begin(Isolation::snapshot);
  Transaction on_read = begin();
  Transaction for_update = begin(Isolation::snapshot);
  Transaction on_range = begin();
  std::string value;
  ASSERT_OK(on_write.put("k", "mine"));
  read(on_read, "k");
  ASSERT_OK(for_update.get_for_update("k", &value));
  {
    Result<Cursor> cursor = on_range.scan({.lower = "j", .upper = "l"});
    ASSERT_OK(cursor);
    cursor->seek_to_first();
  }
  for (Transaction* each : {&on_read, &for_update, &on_range}) ASSERT_OK(each->put("own", "1"));
  ASSERT_OK(db_->put("k", "others'"));
  for (Transaction* each : {&on_write, &on_read, &for_update, &on_range}) {
    EXPECT_EQ(each->commit().status().code(), StatusCode::conflict);
  }
  const Statistics s = db_->statistics();
  EXPECT_EQ(s.conflicts_on_write, 1u);
  EXPECT_EQ(s.conflicts_on_read, 2u);
  EXPECT_EQ(s.conflicts_on_range, 1u);
  EXPECT_EQ(s.conflicts_on_span, 0u);
}

// Read one by one until a span stands for them: what lies between counts as read.
TEST_F(TransactionStatisticsTest, a_conflict_on_a_span_is_told_apart) {
  open_within(kMemoryBudgetMin);
  Transaction transaction = begin();
  for (int i = 0; i < 5000; ++i) read(transaction, "k" + std::to_string(10'000 + 2 * i));
  ASSERT_OK(transaction.put("own", "1"));
  ASSERT_OK(db_->put("k10001", "nobody read it"));
  EXPECT_EQ(transaction.commit().status().code(), StatusCode::conflict);
  const Statistics s = db_->statistics();
  EXPECT_EQ(s.conflicts_on_range, 1u);
  EXPECT_EQ(s.conflicts_on_span, 1u);
}

// Far more is written beside them than the table has slots, so that nearly all say 'maybe', and the
// ring was trimmed long ago. No two touch the same key: not one loses.
TEST_F(TransactionStatisticsTest, keys_that_collide_in_the_table_are_looked_up_and_no_conflict) {
  open_within(kMemoryBudgetMin);
  constexpr int kTransactions = 8;
  constexpr int kKeysEach = 50;
  const auto key = [](int transaction, int i) {
    return "t" + std::to_string(transaction) + "/" + std::to_string(i);
  };
  for (int t = 0; t < kTransactions; ++t) {
    for (int i = 0; i < kKeysEach; ++i) ASSERT_OK(db_->put(key(t, i), "0"));
  }
  std::vector<Transaction> transactions;
  for (int t = 0; t < kTransactions; ++t) {
    transactions.push_back(begin());
    for (int i = 0; i < kKeysEach; ++i) {
      read(transactions.back(), key(t, i));
      ASSERT_OK(transactions.back().put(key(t, i + kKeysEach), "1"));
    }
  }
  for (int i = 0; i < 60'000; ++i) {
    ASSERT_OK(db_->put("z" + std::to_string(i), "v"));
    if (i % 500 == 0) executor_.run_all();
  }
  for (Transaction& transaction : transactions) EXPECT_OK(transaction.commit());
  const Statistics s = db_->statistics();
  EXPECT_EQ(conflicts(s), 0u);
  EXPECT_EQ(s.transactions_committed, static_cast<uint64_t>(kTransactions));
  EXPECT_GE(s.conflict_lookups, kTransactions * kKeysEach * 2u * 9 / 10) << "60,000 in 8,192 slots";
  EXPECT_EQ(s.conflict_lookups_unchanged, s.conflict_lookups);
}

// The same by threads, so that what came between the halves of the checks is decided by the ring.
TEST_F(TransactionStatisticsTest, threads_with_keys_of_their_own_never_conflict) {
  options_.executor = nullptr;
  options_.clock = nullptr;
  open_within(16 << 20);
  constexpr int kThreads = 4;
  constexpr int kTransactions = 200;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      Random random(static_cast<uint64_t>(t));
      const std::string own = "t" + std::to_string(t) + "/";
      for (int i = 0; i < kTransactions; ++i) {
        Transaction transaction = begin();
        for (int k = 0; k < 10; ++k) {
          read(transaction, own + "r" + std::to_string(random.below(10'000)));
          ASSERT_OK(transaction.put(own + "w" + std::to_string(random.below(10'000)), "v"));
        }
        // Newer than its start, and in the table.
        WriteBatch batch(*db_);
        for (int k = 0; k < 200; ++k) {
          ASSERT_OK(batch.put(own + "p" + std::to_string(random.below(10'000)), "v"));
        }
        ASSERT_OK(db_->write(batch));
        ASSERT_OK(transaction.commit());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Statistics s = db_->statistics();
  EXPECT_EQ(conflicts(s), 0u);
  EXPECT_EQ(s.transactions_begun, static_cast<uint64_t>(kThreads * kTransactions));
  EXPECT_EQ(s.transactions_committed, s.transactions_begun);
  EXPECT_GT(s.conflict_lookups, 0u);
  EXPECT_EQ(s.conflict_lookups_unchanged, s.conflict_lookups);
}

// What a transaction wrote, and relies on, in a model that knows when each key was last written.
struct Model {
  std::optional<Transaction> transaction;
  Timestamp start;
  bool serializable = false;
  std::set<int> written;
  std::set<int> read;
  std::vector<std::pair<int, int>> ranges;  // [first, second)
};

// Many open side by side, at both levels, over a table that says 'maybe' of much: each verdict is
// the one that the keys themselves call for, with its cause. So none is false, and none is missed.
TEST_F(TransactionStatisticsTest, verdicts_and_counts_are_those_of_an_exact_model) {
  VARVE_SEEDED_TEST(random);
  open_within(16 << 20);
  constexpr uint64_t kKeys = 20'000;
  constexpr uint64_t kHot = 60;  // where most of the conflicts are
  const auto name = [](int i) { return "k" + std::to_string(100'000 + i); };
  const auto some = [&] {
    return static_cast<int>(random.one_in(2) ? random.below(kHot) : random.below(kKeys));
  };
  std::map<int, Timestamp> last;
  const auto newer = [&](int key, Timestamp start) {
    const auto found = last.find(key);
    return found != last.end() && found->second > start;
  };
  std::array<Model, 6> open_ones;
  Statistics expected;
  std::string value;
  const uint64_t steps = test_iterations(20'000);
  for (uint64_t step = 0; step < steps; ++step) {
    Model& model = open_ones.at(random.below(open_ones.size()));
    if (!model.transaction) {
      model = {};
      model.serializable = random.one_in(2);
      model.transaction.emplace(
          begin(model.serializable ? Isolation::serializable : Isolation::snapshot));
      model.start = model.transaction->snapshot_timestamp();
      ++expected.transactions_begun;
      continue;
    }
    Transaction& transaction = *model.transaction;
    const int key = some();
    switch (random.below(10)) {
      case 0:
      case 1:
        ASSERT_OK(transaction.get(name(key), &value));
        if (model.serializable && !model.written.contains(key)) model.read.insert(key);
        break;
      case 2:
        ASSERT_OK(transaction.get_for_update(name(key), &value));
        model.read.insert(key);
        break;
      case 3:
      case 4:
        ASSERT_OK(random.one_in(4) ? transaction.erase(name(key))
                                   : transaction.put(name(key), "v" + std::to_string(step)));
        model.written.insert(key);
        break;
      case 5: {
        const int upper = key + 1 + static_cast<int>(random.below(20));
        const std::string lower_name = name(key);
        const std::string upper_name = name(upper);
        Result<Cursor> cursor = transaction.scan({.lower = lower_name, .upper = upper_name});
        ASSERT_OK(cursor);
        for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
        }
        ASSERT_OK(cursor->status());
        if (model.serializable) model.ranges.emplace_back(key, upper);
        break;
      }
      case 6:
      case 7: {
        WriteBatch batch(*db_);
        std::set<int> keys{key};
        if (random.one_in(3)) {
          for (int i = 0; i < 200; ++i) keys.insert(static_cast<int>(random.below(kKeys)));
        }
        for (const int each : keys) ASSERT_OK(batch.put(name(each), "p"));
        Timestamp committed;
        ASSERT_OK(db_->write(batch, {}, &committed));
        for (const int each : keys) last[each] = committed;
        break;
      }
      case 8: {
        if (random.one_in(8)) {
          ASSERT_OK(transaction.rollback());
          ++expected.transactions_rolled_back;
          model.transaction.reset();
          break;
        }
        uint64_t Statistics::*outcome = &Statistics::transactions_committed;
        for (const auto& [lower, upper] : model.ranges) {
          for (auto at = last.lower_bound(lower); at != last.end() && at->first < upper; ++at) {
            if (at->second > model.start) outcome = &Statistics::conflicts_on_range;
          }
        }
        for (const int each : model.read) {
          if (newer(each, model.start)) outcome = &Statistics::conflicts_on_read;
        }
        for (const int each : model.written) {
          if (newer(each, model.start)) outcome = &Statistics::conflicts_on_write;
        }
        if (model.written.empty()) outcome = &Statistics::transactions_committed_empty;
        const Result<Timestamp> committed = transaction.commit();
        const bool lost = outcome == &Statistics::conflicts_on_range ||
                          outcome == &Statistics::conflicts_on_read ||
                          outcome == &Statistics::conflicts_on_write;
        ASSERT_EQ(committed.status().code(), lost ? StatusCode::conflict : StatusCode::ok)
            << "step " << step;
        ++(expected.*outcome);
        if (outcome == &Statistics::transactions_committed) {
          for (const int each : model.written) last[each] = *committed;
        }
        model.transaction.reset();
        break;
      }
      case 9:
        if (random.one_in(50)) ASSERT_OK(db_->flush());
        executor_.run_all();
        break;
    }
  }
  for (Model& model : open_ones) expected.transactions_rolled_back += model.transaction.has_value();
  open_ones = {};
  const Statistics s = db_->statistics();
  EXPECT_EQ(s.transactions_begun, expected.transactions_begun);
  EXPECT_EQ(s.transactions_committed, expected.transactions_committed);
  EXPECT_EQ(s.transactions_committed_empty, expected.transactions_committed_empty);
  EXPECT_EQ(s.transactions_rolled_back, expected.transactions_rolled_back);
  EXPECT_EQ(s.conflicts_on_write, expected.conflicts_on_write);
  EXPECT_EQ(s.conflicts_on_read, expected.conflicts_on_read);
  EXPECT_EQ(s.conflicts_on_range, expected.conflicts_on_range);
  EXPECT_EQ(s.conflicts_on_span, 0u);
  // Of keys, each conflict is the one look-up that found something.
  EXPECT_EQ(s.conflict_lookups - s.conflict_lookups_unchanged,
            s.conflicts_on_write + s.conflicts_on_read);
  if (steps >= 20'000) {
    EXPECT_GT(s.conflict_lookups_unchanged, 20u) << "the table says 'maybe' of what did not change";
    EXPECT_GT(s.conflicts_on_write, 20u);
    EXPECT_GT(s.conflicts_on_read, 20u);
    EXPECT_GT(s.conflicts_on_range, 20u);
    EXPECT_GT(s.transactions_committed, 20u);
  }
}

// Each under its own name, as text and as JSON.
TEST_F(TransactionStatisticsTest, are_printed_by_name) {
  Statistics s;
  uint64_t number = 1000;
  std::vector<std::pair<std::string, uint64_t>> fields;
  const auto set = [&](const char* name, uint64_t* field) {
    *field = ++number;
    fields.emplace_back(name, number);
  };
  set("transactions_begun", &s.transactions_begun);
  set("transactions_committed", &s.transactions_committed);
  set("transactions_committed_empty", &s.transactions_committed_empty);
  set("transactions_rolled_back", &s.transactions_rolled_back);
  set("transactions_unknown", &s.transactions_unknown);
  set("conflicts_on_write", &s.conflicts_on_write);
  set("conflicts_on_read", &s.conflicts_on_read);
  set("conflicts_on_range", &s.conflicts_on_range);
  set("conflicts_on_span", &s.conflicts_on_span);
  set("conflict_lookups", &s.conflict_lookups);
  set("conflict_lookups_unchanged", &s.conflict_lookups_unchanged);
  const std::string text = s.to_string();
  const std::string json = encode_statistics_json(s, {}, 0);
  for (const auto& [name, value] : fields) {
    const size_t at = text.find("\n" + name + " ");
    ASSERT_NE(at, std::string::npos) << name;
    EXPECT_EQ(std::stoull(text.substr(text.find_first_not_of(' ', at + name.size() + 1))), value);
    EXPECT_NE(json.find("\"" + name + "\":" + std::to_string(value) + ","), std::string::npos)
        << name;
  }
}

}  // namespace
}  // namespace varve::test
