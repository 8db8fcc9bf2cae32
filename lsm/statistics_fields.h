// The counters of Statistics one by one: what they are called in texts, in the file STATS, and to
// Prometheus. A new one is added here, and is then in all of them.
//
// Names that Prometheus sees follow its conventions: counters end in _total, base units (seconds,
// bytes) are part of the name, and what adds up to a whole shares a name and differs by a label.

#pragma once

#include <cstdint>

#include "varve/statistics.h"

namespace varve {

struct StatisticsField {
  const char* name;
  uint64_t Statistics::*field;
  // With its labels; of the same one as the field before it, without a help of its own. A counter
  // if it ends in _total, else a gauge; in seconds, if it says so, of a field in microseconds.
  const char* metric;
  const char* labels;
  const char* help;
};

inline constexpr StatisticsField kStatisticsFields[] = {
    {"commits", &Statistics::commits, "varve_commits_total", "", "Commits."},
    {"commit_groups", &Statistics::commit_groups, "varve_commit_groups_total", "",
     "Groups of commits that were logged together."},
    {"entries_written", &Statistics::entries_written, "varve_entries_written_total", "",
     "Puts and erases in commits."},
    {"user_bytes_written", &Statistics::user_bytes_written, "varve_user_written_bytes_total", "",
     "Keys and values in commits."},
    {"log_bytes_written", &Statistics::log_bytes_written, "varve_log_written_bytes_total", "",
     "Bytes written to the log."},
    {"log_syncs", &Statistics::log_syncs, "varve_log_syncs_total", "", "Syncs of the log."},
    {"flushes", &Statistics::flushes, "varve_flushes_total", "", "Memtables written to sstables."},
    {"flush_bytes_written", &Statistics::flush_bytes_written, "varve_flush_written_bytes_total", "",
     "Bytes that flushes wrote."},
    {"compactions", &Statistics::compactions, "varve_compactions_total", "", "Compactions."},
    {"compaction_bytes_read", &Statistics::compaction_bytes_read,
     "varve_compaction_read_bytes_total", "", "Bytes that compactions read."},
    {"compaction_bytes_written", &Statistics::compaction_bytes_written,
     "varve_compaction_written_bytes_total", "", "Bytes that compactions wrote."},
    {"compaction_entries_in", &Statistics::compaction_entries_in,
     "varve_compaction_entries_in_total", "", "Versions that compactions read."},
    {"compaction_entries_out", &Statistics::compaction_entries_out,
     "varve_compaction_entries_out_total", "", "Versions that compactions kept."},
    {"spills", &Statistics::spills, "varve_spills_total", "",
     "Runs that transactions wrote beyond their share of memory."},
    {"spill_bytes_written", &Statistics::spill_bytes_written, "varve_spill_written_bytes_total", "",
     "Bytes of the runs that transactions wrote."},
    {"gets", &Statistics::gets, "varve_gets_total", "", "Point reads."},
    {"filter_probes", &Statistics::filter_probes, "varve_filter_probes_total", "",
     "Questions to filters whether a key may be in a run."},
    {"filter_negatives", &Statistics::filter_negatives, "varve_filter_negatives_total", "",
     "Questions to filters that were answered with no."},
    {"block_hits", &Statistics::block_hits, "varve_block_hits_total", "",
     "Blocks that were in the cache."},
    {"block_stored_hits", &Statistics::block_stored_hits, "varve_block_stored_hits_total", "",
     "Blocks that were in the cache as they are stored, compressed."},
    {"block_misses", &Statistics::block_misses, "varve_block_misses_total", "",
     "Blocks that had to be read."},
    {"blocks_evicted", &Statistics::blocks_evicted, "varve_blocks_evicted_total", "",
     "Blocks that the cache gave up for others."},
    {"write_stalls", &Statistics::write_stalls, "varve_write_stalls_total", "",
     "Waits of writes, for all reasons."},
    {"write_stall_micros", &Statistics::write_stall_micros, "varve_write_stall_seconds_total", "",
     "Time that writes waited, for all reasons."},
    {"transactions_begun", &Statistics::transactions_begun, "varve_transactions_begun_total", "",
     "Transactions begun."},
    {"transactions_committed", &Statistics::transactions_committed,
     "varve_transactions_committed_total", "", "Transactions committed that wrote."},
    {"transactions_committed_empty", &Statistics::transactions_committed_empty,
     "varve_transactions_committed_empty_total", "", "Transactions committed that wrote nothing."},
    {"transactions_rolled_back", &Statistics::transactions_rolled_back,
     "varve_transactions_rolled_back_total", "", "Transactions rolled back without a conflict."},
    {"transactions_unknown", &Statistics::transactions_unknown, "varve_transactions_unknown_total",
     "", "Transactions whose commit failed on the way to disk."},
    {"transactions_retried", &Statistics::transactions_retried, "varve_transactions_retried_total",
     "", "Transactions begun again after a conflict."},
    {"conflicts_on_write", &Statistics::conflicts_on_write, "varve_conflicts_total",
     "kind=\"write\"", "Transactions that lost, by what others wrote meanwhile."},
    {"conflicts_on_read", &Statistics::conflicts_on_read, "varve_conflicts_total", "kind=\"read\"",
     ""},
    {"conflicts_on_range", &Statistics::conflicts_on_range, "varve_conflicts_total",
     "kind=\"range\"", ""},
    {"conflicts_on_span", &Statistics::conflicts_on_span, "varve_conflicts_on_span_total", "",
     "Conflicts of kind range that may be false."},
    {"conflict_lookups", &Statistics::conflict_lookups, "varve_conflict_lookups_total", "",
     "Keys that the conflict table did not clear."},
    {"conflict_lookups_unchanged", &Statistics::conflict_lookups_unchanged,
     "varve_conflict_lookups_unchanged_total", "",
     "Keys that the conflict table did not clear, and that had not changed."},
    {"snapshots_open", &Statistics::snapshots_open, "varve_snapshots_open", "", "Open snapshots."},
    {"cursors_open", &Statistics::cursors_open, "varve_cursors_open", "", "Open cursors."},
    {"disk_bytes", &Statistics::disk_bytes, "varve_disk_bytes", "",
     "Files of the database, log segments included."},
    {"log_bytes", &Statistics::log_bytes, "varve_log_bytes", "", "Log segments."},
};

// Latencies likewise: histograms, to Prometheus.
struct LatencyField {
  const char* name;
  LatencyStatistics Statistics::*field;
  const char* metric;
  const char* help;
};

inline constexpr LatencyField kLatencyFields[] = {
    {"commit", &Statistics::commit_latency, "varve_commit_latency_seconds",
     "Commits that were timed, from the call to the acknowledgement."},
    {"get", &Statistics::get_latency, "varve_get_latency_seconds", "Point reads that were timed."},
};

// Its numbers one by one, for the file STATS.
struct LatencyNumber {
  const char* name;
  uint64_t LatencyStatistics::*field;
};
inline constexpr LatencyNumber kLatencyNumbers[] = {
    {"count", &LatencyStatistics::count},
    {"total_nanos", &LatencyStatistics::total_nanos},
    {"longest_nanos", &LatencyStatistics::longest_nanos},
    {"p50_nanos", &LatencyStatistics::p50_nanos},
    {"p95_nanos", &LatencyStatistics::p95_nanos},
    {"p99_nanos", &LatencyStatistics::p99_nanos},
    {"p999_nanos", &LatencyStatistics::p999_nanos},
};

}  // namespace varve
