// The scenarios of Hermitage (M. Kleppmann, https://github.com/ept/hermitage) at both levels: what
// is promised never to happen, and what snapshot isolation lets happen, which must be seen.

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class IsolationTest : public DatabaseTest, public testing::WithParamInterface<Isolation> {
 protected:
  IsolationTest() {
    open();
    EXPECT_OK(db_->put("1", "10"));
    EXPECT_OK(db_->put("2", "20"));
    for (Transaction* each : {&t1_, &t2_, &t3_}) *each = begin();
  }
  void TearDown() override {
    for (Transaction* each : {&t1_, &t2_, &t3_}) *each = Transaction();
    DatabaseTest::TearDown();
  }

  bool serializable() const { return GetParam() == Isolation::serializable; }
  Transaction begin() { return DatabaseTest::begin(GetParam()); }
  static std::string read(Transaction& transaction, std::string_view key) {
    std::string value;
    Result<bool> found = transaction.get(key, &value);
    EXPECT_OK(found);
    return found.ok() && *found ? value : "(absent)";
  }
  // Keys whose values are divisible by `n`: a predicate, so all are read.
  static std::vector<std::string> divisible(Transaction& transaction, int n) {
    std::vector<std::string> keys;
    Result<Cursor> cursor = transaction.scan();
    EXPECT_OK(cursor);
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
      if (std::stoi(std::string(cursor->value())) % n == 0) keys.emplace_back(cursor->key());
    }
    EXPECT_OK(cursor->status());
    return keys;
  }
  static void write(Transaction& transaction, std::string_view key, std::string_view value) {
    EXPECT_OK(transaction.put(key, value));
  }
  static bool commits(Transaction& transaction) {
    const Status status = transaction.commit().status();
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::conflict) << status.to_string();
    return status.ok();
  }
  using Keys = std::vector<std::string>;

  Transaction t1_, t2_, t3_;
};

INSTANTIATE_TEST_SUITE_P(levels, IsolationTest,
                         testing::Values(Isolation::snapshot, Isolation::serializable),
                         [](const testing::TestParamInfo<Isolation>& level) {
                           return level.param == Isolation::snapshot ? "snapshot" : "serializable";
                         });

TEST_P(IsolationTest, g0_write_cycles) {
  write(t1_, "1", "11");
  write(t2_, "1", "12");
  write(t1_, "2", "21");
  EXPECT_TRUE(commits(t1_));
  write(t2_, "2", "22");
  EXPECT_FALSE(commits(t2_));
  EXPECT_EQ(get("1"), "11");
  EXPECT_EQ(get("2"), "21");
}

TEST_P(IsolationTest, g1a_aborted_reads) {
  write(t1_, "1", "101");
  EXPECT_EQ(read(t2_, "1"), "10");
  EXPECT_OK(t1_.rollback());
  EXPECT_EQ(read(t2_, "1"), "10");
  EXPECT_TRUE(commits(t2_));
}

TEST_P(IsolationTest, g1b_intermediate_reads) {
  write(t1_, "1", "101");
  EXPECT_EQ(read(t2_, "1"), "10");
  write(t1_, "1", "11");
  EXPECT_TRUE(commits(t1_));
  EXPECT_EQ(read(t2_, "1"), "10");
  EXPECT_TRUE(commits(t2_));
}

TEST_P(IsolationTest, g1c_circular_information_flow) {
  write(t1_, "1", "11");
  write(t2_, "2", "22");
  EXPECT_EQ(read(t1_, "2"), "20");
  EXPECT_EQ(read(t2_, "1"), "10");
  EXPECT_TRUE(commits(t1_));
  // Neither read what the other wrote: a write skew, and no flow of information.
  EXPECT_EQ(commits(t2_), !serializable());
}

TEST_P(IsolationTest, otv_observed_transaction_vanishes) {
  write(t1_, "1", "11");
  write(t1_, "2", "19");
  write(t2_, "1", "12");
  EXPECT_TRUE(commits(t1_));
  EXPECT_EQ(read(t3_, "1"), "10");
  write(t2_, "2", "18");
  EXPECT_EQ(read(t3_, "2"), "20");
  EXPECT_FALSE(commits(t2_));
  EXPECT_EQ(read(t3_, "2"), "20");
  EXPECT_EQ(read(t3_, "1"), "10");
  EXPECT_TRUE(commits(t3_));
}

