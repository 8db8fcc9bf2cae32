// What rows take lies in pools, on the budget: it is accounted for, given back, and where it is
// refused, nothing has changed.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <list>
#include <span>
#include <string>
#include <vector>

#include "memory/allocation_faults.h"
#include "table/row_scanner.h"
#include "tests/table/table_fixture.h"
#include "varve/table.h"

namespace varve::test {
namespace {

TableSchema notes() {
  TableSchema schema{.tenant = 1, .next_index = 3, .name = "notes"};
  schema.columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
                    {.name = "title", .kind = {ColumnType::text}, .nullable = false},
                    {.name = "note", .kind = {ColumnType::text}}};
  schema.primary_key = {{0}};
  schema.indexes = {
      {.id = 1, .name = "by_title", .columns = {{1}}, .unique = true},
      {.id = 2, .name = "by_note", .columns = {{2, Order::descending}}, .covered = {1}}};
  schema.set_defaults(std::vector<Value>(schema.columns.size()));
  return schema;
}

class RowMemoryTest : public TableFixture {
 protected:
  RowMemoryTest() : TableFixture(notes()) {}

  static std::string title(int64_t id) {
    return "a title that takes more than the shortest buffer has room for, of number " +
           std::to_string(id) + std::string(60, '.');
  }
  // A row viewing into what lives as long as the test.
  std::vector<Value> row(int64_t id, size_t note_size = 300) {
    texts_.push_back(title(id));
    const Value title = Value::text(texts_.back());
    texts_.push_back(std::string(note_size, static_cast<char>('a' + id % 26)));
    return {Value::int64(id), title, Value::text(texts_.back())};
  }
  void insert(int64_t id) {
    ASSERT_OK(change([&](RowWriter* rows) { return rows->insert(row(id)); }));
  }
  // The ids that a scan finds; `scanner` is prepared.
  Status scan(RowScanner* scanner, Transaction* transaction, std::vector<int64_t>* ids,
              std::span<const Value> arguments = {}) {
    ids->clear();
    const Status opened =
        scanner->open({.rows = catalog_->rows(), .transaction = transaction}, arguments);
    if (!opened.ok()) return opened;
    while (scanner->next()) ids->push_back(scanner->value(0).as_int64());
    const Status status = scanner->status();
    scanner->close();
    return status;
  }
  std::vector<int64_t> ids_by(const std::string& filter) {
    RowScanner scanner(pools());
    Transaction transaction = begin();
    EXPECT_OK(scanner.prepare(plan_, {.columns = {"id"}, .filter = filter}));
    std::vector<int64_t> ids;
    EXPECT_OK(scan(&scanner, &transaction, &ids));
    return ids;
  }
  uint64_t held() { return memory_.live_bytes(MemoryRole::transaction); }

