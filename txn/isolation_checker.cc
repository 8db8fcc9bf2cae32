// verify_history: one check after the other; what each does is said in its header.

#include "txn/anomaly_report.h"
#include "txn/compact_history.h"
#include "txn/history_commit_check.h"
#include "txn/history_cycle_check.h"
#include "txn/history_read_check.h"
#include "txn/key_order.h"
#include "txn/version_chains.h"
#include "varve/history.h"

namespace varve {

namespace {

void count_outcomes(const CompactHistory& history, const VersionChains& chains,
                    HistoryFigures* figures) {
  const auto& transactions = history.transactions();
  figures->transactions = transactions.size();
  for (uint32_t i = 0; i < transactions.size(); ++i) {
    if (chains.committed(i)) {
      ++figures->committed;
    } else if (transactions[i].outcome == RecordedOutcome::aborted) {
      ++figures->aborted;
    } else {
      ++figures->unknown;
    }
  }
  figures->keys = history.keys().size();
  figures->versions = chains.versions().size();
}

}  // namespace

Verdict verify_history(const History& history, const VerifyHistoryOptions& options) {
  const CompactHistory& compact = compact_history(history);
  const VersionChains chains(compact);
  const KeyOrder order(compact);
  AnomalyReport report(compact, options.described_max);
  Verdict verdict;
  count_outcomes(compact, chains, &verdict.figures);
  check_reads(compact, chains, order, &report, &verdict.figures);
  check_first_committer_wins(compact, chains, &report);
  check_reads_for_update(compact, chains, &report);
  if (options.outdated_reads) check_outdated_reads(compact, chains, order, &report);
  check_commit_timestamps(compact, chains, &report);
  check_real_time(compact, chains, &report);
  check_cycles(compact, chains, order, &report, &verdict.figures);
  report.write_to(&verdict);
  return verdict;
}

}  // namespace varve
