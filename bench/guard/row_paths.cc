// Rows in a table with two indexes, of the shape that db-bench's benchmarks of rows have: each
// operation is one row, of transactions of 100 rows where it writes.

#include <algorithm>
#include <array>
#include <vector>

#include "base/format.h"
#include "bench/guard/guard_database.h"
#include "bench/guard/hot_path.h"
#include "table/row_codec.h"
#include "varve/key_codec.h"

namespace varve::bench {
namespace {

constexpr uint64_t kRows = 10'000;
constexpr uint64_t kRowsATransaction = 100;

// t(id primary key, a integer, b 17-byte text, c 60-byte text, d integer), indexes on a and b.
struct ItemRow {
  explicit ItemRow(uint64_t id)
      : b(format("b%016llx", static_cast<unsigned long long>(mix64(id)))),
        c(60, static_cast<char>('a' + id % 26)),
        values{Value::int64(static_cast<int64_t>(id)), Value::int64(a_of(id)), Value::text(b),
               Value::text(c), Value::int64(0)} {}
  ItemRow(const ItemRow&) = delete;
  ItemRow& operator=(const ItemRow&) = delete;
  static int64_t a_of(uint64_t id) { return static_cast<int64_t>(mix64(id) >> 33); }

  const std::string b;
  const std::string c;
  const std::array<Value, 5> values;
};

std::vector<std::unique_ptr<ItemRow>> make_rows(uint64_t count) {
  std::vector<std::unique_ptr<ItemRow>> rows;
  for (uint64_t id = 0; id < count; ++id) rows.push_back(std::make_unique<ItemRow>(id));
  return rows;
}

class RowPath : public HotPath {
 public:
  // With the first `loaded` rows in the table, merged.
  RowPath(uint64_t rows, uint64_t loaded) : rows_(make_rows(rows)) {
    Result<std::unique_ptr<Tables>> tables = Tables::open(&*database_);
    require(tables.ok());
    tables_ = std::move(*tables);
    Result<Table> table = tables_->create_table(definition());
    require(table.ok());
    table_ = std::move(*table);
    insert(0, loaded);
    settle();
    require(database_->compact().ok());
    settle();
  }
  void settle() override { database_.settle(); }
  MemoryReport memory() override { return database_->memory_report(); }

 protected:
  void insert(uint64_t first, uint64_t count) {
    in_transactions(first, count, [this](TableRows& rows, uint64_t i) {
      require(rows.insert(rows_[i]->values).ok());
    });
  }
  template <typename Body>
  void in_transactions(uint64_t first, uint64_t count, const Body& body) {
    for (uint64_t begin = first; begin < first + count; begin += kRowsATransaction) {
      const uint64_t end = std::min(begin + kRowsATransaction, first + count);
      Result<Transaction> transaction = database_->begin();
      require(transaction.ok());
      {
        Result<TableRows> rows = table_.rows(&*transaction);
        require(rows.ok());
        for (uint64_t i = begin; i < end; ++i) body(*rows, i);
      }
      require(transaction->commit().ok());
    }
  }
  Value id_of(uint64_t operation) const {
    return Value::int64(static_cast<int64_t>(shuffled(operation, rows_.size())));
  }

  const std::vector<std::unique_ptr<ItemRow>> rows_;
  GuardDatabase database_;
  std::unique_ptr<Tables> tables_;
  Table table_;

