// Programs of transactions under the deterministic scheduler and on real threads, each judged by
// the isolation checker (tests/support/transaction_programs.h).

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/schedule_point.h"
#include "base/scheduler.h"
#include "tests/support/seeded_test.h"
#include "tests/support/transaction_programs.h"

namespace varve::test {
namespace {

std::vector<uint8_t> random_program(Random* random) {
  std::vector<uint8_t> bytes(20 + random->below(600));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random->next());
  return bytes;
}

Input input_of(const std::vector<uint8_t>& bytes) { return Input(bytes.data(), bytes.size()); }

// What a campaign has seen.
struct Tally {
  uint64_t runs = 0;
  uint64_t steps = 0;
  uint64_t switches = 0;
  uint64_t snapshot = 0;
  uint64_t serializable = 0;
  uint64_t committed = 0;
  uint64_t conflicts = 0;
  uint64_t skews = 0;
  uint64_t retries = 0;
  uint64_t groups = 0;
  uint64_t cursors = 0;
  uint64_t direct = 0;
  uint64_t past = 0;
  uint64_t cancelled = 0;
  uint64_t timed_out = 0;
  uint64_t gone = 0;
  uint64_t closed = 0;
  uint64_t resolved = 0;
  uint64_t failed_opens = 0;
  uint64_t faults = 0;
  uint64_t crashes = 0;
  uint64_t unknown = 0;