  std::list<std::string> texts_;
};

// The pools of this test take from a manager of their own: the engine's requests are not refused,
// since each is tried again.
TEST_F(RowMemoryTest, a_change_that_is_refused_memory_has_changed_nothing) {
  struct Case {
    const char* name;
    std::function<Status(RowWriter*)> call;
    std::vector<int64_t> ids;  // afterwards
  };
  const Value key[] = {Value::int64(2)};
  const ColumnChange changes[] = {{2, Value::text("changed")}};
  std::vector<Value> two = row(6, 2000);
  for (const Value& value : row(7, 5000)) two.push_back(value);
  const std::vector<Case> cases = {
      {"insert", [&](RowWriter* rows) { return rows->insert(row(4)); }, {1, 2, 3, 4}},
      {"upsert", [&](RowWriter* rows) { return rows->upsert(row(2, 4000)); }, {1, 2, 3}},
      {"update", [&](RowWriter* rows) { return rows->update(key, changes).status(); }, {1, 2, 3}},
      {"update_all",
       [&](RowWriter* rows) { return rows->update_all(row(2, 3000)).status(); },
       {1, 2, 3}},
      {"erase", [&](RowWriter* rows) { return rows->erase(key).status(); }, {1, 3}},
      {"insert_all", [&](RowWriter* rows) { return rows->insert_all(two); }, {1, 2, 3, 6, 7}},
  };
  for (int64_t id = 1; id <= 3; ++id) insert(id);
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    uint64_t refusals = 0;
    for (uint64_t nth = 1; nth == 1 || AllocationFaults::refused() > 0; ++nth) {
      ASSERT_LT(nth, 500u);
      RowPools pools(&memory_);
      Transaction transaction = begin();
      RowWriter rows(&pools);
      ASSERT_OK(attach(&transaction, &rows));
      {
        const AllThroughSlabs all;
        AllocationFaults::begin(nth);
        const Status status = each.call(&rows);
        AllocationFaults::end();
        if (!status.ok()) {
          EXPECT_FAILS(status, out_of_memory, "memory");
          ++refusals;
          // Nothing was written, or it was taken back.
          std::vector<int64_t> ids;
          RowScanner scanner(&pools);
          ASSERT_OK(scanner.prepare(plan_, {.columns = {"id"}}));
          ASSERT_OK(scan(&scanner, &transaction, &ids));
          EXPECT_EQ(ids, (std::vector<int64_t>{1, 2, 3}));
          ASSERT_OK(each.call(&rows));
        }
      }
      std::vector<int64_t> ids;
      for (const char* filter : {"", "title > ''", "note > ''"}) {
        RowScanner scanner(&pools);
        ASSERT_OK(scanner.prepare(plan_, {.columns = {"id"}, .filter = filter}));
        ASSERT_OK(scan(&scanner, &transaction, &ids));
        std::sort(ids.begin(), ids.end());
        EXPECT_EQ(ids, each.ids) << filter;
      }
      ASSERT_OK(transaction.rollback());
    }
    EXPECT_GE(refusals, 3u);  // of the pools
  }
  EXPECT_EQ(ids_by(""), (std::vector<int64_t>{1, 2, 3}));
}

TEST_F(RowMemoryTest, reads_that_are_refused_memory_can_be_done_again) {
  for (int64_t id = 1; id <= 12; ++id) insert(id);
  const Value keys[] = {Value::int64(3), Value::int64(99), Value::int64(5)};
  const std::string first = title(3);
  const std::string second = title(8);
  const Value arguments[] = {Value::text(first), Value::text(second)};
  uint64_t refusals = 0;
  for (uint64_t nth = 1; nth == 1 || AllocationFaults::refused() > 0; ++nth) {
    ASSERT_LT(nth, 500u);
    RowPools pools(&memory_);
    Transaction transaction = begin();
    RowWriter rows(&pools);
    ASSERT_OK(attach(&transaction, &rows));
    RowScanner by_title(&pools);
    ASSERT_OK(by_title.prepare(plan_, {.columns = {"id"}, .filter = "title in (?, ?)"}));
    RowScanner by_note(&pools);
    ASSERT_OK(by_note.prepare(plan_, {.columns = {"id", "title"}, .filter = "note like 'c%'"}));
    Row found[3];
    bool there[3];
    std::vector<int64_t> titled;
    std::vector<int64_t> noted;
    const auto read = [&]() -> Status {
      VARVE_RETURN_IF_ERROR(rows.get_all(keys, found, there));
      VARVE_RETURN_IF_ERROR(scan(&by_title, &transaction, &titled, arguments));
      return scan(&by_note, &transaction, &noted);
    };
    {
      const AllThroughSlabs all;
      AllocationFaults::begin(nth);
      const Status status = read();
      AllocationFaults::end();
      if (!status.ok()) {
        EXPECT_EQ(status.code(), StatusCode::out_of_memory) << status.to_string();
        ++refusals;
        ASSERT_OK(read());
      }
    }
    EXPECT_TRUE(there[0] && !there[1] && there[2]);
    Value value;
    ASSERT_OK(found[2].get(0, &value));
    EXPECT_EQ(value.as_int64(), 5);
    EXPECT_EQ(titled, (std::vector<int64_t>{3, 8}));
    EXPECT_EQ(noted, (std::vector<int64_t>{2}));
  }
  EXPECT_GE(refusals, 5u);
}