TEST_P(IsolationTest, pmp_predicate_many_preceders) {
  EXPECT_EQ(divisible(t1_, 30), Keys{});
  write(t2_, "3", "30");
  EXPECT_TRUE(commits(t2_));
  EXPECT_EQ(divisible(t1_, 3), Keys{});
  EXPECT_TRUE(commits(t1_));
}

TEST_P(IsolationTest, pmp_with_write_predicates) {
  // T1 adds 10 to all; T2 removes what equals 20.
  for (const std::string& key : divisible(t1_, 1)) {
    write(t1_, key, std::to_string(std::stoi(read(t1_, key)) + 10));
  }
  EXPECT_EQ(divisible(t2_, 20), Keys{"2"});
  EXPECT_OK(t2_.erase("2"));
  EXPECT_TRUE(commits(t1_));
  EXPECT_FALSE(commits(t2_));
  EXPECT_EQ(get("2"), "30");
}

TEST_P(IsolationTest, p4_lost_update) {
  EXPECT_EQ(read(t1_, "1"), "10");
  EXPECT_EQ(read(t2_, "1"), "10");
  write(t1_, "1", "11");
  write(t2_, "1", "11");
  EXPECT_TRUE(commits(t1_));
  EXPECT_FALSE(commits(t2_));
}

TEST_P(IsolationTest, g_single_read_skew) {
  EXPECT_EQ(read(t1_, "1"), "10");
  write(t2_, "1", "12");
  write(t2_, "2", "18");
  EXPECT_TRUE(commits(t2_));
  EXPECT_EQ(read(t1_, "2"), "20");
  EXPECT_TRUE(commits(t1_));
}

TEST_P(IsolationTest, g_single_with_predicates) {
  EXPECT_EQ(divisible(t1_, 5), (Keys{"1", "2"}));
  write(t2_, "1", "12");
  EXPECT_TRUE(commits(t2_));
  EXPECT_EQ(divisible(t1_, 3), Keys{});
  EXPECT_TRUE(commits(t1_));
}

TEST_P(IsolationTest, g_single_with_a_write_predicate) {
  EXPECT_EQ(read(t1_, "1"), "10");
  EXPECT_EQ(divisible(t2_, 1), (Keys{"1", "2"}));
  write(t2_, "1", "12");
  write(t2_, "2", "18");
  EXPECT_TRUE(commits(t2_));
  EXPECT_EQ(divisible(t1_, 20), Keys{"2"});
  EXPECT_OK(t1_.erase("2"));
  EXPECT_FALSE(commits(t1_));
  EXPECT_EQ(get("2"), "18");
}

TEST_P(IsolationTest, g2_item_write_skew) {
  EXPECT_EQ(read(t1_, "1") + read(t1_, "2"), "1020");
  EXPECT_EQ(read(t2_, "1") + read(t2_, "2"), "1020");
  write(t1_, "1", "11");
  write(t2_, "2", "21");
  EXPECT_TRUE(commits(t1_));
  EXPECT_EQ(commits(t2_), !serializable());
  EXPECT_EQ(get("2"), serializable() ? "20" : "21");
}

TEST_P(IsolationTest, g2_anti_dependency_cycle_over_predicates) {
  EXPECT_EQ(divisible(t1_, 3), Keys{});
  EXPECT_EQ(divisible(t2_, 3), Keys{});
  write(t1_, "3", "30");
  write(t2_, "4", "42");
  EXPECT_TRUE(commits(t1_));
  EXPECT_EQ(commits(t2_), !serializable());
}

