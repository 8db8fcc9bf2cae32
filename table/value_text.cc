#include "table/value_text.h"

#include <charconv>

#include "base/format.h"

namespace varve {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Source: Howard Hinnant, chrono-compatible low-level date algorithms, days_from_civil.
int64_t days_since_1970(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

// Source: as above, civil_from_days.
struct Day {
  int64_t year, month, day;
};
Day day_of(int64_t days) {
  days += 719'468;
  const int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const int64_t day_of_era = days - era * 146'097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t part = (5 * day_of_year + 2) / 153;
  const int64_t month = part < 10 ? part + 3 : part - 9;
  return {.year = year_of_era + era * 400 + (month <= 2 ? 1 : 0),
          .month = month,
          .day = day_of_year - (153 * part + 2) / 5 + 1};
}

void append_decimal(const Decimal& decimal, std::string* to) {
  using Unsigned = unsigned __int128;
  const bool negative = decimal.unscaled < 0;
  Unsigned rest =
      negative ? -static_cast<Unsigned>(decimal.unscaled) : static_cast<Unsigned>(decimal.unscaled);
  std::string digits;  // the last one first
  do {
    digits += static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest != 0);
  if (negative) *to += '-';
  if (decimal.scale < 0 || decimal.scale > 1000) {
    to->append(digits.rbegin(), digits.rend());
    *to += format("e%d", -decimal.scale);
    return;
  }
  const auto scale = static_cast<size_t>(decimal.scale);
  if (digits.size() <= scale) digits.resize(scale + 1, '0');
  const auto point = digits.rbegin() + static_cast<ptrdiff_t>(digits.size() - scale);
  to->append(digits.rbegin(), point);
  if (scale > 0) to->append(1, '.').append(point, digits.rend());
}

void append_timestamp(int64_t micros, std::string* to) {
  constexpr int64_t kSecond = 1'000'000;
  constexpr int64_t kDay = 86'400 * kSecond;
  const int64_t days = micros / kDay - (micros % kDay < 0 ? 1 : 0);
  const int64_t of_day = micros - days * kDay;
  const Day day = day_of(days);
  if (day.year < 0 || day.year > 9999) {
    *to += std::to_string(micros);
    return;
  }
  const auto number = [](int64_t value) { return static_cast<int>(value); };
  *to += format("%04d-%02d-%02d %02d:%02d:%02d", number(day.year), number(day.month),
                number(day.day), number(of_day / (3600 * kSecond)),
                number(of_day / (60 * kSecond) % 60), number(of_day / kSecond % 60));
  if (of_day % kSecond == 0) return;
  std::string fraction = format(".%06d", number(of_day % kSecond));
  fraction.resize(fraction.find_last_not_of('0') + 1);
  *to += fraction;
}

void append_hex(std::string_view bytes, std::string* to) {
  for (const char byte : bytes) *to += format("%02x", static_cast<uint8_t>(byte));
}

void append_uuid(const Uuid& uuid, std::string* to) {
  for (size_t i = 0; i < uuid.bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *to += '-';
    *to += format("%02x", uuid.bytes[i]);
  }
}

void append_float(double value, std::string* to) {
  char buffer[64];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  to->append(buffer, end);
}

// Arrays in arrays, that are shown.
constexpr int kDepthMax = 100;

// The next element; false: it is malformed, or too deep.
bool append_element(KeyReader* key, int depth, std::string* scratch, std::string* to) {
  const std::optional<KeyValueType> type = key->next_type();
  if (!type) return false;
  switch (*type) {
    case KeyValueType::array: {
      if (depth == kDepthMax) return false;
      key->enter_array();
      *to += '[';
      for (bool first = true; !key->leave_array(); first = false) {
        if (!first) *to += ", ";
        if (!append_element(key, depth + 1, scratch, to)) return false;
      }
      *to += ']';
      return true;
    }
    case KeyValueType::integer:
      if (const std::optional<int64_t> number = key->int64()) {
        *to += std::to_string(*number);
        return true;
      }
      if (const std::optional<uint64_t> number = key->uint64()) {
        *to += std::to_string(*number);
        return true;
      }
      return false;
    case KeyValueType::decimal:
      if (const std::optional<Decimal> decimal = key->decimal()) {
        append_decimal(*decimal, to);
        return true;
      }
      return false;
    default:
      break;
  }
  ColumnKind kind;
  switch (*type) {
    case KeyValueType::boolean:
      kind.type = ColumnType::boolean;
      break;
    case KeyValueType::float64:
      kind.type = ColumnType::float64;
      break;
    case KeyValueType::timestamp:
      kind.type = ColumnType::timestamp;
      break;
    case KeyValueType::uuid:
      kind.type = ColumnType::uuid;
      break;
    case KeyValueType::bytes:
      kind.type = ColumnType::bytes;
      break;
    default:
      kind.type = ColumnType::text;
  }
  Value value;
  if (!read_value(key, kind, Order::ascending, scratch, &value)) return false;
  append_text(value, to);
  return true;
}

}  // namespace

void append_text(const Value& value, std::string* to) {
  if (value.is_null()) {
    *to += "null";
    return;
  }
  switch (value.type()) {
    case ColumnType::boolean:
      *to += value.as_boolean() ? "true" : "false";
      break;
    case ColumnType::int64:
      *to += std::to_string(value.as_int64());
      break;
    case ColumnType::uint64:
      *to += std::to_string(value.as_uint64());
      break;
    case ColumnType::float64:
      append_float(value.as_float64(), to);
      break;
    case ColumnType::decimal:
      append_decimal(value.as_decimal(), to);
      break;
    case ColumnType::timestamp:
      append_timestamp(value.as_timestamp(), to);
      break;
    case ColumnType::uuid:
      append_uuid(value.as_uuid(), to);
      break;
    case ColumnType::bytes:
      append_hex(value.as_bytes(), to);
      break;
    case ColumnType::text:
      *to += value.as_text();
      break;
    case ColumnType::array: {
      KeyReader reader(value.as_array());
      std::string scratch;
      if (!append_element(&reader, 0, &scratch, to)) *to += "(malformed, or nested too deeply)";
      break;
    }
  }
}

std::optional<Decimal> parse_decimal(std::string_view text) {
  Decimal decimal;
  const bool negative = text.starts_with('-');
  int64_t scale = 0;
  bool behind_point = false;
  size_t i = negative ? 1 : 0;
  for (; i < text.size() && text[i] != 'e' && text[i] != 'E'; ++i) {
    if (text[i] == '.') {
      behind_point = true;
      continue;
    }
    scale += behind_point ? 1 : 0;
    if (__builtin_mul_overflow(decimal.unscaled, Int128{10}, &decimal.unscaled) ||
        __builtin_add_overflow(decimal.unscaled, Int128{text[i] - '0'}, &decimal.unscaled)) {
      return std::nullopt;
    }
  }
  if (i < text.size()) {
    ++i;
    if (i < text.size() && text[i] == '+') ++i;
    int exponent = 0;
    if (std::from_chars(text.data() + i, text.data() + text.size(), exponent).ec != std::errc()) {
      return std::nullopt;
    }
    scale -= exponent;
  }
  if (scale < -100'000 || scale > 100'000) return std::nullopt;
  decimal.scale = static_cast<int32_t>(scale);
  if (negative) decimal.unscaled = -decimal.unscaled;
  return decimal;
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  Uuid uuid;
  size_t digits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '-' && (i == 8 || i == 13 || i == 18 || i == 23)) continue;
    const int digit = hex_digit(text[i]);
    if (digit < 0 || digits == 32) return std::nullopt;
    uint8_t& byte = uuid.bytes[digits / 2];
    byte = static_cast<uint8_t>(byte << 4 | digit);
    ++digits;
  }
  if (digits != 32) return std::nullopt;
  return uuid;
}

