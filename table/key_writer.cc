// Writing of keys, their bounds, and keys of tables.

#include <algorithm>
#include <cstring>

#include "table/key_element.h"

namespace varve {

namespace {

constexpr int32_t kScaleMax =
    20'000;  // beyond the range of exponents; sums with it do not overflow

void invert(char* bytes, size_t size) {
  size_t i = 0;
  for (; i + 8 <= size; i += 8) store_le(bytes + i, ~load_le<uint64_t>(bytes + i));
  for (; i < size; ++i) bytes[i] = static_cast<char>(~bytes[i]);
}

constexpr size_t kIntegerSizeMax = 1 + 8;

// Returns its end; may write kIntegerSizeMax bytes.
char* put_integer(char* to, bool negative, uint64_t magnitude) {
  const size_t n = bytes_of(magnitude);
  const uint64_t value = negative ? ~magnitude : magnitude;
  *to = static_cast<char>(negative ? kTagZero - n : kTagZero + n);
  store_big(to + 1, n == 0 ? 0 : value << (64 - 8 * n));
  return to + 1 + n;
}

// 0.d1d2d3... * 100^exponent, least significant digit first.
struct CentesimalNumber {
  uint8_t digits[kDecimalDigitsMax];
  size_t count = 0;
  int32_t exponent = 0;
};

// Requires magnitude > 0.
CentesimalNumber to_centesimal(Magnitude magnitude, int32_t scale) {
  CentesimalNumber number;
  if (scale % 2 != 0) {
    // Ten times the magnitude, which need not fit, to an even scale.
    ++scale;
    number.digits[number.count++] = static_cast<uint8_t>(magnitude % 10 * 10);
    magnitude /= 10;
  }
  for (; magnitude > 0; magnitude /= 100) {
    number.digits[number.count++] = static_cast<uint8_t>(magnitude % 100);
  }
  number.exponent = static_cast<int32_t>(number.count) - scale / 2;
  const uint8_t* const end = number.digits + number.count;
  const uint8_t* const last = std::find_if(number.digits + 0, number.digits + number.count,
                                           [](uint8_t d) { return d != 0; });
  number.count = static_cast<size_t>(end - last);
  std::memmove(number.digits, last, number.count);
  return number;
}

}  // namespace

char* KeyWriter::reserve(size_t size) {
  if (!ok_ || buffer_.size() - size_ < size) {
    ok_ = false;
    return nullptr;
  }
  return buffer_.data() + size_;
}

void KeyWriter::cut_to(size_t size) {
  size_ = std::min(size, size_);
  depth_ = 0;
  ok_ = true;
}

void KeyWriter::finish_element(size_t start, Order order) {
  if (depth_ == 0 && order == Order::descending) invert(buffer_.data() + start, size_ - start);
}

void KeyWriter::fixed(uint8_t tag, uint64_t value, Order order) {
  char* to = reserve(9);
  if (to == nullptr) return;
  *to = static_cast<char>(tag);
  store_big(to + 1, value);
  size_ += 9;
  finish_element(size_ - 9, order);
}

void KeyWriter::integer(bool negative, uint64_t magnitude, Order order) {
  const size_t size = 1 + bytes_of(magnitude);
  char* to = reserve(size);
  if (to == nullptr) return;
  if (buffer_.size() - size_ >= kIntegerSizeMax) {
    put_integer(to, negative, magnitude);
  } else {
    char bytes[kIntegerSizeMax];
    put_integer(bytes, negative, magnitude);
    std::memcpy(to, bytes, size);
  }
  size_ += size;
  finish_element(size_ - size, order);
}

void KeyWriter::escaped(uint8_t tag, std::string_view value, Order order) {
  const size_t start = size_;
  char* to = reserve(1 + value.size() + 2);
  if (to == nullptr) return;
  *to++ = static_cast<char>(tag);
  const char* from = value.data();
  const char* const end = from + value.size();
  // What is left of the room after all that is still to be copied, for zeros.
  size_t spare = buffer_.size() - size_ - (1 + value.size() + 2);
  while (from != end) {
    const size_t left = static_cast<size_t>(end - from);
    const void* zero = std::memchr(from, 0, left);
    const size_t plain =
        zero == nullptr ? left : static_cast<size_t>(static_cast<const char*>(zero) - from);
    std::memcpy(to, from, plain);
    to += plain;
    from += plain;
    if (zero == nullptr) break;
    if (spare-- == 0) {
      ok_ = false;
      return;
    }
    *to++ = 0;
    *to++ = static_cast<char>(kEscapedZero);
    ++from;
  }
  *to++ = 0;
  *to++ = static_cast<char>(kStringEnd);
  size_ = static_cast<size_t>(to - buffer_.data());
  finish_element(start, order);
}

void KeyWriter::null(Order order) {
  char* to = reserve(1);
  if (to == nullptr) return;
  *to = static_cast<char>(kTagNull);
  ++size_;
  finish_element(size_ - 1, order);
}

void KeyWriter::boolean(bool value, Order order) {
  char* to = reserve(1);
  if (to == nullptr) return;
  *to = static_cast<char>(value ? kTagTrue : kTagFalse);
  ++size_;
  finish_element(size_ - 1, order);
}

void KeyWriter::int64(int64_t value, Order order) {
  const auto bits = static_cast<uint64_t>(value);
  integer(value < 0, value < 0 ? ~bits + 1 : bits, order);
}

void KeyWriter::uint64(uint64_t value, Order order) { integer(false, value, order); }

void KeyWriter::float64(double value, Order order) {
  uint64_t bits = value != value ? kFloatNan : std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);
  bits = (bits & kSignBit) != 0 ? ~bits : bits | kSignBit;
  fixed(kTagFloat, bits, order);
}

