#include "table/table_verify.h"

#include <memory>
#include <optional>
#include <string>

#include "base/assert.h"
#include "base/format.h"
#include "table/key_range.h"
#include "table/table_plan.h"

namespace varve {

namespace {

class TableVerifier {
 public:
  TableVerifier(Transaction* transaction, Keyspace rows, const TablePlan& plan, RowPools* pools,
                TableVerifyReport* report)
      : transaction_(transaction),
        rows_(rows),
        plan_(plan),
        report_(*report),
        values_(&pools->rows),
        covered_(&pools->rows),
        key_(&pools->index_keys),
        value_(&pools->rows) {}

  Status verify() {
    ++report_.tables;
    if (!values_.resize(plan_.layout().places()) || !key_.reserve(2 * kKeySizeMax)) {
      return refused();
    }
    VARVE_RETURN_IF_ERROR(walk(0, [this](const Cursor& row) { return verify_row(row); }));
    for (const IndexPlan& index : plan_.indexes()) {
      VARVE_RETURN_IF_ERROR(
          walk(index.schema->id, [&](const Cursor& entry) { return verify_entry(index, entry); }));
    }
    return Status();
  }

 private:
  // Calls `visit(cursor)` -> Status for each key of an index, or of the rows (0).
  template <typename Visit>
  Status walk(uint32_t index, const Visit& visit) {
    const std::string prefix = encoded_prefix(
        {.tenant = plan_.schema().tenant, .table = plan_.schema().id, .index = index});
    ScanOptions options;
    options.keyspace = rows_;
    options.prefix = prefix;
    options.fill_cache = false;
    VARVE_ASSIGN_OR_RETURN(Cursor cursor, transaction_->scan(options));
    for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
      VARVE_RETURN_IF_ERROR(visit(cursor));
    }
    return cursor.status();
  }

  Status verify_row(const Cursor& row) {
    ++report_.rows;
    VARVE_RETURN_IF_ERROR(read(row.key(), row.value()));
    for (const IndexPlan& index : plan_.indexes()) {
      if (index.schema->state != IndexState::ready) continue;
      if (!TablePlan::has_entry(index, values_)) continue;
      VARVE_RETURN_IF_ERROR(write_entry(index, row.key()));
      VARVE_ASSIGN_OR_RETURN(const std::optional<PinnedValue> found,
                             transaction_->get(key_.view(), {.keyspace = rows_}));
      if (!found) return wrong(index, "a row has no entry; its key is ", row.key());
      if (found->view() != value_.view()) {
        return wrong(index, "an entry does not say what its row does; its key is ", key_.view());
      }
    }
    return Status();
  }

  Status verify_entry(const IndexPlan& index, const Cursor& entry) {
    ++report_.entries;
    const std::optional<std::string_view> primary_key =
        TablePlan::primary_key_of_entry(index, entry.key(), entry.value());
    if (!primary_key) return wrong(index, "a malformed entry; its key is ", entry.key());
    row_key_.assign(plan_.row_prefix()).append(*primary_key);
    VARVE_ASSIGN_OR_RETURN(const std::optional<PinnedValue> row,
                           transaction_->get(row_key_, {.keyspace = rows_}));
    if (!row) return wrong(index, "an entry without a row; its key is ", entry.key());
    VARVE_RETURN_IF_ERROR(read(row_key_, row->view()));
    if (TablePlan::has_entry(index, values_)) {
      VARVE_RETURN_IF_ERROR(write_entry(index, row_key_));
      if (key_.view() == entry.key() && value_.view() == entry.value()) return Status();
    }
    return wrong(index, "an entry does not say what its row does; its key is ", entry.key());
  }

  // The row's values; it must lie where its primary key says.
  Status read(std::string_view key, std::string_view row) {
    const std::optional<RowView> view = RowView::open(&plan_.layout(), row);
    if (view && view->get_all(values_)) {
      write_key([&](KeyWriter* to) { plan_.append_row_key(values_, to); });
      if (key_.view() == key) return Status();
    }
    return Status::corruption("table " + readable(plan_.schema().name) + ": the row with key " +
                              readable(key) + " is malformed");
  }

  Status write_entry(const IndexPlan& index, std::string_view row_key) {
    write_key([&](KeyWriter* to) { plan_.append_entry_key(index, values_, to); });
    value_.clear();
    return plan_.append_entry_value(index, values_, row_key, &covered_, &value_) ? Status()
                                                                                 : refused();
  }

  // Into key_: as much of it as a key may have.
  template <typename Write>
  void write_key(const Write& write) {
    KeyWriter key(key_.room());
    write(&key);
    key_.set_size(key.size());
  }

  static Status refused() { return Status::out_of_memory("no memory to verify a table"); }
  Status wrong(const IndexPlan& index, const char* what, std::string_view key) const {
    return Status::corruption("table " + readable(plan_.schema().name) + ", index " +
                              readable(index.schema->name) + ": " + what + readable(key));
  }

  Transaction* const transaction_;
  const Keyspace rows_;
  const TablePlan& plan_;
  TableVerifyReport& report_;
  PooledArray<Value> values_;  // by place
  PooledArray<Value> covered_;
  PooledBytes key_;
  PooledBytes value_;
  std::string row_key_;
};

}  // namespace

Status verify_table(Transaction* transaction, Keyspace rows, const TableSchema& table,
                    RowPools* pools, TableVerifyReport* report) {
  VARVE_ASSIGN_OR_RETURN(const std::shared_ptr<const TablePlan> plan,
                         TablePlan::make(table.encode()));
  return TableVerifier(transaction, rows, *plan, pools, report).verify();
}

}  // namespace varve
