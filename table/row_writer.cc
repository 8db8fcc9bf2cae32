#include "table/row_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"

namespace varve {

namespace {

// Most keys are no longer.
constexpr size_t kKeyRoom = 128;

Status refused() { return Status::out_of_memory("no memory for a row"); }

Status wrong_count(const TableSchema& table, size_t given, size_t expected, const char* of) {
  return Status::invalid_argument(format("table %s: %zu values, %s has %zu",
                                         readable(table.name).c_str(), given, of, expected));
}

}  // namespace

RowWriter::Entry::Entry(RowPools* pools)
    : old_key(&pools->index_keys),
      new_key(&pools->index_keys),
      old_value(&pools->rows),
      new_value(&pools->rows) {}

RowWriter::RowWriter(RowPools* pools)
    : pools_(pools),
      old_(&pools->rows),
      new_(&pools->rows),
      covered_(&pools->rows),
      row_key_(&pools->table_keys),
      row_(&pools->rows),
      entries_(&pools->rows),
      keys_(&pools->table_keys),
      key_ends_(&pools->table_keys),
      key_views_(&pools->table_keys),
      found_(&pools->rows) {}

template <typename Write, typename TooLong>
Status RowWriter::write_key(PooledBytes* key, const Write& write, const TooLong& too_long) {
  for (size_t room = std::max(key->capacity(), kKeyRoom);; room *= 2) {
    if (!key->reserve(room)) return refused();
    KeyWriter writer(key->room());
    write(&writer);
    key->set_size(writer.size());
    if (writer.ok() && writer.size() <= kKeySizeMax) return Status();
    if (writer.ok() || room > 2 * kKeySizeMax) return too_long();
  }
}

Status RowWriter::attach(Transaction* transaction, const Catalog& catalog, uint32_t tenant,
                         uint32_t table, std::shared_ptr<const TablePlan> known) {
  VARVE_ASSIGN_OR_RETURN(const PinnedValue description,
                         catalog.description_for_update(transaction, tenant, table));
  if (known == nullptr || known->description() != description.view()) {
    VARVE_ASSIGN_OR_RETURN(known, TablePlan::make(description.view()));
  }
  const size_t places = known->layout().places();
  const size_t entries = std::max(entries_.size(), known->indexes().size());
  if (!old_.resize(places) || !new_.resize(places) || !entries_.resize(entries, pools_)) {
    return refused();
  }
  transaction_ = transaction;
  keyspace_ = catalog.rows();
  plan_ = std::move(known);
  return Status();
}

void RowWriter::detach() {
  constexpr size_t kKept = RowPools::kKeptBytesMax;
  transaction_ = nullptr;
  old_bytes_ = PinnedValue();
  found_.clear();
  row_key_.keep_at_most(kKept);
  row_.keep_at_most(kKept);
  for (Entry& entry : entries_) {
    for (PooledBytes* each : {&entry.old_key, &entry.new_key, &entry.old_value, &entry.new_value}) {
      each->keep_at_most(kKept);
    }
  }
  keys_.keep_at_most(kKept);
  key_ends_.keep_at_most(kKept);
  key_views_.keep_at_most(kKept);
  found_.keep_at_most(kKept);
}

// -- values --

Status RowWriter::fit(size_t place, const Value& value, Value* fitted) const {
  const ColumnSchema& column = plan_->schema().columns[place];
  const auto wrong = [&](const std::string& what) {
    return Status::invalid_argument("table " + readable(plan_->schema().name) + ", column " +
                                    readable(column.name) + ": " + what);
  };
  if (value.is_null()) {
    if (!column.nullable) return wrong("null, and it may not be");
  } else if (value.type() != column.kind.type) {
    return wrong(format("a value of type %s, it is of type %s", column_type_name(value.type()),
                        column_type_name(column.kind.type)));
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

Status RowWriter::to_values(std::span<const Value> row) {
  if (row.size() != plan_->columns().size()) {
    return wrong_count(plan_->schema(), row.size(), plan_->columns().size(), "it");
  }
  // Those of columns that were dropped are null.
  if (row.size() < new_.size()) std::fill(new_.begin(), new_.end(), Value());
  for (size_t i = 0; i < row.size(); ++i) {
    const uint32_t place = plan_->columns()[i];
    VARVE_RETURN_IF_ERROR(fit(place, row[i], &new_[place]));
  }
  return Status();
}

Status RowWriter::to_key_values(std::span<const Value> key) {
  const std::vector<KeyColumn>& columns = plan_->schema().primary_key;
  if (key.size() != columns.size()) {
    return wrong_count(plan_->schema(), key.size(), columns.size(), "its primary key");
  }
  for (size_t i = 0; i < key.size(); ++i) {
    VARVE_RETURN_IF_ERROR(fit(columns[i].place, key[i], &new_[columns[i].place]));
  }
  return Status();
}

Status RowWriter::too_long(const char* of) const {
  return Status::invalid_argument(format("table %s: a key of %s is longer than %llu bytes",
                                         readable(plan_->schema().name).c_str(), of,
                                         static_cast<unsigned long long>(kKeySizeMax)));
}

Status RowWriter::malformed(std::string_view key) const {
  return Status::corruption("table " + readable(plan_->schema().name) + ": the row with key " +
                            readable(key) + " is malformed");
}

Status RowWriter::write_row_key(PooledBytes* key) {
  return write_key(
      key, [&](KeyWriter* to) { plan_->append_row_key(new_, to); },
      [&] { return too_long("the rows"); });
}

// -- calls --

Result<bool> RowWriter::read_old() {
  VARVE_ASSIGN_OR_RETURN(std::optional<PinnedValue> found,
                         transaction_->get_for_update(row_key_.view(), {.keyspace = keyspace_}));
  if (!found) return false;
  old_bytes_ = std::move(*found);
  const std::optional<RowView> view = RowView::open(&plan_->layout(), old_bytes_.view());
  if (view && view->get_all(old_)) return true;
  return malformed(row_key_.view());
}

Status RowWriter::insert(std::span<const Value> row) {
  VARVE_RETURN_IF_ERROR(to_values(row));
  VARVE_RETURN_IF_ERROR(write_row_key(&row_key_));
  VARVE_ASSIGN_OR_RETURN(const bool exists, read_old());
  if (exists) {
    return Status::already_exists("table " + readable(plan_->schema().name) +
                                  ", primary key: there is a row with key " +
                                  readable(row_key_.view()));
  }
  return change(false, true);
}

Status RowWriter::upsert(std::span<const Value> row) {
  VARVE_RETURN_IF_ERROR(to_values(row));
  VARVE_RETURN_IF_ERROR(write_row_key(&row_key_));
  VARVE_ASSIGN_OR_RETURN(const bool exists, read_old());
  return change(exists, true);
}

Result<bool> RowWriter::update(std::span<const Value> row) {
  VARVE_RETURN_IF_ERROR(to_values(row));
  VARVE_RETURN_IF_ERROR(write_row_key(&row_key_));
  VARVE_ASSIGN_OR_RETURN(const bool exists, read_old());
  if (!exists) return false;
  VARVE_RETURN_IF_ERROR(change(true, true));
  return true;
}

Result<bool> RowWriter::update(std::span<const Value> key, std::span<const ColumnChange> changes) {
  VARVE_RETURN_IF_ERROR(to_key_values(key));
  VARVE_RETURN_IF_ERROR(write_row_key(&row_key_));
  VARVE_ASSIGN_OR_RETURN(const bool exists, read_old());
  if (!exists) return false;
  if (!new_.assign(old_)) return refused();
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

Result<bool> RowWriter::erase(std::span<const Value> key) {
  VARVE_RETURN_IF_ERROR(to_key_values(key));
  VARVE_RETURN_IF_ERROR(write_row_key(&row_key_));
  VARVE_ASSIGN_OR_RETURN(const bool exists, read_old());
  if (!exists) return false;
  VARVE_RETURN_IF_ERROR(change(true, false));
  return true;
}

Status RowWriter::set_row(std::string_view key, PinnedValue bytes, Row* row) const {
  row->bytes_ = std::move(bytes);
  row->view_ = RowView::open(&plan_->layout(), row->bytes_.view());
  if (row->plan_ != plan_) row->plan_ = plan_;
  return row->view_ ? Status() : malformed(key);
}

Result<bool> RowWriter::read(std::span<const Value> key, bool for_update, Row* row) {
  VARVE_RETURN_IF_ERROR(to_key_values(key));
  VARVE_RETURN_IF_ERROR(write_row_key(&row_key_));
  const ReadOptions options{.keyspace = keyspace_};
  VARVE_ASSIGN_OR_RETURN(std::optional<PinnedValue> found,
                         for_update ? transaction_->get_for_update(row_key_.view(), options)
                                    : transaction_->get(row_key_.view(), options));
  if (!found) return false;
  VARVE_RETURN_IF_ERROR(set_row(row_key_.view(), std::move(*found), row));
  return true;
}

// -- several --

template <typename Body>
Status RowWriter::all_or_nothing(const Body& body) {
  VARVE_ASSIGN_OR_RETURN(const Savepoint before, transaction_->set_savepoint());
  Status status = body();
  if (status.ok()) return transaction_->release(before);
  if (transaction_->is_open()) static_cast<void>(transaction_->rollback_to(before));
  return status;
}

template <typename Body>
Status RowWriter::for_each(std::span<const Value> values, size_t size, const Body& body) {
  if (values.size() % size != 0) {
    return Status::invalid_argument(format("table %s: %zu values are not a multiple of %zu",
                                           readable(plan_->schema().name).c_str(), values.size(),
                                           size));
  }
  return all_or_nothing([&] {
    for (; !values.empty(); values = values.subspan(size)) {
      VARVE_RETURN_IF_ERROR(body(values.first(size)));
    }
    return Status();
  });
}

Status RowWriter::insert_all(std::span<const Value> rows) {
  return for_each(rows, plan_->columns().size(),
                  [&](std::span<const Value> row) { return insert(row); });
}

Status RowWriter::upsert_all(std::span<const Value> rows) {
  return for_each(rows, plan_->columns().size(),
                  [&](std::span<const Value> row) { return upsert(row); });
}

template <typename Body>
Result<size_t> RowWriter::count_each(std::span<const Value> values, size_t size, const Body& body) {
  size_t count = 0;
  const auto counted = [&](std::span<const Value> part) {
    VARVE_ASSIGN_OR_RETURN(const bool was_there, body(part));
    count += was_there ? 1 : 0;
    return Status();
  };
  VARVE_RETURN_IF_ERROR(for_each(values, size, counted));
  return count;
}

Result<size_t> RowWriter::update_all(std::span<const Value> rows) {
  return count_each(rows, plan_->columns().size(),
                    [&](std::span<const Value> row) { return update(row); });
}

Result<size_t> RowWriter::update_all(std::span<const Value> keys,
                                     std::span<const ColumnChange> changes) {
  const size_t size = plan_->schema().primary_key.size();
  const size_t count = keys.size() / size;
  if (count == 0 ? !changes.empty() : changes.size() % count != 0) {
    return Status::invalid_argument(format("table %s: %zu changes are not as many for each of %zu",
                                           readable(plan_->schema().name).c_str(), changes.size(),
                                           count));
  }
  const size_t each = count == 0 ? 0 : changes.size() / count;
  return count_each(keys, size, [&](std::span<const Value> key) {
    const auto own = changes.first(each);
    changes = changes.subspan(each);
    return update(key, own);
  });
}

Result<size_t> RowWriter::erase_all(std::span<const Value> keys) {
  return count_each(keys, plan_->schema().primary_key.size(),
                    [&](std::span<const Value> key) { return erase(key); });
}

Status RowWriter::get_all(std::span<const Value> keys, std::span<Row> rows, std::span<bool> found) {
  const size_t size = plan_->schema().primary_key.size();
  if (keys.size() != rows.size() * size || found.size() != rows.size()) {
    return Status::invalid_argument(
        format("table %s: %zu values of keys and %zu answers for %zu rows",
               readable(plan_->schema().name).c_str(), keys.size(), found.size(), rows.size()));
  }
  if (!key_ends_.resize(rows.size()) || !key_views_.resize(rows.size()) ||
      !found_.resize(rows.size())) {
    return refused();
  }
  keys_.clear();
  for (size_t i = 0; i < rows.size(); ++i) {
    VARVE_RETURN_IF_ERROR(to_key_values(keys.subspan(i * size, size)));
    VARVE_RETURN_IF_ERROR(write_row_key(&row_key_));
    if (!keys_.append(row_key_.view())) return refused();
    key_ends_[i] = keys_.size();
  }
  for (size_t i = 0, begin = 0; i < rows.size(); begin = key_ends_[i++]) {
    key_views_[i] = keys_.view().substr(begin, key_ends_[i] - begin);
  }
  VARVE_RETURN_IF_ERROR(transaction_->multi_get(key_views_, found_, {.keyspace = keyspace_}));
  for (size_t i = 0; i < rows.size(); ++i) {
    found[i] = found_[i].has_value();
    if (!found[i]) continue;
    VARVE_RETURN_IF_ERROR(set_row(key_views_[i], std::move(*found_[i]), &rows[i]));
    found_[i].reset();
  }
  return Status();
}

// -- changes --

Status RowWriter::prepare_entry(const IndexPlan& index, bool was, bool is, Entry* entry) {
  entry->was = was = was && TablePlan::has_entry(index, old_);
  entry->is = is = is && TablePlan::has_entry(index, new_);
  if (was) VARVE_RETURN_IF_ERROR(write_entry(index, old_, &entry->old_key, &entry->old_value));
  if (is) VARVE_RETURN_IF_ERROR(write_entry(index, new_, &entry->new_key, &entry->new_value));
  return Status();
}

Status RowWriter::write_entry(const IndexPlan& index, std::span<const Value> values,
                              PooledBytes* key, PooledBytes* value) {
  VARVE_RETURN_IF_ERROR(write_key(
      key, [&](KeyWriter* to) { plan_->append_entry_key(index, values, to); },
      [&] { return too_long(("index " + readable(index.schema->name)).c_str()); }));
  value->clear();
  return plan_->append_entry_value(index, values, row_key_.view(), &covered_, value) ? Status()
                                                                                     : refused();
}

Status RowWriter::look_for_old_entry(const IndexPlan& index, Entry* entry) {
  if (!entry->was || index.schema->state == IndexState::ready) return Status();
  if (TablePlan::has_primary_key(index, old_)) return Status();
  VARVE_ASSIGN_OR_RETURN(
      const std::optional<PinnedValue> found,
      transaction_->get_for_update(entry->old_key.view(), {.keyspace = keyspace_}));
  if (found && found->view() == entry->old_value.view()) return Status();
  entry->was = false;
  // A row that keeps its key may change; that two have it is for the build to find.
  if (found && entry->is && entry->old_key.view() == entry->new_key.view()) entry->is = false;
  return Status();
}

Status RowWriter::check_unique(const IndexPlan& index, const Entry& entry) {
  if (!entry.is || TablePlan::has_primary_key(index, new_)) return Status();
  if (entry.was && entry.old_key.view() == entry.new_key.view()) return Status();
  VARVE_ASSIGN_OR_RETURN(
      const std::optional<PinnedValue> found,
      transaction_->get_for_update(entry.new_key.view(), {.keyspace = keyspace_}));
  return found ? taken(index, entry) : Status();
}

Status RowWriter::taken(const IndexPlan& index, const Entry& entry) const {
  return Status::already_exists("table " + readable(plan_->schema().name) + ", index " +
                                readable(index.schema->name) + ": there is a row with key " +
                                readable(entry.new_key.view()));
}

Status RowWriter::add_entry(std::string_view row_key, uint32_t index) {
  const std::span<const IndexPlan> indexes = plan_->indexes();
  const auto plan = std::find_if(indexes.begin(), indexes.end(), [index](const IndexPlan& each) {
    return each.schema->id == index;
  });
  if (plan == indexes.end()) {
    return Status::not_found(
        format("table %s has no index %u any more", readable(plan_->schema().name).c_str(), index));
  }
  if (!row_key_.assign(row_key)) return refused();
  VARVE_ASSIGN_OR_RETURN(const bool exists, read_old());
  if (!exists) return Status();
  if (!new_.assign(old_)) return refused();
  Entry& entry = entries_[0];
  VARVE_RETURN_IF_ERROR(prepare_entry(*plan, /*was=*/false, /*is=*/true, &entry));
  if (!entry.is) return Status();
  const WriteOptions options{.keyspace = keyspace_};
  if (!TablePlan::has_primary_key(*plan, new_)) {
    VARVE_ASSIGN_OR_RETURN(
        const std::optional<PinnedValue> found,
        transaction_->get_for_update(entry.new_key.view(), {.keyspace = keyspace_}));
    // Of another row, unless a writer, or an earlier try, was here before.
    if (found && found->view() != entry.new_value.view()) return taken(*plan, entry);
    if (found) return Status();
  }
  return transaction_->put(entry.new_key.view(), entry.new_value.view(), options);
}

Status RowWriter::change(bool was, bool is) {
  if (is) {
    if (!row_.resize(plan_->layout().size_of(new_))) return refused();
    plan_->layout().write(new_, row_.data());
  }
  const std::span<const IndexPlan> indexes = plan_->indexes();
  for (size_t i = 0; i < indexes.size(); ++i) {
    VARVE_RETURN_IF_ERROR(prepare_entry(indexes[i], was, is, &entries_[i]));
    VARVE_RETURN_IF_ERROR(look_for_old_entry(indexes[i], &entries_[i]));
  }
  for (size_t i = 0; i < indexes.size(); ++i) {
    VARVE_RETURN_IF_ERROR(check_unique(indexes[i], entries_[i]));
  }
  if (indexes.empty()) return write_all(is);
  return all_or_nothing([&] { return write_all(is); });
}

Status RowWriter::write_all(bool is) {
  const WriteOptions options{.keyspace = keyspace_};
  VARVE_RETURN_IF_ERROR(is ? transaction_->put(row_key_.view(), row_.view(), options)
                           : transaction_->erase(row_key_.view(), options));
  for (const Entry& entry : std::span(entries_).first(plan_->indexes().size())) {
    const bool moved = !entry.was || !entry.is || entry.old_key.view() != entry.new_key.view();
    if (entry.was && moved) {
      VARVE_RETURN_IF_ERROR(transaction_->erase(entry.old_key.view(), options));
    }
    if (entry.is && (moved || entry.old_value.view() != entry.new_value.view())) {
      VARVE_RETURN_IF_ERROR(
          transaction_->put(entry.new_key.view(), entry.new_value.view(), options));
    }
  }
  return Status();
}

}  // namespace varve
