// What every fuzz target shares: how an oracle speaks up.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "tests/support/input.h"
#include "varve/status.h"

namespace varve::fuzz {

[[noreturn]] inline void oracle_failed(const char* what, const char* file, int line,
                                       std::string_view detail) {
  std::fprintf(stderr, "%s:%d: the oracle failed: %s%s%.*s\n", file, line, what,
               detail.empty() ? "" : ": ", static_cast<int>(detail.size()), detail.data());
  __builtin_trap();
}

// An oracle's claim, with or without a text that says more.
#define FUZZ_CHECK(claim) FUZZ_CHECK_SAYING(claim, "")
#define FUZZ_CHECK_SAYING(claim, detail) \
  ((claim) ? static_cast<void>(0)        \
           : ::varve::fuzz::oracle_failed(#claim, __FILE__, __LINE__, (detail)))

// What a decoder may answer to bytes that it does not take.
inline bool is_refusal(const Status& status) {
  return status.code() == StatusCode::corruption || status.code() == StatusCode::not_supported;
}
inline void check_refusal(const Status& status) {
  FUZZ_CHECK_SAYING(is_refusal(status) && !status.message().empty(), status.to_string());
}

// A copy that ends where its memory ends, so that AddressSanitizer sees a read of one byte too
// many.
class ExactCopy {
 public:
  explicit ExactCopy(std::string_view bytes)
      : data_(new char[bytes.size()]), view_(data_.get(), bytes.size()) {
    if (!bytes.empty()) std::memcpy(data_.get(), bytes.data(), bytes.size());
  }
  std::string_view view() const { return view_; }
  bool holds(std::string_view piece) const {
    return piece.data() >= view_.data() &&
           piece.data() + piece.size() <= view_.data() + view_.size();
  }

 private:
  std::unique_ptr<char[]> data_;
  std::string_view view_;
};

using test::Input;

}  // namespace varve::fuzz
