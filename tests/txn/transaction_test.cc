// Transactions one by one: what they see, write, undo, and how they end.

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

class TransactionTest : public DatabaseTest {
 protected:
  TransactionTest() { open(); }

  static std::string get(Transaction& transaction, std::string_view key,
                         const ReadOptions& options = {}) {
    std::string value;
    Result<bool> found = transaction.get(key, &value, options);
    EXPECT_OK(found);
    return found.ok() && *found ? value : "(absent)";
  }
  using DatabaseTest::get;
};

TEST_F(TransactionTest, reads_its_snapshot_and_its_own_writes) {
  ASSERT_OK(db_->put("a", "old"));
  ASSERT_OK(db_->put("b", "old"));
  Transaction transaction = begin();
  ASSERT_OK(db_->put("a", "new"));
  EXPECT_EQ(get(transaction, "a"), "old");
  ASSERT_OK(transaction.put("b", "mine"));
  ASSERT_OK(transaction.erase("c"));
  EXPECT_EQ(get(transaction, "b"), "mine");
  EXPECT_EQ(get(transaction, "c"), "(absent)");
  EXPECT_EQ(get("b"), "old") << "others do not see it yet";

  Result<std::optional<PinnedValue>> pinned = transaction.get("b");
  ASSERT_OK(pinned);
  ASSERT_TRUE(pinned->has_value());
  EXPECT_EQ((*pinned)->view(), "mine");
  EXPECT_EQ((*pinned)->timestamp(), kTimestampMax);
  ASSERT_OK(transaction.put("b", "mine again"));
  EXPECT_EQ((*pinned)->view(), "mine") << "it is a copy";
  pinned->reset();

  const std::vector<std::string_view> keys{"a", "b", "c", "d"};
  std::vector<std::optional<PinnedValue>> values(keys.size());
  ASSERT_OK(transaction.multi_get(keys, values));
  EXPECT_EQ(values[0]->view(), "old");
  EXPECT_EQ(values[1]->view(), "mine again");
  EXPECT_FALSE(values[2].has_value() || values[3].has_value());
  values.clear();

  const Timestamp began = transaction.snapshot_timestamp();
  Result<Timestamp> committed = transaction.commit();
  ASSERT_OK(committed);
  EXPECT_GT(*committed, began);
  EXPECT_FALSE(transaction.is_open());
  EXPECT_EQ(get("b"), "mine again");
  EXPECT_EQ(now(), *committed);
}

TEST_F(TransactionTest, nothing_of_it_is_there_after_a_rollback) {
  ASSERT_OK(db_->put("a", "1"));
  const Timestamp before = now();
  {
    Transaction transaction = begin();
    ASSERT_OK(transaction.put("a", "2"));
    ASSERT_OK(transaction.rollback());
    EXPECT_FALSE(transaction.is_open());
  }
  {
    Transaction transaction = begin();
    ASSERT_OK(transaction.put("a", "3"));
  }
  {
    Transaction transaction = begin();
    ASSERT_OK(transaction.put("a", "4"));
    transaction = begin();  // what was there is rolled back
    EXPECT_EQ(get(transaction, "a"), "1");
  }
  EXPECT_EQ(get("a"), "1");
  EXPECT_EQ(now(), before);
}

TEST_F(TransactionTest, commits_across_keyspaces) {
  const Keyspace other = create("other");
  Transaction transaction = begin();
  ASSERT_OK(transaction.put("k", "default"));
  ASSERT_OK(transaction.put("k", "other", in(other)));
  EXPECT_EQ(get(transaction, "k"), "default");
  EXPECT_EQ(get(transaction, "k", from(other)), "other");
  ASSERT_OK(transaction.commit());
  EXPECT_EQ(get("k"), "default");
  EXPECT_EQ(get("k", from(other)), "other");
  reopen();
  EXPECT_EQ(get("k", from(other)), "other");
}