void KeyWriter::decimal(const Decimal& value, Order order) {
  if (value.unscaled == 0) {
    char* to = reserve(1);
    if (to == nullptr) return;
    *to = static_cast<char>(kTagDecimalZero);
    ++size_;
    return finish_element(size_ - 1, order);
  }
  if (value.scale < -kScaleMax || value.scale > kScaleMax) {
    ok_ = false;
    return;
  }
  const bool negative = value.unscaled < 0;
  const auto bits = static_cast<Magnitude>(value.unscaled);
  const CentesimalNumber number = to_centesimal(negative ? ~bits + 1 : bits, value.scale);
  const size_t size = 3 + number.count;
  char* to = reserve(size);
  if (to == nullptr) return;
  if (number.exponent < -kExponentMax || number.exponent > kExponentMax) {
    ok_ = false;
    return;
  }
  *to = static_cast<char>(negative ? kTagDecimalNegative : kTagDecimalPositive);
  const auto exponent = static_cast<uint32_t>(number.exponent + kExponentBias);
  to[1] = static_cast<char>(exponent >> 8);
  to[2] = static_cast<char>(exponent);
  for (size_t i = 0; i < number.count; ++i) {
    const size_t less_significant = number.count - 1 - i;
    to[3 + i] =
        static_cast<char>(2 * number.digits[less_significant] + (less_significant == 0 ? 0 : 1));
  }
  if (negative) invert(to + 1, size - 1);
  size_ += size;
  finish_element(size_ - size, order);
}

void KeyWriter::timestamp(int64_t micros, Order order) {
  fixed(kTagTimestamp, static_cast<uint64_t>(micros) ^ kSignBit, order);
}

void KeyWriter::uuid(const Uuid& value, Order order) {
  constexpr size_t kSize = 1 + sizeof value.bytes;
  char* to = reserve(kSize);
  if (to == nullptr) return;
  *to = static_cast<char>(kTagUuid);
  std::memcpy(to + 1, value.bytes.data(), sizeof value.bytes);
  size_ += kSize;
  finish_element(size_ - kSize, order);
}

void KeyWriter::bytes(std::string_view value, Order order) { escaped(kTagBytes, value, order); }
void KeyWriter::text(std::string_view value, Order order) { escaped(kTagText, value, order); }

void KeyWriter::begin_array(Order order) {
  char* to = reserve(1);
  if (to == nullptr) return;
  *to = static_cast<char>(kTagArray);
  if (depth_++ == 0) {
    array_start_ = size_;
    array_order_ = order;
  }
  ++size_;
}

void KeyWriter::end_array() {
  if (depth_ == 0) ok_ = false;
  char* to = reserve(1);
  if (to == nullptr) return;
  *to = static_cast<char>(kTagArrayEnd);
  ++size_;
  if (--depth_ == 0) finish_element(array_start_, array_order_);
}

void KeyWriter::encoded_array(std::string_view array, Order order) {
  KeyReader reader(array);
  if (reader.next_type() != KeyValueType::array || !reader.skip() || !reader.done()) ok_ = false;
  char* to = reserve(array.size());
  if (to == nullptr) return;
  std::memcpy(to, array.data(), array.size());
  size_ += array.size();
  finish_element(size_ - array.size(), order);
}

// -- bounds, and keys of tables --

size_t prefix_successor(std::span<char> prefix) {
  size_t size = prefix.size();
  while (size > 0 && static_cast<uint8_t>(prefix[size - 1]) == 0xff) --size;
  if (size > 0) ++prefix[size - 1];
  return size;
}

void append_prefix(const TableKeyPrefix& prefix, KeyWriter* key) {
  key->uint64(prefix.tenant);
  key->uint64(prefix.table);
  key->uint64(prefix.index);
}

std::string_view encode_table_key(uint32_t tenant, uint32_t table, uint64_t row,
                                  std::span<char, kTableKeySizeMax> buffer) {
  // As append_prefix() and uint64() do.
  char* end = put_integer(buffer.data(), false, tenant);
  end = put_integer(end, false, table);
  end = put_integer(end, false, 0);
  end = put_integer(end, false, row);
  return {buffer.data(), static_cast<size_t>(end - buffer.data())};
}

}  // namespace varve
