// Checks 2 and 4 of verify_history: the first committer wins, and what was read for update is as it
// was; commit timestamps are distinct and
// later than snapshots; what was acknowledged before a transaction began is below its snapshot.

#pragma once

#include "txn/anomaly_report.h"
#include "txn/compact_history.h"
#include "txn/version_chains.h"

namespace varve {

void check_first_committer_wins(const CompactHistory& history, const VersionChains& chains,
                                AnomalyReport* report);
void check_reads_for_update(const CompactHistory& history, const VersionChains& chains,
                            AnomalyReport* report);
void check_commit_timestamps(const CompactHistory& history, const VersionChains& chains,
                             AnomalyReport* report);
void check_real_time(const CompactHistory& history, const VersionChains& chains,
                     AnomalyReport* report);

}  // namespace varve
