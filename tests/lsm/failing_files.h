// Files of which the nth call of a kind fails, and that count calls.

#pragma once

#include "base/atomic.h"
#include "tests/support/test_files.h"

namespace varve::test {

// Thread rule: fail() while nobody uses the files.
class FailingFiles final : public HookedFiles {
 public:
  using Kind = FileCall::Kind;

  explicit FailingFiles(FileSystem* inner)
      : HookedFiles(inner, [this](const FileCall& call) { return check(call); }) {}

  // The `nth` such call from now on fails with io_error, once. 1: the next; 0: none.
  void fail(Kind kind, uint64_t nth) {
    kind_ = kind;
    left_.store(nth);
    met_.store(0);
  }
  // Whether a call failed since then.
  bool met() const { return met_.load() != 0; }
  uint64_t calls(Kind kind) const { return calls_[static_cast<size_t>(kind)].load(); }

 private:
  Status check(const FileCall& call) {
    calls_[static_cast<size_t>(call.kind)].fetch_add(1);
    if (call.kind != kind_ || left_.load() == 0 || left_.fetch_sub(1) != 1) return Status();
    met_.store(1);
    return Status::io_error(call.path + ": injected failure");
  }

  Kind kind_ = Kind::read;
  Atomic<uint64_t> left_{0};
  Atomic<uint64_t> met_{0};
  Atomic<uint64_t> calls_[kFileCallKinds];
};

}  // namespace varve::test
