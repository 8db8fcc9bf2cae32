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

enum class ProgramFault : uint8_t { none, error_once, error_for_ever, no_space_once, power };

// Of the `after`-th file call from then on that changes something.
struct PlannedFault {
  ProgramFault fault = ProgramFault::none;
  uint64_t after = 0;
};

// The disk under one database: it fails, or loses power, at the nth call that changes something.
class FaultyDisk {
 public:
  FaultyDisk() { start(); }
  FileSystem* files() { return files_.get(); }
  void arm(const PlannedFault& planned) {
    after_.store(planned.after);
    fault_.store(planned.fault);
  }
  void disarm() { fault_.store(ProgramFault::none); }
  uint64_t failed() const { return failed_.load(); }
  void cut_power(PagePolicy pages, NamePolicy names, uint64_t seed) {
    Random fates(seed);
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
    if (fault == ProgramFault::none || !call.changes()) return Status();
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
};

}  // namespace varve::test
