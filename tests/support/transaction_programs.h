// Programs of transactions, and the judgement of what they saw: bytes say what some threads do to a
// small database on a simulated disk, which faults that meets, and when it loses power. Everything
// that transactions read, wrote and were told is recorded; the oracle is the isolation checker over
// the whole history, lives of the database after faults included, and the final state with it.
//
// So a transaction that is there in part, an acknowledged commit that is lost, a snapshot that is
// none, a conflict that was missed or that nothing explains, each is a complaint. Every byte string
// is a program.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "tests/support/faulty_disk.h"
#include "tests/support/input.h"
#include "varve/history.h"

namespace varve::test {

struct ProgramReport {
  std::string complaint;  // empty: there is none
  HistoryFigures figures;
  AnomalyCounts allowed{};  // as Verdict::allowed_counts
  uint64_t snapshot_transactions = 0;
  uint64_t serializable_transactions = 0;
  uint64_t conflicts = 0;
  uint64_t retries = 0;    // of transact()
  uint64_t groups = 0;     // of batchers, committed
  uint64_t cursors = 0;    // kept open across steps of a transaction
  uint64_t direct = 0;     // reads and writes without a transaction
  uint64_t past = 0;       // of these, reads of the past
  uint64_t cancelled = 0;  // answers
  uint64_t timed_out = 0;
  uint64_t gone = 0;          // answers that a keyspace is
  uint64_t closed = 0;        // answers
  uint64_t resolved = 0;      // unknown outcomes that a marker told
  uint64_t failed_opens = 0;  // which were repeated without the fault
  uint64_t faults = 0;        // file calls that failed
  uint64_t crashes = 0;       // losses of power
};

// Virtual time that a step may take, from a byte. Not much more than 200 ns: threads that look for
// something every 50 us (EpochDomain::drain()) would take turns in looking, and let no other go on.
uint64_t program_nanos_per_step(uint8_t choice);

// A fuzzer's input: two bytes of length, the pace of time, programs, and the bytes of a schedule
// (BytesStrategy).
struct ScheduledPrograms {
  Input programs;
  uint64_t nanos_per_step;
  std::span<const uint8_t> schedule;
};
ScheduledPrograms split_programs(const uint8_t* data, size_t size);

// `fault` in the place of the one that the input says. Starts its threads with base/thread.h: under
// a scheduler they are its.
ProgramReport run_transaction_programs(Input input, std::optional<PlannedFault> fault = {});

}  // namespace varve::test
