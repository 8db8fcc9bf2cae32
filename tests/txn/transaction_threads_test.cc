// Transactions of many threads at once, with flushes and compactions beneath: made for
// ThreadSanitizer, and invariants that only isolation keeps.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tests/support/leak_checks.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"
#include "varve/varve.h"

namespace varve::test {
namespace {

constexpr int kThreads = 6;

class TransactionThreadsTest : public testing::Test {
 protected:
  TransactionThreadsTest() {
    options_.memory_budget = 16 << 20;
    options_.write_buffer_size = 64 * 1024;
    options_.durability = Durability::os;
    options_.file_system = files_.get();
    Result<std::unique_ptr<Database>> opened = Database::open(options_, "/db");
    EXPECT_OK(opened);
    db_ = std::move(*opened);
  }

  // Runs `work(thread number, random)` on all threads, and flushes and compacts meanwhile.
  template <typename Work>
  void run(uint64_t seed, Work work) {
    std::atomic<int> running{kThreads};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        Random random(seed + static_cast<uint64_t>(i));
        work(i, &random);
        running.fetch_sub(1);
      });
    }
    while (running.load() != 0) {
      EXPECT_OK(db_->flush());
      EXPECT_OK(db_->compact());
    }
    for (std::thread& thread : threads) thread.join();
  }
  int number(std::string_view key) {
    std::string value;
    Result<bool> found = db_->get(key, &value);
    EXPECT_OK(found);
    return found.ok() && *found ? std::stoi(value) : 0;
  }
  static Status read(Transaction& transaction, std::string_view key, int* number) {
    std::string value;
    Result<bool> found = transaction.get(key, &value);
    if (!found.ok()) return found.status();
    *number = *found ? std::stoi(value) : 0;
    return Status();
  }

  const std::unique_ptr<FileSystem> files_ = FileSystem::create_memory();
  Options options_;
  std::unique_ptr<Database> db_;
};

TEST_F(TransactionThreadsTest, transfers_keep_the_sum_and_readers_see_it) {
  VARVE_SEEDED_TEST(random);
  constexpr int kAccounts = 20;
  const uint64_t iterations = test_iterations(600);
  for (int i = 0; i < kAccounts; ++i) {
    ASSERT_OK(db_->put("account" + std::to_string(i), "100"));
  }
  std::atomic<uint64_t> transfers{0};
  run(random.next(), [&](int thread, Random* own) {
    for (uint64_t i = 0; i < iterations; ++i) {
      TransactionOptions options;
      options.isolation = own->one_in(2) ? Isolation::snapshot : Isolation::serializable;
      if (thread == 0) {
        // Reads all, by key or in a scan.
        Result<Transaction> reader = db_->begin(options);
        ASSERT_OK(reader);
        int sum = 0;
        if (own->one_in(2)) {
          for (int account = 0; account < kAccounts; ++account) {
            int amount = 0;
            ASSERT_OK(read(*reader, "account" + std::to_string(account), &amount));
            sum += amount;
          }
        } else {
          Result<Cursor> cursor = reader->scan();
          ASSERT_OK(cursor);
          for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
            sum += std::stoi(std::string(cursor->value()));
          }
          ASSERT_OK(cursor->status());
        }
        ASSERT_EQ(sum, kAccounts * 100);
        ASSERT_OK(reader->commit());
        continue;
      }
      const std::string from = "account" + std::to_string(own->below(kAccounts));
      const std::string to = "account" + std::to_string(own->below(kAccounts));
      if (from == to) continue;
      ASSERT_OK(db_->transact(
          [&](Transaction& transaction) {
            int a = 0;
            int b = 0;
            Status status = read(transaction, from, &a);
            if (status.ok()) status = read(transaction, to, &b);
            if (status.ok()) status = transaction.put(from, std::to_string(a - 1));
            if (status.ok()) status = transaction.put(to, std::to_string(b + 1));
            return status;
          },
          options));
      transfers.fetch_add(1);
    }
  });
  int sum = 0;
  for (int i = 0; i < kAccounts; ++i) sum += number("account" + std::to_string(i));
  EXPECT_EQ(sum, kAccounts * 100);
  EXPECT_GT(transfers.load(), 0u);
}

TEST_F(TransactionThreadsTest, no_update_is_lost_on_one_hot_key) {
  const uint64_t iterations = test_iterations(300);
  run(1, [&](int, Random*) {
    for (uint64_t i = 0; i < iterations; ++i) {
      ASSERT_OK(db_->transact([&](Transaction& transaction) {
        int n = 0;
        if (Status status = read(transaction, "n", &n); !status.ok()) return status;
        return transaction.put("n", std::to_string(n + 1));
      }));
    }
  });
  EXPECT_EQ(number("n"), static_cast<int>(kThreads * iterations));
}