TEST_F(TransactionTest, one_that_wrote_nothing_commits_for_nothing) {
  ASSERT_OK(db_->put("a", "1"));
  const uint64_t commits = db_->statistics().commits;
  for (const Isolation isolation : {Isolation::snapshot, Isolation::serializable}) {
    Transaction transaction = begin(isolation);
    EXPECT_EQ(get(transaction, "a"), "1");
    ASSERT_OK(db_->put("a", "1"));
    const Timestamp read_at = transaction.snapshot_timestamp();
    Result<Timestamp> committed = transaction.commit();
    ASSERT_OK(committed);
    EXPECT_EQ(*committed, read_at);
  }
  EXPECT_EQ(db_->statistics().commits, commits + 2) << "the puts";
}

TEST_F(TransactionTest, the_first_to_commit_wins) {
  ASSERT_OK(db_->put("a", "0"));
  for (const Isolation isolation : {Isolation::snapshot, Isolation::serializable}) {
    Transaction first = begin(isolation);
    Transaction second = begin(isolation);
    ASSERT_OK(first.put("a", "first"));
    ASSERT_OK(second.put("a", "second"));
    ASSERT_OK(first.commit());
    const Status lost = second.commit().status();
    EXPECT_EQ(lost.code(), StatusCode::conflict);
    EXPECT_NE(lost.message().find("a was written"), std::string::npos) << lost.to_string();
    EXPECT_NE(lost.message().find("keyspace default"), std::string::npos) << lost.to_string();
    EXPECT_EQ(get("a"), "first");
    // It can only be rolled back.
    std::string value;
    EXPECT_EQ(second.commit().status().code(), StatusCode::conflict);
    EXPECT_EQ(second.get("a", &value).status().code(), StatusCode::conflict);
    EXPECT_EQ(second.put("a", "x").code(), StatusCode::conflict);
    EXPECT_EQ(second.scan().status().code(), StatusCode::conflict);
    EXPECT_EQ(second.set_savepoint().status().code(), StatusCode::conflict);
    ASSERT_OK(second.rollback());
    EXPECT_EQ(second.rollback().code(), StatusCode::invalid_argument);
  }
}

TEST_F(TransactionTest, plain_writes_count_as_others) {
  ASSERT_OK(db_->put("a", "0"));
  Transaction transaction = begin();
  ASSERT_OK(transaction.put("a", "1"));
  ASSERT_OK(db_->erase("a"));
  EXPECT_EQ(transaction.commit().status().code(), StatusCode::conflict);
}

TEST_F(TransactionTest, what_was_written_before_it_began_is_no_conflict) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(db_->put("a", std::to_string(i)));
    Transaction transaction = begin(Isolation::serializable);
    EXPECT_EQ(get(transaction, "a"), std::to_string(i));
    ASSERT_OK(transaction.put("a", "mine"));
    ASSERT_OK(transaction.commit());
    if (i % 10 == 0) ASSERT_OK(db_->flush());
  }
}

TEST_F(TransactionTest, keys_read_for_update_must_stay_as_they_are) {
  ASSERT_OK(db_->put("a", "0"));
  std::string value;
  for (const char* key : {"a", "absent"}) {
    Transaction transaction = begin();
    Result<bool> found = transaction.get_for_update(key, &value);
    ASSERT_OK(found);
    EXPECT_EQ(*found, std::string_view(key) == "a");
    ASSERT_OK(transaction.put("b", "1"));
    ASSERT_OK(db_->put(key, "other"));
    EXPECT_EQ(transaction.commit().status().code(), StatusCode::conflict) << key;
  }
  Transaction transaction = begin();
  Result<std::optional<PinnedValue>> pinned = transaction.get_for_update("a");
  ASSERT_OK(pinned);
  pinned->reset();
  ASSERT_OK(transaction.put("b", "2"));
  ASSERT_OK(transaction.commit());
  EXPECT_EQ(get("b"), "2");
}

