// How a test keeps the record of a transaction while that runs: what was rolled back to a savepoint
// is taken out of it again. And what the transaction relies on, which is never taken back.

#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/justified_conflicts.h"
#include "varve/cursor.h"
#include "varve/history.h"
#include "varve/pinned_value.h"
#include "varve/transaction.h"

namespace varve::test {

inline OperationRecord read_of(Keyspace keyspace, const std::string& key,
                               const std::optional<PinnedValue>& value) {
  OperationRecord operation;
  operation.keyspace = keyspace;
  operation.key = key;
  operation.found = value.has_value();
  if (!value.has_value()) return operation;
  operation.own = value->timestamp() == kTimestampMax;
  if (!operation.own) operation.version = value->timestamp();
  operation.value = std::string(value->view());
  return operation;
}

inline ScannedRow row_of(const Cursor& cursor) {
  ScannedRow row;
  row.key = cursor.key();
  row.own = cursor.timestamp() == kTimestampMax;
  if (!row.own) row.version = cursor.timestamp();
  row.value = std::string(cursor.value());
  return row;
}

inline OperationRecord scan_of(Keyspace keyspace, ScanRecord scan) {
  OperationRecord operation = OperationRecord::scanned(std::move(scan));
  operation.keyspace = keyspace;
  return operation;
}

// The record of a transaction while it runs.
class Recording {
 public:
  explicit Recording(TransactionRecord* record) : record_(record) {}

  // -- reads: told before they are carried out, and what came of them --
  void will_read(Keyspace keyspace, const std::string& key, bool for_update) {
    const bool own = own_.contains({keyspace, key});
    if (for_update || (serializable() && !own)) footprint_.add_key(keyspace, key);
  }
  void read(Keyspace keyspace, const std::string& key, const std::optional<PinnedValue>& value,
            bool for_update) {
    OperationRecord operation = read_of(keyspace, key, value);
    operation.for_update = for_update;
    if (!value.has_value()) operation.own = own_.contains({keyspace, key});
    record_->operations.push_back(std::move(operation));
  }
  // `to_bound`: it was cut short, and counts as having gone on.
  void scanned(Keyspace keyspace, const ScanRecord& scan, bool to_bound) {
    if (serializable()) footprint_.add_range(keyspace, covered_by(scan, to_bound));
  }
  const Footprint& footprint() const { return footprint_; }

  void write(Keyspace keyspace, const std::string& key, std::optional<std::string> value) {
    own_.insert({keyspace, key});
    ++writes_;
    OperationRecord operation = value.has_value() ? OperationRecord::write(key, *std::move(value))
                                                  : OperationRecord::erase(key);
    operation.keyspace = keyspace;
    record_->operations.push_back(std::move(operation));
  }
  bool wrote() const { return !own_.empty(); }
  // A write that is not part of the record.
  void wrote_elsewhere() { ++writes_; }

  // -- cursors: one sees own writes as of its opening, so its scans stand there --
  void cursor_opened(uint64_t number) {
    OperationRecord place = OperationRecord::scanned({});
    place.key = name_of(number);
    record_->operations.push_back(std::move(place));
    opened_[number] = writes_;
  }
  // False: writes were rolled back that are older than the cursor.
  bool has_cursor(uint64_t number) const { return opened_.contains(number); }
  void cursor_ended(uint64_t number, Keyspace keyspace, std::vector<ScanRecord> scans) {
    std::vector<OperationRecord>& operations = record_->operations;
    const auto place = std::find_if(operations.begin(), operations.end(),
                                    [name = name_of(number)](const OperationRecord& operation) {
                                      return is_place(operation) && operation.key == name;
                                    });
    if (place == operations.end()) return;
    const auto index = static_cast<size_t>(place - operations.begin());
    for (Mark& mark : marks_) {
      if (mark.operations > index) mark.operations += scans.size() - 1;
    }
    auto at = operations.erase(place);
    for (ScanRecord& scan : scans) {
      at = operations.insert(at, scan_of(keyspace, std::move(scan))) + 1;
    }
  }

  // -- savepoints --
  void mark(Savepoint savepoint) {
    marks_.push_back({savepoint, record_->operations.size(), own_, writes_});
  }
  size_t marks() const { return marks_.size(); }
  Savepoint savepoint(size_t i) const { return marks_[i].savepoint; }
  void release(size_t i) { marks_.resize(i); }
  // Writes since then, and what may have met them, never were.
  void rolled_back_to(size_t i) {
    std::vector<OperationRecord>& operations = record_->operations;
    const Mark& mark = marks_[i];
    bool written = false;
    size_t kept = mark.operations;
    for (size_t place = mark.operations; place < operations.size(); ++place) {
      OperationRecord& operation = operations[place];
      const bool writes = operation.kind == OperationRecord::Kind::write ||
                          operation.kind == OperationRecord::Kind::erase;
      written = written || writes;
      const bool scans = operation.kind == OperationRecord::Kind::scan;
      if (writes || operation.own || (scans && written)) continue;
      if (kept != place) operations[kept] = std::move(operation);
      ++kept;
    }
    operations.resize(kept);
    own_ = mark.own;
    writes_ = mark.writes;
    std::erase_if(opened_, [this](const auto& cursor) { return cursor.second > writes_; });
    marks_.resize(i + 1);
  }

 private:
  using OwnKeys = std::set<std::pair<Keyspace, std::string>>;
  struct Mark {
    Savepoint savepoint;
    size_t operations;
    OwnKeys own;
    uint64_t writes;
  };
  bool serializable() const { return record_->isolation == RecordedIsolation::serializable; }
  static std::string name_of(uint64_t number) { return "cursor " + std::to_string(number); }
  static bool is_place(const OperationRecord& operation) {
    return operation.kind == OperationRecord::Kind::scan && !operation.key.empty();
  }

  TransactionRecord* const record_;
  Footprint footprint_;
  OwnKeys own_;
  uint64_t writes_ = 0;                  // that were not rolled back, also those elsewhere
  std::map<uint64_t, uint64_t> opened_;  // cursors, and how many writes there were
  std::vector<Mark> marks_;
};

}  // namespace varve::test
