// Walks over the rows of a table that pass a filter, by the index that plan_scan() chooses.
//
//   cursor over the plan's keys -> entry -> columns (from the entry if it covers, else from its
//   row)
//   -> what is left over of the filter -> a row
//
// Reset, it is used again for another scan, with the memory that it has.
//
// Thread rule: one thread. Lifetime: plan, filter and what it reads from outlive the scan; values
// are valid until the next call. Errors: status(), after next() was false: corruption (also of an
// entry whose row is missing), and those of cursors and gets.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "table/filter_expression.h"
#include "table/scan_plan.h"
#include "table/table_plan.h"
#include "varve/database.h"

namespace varve {

// What a scan reads from: a transaction, with its own writes; or the database as of a snapshot.
struct RowSource {
  Keyspace rows;
  Transaction* transaction = nullptr;
  Database* database = nullptr;  // instead of it
  const Snapshot* snapshot = nullptr;
  const Cancellation* cancellation = nullptr;
};

struct RowScan {
  const TablePlan* table = nullptr;
  const FilterExpression* filter = nullptr;
  std::vector<size_t> columns;  // of the living ones, in the order in which they are asked for
  bool reverse = false;
  uint64_t limit = UINT64_MAX;  // rows
};

class RowCursor {
 public:
  RowCursor() = default;
  RowCursor(const RowCursor&) = delete;
  RowCursor& operator=(const RowCursor&) = delete;

  // Before the first row of `scan`. Errors: invalid_argument (a column that the table lacks;
  // neither a transaction nor a snapshot), and those of opening a cursor.
  Status reset(const RowSource& source, RowScan scan);
  // To the next row; false: there is none, or status().
  bool next();
  // The i-th of the columns that were asked for. Requires that next() was true.
  const Value& value(size_t i) const { return values_[places_[i]]; }
  const Status& status() const { return status_; }
  const ScanPlan& plan() const { return plan_; }

 private:
  // Reads the columns that count of the entry under the cursor.
  Status load();
  Status load_row(std::string_view row);
  Status load_entry();
  // The key of the row that the entry belongs to.
  Status write_row_key();
  Status malformed(const char* what) const;

  RowSource source_;
  RowScan scan_;
  ScanPlan plan_;
  std::vector<uint32_t> places_;  // of the columns that are asked for
  std::vector<uint32_t> wanted_;  // and that the rest of the filter looks at
  Cursor cursor_;
  bool started_ = false;
  bool done_ = true;
  uint64_t rows_ = 0;
  std::vector<Value> values_;         // by place
  std::vector<std::string> scratch_;  // by place: what of a key cannot be read in place
  PinnedValue row_;
  std::string row_key_;
  Status status_;
};

}  // namespace varve
