// A simulated disk that fails, or loses power, once so many calls have changed something: what
// programs of transactions run on.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/random.h"
#include "base/schedule_point.h"
#include "tests/support/hooked_files.h"
#include "tests/support/sim_file_system.h"

namespace varve::test {

enum class ProgramFault : uint8_t {
  none,
  // Of a file call that changes something: it does nothing and fails.
  error_once,
  error_for_ever,
  no_space_once,
  power,
  // Of a sync: what it was to make durable never will be, whatever is synced later; and some calls
  // after it the power is lost.
  sync_then_power,
  // Of a write, which is carried out in part.
  torn_write,
  full_write,
  read_error,
};

// Of the `after`-th such call from then on.
struct PlannedFault {
  ProgramFault fault = ProgramFault::none;
  uint64_t after = 0;
  bool loses_power() const {
    return fault == ProgramFault::power || fault == ProgramFault::sync_then_power;
  }
};

// The disk under one database: it fails, or loses power, as was planned.
class FaultyDisk {
 public:
  FaultyDisk() { start(); }
  FileSystem* files() { return files_.get(); }
  void arm(const PlannedFault& planned) {
    using Kind = FileCall::Kind;
    after_.store(planned.after);
    switch (planned.fault) {
      case ProgramFault::sync_then_power:
        // A byte says both: which sync, and how long afterwards.
        after_.store(planned.after / 16);
        disk_->inject({.error = SimError::io_error, .call = Kind::sync, .nth = planned.after % 16});
        break;
      case ProgramFault::torn_write:
      case ProgramFault::full_write:
        disk_->inject({.error = planned.fault == ProgramFault::torn_write ? SimError::io_error
                                                                          : SimError::no_space,
                       .call = Kind::write,
                       .nth = planned.after});
        break;
      case ProgramFault::read_error:
        disk_->inject({.error = SimError::io_error, .call = Kind::read, .nth = planned.after % 64});
        break;
      default:
        break;
    }
    fault_.store(planned.fault);
  }
  void disarm() {
    fault_.store(ProgramFault::none);
    disk_->clear_faults();
  }
  uint64_t failed() const { return failed_.load() + failed_before_ + disk_->faults_met(); }
  void cut_power(PagePolicy pages, NamePolicy names, uint64_t seed) {
    Random fates(seed);
    failed_before_ += disk_->faults_met();
    disk_ = disk_->crash(pages, names, &fates);
    start();
  }

 private:
  void start() {
    disarm();
    files_ = std::make_unique<HookedFiles>(disk_.get(),
                                           [this](const FileCall& call) { return ask(call); });
  }
  Status ask(const FileCall& call) {
    schedule_point();
    const ProgramFault fault = fault_.load();
    if (!call.changes()) return Status();
    switch (fault) {
      case ProgramFault::error_once:
      case ProgramFault::error_for_ever:
      case ProgramFault::no_space_once:
      case ProgramFault::power:
        break;
      case ProgramFault::sync_then_power:
        if (disk_->faults_met() == 0) return Status();
        break;
      default:
        return Status();
    }
    for (uint64_t left = after_.load(); left > 0;) {
      if (after_.compare_exchange_weak(left, left - 1)) return Status();
    }
    failed_.fetch_add(1);
    switch (fault) {
      case ProgramFault::error_once:
        disarm();
        return Status::io_error(call.path + ": failed once");
      case ProgramFault::no_space_once:
        disarm();
        return Status::no_space(call.path + ": full once");
      case ProgramFault::error_for_ever:
        return Status::io_error(call.path + ": fails");
      default:
        return Status::io_error(call.path + ": no power");
    }
  }

  std::unique_ptr<SimFileSystem> disk_ = std::make_unique<SimFileSystem>(/*seed=*/1);
  std::unique_ptr<HookedFiles> files_;
  // No yield points: what they order is the test's.
  std::atomic<ProgramFault> fault_{ProgramFault::none};
  std::atomic<uint64_t> after_{0};
  std::atomic<uint64_t> failed_{0};
  uint64_t failed_before_ = 0;  // calls, on the disk before its last loss of power
};

}  // namespace varve::test
