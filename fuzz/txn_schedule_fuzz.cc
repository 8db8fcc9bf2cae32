// Consistency under concurrency: the bytes are programs of transactions for some threads, the
// faults that their database meets, the schedule by which the threads go on, and the pace of time.
//
// Oracle: the isolation checker over all that transactions saw, from before the first one to after
// the last crash; in the end nothing is held and the directory is in order
// (tests/support/transaction_programs.h). No schedule ends in a deadlock or a livelock
// (base/scheduler.h).

#include "tests/support/transaction_programs.h"

#include "base/scheduler.h"
#include "fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const varve::test::ScheduledPrograms input = varve::test::split_programs(data, size);
  varve::BytesStrategy strategy(input.schedule);
  varve::test::ProgramReport report;
  varve::run_scheduled(&strategy,
                       [&] { report = varve::test::run_transaction_programs(input.programs); },
                       {.nanos_per_step = input.nanos_per_step});
  FUZZ_CHECK_SAYING(report.complaint.empty(), report.complaint);
  return 0;
}
