// A loss of power at every call of a file, under every policy of what becomes of unsynced pages and
// names, and the death of the process alone; recovery; more writes; and again, inside the recovery
// too, three levels deep.
//
// After each recovery the database holds the state at one commit, not older than what was promised
// and not newer than what was asked for; whole batches across keyspaces, no holes (SimHistory).
// Then nothing that was read may be lost by what comes later.
//
//   VARVE_TEST_SEED        replays a run
//   VARVE_TEST_ITERATIONS  distinct states to recover from (default: a sample; tests/campaign.sh
//                          asks for more than a million)

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "tests/sim/sim_history.h"
#include "tests/sim/sim_workload.h"
#include "tests/support/seeded_test.h"
#include "tests/support/sim_file_system.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"

namespace varve::test {
namespace {

constexpr size_t kPowerPolicies = kPagePolicies * kNamePolicies;
// The last one: the power stays, and with it everything that was handed to the operating system.
constexpr size_t kPolicies = kPowerPolicies + 1;
constexpr int kDepthMax = 3;
constexpr uint64_t kWorkloadCalls = 2000;
// One in so many runs is made twice.
constexpr uint64_t kReplayOneIn = 100;
// One in so many recoveries is crashed into, up to kDepthMax.
constexpr uint64_t kBranchOneIn = 3;

using HistoryPtr = std::shared_ptr<SimHistory>;

// The disk at one call.
struct Moment {
  std::unique_ptr<SimFileSystem> files;
  HistoryPtr history;
  SimPromise promise;
  bool in_recovery = false;
};

struct Crash {
  std::unique_ptr<SimFileSystem> files;
  HistoryPtr history;
  SimPromise promise;   // also of a crash inside the recovery from this one
  SimPromise survives;  // of the promise, what this crash must leave
  bool in_recovery = false;
  int depth = 1;
  size_t policy = 0;
  uint64_t seed = 0;

  PagePolicy pages() const { return static_cast<PagePolicy>(policy / kNamePolicies); }
  NamePolicy names() const { return static_cast<NamePolicy>(policy % kNamePolicies); }
  std::string describe() const {
    const std::string where =
        " at depth " + std::to_string(depth) + (in_recovery ? " in recovery" : "");
    if (policy == kPowerPolicies) return "death of the process" + where;
    return "crash" + where + ", pages: " + page_policy_name(pages()) +
           ", names: " + name_policy_name(names());
  }
};

// STATS is for people: what it says makes no other state.
bool matters(const std::string& path) { return path.find("STATS") == std::string::npos; }

// A few moments out of as many as come, each as likely as any other.
class Reservoir {
 public:
  Reservoir(size_t size, uint64_t seed) : size_(size), random_(seed) {}
  // Whether the next moment is taken, and its place.
  std::optional<size_t> next() {
    const uint64_t place = random_.below(++seen_);
    if (seen_ <= size_) return seen_ - 1;
    return place < size_ ? std::optional<size_t>(place) : std::nullopt;
  }

 private:
  const size_t size_;
  Random random_;
  uint64_t seen_ = 0;
};

class Enumeration {
 public:
  Enumeration(uint64_t seed, uint64_t states_wanted) : random_(seed), wanted_(states_wanted) {}

  bool done() const { return states_ >= wanted_ || testing::Test::HasFailure(); }

  // One workload, and crashes at every call of it that changes something; under all policies, or as
  // many as `policies_per_call`.
  void run_workload(size_t policies_per_call, size_t value_size_max) {
    seen_.clear();  // file ids are drawn anew: no state comes twice in two workloads
    std::vector<Moment> moments = record_workload(value_size_max);
    calls_ += moments.size();
    for (const Moment& moment : moments) {
      const uint64_t first = random_.below(kPolicies);
      for (size_t i = 0; i < policies_per_call && !done(); ++i) {
        // By steps that have no factor in common with kPolicies.
        explore(crash(moment, (first + i * 5) % kPolicies, /*depth=*/1));
      }
    }
  }

