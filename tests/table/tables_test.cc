#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "table/value_text.h"
#include "tests/support/temp_directory.h"
#include "tests/txn/allocation_counter.h"
#include "tests/txn/database_fixture.h"
#include "varve/table.h"

namespace varve::test {
namespace {

TableDefinition accounts() {
  return {.name = "accounts",
          .columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                      {.name = "owner", .kind = {ColumnType::text}},
                      {.name = "balance", .kind = {ColumnType::decimal, 2}, .nullable = false}},
          .primary_key = {{"id"}},
          .indexes = {{.name = "by_owner", .columns = {{"owner"}}}}};
}

std::vector<Value> account(int64_t id, std::string_view owner, int64_t cents) {
  return {Value::int64(id), Value::text(owner), Value::decimal({cents, 2})};
}

class TablesTest : public DatabaseTest {
 protected:
  void SetUp() override {
    open();
    reopen_tables();
  }
  void TearDown() override {
    tables_.reset();
    DatabaseTest::TearDown();
  }
  void reopen_tables() {
    Result<std::unique_ptr<Tables>> opened = Tables::open(db_.get());
    ASSERT_OK(opened);
    tables_ = std::move(*opened);
  }
  Table make(const TableDefinition& definition) {
    Result<Table> made = tables_->create_table(definition);
    EXPECT_OK(made);
    return made.ok() ? *made : Table();
  }
  Status change(const Table& table, const std::function<Status(TableRows*)>& body) {
    return db_
        ->transact([&](Transaction& transaction) {
          Result<TableRows> rows = table.rows(&transaction);
          return rows.ok() ? body(&*rows) : rows.status();
        })
        .status();
  }
  Status insert(const Table& table, const std::vector<std::vector<Value>>& rows) {
    return change(table, [&](TableRows* to) {
      for (const std::vector<Value>& row : rows) {
        if (Status status = to->insert(row); !status.ok()) return status;
      }
      return Status();
    });
  }
  // The first column of what a scan yields, as text.
  std::vector<std::string> found(const Table& table, const ScanDefinition& scan,
                                 const std::vector<Value>& arguments = {}) {
    Transaction transaction = begin();
    Result<RowCursor> cursor = table.scan(scan);
    EXPECT_OK(cursor);
    if (!cursor.ok()) return {};
    EXPECT_OK(cursor->open(&transaction, arguments));
    std::vector<std::string> values;
    while (cursor->next()) values.push_back(to_text(cursor->value(0)));
    EXPECT_OK(cursor->status());
    return values;
  }
  uint64_t keys_in(std::string_view keyspace) {
    Result<Cursor> cursor = db_->scan({.keyspace = *db_->find_keyspace(keyspace)});
    EXPECT_OK(cursor);
    uint64_t keys = 0;
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) ++keys;
    return keys;
  }

  std::unique_ptr<Tables> tables_;
};

using Texts = std::vector<std::string>;

TEST_F(TablesTest, rows_are_written_and_found) {
  const Table table = make(accounts());
  ASSERT_OK(insert(table, {account(1, "ann", 500), account(2, "bob", 700), account(3, "ann", 1)}));
  EXPECT_EQ(found(table, {}), (Texts{"1", "2", "3"}));
  EXPECT_EQ(found(table, {.columns = {"balance"}, .filter = "owner = ?"}, {Value::text("ann")}),
            (Texts{"5.00", "0.01"}));
  EXPECT_EQ(found(table, {.filter = "id in (?, 9, ?)", .reverse = true},
                  {Value::int64(1), Value::int64(3)}),
            (Texts{"3", "1"}));
  const Result<RowCursor> scan =
      table.scan({.columns = {"id", "balance"}, .filter = "owner = ? and balance > 1"});
  ASSERT_OK(scan);
  EXPECT_EQ(scan->explain(), "index by_owner, owner = ?, with its rows; left over: balance > 1");
  EXPECT_EQ(scan->columns(), 2u);
  EXPECT_EQ(scan->column_name(1), "balance");
  EXPECT_EQ(scan->column_kind(1), (ColumnKind{ColumnType::decimal, 2}));
}

