#include "tests/support/justified_conflicts.h"

#include <algorithm>
#include <utility>

namespace varve::test {
namespace {

bool writes(const OperationRecord& operation) {
  return operation.kind == OperationRecord::Kind::write ||
         operation.kind == OperationRecord::Kind::erase;
}

// Whether `other` may have come between the snapshot of `loser` and its check.
bool may_come_between(const TransactionRecord& other, const TransactionRecord& loser,
                      bool failed_late) {
  if (other.id == loser.id || other.begin_nanos > loser.end_nanos) return false;
  if (other.outcome == RecordedOutcome::committed) {
    return other.commit.has_value() && *other.commit > loser.snapshot;
  }
  // It has no timestamp: at least both were there at one time.
  return (other.outcome == RecordedOutcome::unknown || failed_late) &&
         other.end_nanos >= loser.begin_nanos;
}

}  // namespace

CoveredKeys covered_by(const ScanRecord& scan, bool to_bound) {
  CoveredKeys covered{scan.lower, scan.upper};
  if (to_bound) return covered;
  std::optional<std::string> last = scan.ended_at;
  if (scan.limit.has_value() && scan.rows.size() == *scan.limit) last = scan.rows.back().key;
  if (!last.has_value()) return covered;
  if (scan.reverse) {
    covered.lower = *last;
  } else {
    covered.upper = *last + '\0';
  }
  return covered;
}

bool Footprint::contains(Keyspace keyspace, const std::string& key) const {
  return std::any_of(parts_.begin(), parts_.end(), [&](const Part& part) {
    return part.keyspace == keyspace && part.keys.contains(key);
  });
}

void ConflictLog::lost(uint64_t id, Footprint relied_on) {
  MutexLock lock(mutex_);
  lost_.emplace(id, std::move(relied_on));
}

void ConflictLog::failed(uint64_t id) {
  MutexLock lock(mutex_);
  failed_.insert(id);
}

uint64_t ConflictLog::count() const {
  MutexLock lock(mutex_);
  return lost_.size();
}

std::vector<std::string> ConflictLog::unexplained(const History& history) const {
  MutexLock lock(mutex_);
  std::vector<std::string> complaints;
  if (lost_.empty()) return complaints;
  std::vector<TransactionRecord> records;
  for (size_t i = 0; i < history.size(); ++i) records.push_back(history.transaction(i));
  for (const TransactionRecord& loser : records) {
    const auto lost = lost_.find(loser.id);
    if (lost == lost_.end()) continue;
    Footprint relied_on = lost->second;
    for (const OperationRecord& operation : loser.operations) {
      if (writes(operation)) relied_on.add_key(operation.keyspace, operation.key);
    }
    const bool explained =
        std::any_of(records.begin(), records.end(), [&](const TransactionRecord& other) {
          return may_come_between(other, loser, failed_.contains(other.id)) &&
                 std::any_of(other.operations.begin(), other.operations.end(),
                             [&](const OperationRecord& operation) {
                               return writes(operation) &&
                                      relied_on.contains(operation.keyspace, operation.key);
                             });
        });
    if (explained) continue;
    complaints.push_back(
        "T" + std::to_string(loser.id) + " was told of a conflict, but after its snapshot, " +
        std::to_string(loser.snapshot->nanos) + ", nobody else wrote what it wrote or relied on");
  }
  return complaints;
}

}  // namespace varve::test
