// What every fuzz target shares: how an oracle speaks up, and how the bytes of an input become
// decisions.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "base/coding.h"
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

// Reads decisions from the front of an input. After its end every decision is zero.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

  template <typename T>
  T number() {
    char bytes[sizeof(T)] = {};
    const std::string_view taken = piece(sizeof(T));
    if (!taken.empty()) std::memcpy(bytes, taken.data(), taken.size());
    return load_le<T>(bytes);
  }
  uint8_t u8() { return number<uint8_t>(); }
  uint16_t u16() { return number<uint16_t>(); }
  uint32_t u32() { return number<uint32_t>(); }
  uint64_t u64() { return number<uint64_t>(); }
  bool flag() { return (u8() & 1) != 0; }
  // In [0, bound), bound > 0.
  uint32_t below(uint32_t bound) { return (bound <= 256 ? u8() : u32()) % bound; }
  // Of any magnitude, small ones often.
  uint64_t magnitude() {
    const unsigned width = u8() % 9;
    return width == 0 ? 0 : u64() >> (64 - 8 * width);
  }
  // At most `size` bytes.
  std::string_view piece(size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

}  // namespace varve::fuzz