// Of each pair somebody stays on call, who looks by key; and of each room, who looks by range.
TEST_F(TransactionThreadsTest, serializable_transactions_show_no_write_skew) {
  VARVE_SEEDED_TEST(random);
  constexpr int kRooms = 4;
  const uint64_t iterations = test_iterations(400);
  const auto key = [](uint64_t room, uint64_t who) {
    return "room" + std::to_string(room) + "/" + std::to_string(who);
  };
  for (uint64_t room = 0; room < kRooms; ++room) {
    for (uint64_t who = 0; who < 2; ++who) ASSERT_OK(db_->put(key(room, who), "1"));
  }
  TransactionOptions options;
  options.isolation = Isolation::serializable;
  std::atomic<uint64_t> left{0};
  run(random.next(), [&](int, Random* own) {
    for (uint64_t i = 0; i < iterations; ++i) {
      const uint64_t room = own->below(kRooms);
      const uint64_t who = own->below(2);
      const bool by_range = own->one_in(2);
      ASSERT_OK(db_->transact(
          [&](Transaction& transaction) {
            int present = 0;
            if (by_range) {
              const std::string prefix = "room" + std::to_string(room) + "/";
              Result<Cursor> cursor = transaction.scan({.prefix = prefix});
              if (!cursor.ok()) return cursor.status();
              for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
                present += std::stoi(std::string(cursor->value()));
              }
              if (!cursor->status().ok()) return cursor->status();
            } else {
              for (uint64_t each = 0; each < 2; ++each) {
                int there = 0;
                Status status = read(transaction, key(room, each), &there);
                if (!status.ok()) return status;
                present += there;
              }
            }
            EXPECT_GE(present, 1) << "nobody is on call";
            int here = 0;
            Status status = read(transaction, key(room, who), &here);
            if (!status.ok()) return status;
            if (here == 0) return transaction.put(key(room, who), "1");
            if (present == 1) return Status();
            left.fetch_add(1);
            return transaction.put(key(room, who), "0");
          },
          options));
    }
  });
  EXPECT_GT(left.load(), 0u);
  for (uint64_t room = 0; room < kRooms; ++room) {
    EXPECT_GE(number(key(room, 0)) + number(key(room, 1)), 1);
  }
}

// Transactions that spill move amounts between many accounts, beside small ones and plain puts: no
// sum that anybody reads differs, and every increment is counted.
TEST_F(TransactionThreadsTest, those_that_spill_keep_sums_and_lose_no_update) {
  VARVE_SEEDED_TEST(random);
  constexpr int kAccounts = 40;
  const auto account = [](uint64_t i) { return "account" + std::to_string(100 + i); };
  for (uint64_t i = 0; i < kAccounts; ++i) ASSERT_OK(db_->put(account(i), "100"));
  std::atomic<int> increments{0};
  const int rounds = static_cast<int>(test_iterations(12));
  run(random.next(), [&](int thread, Random* own) {
    for (int round = 0; round < rounds; ++round) {
      TransactionOptions options;
      options.isolation = own->one_in(2) ? Isolation::snapshot : Isolation::serializable;
      options.write_memory_max = thread % 2 == 0 ? 200 : 0;
      const uint64_t from = own->below(kAccounts);
      Result<Timestamp> moved = db_->transact(
          [&](Transaction& transaction) -> Status {
            int sum = 0;
            {
              Result<Cursor> cursor = transaction.scan({.prefix = "account"});
              if (!cursor.ok()) return cursor.status();
              for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
                sum += std::stoi(std::string(cursor->value()));
              }
              if (!cursor->status().ok()) return cursor->status();
            }
            EXPECT_EQ(sum, 100 * kAccounts);
            // One from each of ten to the first of them.
            std::string value;
            int taken = 0;
            for (uint64_t i = 1; i <= 10; ++i) {
              const std::string key = account((from + i) % kAccounts);
              Result<bool> found = transaction.get(key, &value);
              if (!found.ok()) return found.status();
              Status status = transaction.put(key, std::to_string(std::stoi(value) - 1));
              if (!status.ok()) return status;
              status = transaction.put("note" + key, std::string(100, 'n'));
              if (!status.ok()) return status;
              ++taken;
            }
            Result<bool> found = transaction.get(account(from), &value);
            if (!found.ok()) return found.status();
            Status status =
                transaction.put(account(from), std::to_string(std::stoi(value) + taken));
            if (!status.ok()) return status;
            found = transaction.get("counter", &value);
            if (!found.ok()) return found.status();
            return transaction.put("counter", std::to_string((*found ? std::stoi(value) : 0) + 1));
          },
          options);
      if (moved.ok()) {
        increments.fetch_add(1);
      } else {
        EXPECT_EQ(moved.status().code(), StatusCode::conflict) << moved.status().to_string();
      }
      EXPECT_OK(db_->put("plain" + std::to_string(thread), std::to_string(round)));
    }
  });
  EXPECT_EQ(number("counter"), increments.load());
  EXPECT_EQ(increments.load(), rounds * kThreads);
  EXPECT_GT(db_->statistics().spills, 10u);
  ASSERT_OK(db_->verify());
}

}  // namespace
}  // namespace varve::test
