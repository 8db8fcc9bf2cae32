// Reading of keys.

#include <array>
#include <bit>
#include <cstring>

#include "table/key_element.h"

namespace varve {

namespace {

constexpr Magnitude kUnscaledMax = ~Magnitude{0} >> 1;

// What an element looks like from outside.
struct Element {
  KeyValueType type;
  size_t size;  // bytes, tag included; of an array: the tag alone
};

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

std::optional<int64_t> KeyReader::int64(Order order) {
  const std::optional<Integer> integer = integer_at(rest_, mask_of(order));
  if (!integer || !is_int64(*integer)) return std::nullopt;
  rest_.remove_prefix(integer->size);
  return int64_of(*integer);
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

}  // namespace varve
