// Every call of a file met by every error that can happen to it, once and for ever; and a disk that
// is full from each call on that needs room. Nothing acknowledged is lost, no answer is wrong, an
// error is a status; a failed sync of log or manifest makes the store read-only until it is opened
// again; a full disk fails writes cleanly, leaves reads alone, and heals by itself.
//
// A read that lies (short, flipped, stale, misdirected) may make the end of the log, or of the
// manifest, look torn: what nothing attests is then lost. Those are counted apart.
//
//   VARVE_TEST_SEED        replays a run
//   VARVE_TEST_ITERATIONS  faults to try in each test (default: a sample; tests/campaign.sh tries
//   all)

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tests/sim/sim_history.h"
#include "tests/sim/sim_workload.h"
#include "tests/support/seeded_test.h"
#include "tests/support/sim_file_system.h"
#include "tests/support/status_check.h"

namespace varve::test {
namespace {

using Kind = FileCall::Kind;

constexpr uint64_t kStepsEachSession = 45;
constexpr int kSessions = 3;

std::vector<SimError> errors_of(Kind kind) {
  switch (kind) {
    case Kind::read:
      return {SimError::io_error, SimError::short_read, SimError::bit_flip, SimError::stale_sector,
              SimError::misdirected_sector};
    case Kind::write:
    case Kind::sync:
    case Kind::allocate:
    case Kind::rename:
      return {SimError::io_error, SimError::no_space};
    case Kind::create:
      return {SimError::io_error, SimError::no_space, SimError::too_many_open};
    case Kind::open_read:
    case Kind::open_write:
    case Kind::lock:
      return {SimError::io_error, SimError::too_many_open};
    default:
      return {SimError::io_error};
  }
}

bool lies(SimError error) { return error >= SimError::short_read; }

const char* kind_name(Kind kind) {
  constexpr std::array<const char*, kFileCallKinds> kNames = {
      "open_read",      "open_write", "create", "read",   "write",  "sync",
      "truncate",       "allocate",   "close",  "remove", "rename", "create_directory",
      "sync_directory", "lock",       "size",   "info",   "list",   "expect_random_reads",
      "read_ahead"};
  return kNames[static_cast<size_t>(kind)];
}

const char* type_name(FileType type) {
  constexpr std::array<const char*, 11> kNames = {"sstable",  "values",    "wal",      "free_wal",
                                                  "manifest", "CURRENT",   "LOCK",     "LOG",
                                                  "STATS",    "temporary", "directory"};
  return kNames[static_cast<size_t>(type)];
}

class FaultEnumeration : public testing::Test {
 protected:
  // Sessions of one workload on `disk`, whatever fails; `each_step` is called after every
  // operation.
  template <typename EachStep>
  void run_sessions(SimWorkload* workload, EachStep each_step) {
    for (int session = 0; session < kSessions; ++session) {
      // What failed once is tried again.
      for (int i = 0; i < 3 && workload->database() == nullptr; ++i) {
        session_begins();
        const Status status = workload->open();
        if (status.ok()) break;
        EXPECT_NE(status.code(), StatusCode::invalid_argument) << status.to_string();
        each_step();
      }
      if (workload->database() == nullptr) continue;
      session_opened();
      each_step();
      if (workload->database()->keyspaces().size() == 1) {
        workload->make_keyspaces();
        each_step();
      }
      for (uint64_t i = 0; i < kStepsEachSession && !HasFailure(); ++i) {
        workload->step();
        each_step();
      }
      workload->check_reads();
      if (session + 1 < kSessions) static_cast<void>(workload->close());
      each_step();
    }
  }
  virtual void session_begins() {}
  virtual void session_opened() {}

  static SimWorkload::Settings settings() {
    return {.value_size_max = 700, .reopens = false, .may_fail = true, .logs_to_file = true};
  }
};

class ErrorEnumeration : public FaultEnumeration {
 protected:
  void session_begins() override { met_before_ = disk_->faults_met(); }
  void session_opened() override { met_before_ = disk_->faults_met(); }

