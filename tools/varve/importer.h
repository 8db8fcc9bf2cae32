// Writes rows of a file into a table, in batches: the work behind `varve import`.
//
// Thread rule: one thread. Database, table and source must outlive it.
// Invariants:
//  1. A batch is one transaction: all its rows are there, or none.
//  2. A column of the source is the table's of that name; NAME_hex may stand for a column NAME of
//     bytes, as `varve select --json` prints them. What a row does not give is the column's
//     default.
// Errors: invalid_argument and already_exists, with the place in the file; those of transactions.
// Nothing of the batch is then applied, and the importer is done for.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/varve/import_source.h"
#include "varve/database.h"
#include "varve/table.h"

namespace varve::cli {

struct ImporterOptions {
  bool upsert = false;  // rows that are there are replaced; else they are an error
  size_t batch_rows_max = 1000;
  std::optional<Durability> durability;
};

struct ImportFigures {
  uint64_t rows = 0;   // committed
  uint64_t bytes = 0;  // of their texts
  uint64_t commits = 0;
};

class Importer {
 public:
  // `definition`: the table's.
  Importer(Database& database, const Table& table, TableDefinition definition,
           const ImportSource& source, const ImporterOptions& options);

  // Finds the source's columns that are new in the table; add() does it by itself. Errors:
  // invalid_argument (the table has none of that name).
  Status match_columns();
  Status add(const ImportRow& row);
  // Commits what is left.
  Status finish();

  const ImportFigures& figures() const { return figures_; }

 private:
  std::optional<size_t> find_column(const std::string& name) const;
  // To values_.
  Status convert(const ImportRow& row);
  Status convert_field(const ImportField& field, size_t column);
  Status begin();
  Status commit();
  std::string key_of_row() const;

  Database& database_;
  const Table& table_;
  const TableDefinition definition_;
  const ImportSource& source_;
  const ImporterOptions options_;
  std::vector<size_t> column_of_;  // the table's, by the source's
  // By column of the table.
  std::vector<Value> values_;
  std::vector<bool> given_;           // by the row
  std::vector<std::string> scratch_;  // what values_ view that the row does not hold
  Transaction transaction_;
  TableRows rows_;             // of transaction_, while it is open
  ImportFigures uncommitted_;  // of transaction_
  ImportFigures figures_;
};

}  // namespace varve::cli
