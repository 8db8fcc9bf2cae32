#include "bench/engines/varve_rows.h"

#include <string>
#include <utility>

#include "base/assert.h"
#include "bench/engines/engine.h"
#include "bench/engines/varve_calls.h"

namespace varve::bench {
namespace {

ColumnDefinition column(const char* name, ColumnType type) {
  return {.name = name, .kind = {type}, .nullable = false};
}

TableDefinition items_definition() {
  return {.name = "t",
          .columns = {column("id", ColumnType::uint64), column("a", ColumnType::int64),
                      column("b", ColumnType::text), column("c", ColumnType::text),
                      column("d", ColumnType::int64)},
          .primary_key = {{"id"}},
          .indexes = {{.name = "t_a", .columns = {{"a"}}}, {.name = "t_b", .columns = {{"b"}}}}};
}
constexpr const char* kBuilt = "t_d";
constexpr size_t kA = 1;
constexpr size_t kD = 4;

constexpr const char* kBankTables[] = {"accounts", "tellers", "branches"};
constexpr size_t kBalance = 1;

TableDefinition bank_definition(const char* name) {
  return {.name = name,
          .columns = {column("id", ColumnType::uint64), column("balance", ColumnType::int64),
                      column("filler", ColumnType::text)},
          .primary_key = {{"id"}}};
}

TableDefinition history_definition() {
  return {.name = "history",
          .columns = {column("id", ColumnType::uint64), column("teller", ColumnType::uint64),
                      column("branch", ColumnType::uint64), column("account", ColumnType::uint64),
                      column("delta", ColumnType::int64), column("time", ColumnType::timestamp),
                      column("filler", ColumnType::text)},
          .primary_key = {{"id"}}};
}

class VarveRows final : public RowSession {
 public:
  VarveRows(Database* database, Tables* tables, const WriteOptions* write_options)
      : database_(database), tables_(tables), write_options_(write_options) {}

  void create_items() override {
    items_ = create(items_definition());
    has_items_ = true;
  }
  void insert_items(std::span<const Item> items) override {
    const bool committed = commit_if([&](Transaction* transaction) {
      TableRows rows = take(items_.rows(transaction), "rows");
      Status status;
      for (size_t i = 0; i < items.size() && status.ok(); ++i) {
        const Item& item = items[i];
        const Value row[] = {Value::uint64(item.id), Value::int64(item.a), Value::text(item.b),
                             Value::text(item.c), Value::int64(item.d)};
        status = rows.insert(row);
      }
      return status;
    });
    if (!committed) throw EngineError("varve: a load met another transaction");
  }
  bool update_items(std::span<const ItemChange> changes) override {
    find_items();
    return commit_if([&](Transaction* transaction) {
      TableRows rows = take(items_.rows(transaction), "rows");
      for (const ItemChange& change : changes) {
        const Value key[] = {Value::uint64(change.id)};
        const ColumnChange columns[] = {{kA, Value::int64(change.a)}, {kD, Value::int64(change.d)}};
        VARVE_RETURN_IF_ERROR(rows.update(key, columns).status());
      }
      return Status();
    });
  }
  bool erase_items(std::span<const uint64_t> ids, uint64_t* erased) override {
    find_items();
    return commit_if([&](Transaction* transaction) {
      *erased = 0;
      TableRows rows = take(items_.rows(transaction), "rows");
      for (const uint64_t id : ids) {
        const Value key[] = {Value::uint64(id)};
        VARVE_ASSIGN_OR_RETURN(const bool was_there, rows.erase(key));
        *erased += was_there ? 1 : 0;
      }
      return Status();
    });
  }
  void read_items(int64_t from, size_t count, ItemSink* sink) override {
    find_items();
    if (count != scan_count_) {
      by_a_ = take(items_.scan({.filter = "a >= ?", .limit = count}), "scan");
      scan_count_ = count;
    }
    Transaction reader = take(database_->begin(), "begin");
    const Value arguments[] = {Value::int64(from)};
    check(by_a_.open(&reader, arguments), "RowCursor::open");
    while (by_a_.next()) {
      sink->found({.id = by_a_.value(0).as_uint64(),
                   .a = by_a_.value(1).as_int64(),
                   .b = by_a_.value(2).as_text(),
                   .c = by_a_.value(3).as_text(),
                   .d = by_a_.value(4).as_int64()});
    }
    check(by_a_.status(), "RowCursor::next");
    by_a_.close();
    check(reader.rollback(), "rollback");
  }

  void build_index() override {
    find_items();
    check(items_.create_index({.name = kBuilt, .columns = {{"d"}}, .covered = {"a"}}),
          "create_index");
  }
  void verify_items() override {
    find_items();
    check(tables_->verify().status(), "verify");
    const TableDefinition table = take(items_.definition(), "definition");
    for (const IndexDefinition& index : table.indexes) {
      if (index.name == kBuilt && index.ready) return;
    }
    throw EngineError("varve: the index is not ready");
  }

