#include "txn/compact_history.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/hash.h"

namespace varve {

namespace {

using Kind = OperationRecord::Kind;

// Numbers of operations, keys, values and rows have 32 bits, two of them with a meaning of their
// own.
constexpr size_t kNumbersMax = UINT32_MAX - 2;

Status invalid(const TransactionRecord& record, const std::string& what) {
  return Status::invalid_argument(
      format("transaction %llu: ", static_cast<unsigned long long>(record.id)) + what);
}

bool is_write(const OperationRecord& operation) {
  return operation.kind == Kind::write || operation.kind == Kind::erase;
}

Status check_scan(const TransactionRecord& record, const ScanRecord& scan) {
  if (scan.limit.has_value() && scan.rows.size() > *scan.limit) {
    return invalid(record, format("a scan has %zu rows, more than its limit of %llu",
                                  scan.rows.size(), static_cast<unsigned long long>(*scan.limit)));
  }
  for (const ScannedRow& row : scan.rows) {
    if (row.key.empty()) return invalid(record, "a row has an empty key");
  }
  return Status();
}

Status check_operation(const TransactionRecord& record, const OperationRecord& operation) {
  if (operation.kind == Kind::scan) {
    VARVE_RETURN_IF_ERROR(check_scan(record, operation.scan));
  } else if (operation.key.empty()) {
    return invalid(record, "an operation has an empty key");
  }
  if (!is_write(operation) && !record.snapshot.has_value()) {
    return invalid(record, "it reads, so it needs a snapshot");
  }
  return Status();
}

Status check(const TransactionRecord& record) {
  bool writes = false;
  for (const OperationRecord& operation : record.operations) {
    VARVE_RETURN_IF_ERROR(check_operation(record, operation));
    writes = writes || is_write(operation);
  }
  if (writes && record.outcome == RecordedOutcome::committed && !record.commit.has_value()) {
    return invalid(record, "it committed writes, so it needs a commit timestamp");
  }
  if (writes && record.commit == kTimestampMin) return invalid(record, "its commit timestamp is 0");
  if (record.begin_nanos > record.end_nanos) return invalid(record, "it ends before it begins");
  return Status();
}

// The last key that a scan looked at, if it did not go to its end.
const std::string* end_of(const ScanRecord& scan) {
  if (scan.ended_at.has_value()) return &*scan.ended_at;
  const bool full = scan.limit.has_value() && scan.rows.size() == *scan.limit;
  return full && !scan.rows.empty() ? &scan.rows.back().key : nullptr;
}

}  // namespace

uint32_t ByteTable::intern(std::string_view bytes, uint32_t space) {
  if (ends_.size() * 2 >= slots_.size()) grow();
  const auto hash = static_cast<uint32_t>(mix64(key_hash(bytes) + space));
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  for (; slots_[at].number_plus_one != 0; at = (at + 1) & mask) {
    const uint32_t number = slots_[at].number_plus_one - 1;
    if (slots_[at].hash == hash && spaces_[number] == space && this->bytes(number) == bytes) {
      return number;
    }
  }
  arena_.append(bytes);
  ends_.push_back(arena_.size());
  sizes_.push_back(static_cast<uint32_t>(bytes.size()));
  spaces_.push_back(space);
  slots_[at] = {.hash = hash, .number_plus_one = size()};
  return size() - 1;
}

void ByteTable::grow() {
  std::vector<Slot> grown(std::max<size_t>(slots_.size() * 2, 64));
  const size_t mask = grown.size() - 1;
  for (const Slot& slot : slots_) {
    if (slot.number_plus_one == 0) continue;
    size_t at = slot.hash & mask;
    while (grown[at].number_plus_one != 0) at = (at + 1) & mask;
    grown[at] = slot;
  }
  slots_ = std::move(grown);
}

Status CompactHistory::add(const TransactionRecord& record) {
  VARVE_RETURN_IF_ERROR(check(record));
  if (ids_.contains(record.id)) return invalid(record, "its id was given to an earlier one");
  size_t rows = rows_.size();
  for (const OperationRecord& operation : record.operations) {
    // A bound is a value too: three of them a scan.
    rows += operation.scan.rows.size() + 4;
  }
  if (rows + operations_.size() + values_.size() > kNumbersMax) {
    return invalid(record, "the history is too large: 4 billion operations, rows and values");
  }
  ids_.insert(record.id);
  CompactTransaction transaction{
      .id = record.id,
      .session = record.session,
      .begin_nanos = record.begin_nanos,
      .end_nanos = record.end_nanos,
      .snapshot = record.snapshot.value_or(kTimestampMin).nanos,
      .commit = record.commit.value_or(kTimestampMin).nanos,
      .operations_begin = operations_.size(),
      .operation_count = static_cast<uint32_t>(record.operations.size()),
      .isolation = record.isolation,
      .outcome = record.outcome,
      .has_snapshot = record.snapshot.has_value(),
      .has_commit = record.commit.has_value(),
      .writes = std::any_of(record.operations.begin(), record.operations.end(), is_write),
  };
  transactions_.push_back(transaction);
  for (const OperationRecord& operation : record.operations) {
    if (operation.kind == Kind::scan) {
      add_scan(operation);
    } else {
      operations_.push_back({.version = operation.version.nanos,
                             .key = keys_.intern(operation.key, operation.keyspace.id),
                             .value = value_number(operation.value),
                             .kind = operation.kind,
                             .found = operation.found,
                             .own = operation.own,
                             .for_update = operation.for_update});
    }
  }
  return Status();
}

void CompactHistory::add_scan(const OperationRecord& operation) {
  const ScanRecord& scan = operation.scan;
  const std::string* ended_at = end_of(scan);
  operations_.push_back({.version = 0,
                         .key = static_cast<uint32_t>(scans_.size()),
                         .value = kNone,
                         .kind = Kind::scan,
                         .found = false,
                         .own = false,
                         .for_update = false});
  scans_.push_back({.rows_begin = rows_.size(),
                    .row_count = static_cast<uint32_t>(scan.rows.size()),
                    .keyspace = operation.keyspace.id,
                    .lower = values_.intern(scan.lower),
                    .upper = values_.intern(scan.upper),
                    .ended_at = ended_at == nullptr ? kNone : values_.intern(*ended_at),
                    .reverse = scan.reverse,
                    .covers_nothing = scan.limit == uint64_t{0}});
  for (const ScannedRow& row : scan.rows) {
    rows_.push_back({.version = row.version.nanos,
                     .key = keys_.intern(row.key, operation.keyspace.id),
                     .value = value_number(row.value),
                     .own = row.own});
  }
}

uint32_t CompactHistory::value_number(const std::optional<std::string>& value) {
  return value.has_value() ? values_.intern(*value) : kNone;
}

ScanRecord CompactHistory::scan_record(const CompactScan& scan) const {
  ScanRecord record;
  record.lower = values_.bytes(scan.lower);
  record.upper = values_.bytes(scan.upper);
  record.reverse = scan.reverse;
  if (scan.covers_nothing) record.limit = 0;
  if (scan.ended_at != kNone) record.ended_at = values_.bytes(scan.ended_at);
  for (const CompactRow& row : rows(scan)) {
    ScannedRow& copy = record.rows.emplace_back();
    copy.key = keys_.bytes(row.key);
    copy.version = {row.version};
    copy.own = row.own;
    if (row.value != kNone) copy.value = values_.bytes(row.value);
  }
  return record;
}

TransactionRecord CompactHistory::record(size_t position) const {
  const CompactTransaction& transaction = transactions_[position];
  TransactionRecord record;
  record.id = transaction.id;
  record.session = transaction.session;
  record.isolation = transaction.isolation;
  record.outcome = transaction.outcome;
  record.begin_nanos = transaction.begin_nanos;
  record.end_nanos = transaction.end_nanos;
  if (transaction.has_snapshot) record.snapshot = Timestamp{transaction.snapshot};
  if (transaction.has_commit) record.commit = Timestamp{transaction.commit};
  for (const CompactOperation& operation : operations(transaction)) {
    OperationRecord& copy = record.operations.emplace_back();
    copy.kind = operation.kind;
    if (operation.kind == Kind::scan) {
      copy.keyspace = {scan(operation).keyspace};
      copy.scan = scan_record(scan(operation));
      continue;
    }
    copy.keyspace = {keys_.space(operation.key)};
    copy.key = keys_.bytes(operation.key);
    copy.found = operation.found;
    copy.own = operation.own;
    copy.for_update = operation.for_update;
    copy.version = {operation.version};
    if (operation.value != kNone) copy.value = values_.bytes(operation.value);
  }
  return record;
}

}  // namespace varve