// Rows that the scan has not come to, some of them fetched ahead.
TEST_F(TablesTest, a_scan_shows_what_its_transaction_changed_meanwhile) {
  const Table table = make(accounts());
  std::vector<std::vector<Value>> all;
  for (int64_t id = 1; id <= 12; ++id) all.push_back(account(id, "Ann", 100 * id));
  ASSERT_OK(insert(table, all));
  for (int64_t stop = 1; stop <= 8; ++stop) {
    SCOPED_TRACE(stop);
    Transaction transaction = begin();
    Result<TableRows> rows = table.rows(&transaction);
    Result<RowCursor> cursor =
        table.scan({.columns = {"id", "balance"}, .filter = "owner = 'Ann'"});
    ASSERT_OK(cursor);
    ASSERT_OK(cursor->open(&transaction));
    for (int64_t id = 1; id <= stop; ++id) {
      ASSERT_TRUE(cursor->next());
      ASSERT_EQ(cursor->value(0).as_int64(), id);
    }
    const auto key = [](int64_t id) { return std::vector<Value>{Value::int64(id)}; };
    ASSERT_TRUE(*rows->erase(key(stop + 1)));
    const ColumnChange richer[] = {{2, Value::decimal({7, 2})}};
    ASSERT_TRUE(*rows->update(key(stop + 2), richer));
    const ColumnChange other_owner[] = {{1, Value::text("Bob")}};
    ASSERT_TRUE(*rows->update(key(stop + 3), other_owner));
    ASSERT_TRUE(cursor->next()) << cursor->status().to_string();
    EXPECT_EQ(cursor->value(0).as_int64(), stop + 2);
    EXPECT_EQ(to_text(cursor->value(1)), "0.07");
    ASSERT_TRUE(cursor->next()) << cursor->status().to_string();
    EXPECT_EQ(cursor->value(0).as_int64(), stop + 4);
    Result<Savepoint> savepoint = transaction.set_savepoint();
    ASSERT_OK(savepoint);
    ASSERT_TRUE(*rows->erase(key(1)));
    Result<RowCursor> later = table.scan({.filter = "owner = 'Ann'"});
    ASSERT_OK(later->open(&transaction));
    ASSERT_TRUE(later->next());
    ASSERT_TRUE(later->next());
    ASSERT_OK(transaction.rollback_to(*savepoint));
    EXPECT_FALSE(later->next());
    EXPECT_FAILS(later->status(), invalid_argument, "rolled back");
    ASSERT_OK(transaction.rollback());
    EXPECT_FALSE(cursor->next());
    EXPECT_EQ(cursor->status().ok(), stop == 8);  // then the last row was shown
  }
}

TEST_F(TablesTest, several_rows_are_written_whole_or_not_at_all) {
  const Table table = make(accounts());
  std::vector<Value> rows = account(1, "ann", 1);
  for (const Value& value : account(2, "bob", 2)) rows.push_back(value);
  const Value keys[] = {Value::int64(2), Value::int64(7), Value::int64(1)};
  ASSERT_OK(change(table, [&](TableRows* to) {
    EXPECT_OK(to->insert_all(rows));
    EXPECT_FAILS(to->insert_all(std::span(rows).first(5)), invalid_argument, "a multiple of 3");
    std::vector<Value> more = account(3, "cid", 3);
    for (const Value& value : account(1, "dan", 4)) more.push_back(value);
    EXPECT_FAILS(to->insert_all(more), already_exists, "primary key");
    Row got[3];
    bool is_there[3] = {};
    EXPECT_OK(to->get_all(keys, got, is_there));
    EXPECT_TRUE(is_there[0] && !is_there[1] && is_there[2]);
    Value value;
    EXPECT_OK(got[0].get(1, &value));
    EXPECT_EQ(value.as_text(), "bob");
    EXPECT_FAILS(got[0].get(3, &value), invalid_argument, "no column 3");
    EXPECT_FAILS(to->get_all(keys, std::span(got).first(2), is_there), invalid_argument,
                 "3 values");
    return Status();
  }));
  EXPECT_EQ(found(table, {}), (Texts{"1", "2"})) << "nothing is left of what failed";
  EXPECT_EQ(found(table, {.filter = "owner = 'cid'"}), Texts{});
  ASSERT_OK(change(table, [&](TableRows* to) {
    const Result<size_t> erased = to->erase_all(keys);
    EXPECT_EQ(erased.ok() ? *erased : 0, 2u);
    rows[1] = Value::text("eve");
    return to->upsert_all(rows);
  }));
  EXPECT_EQ(found(table, {.columns = {"id"}, .filter = "owner > 'c'"}), (Texts{"1"}));
}

