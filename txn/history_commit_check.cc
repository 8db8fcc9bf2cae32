#include "txn/history_commit_check.h"

#include <algorithm>
#include <string>
#include <vector>

namespace varve {

namespace {

using Kind = OperationRecord::Kind;

bool read_key(const CompactHistory& history, const CompactTransaction& transaction, uint32_t key) {
  for (const CompactOperation& operation : history.operations(transaction)) {
    if (operation.kind == Kind::read && operation.key == key && !operation.own) return true;
    if (operation.kind != Kind::scan) continue;
    for (const CompactRow& row : history.rows(history.scan(operation))) {
      if (row.key == key && !row.own) return true;
    }
  }
  return false;
}

// Positions of the committed transactions that wrote, in order of their commits.
std::vector<uint32_t> by_commit(const CompactHistory& history, const VersionChains& chains) {
  std::vector<uint32_t> positions;
  for (uint32_t i = 0; i < history.transactions().size(); ++i) {
    if (chains.committed(i) && history.transactions()[i].writes) positions.push_back(i);
  }
  std::sort(positions.begin(), positions.end(),
            [&](uint32_t a, uint32_t b) { return chains.commit(a) < chains.commit(b); });
  return positions;
}

// What somebody who is done has seen of the database.
struct Seen {
  uint64_t end_nanos;
  uint64_t timestamp;
  uint32_t transaction;
};

bool has_times(const CompactTransaction& transaction) {
  return transaction.begin_nanos != 0 || transaction.end_nanos != 0;
}

// By when they ended: commits that were acknowledged, and snapshots of those that are over.
std::vector<Seen> seen_in_order(const CompactHistory& history, const VersionChains& chains) {
  std::vector<Seen> seen;
  for (uint32_t i = 0; i < history.transactions().size(); ++i) {
    const CompactTransaction& transaction = history.transactions()[i];
    if (!has_times(transaction) || transaction.outcome == RecordedOutcome::unknown) continue;
    const bool wrote = chains.committed(i) && transaction.writes;
    if (!wrote && !transaction.has_snapshot) continue;
    seen.push_back({.end_nanos = transaction.end_nanos,
                    .timestamp = wrote ? chains.commit(i) : transaction.snapshot,
                    .transaction = i});
  }
  std::sort(seen.begin(), seen.end(),
            [](const Seen& a, const Seen& b) { return a.end_nanos < b.end_nanos; });
  return seen;
}

}  // namespace

void check_first_committer_wins(const CompactHistory& history, const VersionChains& chains,
                                AnomalyReport* report) {
  // The version just before a transaction's own one is the newest that can be in between.
  for (uint32_t i = 0; i < chains.versions().size(); ++i) {
    const ChainVersion& loser = chains.versions()[i];
    if (loser.writer == kNone) continue;
    const uint32_t before = chains.dated_before(i);
    const CompactTransaction& transaction = history.transactions()[loser.writer];
    if (before == kNone || !transaction.has_snapshot) continue;
    const ChainVersion& winner = chains.versions()[before];
    if (winner.timestamp <= transaction.snapshot) continue;
    const bool read = read_key(history, transaction, loser.key);
    std::vector<uint32_t> transactions{loser.writer};
    if (winner.writer != kNone) transactions.push_back(winner.writer);
    report->violation(
        read ? AnomalyKind::lost_update : AnomalyKind::missed_conflict, transactions, [&] {
          std::string text =
              report->name(loser.writer) + " with snapshot " + timestamp_text(transaction.snapshot);
          text += read ? " read " : " wrote ";
          text += report->key(loser.key) + (read ? ", wrote it" : "");
          text += " and committed at " + timestamp_text(loser.timestamp);
          text += "; but there is a version in between, " + timestamp_text(winner.timestamp);
          if (winner.writer != kNone) text += " of " + report->name(winner.writer);
          return text + ", so it should have aborted.";
        });
  }
}

void check_reads_for_update(const CompactHistory& history, const VersionChains& chains,
                            AnomalyReport* report) {
  const auto& transactions = history.transactions();
  for (uint32_t i = 0; i < transactions.size(); ++i) {
    if (!transactions[i].writes || !chains.committed(i)) continue;
    for (const CompactOperation& operation : history.operations(transactions[i])) {
      if (operation.kind != Kind::read || !operation.for_update) continue;
      // What it wrote as well is the other check's.
      if (chains.exact(operation.key, chains.commit(i)) != kNone) continue;
      const uint32_t newest = chains.newest_dated_below(operation.key, chains.commit(i));
      if (newest == kNone) continue;
      const ChainVersion& version = chains.versions()[newest];
      if (version.timestamp <= transactions[i].snapshot) continue;
      std::vector<uint32_t> found{i};
      if (version.writer != kNone) found.push_back(version.writer);
      report->violation(AnomalyKind::missed_conflict, found, [&] {
        return report->name(i) + " with snapshot " + timestamp_text(transactions[i].snapshot) +
               " read " + report->key(operation.key) + " for update and committed at " +
               timestamp_text(chains.commit(i)) + "; but there is a version in between, " +
               timestamp_text(version.timestamp) + ", so it should have aborted.";
      });
    }
  }
}

void check_outdated_reads(const CompactHistory& history, const VersionChains& chains,
                          const KeyOrder& order, AnomalyReport* report) {
  const auto& transactions = history.transactions();
  const auto check = [&](uint32_t reader, uint32_t key) {
    // What it wrote as well is of check_first_committer_wins().
    if (chains.exact(key, chains.commit(reader)) != kNone) return false;
    uint32_t newest = chains.newest_at(key, chains.commit(reader));
    while (newest != kNone && chains.versions()[newest].collapsed) newest = chains.before(newest);
    if (newest == kNone) return false;
    const ChainVersion& version = chains.versions()[newest];
    if (version.timestamp <= transactions[reader].snapshot) return false;
    std::vector<uint32_t> found{reader};
    if (version.writer != kNone) found.push_back(version.writer);
    report->violation(AnomalyKind::outdated_read, found, [&] {
      return report->name(reader) + " with snapshot " +
             timestamp_text(transactions[reader].snapshot) + " read " + report->key(key) +
             ", by itself or in a range, and committed at " +
             timestamp_text(chains.commit(reader)) + "; but there is a version in between, " +
             timestamp_text(version.timestamp) + ", so it should have aborted.";
    });
    return true;
  };
  for (uint32_t i = 0; i < transactions.size(); ++i) {
    if (transactions[i].isolation != RecordedIsolation::serializable) continue;
    if (!transactions[i].writes || !chains.committed(i)) continue;
    bool outdated = false;
    for (const CompactOperation& operation : history.operations(transactions[i])) {
      if (outdated) break;
      if (operation.kind == Kind::read && !operation.own) outdated = check(i, operation.key);
      if (operation.kind != Kind::scan) continue;
      const KeyOrder::Interval covered = order.covered(history.scan(operation));
      for (uint32_t rank = covered.begin; rank != covered.end && !outdated; ++rank) {
        outdated = check(i, order.key(rank));
      }
    }
  }
}

void check_commit_timestamps(const CompactHistory& history, const VersionChains& chains,
                             AnomalyReport* report) {
  const std::vector<uint32_t> positions = by_commit(history, chains);
  for (size_t i = 0; i < positions.size(); ++i) {
    const uint32_t position = positions[i];
    const CompactTransaction& transaction = history.transactions()[position];
    const uint64_t commit = chains.commit(position);
    if (i != 0 && chains.commit(positions[i - 1]) == commit) {
      report->violation(AnomalyKind::duplicate_timestamp, {positions[i - 1], position}, [&] {
        return report->name(positions[i - 1]) + " and " + report->name(position) +
               " both committed at " + timestamp_text(commit) + ".";
      });
    }
    if (transaction.has_snapshot && commit <= transaction.snapshot) {
      report->violation(AnomalyKind::timestamp_order, {position}, [&] {
        return report->name(position) + " committed at " + timestamp_text(commit) +
               ", but its snapshot is " + timestamp_text(transaction.snapshot) + ".";
      });
    }
  }
}

void check_real_time(const CompactHistory& history, const VersionChains& chains,
                     AnomalyReport* report) {
  const auto& transactions = history.transactions();
  std::vector<uint32_t> by_begin;
  for (uint32_t i = 0; i < transactions.size(); ++i) {
    const bool placed =
        transactions[i].has_snapshot || (chains.committed(i) && transactions[i].writes);
    if (placed && has_times(transactions[i])) by_begin.push_back(i);
  }
  std::sort(by_begin.begin(), by_begin.end(), [&](uint32_t a, uint32_t b) {
    return transactions[a].begin_nanos < transactions[b].begin_nanos;
  });
  const std::vector<Seen> seen = seen_in_order(history, chains);
  size_t next = 0;
  const Seen* newest = nullptr;  // of those that ended before the one at hand began
  for (const uint32_t position : by_begin) {
    const CompactTransaction& transaction = transactions[position];
    for (; next != seen.size() && seen[next].end_nanos < transaction.begin_nanos; ++next) {
      if (newest == nullptr || seen[next].timestamp > newest->timestamp) newest = &seen[next];
    }
    if (newest == nullptr) continue;
    // A batch without a snapshot is at least written on top of it.
    const uint64_t sees = transaction.has_snapshot ? transaction.snapshot : chains.commit(position);
    if (sees >= newest->timestamp) continue;
    const Seen before = *newest;
    report->violation(AnomalyKind::real_time_violation, {position, before.transaction}, [&] {
      const bool wrote =
          chains.committed(before.transaction) && transactions[before.transaction].writes;
      return report->name(before.transaction) + " ended at " + std::to_string(before.end_nanos) +
             " ns with " + (wrote ? "commit" : "snapshot") + " timestamp " +
             timestamp_text(before.timestamp) + "; " + report->name(position) +
             " began later, at " + std::to_string(transaction.begin_nanos) +
             " ns, but is placed at " + timestamp_text(sees) + ".";
    });
  }
}

}  // namespace varve
