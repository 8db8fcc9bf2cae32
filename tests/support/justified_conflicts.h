// Whether conflicts that transactions were told of are explained by the history: somebody else has
// to have written, after the transaction's snapshot, what it wrote or what it relied on. A database
// that answered `conflict` at random would keep isolation just as well; the checker of histories
// asks only whether conflicts were missed.
//
// What a transaction relies on, as docs/transactions.md has it: what it read for update; at level
// serializable all that it read, ranges as far as they were walked through, also what was rolled
// back to a savepoint since. The filter of recent commits is no excuse (txn/conflict_table.h): what
// it cannot tell is looked up. Spans that stand for thousands of keys are, but no program reads as
// many.

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "varve/history.h"

namespace varve::test {

// What a scan covered, [lower, upper), the latter empty for unbounded: as far as it went, or
// `to_bound`.
struct CoveredKeys {
  std::string lower;
  std::string upper;
  bool contains(const std::string& key) const {
    return key >= lower && (upper.empty() || key < upper);
  }
};
CoveredKeys covered_by(const ScanRecord& scan, bool to_bound);

class Footprint {
 public:
  void add_key(Keyspace keyspace, const std::string& key) {
    parts_.push_back({keyspace, {key, key + '\0'}});
  }
  void add_range(Keyspace keyspace, CoveredKeys keys) {
    parts_.push_back({keyspace, std::move(keys)});
  }
  bool contains(Keyspace keyspace, const std::string& key) const;

 private:
  struct Part {
    Keyspace keyspace;
    CoveredKeys keys;
  };
  std::vector<Part> parts_;
};

// Thread rule: any thread at any time; unexplained() alone.
class ConflictLog {
 public:
  // A transaction was told of a conflict. What it wrote is in its record.
  void lost(uint64_t id, Footprint relied_on);
  // Its commit failed otherwise, perhaps only after others had been checked against it.
  void failed(uint64_t id);
  uint64_t count() const;

  // A complaint for each conflict that no commit of the history, and none that may have been on its
  // way, explains.
  std::vector<std::string> unexplained(const History& history) const;

 private:
  mutable Mutex mutex_;
  std::map<uint64_t, Footprint> lost_;
  std::set<uint64_t> failed_;
};

}  // namespace varve::test
