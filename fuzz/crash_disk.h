// A disk that loses power at a given change, and what is left of it: the one place here that knows
// which simulation stands behind.

#pragma once

#include <memory>

#include "base/random.h"
#include "fuzz/check.h"
#include "tests/support/hooked_files.h"
#include "tests/support/sim_file_system.h"

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

  // Whoever used the files is gone. What becomes of pages and names that were not synced, the input
  // says.
  void cut_power(Input* input) {
    const auto pages = static_cast<test::PagePolicy>(input->below(test::kPagePolicies));
    const auto names = static_cast<test::NamePolicy>(input->below(test::kNamePolicies));
    Random fates(input->u16());
    disk_ = disk_->crash(pages, names, &fates);
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

  std::unique_ptr<test::SimFileSystem> disk_ = std::make_unique<test::SimFileSystem>(/*seed=*/1);
  std::unique_ptr<test::HookedFiles> files_;
  uint64_t changes_left_ = 0;
  bool crashed_ = false;
};

}  // namespace varve::fuzz