TEST_F(TransactionTest, keys_read_together_for_update_must_stay_as_they_are) {
  const std::vector<std::string_view> keys{"a", "absent", "own"};
  std::vector<std::optional<PinnedValue>> values(keys.size());
  ASSERT_OK(db_->put("a", "0"));
  for (const std::string_view key : keys) {
    for (const bool for_update : {true, false}) {
      Transaction transaction = begin();
      ASSERT_OK(transaction.put("own", "1"));
      ASSERT_OK(for_update ? transaction.multi_get_for_update(keys, values)
                           : transaction.multi_get(keys, values));
      EXPECT_TRUE(values[0].has_value());
      EXPECT_EQ(values[2]->view(), "1");
      ASSERT_OK(db_->put(key, "other"));
      const StatusCode expected =
          for_update || key == "own" ? StatusCode::conflict : StatusCode::ok;
      EXPECT_EQ(transaction.commit().status().code(), expected) << key << for_update;
    }
  }
}

TEST_F(TransactionTest, many_keys_read_together_show_own_writes_among_the_others) {
  // More than are looked up at once; own writes, erased and absent ones at every place among them.
  std::vector<std::string> names;
  for (int i = 0; i < 60; ++i) {
    names.push_back("key " + std::to_string(i));
    if (i % 3 != 0) ASSERT_OK(db_->put(names.back(), "old"));
    if (i == 30) ASSERT_OK(db_->flush());
  }
  for (size_t count = 0; count <= names.size(); ++count) {
    Transaction transaction = begin();
    for (size_t i = 0; i < count; ++i) {
      if (i % 5 == 0) ASSERT_OK(transaction.put(names[i], "own"));
      if (i % 7 == 0) ASSERT_OK(transaction.erase(names[i]));
    }
    const std::vector<std::string_view> keys(names.begin(), names.begin() + count);
    std::vector<std::optional<PinnedValue>> values(count);
    ASSERT_OK(transaction.multi_get(keys, values));
    for (size_t i = 0; i < count; ++i) {
      const char* expected = i % 3 != 0 ? "old" : nullptr;
      if (i % 5 == 0) expected = "own";
      if (i % 7 == 0) expected = nullptr;
      ASSERT_EQ(values[i].has_value(), expected != nullptr) << i << " of " << count;
      if (expected != nullptr) ASSERT_EQ(values[i]->view(), expected) << i << " of " << count;
    }
  }
}

// -- savepoints --

TEST_F(TransactionTest, savepoints_undo_what_came_after_them) {
  ASSERT_OK(db_->put("a", "0"));
  Transaction transaction = begin();
  ASSERT_OK(transaction.put("a", "1"));
  Result<Savepoint> first = transaction.set_savepoint();
  ASSERT_OK(first);
  ASSERT_OK(transaction.put("a", "2"));
  ASSERT_OK(transaction.put("b", "2"));
  Result<Savepoint> second = transaction.set_savepoint();
  ASSERT_OK(second);
  ASSERT_OK(transaction.erase("a"));
  ASSERT_OK(transaction.put("b", "3"));
  ASSERT_OK(transaction.rollback_to(*second));
  EXPECT_EQ(get(transaction, "a"), "2");
  EXPECT_EQ(get(transaction, "b"), "2");
  ASSERT_OK(transaction.put("b", "4"));
  ASSERT_OK(transaction.rollback_to(*second)) << "it is still there";
  EXPECT_EQ(get(transaction, "b"), "2");
  ASSERT_OK(transaction.rollback_to(*first));
  EXPECT_EQ(get(transaction, "a"), "1");
  EXPECT_EQ(get(transaction, "b"), "(absent)");
  EXPECT_EQ(transaction.rollback_to(*second).code(), StatusCode::invalid_argument);
  ASSERT_OK(transaction.release(*first));
  EXPECT_EQ(transaction.rollback_to(*first).code(), StatusCode::invalid_argument);
  EXPECT_EQ(transaction.release(*first).code(), StatusCode::invalid_argument);
  EXPECT_EQ(transaction.rollback_to({}).code(), StatusCode::invalid_argument);
  ASSERT_OK(transaction.commit());
  EXPECT_EQ(get("a"), "1");
  EXPECT_EQ(get("b"), "(absent)");
}

