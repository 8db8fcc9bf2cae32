// Integers as bytes. Everything on disk is little-endian, except key heads, which are the first
// eight bytes of a key read as a big-endian number, so that they compare as memcmp does.
//
// `Decoder` reads bytes from outside: every read is checked against the end, and a failed read
// leaves the decoder failed, so a caller may check once after a series of reads.

#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace varve {

static_assert(std::endian::native == std::endian::little,
              "columns of blocks are read in place as little-endian integers");

template <typename T>
inline T load_le(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// The same of 1 to 8 bytes. By loads that may overlap: a copy of so many bytes would be read again
// at once, by a wider load that waits for it.
inline uint64_t load_le_of(const char* from, size_t size) {
  if (size >= 4) {
    const uint64_t high = load_le<uint32_t>(from + size - 4);
    return load_le<uint32_t>(from) | high << 8 * (size - 4);
  }
  if (size >= 2) {
    const uint64_t high = load_le<uint16_t>(from + size - 2);
    return load_le<uint16_t>(from) | high << 8 * (size - 2);
  }
  return static_cast<uint8_t>(*from);
}

template <typename T>
inline void store_le(char* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

template <typename T>
inline void append_le(std::string* to, T value) {
  char bytes[sizeof value];
  store_le(bytes, value);
  to->append(bytes, sizeof bytes);
}

// The first eight bytes of `key`, zero-padded, as a big-endian number: heads order as keys do,
// except that equal heads say nothing.
inline uint64_t key_head(const char* key, size_t size) {
  if (size >= 8) return __builtin_bswap64(load_le<uint64_t>(key));
  if (size >= 4) {  // two loads that may overlap
    const uint64_t high = __builtin_bswap32(load_le<uint32_t>(key));
    const uint64_t low = __builtin_bswap32(load_le<uint32_t>(key + size - 4));
    return high << 32 | low << 8 * (8 - size);
  }
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value |= uint64_t{static_cast<uint8_t>(key[i])} << (56 - 8 * i);
  return value;
}
inline uint64_t key_head(std::string_view key) { return key_head(key.data(), key.size()); }

// How many bytes both begin with.
inline size_t common_prefix_size(std::string_view a, std::string_view b) {
  const size_t limit = a.size() < b.size() ? a.size() : b.size();
  size_t size = 0;
  for (; size + 8 <= limit; size += 8) {
    const uint64_t differ = load_le<uint64_t>(a.data() + size) ^ load_le<uint64_t>(b.data() + size);
    if (differ != 0) return size + static_cast<size_t>(std::countr_zero(differ)) / 8;
  }
  while (size < limit && a[size] == b[size]) ++size;
  return size;
}

// Whether the two are equal. Keys and what follows their prefix are short, mostly: a call of
// memcmp() takes longer than to compare them.
inline bool equal_bytes(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  const auto differ = [&]<typename T>(T) {
    const size_t last = a.size() - sizeof(T);  // the two loads may overlap
    return ((load_le<T>(a.data()) ^ load_le<T>(b.data())) |
            (load_le<T>(a.data() + last) ^ load_le<T>(b.data() + last))) != 0;
  };
  if (a.size() > 16) return std::memcmp(a.data(), b.data(), a.size()) == 0;
  if (a.size() >= 8) return !differ(uint64_t{});
  if (a.size() >= 4) return !differ(uint32_t{});
  if (a.size() >= 2) return !differ(uint16_t{});
  return a.empty() || a[0] == b[0];
}

// memcpy(), likewise inline for short ones.
inline void copy_bytes(char* to, std::string_view from) {
  const auto copy = [&]<typename T>(T) {
    const size_t last = from.size() - sizeof(T);  // the two may overlap
    const T begin = load_le<T>(from.data());
    const T end = load_le<T>(from.data() + last);
    store_le(to, begin);
    store_le(to + last, end);
  };
  if (from.size() > 16) {
    std::memcpy(to, from.data(), from.size());
  } else if (from.size() >= 8) {
    copy(uint64_t{});
  } else if (from.size() >= 4) {
    copy(uint32_t{});
  } else if (from.size() >= 2) {
    copy(uint16_t{});
  } else if (!from.empty()) {
    *to = from[0];
  }
}

// LEB128: seven bits a byte, least significant first, high bit = more follow.
inline constexpr size_t kVarint64BytesMax = 10;

inline size_t varint_size(uint64_t value) {
  return static_cast<size_t>((std::bit_width(value | 1) + 6) / 7);
}

// Writes at most kVarint64BytesMax bytes; returns the end.
inline char* store_varint(char* to, uint64_t value) {
  while (value >= 0x80) {
    *to++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<char>(value);
  return to;
}

inline void append_varint(std::string* to, uint64_t value) {
  char bytes[kVarint64BytesMax];
  to->append(bytes, static_cast<size_t>(store_varint(bytes, value) - bytes));
}

inline void append_sized(std::string* to, std::string_view bytes) {
  append_varint(to, bytes.size());
  to->append(bytes);
}

// Reads a varint in [from, end); null if it is cut off, over-long, or exceeds 64 bits.
inline const char* load_varint(const char* from, const char* end, uint64_t* value) {
  uint64_t result = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (from == end) return nullptr;
    const uint8_t byte = static_cast<uint8_t>(*from++);
    if (shift == 63 && byte > 1) return nullptr;
    result |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) {
      if (byte == 0 && shift != 0)
        return nullptr;  // a shorter encoding exists: one value, one form
      *value = result;
      return from;
    }
  }
  return nullptr;
}

class Decoder {
 public:
  explicit Decoder(std::string_view bytes)
      : start_(bytes.data()), next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  // All bytes were read, without a failure.
  bool done() const { return ok_ && next_ == end_; }
  size_t offset() const { return static_cast<size_t>(next_ - start_); }
  size_t remaining() const { return static_cast<size_t>(end_ - next_); }
  std::string_view rest() const { return {next_, remaining()}; }

  // After a failure every read yields zero or nothing.
  template <typename T>
  T fixed() {
    if (!need(sizeof(T))) return T{};
    T value = load_le<T>(next_);
    next_ += sizeof(T);
    return value;
  }
  uint8_t u8() { return fixed<uint8_t>(); }
  uint32_t u32() { return fixed<uint32_t>(); }
  uint64_t u64() { return fixed<uint64_t>(); }
  uint64_t varint() {
    uint64_t value = 0;
    const char* after = ok_ ? load_varint(next_, end_, &value) : nullptr;
    if (after == nullptr) {
      ok_ = false;
      return 0;
    }
    next_ = after;
    return value;
  }
  // A varint that must fit 32 bits.
  uint32_t varint32() {
    const uint64_t value = varint();
    if (value > UINT32_MAX) {
      ok_ = false;
      return 0;
    }
    return static_cast<uint32_t>(value);
  }
  std::string_view bytes(uint64_t size) {
    if (!need(size)) return {};
    std::string_view result(next_, size);
    next_ += size;
    return result;
  }
  std::string_view sized() { return bytes(varint()); }
  void fail() { ok_ = false; }

 private:
  bool need(uint64_t size) {
    if (!ok_ || size > remaining()) ok_ = false;
    return ok_;
  }
  const char* start_;
  const char* next_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace varve
