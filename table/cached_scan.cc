#include "table/cached_scan.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/cancellation.h"
#include "base/coding.h"
#include "base/hash.h"
#include "table/key_range.h"

namespace varve {

namespace {

constexpr size_t kNotedMin = 512;

}  // namespace

void CachedScan::prepare(ScanCache* cache, const RowScanner& scanner, const ScanDefinition& scan) {
  close();
  // A layout has so many places.
  cache_ = scan.cached && scanner.columns() <= kRowPlacesMax ? cache : nullptr;
  if (cache_ == nullptr) return;
  const TableSchema& schema = scanner.table()->schema();
  fetches_rows_ = scanner.fetches_rows();
  limit_ = scan.limit;
  row_prefix_ = encoded_prefix({.tenant = schema.tenant, .table = schema.id, .index = 0});
  std::vector<RowPlace> places;
  question_.clear();
  for (const uint64_t number :
       {uint64_t{schema.tenant}, uint64_t{schema.id}, uint64_t{schema.version}, scan.limit,
        uint64_t{scan.reverse}, uint64_t{scanner.columns()}}) {
    append_varint(&question_, number);
  }
  for (size_t i = 0; i < scanner.columns(); ++i) {
    places.push_back({.kind = scanner.column(i).kind});
    append_sized(&question_, scanner.column(i).name);
  }
  append_sized(&question_, scan.filter);
  question_prefix_ = question_.size();
  layout_.emplace(places);
  values_.assign(places.size(), Value());
}

// Different values come to different bytes. False: they are too long.
bool CachedScan::append_arguments(std::span<const Value> arguments) {
  question_.resize(question_prefix_);
  const size_t size_max = cache_->question_size_max();
  for (const Value& value : arguments) {
    if (question_.size() > size_max) return false;
    if (value.is_null()) {
      question_ += '\0';
      continue;
    }
    question_ += static_cast<char>(value.type());
    switch (value.type()) {
      case ColumnType::boolean:
        question_ += value.as_boolean() ? '\1' : '\0';
        break;
      case ColumnType::int64:
      case ColumnType::timestamp:
      case ColumnType::uint64:
        append_le(&question_, value.as_uint64());
        break;
      case ColumnType::float64:
        append_le(&question_, std::bit_cast<uint64_t>(value.as_float64()));
        break;
      case ColumnType::decimal:
        append_le(&question_, value.as_decimal().unscaled);
        append_le(&question_, value.as_decimal().scale);
        break;
      case ColumnType::uuid:
        append_sized(&question_,
                     {reinterpret_cast<const char*>(value.as_uuid().bytes.data()), sizeof(Uuid)});
        break;
      case ColumnType::bytes:
      case ColumnType::text:
      case ColumnType::array:
        if (value.as_bytes().size() > size_max) return false;
        append_sized(&question_, value.as_bytes());
        break;
    }
  }
  return question_.size() <= size_max;
}

bool CachedScan::may_use(const RowSource& source) const {
  if (source.transaction == nullptr) return true;
  return source.transaction->reads_as_snapshot() &&
         (!fetches_rows_ || source.transaction->is_read_only());
}

bool CachedScan::open(const RowSource& source, Timestamp at, std::span<const Value> arguments) {
  close();
  if (cache_ == nullptr) return false;
  if (is_cancelled(cancellation_flag(source.cancellation))) return false;  // the scanner says so
  if (!may_use(source) || !append_arguments(arguments)) {
    cache_->count_bypassed();
    return false;
  }
  source_ = source;
  asked_ = {.bytes = question_, .hash = key_hash(question_), .at = at};
  result_ = cache_->find(asked_);
  if (result_ == nullptr) {
    state_ = State::asked;
    return false;
  }
  left_ = result_->rows();
  shown_ = 0;
  state_ = State::reading;
  return true;
}

void CachedScan::close() {
  if (result_ != nullptr) cache_->release(std::exchange(result_, nullptr));
  drop_noted();
  status_ = Status();
  state_ = State::off;
}

// -- reading --

bool CachedScan::next() {
  if (shown_ == limit_ || !status_.ok()) return false;
  if (source_.transaction != nullptr && source_.transaction->snapshot_timestamp() != asked_.at) {
    status_ = Status::invalid_argument("the transaction has ended");
    return false;
  }
  if (left_.empty()) return false;
  if (is_cancelled(cancellation_flag(source_.cancellation))) {
    status_ = cancelled();
    return false;
  }
  Decoder decoder(left_);
  const std::string_view row = decoder.sized();
  left_ = decoder.rest();
  ++shown_;
  const std::optional<RowView> view = RowView::open(&*layout_, row);
  VARVE_ASSERT(decoder.ok() && view && view->get_all(values_));  // our own encoding
  return true;
}

// -- filling --

void CachedScan::begin(const RowScanner& scanner) {
  if (state_ != State::asked) return;
  state_ = State::off;
  const std::span<const ScanBounds::Range> ranges = scanner.ranges();
  if (ranges.empty())
    return cache_->count_bypassed();  // no row can pass: it is told without a walk
  // Where rows are fetched, any of the table may be; and entries change with their rows.
  const std::string_view lower =
      fetches_rows_ ? std::string_view(row_prefix_) : std::string_view(ranges.front().lower);
  const ChangeWatch::Bounds bounds{
      .keyspace = source_.rows, .lower = lower, .upper = ranges.back().upper};
  VARVE_DCHECK(lower <= ranges.front().lower);
  if (!cache_->watch(asked_, bounds)) return;
  state_ = State::filling;
  noted_size_ = 0;
  noted_rows_ = 0;
}

void CachedScan::note(const RowScanner& scanner, bool more) {
  const bool noted = more ? note_row(scanner) : scanner.status().ok();
  const bool done = noted && (!more || noted_rows_ == limit_);
  if (noted && !done) return;
  if (done && may_use(source_)) cache_->keep(asked_, {noted_, noted_size_});
  drop_noted();
  state_ = State::off;
}

bool CachedScan::note_row(const RowScanner& scanner) {
  for (size_t i = 0; i < values_.size(); ++i) values_[i] = scanner.value(i);
  const size_t size = layout_->size_of(values_);
  if (!reserve(noted_size_ + kVarint64BytesMax + size)) return false;
  char* const to = store_varint(noted_ + noted_size_, size);
  noted_size_ = static_cast<size_t>(to - noted_) + layout_->write(values_, to);
  ++noted_rows_;
  return true;
}

bool CachedScan::reserve(size_t size) {
  if (size <= noted_capacity_) return true;
  const size_t most = cache_->result_size_max();
  const size_t wanted = std::min(std::max({size, 2 * noted_capacity_, kNotedMin}), most);
  auto* const grown = size > most ? nullptr : static_cast<char*>(cache_->allocate(wanted));
  if (grown == nullptr) {
    cache_->count_refused();
    return false;
  }
  if (noted_size_ != 0) std::memcpy(grown, noted_, noted_size_);
  const size_t kept = noted_size_;
  drop_noted();
  noted_ = grown;
  noted_size_ = kept;
  noted_capacity_ = wanted;
  return true;
}

void CachedScan::drop_noted() {
  if (noted_ != nullptr) cache_->release(std::exchange(noted_, nullptr), noted_capacity_);
  noted_size_ = noted_capacity_ = 0;
}

}  // namespace varve
