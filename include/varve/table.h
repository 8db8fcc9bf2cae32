// Tables: rows of typed columns with a primary key and secondary indexes, on a Database.
//
//   std::unique_ptr<Tables> tables = Tables::open(&database).value();
//   Table accounts = tables->create_table(
//       {.name = "accounts",
//        .columns = {{.name = "id", .kind = {ColumnType::int64}, .nullable = false},
//                    {.name = "owner", .kind = {ColumnType::text}}},
//        .primary_key = {{"id"}},
//        .indexes = {{.name = "by_owner", .columns = {{"owner"}}}}}).value();
//   database.transact([&](Transaction& transaction) {
//     const Value row[] = {Value::int64(1), Value::text("Ann")};
//     return accounts.rows(&transaction).value().insert(row);
//   });
//   RowCursor cursor = accounts.scan({.columns = {"id"}, .filter = "owner = ?"}).value();
//   const Value owner[] = {Value::text("Ann")};
//   cursor.open(&transaction, owner);
//   while (cursor.next()) use(cursor.value(0).as_int64());
//
// Rows and entries of indexes change in the same transaction, so that they always agree. What
// tables there are, with their columns and indexes, is kept in the database too, and read in the
// same transactions: a scan of the past sees the table as it was. docs/tables.md tells more.
//
// Columns are counted from 0, in the order in which they were added, without those that were
// dropped.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "varve/database.h"
#include "varve/row_view.h"
#include "varve/value.h"

namespace varve {

// -- what tables look like --

struct ColumnDefinition {
  std::string name;  // 1 to 255 bytes, as all names
  ColumnKind kind = {};
  bool nullable = true;
  // What rows have in it that were there before it was added.
  OwnedValue default_value = {};
};

struct KeyPart {
  std::string column;
  Order order = Order::ascending;
};

struct IndexDefinition {
  std::string name;
  std::vector<KeyPart> columns = {};
  bool unique = false;  // rows with a null in one of the columns do not count
  // Held by its entries besides, so that scans need no row.
  std::vector<std::string> covered = {};
  // Of a partial index: which rows are in it; a filter without ?.
  std::string condition = {};
  bool ready = true;  // told, not asked for: scans can use it
};

struct TableDefinition {
  std::string name;
  std::vector<ColumnDefinition> columns = {};
  std::vector<KeyPart> primary_key = {};
  std::vector<IndexDefinition> indexes = {};
};

inline constexpr std::string_view kDefaultTenant = "default";

// -- rows --

// A row that was read; views of its values hold as long as it is not used for another one.
// Thread rule: one thread at a time. Lifetime: as PinnedValue.
class Row {
 public:
  // Errors: corruption; invalid_argument (no such column).
  Status get(size_t column, Value* value) const;

 private:
  friend class RowWriter;
  std::shared_ptr<const class TablePlan> plan_;
  PinnedValue bytes_;
  std::optional<RowView> view_;
};

struct ColumnChange {
  size_t column = 0;
  Value value;
};

// The rows of a table as a transaction sees and changes them. A call that fails leaves the
// transaction as it was. Changes of the table itself (columns, indexes) that commit meanwhile make
// the transaction's commit a conflict.
//
// Thread rule and lifetime: as the transaction's. Values are borrowed for the call.
// Errors: invalid_argument (a value that its column cannot hold, named; a key longer than
// kKeySizeMax); already_exists (a unique key that another row has: names index and key); and those
// of Transaction's calls.
class TableRows {
 public:
  // Rows of no table: to be assigned to before anything is called.
  TableRows() = default;
  TableRows(TableRows&& other) noexcept;
  TableRows& operator=(TableRows&& other) noexcept;
  TableRows(const TableRows&) = delete;
  TableRows& operator=(const TableRows&) = delete;
  ~TableRows();

  // -- `row`: a value for each column. `key`: one for each column of the primary key --
  Status insert(std::span<const Value> row);
  // In the place of the row with that primary key, if there is one.
  Status upsert(std::span<const Value> row);
  // All columns, or some, of a row that is there. False: there is none.
  Result<bool> update(std::span<const Value> row);
  Result<bool> update(std::span<const Value> key, std::span<const ColumnChange> changes);
  // False: there is no such row.
  Result<bool> erase(std::span<const Value> key);
  Result<bool> get(std::span<const Value> key, Row* row);
  // As Transaction::get_for_update(): the commit succeeds only if nobody else changes the row.
  Result<bool> get_for_update(std::span<const Value> key, Row* row);

