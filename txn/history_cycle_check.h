// Check 3 of verify_history: no cycle of dependencies among serializable transactions, none that
// snapshot isolation forbids, and a count of those that it allows.
//
// Which those are: A. Cerone and A. Gotsman, Analysing Snapshot Isolation, PODC 2016 (theorem 8):
// each cycle has two adjacent anti-dependencies. To find one that has not, every node is split by
// how it was reached: behind an anti-dependency only dependencies may follow.

#pragma once

#include "txn/anomaly_report.h"
#include "txn/compact_history.h"
#include "txn/key_order.h"
#include "txn/version_chains.h"

namespace varve {

// Adds what it finds to `*report`, which must hold what the other checks found, and the number of
// edges to `*figures`.
void check_cycles(const CompactHistory& history, const VersionChains& chains, const KeyOrder& order,
                  AnomalyReport* report, HistoryFigures* figures);

}  // namespace varve