TEST_F(TablesTest, rows_that_are_there_are_updated_whole_or_in_part) {
  const Table table = make(accounts());
  std::vector<Value> rows = account(1, "ann", 1);
  for (const Value& value : account(2, "bob", 2)) rows.push_back(value);
  ASSERT_OK(change(table, [&](TableRows* to) { return to->insert_all(rows); }));
  const auto expect_count = [](const Result<size_t>& result, size_t count) {
    EXPECT_OK(result);
    EXPECT_EQ(result.ok() ? *result : SIZE_MAX, count);
  };
  ASSERT_OK(change(table, [&](TableRows* to) {
    const Result<bool> there = to->update(account(1, "amy", 3));
    EXPECT_TRUE(there.ok() && *there);
    const Result<bool> absent = to->update(account(3, "cid", 3));
    EXPECT_TRUE(absent.ok() && !*absent);
    EXPECT_FAILS(to->update(std::span(rows).first(2)), invalid_argument, "2 values, it has 3");
    return Status();
  }));
  EXPECT_EQ(found(table, {.columns = {"id"}, .filter = "owner = 'amy'"}), Texts{"1"});
  EXPECT_EQ(found(table, {.columns = {"id"}, .filter = "owner = 'ann'"}), Texts{});
  EXPECT_EQ(found(table, {.columns = {"id"}}), (Texts{"1", "2"})) << "none was added";

  const Value keys[] = {Value::int64(2), Value::int64(7), Value::int64(1)};
  const ColumnChange changes[] = {
      {1, Value::text("x")}, {1, Value::text("y")}, {1, Value::text("z")}};
  ASSERT_OK(change(table, [&](TableRows* to) {
    std::vector<Value> more = account(1, "eve", 5);
    for (const Value& value : account(9, "fay", 5)) more.push_back(value);
    expect_count(to->update_all(more), 1);
    expect_count(to->update_all(keys, changes), 2);
    expect_count(to->update_all(keys, {}), 2);
    expect_count(to->update_all({}, {}), 0);
    EXPECT_FAILS(to->update_all(keys, std::span(changes).first(2)), invalid_argument,
                 "2 changes are not as many for each of 3");
    EXPECT_FAILS(to->update_all({}, changes), invalid_argument, "3 changes");
    const ColumnChange wrong[] = {{1, Value::text("w")}, {1, Value::text("w")}, {0, Value()}};
    EXPECT_FAILS(to->update_all(keys, wrong), invalid_argument, "primary key");
    return Status();
  }));
  EXPECT_EQ(found(table, {.columns = {"id"}, .filter = "owner = 'x'"}), Texts{"2"});
  EXPECT_EQ(found(table, {.columns = {"id"}, .filter = "owner = 'z'"}), Texts{"1"});
  EXPECT_EQ(found(table, {.columns = {"id"}, .filter = "owner = 'w' or owner = 'eve'"}), Texts{});
}

