#include "table/row_scanner.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"

namespace varve {

namespace {

Status refused() { return Status::out_of_memory("no memory for a scan of rows"); }

}  // namespace

RowScanner::RowScanner(RowPools* pools)
    : arguments_(&pools->filters),
      bounds_(pools),
      values_(&pools->rows),
      scratch_(&pools->filters),
      fetched_keys_(&pools->index_keys),
      fetched_rows_(&pools->rows) {}

Status RowScanner::prepare(std::shared_ptr<const TablePlan> table, const ScanDefinition& scan) {
  close();
  const TableSchema& schema = table->schema();
  VARVE_ASSIGN_OR_RETURN(FilterExpression filter, FilterExpression::compile(scan.filter, schema));
  std::vector<uint32_t> places;
  for (const std::string& name : scan.columns) {
    const std::optional<uint32_t> place = schema.find_column(name);
    if (!place) {
      return Status::invalid_argument("table " + readable(schema.name) + " has no column " +
                                      readable(name));
    }
    places.push_back(*place);
  }
  if (scan.columns.empty()) places.assign(table->columns().begin(), table->columns().end());
  if (!values_.resize(schema.columns.size())) return refused();
  filter_ = std::move(filter);
  places_ = std::move(places);
  plan_ = plan_scan(*table, filter_, places_);
  reverse_ = scan.reverse;
  limit_ = scan.limit;
  std::ranges::fill(values_, Value());
  table_ = std::move(table);
  return Status();
}

void RowScanner::close() {
  cursor_ = Cursor();
  row_ = PinnedValue();
  fetched_rows_.keep_at_most(RowPools::kKeptBytesMax);
  fetched_keys_.keep_at_most(RowPools::kKeptBytesMax);
  bounds_.clear();
  arguments_.keep_at_most(RowPools::kKeptBytesMax);
  scratch_.keep_at_most(RowPools::kKeptBytesMax);
  done_ = true;
}

Status RowScanner::open(const RowSource& source, std::span<const Value> arguments) {
  close();
  source_ = source;
  status_ = Status();
  fetch_status_ = Status();
  fetched_count_ = fetched_at_ = 0;
  fetch_size_ = 1;
  opened_changes_ = changes();
  started_ = stands_ = false;
  rows_ = 0;
  literals_ = filter_.literals();
  if (filter_.argument_count() > 0 || !arguments.empty()) {
    VARVE_RETURN_IF_ERROR(filter_.bind(arguments, &arguments_));
    literals_ = arguments_;
  }
  if (!bounds_.find(*table_, filter_, plan_, literals_)) return refused();
  if (bounds_.ranges().empty()) return Status();
  ScanOptions options;
  options.keyspace = source_.rows;
  options.lower = bounds_.ranges().front().lower;
  options.upper = bounds_.ranges().back().upper;
  options.cancellation = source_.cancellation;
  if (source_.transaction == nullptr) options.snapshot = source_.snapshot;
  VARVE_ASSIGN_OR_RETURN(cursor_, source_.transaction != nullptr
                                      ? source_.transaction->scan(options)
                                      : source_.database->scan(options));
  done_ = false;
  return Status();
}

bool RowScanner::next() {
  if (done_) return false;
  bool more = true;
  while (rows_ < limit_ && more && status_.ok()) {
    if (load(&more)) {
      ++rows_;
      return true;
    }
  }
  done_ = true;
  return false;
}

// Of more than one range (an `in`) it goes from one to the next by a seek.
void RowScanner::to_range(size_t range) {
  range_ = range;
  const ScanBounds::Range& bounds = bounds_.ranges()[range];
  if (reverse_) {
    cursor_.seek_for_prev(bounds.upper);
    // The bound itself does not belong to it.
    if (cursor_.valid() && cursor_.key() == bounds.upper) cursor_.prev();
  } else {
    cursor_.seek(bounds.lower);
  }
}

bool RowScanner::step() {
  const std::span<const ScanBounds::Range> ranges = bounds_.ranges();
  if (std::exchange(stands_, false)) {
    // There already.
  } else if (!std::exchange(started_, true)) {
    range_ = reverse_ ? ranges.size() - 1 : 0;
    reverse_ ? cursor_.seek_to_last() : cursor_.seek_to_first();
  } else {
    reverse_ ? cursor_.prev() : cursor_.next();
  }
  while (cursor_.valid() && ranges.size() > 1) {
    const std::string_view key = cursor_.key();
    if (key >= ranges[range_].lower && key < ranges[range_].upper) break;
    if (range_ == (reverse_ ? 0 : ranges.size() - 1)) return false;
    to_range(reverse_ ? range_ - 1 : range_ + 1);
  }
  if (!cursor_.valid()) status_ = cursor_.status();
  return cursor_.valid();
}

// -- entries --

bool RowScanner::fail_malformed(const char* what) {
  status_ = Status::corruption("table " + readable(table_->schema().name) + ": the " + what +
                               " with key " + readable(entry_) + " is malformed");
  return false;
}

bool RowScanner::load(bool* more) {
  if (plan_.index != nullptr && !plan_.covering) return load_fetched(more);
  *more = step();
  if (!*more) return false;
  entry_ = cursor_.key();
  return plan_.index == nullptr ? load_row(cursor_.value()) : load_entry();
}

bool RowScanner::load_fetched(bool* more) {
  if (fetched_at_ < fetched_count_ && fetched_changes_ != changes()) rewind();
  if (fetched_at_ == fetched_count_) fetch();
  *more = fetched_at_ < fetched_count_;
  if (!*more) return false;
  const Fetched& fetched = fetched_[fetched_at_++];
  entry_ = entry_key(fetched);
  if (fetched.row == Fetched::Row::fetched) {
    return load_row({fetched_rows_.data() + fetched.row_offset, fetched.row_size});
  }
  if (fetched.row == Fetched::Row::left_out && read_row(fetched)) return load_row(row_.view());
  if (status_.ok() && is_missing()) {
    status_ = Status::corruption("table " + readable(table_->schema().name) + ", index " +
                                 readable(plan_.index->schema->name) +
                                 ": there is no row for the entry with key " + readable(entry_));
  }
  return false;
}

// The transaction wrote since the rows were fetched, or ended: back to the first that was not
// shown.
void RowScanner::rewind() {
  const Fetched& next = fetched_[fetched_at_];
  range_ = next.range;
  stands_ = true;
  fetch_status_ = Status();  // it will be met again
  reverse_ ? cursor_.seek_for_prev(entry_key(next)) : cursor_.seek(entry_key(next));
  fetched_at_ = fetched_count_;
}

// The next ones; none: the end, or status_.
void RowScanner::fetch() {
  fetched_count_ = fetched_at_ = 0;
  fetched_keys_.clear();
  status_ = std::exchange(fetch_status_, Status());
  if (!status_.ok()) return;
  const size_t wanted = std::min<uint64_t>(
      fetch_size_, plan_.leftover.empty() ? limit_ - rows_ : uint64_t{kFetchedMax});
  fetch_size_ = std::min(2 * fetch_size_, kFetchedMax);
  fetched_changes_ = changes();
  while (fetched_count_ < wanted && step()) {
    if (!copy_keys(&fetched_[fetched_count_])) break;
    ++fetched_count_;
  }
  // What came before it is told before.
  if (fetched_count_ == 0) return;
  fetch_status_ = std::exchange(status_, Status());
  if (!fetch_rows()) fetched_count_ = 0;
}

bool RowScanner::copy_keys(Fetched* fetched) {
  entry_ = cursor_.key();
  const std::optional<std::string_view> primary_key =
      TablePlan::primary_key_of_entry(*plan_.index, entry_, cursor_.value());
  if (!primary_key) return fail_malformed("entry");
  const std::string_view row_prefix = table_->row_prefix();
  const size_t offset = fetched_keys_.size();
  *fetched = {.key_offset = offset,
              .entry_key_size = entry_.size(),
              .row_key_size = row_prefix.size() + primary_key->size(),
              .range = range_};
  if (!fetched_keys_.resize(offset + fetched->entry_key_size + fetched->row_key_size)) {
    status_ = refused();
    return false;
  }
  char* const to = fetched_keys_.data() + offset;
  copy_bytes(to, entry_);
  copy_bytes(to + entry_.size(), row_prefix);
  copy_bytes(to + entry_.size() + row_prefix.size(), *primary_key);
  return true;
}

ReadOptions RowScanner::read_options() const {
  ReadOptions options;
  options.keyspace = source_.rows;
  options.cancellation = source_.cancellation;
  if (source_.transaction == nullptr) options.snapshot = source_.snapshot;
  return options;
}

bool RowScanner::fetch_rows() {
  // More room where there was not enough; without memory for that, they are read one by one.
  const size_t room = std::clamp(fetched_rows_.capacity() + 2 * std::exchange(left_out_bytes_, 0),
                                 kFetchedBytesMin, kFetchedBytesMax);
  fetched_rows_.clear();
  static_cast<void>(fetched_rows_.reserve(room));
  std::string_view row_keys[kFetchedMax];
  for (size_t i = 0; i < fetched_count_; ++i) row_keys[i] = row_key(fetched_[i]);
  const std::span<const std::string_view> keys(row_keys, fetched_count_);
  status_ = source_.transaction != nullptr ? source_.transaction->visit(keys, read_options(), this)
                                           : source_.database->visit(keys, read_options(), this);
  return status_.ok();
}

void RowScanner::visit(size_t i, std::string_view row) {
  Fetched& fetched = fetched_[i];
  if (row.size() > fetched_rows_.capacity() - fetched_rows_.size()) {
    left_out_bytes_ += row.size();
    fetched.row = Fetched::Row::left_out;
    return;
  }
  fetched.row_offset = fetched_rows_.size();
  fetched.row_size = row.size();
  fetched.row = fetched_rows_.append(row) ? Fetched::Row::fetched : Fetched::Row::left_out;
}

bool RowScanner::read_row(const Fetched& fetched) {
  Result<std::optional<PinnedValue>> row =
      source_.transaction != nullptr ? source_.transaction->get(row_key(fetched), read_options())
                                     : source_.database->get(row_key(fetched), read_options());
  if (!row.ok()) {
    status_ = std::move(row).status();
    return false;
  }
  if (row->has_value()) row_ = std::move(**row);
  return row->has_value();
}

bool RowScanner::is_missing() {
  if (opened_changes_ == changes()) return true;
  Result<std::optional<PinnedValue>> entry =
      source_.transaction->get(entry_, {.keyspace = source_.rows});
  if (entry.ok()) return entry->has_value();
  status_ = std::move(entry).status();
  return false;
}

bool RowScanner::load_row(std::string_view row) {
  const std::optional<RowView> view = RowView::open(&table_->layout(), row);
  if (!view) return fail_malformed("row");
  if (opened_changes_ != changes()) {
    // It may be another one than the entry promised.
    Truth truth = Truth::no;
    if (!filter_.evaluate(literals_, *view, &truth)) return fail_malformed("row");
    if (truth != Truth::yes) return false;
  }
  for (const uint32_t i : plan_.leftover) {
    Truth truth = Truth::no;
    if (!filter_.evaluate(filter_.conjuncts()[i], literals_, *view, &truth)) {
      return fail_malformed("row");
    }
    if (truth != Truth::yes) return false;
  }
  return view->get(places_, values_) || fail_malformed("row");
}

bool RowScanner::load_entry() {
  const TableSchema& schema = table_->schema();
  const IndexSchema& index = *plan_.index->schema;
  std::string_view covered = cursor_.value();
  if (!scratch_.resize(entry_.size() + covered.size())) {
    status_ = refused();
    return false;
  }
  // Bounds begin with the prefix, and so does what lies between them.
  VARVE_DCHECK(entry_.starts_with(plan_.index->prefix));
  KeyReader key(entry_.substr(plan_.index->prefix.size()));
  bool ok = true;
  std::span<char> scratch = scratch_.room();  // as much for each value as it takes encoded
  const auto read = [&](KeyReader* from, const std::vector<KeyColumn>& columns) {
    for (const KeyColumn& column : columns) {
      const size_t before = from->rest().size();
      ok = ok && read_value(from, schema.columns[column.place].kind, column.order, scratch,
                            &values_[column.place]);
      scratch = scratch.subspan(before - from->rest().size());
    }
  };
  read(&key, index.columns);
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
  if (!ok) return fail_malformed("entry");
  for (const uint32_t i : plan_.leftover) {
    if (filter_.evaluate(filter_.conjuncts()[i], literals_, values_) != Truth::yes) return false;
  }
  return true;
}

}  // namespace varve