std::optional<int64_t> parse_timestamp(std::string_view text) {
  const auto number = [&](size_t digits) -> int64_t {
    int64_t value = -1;
    if (text.size() < digits) return -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
    if (error != std::errc() || end != text.data() + digits) return -1;
    text.remove_prefix(digits);
    return value;
  };
  const auto take = [&](std::string_view any_of) {
    if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
  };
  const int64_t year = number(4);
  if (!take("-")) return std::nullopt;
  const int64_t month = number(2);
  if (!take("-")) return std::nullopt;
  const int64_t day = number(2);
  constexpr int64_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (year < 0 || month < 1 || month > 12 || day < 1 ||
      day > kDays[month - 1] + (leap && month == 2 ? 1 : 0)) {
    return std::nullopt;
  }
  int64_t hour = 0;
  int64_t minute = 0;
  int64_t second = 0;
  int64_t micros = 0;
  if (take(" T")) {
    hour = number(2);
    if (!take(":")) return std::nullopt;
    minute = number(2);
    if (!take(":")) return std::nullopt;
    second = number(2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) {
      return std::nullopt;
    }
    if (take(".")) {
      size_t digits = 0;
      for (; !text.empty() && is_digit(text.front()); ++digits) {
        if (digits == 6) return std::nullopt;
        micros = micros * 10 + (text.front() - '0');
        text.remove_prefix(1);
      }
      if (digits == 0) return std::nullopt;
      for (; digits < 6; ++digits) micros *= 10;
    }
    take("Z");
  }
  if (!text.empty()) return std::nullopt;
  const int64_t seconds =
      ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
  return seconds * 1'000'000 + micros;
}