TEST_F(TablesTest, what_there_is_is_told_and_survives_reopening) {
  TableDefinition definition = accounts();
  definition.columns.push_back({.name = "note",
                                .kind = {ColumnType::text},
                                .default_value = Value::text("a note that is not short at all")});
  definition.indexes.push_back({.name = "rich",
                                .columns = {{"balance", Order::descending}, {"owner"}},
                                .unique = true,
                                .covered = {"note"},
                                .condition = "balance > 100"});
  make(definition);
  ASSERT_OK(tables_->create_tenant("other"));
  ASSERT_OK(tables_->create_table(accounts(), "other"));
  tables_.reset();
  reopen();
  reopen_tables();
  const Result<std::vector<TableDefinition>> all = tables_->tables();
  ASSERT_OK(all);
  ASSERT_EQ(all->size(), 1u);
  const TableDefinition& told = all->front();
  EXPECT_EQ(told.name, "accounts");
  ASSERT_EQ(told.columns.size(), 4u);
  EXPECT_EQ(told.columns[2].kind, (ColumnKind{ColumnType::decimal, 2}));
  EXPECT_FALSE(told.columns[2].nullable);
  EXPECT_EQ(told.columns[3].default_value.value().as_text(), "a note that is not short at all");
  ASSERT_EQ(told.primary_key.size(), 1u);
  EXPECT_EQ(told.primary_key[0].column, "id");
  ASSERT_EQ(told.indexes.size(), 2u);
  EXPECT_EQ(told.indexes[1].columns[0].order, Order::descending);
  EXPECT_TRUE(told.indexes[1].unique && told.indexes[1].ready);
  EXPECT_EQ(told.indexes[1].covered, (Texts{"note"}));
  EXPECT_EQ(told.indexes[1].condition, "balance > 100");
  EXPECT_EQ(*tables_->tenants(), (Texts{"default", "other"}));
  EXPECT_OK(tables_->find_table("accounts", "other"));
  EXPECT_FAILS(tables_->find_table("acounts"), not_found, "no table acounts");
  EXPECT_FAILS(tables_->find_table("accounts", "nobody"), not_found, "no tenant nobody");
  EXPECT_FAILS(tables_->create_table(accounts()), already_exists, "accounts");
}

TEST_F(TablesTest, columns_come_and_go) {
  const Table table = make(accounts());
  ASSERT_OK(insert(table, {account(1, "ann", 500)}));
  Result<RowCursor> old_scan = table.scan({.columns = {"owner"}, .filter = "id > 0"});
  ASSERT_OK(old_scan);
  const Result<Snapshot> before = db_->snapshot();
  ASSERT_OK(before);
  EXPECT_FAILS(table.add_column({.name = "owner"}), already_exists, "owner");
  EXPECT_FAILS(table.add_column({.name = "n", .nullable = false}), invalid_argument, "a default");
  EXPECT_FAILS(table.add_column({.name = "n", .default_value = Value::text("x")}), invalid_argument,
               "of another type");
  ASSERT_OK(table.add_column({.name = "note",
                              .kind = {ColumnType::text},
                              .nullable = false,
                              .default_value = Value::text("none")}));
  ASSERT_OK(change(table, [](TableRows* rows) {
    std::vector<Value> row = account(2, "bob", 2);
    EXPECT_FAILS(rows->insert(row), invalid_argument, "3 values");
    row.push_back(Value::text("hello"));
    return rows->insert(row);
  }));
  EXPECT_EQ(found(table, {.columns = {"note"}}), (Texts{"none", "hello"}));
  EXPECT_EQ(found(table, {.columns = {"id"}, .filter = "note like 'h%'"}), (Texts{"2"}));
  EXPECT_FAILS(table.drop_column("id"), invalid_argument, "of the primary key");
  EXPECT_FAILS(table.drop_column("owner"), invalid_argument, "used by index by_owner");
  EXPECT_FAILS(table.drop_column("nothing"), not_found, "nothing");
  ASSERT_OK(table.drop_column("balance"));
  EXPECT_EQ(found(table, {.columns = {"note", "owner"}, .filter = "id = 2"}), (Texts{"hello"}));
  EXPECT_FAILS(table.scan({.columns = {"balance"}}), invalid_argument, "no column balance");
  // A scan that was compiled before goes on, at any time.
  Transaction now = begin();
  ASSERT_OK(old_scan->open(&now));
  EXPECT_TRUE(old_scan->next() && old_scan->next() && !old_scan->next());
  ASSERT_OK(old_scan->open(*before));
  EXPECT_TRUE(old_scan->next() && !old_scan->next());
  old_scan->close();
  Result<RowCursor> past = table.scan({.columns = {"note"}});
  ASSERT_OK(past);
  EXPECT_FAILS(past->open(*before), invalid_argument, "no column note");
  // One of the same name is another one.
  ASSERT_OK(table.add_column({.name = "balance", .kind = {ColumnType::int64}}));
  EXPECT_EQ(found(table, {.columns = {"balance"}}), (Texts{"null", "null"}));
}