  void add(const ProgramReport& report) {
    ++runs;
    snapshot += report.snapshot_transactions;
    serializable += report.serializable_transactions;
    committed += report.figures.committed;
    conflicts += report.conflicts;
    faults += report.faults;
    crashes += report.crashes;
    unknown += report.figures.unknown;
    for (const uint64_t count : report.allowed) skews += count;
    retries += report.retries;
    groups += report.groups;
    cursors += report.cursors;
    direct += report.direct;
    past += report.past;
    cancelled += report.cancelled;
    timed_out += report.timed_out;
    gone += report.gone;
    closed += report.closed;
    resolved += report.resolved;
    failed_opens += report.failed_opens;
  }
  void print(const char* what) const {
    const auto n = [](uint64_t count) { return static_cast<unsigned long long>(count); };
    std::printf(
        "%llu %s, %llu steps, %llu switches; transactions: %llu snapshot, "
        "%llu serializable; %llu conflicts, %llu retries of transact(), %llu allowed anomalies; "
        "%llu groups of batchers, %llu cursors kept open, %llu calls without a transaction, %llu "
        "of them reads of the past; %llu answers cancelled, %llu timed out, %llu that a keyspace "
        "is "
        "gone, %llu that the database is closed; %llu file calls failed, %llu opens failed, %llu "
        "losses of power, %llu outcomes unknown, %llu told by "
        "markers\n",
        n(runs), what, n(steps), n(switches), n(snapshot), n(serializable), n(conflicts),
        n(retries), n(skews), n(groups), n(cursors), n(direct), n(past), n(cancelled), n(timed_out),
        n(gone), n(closed), n(faults), n(failed_opens), n(crashes), n(unknown), n(resolved));
  }
};

#if defined(VARVE_SCHEDULER)
// Of one seed: programs, and the schedule.
struct Scheduled {
  ProgramReport programs;
  ScheduleReport schedule;
};
Scheduled run_scheduled_programs(uint64_t seed) {
  Random random(seed);
  const std::vector<uint8_t> bytes = random_program(&random);
  std::vector<uint8_t> schedule(random.below(400));
  for (uint8_t& byte : schedule) byte = static_cast<uint8_t>(random.next());
  RandomStrategy by_chance(random.next());
  PctStrategy by_priority(random.next(), 1 + random.below(6), 1 + random.below(60'000));
  BytesStrategy by_bytes(schedule);
  ScheduleStrategy* const strategies[] = {&by_chance, &by_priority, &by_bytes};
  Scheduled result;
  result.schedule = run_scheduled(
      strategies[random.below(3)],
      [&] { result.programs = run_transaction_programs(input_of(bytes)); },
      {.entropy_seed = seed,
       .nanos_per_step = program_nanos_per_step(static_cast<uint8_t>(random.next()))});
  return result;
}

// Seeds of what once came to a complaint.
TEST(TransactionScheduleTest, schedules_that_once_complained_do_no_more) {
  for (const uint64_t seed : {
           5569898778126316461u,  // the oracle missed writes to the scratch keyspace
       }) {
    EXPECT_EQ(run_scheduled_programs(seed).programs.complaint, "") << "seed " << seed;
  }
}

TEST(TransactionScheduleTest, every_schedule_keeps_isolation) {
  VARVE_SEEDED_TEST(random);
  Tally tally;
  const uint64_t iterations = test_iterations(300);
  run_scheduled_programs(random.next());  // what the process does but once is done
  for (uint64_t i = 0; i < iterations; ++i) {
    const uint64_t seed = random.next();
    const Scheduled result = run_scheduled_programs(seed);
    ASSERT_EQ(result.programs.complaint, "") << "schedule " << i << ", seed " << seed;
    tally.add(result.programs);
    tally.steps += result.schedule.steps;
    tally.switches += result.schedule.switches;
    if (i % 100 != 0) continue;
    // One in a hundred again: the same to the last switch.
    const Scheduled again = run_scheduled_programs(seed);
    ASSERT_EQ(result.schedule.trace_hash, again.schedule.trace_hash) << "seed " << seed;
    ASSERT_EQ(result.schedule.steps, again.schedule.steps);
    ASSERT_EQ(result.programs.figures.rows, again.programs.figures.rows);
  }
  tally.print("schedules");
  if (iterations < 100) return;
  // Else the programs would show nothing.
  EXPECT_GT(tally.committed, (tally.snapshot + tally.serializable) / 3);
  EXPECT_GT(tally.conflicts, 0u);
  EXPECT_GT(tally.skews, 0u);
  EXPECT_GT(tally.crashes, 0u);
  EXPECT_GT(tally.faults, tally.crashes);
  EXPECT_GT(tally.retries, 0u);
  EXPECT_GT(tally.groups, 0u);
  EXPECT_GT(tally.cursors, 0u);
  EXPECT_GT(tally.cancelled, 0u);
  EXPECT_GT(tally.gone, 0u);
  EXPECT_GT(tally.closed, 0u);
}
#endif  // VARVE_SCHEDULER

// The power is lost before each file call of a few programs: what is found afterwards is of each
// transaction all or nothing, and all of those that were acknowledged.
TEST(TransactionScheduleTest, losses_of_power_leave_transactions_whole_or_absent) {
  VARVE_SEEDED_TEST(random);
  Tally tally;
  for (uint64_t program = 0; program < test_iterations(2); ++program) {
    std::vector<uint8_t> bytes = random_program(&random);
    // Each call more is a run more, and longer runs.
    bytes.resize(std::min<size_t>(bytes.size(), 200));
    const uint64_t seed = random.next();
    for (uint64_t after = 0;; ++after) {
      const PlannedFault fault{.fault = ProgramFault::power, .after = after};
      ProgramReport report;
      const auto body = [&] { report = run_transaction_programs(input_of(bytes), fault); };
      if (kSchedulerBuilt) {
        RandomStrategy strategy(seed);
        run_scheduled(&strategy, body, {.entropy_seed = seed});
      } else {
        body();
      }
      ASSERT_EQ(report.complaint, "") << "program " << program << ", call " << after;
      tally.add(report);
      if (report.faults == 0) break;  // it makes no more calls
    }
  }
  tally.print("losses of power");
  EXPECT_GE(tally.crashes, tally.runs);
}

TEST(TransactionScheduleTest, real_threads_keep_isolation) {
  VARVE_SEEDED_TEST(random);
  Tally tally;
  const uint64_t iterations = test_iterations(100);
  for (uint64_t i = 0; i < iterations; ++i) {
    const ProgramReport report = run_transaction_programs(input_of(random_program(&random)));
    ASSERT_EQ(report.complaint, "") << "program " << i;
    tally.add(report);
  }
  tally.print("programs on real threads");
}

// What the fuzzer txn_schedule found worth keeping; under ThreadSanitizer this is where its
// programs meet real races.
TEST(TransactionScheduleTest, real_threads_run_the_fuzzers_corpus) {
  const std::filesystem::path corpus = VARVE_TEST_DATA_DIR "/../../fuzz/corpus/txn_schedule";
  Tally tally;
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
    const ProgramReport report =
        run_transaction_programs(split_programs(bytes.data(), bytes.size()).programs);
    EXPECT_EQ(report.complaint, "") << entry.path();
    tally.add(report);
  }
  tally.print("programs of the corpus");
  EXPECT_GE(tally.runs, 20u);
  EXPECT_GT(tally.snapshot + tally.serializable, 100u);
}

}  // namespace
}  // namespace varve::test
