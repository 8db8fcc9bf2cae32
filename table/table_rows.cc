#include "table/table_rows.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"

namespace varve {

namespace {

bool is_array(std::string_view encoded) {
  KeyReader reader(encoded);
  return reader.next_type() == KeyValueType::array && reader.skip() && reader.done();
}

const char* name_of(ColumnType type) {
  switch (type) {
    case ColumnType::boolean:
      return "boolean";
    case ColumnType::int64:
      return "int64";
    case ColumnType::uint64:
      return "uint64";
    case ColumnType::float64:
      return "float64";
    case ColumnType::decimal:
      return "decimal";
    case ColumnType::timestamp:
      return "timestamp";
    case ColumnType::uuid:
      return "uuid";
    case ColumnType::bytes:
      return "bytes";
    case ColumnType::text:
      return "text";
    case ColumnType::array:
      return "array";
  }
  return "unknown";
}

Status wrong_count(const TableSchema& table, size_t given, size_t expected, const char* of) {
  return Status::invalid_argument(format("table %s: %zu values, %s has %zu",
                                         readable(table.name).c_str(), given, of, expected));
}

}  // namespace

template <typename Write>
bool TableRows::KeyBuffer::write(const Write& write) {
  for (;;) {
    KeyWriter key(bytes_);
    write(&key);
    size_ = key.size();
    if (key.ok()) return size_ <= kKeySizeMax;
    if (bytes_.size() > 2 * kKeySizeMax) return false;
    bytes_.resize(2 * bytes_.size());
  }
}

TableRows::TableRows(Transaction* transaction, Keyspace keyspace, const TablePlan* plan)
    : transaction_(transaction),
      keyspace_(keyspace),
      plan_(plan),
      old_(plan->layout().places()),
      new_(plan->layout().places()),
      entries_(plan->indexes().size()) {}

Result<TableRows> TableRows::open(Transaction* transaction, const Catalog& catalog, uint32_t tenant,
                                  uint32_t table, std::shared_ptr<const TablePlan>* plan) {
  VARVE_ASSIGN_OR_RETURN(const PinnedValue description,
                         catalog.description_for_update(transaction, tenant, table));
  if (*plan == nullptr || (*plan)->description() != description.view()) {
    VARVE_ASSIGN_OR_RETURN(*plan, TablePlan::make(description.view()));
  }
  return TableRows(transaction, catalog.rows(), plan->get());
}

// -- values --

Status TableRows::fit(size_t place, const Value& value, Value* fitted) const {
  const ColumnSchema& column = plan_->schema().columns[place];
  const auto wrong = [&](const std::string& what) {
    return Status::invalid_argument("table " + readable(plan_->schema().name) + ", column " +
                                    readable(column.name) + ": " + what);
  };
  if (value.is_null()) {
    if (!column.nullable) return wrong("null, and it may not be");
  } else if (value.type() != column.kind.type) {
    return wrong(format("a value of type %s, it is of type %s", name_of(value.type()),
                        name_of(column.kind.type)));
  }
  *fitted = value;
  if (value.is(ColumnType::decimal) && value.as_decimal().scale != column.kind.scale) {
    const std::optional<Decimal> decimal = rescaled(value.as_decimal(), column.kind.scale);
    if (!decimal) {
      return wrong(
          format("a decimal that %u digits behind the point cannot show", column.kind.scale));
    }
    *fitted = Value::decimal(*decimal);
  }
  if (value.is(ColumnType::array) && !is_array(value.as_array())) return wrong("no array");
  return Status();
}

Status TableRows::to_values(std::span<const Value> row) {
  if (row.size() != plan_->columns().size()) {
    return wrong_count(plan_->schema(), row.size(), plan_->columns().size(), "it");
  }
  for (size_t i = 0; i < row.size(); ++i) {
    const uint32_t place = plan_->columns()[i];
    VARVE_RETURN_IF_ERROR(fit(place, row[i], &new_[place]));
  }
  return Status();
}

Status TableRows::to_key_values(std::span<const Value> key) {
  const std::vector<KeyColumn>& columns = plan_->schema().primary_key;
  if (key.size() != columns.size()) {
    return wrong_count(plan_->schema(), key.size(), columns.size(), "its primary key");
  }
  for (size_t i = 0; i < key.size(); ++i) {
    VARVE_RETURN_IF_ERROR(fit(columns[i].place, key[i], &new_[columns[i].place]));
  }
  return Status();
}

Status TableRows::too_long(const char* of) const {
  return Status::invalid_argument(format("table %s: a key of %s is longer than %llu bytes",
                                         readable(plan_->schema().name).c_str(), of,
                                         static_cast<unsigned long long>(kKeySizeMax)));
}

Status TableRows::write_row_key() {
  return row_key_.write([&](KeyWriter* key) { plan_->append_row_key(new_, key); })
             ? Status()
             : too_long("the rows");
}

// -- calls --

Result<bool> TableRows::read_old() {
  VARVE_ASSIGN_OR_RETURN(std::optional<PinnedValue> found,
                         transaction_->get_for_update(row_key_.view(), {.keyspace = keyspace_}));
  if (!found) return false;
  old_bytes_ = std::move(*found);
  const std::optional<RowView> view = RowView::open(&plan_->layout(), old_bytes_.view());
  if (view && view->get_all(old_)) return true;
  return Status::corruption("table " + readable(plan_->schema().name) + ": the row with key " +
                            readable(row_key_.view()) + " is malformed");
}

Status TableRows::insert(std::span<const Value> row) {
  VARVE_RETURN_IF_ERROR(to_values(row));
  VARVE_RETURN_IF_ERROR(write_row_key());
  VARVE_ASSIGN_OR_RETURN(const bool exists, read_old());
  if (exists) {
    return Status::already_exists("table " + readable(plan_->schema().name) +
                                  ", primary key: there is a row with key " +
                                  readable(row_key_.view()));
  }
  return change(false, true);
}

Status TableRows::upsert(std::span<const Value> row) {
  VARVE_RETURN_IF_ERROR(to_values(row));
  VARVE_RETURN_IF_ERROR(write_row_key());
  VARVE_ASSIGN_OR_RETURN(const bool exists, read_old());
  return change(exists, true);
}

Result<bool> TableRows::update(std::span<const Value> key, std::span<const ColumnChange> changes) {
  VARVE_RETURN_IF_ERROR(to_key_values(key));
  VARVE_RETURN_IF_ERROR(write_row_key());
  VARVE_ASSIGN_OR_RETURN(const bool exists, read_old());
  if (!exists) return false;
  new_ = old_;
  for (const ColumnChange& each : changes) {
    if (each.column >= plan_->columns().size()) {
      return Status::invalid_argument(format("table %s: column %zu of %zu",
                                             readable(plan_->schema().name).c_str(), each.column,
                                             plan_->columns().size()));
    }
    const uint32_t place = plan_->columns()[each.column];
    for (const KeyColumn& column : plan_->schema().primary_key) {
      if (column.place == place) {
        return Status::invalid_argument("table " + readable(plan_->schema().name) + ", column " +
                                        readable(plan_->schema().columns[place].name) +
                                        ": it is of the primary key, which does not change");
      }
    }
    VARVE_RETURN_IF_ERROR(fit(place, each.value, &new_[place]));
  }
  VARVE_RETURN_IF_ERROR(change(true, true));
  return true;
}

Result<bool> TableRows::erase(std::span<const Value> key) {
  VARVE_RETURN_IF_ERROR(to_key_values(key));
  VARVE_RETURN_IF_ERROR(write_row_key());
  VARVE_ASSIGN_OR_RETURN(const bool exists, read_old());
  if (!exists) return false;
  VARVE_RETURN_IF_ERROR(change(true, false));
  return true;
}

Result<bool> TableRows::get(std::span<const Value> key, StoredRow* row) {
  VARVE_RETURN_IF_ERROR(to_key_values(key));
  VARVE_RETURN_IF_ERROR(write_row_key());
  VARVE_ASSIGN_OR_RETURN(std::optional<PinnedValue> found,
                         transaction_->get(row_key_.view(), {.keyspace = keyspace_}));
  if (!found) return false;
  row->plan_ = plan_;
  row->bytes_ = std::move(*found);
  row->view_ = RowView::open(&plan_->layout(), row->bytes_.view());
  if (row->view_) return true;
  return Status::corruption("table " + readable(plan_->schema().name) + ": the row with key " +
                            readable(row_key_.view()) + " is malformed");
}

// -- changes --

void TableRows::write_entry_value(const IndexPlan& index, std::span<const Value> values,
                                  std::string* value) {
  value->clear();
  if (!TablePlan::has_primary_key(index, values)) {
    // What the row's key has behind its prefix.
    KeyReader key(row_key_.view());
    for (int i = 0; i < 3; ++i) key.skip();
    append_sized(value, key.rest());
  }
  if (!index.covered) return;
  covered_.clear();
  for (const uint32_t place : index.schema->covered) covered_.push_back(values[place]);
  const size_t before = value->size();
  value->resize(before + index.covered->size_of(covered_));
  index.covered->write(covered_, value->data() + before);
}

Status TableRows::prepare_entry(const IndexPlan& index, bool was, bool is, Entry* entry) {
  entry->was = was;
  entry->is = is;
  const auto write = [&](std::span<const Value> values, KeyBuffer* key, std::string* value) {
    if (!key->write([&](KeyWriter* to) { plan_->append_entry_key(index, values, to); })) {
      return too_long(("index " + readable(index.schema->name)).c_str());
    }
    write_entry_value(index, values, value);
    return Status();
  };
  if (was) VARVE_RETURN_IF_ERROR(write(old_, &entry->old_key, &entry->old_value));
  if (is) VARVE_RETURN_IF_ERROR(write(new_, &entry->new_key, &entry->new_value));
  return Status();
}

Status TableRows::check_unique(const IndexPlan& index, const Entry& entry) {
  if (!entry.is || TablePlan::has_primary_key(index, new_)) return Status();
  if (entry.was && entry.old_key.view() == entry.new_key.view()) return Status();
  VARVE_ASSIGN_OR_RETURN(
      const std::optional<PinnedValue> found,
      transaction_->get_for_update(entry.new_key.view(), {.keyspace = keyspace_}));
  if (!found) return Status();
  return Status::already_exists("table " + readable(plan_->schema().name) + ", index " +
                                readable(index.schema->name) + ": there is a row with key " +
                                readable(entry.new_key.view()));
}

Status TableRows::change(bool was, bool is) {
  if (is) {
    row_.resize(plan_->layout().size_of(new_));
    plan_->layout().write(new_, row_.data());
  }
  for (size_t i = 0; i < entries_.size(); ++i) {
    VARVE_RETURN_IF_ERROR(prepare_entry(plan_->indexes()[i], was, is, &entries_[i]));
  }
  for (size_t i = 0; i < entries_.size(); ++i) {
    VARVE_RETURN_IF_ERROR(check_unique(plan_->indexes()[i], entries_[i]));
  }
  if (entries_.empty()) return write_all(is);
  // All of it or nothing.
  VARVE_ASSIGN_OR_RETURN(const Savepoint before, transaction_->set_savepoint());
  Status status = write_all(is);
  if (status.ok()) return transaction_->release(before);
  if (transaction_->is_open()) static_cast<void>(transaction_->rollback_to(before));
  return status;
}

Status TableRows::write_all(bool is) {
  const WriteOptions options{.keyspace = keyspace_};
  VARVE_RETURN_IF_ERROR(is ? transaction_->put(row_key_.view(), row_, options)
                           : transaction_->erase(row_key_.view(), options));
  for (const Entry& entry : entries_) {
    const bool moved = !entry.was || !entry.is || entry.old_key.view() != entry.new_key.view();
    if (entry.was && moved) {
      VARVE_RETURN_IF_ERROR(transaction_->erase(entry.old_key.view(), options));
    }
    if (entry.is && (moved || entry.old_value != entry.new_value)) {
      VARVE_RETURN_IF_ERROR(transaction_->put(entry.new_key.view(), entry.new_value, options));
    }
  }
  return Status();
}

}  // namespace varve
