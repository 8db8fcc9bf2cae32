// What is kept of scans, and what undoes it. What it takes is in scan_cache_memory_test.cc, random
// programs and threads in scan_cache_model_test.cc.

#include "table/scan_cache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/table/scan_cache_fixture.h"

namespace varve::test {
namespace {

using Texts = std::vector<std::string>;

// -- what is kept --

TEST_F(ScanCacheTest, what_is_asked_again_is_not_read_again) {
  const ScanDefinition scans[] = {{.filter = "id >= 20 and id < 30"},
                                  {.columns = {"owner", "id"}, .filter = "id < 5"},
                                  {.filter = "balance between 30 and 70", .reverse = true},
                                  {.filter = "id > 1", .reverse = true, .limit = 3},
                                  {.columns = {"id", "id"}, .filter = "owner = 'Ann'", .limit = 7},
                                  {.filter = "id in (90, 3, 17, 200)"},
                                  {.filter = "id > 1000"},
                                  {}};
  for (const ScanDefinition& definition : scans) {
    RowCursor cursor = scan(definition);
    EXPECT_FALSE(hits(&cursor, definition)) << cursor.explain();
    EXPECT_TRUE(hits(&cursor, definition)) << cursor.explain();
    RowCursor other = scan(definition);
    EXPECT_TRUE(hits(&other, definition)) << cursor.explain();
  }
  const ScanCacheStatistics statistics = tables_->scan_cache_statistics();
  EXPECT_EQ(statistics.hits, 2 * std::size(scans));
  EXPECT_EQ(statistics.misses, std::size(scans));
  EXPECT_EQ(statistics.entries, std::size(scans));
  EXPECT_EQ(statistics.bypassed + statistics.invalidated + statistics.evicted, 0u);
  EXPECT_DOUBLE_EQ(statistics.hit_rate(), 2.0 / 3);
  EXPECT_EQ(statistics.bytes, live(MemoryRole::scan_cache));
}

TEST_F(ScanCacheTest, other_arguments_are_another_question) {
  const ScanDefinition definition{.filter = "owner = ? and balance >= ?"};
  RowCursor cursor = scan(definition);
  const auto with = [](std::string_view owner, int64_t balance) {
    return std::vector<Value>{Value::text(owner), Value::int64(balance)};
  };
  EXPECT_FALSE(hits(&cursor, definition, with("Ann", 500)));
  EXPECT_FALSE(hits(&cursor, definition, with("Ann", 501)));
  EXPECT_FALSE(hits(&cursor, definition, with("Bob", 500)));
  EXPECT_TRUE(hits(&cursor, definition, with("Ann", 500)));
  EXPECT_TRUE(hits(&cursor, definition, with("Ann", 501)));
  EXPECT_TRUE(hits(&cursor, definition, with("Bob", 500)));
  const Snapshot now = snapshot();
  EXPECT_EQ(cursor.open(now).code(), StatusCode::invalid_argument);
  EXPECT_TRUE(hits(&cursor, definition, with("Bob", 500)));
}

TEST_F(ScanCacheTest, values_of_every_type_come_back) {
  char array[64];
  KeyWriter elements(array);
  elements.begin_array();
  elements.int64(7);
  elements.text(std::string_view("x\0y", 3));
  elements.end_array();
  TableDefinition definition{.name = "all", .primary_key = {{"b"}, {"i"}}};
  const std::pair<const char*, ColumnKind> columns[] = {
      {"b", {ColumnType::boolean}}, {"i", {ColumnType::int64}},      {"u", {ColumnType::uint64}},
      {"f", {ColumnType::float64}}, {"d", {ColumnType::decimal, 3}}, {"t", {ColumnType::timestamp}},
      {"g", {ColumnType::uuid}},    {"y", {ColumnType::bytes}},      {"x", {ColumnType::text}},
      {"a", {ColumnType::array}}};
  for (const auto& [name, kind] : columns) {
    definition.columns.push_back(
        {.name = name, .kind = kind, .nullable = name[0] != 'b' && name[0] != 'i'});
  }
  table_ = make(definition);
  const std::string large(70'000, 'l');
  const Uuid uuid{{1, 2, 3, 255}};
  ASSERT_OK(change([&](TableRows* to) {
    const Value rows[] = {Value::boolean(true), Value::int64(INT64_MIN), Value::uint64(UINT64_MAX),
                          Value::float64(-0.0), Value::decimal({-Int128{12345}, 3}),
                          Value::timestamp(-1), Value::uuid(uuid),
                          Value::bytes(std::string_view("\0\xff", 2)), Value::text(large),
                          Value::array(elements.key()),
                          // Nulls, and what is not equal to itself.
                          Value::boolean(false), Value::int64(1), Value(),
                          Value::float64(std::numeric_limits<double>::quiet_NaN()), Value(),
                          Value(), Value(), Value(), Value::text(""), Value()};
    return to->insert_all(rows);
  }));
  const ScanDefinition all{};
  RowCursor cursor = scan(all);
  EXPECT_FALSE(hits(&cursor, all));
  EXPECT_TRUE(hits(&cursor, all));
  const Snapshot now = snapshot();
  ASSERT_OK(cursor.open(now));
  ASSERT_TRUE(cursor.next());
  EXPECT_TRUE(std::isnan(cursor.value(3).as_float64()));
  EXPECT_TRUE(cursor.value(9).is_null());
  ASSERT_TRUE(cursor.next());
  EXPECT_TRUE(std::signbit(cursor.value(3).as_float64()));
  EXPECT_EQ(cursor.value(4).as_decimal().scale, 3);
  EXPECT_EQ(cursor.value(8).as_text(), large);
  EXPECT_EQ(cursor.value(9).as_array(), elements.key());
  EXPECT_FALSE(cursor.next());
  EXPECT_EQ(tables_->scan_cache_statistics().hits, 2u);
}

TEST_F(ScanCacheTest, a_walk_that_is_broken_off_is_not_kept) {
  const ScanDefinition definition{.filter = "id < 50"};
  RowCursor cursor = scan(definition);
  const Snapshot now = snapshot();
  ASSERT_OK(cursor.open(now));
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(cursor.next());
  cursor.close();  // there might have been more
  EXPECT_FALSE(hits(&cursor, definition));
  EXPECT_TRUE(hits(&cursor, definition));
}

TEST_F(ScanCacheTest, the_last_row_that_a_limit_leaves_is_the_end) {
  const ScanDefinition definition{.filter = "id < 50", .limit = 2};
  RowCursor cursor = scan(definition);
  const Snapshot now = snapshot();
  ASSERT_OK(cursor.open(now));
  ASSERT_TRUE(cursor.next());
  ASSERT_TRUE(cursor.next());
  cursor.close();
  EXPECT_TRUE(hits(&cursor, definition));
}

TEST_F(ScanCacheTest, a_cancelled_scan_says_so) {
  const ScanDefinition definition{.filter = "id < 50"};
  RowCursor cursor = scan(definition);
  ASSERT_FALSE(hits(&cursor, definition));
  Cancellation cancellation;
  cancellation.cancel();
  const Snapshot now = snapshot();
  Status status = cursor.open(now, {}, &cancellation);
  if (status.ok()) {
    EXPECT_FALSE(cursor.next());
    status = cursor.status();
  }
  EXPECT_EQ(status.code(), StatusCode::cancelled);
}

TEST_F(ScanCacheTest, one_that_is_cancelled_ends_at_its_next_row) {
  const ScanDefinition definition{.filter = "id < 50"};
  RowCursor cursor = scan(definition);
  ASSERT_FALSE(hits(&cursor, definition));
  Cancellation cancellation;
  const Snapshot now = snapshot();
  const uint64_t before = tables_->scan_cache_statistics().hits;
  ASSERT_OK(cursor.open(now, {}, &cancellation));
  ASSERT_EQ(tables_->scan_cache_statistics().hits, before + 1);
  ASSERT_TRUE(cursor.next());
  cancellation.cancel();
  EXPECT_FALSE(cursor.next());
  EXPECT_EQ(cursor.status().code(), StatusCode::cancelled);
}

TEST_F(ScanCacheTest, without_being_asked_for_nothing_is_kept) {
  const auto expect_unused = [&](RowCursor cursor) {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(rows_now(&cursor).size(), 50u);
    const ScanCacheStatistics statistics = tables_->scan_cache_statistics();
    EXPECT_EQ(statistics.hits + statistics.misses + statistics.bypassed, 0u);
    EXPECT_EQ(statistics.hit_rate(), 0);
  };
  expect_unused(std::move(*table_.scan({.filter = "id < 50"})));
  reopen_tables(0);
  expect_unused(scan({.filter = "id < 50"}));
  EXPECT_EQ(live(MemoryRole::scan_cache), 0u);
}

// -- what undoes it --

TEST_F(ScanCacheTest, commits_within_the_range_undo_it_and_others_do_not) {
  const ScanDefinition by_key{.filter = "id >= 20 and id < 30"};
  const ScanDefinition covered{.columns = {"owner"}, .filter = "balance > 500"};
  const ScanDefinition fetched{.filter = "owner = 'Ann'"};
  RowCursor a = scan(by_key);
  RowCursor b = scan(covered);
  RowCursor c = scan(fetched);
  const auto expect = [&](bool a_hits, bool b_hits, bool c_hits) {
    EXPECT_EQ(hits(&a, by_key), a_hits);
    EXPECT_EQ(hits(&b, covered), b_hits);
    EXPECT_EQ(hits(&c, fetched), c_hits);
    EXPECT_TRUE(hits(&a, by_key) && hits(&b, covered) && hits(&c, fetched));
  };
  expect(false, false, false);
  expect(true, true, true);
  put(19, "Bob", 1);
  expect(true, true, false);  // any row of the table might be one of its
  put(20, "Bob", 1);
  expect(false, true, false);
  put(90, "Eve", 1);  // was in the range of balances
  expect(true, false, false);
  ASSERT_OK(change([](TableRows* rows) {
    const Value key[] = {Value::int64(29)};
    return rows->erase(key).status();
  }));
  expect(false, true, false);
  ASSERT_OK(db_->put("anywhere", "else"));
  expect(true, true, true);
  EXPECT_EQ(tables_->scan_cache_statistics().invalidated, 7u);
}

TEST_F(ScanCacheTest, snapshots_from_before_a_change_see_what_was) {
  const ScanDefinition definition{.filter = "id < 10"};
  RowCursor cursor = scan(definition);
  const Snapshot before = snapshot();
  put(5, "Eve", 1);
  const Snapshot after = snapshot();
  put(50, "Eve", 1);
  const Snapshot later = snapshot();
  EXPECT_FALSE(hits(&cursor, definition, before));
  EXPECT_FALSE(hits(&cursor, definition, later));
  EXPECT_FALSE(hits(&cursor, definition, before));
  // The range was not watched yet when it was taken.
  EXPECT_FALSE(hits(&cursor, definition, after));
  EXPECT_TRUE(hits(&cursor, definition, later));
  put(51, "Eve", 1);
  put(6, "Eve", 2);
  const Snapshot changed = snapshot();
  put(52, "Eve", 1);
  const Snapshot newest = snapshot();
  EXPECT_FALSE(hits(&cursor, definition, later));
  EXPECT_FALSE(hits(&cursor, definition, newest));
  EXPECT_TRUE(hits(&cursor, definition, changed)) << "an older snapshot that sees the same";
  EXPECT_FALSE(hits(&cursor, definition, later));
  EXPECT_TRUE(hits(&cursor, definition, newest));
}

TEST_F(ScanCacheTest, changes_of_the_table_are_another_question) {
  RowCursor cursor = scan({.filter = "id < 3"});
  const Snapshot before = snapshot();
  EXPECT_EQ(rows_now(&cursor), (Texts{"0 Ann 0", "1 Bob 10", "2 Ann 20"}));
  ASSERT_OK(table_.add_column({.name = "note", .kind = {ColumnType::text}}));
  const Texts added{"0 Ann 0 null", "1 Bob 10 null", "2 Ann 20 null"};
  EXPECT_EQ(rows_now(&cursor), added);
  EXPECT_EQ(rows_now(&cursor), added);
  EXPECT_EQ(rows(&cursor, before), (Texts{"0 Ann 0", "1 Bob 10", "2 Ann 20"}));
  ASSERT_OK(table_.drop_index("by_balance"));
  ASSERT_OK(table_.drop_column("balance"));
  EXPECT_EQ(rows_now(&cursor), (Texts{"0 Ann null", "1 Bob null", "2 Ann null"}));
  EXPECT_EQ(rows(&cursor, before), (Texts{"0 Ann 0", "1 Bob 10", "2 Ann 20"}));
  ASSERT_OK(tables_->drop_table("accounts"));
  const Snapshot now = snapshot();
  EXPECT_EQ(cursor.open(now).code(), StatusCode::not_found);
}

TEST_F(ScanCacheTest, a_commit_that_had_spilled_undoes_it) {
  const ScanDefinition definition{.filter = "id < 10"};
  RowCursor cursor = scan(definition);
  ASSERT_FALSE(hits(&cursor, definition));
  ASSERT_TRUE(hits(&cursor, definition));
  const uint64_t spills = db_->statistics().spills;
  Transaction transaction = begin({.write_memory_max = 1000});
  {
    Result<TableRows> rows = table_.rows(&transaction);
    ASSERT_OK(rows);
    for (int64_t id = 5; id < 100; ++id) ASSERT_OK(rows->upsert(account(id, "Eve", id)));
  }
  ASSERT_GT(db_->statistics().spills, spills);
  EXPECT_TRUE(hits(&cursor, definition));
  executor_.run_all();
  ASSERT_OK(transaction.commit());
  executor_.run_all();
  EXPECT_FALSE(hits(&cursor, definition));
  EXPECT_TRUE(hits(&cursor, definition));
}

TEST_F(ScanCacheTest, a_dropped_keyspace_is_not_shown) {
  RowCursor cursor = scan({.filter = "id < 10"});
  EXPECT_EQ(rows_now(&cursor).size(), 10u);
  EXPECT_EQ(rows_now(&cursor).size(), 10u);
  Transaction before = begin();
  for (const KeyspaceInfo& keyspace : db_->keyspaces()) {
    if (keyspace.name.find("rows") == std::string::npos) continue;
    ASSERT_OK(db_->drop_keyspace(keyspace.keyspace));
  }
  EXPECT_EQ(cursor.open(&before).code(), StatusCode::not_found);
  const Snapshot now = snapshot();
  EXPECT_EQ(cursor.open(now).code(), StatusCode::not_found);
}

TEST_F(ScanCacheTest, two_caches_of_one_database_learn_of_each_others_commits) {
  Result<std::unique_ptr<Tables>> others = Tables::open(db_.get(), {.scan_cache_bytes = 1 << 18});
  ASSERT_OK(others);
  Table other = *(*others)->find_table("accounts");
  RowCursor mine = scan({.filter = "id < 2"});
  RowCursor its = scan(other, {.filter = "id < 2"});
  for (int64_t balance = 1; balance < 20; ++balance) {
    const Texts expected{"0 Ann " + std::to_string(balance), "1 Bob 10"};
    if (balance % 2 == 0) {
      put(0, "Ann", balance);
    } else {
      ASSERT_OK(db_->transact([&](Transaction& transaction) {
        return other.rows(&transaction)->upsert(account(0, "Ann", balance));
      }));
    }
    for (int again = 0; again < 2; ++again) {
      EXPECT_EQ(rows_now(&mine), expected);
      EXPECT_EQ(rows_now(&its), expected);
    }
  }
  EXPECT_EQ(tables_->scan_cache_statistics().hits, 19u);
  EXPECT_EQ((*others)->scan_cache_statistics().hits, 19u);
}

// -- transactions --

class ScanCacheTransactionTest : public ScanCacheFixture {
 protected:
  void SetUp() override {
    ScanCacheFixture::SetUp();
    cursor_ = scan({.filter = "id < 3"});
    rows_now(&cursor_);
  }
  void TearDown() override {
    cursor_ = RowCursor();
    ScanCacheFixture::TearDown();
  }
  // Of what is kept, in a transaction: h, or m for a miss, b for neither.
  char how(Transaction* transaction, RowCursor* cursor) {
    const ScanCacheStatistics before = tables_->scan_cache_statistics();
    EXPECT_OK(cursor->open(transaction));
    rest_of(cursor);
    const ScanCacheStatistics after = tables_->scan_cache_statistics();
    return after.hits != before.hits ? 'h' : after.misses != before.misses ? 'm' : 'b';
  }

  RowCursor cursor_;
};

TEST_F(ScanCacheTransactionTest, only_those_that_may_are_shown_it) {
  Transaction plain = begin();
  EXPECT_EQ(how(&plain, &cursor_), 'h');
  ASSERT_OK(plain.set_savepoint());
  EXPECT_EQ(how(&plain, &cursor_), 'h');
  ASSERT_OK(plain.put("own", "write"));
  EXPECT_EQ(how(&plain, &cursor_), 'b');
  Transaction serializable = begin(Isolation::serializable);
  EXPECT_EQ(how(&serializable, &cursor_), 'b');
  Transaction reader = begin({.isolation = Isolation::serializable, .read_only = true});
  EXPECT_EQ(how(&reader, &cursor_), 'h');
}

TEST_F(ScanCacheTransactionTest, own_writes_are_shown) {
  Transaction transaction = begin();
  Result<TableRows> rows = table_.rows(&transaction);
  ASSERT_OK(rows);
  EXPECT_EQ(how(&transaction, &cursor_), 'h');
  Result<Savepoint> savepoint = transaction.set_savepoint();
  ASSERT_OK(savepoint);
  ASSERT_OK(rows->upsert(account(1, "Eve", 7)));
  ASSERT_OK(cursor_.open(&transaction));
  EXPECT_EQ(rest_of(&cursor_), (Texts{"0 Ann 0", "1 Eve 7", "2 Ann 20"}));
  ASSERT_OK(transaction.rollback_to(*savepoint));
  ASSERT_OK(cursor_.open(&transaction));
  EXPECT_EQ(rest_of(&cursor_), (Texts{"0 Ann 0", "1 Bob 10", "2 Ann 20"}));
  EXPECT_EQ(rows_now(&cursor_), (Texts{"0 Ann 0", "1 Bob 10", "2 Ann 20"}));
}

TEST_F(ScanCacheTransactionTest, what_is_written_during_a_walk_shows_as_without_a_cache) {
  Result<RowCursor> uncached = table_.scan({.filter = "id < 3"});
  ASSERT_OK(uncached);
  for (RowCursor* cursor : {&cursor_, &*uncached}) {
    Transaction transaction = begin();
    Result<TableRows> rows = table_.rows(&transaction);
    ASSERT_OK(cursor->open(&transaction));
    ASSERT_TRUE(cursor->next());
    ASSERT_OK(rows->upsert(account(1, "Eve", 7)));
    EXPECT_EQ(rest_of(cursor), (Texts{"1 Bob 10", "2 Ann 20"}));
  }
  EXPECT_EQ(tables_->scan_cache_statistics().hits, 1u);
  // Nor is it kept.
  put(0, "Zoe", 1);
  {
    Transaction transaction = begin();
    Result<TableRows> rows = table_.rows(&transaction);
    ASSERT_OK(cursor_.open(&transaction));
    ASSERT_TRUE(cursor_.next());
    ASSERT_OK(rows->upsert(account(1, "Eve", 7)));
    rest_of(&cursor_);
  }
  EXPECT_EQ(tables_->scan_cache_statistics().entries, 0u);
}

TEST_F(ScanCacheTransactionTest, rows_that_an_index_leads_to_are_shown_as_they_are_then) {
  RowCursor by_owner = scan({.columns = {"id", "balance"}, .filter = "owner = 'Ann'", .limit = 9});
  rows_now(&by_owner);
  Transaction transaction = begin();
  EXPECT_EQ(how(&transaction, &by_owner), 'b');
  Transaction reader = begin({.read_only = true});
  EXPECT_EQ(how(&reader, &by_owner), 'h');
  Result<TableRows> rows = table_.rows(&transaction);
  ASSERT_OK(by_owner.open(&transaction));
  ASSERT_TRUE(by_owner.next());
  ASSERT_OK(rows->upsert(account(2, "Ann", 7)));
  ASSERT_TRUE(by_owner.next());
  EXPECT_EQ(by_owner.value(1).as_int64(), 7);
}

TEST_F(ScanCacheTransactionTest, a_walk_ends_with_its_transaction) {
  Result<RowCursor> uncached = table_.scan({.filter = "id < 3"});
  ASSERT_OK(uncached);
  for (RowCursor* cursor : {&cursor_, &*uncached}) {
    Transaction transaction = begin();
    ASSERT_OK(cursor->open(&transaction));
    ASSERT_TRUE(cursor->next());
    ASSERT_OK(transaction.commit());
    EXPECT_FALSE(cursor->next());
    EXPECT_EQ(cursor->status().code(), StatusCode::invalid_argument);
  }
  EXPECT_EQ(tables_->scan_cache_statistics().hits, 1u);
}

}  // namespace
}  // namespace varve::test