bool parse_hex(std::string_view text, std::string* bytes) {
  if (text.size() % 2 != 0) return false;
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return false;
    bytes->push_back(static_cast<char>(high << 4 | low));
  }
  return true;
}

// -- kinds --

std::string to_text(const ColumnKind& kind) {
  const std::string name = column_type_name(kind.type);
  return kind.type == ColumnType::decimal ? name + format("(%u)", kind.scale) : name;
}

std::optional<ColumnKind> parse_column_kind(std::string_view text) {
  for (auto type = ColumnType::boolean; type <= ColumnType::array;
       type = static_cast<ColumnType>(static_cast<int>(type) + 1)) {
    ColumnKind kind{.type = type};
    const size_t scales = type == ColumnType::decimal ? kDecimalScaleMax + 1 : 1;
    for (; kind.scale < scales; ++kind.scale) {
      if (to_text(kind) == text) return kind;
    }
  }
  if (text == "decimal") return ColumnKind{.type = ColumnType::decimal};
  return std::nullopt;
}

namespace {

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (stop != end || error != std::errc()) return std::nullopt;
  return number;
}

// [-] digits [. digits] [e [-] digits], as parse_decimal() requires.
bool is_decimal(std::string_view text) {
  size_t i = text.starts_with('-') ? 1 : 0;
  size_t digits = 0;
  size_t points = 0;
  for (; i < text.size() && (is_digit(text[i]) || text[i] == '.'); ++i) {
    (is_digit(text[i]) ? digits : points) += 1;
  }
  if (digits == 0 || points > 1) return false;
  if (i == text.size()) return true;
  if (text[i] != 'e' && text[i] != 'E') return false;
  ++i;
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
  const size_t exponent = i;
  while (i < text.size() && is_digit(text[i])) ++i;
  return i == text.size() && i > exponent;
}

}  // namespace

std::optional<Value> parse_value(std::string_view text, const ColumnKind& kind,
                                 std::string* scratch) {
  const auto made = [](const auto& parsed, auto make) {
    return parsed ? std::optional<Value>(make(*parsed)) : std::nullopt;
  };
  switch (kind.type) {
    case ColumnType::boolean:
      if (text != "true" && text != "false") return std::nullopt;
      return Value::boolean(text == "true");
    case ColumnType::int64:
      return made(parse_number<int64_t>(text), Value::int64);
    case ColumnType::uint64:
      return made(parse_number<uint64_t>(text), Value::uint64);
    case ColumnType::float64:
      return made(parse_number<double>(text), Value::float64);
    case ColumnType::decimal: {
      std::optional<Decimal> decimal;
      if (is_decimal(text)) decimal = parse_decimal(text);
      if (decimal) decimal = rescaled(*decimal, kind.scale);
      return made(decimal, Value::decimal);
    }
    case ColumnType::timestamp:
      return made(parse_timestamp(text), Value::timestamp);
    case ColumnType::uuid:
      return made(parse_uuid(text), Value::uuid);
    case ColumnType::bytes:
      scratch->clear();
      if (!parse_hex(text, scratch)) return std::nullopt;
      return Value::bytes(*scratch);
    case ColumnType::text:
      return Value::text(text);
    case ColumnType::array:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace varve
