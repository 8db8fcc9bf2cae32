// Tables on a disk that loses power, or fails, at every call of a file: rows, indexes and catalog
// are those of one commit, not older than what was promised and not newer than what was asked for;
// rows and indexes agree; what the catalog does not know is not there. Then builds that were broken
// off are ended, and all that was dropped is erased.
//
//   VARVE_TEST_SEED        replays a run
//   VARVE_TEST_ITERATIONS  of each test: distinct states to recover from, or errors to try
//                          (default: a sample; tests/campaign.sh asks for more)

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tests/support/directory_complaints.h"
#include "tests/support/seeded_test.h"
#include "tests/support/sim_file_system.h"
#include "tests/support/status_check.h"
#include "tests/table/tables_workload.h"

namespace varve::test {
namespace {

using Kind = FileCall::Kind;
using HistoryPtr = std::shared_ptr<TablesHistory>;

// What becomes of pages and names when the power is lost; the last one: it is not, the process
// dies.
constexpr size_t kPowerPolicies = kPagePolicies * kNamePolicies;
constexpr size_t kPolicies = kPowerPolicies + 1;
constexpr int kDepthMax = 3;
constexpr uint64_t kSteps = 120;
// One in so many recoveries is crashed into.
constexpr uint64_t kBranchOneIn = 4;
// And one in so many goes on to the end of what was broken off.
constexpr uint64_t kFinishOneIn = 3;

HistoryPtr no_tables() { return std::make_shared<TablesHistory>(TablesModel{}); }

// STATS is for people: what it says makes no other state.
bool matters(const std::string& path) { return path.find("STATS") == std::string::npos; }

void expect_tidy(FileSystem* files) {
  for (const std::string& complaint : directory_complaints(files, kTablesDirectory)) {
    if (complaint.find("STATS.tmp") == std::string::npos) ADD_FAILURE() << complaint;
  }
}

// The disk at one call.
struct Moment {
  std::unique_ptr<SimFileSystem> files;
  HistoryPtr history;
  CommitPromise promise;
  bool in_recovery = false;
};

struct Crash {
  std::unique_ptr<SimFileSystem> files;
  HistoryPtr history;
  CommitPromise promise;  // also of a crash inside the recovery from this one
  uint64_t survives = 0;  // the commit that this crash must leave
  bool in_recovery = false;
  int depth = 1;
  size_t policy = 0;
  uint64_t seed = 0;

  std::string describe() const {
    const std::string where =
        " at depth " + std::to_string(depth) + (in_recovery ? " in recovery" : "");
    if (policy == kPowerPolicies) return "death of the process" + where;
    return "crash" + where +
           ", pages: " + page_policy_name(static_cast<PagePolicy>(policy / kNamePolicies)) +
           ", names: " + name_policy_name(static_cast<NamePolicy>(policy % kNamePolicies));
  }
};

class TableCrashes {
 public:
  TableCrashes(uint64_t seed, uint64_t states_wanted) : random_(seed), wanted_(states_wanted) {}

  bool done() const { return states_ >= wanted_ || testing::Test::HasFailure(); }

  // One workload, and crashes at calls of it, drawn like the policy of each, until there are so
  // many states.
  void run_workload(uint64_t states_of_it) {
    seen_.clear();  // file ids are drawn anew: no state comes twice in two workloads
    const std::vector<Moment> moments = record_workload();
    const uint64_t enough = std::min(wanted_, states_ + states_of_it);
    // Many a crash leaves a state that was there before: no more than so many are tried.
    const uint64_t crashes = 4 * states_of_it;
    for (uint64_t i = 0; i < crashes && states_ < enough && !done(); ++i) {
      const Moment& moment = moments[random_.below(moments.size())];
      explore(crash(moment, random_.below(kPolicies), /*depth=*/1));
    }
  }
  // One workload, and crashes at every call of it, under all policies.
  void run_whole_workload() {
    seen_.clear();
    for (const Moment& moment : record_workload()) {
      for (size_t policy = 0; policy < kPolicies && !done(); ++policy) {
        explore(crash(moment, policy, /*depth=*/1));
      }
    }
  }