  // What is called when nothing fails.
  std::vector<SimFileSystem::Call> calls(uint64_t seed) {
    const ReplayedEntropy entropy(seed);
    Random seeds(seed);
    disk_ = std::make_unique<SimFileSystem>(seeds.next());
    disk_->record_trace();
    SimWorkload workload(disk_.get(), history_of_creation(), {.submitted = 1}, seeds.next(),
                         settings());
    run_sessions(&workload, [] {});
    std::vector<SimFileSystem::Call> calls = disk_->trace();
    static_cast<void>(workload.close());
    return calls;
  }

  void run(uint64_t seed, const FaultRule& rule) {
    SCOPED_TRACE(std::string(sim_error_name(rule.error)) + (rule.sticky ? " from " : " at ") +
                 std::to_string(rule.nth) + " of " + kind_name(*rule.call) + " on " +
                 type_name(*rule.file) + ", workload " + std::to_string(seed));
    const ReplayedEntropy entropy(seed);
    Random seeds(seed);
    disk_ = std::make_unique<SimFileSystem>(seeds.next());
    disk_->inject(rule);
    const bool log_or_manifest = *rule.file == FileType::wal || *rule.file == FileType::manifest;
    const bool freezes = *rule.call == Kind::sync && log_or_manifest;
    SimWorkload::Settings settings = this->settings();
    settings.may_lose_end = lies(rule.error) && *rule.file == FileType::wal;
    settings.may_lose_edits = lies(rule.error) && *rule.file == FileType::manifest;
    auto workload = std::make_unique<SimWorkload>(
        disk_.get(), history_of_creation(), SimPromise{.submitted = 1}, seeds.next(), settings);
    run_sessions(workload.get(), [&] {
      if (workload->database() == nullptr) return;
      if (freezes && disk_->faults_met() > met_before_) workload->expect_refusals();
    });
    if (disk_->faults_met() != 0) ++met_;
    lost_ends_ += workload->ends_lost();
    disk_->clear_faults();
    // The end: an orderly one, the death of the process, or a loss of power.
    const uint64_t end = seeds.below(3);
    SimPromise promise = workload->promise();
    const std::shared_ptr<SimHistory> history = workload->history();
    std::unique_ptr<SimFileSystem> left;
    if (end == 0) {
      static_cast<void>(workload->close());
      promise = workload->promise();
      left = disk_->copy();
    } else if (end == 1) {
      left = disk_->copy();
    } else {
      Random fates(seeds.next());
      left = disk_->crash(PagePolicy::any, NamePolicy::subset, &fates);
    }
    disk_->power_off();
    workload.reset();
    if (settings.may_lose_edits && lost_edits(left.get(), seeds.next())) return;
    expect_recovers(left.get(), history, promise, seeds.next(), settings.may_lose_edits);
  }

  // What a lie hid of the manifest was taken for debris, and removed: that it is missing shows when
  // the manifest is read whole again.
  bool lost_edits(SimFileSystem* files, uint64_t seed) {
    const std::unique_ptr<SimFileSystem> copy = files->copy();
    SimWorkload attempt(copy.get(), history_of_creation(), {}, seed, {});
    if (attempt.open().code() != StatusCode::corruption) return false;
    ++lost_ends_;
    return true;
  }

  void expect_recovers(SimFileSystem* files, const std::shared_ptr<SimHistory>& history,
                       const SimPromise& promise, uint64_t seed, bool may_lose_edits) {
    SimWorkload after(files, history, promise, seed, {.may_lose_edits = may_lose_edits});
    const Status status = after.open();
    ASSERT_OK(status);
    lost_ends_ += after.ends_lost();
    Result<SimState> found = read_state(after.database());
    ASSERT_OK(found);
    const std::optional<SimHistory::Place> place = history->place(*found, promise);
    ASSERT_TRUE(place || may_lose_edits) << history->describe(*found, promise);
    EXPECT_OK(after.database()->verify());
    after.start_over(std::make_shared<SimHistory>(*found), {});
    after.expect_writable();
    EXPECT_OK(after.close());
  }