  // -- several, one behind the other in `rows` or `keys`; all of them or none --
  Status insert_all(std::span<const Value> rows);
  Status upsert_all(std::span<const Value> rows);
  // How many there were. `changes`: as many for each key, likewise one behind the other.
  Result<size_t> update_all(std::span<const Value> rows);
  Result<size_t> update_all(std::span<const Value> keys, std::span<const ColumnChange> changes);
  Result<size_t> erase_all(std::span<const Value> keys);
  // rows[i] answers the i-th key; found[i] says whether it is there.
  Status get_all(std::span<const Value> keys, std::span<Row> rows, std::span<bool> found);

 private:
  friend class Table;
  TableRows(class RowWriter* writer, class TablesState* pool) : writer_(writer), pool_(pool) {}

  class RowWriter* writer_ = nullptr;
  class TablesState* pool_ = nullptr;
};

// -- scans --

struct ScanDefinition {
  std::vector<std::string> columns = {};  // none: all
  // As in SQL: name = 'x' and (age > 3 or note is null), ? for arguments. Empty: all rows.
  std::string filter = {};
  bool reverse = false;
  uint64_t limit = UINT64_MAX;  // rows
  // What it finds is kept for whoever asks the same, until a commit changes it; where Tables has a
  // cache for that (TablesOptions). Worth it for what is asked more often than it changes.
  bool cached = false;
  friend bool operator==(const ScanDefinition&, const ScanDefinition&) = default;
};

// Walks over the rows of a table that pass a filter, in the order of the index that serves it best,
// as explain() says. Made once, it is opened again and again, with other arguments, and allocates
// only at first.
//
// A transaction may change rows while it walks over them. A scan that fetches rows by an index goes
// by the entries that were there when it was opened: a row that was changed since is shown as it is
// now, if it still passes, one that was erased is passed over, and one that came is not shown.
//
// Thread rule: one thread at a time. Lifetime: what it reads from outlives the walk, and so do
// arguments that are views.
// Errors of open(): invalid_argument (arguments that do not fit; columns that were dropped since),
// not_found (the table is gone), and those of scans.
class RowCursor {
 public:
  // Of no table: to be assigned to before anything is called.
  RowCursor() = default;
  RowCursor(RowCursor&& other) noexcept;
  RowCursor& operator=(RowCursor&& other) noexcept;
  RowCursor(const RowCursor&) = delete;
  RowCursor& operator=(const RowCursor&) = delete;
  ~RowCursor();

  // Before the first row: of a transaction, with its own writes, or of a snapshot.
  Status open(Transaction* transaction, std::span<const Value> arguments = {},
              const Cancellation* cancellation = nullptr);
  Status open(const Snapshot& snapshot, std::span<const Value> arguments = {},
              const Cancellation* cancellation = nullptr);
  // Lets go of what it reads from.
  void close();

  // To the next row; false: there is none, or status(): corruption, also of an entry whose row is
  // missing, and what scans and reads fail with.
  bool next();
  // Requires that next() was true; valid until the next call.
  const Value& value(size_t i) const;
  const Status& status() const;

  size_t columns() const;
  const std::string& column_name(size_t i) const;
  ColumnKind column_kind(size_t i) const;
  // Which index, by which bounds, and what is asked of each entry: "index by_owner, owner = ?,
  // with its rows; left over: balance > 3".
  std::string explain() const;

 private:
  friend class Table;
  explicit RowCursor(class PooledScanner* scanner) : scanner_(scanner) {}
  Status prepare(const std::optional<PinnedValue>& description);

  class PooledScanner* scanner_ = nullptr;
};

// -- tables --

// A table. Copies are the same one.
// Thread rule: any thread. Lifetime: the Tables it is of outlives it.
class Table {
 public:
  Table() = default;

  // To read and write in a transaction. Errors: not_found, if the table is gone.
  Result<TableRows> rows(Transaction* transaction) const;
  // Errors: invalid_argument (columns; a filter that does not parse, with the byte); not_found.
  Result<RowCursor> scan(const ScanDefinition& scan) const;
  // As it is now. Errors: not_found.
  Result<TableDefinition> definition() const;

