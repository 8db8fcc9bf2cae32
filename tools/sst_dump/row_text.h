// Versions as `scan` and `raw` print them: as bytes, or, of rows and of entries of indexes whose
// table is known, by column.
//
// Bytes that are no row or entry of a known table are shown as bytes, with a note that says why;
// whatever they are, no other memory is read.
//
// Thread rule: one thread an object.

#pragma once

#include <cstdint>
#include <deque>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "table/table_plan.h"
#include "tools/sst_dump/options.h"
#include "tools/sst_dump/sstable_parts.h"
#include "tools/sst_dump/table_catalog.h"

namespace varve::sst_dump {

class VersionText {
 public:
  // `tables`: of what the file holds, which outlives this; null: bytes are bytes.
  VersionText(const Options& options, const TableCatalog* tables)
      : options_(options), tables_(tables) {}

  // Of a version:
  //   KEY @ TIMESTAMP : KIND => VALUE (NOTE)
  //   users[id=7]: name="ann", age=31 @ TIMESTAMP
  //   users.by_name("ann", id=7): age=31 @ TIMESTAMP
  std::string line(const std::string& key, const RowContent& row);
  // The same as members of `*object`.
  void set(nlohmann::ordered_json* object, const std::string& key, const RowContent& row);

 private:
  struct Field {
    std::string_view name;  // of the column
    Value value;
  };

  // Fills what follows; false: note_ says why not.
  bool decode(std::string_view key, VersionKind kind, std::string_view value);
  bool decode_row(KeyReader* reader, std::string_view key, VersionKind kind,
                  std::string_view value);
  bool decode_entry(KeyReader* reader, VersionKind kind, std::string_view value);
  bool read_key(KeyReader* reader, const std::vector<KeyColumn>& columns,
                std::vector<Field>* fields);
  bool is_row_key(std::string_view key, const RowView& row) const;
  bool fail(const std::string& note) {
    note_ = note;
    return false;
  }

  std::string value_text(const Value& value) const;
  std::string fields_text(const std::vector<Field>& fields, bool named) const;
  nlohmann::ordered_json fields_json(const std::vector<Field>& fields) const;

  const Options& options_;
  const TableCatalog* const tables_;
  const TablePlan* plan_ = nullptr;
  const IndexPlan* index_ = nullptr;  // null: a row
  std::vector<Field> indexed_;
  std::vector<Field> primary_key_;
  std::vector<Field> columns_;       // the others of a row; those that an entry covers
  std::deque<std::string> scratch_;  // what values of keys view
  std::string note_;
};

}  // namespace varve::sst_dump
