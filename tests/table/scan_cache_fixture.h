// A database with a table whose scans are cached, for tests of that.

#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "table/value_text.h"
#include "tests/txn/database_fixture.h"
#include "varve/table.h"

namespace varve::test {

// What a cursor yields: a text for each row; and how it ended, unless well.
inline std::vector<std::string> rest_of(RowCursor* cursor) {
  std::vector<std::string> rows;
  while (cursor->next()) {
    std::string row;
    for (size_t i = 0; i < cursor->columns(); ++i) {
      row += (i == 0 ? "" : " ") + to_text(cursor->value(i));
    }
    rows.push_back(std::move(row));
  }
  if (!cursor->status().ok()) rows.push_back(cursor->status().to_string());
  return rows;
}

class ScanCacheFixture : public DatabaseTest {
 protected:
  static constexpr uint64_t kCacheBytes = 1 << 20;

  static TableDefinition accounts() {
    return {.name = "accounts",
            .columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                        {.name = "owner", .kind = {ColumnType::text}},
                        {.name = "balance", .kind = {ColumnType::int64}}},
            .primary_key = {{"id"}},
            .indexes = {{.name = "by_owner", .columns = {{"owner"}}},
                        {.name = "by_balance", .columns = {{"balance"}}, .covered = {"owner"}}}};
  }
  static std::vector<Value> account(int64_t id, std::string_view owner, int64_t balance) {
    return {Value::int64(id), Value::text(owner), Value::int64(balance)};
  }

  void SetUp() override {
    open();
    open_tables(kCacheBytes);
    table_ = make(accounts());
    for (int64_t id = 0; id < 100; ++id) put(id, id % 2 == 0 ? "Ann" : "Bob", 10 * id);
  }
  void TearDown() override {
    table_ = Table();
    tables_.reset();
    DatabaseTest::TearDown();
  }
  void open_tables(uint64_t cache_bytes) {
    Result<std::unique_ptr<Tables>> opened =
        Tables::open(db_.get(), {.scan_cache_bytes = cache_bytes});
    ASSERT_OK(opened);
    tables_ = std::move(*opened);
  }
  void reopen_tables(uint64_t cache_bytes) {
    table_ = Table();
    tables_.reset();
    open_tables(cache_bytes);
    table_ = *tables_->find_table("accounts");
  }
  Table make(const TableDefinition& definition) {
    Result<Table> made = tables_->create_table(definition);
    EXPECT_OK(made);
    return made.ok() ? *made : Table();
  }
  Status change(const std::function<Status(TableRows*)>& body) {
    const Status status = db_->transact([&](Transaction& transaction) {
                               Result<TableRows> rows = table_.rows(&transaction);
                               return rows.ok() ? body(&*rows) : rows.status();
                             })
                              .status();
    executor_.run_all();
    return status;
  }
  void put(int64_t id, std::string_view owner, int64_t balance) {
    ASSERT_OK(change([&](TableRows* rows) { return rows->upsert(account(id, owner, balance)); }));
  }
  RowCursor scan(ScanDefinition definition) { return scan(table_, std::move(definition)); }
  static RowCursor scan(const Table& table, ScanDefinition definition) {
    definition.cached = true;
    Result<RowCursor> cursor = table.scan(definition);
    EXPECT_OK(cursor);
    return cursor.ok() ? std::move(*cursor) : RowCursor();
  }
  Snapshot snapshot() {
    Result<Snapshot> taken = db_->snapshot();
    EXPECT_OK(taken);
    return taken.ok() ? std::move(*taken) : Snapshot();
  }
  std::vector<std::string> rows(RowCursor* cursor, const Snapshot& at,
                                const std::vector<Value>& arguments = {}) {
    if (Status status = cursor->open(at, arguments); !status.ok()) return {status.to_string()};
    return rest_of(cursor);
  }
  std::vector<std::string> rows_now(RowCursor* cursor, const std::vector<Value>& arguments = {}) {
    const Snapshot now = snapshot();
    return rows(cursor, now, arguments);
  }
  // Whether a scan as of now, or at a snapshot, is a hit; it must show what another one does that
  // is not cached.
  bool hits(RowCursor* cursor, const ScanDefinition& same, const Snapshot& at,
            const std::vector<Value>& arguments = {}) {
    const uint64_t before = tables_->scan_cache_statistics().hits;
    const std::vector<std::string> found = rows(cursor, at, arguments);
    Result<RowCursor> uncached = table_.scan(same);
    EXPECT_OK(uncached);
    EXPECT_EQ(found, rows(&*uncached, at, arguments));
    return tables_->scan_cache_statistics().hits != before;
  }
  bool hits(RowCursor* cursor, const ScanDefinition& same,
            const std::vector<Value>& arguments = {}) {
    const Snapshot now = snapshot();
    return hits(cursor, same, now, arguments);
  }

  std::unique_ptr<Tables> tables_;
  Table table_;
};

class ScanCacheTest : public ScanCacheFixture {};

}  // namespace varve::test