// A. Fekete, E. O'Neil, P. O'Neil, A read-only transaction anomaly under snapshot isolation, SIGMOD
// Record 33(3), 2004; the order of Hermitage's "two edges".
TEST_P(IsolationTest, g2_two_anti_dependencies_with_a_reader) {
  EXPECT_EQ(divisible(t1_, 1), (Keys{"1", "2"}));
  write(t2_, "2", "25");
  EXPECT_TRUE(commits(t2_));
  Transaction reader = begin();
  EXPECT_EQ(read(reader, "1"), "10");
  EXPECT_EQ(read(reader, "2"), "25");
  EXPECT_TRUE(commits(reader));
  write(t1_, "1", "0");
  EXPECT_EQ(commits(t1_), !serializable()) << "the reader has seen 2 changed and 1 not";
}

TEST_P(IsolationTest, long_fork) {
  write(t1_, "1", "11");
  write(t2_, "2", "21");
  EXPECT_TRUE(commits(t1_));
  Transaction first_reader = begin();
  EXPECT_TRUE(commits(t2_));
  Transaction second_reader = begin();
  EXPECT_EQ(read(first_reader, "1") + read(first_reader, "2"), "1120");
  EXPECT_EQ(read(second_reader, "1") + read(second_reader, "2"), "1121")
      << "both see the commits in the same order";
}

// What one read as absent, or as a whole range, is as good as a row.
TEST_P(IsolationTest, phantoms_in_every_place) {
  EXPECT_OK(db_->put("5", "50"));
  struct Case {
    const char* name;
    ScanOptions options;
    bool backward;
    int steps;  // shown before the walk is left; -1: to its end
    const char* phantom;
    bool within;
  };
  const Case cases[] = {
      {"before the first", {}, false, -1, "0", true},
      {"behind the last", {}, false, -1, "9", true},
      {"between", {}, false, -1, "3", true},
      {"outside of the bounds", {.lower = "2", .upper = "5"}, false, -1, "5", false},
      {"at the lower bound", {.lower = "15", .upper = "5"}, false, -1, "15", true},
      {"behind where it was left", {}, false, 2, "3", false},
      {"at where it was left", {}, false, 2, "2", true},
      {"before where it was left", {}, false, 2, "15", true},
      {"backward, behind where it was left", {}, true, 2, "15", false},
      {"backward, before where it was left", {}, true, 2, "3", true},
      {"backward, behind the last", {}, true, 1, "9", true},
      {"within a prefix", {.prefix = "4"}, false, -1, "44", true},
      {"outside of a prefix", {.prefix = "4"}, false, -1, "51", false},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    Transaction transaction = begin();
    {
      Result<Cursor> cursor = transaction.scan(each.options);
      ASSERT_OK(cursor);
      each.backward ? cursor->seek_to_last() : cursor->seek_to_first();
      for (int i = 1; cursor->valid() && i != each.steps; ++i) {
        each.backward ? cursor->prev() : cursor->next();
      }
      EXPECT_OK(cursor->status());
    }
    write(transaction, "far away", "1");
    EXPECT_OK(db_->put(each.phantom, "1"));
    EXPECT_EQ(commits(transaction), !serializable() || !each.within);
    EXPECT_OK(db_->erase(each.phantom));
    EXPECT_OK(db_->erase("far away"));
    for (const char* key : {"1", "2", "5"}) EXPECT_OK(db_->put(key, "10"));
  }
}

TEST_P(IsolationTest, a_walk_that_turns_has_read_both_ways) {
  EXPECT_OK(db_->put("5", "50"));
  for (const char* phantom : {"15", "3", "0", "6"}) {
    Transaction transaction = begin();
    Result<Cursor> cursor = transaction.scan();
    ASSERT_OK(cursor);
    cursor->seek("2");
    cursor->next();
    ASSERT_EQ(cursor->key(), "5");
    cursor->prev();
    cursor->prev();
    ASSERT_EQ(cursor->key(), "1");
    write(transaction, "far away", "1");
    EXPECT_OK(db_->put(phantom, "1"));
    const bool within = std::string_view(phantom) == "15" || std::string_view(phantom) == "3";
    EXPECT_EQ(commits(transaction), !serializable() || !within) << phantom;
    *cursor = Cursor();
    EXPECT_OK(db_->erase(phantom));
  }
}

}  // namespace
}  // namespace varve::test