  // -- changes, each in transactions of its own, beside readers and writers --
  // Rows that are there have its default. Errors: already_exists; invalid_argument (not nullable,
  // and without a default); not_found (the table).
  Status add_column(const ColumnDefinition& column) const;
  // Errors: not_found; invalid_argument (a key or an index needs it).
  Status drop_column(std::string_view name) const;
  // Builds it beside writers, and returns when scans can use it. One whose build was broken off is
  // there, not ready, and maintained by writers: the same call again ends it. Errors:
  // already_exists (the name; or, of a unique one, two rows with one key, which it names: then
  // there is no index); invalid_argument; not_found.
  Status create_index(const IndexDefinition& index) const;
  // Errors: not_found.
  Status drop_index(std::string_view name) const;

 private:
  friend class Tables;
  explicit Table(std::shared_ptr<class TableState> state) : state_(std::move(state)) {}
  std::shared_ptr<class TableState> state_;
};

// How a cache of scans fares. Counters since it was opened; only scans that ask for it count.
struct ScanCacheStatistics {
  uint64_t capacity_bytes = 0;
  uint64_t bytes = 0;        // taken, with what walks have found so far
  uint64_t entries = 0;      // results
  uint64_t hits = 0;         // scans that were answered with a result
  uint64_t misses = 0;       // that were not, and might have been
  uint64_t bypassed = 0;     // that could not be: see TablesOptions
  uint64_t invalidated = 0;  // results that a commit had changed when they were asked for
  uint64_t evicted = 0;      // results that made room for others
  uint64_t refused = 0;      // results that were too large, or that there was no memory for
  // hits / (hits + misses); 0 before the first of them.
  double hit_rate() const;
};
// As the one of Statistics, of which it is no part: metrics named varve_scan_cache_....
std::string to_prometheus(const ScanCacheStatistics& statistics);

struct TablesOptions {
  bool create_if_missing = true;
  // Memory for what scans found that ask for it (ScanDefinition::cached), of the database's budget
  // and at most half of it; 0: none. Who asks the same, or has an older snapshot that sees the
  // same, is answered from it: in a transaction while that has written nothing, and unless it is
  // serializable and may write, or may write and the scan reads index entries with their rows. A
  // result of more than an eighth of it is not kept.
  uint64_t scan_cache_bytes = 0;
};
inline constexpr uint64_t kScanCacheBytesMin = 64 * 1024;

struct TableVerifyReport {
  uint64_t tables = 0;
  uint64_t rows = 0;
  uint64_t entries = 0;  // of indexes
};

// All tables of a database.
// Thread rule: any thread. Lifetime: the database outlives it, and it its tables, their cursors
// and rows.
class Tables {
 public:
  // Errors: not_found (the database has no tables yet, and is not to be prepared for them);
  // invalid_argument (scan_cache_bytes); those of reads and commits.
  static Result<std::unique_ptr<Tables>> open(Database* database,
                                              const TablesOptions& options = {});
  ~Tables();
  Tables(const Tables&) = delete;
  Tables& operator=(const Tables&) = delete;

  // -- tenants: tables of one are no other's. The default one is there when it is needed --
  // Errors: already_exists; invalid_argument (the name).
  Status create_tenant(std::string_view name);
  Result<std::vector<std::string>> tenants();

  // Errors: already_exists; invalid_argument, which says what is wrong; not_found (the tenant).
  Result<Table> create_table(const TableDefinition& table,
                             std::string_view tenant = kDefaultTenant);
  // Errors: not_found.
  Result<Table> find_table(std::string_view name, std::string_view tenant = kDefaultTenant);
  Result<std::vector<TableDefinition>> tables(std::string_view tenant = kDefaultTenant);
  // Its rows are erased before this returns; those of a call that was broken off, by a later one.
  // Errors: not_found.
  Status drop_table(std::string_view name, std::string_view tenant = kDefaultTenant);

  // Reads all rows and all entries of indexes, as of now: each row has just the entries that belong
  // to it, and each entry its row. Errors: corruption, naming table, index and key; those of reads.
  Result<TableVerifyReport> verify();

  std::vector<PoolStatistics> pools();
  // Zeros where there is no cache.
  ScanCacheStatistics scan_cache_statistics();

 private:
  friend class Table;
  explicit Tables(std::unique_ptr<class TablesState> state);
  const std::unique_ptr<class TablesState> state_;
};

}  // namespace varve