  void print() const {
    std::printf(
        "%llu workloads, %llu calls that change files, %llu crashes, %llu distinct states, "
        "%llu of them inside recovery; %llu runs made twice\n",
        static_cast<unsigned long long>(workloads_), static_cast<unsigned long long>(calls_),
        static_cast<unsigned long long>(crashes_), static_cast<unsigned long long>(states_),
        static_cast<unsigned long long>(in_recovery_), static_cast<unsigned long long>(replays_));
    for (int depth = 0; depth < kDepthMax; ++depth) {
      std::printf("distinct states at depth %d%14s%10s%10s%10s\n", depth + 1,
                  name_policy_name(NamePolicy::lose_all), name_policy_name(NamePolicy::keep_all),
                  name_policy_name(NamePolicy::prefix), name_policy_name(NamePolicy::subset));
      for (size_t pages = 0; pages < kPagePolicies; ++pages) {
        std::printf("  %-24s", page_policy_name(static_cast<PagePolicy>(pages)));
        for (size_t names = 0; names < kNamePolicies; ++names) {
          std::printf("%10llu", static_cast<unsigned long long>(
                                    histogram_[depth][pages * kNamePolicies + names]));
        }
        std::printf("\n");
      }
      std::printf("  %-24s%10llu\n", "(death of the process)",
                  static_cast<unsigned long long>(histogram_[depth][kPowerPolicies]));
    }
  }

 private:
  std::vector<Moment> record_workload(size_t value_size_max) {
    ++workloads_;
    const uint64_t seed = random_.next();
    const ReplayedEntropy entropy(seed);
    Random seeds(seed);
    SimFileSystem disk(seeds.next());
    std::vector<Moment> moments;
    const SimWorkload* running = nullptr;
    uint64_t calls = 0;
    HookedFiles files(&disk, [&](const FileCall& call) {
      ++calls;
      if (!call.changes()) return Status();
      moments.push_back({disk.copy(), running->history(), running->promise(), false});
      return Status();
    });
    const HistoryPtr history = history_of_creation();
    SimWorkload workload(&files, history, {.submitted = 1}, seeds.next(),
                         {.value_size_max = value_size_max});
    running = &workload;
    EXPECT_OK(workload.open());
    if (testing::Test::HasFailure()) return {};
    workload.start_over(history, {.durable = 1, .written = 1, .submitted = 1});
    workload.make_keyspaces();
    while (calls < kWorkloadCalls && !testing::Test::HasFailure()) workload.step();
    workload.check_reads();
    static_cast<void>(workload.close());
    moments.push_back({disk.copy(), workload.history(), workload.promise(), false});
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
      crash.survives = crash.promise;
      crash.survives.durable = std::max(crash.promise.durable, crash.promise.written);
    } else {
      Random fates(crash.seed);
      crash.files = moment.files->crash(crash.pages(), crash.names(), &fates);
      crash.promise.written = crash.promise.durable;  // the rest was at the mercy of this crash
      crash.survives = crash.promise;
    }
    crash.in_recovery = moment.in_recovery;
    crash.depth = depth;
    return crash;
  }

  // A state that was recovered from, and what it turned out to be.
  struct Known {
    std::weak_ptr<SimHistory> history;
    SimHistory::Place place;
  };

  void explore(Crash crash) {
    SCOPED_TRACE(crash.describe());
    ++crashes_;
    const uint64_t hash = crash.files->state_hash(matters);
    const auto known = seen_.find(hash);
    if (known != seen_.end() && known->second.history.lock() == crash.history) {
      const SimHistory::Place& place = known->second.place;
      EXPECT_TRUE(place.logged >= crash.survives.durable &&
                  place.logged <= crash.survives.submitted &&
                  place.unlogged >= crash.survives.unlogged)
          << "commit " << place.logged << " (without a log " << place.unlogged
          << ") is recovered; promised were " << crash.survives.durable << " to "
          << crash.survives.submitted << " and " << crash.survives.unlogged;
      return;
    }
    std::unique_ptr<SimFileSystem> twin;
    if (random_.one_in(kReplayOneIn)) twin = crash.files->copy();
    const bool branches = crash.depth < kDepthMax && random_.one_in(kBranchOneIn);
    std::vector<Moment> moments;
    SimHistory::Place place;
    if (!recover(crash, branches, &moments, &place)) return;
    if (twin != nullptr) {
      ++replays_;
      const uint64_t trace = crash.files->trace_hash();
      crash.files = std::move(twin);
      std::vector<Moment> again;
      EXPECT_TRUE(recover(crash, branches, &again, &place));
      EXPECT_EQ(crash.files->trace_hash(), trace) << "the same run made other calls";
    }
    if (known == seen_.end()) {
      seen_[hash] = {crash.history, place};
      ++states_;
      in_recovery_ += crash.in_recovery ? 1 : 0;
      ++histogram_[crash.depth - 1][crash.policy];
    }
    for (const Moment& moment : moments) {
      if (testing::Test::HasFailure()) return;
      explore(this->crash(moment, random_.below(kPolicies), crash.depth + 1));
    }
  }

