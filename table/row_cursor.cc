#include "table/row_cursor.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"

namespace varve {

Status RowCursor::reset(const RowSource& source, RowScan scan) {
  cursor_ = Cursor();
  row_ = PinnedValue();
  source_ = source;
  scan_ = std::move(scan);
  status_ = Status();
  started_ = false;
  done_ = true;
  rows_ = 0;
  if (source_.transaction == nullptr && source_.snapshot == nullptr) {
    return Status::invalid_argument("a scan reads from a transaction or a snapshot");
  }
  const TablePlan& table = *scan_.table;
  places_.clear();
  for (const size_t column : scan_.columns) {
    if (column >= table.columns().size()) {
      return Status::invalid_argument(format("table %s: column %zu of %zu",
                                             readable(table.schema().name).c_str(), column,
                                             table.columns().size()));
    }
    places_.push_back(table.columns()[column]);
  }
  plan_ = plan_scan(table, *scan_.filter, places_);
  wanted_ = places_;
  for (const FilterExpression::Conjunct& conjunct : plan_.leftover) {
    for (const uint32_t place : scan_.filter->columns_of(conjunct)) wanted_.push_back(place);
  }
  std::sort(wanted_.begin(), wanted_.end());
  wanted_.erase(std::unique(wanted_.begin(), wanted_.end()), wanted_.end());
  values_.assign(table.layout().places(), Value());
  scratch_.resize(values_.size());
  if (plan_.empty) return Status();
  ScanOptions options;
  options.keyspace = source_.rows;
  options.lower = plan_.lower;
  options.upper = plan_.upper;
  options.cancellation = source_.cancellation;
  if (source_.transaction == nullptr) options.snapshot = source_.snapshot;
  VARVE_ASSIGN_OR_RETURN(cursor_, source_.transaction != nullptr
                                      ? source_.transaction->scan(options)
                                      : source_.database->scan(options));
  done_ = false;
  return Status();
}

bool RowCursor::next() {
  if (done_ || rows_ == scan_.limit) return false;
  for (;;) {
    if (!std::exchange(started_, true)) {
      scan_.reverse ? cursor_.seek_to_last() : cursor_.seek_to_first();
    } else {
      scan_.reverse ? cursor_.prev() : cursor_.next();
    }
    done_ = !cursor_.valid();
    status_ = done_ ? cursor_.status() : load();
    if (done_ || !status_.ok()) {
      done_ = true;
      return false;
    }
    const bool passes =
        std::all_of(plan_.leftover.begin(), plan_.leftover.end(),
                    [&](const FilterExpression::Conjunct& conjunct) {
                      return scan_.filter->evaluate(conjunct, values_) == Truth::yes;
                    });
    if (!passes) continue;
    ++rows_;
    return true;
  }
}

Status RowCursor::malformed(const char* what) const {
  return Status::corruption("table " + readable(scan_.table->schema().name) + ": the " + what +
                            " with key " + readable(cursor_.key()) + " is malformed");
}

Status RowCursor::load() {
  if (plan_.index == nullptr) return load_row(cursor_.value());
  if (plan_.covering) return load_entry();
  VARVE_RETURN_IF_ERROR(write_row_key());
  ReadOptions options;
  options.keyspace = source_.rows;
  options.cancellation = source_.cancellation;
  if (source_.transaction == nullptr) options.snapshot = source_.snapshot;
  VARVE_ASSIGN_OR_RETURN(std::optional<PinnedValue> row,
                         source_.transaction != nullptr
                             ? source_.transaction->get(row_key_, options)
                             : source_.database->get(row_key_, options));
  if (!row) {
    return Status::corruption("table " + readable(scan_.table->schema().name) + ", index " +
                              readable(plan_.index->schema->name) +
                              ": there is no row for the entry with key " +
                              readable(cursor_.key()));
  }
  row_ = std::move(*row);
  return load_row(row_.view());
}

Status RowCursor::load_row(std::string_view row) {
  const std::optional<RowView> view = RowView::open(&scan_.table->layout(), row);
  if (!view) return malformed("row");
  for (const uint32_t place : wanted_) {
    if (!view->get(place, &values_[place])) return malformed("row");
  }
  return Status();
}

Status RowCursor::write_row_key() {
  KeyReader key(cursor_.key());
  bool ok = key.skip() && key.skip() && key.skip();  // the prefix
  bool has_null = false;
  for (const KeyColumn& column : plan_.index->schema->columns) {
    has_null |= key.next_type(column.order) == KeyValueType::null;
    ok = ok && key.skip(column.order);
  }
  std::string_view primary_key = key.rest();
  if (plan_.index->schema->unique && !has_null) {
    Decoder value(cursor_.value());
    primary_key = value.sized();
    ok = ok && value.ok();
  }
  if (!ok) return malformed("entry");
  const TableSchema& schema = scan_.table->schema();
  char prefix[kTableKeySizeMax];
  KeyWriter writer(prefix);
  append_prefix({.tenant = schema.tenant, .table = schema.id, .index = 0}, &writer);
  row_key_.assign(writer.key()).append(primary_key);
  return Status();
}

Status RowCursor::load_entry() {
  const TableSchema& schema = scan_.table->schema();
  const IndexSchema& index = *plan_.index->schema;
  KeyReader key(cursor_.key());
  bool ok = key.skip() && key.skip() && key.skip();  // the prefix
  const auto read = [&](KeyReader* from, const std::vector<KeyColumn>& columns) {
    for (const KeyColumn& column : columns) {
      ok = ok && read_value(from, schema.columns[column.place].kind, column.order,
                            &scratch_[column.place], &values_[column.place]);
    }
  };
  read(&key, index.columns);
  std::string_view covered = cursor_.value();
  if (!TablePlan::has_primary_key(*plan_.index, values_)) {
    Decoder value(covered);
    KeyReader primary_key(value.sized());
    ok = ok && value.ok();
    read(&primary_key, schema.primary_key);
    covered = value.rest();
  } else {
    read(&key, schema.primary_key);
  }
  if (ok && plan_.index->covered) {
    const std::optional<RowView> view = RowView::open(&*plan_.index->covered, covered);
    ok = view.has_value();
    for (size_t i = 0; ok && i < index.covered.size(); ++i) {
      ok = view->get(i, &values_[index.covered[i]]);
    }
  }
  return ok ? Status() : malformed("entry");
}

}  // namespace varve