TEST_F(TransactionTest, released_savepoints_keep_what_was_written) {
  Transaction transaction = begin();
  Result<Savepoint> outer = transaction.set_savepoint();
  ASSERT_OK(outer);
  ASSERT_OK(transaction.put("a", "1"));
  Result<Savepoint> inner = transaction.set_savepoint();
  ASSERT_OK(inner);
  ASSERT_OK(transaction.put("a", "2"));
  ASSERT_OK(transaction.release(*inner));
  EXPECT_EQ(get(transaction, "a"), "2");
  ASSERT_OK(transaction.rollback_to(*outer));
  EXPECT_EQ(get(transaction, "a"), "(absent)") << "the outer one still undoes it";
  ASSERT_OK(transaction.put("a", "3"));
  ASSERT_OK(transaction.commit());
  EXPECT_EQ(get("a"), "3");
}

// -- bad input --

TEST_F(TransactionTest, one_that_ended_says_so) {
  Transaction never;
  Transaction committed = begin();
  ASSERT_OK(committed.put("a", "1"));
  ASSERT_OK(committed.commit());
  Transaction moved_from = begin();
  Transaction moved_to = std::move(moved_from);
  for (Transaction* each : {&never, &committed, &moved_from}) {
    std::string value;
    std::vector<std::string_view> keys{"a"};
    std::vector<std::optional<PinnedValue>> values(1);
    EXPECT_FALSE(each->is_open());
    EXPECT_EQ(each->snapshot_timestamp(), kTimestampMin);
    EXPECT_EQ(each->get("a", &value).status().code(), StatusCode::invalid_argument);
    EXPECT_EQ(each->get("a").status().code(), StatusCode::invalid_argument);
    EXPECT_EQ(each->get_for_update("a", &value).status().code(), StatusCode::invalid_argument);
    EXPECT_EQ(each->multi_get(keys, values).code(), StatusCode::invalid_argument);
    EXPECT_EQ(each->multi_get_for_update(keys, values).code(), StatusCode::invalid_argument);
    EXPECT_EQ(each->put("a", "b").code(), StatusCode::invalid_argument);
    EXPECT_EQ(each->erase("a").code(), StatusCode::invalid_argument);
    EXPECT_EQ(each->scan().status().code(), StatusCode::invalid_argument);
    EXPECT_EQ(each->set_savepoint().status().code(), StatusCode::invalid_argument);
    EXPECT_EQ(each->commit().status().code(), StatusCode::invalid_argument);
    EXPECT_EQ(each->rollback().code(), StatusCode::invalid_argument);
  }
  EXPECT_TRUE(moved_to.is_open());
}

TEST_F(TransactionTest, what_cannot_be_written_is_refused_and_the_rest_stays) {
  Transaction transaction = begin();
  ASSERT_OK(transaction.put("a", "1"));
  EXPECT_EQ(transaction.put("", "v").code(), StatusCode::invalid_argument);
  EXPECT_EQ(transaction.put(std::string(kKeySizeMax + 1, 'k'), "v").code(),
            StatusCode::invalid_argument);
  EXPECT_EQ(transaction.put("k", "v", in(Keyspace{77})).code(), StatusCode::not_found);
  EXPECT_EQ(transaction.put("large", std::string(9 << 20, 'v')).code(),
            StatusCode::invalid_argument);
  Result<Snapshot> snapshot = db_->snapshot();
  ASSERT_OK(snapshot);
  std::string value;
  EXPECT_EQ(transaction.get("a", &value, at(*snapshot)).status().code(),
            StatusCode::invalid_argument);
  EXPECT_EQ(transaction.scan({.snapshot = &*snapshot}).status().code(),
            StatusCode::invalid_argument);
  snapshot->release();
  // More than an eighth of the budget in all is no error: tests/txn/spill_test.cc.
  ASSERT_OK(transaction.commit());
  EXPECT_EQ(get("a"), "1");

  TransactionOptions options;
  options.read_only = true;
  Transaction reader = begin(options);
  EXPECT_EQ(reader.put("a", "2").code(), StatusCode::invalid_argument);
  EXPECT_EQ(get(reader, "a"), "1");
  ASSERT_OK(reader.commit());
}

