// A disk that loses power at a given change, and what is left of it: the one place here that knows
// which simulation stands behind.

#pragma once

#include <memory>

#include "base/random.h"
#include "fuzz/check.h"
#include "tests/support/hooked_files.h"
#include "tests/support/power_cut_files.h"

namespace varve::fuzz {

class CrashDisk {
 public:
  CrashDisk() { start(); }
  CrashDisk(const CrashDisk&) = delete;
  CrashDisk& operator=(const CrashDisk&) = delete;

  // Until the power is cut.
  FileSystem* files() { return files_.get(); }

  // The `changes`-th change from now on does not take place, nor does any after it. 0: none fails.
  void crash_at(uint64_t changes) { changes_left_ = changes; }
  void crash_now() { crashed_ = true; }
  bool crashed() const { return crashed_; }

  // Whoever used the files is gone. As the input says, what was not synced is lost, is kept, or
  // each page and each name meets a fate of its own.
  void cut_power(Input* input) {
    const auto cut = static_cast<test::PowerCutFiles::Cut>(2 - input->below(3));
    Random fates(input->u16());
    disk_ = disk_->cut_power(cut, &fates);
    start();
  }

 private:
  Status ask(const test::FileCall& call) {
    if (!call.changes()) return Status();
    if (changes_left_ != 0 && --changes_left_ == 0) crashed_ = true;
    return crashed_ ? Status::io_error(call.path + ": no power") : Status();
  }

  void start() {
    files_ = std::make_unique<test::HookedFiles>(
        disk_.get(), [this](const test::FileCall& call) { return ask(call); });
    crashed_ = false;
    changes_left_ = 0;
  }

  std::unique_ptr<test::PowerCutFiles> disk_ = std::make_unique<test::PowerCutFiles>();
  std::unique_ptr<test::HookedFiles> files_;
  uint64_t changes_left_ = 0;
  bool crashed_ = false;
};

}  // namespace varve::fuzz