// Of what one large row needs, little stays with a writer that waits; nothing without one.
TEST_F(RowMemoryTest, is_accounted_for_and_given_back) {
  constexpr size_t kLarge = 300'000;
  {
    RowWriter rows(pools());
    Transaction transaction = begin();
    ASSERT_OK(attach(&transaction, &rows));
    ASSERT_OK(rows.insert(row(1, 10)));
    const uint64_t before = held();
    EXPECT_GT(before, 0u);
    std::vector<Value> large = row(2);
    texts_.push_back(std::string(kLarge, 'x'));
    large[2] = Value::text(texts_.back());
    EXPECT_FAILS(rows.insert(large), invalid_argument, "longer than");  // the key of by_note
    EXPECT_GE(held(), before + kLarge);
    rows.detach();
    pools_.rows.trim();
    pools_.index_keys.trim();
    EXPECT_LE(held(), before);
    ASSERT_OK(transaction.rollback());
    for (BufferPool* pool : pools_.all()) EXPECT_TRUE(pool->validate());
  }
  for (BufferPool* pool : pools_.all()) {
    EXPECT_EQ(pool->statistics().in_use, 0u) << pool->statistics().name;
    pool->trim();
  }
  EXPECT_EQ(held(), 0u);
}

TEST_F(RowMemoryTest, steady_work_acquires_no_buffer) {
  RowWriter rows(pools());
  RowScanner scanner(pools());
  ASSERT_OK(scanner.prepare(plan_, {.columns = {"id", "title"}, .filter = "note > ?"}));
  const std::string note(200, 'a');
  const Value arguments[] = {Value::text(note)};
  const auto work = [&](int64_t id) {
    Transaction transaction = begin();
    ASSERT_OK(attach(&transaction, &rows));
    ASSERT_OK(rows.insert(row(id)));
    std::vector<int64_t> ids;
    ASSERT_OK(scan(&scanner, &transaction, &ids, arguments));
    EXPECT_EQ(ids.size(), 1u);
    const Value key[] = {Value::int64(id)};
    ASSERT_TRUE(*rows.erase(key));
    rows.detach();
    ASSERT_OK(transaction.commit());
    executor_.run_all();
  };
  work(1);
  std::vector<uint64_t> before;
  for (BufferPool* pool : pools_.all()) before.push_back(pool->statistics().acquired);
  for (int64_t id = 2; id < 50; ++id) work(id);
  for (size_t i = 0; i < before.size(); ++i) {
    const PoolStatistics now = pools_.all()[i]->statistics();
    EXPECT_GT(before[i], 0u) << now.name;
    EXPECT_EQ(now.acquired, before[i]) << now.name;
  }
}

// Arguments need not fit into a key, nor into the memory for one.
TEST_F(RowMemoryTest, arguments_longer_than_any_key_bound_a_scan_by_their_beginning) {
  insert(1);
  const std::string last(5 << 20, 'z');
  const std::string first(5 << 20, '!');
  RowScanner scanner(pools());
  Transaction transaction = begin();
  const struct {
    const char* filter;
    std::string_view argument;
    size_t found;
  } cases[] = {{"title < ?", last, 1},  {"title > ?", last, 0},         {"title = ?", last, 0},
               {"title > ?", first, 1}, {"title in (?, 'a')", last, 0}, {"note > ?", last, 0},
               {"note < ?", last, 1}};
  for (const auto& each : cases) {
    ASSERT_OK(scanner.prepare(plan_, {.columns = {"id"}, .filter = each.filter}));
    std::vector<int64_t> ids;
    const Value arguments[] = {Value::text(each.argument)};
    ASSERT_OK(scan(&scanner, &transaction, &ids, arguments)) << each.filter;
    EXPECT_EQ(ids.size(), each.found) << each.filter;
  }
  for (BufferPool* pool : pools_.all()) pool->trim();
  EXPECT_LE(held(), 1u << 20);
}

}  // namespace
}  // namespace varve::test