  // Some in the middle of a build, of a drop, and of a recovery.
  void expect_all_kinds() const {
    EXPECT_GT(builds_, 0u);
    EXPECT_GT(leftovers_, 0u);
    EXPECT_GT(in_recovery_, 0u);
  }
  void print() const {
    std::printf(
        "tables: %llu workloads, %llu calls, %llu crashes, %llu different states, %llu of these "
        "inside recovery, %llu with a build, %llu with leftovers\n",
        static_cast<unsigned long long>(workloads_), static_cast<unsigned long long>(calls_),
        static_cast<unsigned long long>(crashes_), static_cast<unsigned long long>(states_),
        static_cast<unsigned long long>(in_recovery_), static_cast<unsigned long long>(builds_),
        static_cast<unsigned long long>(leftovers_));
  }

 private:
  std::vector<Moment> record_workload() {
    ++workloads_;
    const uint64_t seed = random_.next();
    const ReplayedEntropy entropy(seed);
    Random seeds(seed);
    SimFileSystem disk(seeds.next());
    std::vector<Moment> moments;
    const TablesWorkload* running = nullptr;
    HookedFiles files(&disk, [&](const FileCall& call) {
      if (!call.changes()) return Status();
      moments.push_back({disk.copy(), running->history(), running->promise(), false});
      return Status();
    });
    TablesWorkload workload(&files, no_tables(), {}, seeds.next(), {});
    running = &workload;
    EXPECT_OK(workload.open());
    if (testing::Test::HasFailure()) return {};
    workload.fill();
    for (uint64_t i = 0; i < kSteps && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE("step " + std::to_string(i) + " of workload " + std::to_string(seed));
      workload.step();
      EXPECT_FALSE(workload.broken());
    }
    workload.finish();
    EXPECT_OK(workload.close());
    moments.push_back({disk.copy(), workload.history(), workload.promise(), false});
    calls_ += moments.size();
    return moments;
  }

  Crash crash(const Moment& moment, size_t policy, int depth) {
    Crash crash;
    crash.policy = policy;
    crash.seed = random_.next();
    crash.history = moment.history;
    crash.promise = moment.promise;
    if (policy == kPowerPolicies) {
      crash.files = moment.files->copy();
      crash.survives = std::max(crash.promise.durable, crash.promise.written);
    } else {
      Random fates(crash.seed);
      crash.files = moment.files->crash(static_cast<PagePolicy>(policy / kNamePolicies),
                                        static_cast<NamePolicy>(policy % kNamePolicies), &fates);
      crash.promise.written = crash.promise.durable;  // the rest was at the mercy of this crash
      crash.survives = crash.promise.durable;
    }
    crash.in_recovery = moment.in_recovery;
    crash.depth = depth;
    return crash;
  }

  // A state that was recovered from, and what it turned out to be.
  struct Known {
    std::weak_ptr<TablesHistory> history;
    uint64_t commit = 0;
  };

  void explore(Crash crash) {
    SCOPED_TRACE(crash.describe());
    ++crashes_;
    const uint64_t hash = crash.files->state_hash(matters);
    const auto known = seen_.find(hash);
    if (known != seen_.end() && known->second.history.lock() == crash.history) {
      // Some commits change nothing: another one with the same state does as well.
      const TablesModel& state = crash.history->state(known->second.commit);
      CommitPromise promise = crash.promise;
      promise.durable = crash.survives;
      if (!crash.history->place(state, promise)) {
        ADD_FAILURE() << crash.history->describe(state, promise);
      }
      return;
    }
    const bool branches = crash.depth < kDepthMax && random_.one_in(kBranchOneIn);
    std::vector<Moment> moments;
    const std::optional<uint64_t> commit = recover(crash, branches, &moments);
    if (!commit) return;
    if (known == seen_.end()) {
      seen_[hash] = {crash.history, *commit};
      ++states_;
      in_recovery_ += crash.in_recovery ? 1 : 0;
    }
    for (const Moment& moment : moments) {
      if (testing::Test::HasFailure()) return;
      explore(this->crash(moment, random_.below(kPolicies), crash.depth + 1));
    }
  }

