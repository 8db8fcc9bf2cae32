// Collects what the checks of a history find: counts all of it, describes the first of each kind.
//
// Thread rule: one thread. Keeps a reference to the history.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "txn/compact_history.h"

namespace varve {

class AnomalyReport {
 public:
  AnomalyReport(const CompactHistory& history, size_t described_max)
      : history_(history), described_max_(described_max) {}

  // `explain` gives the paragraph; it is called only if this one is described. `transactions` are
  // positions.
  template <typename Explain>
  void violation(AnomalyKind kind, const std::vector<uint32_t>& transactions,
                 const Explain& explain) {
    if (++counts_[static_cast<size_t>(kind)] > described_max_) return;
    found_.push_back(
        {.kind = kind, .transactions = transactions, .explanation = explain(), .cycle = {}});
  }

  // A cycle of the dependency graph. If a violation was found before that one of its edges stands
  // for, the cycle is added to that one, which takes the cycle's name if its own says less.
  void cycle(AnomalyKind kind, std::vector<uint32_t> transactions, std::string explanation,
             std::vector<std::string> steps);

  // One that is allowed.
  void allowed(AnomalyKind kind, uint64_t count) {
    allowed_counts_[static_cast<size_t>(kind)] += count;
  }
  bool wants_allowed_example(AnomalyKind kind) const;
  void allowed_example(AnomalyKind kind, std::vector<uint32_t> transactions,
                       std::string explanation, std::vector<std::string> steps);

  // "T7".
  std::string name(uint32_t transaction) const;
  // "key x", or "key x of keyspace 3".
  std::string key(uint32_t key) const;
  // "'abc'".
  std::string value(uint32_t value) const;

  void write_to(Verdict* verdict) const;

 private:
  struct Found {
    AnomalyKind kind;
    std::vector<uint32_t> transactions;
    std::string explanation;
    std::vector<std::string> cycle;
  };
  Anomaly finished(const Found& found) const;

  const CompactHistory& history_;
  const size_t described_max_;
  std::vector<Found> found_;
  std::vector<Found> examples_;
  AnomalyCounts counts_{};
  AnomalyCounts allowed_counts_{};
};

// "1234567", a timestamp for eyes that compare it with those of the history.
inline std::string timestamp_text(uint64_t timestamp) { return std::to_string(timestamp); }

}  // namespace varve
