// Walks over the rows of a table that pass a filter, by the index that plan_scan() chooses.
//
//   prepare   filter and columns, as text -> FilterExpression, ScanPlan
//   open      arguments -> literals -> ScanBounds; a cursor over the plan's keys
//   next      entry -> its row, unless the entry covers what is asked for -> what is left over of
//             the filter -> columns; rows of several entries are fetched together
//
// Opened again, it goes on with the memory that it has, which lies in pools.
//
// Entries are those of the opening. Where the transaction changed a row since, the row is as it is
// now, and has to pass all of the filter; one that was erased is passed over.
//
// Thread rule: one thread. Lifetime: what it reads from outlives the scan, and arguments that are
// views; values are valid until the next call. Errors: status(), after next() was false: corruption
// (also of an entry whose row is missing), out_of_memory, and those of cursors and gets.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "memory/pooled_array.h"
#include "memory/pooled_bytes.h"
#include "table/filter_expression.h"
#include "table/row_pools.h"
#include "table/scan_plan.h"
#include "table/table_plan.h"
#include "txn/value_visitor.h"
#include "varve/database.h"
#include "varve/table.h"

namespace varve {

// What a scan reads from: a transaction, with its own writes; or the database as of a snapshot.
struct RowSource {
  Keyspace rows;
  Transaction* transaction = nullptr;
  Database* database = nullptr;  // instead of it
  const Snapshot* snapshot = nullptr;
  const Cancellation* cancellation = nullptr;
};

class RowScanner final : private ValueVisitor {
 public:
  explicit RowScanner(RowPools* pools);
  RowScanner(const RowScanner&) = delete;
  RowScanner& operator=(const RowScanner&) = delete;

  // Compiles `scan` for the table. Errors: invalid_argument (a column that the table lacks; a
  // filter that does not parse, with the byte); out_of_memory.
  Status prepare(std::shared_ptr<const TablePlan> table, const ScanDefinition& scan);
  const std::shared_ptr<const TablePlan>& table() const { return table_; }
  std::string explain() const { return plan_.explain(filter_); }
  // Whether entries of an index lead it to rows.
  bool fetches_rows() const { return plan_.index != nullptr && !plan_.covering; }

  // Before the first row. Requires that it is prepared. Errors: as FilterExpression::bind(), and
  // those of opening a cursor.
  Status open(const RowSource& source, std::span<const Value> arguments = {});
  // Between which keys, in order, what it reads of its index or rows lies; none: no row can pass.
  std::span<const ScanBounds::Range> ranges() const { return bounds_.ranges(); }
  // To the next row; false: there is none, or status().
  bool next();
  // The i-th of the columns that were asked for. Requires that next() was true.
  size_t columns() const { return places_.size(); }
  const ColumnSchema& column(size_t i) const { return table_->schema().columns[places_[i]]; }
  const Value& value(size_t i) const { return values_[places_[i]]; }
  const Status& status() const { return status_; }
  // Lets go of what it reads from, and of memory that was needed for something large; what is
  // prepared stays.
  void close();

 private:
  // An entry whose row is fetched ahead.
  struct Fetched {
    size_t key_offset = 0;  // in fetched_keys_: the entry's, and that of its row
    size_t entry_key_size = 0;
    size_t row_key_size = 0;
    size_t range = 0;  // that it is in
    enum class Row : uint8_t { missing, fetched, left_out } row = Row::missing;
    size_t row_offset = 0;  // in fetched_rows_
    size_t row_size = 0;
  };
  // As many at once as reads overlap; fewer where the scan has just begun.
  static constexpr size_t kFetchedMax = 8;
  // Of rows that are fetched together; what does not fit in is read when its turn comes.
  static constexpr size_t kFetchedBytesMin = 4096;
  static constexpr size_t kFetchedBytesMax = 256 << 10;

  // To the next entry within the bounds; false: there is none, or status_.
  bool step();
  void to_range(size_t range);
  // To the next row, and whether it passes; if so, reads the columns that are asked for. False too
  // at the end, which `*more` says, and if status_ does.
  bool load(bool* more);
  bool load_fetched(bool* more);
  void fetch();
  ReadOptions read_options() const;
  bool fetch_rows();
  void visit(size_t i, std::string_view row) override;
  // Of the entry that the cursor stands on, and its row; false: status_.
  bool copy_keys(Fetched* fetched);
  std::string_view entry_key(const Fetched& fetched) const {
    return fetched_keys_.view().substr(fetched.key_offset, fetched.entry_key_size);
  }
  std::string_view row_key(const Fetched& fetched) const {
    return fetched_keys_.view().substr(fetched.key_offset + fetched.entry_key_size,
                                       fetched.row_key_size);
  }
  // The row of one that was left out.
  bool read_row(const Fetched& fetched);
  void rewind();
  // False: the transaction erased the row, and the entry with it; or status_.
  bool is_missing();
  uint64_t changes() const {
    return source_.transaction == nullptr ? 0 : source_.transaction->changes();
  }
  bool load_row(std::string_view row);
  bool load_entry();
  bool fail_malformed(const char* what);  // false

  std::shared_ptr<const TablePlan> table_;
  FilterExpression filter_;
  ScanPlan plan_;
  std::vector<uint32_t> places_;  // of the columns that are asked for
  bool reverse_ = false;
  uint64_t limit_ = UINT64_MAX;

  RowSource source_;
  PooledArray<FilterLiteral> arguments_;
  std::span<const FilterLiteral> literals_;
  ScanBounds bounds_;
  size_t range_ = 0;  // the cursor is in
  Cursor cursor_;
  bool started_ = false;
  bool stands_ = false;  // the cursor does, on the next entry
  bool done_ = true;
  uint64_t rows_ = 0;
  PooledArray<Value> values_;                 // by place
  PooledBytes scratch_;                       // what of an entry cannot be read in place
  std::array<Fetched, kFetchedMax> fetched_;  // fetched_count_ of them
  PooledBytes fetched_keys_;
  PooledBytes fetched_rows_;
  size_t left_out_bytes_ = 0;
  PinnedValue row_;  // that was left out
  size_t fetched_count_ = 0;
  size_t fetched_at_ = 0;
  size_t fetch_size_ = 1;  // of the next ones
  // Of the transaction's own writes, when the scan was opened and when the rows were fetched.
  uint64_t opened_changes_ = 0;
  uint64_t fetched_changes_ = 0;
  std::string_view entry_;  // whose row is looked at
  Status status_;
  Status fetch_status_;  // why there is nothing behind what was fetched
};

}  // namespace varve