  // Opens, checks, goes on; the commit that was found. Nothing: a failure was reported.
  std::optional<uint64_t> recover(const Crash& crash, bool branches, std::vector<Moment>* moments) {
    const ReplayedEntropy entropy(crash.seed);
    Random seeds(crash.seed);
    SimFileSystem* disk = crash.files.get();
    bool opened = false;
    const TablesWorkload* running = nullptr;
    // One in recovery, one afterwards; each call as likely as any other.
    std::array<Moment, 2> chosen;
    std::array<uint64_t, 2> calls{};
    HookedFiles files(disk, [&](const FileCall& call) {
      if (!branches || !call.changes()) return Status();
      if (!seeds.one_in(++calls[opened])) return Status();
      chosen[opened] = opened ? Moment{disk->copy(), running->history(), running->promise(), false}
                              : Moment{disk->copy(), crash.history, crash.promise, true};
      return Status();
    });
    CommitPromise promise = crash.promise;
    promise.durable = crash.survives;
    TablesWorkload workload(&files, crash.history, promise, seeds.next(), {});
    running = &workload;
    const Status status = workload.open();
    EXPECT_OK(status);
    const std::optional<uint64_t> commit = status.ok() ? workload.adopt() : std::nullopt;
    if (!commit || testing::Test::HasFailure()) return std::nullopt;
    opened = true;
    const bool is_building = workload.is_building();
    const bool has_leftovers = !check_leftovers(workload.database(), true).ok();
    builds_ += is_building ? 1 : 0;
    leftovers_ += has_leftovers ? 1 : 0;
    if (is_building || has_leftovers || branches || seeds.one_in(kFinishOneIn)) {
      for (uint64_t steps = branches ? 1 + seeds.below(6) : 0; steps > 0; --steps) workload.step();
      workload.finish();
    }
    disk->power_off();
    workload.let_go();
    for (Moment& moment : chosen) {
      if (moment.files != nullptr) moments->push_back(std::move(moment));
    }
    return testing::Test::HasFailure() ? std::nullopt : commit;
  }

  Random random_;
  const uint64_t wanted_;
  std::unordered_map<uint64_t, Known> seen_;  // by hash of what is durable
  uint64_t workloads_ = 0;
  uint64_t calls_ = 0;
  uint64_t crashes_ = 0;
  uint64_t states_ = 0;
  uint64_t in_recovery_ = 0;
  uint64_t builds_ = 0;
  uint64_t leftovers_ = 0;
};

TEST(TableCrash, every_crash_leaves_rows_and_indexes_of_one_commit) {
  VARVE_SEEDED_TEST(random);
  constexpr uint64_t kSample = 800;
  const uint64_t wanted = test_iterations(kSample);
  TableCrashes crashes(random.next(), wanted);
  while (!crashes.done()) {
    if (wanted >= 20 * kSample) {
      crashes.run_whole_workload();
    } else {
      crashes.run_workload(kSample / 4);
    }
  }
  crashes.print();
  if (wanted >= kSample) crashes.expect_all_kinds();
}

// -- errors --

std::vector<SimError> errors_of(Kind kind) {
  switch (kind) {
    case Kind::write:
    case Kind::sync:
    case Kind::allocate:
    case Kind::rename:
    case Kind::create:
      return {SimError::io_error, SimError::no_space};
    default:
      return {SimError::io_error};
  }
}

class TableErrors {
 public:
  explicit TableErrors(uint64_t seed) : seed_(seed) {}

  // What is called when nothing fails.
  std::vector<SimFileSystem::Call> calls() {
    const ReplayedEntropy entropy(seed_);
    Random seeds(seed_);
    SimFileSystem disk(seeds.next());
    disk.record_trace();
    TablesWorkload workload(&disk, no_tables(), {}, seeds.next(), {.may_fail = true});
    EXPECT_OK(workload.open());
    run(&workload);
    std::vector<SimFileSystem::Call> calls = disk.trace();
    EXPECT_OK(workload.close());
    return calls;
  }

