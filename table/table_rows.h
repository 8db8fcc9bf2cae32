// The rows of a table as a transaction sees and changes them, indexes included: so that whatever
// commits, each row has exactly the entries that belong to it.
//
// A change is checked before anything is written: a call that fails leaves the transaction as it
// was.
//
// Thread rule: as the transaction's. Ownership: transaction and plan outlive it.
// Errors: invalid_argument (a value that its column cannot hold, named; a key that is too long);
// already_exists (a unique key that another row has: names index and key); and those of the
// transaction's calls.

#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "table/catalog.h"
#include "table/table_plan.h"
#include "varve/transaction.h"

namespace varve {

// A row that was read. Values view into it.
class StoredRow {
 public:
  // Of the living columns. False: the row is malformed.
  bool get(size_t column, Value* value) const {
    return view_->get(plan_->columns()[column], value);
  }

 private:
  friend class TableRows;
  const TablePlan* plan_ = nullptr;
  PinnedValue bytes_;
  std::optional<RowView> view_;
};

struct ColumnChange {
  size_t column = 0;  // of the living ones
  Value value;
};

class TableRows {
 public:
  // Reads the table's description for update. `*plan`, a plan made before or null, is replaced if
  // it does not hold any more. Errors: not_found, if the table is gone.
  static Result<TableRows> open(Transaction* transaction, const Catalog& catalog, uint32_t tenant,
                                uint32_t table, std::shared_ptr<const TablePlan>* plan);

  // -- `row`: a value for each living column. `key`: one for each column of the primary key --
  Status insert(std::span<const Value> row);
  // In the place of the row with that primary key, if there is one.
  Status upsert(std::span<const Value> row);
  // False: there is no such row.
  Result<bool> update(std::span<const Value> key, std::span<const ColumnChange> changes);
  Result<bool> erase(std::span<const Value> key);
  Result<bool> get(std::span<const Value> key, StoredRow* row);

 private:
  // Where a key is put together; grows up to the longest that there may be.
  class KeyBuffer {
   public:
    // False: it would be longer than kKeySizeMax, or some array is none.
    template <typename Write>
    bool write(const Write& write);
    std::string_view view() const { return {bytes_.data(), size_}; }

   private:
    std::string bytes_ = std::string(128, '\0');
    size_t size_ = 0;
  };
  // An entry of an index before and after a change.
  struct Entry {
    bool was = false;
    bool is = false;
    KeyBuffer old_key;
    KeyBuffer new_key;
    std::string old_value;
    std::string new_value;
  };

  TableRows(Transaction* transaction, Keyspace keyspace, const TablePlan* plan);
  Status to_values(std::span<const Value> row);
  Status to_key_values(std::span<const Value> key);
  Status fit(size_t place, const Value& value, Value* fitted) const;
  Status write_row_key();
  // The row under row_key_, for update; its values go to old_. False: there is none.
  Result<bool> read_old();
  // From what old_ says (if `was`) to what new_ says (if `is`).
  Status change(bool was, bool is);
  Status prepare_entry(const IndexPlan& index, bool was, bool is, Entry* entry);
  Status check_unique(const IndexPlan& index, const Entry& entry);
  Status write_all(bool is);
  void write_entry_value(const IndexPlan& index, std::span<const Value> values, std::string* value);
  Status too_long(const char* of) const;

  Transaction* transaction_;
  Keyspace keyspace_;
  const TablePlan* plan_;
  // By place.
  std::vector<Value> old_;
  std::vector<Value> new_;
  std::vector<Value> covered_;
  PinnedValue old_bytes_;  // what old_ views
  KeyBuffer row_key_;
  std::string row_;
  std::vector<Entry> entries_;  // of the plan's indexes
};

}  // namespace varve