  std::unique_ptr<SimFileSystem> disk_;
  uint64_t met_before_ = 0;
  uint64_t met_ = 0;
  uint64_t lost_ends_ = 0;
};

TEST_F(ErrorEnumeration, no_error_at_any_call_loses_what_was_acknowledged) {
  VARVE_SEEDED_TEST(random);
  const uint64_t seed = random.next();
  // The nth call of a kind on a kind of file is the same one in every run, up to the fault.
  std::vector<FaultRule> rules;
  std::map<std::pair<Kind, FileType>, uint64_t> seen;
  const std::vector<SimFileSystem::Call> calls = this->calls(seed);
  for (const SimFileSystem::Call& call : calls) {
    const uint64_t nth = seen[{call.kind, call.file}]++;
    for (const SimError error : errors_of(call.kind)) {
      for (const bool sticky : {false, true}) {
        rules.push_back(
            {.error = error, .call = call.kind, .file = call.file, .nth = nth, .sticky = sticky});
      }
    }
  }
  const uint64_t wanted = std::min<uint64_t>(test_iterations(500), rules.size());
  std::map<std::string, uint64_t> tried;
  const TestPart part = test_part(wanted);
  for (uint64_t i = part.begin; i < part.end && !HasFailure(); ++i) {
    // Spread evenly, at a random place of each share.
    const uint64_t from = i * rules.size() / wanted;
    const uint64_t to = (i + 1) * rules.size() / wanted;
    const FaultRule& rule = rules[from + random.below(to - from)];
    run(seed, rule);
    ++tried[std::string(kind_name(*rule.call)) + " " + sim_error_name(rule.error)];
  }
  std::printf(
      "%zu calls, %zu faults, %llu tried, %llu met, %llu ends of log or manifest lost to a lie\n",
      calls.size(), rules.size(), static_cast<unsigned long long>(part.end - part.begin),
      static_cast<unsigned long long>(met_), static_cast<unsigned long long>(lost_ends_));
  for (const auto& [name, count] : tried) {
    std::printf("  %-32s%8llu\n", name.c_str(), static_cast<unsigned long long>(count));
  }
}

class FullDiskEnumeration : public FaultEnumeration {
 protected:
  // Full from call `nth` of those that need room; false: there are not so many.
  bool run(uint64_t seed, uint64_t nth) {
    SCOPED_TRACE("full at " + std::to_string(nth) + ", workload " + std::to_string(seed));
    const ReplayedEntropy entropy(seed);
    Random seeds(seed);
    SimFileSystem disk(seeds.next());
    uint64_t calls = 0;
    bool full = false;
    HookedFiles files(&disk, [&](const FileCall& call) {
      const bool needs_room =
          call.kind == Kind::write || call.kind == Kind::allocate || call.kind == Kind::create;
      if (needs_room && calls++ == nth) {
        disk.set_capacity(disk.used_bytes());
        full = true;
      }
      return Status();
    });
    SimWorkload workload(&files, history_of_creation(), {.submitted = 1}, seeds.next(), settings());
    const auto make_room = [&] {
      disk.set_capacity(UINT64_MAX);
      full = false;
      if (workload.database() == nullptr) ASSERT_OK(workload.open());
      workload.expect_writable();
    };
    uint64_t steps_full = 0;
    run_sessions(&workload, [&] {
      EXPECT_FALSE(workload.read_only()) << "a full disk does not heal";
      if (!full) return;
      if (workload.database() != nullptr) {
        Result<SimState> found = read_state(workload.database());
        EXPECT_OK(found);
      }
      if (++steps_full == kStepsFull) make_room();
    });
    if (full) make_room();
    if (!workload.close().ok()) {  // it may become full just then
      EXPECT_TRUE(full);
      make_room();
      EXPECT_OK(workload.close());
    }
    return calls > nth;
  }

  static constexpr uint64_t kStepsFull = 12;
};

TEST_F(FullDiskEnumeration, writes_resume_by_themselves_when_there_is_room_again) {
  VARVE_SEEDED_TEST(random);
  const uint64_t seed = random.next();
  const uint64_t wanted = test_iterations(60);
  // How many there are is known only at the end.
  uint64_t tried = 0;
  uint64_t step = wanted < 300 ? 300 / wanted : 1;
  for (uint64_t nth = 0; run(seed, nth) && !HasFailure(); nth += 1 + random.below(2 * step - 1)) {
    ++tried;
  }
  std::printf("full at %llu calls that need room\n", static_cast<unsigned long long>(tried));
}

}  // namespace
}  // namespace varve::test