TEST_F(TransactionTest, keyspaces_that_are_dropped_fail_the_commit) {
  const Keyspace other = create("other");
  ASSERT_OK(db_->put("k", "v", in(other)));
  Transaction writer = begin();
  ASSERT_OK(writer.put("k", "2", in(other)));
  ASSERT_OK(writer.put("k", "2"));
  Transaction reader = begin(Isolation::serializable);
  EXPECT_EQ(get(reader, "k", from(other)), "v");
  ASSERT_OK(reader.put("x", "1"));
  ASSERT_OK(db_->drop_keyspace(other));
  EXPECT_FALSE(writer.commit().ok());
  EXPECT_EQ(reader.commit().status().code(), StatusCode::conflict);
  EXPECT_EQ(get("k"), "(absent)");
  EXPECT_EQ(get("x"), "(absent)");
}

TEST_F(TransactionTest, holds_its_database_open_until_it_ends) {
  Transaction transaction = begin();
  ASSERT_OK(transaction.put("a", "1"));
  EXPECT_EQ(db_->close(std::chrono::nanoseconds(0)).code(), StatusCode::busy);
  ASSERT_OK(transaction.commit());
  ASSERT_OK(db_->close(std::chrono::seconds(10)));
  EXPECT_EQ(db_->begin().status().code(), StatusCode::closed);
  db_.reset();
  open();
}

TEST_F(TransactionTest, its_memory_is_on_the_account) {
  Transaction transaction = begin(Isolation::serializable);
  EXPECT_GT(live(MemoryRole::conflict_table), 0u);
  EXPECT_LE(live(MemoryRole::conflict_table), options_.memory_budget / 32);
  const uint64_t before = live(MemoryRole::transaction);
  EXPECT_GT(before, 0u);
  for (int i = 0; i < 1000; ++i) get(transaction, "absent" + std::to_string(i));
  EXPECT_GT(live(MemoryRole::transaction), before);
  ASSERT_OK(transaction.put("a", std::string(1000, 'v')));
  EXPECT_GE(live(MemoryRole::batch), 1000u);
}

// -- transact() --

TEST_F(TransactionTest, is_tried_again_when_it_loses) {
  ASSERT_OK(db_->put("n", "0"));
  int calls = 0;
  Result<Timestamp> committed = db_->transact([&](Transaction& transaction) {
    const int n = std::stoi(get(transaction, "n"));
    if (++calls <= 5) EXPECT_OK(db_->put("n", std::to_string(calls)));
    return transaction.put("n", std::to_string(n + 1));
  });
  ASSERT_OK(committed);
  EXPECT_EQ(calls, 6);
  EXPECT_EQ(get("n"), "6");
}

TEST_F(TransactionTest, is_not_tried_for_ever_nor_after_other_errors) {
  TransactionOptions options;
  options.attempts_max = 3;
  int calls = 0;
  Result<Timestamp> lost = db_->transact(
      [&](Transaction& transaction) {
        EXPECT_OK(db_->put("n", std::to_string(++calls)));
        return transaction.put("n", "x");
      },
      options);
  EXPECT_EQ(lost.status().code(), StatusCode::conflict);
  EXPECT_EQ(calls, 3);
  calls = 0;
  Result<Timestamp> failed = db_->transact([&](Transaction& transaction) {
    ++calls;
    EXPECT_OK(transaction.put("n", "y"));
    return Status::not_found("what it looked for");
  });
  EXPECT_EQ(failed.status().code(), StatusCode::not_found);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(get("n"), "3");
}

}  // namespace
}  // namespace varve::test