TEST_F(TablesTest, a_writer_loses_against_a_change_of_its_table) {
  const Table table = make(accounts());
  ASSERT_OK(insert(table, {account(1, "ann", 500)}));
  Transaction writer = begin();
  {
    Result<TableRows> rows = table.rows(&writer);
    ASSERT_OK(rows);
    ASSERT_OK(rows->insert(account(2, "bob", 1)));
  }
  ASSERT_OK(table.create_index({.name = "by_balance", .columns = {{"balance"}}}));
  EXPECT_FAILS(writer.commit(), conflict, "");
  ASSERT_OK(insert(table, {account(2, "bob", 1)}));
  const ScanDefinition by_balance = {.columns = {"id"}, .filter = "balance < 9"};
  EXPECT_EQ(found(table, by_balance), (Texts{"2", "1"}));
  ASSERT_OK(table.drop_index("by_balance"));
  EXPECT_EQ(found(table, by_balance), (Texts{"1", "2"}));
  EXPECT_FAILS(table.drop_index("by_balance"), not_found, "by_balance");
}

TEST_F(TablesTest, an_index_is_built_beside_writers) {
  const Table table = make(accounts());
  constexpr int64_t kRows = 2000;
  for (int64_t id = 0; id < kRows; id += 100) {
    ASSERT_OK(change(table, [&](TableRows* rows) {
      for (int64_t i = id; i < id + 100; ++i) {
        if (Status status = rows->insert(account(i, "nobody", i % 50)); !status.ok()) return status;
      }
      return Status();
    }));
  }
  std::atomic<bool> done{false};
  std::atomic<uint64_t> written{0};
  std::vector<std::thread> writers;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    writers.emplace_back([&, seed] {
      Random random(seed);
      while (!done.load() || written.load() < 100) {
        const auto id = static_cast<int64_t>(random.below(kRows));
        const Status status = change(table, [&](TableRows* rows) {
          const Value key[] = {Value::int64(id)};
          if (random.one_in(4)) return rows->erase(key).status();
          return rows->upsert(account(id, "w", static_cast<int64_t>(random.below(50))));
        });
        EXPECT_OK(status);
        ++written;
        executor_.run_all();  // however long the build takes, memtables are flushed
      }
    });
  }
  EXPECT_OK(table.create_index({.name = "by_balance",
                                .columns = {{"balance"}},
                                .covered = {"owner"},
                                .condition = "balance >= 0.10"}));
  done = true;
  for (std::thread& writer : writers) writer.join();
  // All that the rows call for, and nothing else.
  Texts expected;
  {
    Transaction transaction = begin();
    Result<RowCursor> all = table.scan({.columns = {"id", "balance"}});
    ASSERT_OK(all);
    ASSERT_OK(all->open(&transaction));
    while (all->next()) {
      if (all->value(1).as_decimal().unscaled >= 10) expected.push_back(to_text(all->value(0)));
    }
    ASSERT_OK(all->status());
  }
  const ScanDefinition scan = {.columns = {"id", "owner"}, .filter = "balance >= 0.1"};
  const ScanDefinition same = {.columns = {"id", "owner"}, .filter = "balance >= 0.10"};
  for (const ScanDefinition& each : {scan, same}) {
    EXPECT_EQ(table.scan(each)->explain().find("index by_balance (where balance >= 0.10)"), 0u);
    Texts by_index = found(table, each);
    std::sort(by_index.begin(), by_index.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(by_index, expected);
  }
}