  // Opens, checks, and, if it is crashed into, goes on writing; false: a failure was reported.
  bool recover(const Crash& crash, bool branches, std::vector<Moment>* moments,
               SimHistory::Place* place) {
    const ReplayedEntropy entropy(crash.seed);
    Random seeds(crash.seed);
    SimFileSystem* disk = crash.files.get();
    bool opened = false;
    const SimWorkload* running = nullptr;
    Reservoir in_recovery(3, seeds.next());
    Reservoir afterwards(1, seeds.next());
    std::vector<Moment> chosen(4);
    HookedFiles files(disk, [&](const FileCall& call) {
      if (!branches || !call.changes()) return Status();
      if (const std::optional<size_t> at = (opened ? afterwards : in_recovery).next()) {
        chosen[opened ? 3 : *at] =
            opened ? Moment{disk->copy(), running->history(), running->promise(), false}
                   : Moment{disk->copy(), crash.history, crash.promise, true};
      }
      return Status();
    });
    SimWorkload workload(&files, crash.history, crash.promise, seeds.next(), {});
    running = &workload;
    const Status status = workload.open();
    EXPECT_OK(status);
    if (!status.ok()) return false;
    Result<SimState> found = read_state(workload.database());
    EXPECT_OK(found);
    if (!found.ok()) return false;
    if (seeds.one_in(4)) EXPECT_OK(workload.database()->verify());
    const std::optional<SimHistory::Place> is = crash.history->place(*found, crash.survives);
    if (!is) {
      ADD_FAILURE() << crash.history->describe(*found, crash.survives);
      return false;
    }
    *place = *is;
    opened = true;
    if (branches || seeds.one_in(8)) {
      // What was read stays, but without a log.
      workload.start_over(std::make_shared<SimHistory>(crash.history->merged(*place)), {});
      workload.steps(1 + seeds.below(12));
      workload.check_reads();
    }
    disk->power_off();
    workload.let_go();
    std::erase_if(chosen, [](const Moment& moment) { return moment.files == nullptr; });
    *moments = std::move(chosen);
    return !testing::Test::HasFailure();
  }

  Random random_;
  const uint64_t wanted_;
  std::unordered_map<uint64_t, Known> seen_;  // by hash of what is durable
  uint64_t workloads_ = 0;
  uint64_t calls_ = 0;
  uint64_t crashes_ = 0;
  uint64_t states_ = 0;
  uint64_t in_recovery_ = 0;
  uint64_t replays_ = 0;
  std::array<std::array<uint64_t, kPolicies>, kDepthMax> histogram_{};
};

TEST(CrashEnumeration, every_crash_recovers_to_a_promised_commit) {
  VARVE_SEEDED_TEST(random);
  const uint64_t wanted = test_iterations(8'000);
  Enumeration enumeration(random.next(), wanted);
  // All policies at each call where there are states enough to ask for.
  const size_t policies_per_call = std::clamp<size_t>(wanted / (2 * kWorkloadCalls), 1, kPolicies);
  for (uint64_t workload = 0; !enumeration.done(); ++workload) {
    // Every third fills log segments, so that they are crossed and recycled.
    enumeration.run_workload(policies_per_call, workload % 3 == 1 ? 12'000 : 400);
  }
  enumeration.print();
}

}  // namespace
}  // namespace varve::test