  void fail_at(const FaultRule& rule) {
    const ReplayedEntropy entropy(seed_);
    Random seeds(seed_);
    SimFileSystem disk(seeds.next());
    disk.inject(rule);
    TablesWorkload workload(&disk, no_tables(), {}, seeds.next(), {.may_fail = true});
    Status opened = workload.open();
    if (!opened.ok()) opened = workload.open();  // once
    ASSERT_OK(opened);
    run(&workload);
    ++tried_;
    met_ += disk.faults_met() != 0 ? 1 : 0;
    broken_ += workload.broken() ? 1 : 0;
    disk.clear_faults();
    // The end: an orderly one, the death of the process, or a loss of power.
    CommitPromise promise = workload.promise();
    std::unique_ptr<SimFileSystem> left;
    switch (seeds.below(3)) {
      case 0:
        static_cast<void>(workload.close());
        promise = workload.promise();
        left = disk.copy();
        break;
      case 1:
        // A sync that failed may have lost what was written, whatever comes after it.
        left = disk.copy();
        break;
      default:
        Random fates(seeds.next());
        left = disk.crash(PagePolicy::any, NamePolicy::subset, &fates);
    }
    const HistoryPtr history = workload.history();
    disk.power_off();
    workload.let_go();
    TablesWorkload after(left.get(), history, promise, seeds.next(), {});
    ASSERT_OK(after.open());
    if (!after.adopt()) return;
    after.step();
    after.finish();
    ASSERT_OK(after.database()->verify());
    ASSERT_OK(after.close());
    expect_tidy(left.get());
  }

  uint64_t tried() const { return tried_; }
  uint64_t met() const { return met_; }
  uint64_t broken() const { return broken_; }

 private:
  static constexpr uint64_t kStepsOfErrors = 40;

  // Until only reopening tells what is there.
  static void run(TablesWorkload* workload) {
    workload->fill();
    for (uint64_t i = 0; i < kStepsOfErrors && !workload->broken(); ++i) {
      if (testing::Test::HasFailure()) return;
      workload->step();
    }
  }

  const uint64_t seed_;
  uint64_t tried_ = 0;
  uint64_t met_ = 0;
  uint64_t broken_ = 0;
};

TEST(TableCrash, no_error_at_any_call_parts_rows_and_indexes) {
  VARVE_SEEDED_TEST(random);
  TableErrors errors(random.next());
  // The nth call of a kind on a kind of file is the same one in every run, up to the fault.
  std::vector<FaultRule> rules;
  std::map<std::pair<Kind, FileType>, uint64_t> seen;
  for (const SimFileSystem::Call& call : errors.calls()) {
    const uint64_t nth = seen[{call.kind, call.file}]++;
    for (const SimError error : errors_of(call.kind)) {
      rules.push_back({.error = error, .call = call.kind, .file = call.file, .nth = nth});
    }
  }
  ASSERT_FALSE(rules.empty());
  const uint64_t wanted = std::min<uint64_t>(test_iterations(60), rules.size());
  const TestPart part = test_part(wanted);
  for (uint64_t i = part.begin; i < part.end && !testing::Test::HasFailure(); ++i) {
    // Spread evenly, at a random place of each share.
    const uint64_t from = i * rules.size() / wanted;
    const uint64_t to = (i + 1) * rules.size() / wanted;
    const FaultRule& rule = rules[from + random.below(to - from)];
    SCOPED_TRACE(std::string(sim_error_name(rule.error)) + " at " + std::to_string(rule.nth) +
                 " of calls of kind " + std::to_string(static_cast<int>(*rule.call)) +
                 " on files of type " + std::to_string(static_cast<int>(*rule.file)));
    errors.fail_at(rule);
  }
  std::printf("tables: %zu possible errors, %llu tried, %llu met, %llu told by reopening\n",
              rules.size(), static_cast<unsigned long long>(errors.tried()),
              static_cast<unsigned long long>(errors.met()),
              static_cast<unsigned long long>(errors.broken()));
  EXPECT_GT(errors.met(), 0u);
}

}  // namespace
}  // namespace varve::test