TEST_F(TablesTest, a_unique_index_is_not_built_on_rows_that_are_alike) {
  const Table table = make(accounts());
  ASSERT_OK(insert(table, {account(1, "ann", 1), account(2, "bob", 2), account(3, "ann", 3)}));
  const uint64_t before = keys_in("varve.rows");
  const IndexDefinition owners = {.name = "owners", .columns = {{"owner"}}, .unique = true};
  EXPECT_FAILS(table.create_index(owners), already_exists, "index owners");
  EXPECT_EQ(table.definition()->indexes.size(), 1u);
  EXPECT_EQ(keys_in("varve.rows"), before) << "what was built is erased again";
  ASSERT_OK(change(table, [](TableRows* rows) {
    const Value key[] = {Value::int64(3)};
    return rows->erase(key).status();
  }));
  ASSERT_OK(table.create_index(owners));
  EXPECT_FAILS(insert(table, {account(4, "bob", 1)}), already_exists, "index owners");
  EXPECT_FAILS(table.create_index(owners), already_exists, "owners");
}

TEST_F(TablesTest, a_build_that_was_broken_off_is_taken_up) {
  const Table table = make(accounts());
  ASSERT_OK(insert(table, {account(1, "ann", 1), account(2, "bob", 2)}));
  const IndexDefinition index = {.name = "by_balance", .columns = {{"balance"}}};
  // Full before the first row is reached, and again before the index is published.
  uint64_t writes = 0;
  uint64_t failing = 2;
  hook_ = [&](const FileCall& call) {
    if (!call.changes()) return Status();
    return ++writes == failing ? Status::io_error("a fault") : Status();
  };
  const Status status = table.create_index(index);
  hook_ = nullptr;
  ASSERT_FALSE(status.ok());
  tables_.reset();
  kill_and_reopen();
  reopen_tables();
  const Result<Table> again = tables_->find_table("accounts");
  ASSERT_OK(again);
  ASSERT_OK(again->create_index(index));
  EXPECT_EQ(found(*again, {.columns = {"id"}, .filter = "balance > 0.01"}), (Texts{"2"}));
  EXPECT_TRUE(again->definition()->indexes.back().ready);
}

// What `damage` does to a key of the rows' keyspace is found.
TEST_F(TablesTest, rows_and_entries_that_do_not_agree_are_found) {
  TableDefinition definition = accounts();
  definition.indexes.push_back({.name = "sums",
                                .columns = {{"balance"}},
                                .unique = true,
                                .covered = {"owner"},
                                .condition = "balance > 1"});
  const Table table = make(definition);
  ASSERT_OK(insert(table, {account(1, "ann", 500), account(2, "bob", 700), account(3, "cid", 50)}));
  const Result<TableVerifyReport> report = tables_->verify();
  ASSERT_OK(report);
  EXPECT_EQ(report->tables, 1u);
  EXPECT_EQ(report->rows, 3u);
  EXPECT_EQ(report->entries, 5u);
  const Keyspace rows = *db_->find_keyspace("varve.rows");
  std::vector<std::pair<std::string, std::string>> keys;
  {
    Result<Cursor> cursor = db_->scan({.keyspace = rows});
    ASSERT_OK(cursor);
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
      keys.emplace_back(cursor->key(), cursor->value());
    }
  }
  ASSERT_EQ(keys.size(), 8u) << "three rows, three owners, two sums";
  const WriteOptions in_rows = in(rows);
  // Each key gone, each value another one's, and a key that nobody asked for.
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto& [key, value] = keys[i];
    ASSERT_OK(db_->erase(key, in_rows));
    EXPECT_FAILS(tables_->verify(), corruption, "table accounts, index ") << i;
    ASSERT_OK(db_->put(key, "x", in_rows));
    EXPECT_FAILS(tables_->verify(), corruption, "table accounts") << i;
    ASSERT_OK(db_->put(key, keys[i < 3 ? (i + 1) % 3 : 6 + i % 2].second + "y", in_rows));
    EXPECT_FAILS(tables_->verify(), corruption, "table accounts") << i;
    ASSERT_OK(db_->put(key, value, in_rows));
    ASSERT_OK(tables_->verify()) << i;
    std::string longer = key;
    longer.back() = static_cast<char>(longer.back() ^ 0x40);
    ASSERT_OK(db_->put(longer, value, in_rows));
    EXPECT_FAILS(tables_->verify(), corruption, "table accounts") << i;
    ASSERT_OK(db_->erase(longer, in_rows));
  }
}

