// The rows of a table as a transaction sees and changes them, indexes included: so that whatever
// commits, each row has exactly the entries that belong to it.
//
// A change is checked before anything is written: a call that fails leaves the transaction as it
// was.
//
// Used again, in another transaction, it goes on with the memory that it has, which lies in pools.
//
// Thread rule: as the transaction's. Lifetime: a transaction outlives its use here.
// Errors: invalid_argument (a value that its column cannot hold, named; a key that is too long);
// already_exists (a unique key that another row has: names index and key); out_of_memory; and those
// of the transaction's calls.

#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "memory/object_pool.h"
#include "memory/pooled_array.h"
#include "memory/pooled_bytes.h"
#include "table/catalog.h"
#include "table/row_pools.h"
#include "table/table_plan.h"
#include "varve/table.h"
#include "varve/transaction.h"

namespace varve {

class RowWriter : public PoolLink {
 public:
  explicit RowWriter(RowPools* pools);
  RowWriter(const RowWriter&) = delete;
  RowWriter& operator=(const RowWriter&) = delete;

  // From now on in `transaction`, whose view of the table's description it reads for update.
  // `known`, a plan made before or null, is used as long as it holds. Errors: not_found, if the
  // table is gone.
  Status attach(Transaction* transaction, const Catalog& catalog, uint32_t tenant, uint32_t table,
                std::shared_ptr<const TablePlan> known);
  // Lets go of the transaction; memory stays, but for what was needed for something large.
  void detach();
  const std::shared_ptr<const TablePlan>& plan() const { return plan_; }

  // -- `row`: a value for each living column. `key`: one for each column of the primary key --
  Status insert(std::span<const Value> row);
  // In the place of the row with that primary key, if there is one.
  Status upsert(std::span<const Value> row);
  // All columns, or some, of a row that is there. False: there is none.
  Result<bool> update(std::span<const Value> row);
  Result<bool> update(std::span<const Value> key, std::span<const ColumnChange> changes);
  Result<bool> erase(std::span<const Value> key);
  Result<bool> get(std::span<const Value> key, Row* row) {
    return read(key, /*for_update=*/false, row);
  }
  Result<bool> get_for_update(std::span<const Value> key, Row* row) {
    return read(key, /*for_update=*/true, row);
  }

  // For an index that is being built: the row under the encoded key `row_key` has its entry in it
  // afterwards, unless the row is gone. Errors: not_found (the index is).
  Status add_entry(std::string_view row_key, uint32_t index);

  // -- several, one behind the other; all or none --
  Status insert_all(std::span<const Value> rows);
  Status upsert_all(std::span<const Value> rows);
  // How many there were. `changes`: as many for each key.
  Result<size_t> update_all(std::span<const Value> rows);
  Result<size_t> update_all(std::span<const Value> keys, std::span<const ColumnChange> changes);
  Result<size_t> erase_all(std::span<const Value> keys);
  Status get_all(std::span<const Value> keys, std::span<Row> rows, std::span<bool> found);

 private:
  // An entry of an index before and after a change.
  struct Entry {
    explicit Entry(RowPools* pools);
    bool was = false;
    bool is = false;
    PooledBytes old_key;
    PooledBytes new_key;
    PooledBytes old_value;
    PooledBytes new_value;
  };

  Status to_values(std::span<const Value> row);
  Status to_key_values(std::span<const Value> key);
  Status fit(size_t place, const Value& value, Value* fitted) const;
  // Puts a key together; `too_long()` makes the status of one that is longer than kKeySizeMax, or
  // holds an array that is none.
  template <typename Write, typename TooLong>
  static Status write_key(PooledBytes* key, const Write& write, const TooLong& too_long);
  Status write_row_key(PooledBytes* key);
  Result<bool> read(std::span<const Value> key, bool for_update, Row* row);
  // The row under row_key_, for update; its values go to old_. False: there is none.
  Result<bool> read_old();
  // From what old_ says (if `was`) to what new_ says (if `is`).
  Status change(bool was, bool is);
  Status prepare_entry(const IndexPlan& index, bool was, bool is, Entry* entry);
  // Of a unique index that is being built: the entry under the old key may be missing as yet, or be
  // that of another row with the same key, which is left alone.
  Status look_for_old_entry(const IndexPlan& index, Entry* entry);
  Status write_entry(const IndexPlan& index, std::span<const Value> values, PooledBytes* key,
                     PooledBytes* value);
  Status check_unique(const IndexPlan& index, const Entry& entry);
  Status taken(const IndexPlan& index, const Entry& entry) const;
  Status write_all(bool is);
  Status too_long(const char* of) const;
  Status malformed(std::string_view key) const;

  // Undoes what `body` (-> Status) wrote if it fails.
  template <typename Body>
  Status all_or_nothing(const Body& body);
  // Calls `body(part)`, -> Status, for each `size` values.
  template <typename Body>
  Status for_each(std::span<const Value> values, size_t size, const Body& body);
  // The same where it says whether the row is there, -> Result<bool>: how many are.
  template <typename Body>
  Result<size_t> count_each(std::span<const Value> values, size_t size, const Body& body);
  Status set_row(std::string_view key, PinnedValue bytes, Row* row) const;

  RowPools* const pools_;
  Transaction* transaction_ = nullptr;
  Keyspace keyspace_;
  std::shared_ptr<const TablePlan> plan_;
  // By place.
  PooledArray<Value> old_;
  PooledArray<Value> new_;
  PooledArray<Value> covered_;
  PinnedValue old_bytes_;  // what old_ views
  PooledBytes row_key_;
  PooledBytes row_;
  PooledArray<Entry> entries_;  // of the plan's indexes, and more that were needed before
  // Of get_all().
  PooledBytes keys_;  // one behind the other
  PooledArray<size_t> key_ends_;
  PooledArray<std::string_view> key_views_;
  PooledArray<std::optional<PinnedValue>> found_;
};

}  // namespace varve
