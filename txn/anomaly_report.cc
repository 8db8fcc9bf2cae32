#include "txn/anomaly_report.h"

#include <algorithm>
#include <utility>

#include "base/format.h"

namespace varve {

namespace {

constexpr std::string_view kNames[] = {
    "dirty write (G0)",
    "aborted read (G1a)",
    "intermediate read (G1b)",
    "circular information flow (G1c)",
    "read skew (G-single)",
    "non-repeatable read",
    "stale read",
    "future read",
    "read of a version nobody wrote",
    "own write missed",
    "phantom (missing key)",
    "phantom (extra key)",
    "scan out of order",
    "lost update",
    "write conflict missed",
    "write skew (G2-item)",
    "predicate write skew (G2)",
    "read-only anomaly",
    "long fork",
    "real-time violation",
    "commit timestamp used twice",
    "commit not after its snapshot",
    "outdated read",
};
static_assert(std::size(kNames) == kAnomalyKinds);

// What a cycle can explain, since the same edge shows in it.
bool shows_in_cycles(AnomalyKind kind) {
  switch (kind) {
    case AnomalyKind::read_skew:
    case AnomalyKind::non_repeatable_read:
    case AnomalyKind::stale_read:
    case AnomalyKind::future_read:
    case AnomalyKind::missing_phantom:
    case AnomalyKind::extra_phantom:
    case AnomalyKind::lost_update:
    case AnomalyKind::missed_conflict:
      return true;
    default:
      return false;
  }
}

// Names that say only that a read was wrong.
bool says_little(AnomalyKind kind) {
  return kind == AnomalyKind::stale_read || kind == AnomalyKind::future_read;
}

}  // namespace

std::string_view anomaly_name(AnomalyKind kind) { return kNames[static_cast<size_t>(kind)]; }

void AnomalyReport::cycle(AnomalyKind kind, std::vector<uint32_t> transactions,
                          std::string explanation, std::vector<std::string> steps) {
  // The reader, or the writer that should not have committed, comes first in what was found before.
  const auto same = std::find_if(found_.begin(), found_.end(), [&](const Found& found) {
    return found.cycle.empty() && shows_in_cycles(found.kind) &&
           std::all_of(found.transactions.begin(), found.transactions.end(), [&](uint32_t one) {
             return std::find(transactions.begin(), transactions.end(), one) != transactions.end();
           });
  });
  if (same == found_.end()) {
    violation(kind, transactions, [&] { return std::move(explanation); });
    if (counts_[static_cast<size_t>(kind)] <= described_max_)
      found_.back().cycle = std::move(steps);
    return;
  }
  if (says_little(same->kind)) {
    --counts_[static_cast<size_t>(same->kind)];
    ++counts_[static_cast<size_t>(kind)];
    same->kind = kind;
    same->explanation += " " + explanation;
  }
  same->transactions = std::move(transactions);
  same->cycle = std::move(steps);
}

bool AnomalyReport::wants_allowed_example(AnomalyKind kind) const {
  return std::none_of(examples_.begin(), examples_.end(),
                      [&](const Found& found) { return found.kind == kind; });
}

void AnomalyReport::allowed_example(AnomalyKind kind, std::vector<uint32_t> transactions,
                                    std::string explanation, std::vector<std::string> steps) {
  if (!wants_allowed_example(kind)) return;
  examples_.push_back({.kind = kind,
                       .transactions = std::move(transactions),
                       .explanation = std::move(explanation),
                       .cycle = std::move(steps)});
}

std::string AnomalyReport::name(uint32_t transaction) const {
  return "T" + std::to_string(history_.transactions()[transaction].id);
}

std::string AnomalyReport::key(uint32_t key) const {
  std::string text = "key " + readable(history_.keys().bytes(key));
  const uint32_t keyspace = history_.keys().space(key);
  if (keyspace != kDefaultKeyspace.id) text += " of keyspace " + std::to_string(keyspace);
  return text;
}

std::string AnomalyReport::value(uint32_t value) const {
  if (value == kNone) return "a value that was not recorded";
  return "'" + readable(history_.values().bytes(value)) + "'";
}

Anomaly AnomalyReport::finished(const Found& found) const {
  Anomaly anomaly{.kind = found.kind,
                  .explanation = found.explanation,
                  .transactions = {},
                  .cycle = found.cycle};
  for (const uint32_t position : found.transactions) {
    anomaly.transactions.push_back(history_.transactions()[position].id);
  }
  return anomaly;
}

void AnomalyReport::write_to(Verdict* verdict) const {
  for (const Found& found : found_) verdict->violations.push_back(finished(found));
  for (const Found& found : examples_) verdict->allowed_examples.push_back(finished(found));
  verdict->violation_counts = counts_;
  verdict->allowed_counts = allowed_counts_;
}

}  // namespace varve
