// Check 1 of verify_history: every read, absences and ranges included, met the newest version at or
// below its snapshot, or the transaction's own last write.
//
// Transactions that aborted are held to it as well: a snapshot is one from its first read on.

#pragma once

#include "txn/anomaly_report.h"
#include "txn/compact_history.h"
#include "txn/key_order.h"
#include "txn/version_chains.h"

namespace varve {

// Adds what it finds to `*report`, and reads, writes, scans and rows to `*figures`.
void check_reads(const CompactHistory& history, const VersionChains& chains, const KeyOrder& order,
                 AnomalyReport* report, HistoryFigures* figures);

}  // namespace varve
