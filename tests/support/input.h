// How the bytes of an input become decisions.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/coding.h"

namespace varve::test {

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

}  // namespace varve::test
