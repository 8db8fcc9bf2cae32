// What a table looks like that rows of a file fit in: how `varve import --create` finds its
// columns.
//
// A column has the first of these types that holds all its values and loses nothing of them:
// int64, float64, boolean, timestamp, array (of JSON), text. So 007, and an integer that no int64
// can be, make a text: digits would be lost. Words of CSV are taken for what they look like, JSON's
// strings for timestamps at most. A column without values is a text.
//
// Thread rule: one thread. Memory: a few bytes a column.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/varve/import_source.h"
#include "varve/table.h"

namespace varve::cli {

class TableGuess {
 public:
  void add(const ImportRow& row);

  // A table with these columns, all that the rows had. `key` empty: the first of them. A column may
  // be null if it was in some row, or if not all rows were added; one of the key may not.
  // Errors: invalid_argument (no columns).
  Result<TableDefinition> table(const std::string& name, const std::vector<ImportColumn>& columns,
                                const std::vector<KeyPart>& key, bool all_rows) const;

 private:
  struct Column {
    uint32_t types = ~uint32_t{0};  // that hold all values so far: bits by ColumnType
    uint64_t values = 0;            // that are not null
  };
  uint64_t rows_ = 0;
  std::vector<Column> columns_;  // by ImportField::column
};

}  // namespace varve::cli