  void create_bank() override {
    for (size_t i = 0; i < std::size(kBankTables); ++i) {
      bank_[i] = create(bank_definition(kBankTables[i]));
    }
    history_ = create(history_definition());
    has_bank_ = true;
  }
  void insert_bank(BankTable table, uint64_t begin, uint64_t end) override {
    const std::string filler(filler_size(table), ' ');
    const bool committed = commit_if([&](Transaction* transaction) {
      TableRows rows = take(bank_[static_cast<size_t>(table)].rows(transaction), "rows");
      Status status;
      for (uint64_t id = begin; id < end && status.ok(); ++id) {
        const Value row[] = {Value::uint64(id), Value::int64(0), Value::text(filler)};
        status = rows.insert(row);
      }
      return status;
    });
    if (!committed) throw EngineError("varve: a load met another transaction");
  }
  uint64_t transact(const BankTransaction& transaction, int64_t* balance) override {
    find_bank();
    uint64_t attempts = 0;
    const auto body = [&](Transaction& writer) -> Status {
      ++attempts;
      const uint64_t ids[] = {transaction.account, transaction.teller, transaction.branch};
      for (size_t i = 0; i < std::size(ids); ++i) {
        int64_t now = 0;
        VARVE_RETURN_IF_ERROR(add_to(&writer, bank_[i], ids[i], transaction.delta, &now));
        if (i == 0) *balance = now;
      }
      static const std::string kFiller(kHistoryFillerSize, ' ');
      const Value row[] = {Value::uint64(transaction.history_id),
                           Value::uint64(transaction.teller),
                           Value::uint64(transaction.branch),
                           Value::uint64(transaction.account),
                           Value::int64(transaction.delta),
                           Value::timestamp(transaction.micros),
                           Value::text(kFiller)};
      return take(history_.rows(&writer), "rows").insert(row);
    };
    check(database_->transact(body, {.durability = write_options_->durability}).status(),
          "a transaction");
    return attempts - 1;
  }
  BankTotals bank_totals() override {
    find_bank();
    BankTotals totals;
    int64_t* const sums[] = {&totals.accounts, &totals.tellers, &totals.branches};
    Transaction reader = take(database_->begin(), "begin");
    for (size_t i = 0; i < std::size(sums); ++i) {
      sum(&reader, bank_[i], "balance", sums[i]);
    }
    totals.history_rows = sum(&reader, history_, "delta", &totals.history);
    return totals;
  }

 private:
  Table create(const TableDefinition& definition) {
    const Status dropped = tables_->drop_table(definition.name);
    if (dropped.code() != StatusCode::not_found) check(dropped, "drop_table");
    return take(tables_->create_table(definition), "create_table");
  }
  void find_items() {
    if (has_items_) return;
    items_ = take(tables_->find_table("t"), "find_table");
    has_items_ = true;
  }
  void find_bank() {
    if (has_bank_) return;
    for (size_t i = 0; i < std::size(kBankTables); ++i) {
      bank_[i] = take(tables_->find_table(kBankTables[i]), "find_table");
    }
    history_ = take(tables_->find_table("history"), "find_table");
    has_bank_ = true;
  }

  // Calls body(transaction) and commits. False: it lost.
  template <typename Body>
  bool commit_if(const Body& body) {
    Transaction transaction =
        take(database_->begin({.durability = write_options_->durability}), "begin");
    Status status = body(&transaction);
    if (status.ok()) status = transaction.commit().status();
    if (status.ok()) return true;
    if (status.code() != StatusCode::conflict) check(status, "a transaction");
    if (transaction.is_open()) check(transaction.rollback(), "rollback");
    return false;
  }

  static Status add_to(Transaction* writer, const Table& table, uint64_t id, int64_t delta,
                       int64_t* balance) {
    TableRows rows = take(table.rows(writer), "rows");
    const Value key[] = {Value::uint64(id)};
    Row row;
    VARVE_ASSIGN_OR_RETURN(const bool found, rows.get_for_update(key, &row));
    Value before;
    if (found) VARVE_RETURN_IF_ERROR(row.get(kBalance, &before));
    if (!found) return Status::not_found("a row of the bank");
    *balance = before.as_int64() + delta;
    const ColumnChange change[] = {{kBalance, Value::int64(*balance)}};
    return rows.update(key, change).status();
  }

  static uint64_t sum(Transaction* reader, const Table& table, const char* of, int64_t* sum) {
    RowCursor cursor = take(table.scan({.columns = {of}}), "scan");
    check(cursor.open(reader), "RowCursor::open");
    uint64_t rows = 0;
    for (; cursor.next(); ++rows) *sum += cursor.value(0).as_int64();
    check(cursor.status(), "RowCursor::next");
    return rows;
  }

  Database* const database_;
  Tables* const tables_;
  const WriteOptions* const write_options_;
  Table items_;
  bool has_items_ = false;
  RowCursor by_a_;
  size_t scan_count_ = 0;
  Table bank_[std::size(kBankTables)];
  Table history_;
  bool has_bank_ = false;
};

}  // namespace

std::unique_ptr<RowSession> make_varve_rows(Database* database, Tables* tables,
                                            const WriteOptions* write_options) {
  return std::make_unique<VarveRows>(database, tables, write_options);
}

}  // namespace varve::bench
