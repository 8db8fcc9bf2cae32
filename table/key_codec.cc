#include "varve/key_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "base/coding.h"
#include "table/key_format.h"

namespace varve {

namespace {

__extension__ typedef unsigned __int128 Magnitude;
constexpr Magnitude kUnscaledMax = ~Magnitude{0} >> 1;
constexpr int32_t kScaleMax =
    20'000;  // beyond the range of exponents; sums with it do not overflow

constexpr uint8_t mask_of(Order order) { return order == Order::ascending ? 0x00 : 0xff; }

void store_big(char* to, uint64_t value) { store_le(to, __builtin_bswap64(value)); }
uint64_t load_big(const char* from) { return __builtin_bswap64(load_le<uint64_t>(from)); }

size_t bytes_of(uint64_t magnitude) {
  return (static_cast<size_t>(std::bit_width(magnitude)) + 7) / 8;
}

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

// -- writing --

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

// -- reading --

namespace {

// What an element looks like from outside.
struct Element {
  KeyValueType type;
  size_t size;  // bytes, tag included; of an array: the tag alone
};

uint8_t byte_at(std::string_view key, size_t i, uint8_t mask) {
  return static_cast<uint8_t>(static_cast<uint8_t>(key[i]) ^ mask);
}

std::optional<KeyValueType> type_of(uint8_t tag) {
  switch (tag) {
    case kTagNull:
      return KeyValueType::null;
    case kTagFalse:
    case kTagTrue:
      return KeyValueType::boolean;
    case kTagFloat:
      return KeyValueType::float64;
    case kTagDecimalNegative:
    case kTagDecimalZero:
    case kTagDecimalPositive:
      return KeyValueType::decimal;
    case kTagTimestamp:
      return KeyValueType::timestamp;
    case kTagUuid:
      return KeyValueType::uuid;
    case kTagBytes:
      return KeyValueType::bytes;
    case kTagText:
      return KeyValueType::text;
    case kTagArray:
      return KeyValueType::array;
    default:
      if (tag >= kTagZero - 8 && tag <= kTagZero + 8) return KeyValueType::integer;
      return std::nullopt;
  }
}

// Bytes of elements whose tag alone says them, that included; 0 of others, and of what is no tag.
constexpr auto kElementSizes = [] {
  std::array<uint8_t, 256> sizes{};
  for (const uint8_t tag : {kTagNull, kTagFalse, kTagTrue, kTagDecimalZero}) sizes[tag] = 1;
  for (const uint8_t bytes : {0, 1, 2, 3, 4, 5, 6, 7, 8}) {
    sizes[kTagZero + bytes] = sizes[kTagZero - bytes] = 1 + bytes;
  }
  for (const uint8_t tag : {kTagFloat, kTagTimestamp}) sizes[tag] = 1 + 8;
  sizes[kTagUuid] = 1 + 16;
  return sizes;
}();

// Of a string, behind its tag: up to its end, that included. 0: it has none.
size_t escaped_size(std::string_view rest, uint8_t mask) {
  for (size_t i = 0;;) {
    const void* zero =
        i < rest.size() ? std::memchr(rest.data() + i, mask, rest.size() - i) : nullptr;
    if (zero == nullptr) return 0;
    i = static_cast<size_t>(static_cast<const char*>(zero) - rest.data()) + 1;
    if (i == rest.size()) return 0;
    const uint8_t after = byte_at(rest, i++, mask);
    if (after == kStringEnd) return i;
    if (after != kEscapedZero) return 0;
  }
}

// Of a decimal that is not zero, behind its tag: up to the last digit. 0: it is malformed.
size_t decimal_size(std::string_view rest, uint8_t mask) {
  for (size_t i = 2; i < rest.size() && i < 2 + kDecimalDigitsMax; ++i) {
    if (byte_at(rest, i, mask) % 2 == 0) return i + 1;
  }
  return 0;
}

std::optional<Element> element_at(std::string_view key, uint8_t mask) {
  if (key.empty()) return std::nullopt;
  const uint8_t tag = byte_at(key, 0, mask);
  const std::optional<KeyValueType> type = type_of(tag);
  if (!type) return std::nullopt;
  size_t size = kElementSizes[tag];
  if (size == 0) {
    const std::string_view rest = key.substr(1);
    size_t behind_tag = 0;  // 0: malformed
    if (*type == KeyValueType::array) return Element{*type, 1};
    if (*type == KeyValueType::decimal) {
      behind_tag =
          decimal_size(rest, tag == kTagDecimalNegative ? static_cast<uint8_t>(~mask) : mask);
    } else {
      behind_tag = escaped_size(rest, mask);
    }
    if (behind_tag == 0) return std::nullopt;
    size = 1 + behind_tag;
  }
  if (size > key.size()) return std::nullopt;
  return Element{*type, size};
}

// Of `size` bytes, at most 8: by two loads that may overlap.
uint64_t load_big(const char* from, size_t size) {
  if (size >= 4) {
    const uint64_t high = __builtin_bswap32(load_le<uint32_t>(from));
    const uint64_t low = __builtin_bswap32(load_le<uint32_t>(from + size - 4));
    return high << 8 * (size - 4) | low;
  }
  if (size >= 2) {
    const uint64_t high = __builtin_bswap16(load_le<uint16_t>(from));
    const uint64_t low = __builtin_bswap16(load_le<uint16_t>(from + size - 2));
    return high << 8 * (size - 2) | low;
  }
  return size == 0 ? 0 : static_cast<uint8_t>(*from);
}

// What an integer is: a sign and a magnitude.
struct Integer {
  bool negative = false;
  uint64_t magnitude = 0;
  size_t size = 0;  // of the element, tag included
};
// The integer that `key` begins with; nothing: it begins with something else, or malformed. Within
// its callers it takes half of the time, and scans by an index read one or two of each entry.
[[gnu::always_inline]] inline std::optional<Integer> integer_at(std::string_view key,
                                                                uint8_t mask) {
  if (key.empty()) return std::nullopt;
  const uint8_t tag = byte_at(key, 0, mask);
  if (tag < kTagZero - 8 || tag > kTagZero + 8) return std::nullopt;
  const bool negative = tag < kTagZero;
  const size_t n = static_cast<size_t>(negative ? kTagZero - tag : tag - kTagZero);
  if (n >= key.size()) return std::nullopt;
  uint64_t value = load_big(key.data() + 1, n);
  // Inverted for one of two reasons.
  if (negative != (mask != 0)) {
    value = ~value & (n == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * n) - 1);
  }
  if (bytes_of(value) != n) return std::nullopt;
  return Integer{negative, value, 1 + n};
}

uint64_t fixed_of(std::string_view element, uint8_t mask) {
  const uint64_t value = load_big(element.data() + 1);
  return mask == 0 ? value : ~value;
}

std::optional<Decimal> decimal_of(std::string_view element, uint8_t mask) {
  const uint8_t tag = byte_at(element, 0, mask);
  if (tag == kTagDecimalZero) return Decimal{};
  const bool negative = tag == kTagDecimalNegative;
  if (negative) mask = static_cast<uint8_t>(~mask);
  const int32_t exponent =
      (byte_at(element, 1, mask) << 8 | byte_at(element, 2, mask)) - kExponentBias;
  if (exponent < -kExponentMax || exponent > kExponentMax) return std::nullopt;
  const size_t count = element.size() - 3;
  Magnitude magnitude = 0;
  int32_t scale = 2 * (static_cast<int32_t>(count) - exponent);
  for (size_t i = 0; i < count; ++i) {
    unsigned digit = byte_at(element, 3 + i, mask) / 2u;
    unsigned base = 100;
    const bool last = i + 1 == count;
    if (digit >= 100 || (digit == 0 && (i == 0 || last))) return std::nullopt;
    if (last && digit % 10 == 0) {
      digit /= 10;
      base = 10;
      --scale;
    }
    if (magnitude > (kUnscaledMax + (negative ? 1 : 0) - digit) / base) return std::nullopt;
    magnitude = magnitude * base + digit;
  }
  const auto bits = negative ? ~magnitude + 1 : magnitude;
  return Decimal{static_cast<Int128>(bits), scale};
}

// The content of a string's element: into scratch, unless it stands in the key as it is.
std::optional<std::string_view> string_of(std::string_view element, uint8_t mask,
                                          std::span<char> scratch) {
  const std::string_view content = element.substr(1, element.size() - 3);
  if (mask == 0 && (content.empty() || std::memchr(content.data(), 0, content.size()) == nullptr)) {
    return content;
  }
  size_t size = 0;
  for (size_t i = 0; i < content.size(); ++i) {
    if (size == scratch.size()) return std::nullopt;
    const uint8_t byte = byte_at(content, i, mask);
    scratch[size++] = static_cast<char>(byte);
    if (byte == 0) ++i;  // over its escape
  }
  return std::string_view(scratch.data(), size);
}

}  // namespace

// Takes the element that comes next, if it is of `type` and `decode` makes a value of it.
template <typename Decode>
auto KeyReader::take(KeyValueType type, Order order, Decode decode)
    -> decltype(decode(std::string_view(), uint8_t{})) {
  const uint8_t mask = mask_of(order);
  const std::optional<Element> element = element_at(rest_, mask);
  if (!element || element->type != type) return std::nullopt;
  auto value = decode(rest_.substr(0, element->size), mask);
  if (value) rest_.remove_prefix(element->size);
  return value;
}

std::optional<KeyValueType> KeyReader::next_type(Order order) const {
  const std::optional<Element> element = element_at(rest_, mask_of(order));
  return element ? std::optional(element->type) : std::nullopt;
}

bool KeyReader::null(Order order) {
  if (rest_.empty() || byte_at(rest_, 0, mask_of(order)) != kTagNull) return false;
  rest_.remove_prefix(1);
  return true;
}

std::optional<bool> KeyReader::boolean(Order order) {
  return take(KeyValueType::boolean, order, [](std::string_view element, uint8_t mask) {
    return std::optional(byte_at(element, 0, mask) == kTagTrue);
  });
}

bool KeyReader::read_int64(Order order, int64_t* value) {
  const std::optional<Integer> integer = integer_at(rest_, mask_of(order));
  if (!integer || integer->magnitude > kSignBit - (integer->negative ? 0 : 1)) return false;
  rest_.remove_prefix(integer->size);
  *value = static_cast<int64_t>(integer->negative ? ~integer->magnitude + 1 : integer->magnitude);
  return true;
}

std::optional<int64_t> KeyReader::int64(Order order) {
  int64_t value = 0;
  return read_int64(order, &value) ? std::optional(value) : std::nullopt;
}

std::optional<uint64_t> KeyReader::uint64(Order order) {
  const std::optional<Integer> integer = integer_at(rest_, mask_of(order));
  if (!integer || integer->negative) return std::nullopt;
  rest_.remove_prefix(integer->size);
  return integer->magnitude;
}

std::optional<double> KeyReader::float64(Order order) {
  return take(KeyValueType::float64, order,
              [](std::string_view element, uint8_t mask) -> std::optional<double> {
                uint64_t bits = fixed_of(element, mask);
                bits = (bits & kSignBit) != 0 ? bits & ~kSignBit : ~bits;
                const double value = std::bit_cast<double>(bits);
                // Other forms of the same are nobody's.
                if ((value != value && bits != kFloatNan) || bits == kSignBit) return std::nullopt;
                return value;
              });
}

std::optional<Decimal> KeyReader::decimal(Order order) {
  return take(KeyValueType::decimal, order, decimal_of);
}

std::optional<int64_t> KeyReader::timestamp(Order order) {
  return take(KeyValueType::timestamp, order, [](std::string_view element, uint8_t mask) {
    return std::optional(static_cast<int64_t>(fixed_of(element, mask) ^ kSignBit));
  });
}

std::optional<Uuid> KeyReader::uuid(Order order) {
  return take(KeyValueType::uuid, order, [](std::string_view element, uint8_t mask) {
    Uuid uuid;
    for (size_t i = 0; i < uuid.bytes.size(); ++i) uuid.bytes[i] = byte_at(element, 1 + i, mask);
    return std::optional(uuid);
  });
}

std::optional<std::string_view> KeyReader::bytes(std::span<char> scratch, Order order) {
  return take(KeyValueType::bytes, order, [&](std::string_view element, uint8_t mask) {
    return string_of(element, mask, scratch);
  });
}

std::optional<std::string_view> KeyReader::text(std::span<char> scratch, Order order) {
  return take(KeyValueType::text, order, [&](std::string_view element, uint8_t mask) {
    return string_of(element, mask, scratch);
  });
}

bool KeyReader::enter_array(Order order) {
  return take(KeyValueType::array, order,
              [](std::string_view, uint8_t) { return std::optional(true); })
      .has_value();
}

bool KeyReader::leave_array(Order order) {
  if (rest_.empty() || byte_at(rest_, 0, mask_of(order)) != kTagArrayEnd) return false;
  rest_.remove_prefix(1);
  return true;
}

bool KeyReader::skip(Order order) {
  if (!rest_.empty()) {
    const size_t size = kElementSizes[byte_at(rest_, 0, mask_of(order))];
    if (size != 0 && size <= rest_.size()) {
      rest_.remove_prefix(size);
      return true;
    }
  }
  const std::string_view before = rest_;
  size_t depth = 0;
  do {
    if (depth > 0 && leave_array(order)) {
      --depth;
      continue;
    }
    const std::optional<Element> element = element_at(rest_, mask_of(order));
    if (!element) {
      rest_ = before;
      return false;
    }
    rest_.remove_prefix(element->size);
    if (element->type == KeyValueType::array) ++depth;
  } while (depth > 0);
  return true;
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
