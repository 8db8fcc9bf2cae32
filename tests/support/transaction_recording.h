// How a test keeps the record of a transaction while that runs: what was rolled back to a savepoint
// is taken out of it again.

#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "varve/history.h"
#include "varve/pinned_value.h"
#include "varve/transaction.h"

namespace varve::test {

// The record of a transaction while it runs.
class Recording {
 public:
  explicit Recording(TransactionRecord* record) : record_(record) {}

  void read(Keyspace keyspace, const std::string& key, const std::optional<PinnedValue>& value,
            bool for_update) {
    OperationRecord operation;
    operation.keyspace = keyspace;
    operation.key = key;
    operation.found = value.has_value();
    operation.for_update = for_update;
    if (value.has_value()) {
      operation.own = value->timestamp() == kTimestampMax;
      if (!operation.own) operation.version = value->timestamp();
      operation.value = std::string(value->view());
    } else {
      operation.own = own_.contains({keyspace, key});
    }
    record_->operations.push_back(std::move(operation));
  }
  void write(Keyspace keyspace, const std::string& key, std::optional<std::string> value) {
    own_.insert({keyspace, key});
    OperationRecord operation = value.has_value() ? OperationRecord::write(key, *std::move(value))
                                                  : OperationRecord::erase(key);
    operation.keyspace = keyspace;
    record_->operations.push_back(std::move(operation));
  }
  // Where it stands; its rows follow.
  size_t open_scan(Keyspace keyspace, ScanRecord scan) {
    OperationRecord operation = OperationRecord::scanned(std::move(scan));
    operation.keyspace = keyspace;
    record_->operations.push_back(std::move(operation));
    return record_->operations.size() - 1;
  }
  ScanRecord& scan(size_t place) { return record_->operations[place].scan; }
  // It is the transaction's last operation, but for writes.
  void break_off(size_t place) {
    ScanRecord& broken = scan(place);
    if (broken.rows.empty()) {
      record_->operations.erase(record_->operations.begin() + static_cast<ptrdiff_t>(place));
    } else {
      broken.ended_at = broken.rows.back().key;
    }
  }

  void mark(Savepoint savepoint) {
    marks_.push_back({savepoint, record_->operations.size(), own_});
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
    marks_.resize(i + 1);
  }
  bool wrote() const { return !own_.empty(); }

 private:
  using OwnKeys = std::set<std::pair<Keyspace, std::string>>;
  struct Mark {
    Savepoint savepoint;
    size_t operations;
    OwnKeys own;
  };
  TransactionRecord* const record_;
  OwnKeys own_;
  std::vector<Mark> marks_;
};

}  // namespace varve::test