 private:
  static TableDefinition definition() {
    TableDefinition items;
    items.name = "items";
    items.columns.resize(5);
    constexpr const char* kNames[] = {"id", "a", "b", "c", "d"};
    for (size_t i = 0; i < items.columns.size(); ++i) {
      const bool is_text = i == 2 || i == 3;
      items.columns[i].name = kNames[i];
      items.columns[i].kind.type = is_text ? ColumnType::text : ColumnType::int64;
      items.columns[i].nullable = false;
    }
    items.primary_key.resize(1);
    items.primary_key[0].column = "id";
    for (const char* column : {"a", "b"}) {
      IndexDefinition index;
      index.name = std::string("by_") + column;
      index.columns.resize(1);
      index.columns[0].column = column;
      items.indexes.push_back(std::move(index));
    }
    return items;
  }
};

class RowInsert final : public RowPath {
 public:
  explicit RowInsert(uint64_t operations) : RowPath(2 * operations, 0) {}
  void run(uint64_t first, uint64_t operations) override { insert(first, operations); }
};

class RowUpdate final : public RowPath {
 public:
  explicit RowUpdate(uint64_t) : RowPath(kRows, kRows) {}
  void run(uint64_t first, uint64_t operations) override {
    in_transactions(first, operations, [this](TableRows& rows, uint64_t i) {
      const Value key[] = {id_of(i)};
      const ColumnChange changes[] = {{1, Value::int64(static_cast<int64_t>(mix64(~i) >> 33))},
                                      {4, Value::int64(static_cast<int64_t>(i))}};
      const Result<bool> found = rows.update(key, changes);
      require(found.ok() && *found);
    });
  }
};

class RowErase final : public RowPath {
 public:
  explicit RowErase(uint64_t operations) : RowPath(2 * operations, 2 * operations) {}
  void run(uint64_t first, uint64_t operations) override {
    in_transactions(first, operations, [this](TableRows& rows, uint64_t i) {
      const Value key[] = {id_of(i)};
      const Result<bool> found = rows.erase(key);
      require(found.ok() && *found);
    });
  }
};

class RowGet final : public RowPath {
 public:
  explicit RowGet(uint64_t) : RowPath(kRows, kRows) {}
  void run(uint64_t first, uint64_t operations) override {
    uint64_t sum = 0;
    in_transactions(first, operations, [&](TableRows& rows, uint64_t i) {
      const Value key[] = {id_of(i)};
      Row row;
      const Result<bool> found = rows.get(key, &row);
      Value b;
      require(found.ok() && *found && row.get(2, &b).ok());
      sum += b.as_text().size();
    });
    consume(sum);
  }
};

// Whole rows: in the order of the primary key, or of an index from a random place, 1,000 at a time.
template <bool kByIndex>
class RowScan final : public RowPath {
 public:
  explicit RowScan(uint64_t) : RowPath(kRows, kRows) {
    ScanDefinition scan;
    scan.filter = kByIndex ? "a >= ?" : "id >= ?";
    scan.limit = kRowsAScan;
    Result<RowCursor> cursor = table_.scan(scan);
    require(cursor.ok());
    cursor_ = std::move(*cursor);
  }
  void run(uint64_t first, uint64_t operations) override {
    uint64_t sum = 0;
    for (uint64_t done = 0; done < operations;) {
      Result<Transaction> transaction = database_->begin();
      require(transaction.ok());
      const Value from[] = {place(first + done)};
      require(cursor_.open(&*transaction, from).ok());
      while (done < operations && cursor_.next()) {
        sum += cursor_.value(2).as_text().size();
        ++done;
      }
      require(cursor_.status().ok());
      cursor_.close();
    }
    consume(sum);
  }

 private:
  static constexpr uint64_t kRowsAScan = 1000;
  // Of which at least half of the rows are at or behind it.
  static Value place(uint64_t operation) {
    const uint64_t draw = mix64(operation);
    return Value::int64(static_cast<int64_t>(kByIndex ? draw >> 34 : draw % (kRows / 2)));
  }
  RowCursor cursor_;
};

// -- codecs --

class CodecPath : public HotPath {
 public:
  CodecPath() : rows_(make_rows(kRows)) {}
  MemoryReport memory() override { return {}; }

 protected:
  const std::vector<std::unique_ptr<ItemRow>> rows_;
};

// The key of an entry of an index: its prefix, a text, the primary key.
class KeyEncode final : public CodecPath {
 public:
  explicit KeyEncode(uint64_t) {}
  void run(uint64_t first, uint64_t operations) override {
    std::array<char, 64> buffer;
    uint64_t sum = 0;
    for (uint64_t i = first; i < first + operations; ++i) {
      const ItemRow& row = *rows_[i % kRows];
      KeyWriter key(buffer);
      append_prefix({.tenant = 1, .table = 2, .index = 3}, &key);
      require(append_value(row.values[2], Order::ascending, &key));
      require(append_value(row.values[0], Order::ascending, &key));
      require(key.ok());
      sum += key.size();
    }
    consume(sum);
  }
};

class RowDecode final : public CodecPath {
 public:
  explicit RowDecode(uint64_t) : layout_(places()) {
    for (const std::unique_ptr<ItemRow>& row : rows_) {
      encoded_.emplace_back(layout_.size_of(row->values), '\0');
      layout_.write(row->values, encoded_.back().data());
    }
  }
  void run(uint64_t first, uint64_t operations) override {
    std::array<Value, 5> values;
    uint64_t sum = 0;
    for (uint64_t i = first; i < first + operations; ++i) {
      const std::optional<RowView> view = RowView::open(&layout_, encoded_[i % kRows]);
      require(view.has_value() && view->get_all(values));
      sum += values[3].as_text().size();
    }
    consume(sum);
  }

 private:
  static std::vector<RowPlace> places() {
    std::vector<RowPlace> places(5);
    places[2].kind.type = places[3].kind.type = ColumnType::text;
    return places;
  }
  const RowLayout layout_;
  std::vector<std::string> encoded_;
};

template <typename Path>
std::unique_ptr<HotPath> make(uint64_t operations) {
  return std::make_unique<Path>(operations);
}

constexpr HotPathEntry kPaths[] = {
    {"key_encode", kRows, make<KeyEncode>},    {"row_decode", kRows, make<RowDecode>},
    {"row_insert", 5'000, make<RowInsert>},    {"row_update", 5'000, make<RowUpdate>},
    {"row_erase", 5'000, make<RowErase>},      {"row_get", 5'000, make<RowGet>},
    {"row_scan", kRows, make<RowScan<false>>}, {"index_scan", kRows, make<RowScan<true>>},
};

}  // namespace

std::span<const HotPathEntry> row_paths() { return kPaths; }

}  // namespace varve::bench