TEST_F(TablesTest, a_dropped_table_leaves_nothing) {
  const Table table = make(accounts());
  TableDefinition other = accounts();
  other.name = "other";
  const Table kept = make(other);
  ASSERT_OK(insert(kept, {account(1, "ann", 1)}));
  const uint64_t before = keys_in("varve.rows");
  for (int64_t id = 0; id < 1500; ++id) ASSERT_OK(insert(table, {account(id, "ann", 1)}));
  Result<RowCursor> cursor = table.scan({});
  ASSERT_OK(cursor);
  ASSERT_OK(tables_->drop_table("accounts"));
  EXPECT_EQ(keys_in("varve.rows"), before);
  Transaction transaction = begin();
  EXPECT_FAILS(table.rows(&transaction), not_found, "no table");
  EXPECT_FAILS(table.definition(), not_found, "no table");
  EXPECT_FAILS(cursor->open(&transaction), not_found, "no table");
  EXPECT_FAILS(table.scan({}), not_found, "no table");
  EXPECT_EQ(found(kept, {}), (Texts{"1"}));
  EXPECT_FAILS(tables_->drop_table("accounts"), not_found, "accounts");
}

TEST_F(TablesTest, definitions_that_make_no_sense_are_refused) {
  const auto refusal = [&](const std::function<void(TableDefinition*)>& spoil) {
    TableDefinition definition = accounts();
    spoil(&definition);
    return tables_->create_table(definition).status();
  };
  using Definition = TableDefinition;
  EXPECT_FAILS(refusal([](Definition* t) { t->name = ""; }), invalid_argument, "without a name");
  EXPECT_FAILS(refusal([](Definition* t) { t->primary_key.clear(); }), invalid_argument,
               "no columns");
  EXPECT_FAILS(refusal([](Definition* t) { t->primary_key = {{"owner"}}; }), invalid_argument,
               "may be null");
  EXPECT_FAILS(refusal([](Definition* t) { t->primary_key = {{"nothing"}}; }), invalid_argument,
               "no column nothing");
  EXPECT_FAILS(refusal([](Definition* t) { t->columns.push_back({.name = "id"}); }),
               invalid_argument, "twice");
  EXPECT_FAILS(refusal([](Definition* t) { t->indexes.push_back(t->indexes[0]); }), already_exists,
               "by_owner");
  EXPECT_FAILS(refusal([](Definition* t) { t->indexes[0].condition = "id >"; }), invalid_argument,
               "at byte 5");
  EXPECT_FAILS(refusal([](Definition* t) { t->indexes[0].condition = "id > ?"; }), invalid_argument,
               "it has a ?");
  EXPECT_FAILS(refusal([](Definition* t) { t->indexes[0].covered = {"x"}; }), invalid_argument,
               "no column x");
  EXPECT_EQ(tables_->tables()->size(), 0u);
}

