// Checks 2, 4 and 5 of verify_history: the first committer wins, and what was read for update is as
// it was; nor is what a serializable transaction read outdated; commit timestamps are distinct and
// later than snapshots; what was acknowledged before a transaction began is below its snapshot.

#pragma once

#include "txn/anomaly_report.h"
#include "txn/compact_history.h"
#include "txn/key_order.h"
#include "txn/version_chains.h"

namespace varve {

void check_first_committer_wins(const CompactHistory& history, const VersionChains& chains,
                                AnomalyReport* report);
void check_reads_for_update(const CompactHistory& history, const VersionChains& chains,
                            AnomalyReport* report);
void check_outdated_reads(const CompactHistory& history, const VersionChains& chains,
                          const KeyOrder& order, AnomalyReport* report);
void check_commit_timestamps(const CompactHistory& history, const VersionChains& chains,
                             AnomalyReport* report);
void check_real_time(const CompactHistory& history, const VersionChains& chains,
                     AnomalyReport* report);

}  // namespace varve