// Threads of their own, each with its pooled objects.
TEST_F(TablesTest, many_threads_use_one_table) {
  const Table table = make(accounts());
  std::vector<std::thread> threads;
  for (int64_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int64_t i = 0; i < 50; ++i) {
        EXPECT_OK(insert(table, {account(thread * 100 + i, "ann", i)}));
        EXPECT_GE(found(table, {.filter = "owner = 'ann'"}).size(), static_cast<size_t>(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(found(table, {}).size(), 200u);
  std::vector<PoolStatistics> pools = tables_->pools();
  pools.resize(2);  // of writers and scanners, which keep their buffers while they wait
  for (const PoolStatistics& pool : pools) {
    EXPECT_EQ(pool.in_use, 0u) << pool.name;
    EXPECT_GT(pool.reused, 100u) << pool.name;
    EXPECT_LE(pool.high_water, 5u) << pool.name << ", those of this thread included";
  }
}

TEST(TablesAllocation, steady_work_allocates_nothing) {
  if (!VARVE_COUNTS_ALLOCATIONS) GTEST_SKIP() << "sanitizers have a malloc of their own";
  const TempDirectory directory;
  Options options;
  options.memory_budget = 256 << 20;
  options.durability = Durability::os;
  Result<std::unique_ptr<Database>> database = Database::open(options, directory / "db");
  ASSERT_OK(database);
  Database& db = **database;
  {
    Result<std::unique_ptr<Tables>> tables = Tables::open(&db);
    ASSERT_OK(tables);
    TableDefinition definition = accounts();
    definition.indexes.push_back({.name = "by_balance",
                                  .columns = {{"balance", Order::descending}},
                                  .covered = {"owner"},
                                  .condition = "balance > 3"});
    Result<Table> table = (*tables)->create_table(definition);
    ASSERT_OK(table);
    static constexpr std::string_view kOwners[] = {
        "somebody whose name is rather long, so that no short string holds it",
        "another, whose "
        "name is no shorter, but differs from the first one in the beginning",
        "a third one, with "
        "a name that is as long as those of the others are"};
    for (int64_t id = 0; id < 1000; ++id) {
      ASSERT_OK(db.transact([&](Transaction& transaction) {
        Result<TableRows> rows = table->rows(&transaction);
        return rows.ok() ? rows->insert(account(id, kOwners[id % 3], id)) : rows.status();
      }));
    }
    ASSERT_OK(db.flush());
    const std::string_view filters[] = {"owner = ? and balance >= 2", "id > ?", "balance > ?",
                                        "id in (3, ?, 7)"};
    std::vector<RowCursor> cursors;
    for (const std::string_view filter : filters) {
      Result<RowCursor> cursor =
          table->scan({.columns = {"id", "owner"}, .filter = std::string(filter)});
      ASSERT_OK(cursor);
      cursors.push_back(std::move(*cursor));
    }
    uint64_t seen = 0;
    const auto work = [&](int64_t round) {
      const Status status =
          db.transact([&](Transaction& transaction) {
              Result<TableRows> rows = table->rows(&transaction);
              if (!rows.ok()) return rows.status();
              for (int64_t i = 0; i < 20; ++i) {
                const Value key[] = {Value::int64(17 * i)};
                const ColumnChange changes[] = {{1, Value::text(kOwners[(round + i) % 3])},
                                                {2, Value::decimal({round * 7 + i, 2})}};
                Result<bool> there = rows->update(key, changes);
                if (!there.ok()) return there.status();
                const Value gone[] = {Value::int64(i)};
                there = rows->erase(gone);
                if (!there.ok()) return there.status();
                const Value row[] = {gone[0], Value::text(kOwners[i % 3]),
                                     Value::decimal({i * 50, 2})};
                if (Status inserted = rows->insert(row); !inserted.ok()) return inserted;
              }
              return Status();
            }).status();
      ASSERT_OK(status);
      Result<Transaction> transaction = db.begin();
      ASSERT_OK(transaction);
      const Value arguments[] = {Value::text(kOwners[round % 3]), Value::int64(500 + round),
                                 Value::decimal({40000 + round, 2}), Value::int64(round)};
      for (size_t i = 0; i < cursors.size(); ++i) {
        ASSERT_OK(cursors[i].open(&*transaction, {&arguments[i], 1}));
        while (cursors[i].next()) ++seen;
        ASSERT_OK(cursors[i].status());
        cursors[i].close();
      }
      ASSERT_OK(transaction->commit());
    };
    for (int64_t round = 0; round < 20; ++round) work(round);
    const AllocationCounts before = allocation_counts();
    for (int64_t round = 20; round < 40; ++round) work(round);
    const AllocationCounts after = allocation_counts();
    EXPECT_GT(seen, 1000u);
    EXPECT_EQ(after.mallocs - before.mallocs, 0u);
    EXPECT_EQ(after.heap - before.heap, 0u);
    EXPECT_EQ(after.maps - before.maps, 0u);
  }
}

}  // namespace
}  // namespace varve::test
