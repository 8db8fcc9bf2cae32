#include "tools/common/time_text.h"

#include <cstdint>
#include <cstdio>

namespace varve::tools {

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

struct Unit {
  std::string_view name;
  uint64_t nanos;
};
constexpr Unit kUnits[] = {
    {"ns", 1},
    {"us", 1'000},
    {"ms", 1'000'000},
    {"s", kSecond},
    {"m", 60 * kSecond},
    {"h", 3'600 * kSecond},
    {"d", 86'400 * kSecond},
    {"w", 7 * 86'400 * kSecond},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Status bad_time(std::string_view text, const char* why) {
  return Status::invalid_argument("time '" + std::string(text) + "': " + why +
                                  " (expected RFC 3339 such as 2026-01-31T12:00:00Z, nanoseconds "
                                  "since 1970, or relative such as -5m)");
}

Status bad_duration(std::string_view text) {
  return Status::invalid_argument("duration '" + std::string(text) +
                                  "' (expected a number with a unit of ns us ms s m h d w, such as "
                                  "90s or 1h30m, or forever)");
}

// Takes exactly `digits` digits off the front.
bool take_number(std::string_view* text, size_t digits, unsigned* value) {
  if (text->size() < digits) return false;
  *value = 0;
  for (size_t i = 0; i < digits; ++i) {
    if (!is_digit((*text)[i])) return false;
    *value = *value * 10 + static_cast<unsigned>((*text)[i] - '0');
  }
  text->remove_prefix(digits);
  return true;
}

bool take_char(std::string_view* text, std::string_view one_of) {
  if (text->empty() || one_of.find((*text)[0]) == std::string_view::npos) return false;
  text->remove_prefix(1);
  return true;
}

// ".250" -> 250,000,000. At most nine digits.
bool take_fraction(std::string_view* text, uint64_t* nanos) {
  *nanos = 0;
  if (!take_char(text, ".")) return true;
  uint64_t scale = kSecond / 10;
  size_t digits = 0;
  for (; !text->empty() && is_digit((*text)[0]); ++digits, scale /= 10) {
    if (digits == 9) return false;
    *nanos += static_cast<uint64_t>((*text)[0] - '0') * scale;
    text->remove_prefix(1);
  }
  return digits > 0;
}

// "Z", "+01:00", "-08:30".
bool take_zone(std::string_view* text, int64_t* offset_seconds) {
  *offset_seconds = 0;
  if (take_char(text, "Zz")) return true;
  const bool west = !text->empty() && (*text)[0] == '-';
  unsigned hours = 0;
  unsigned minutes = 0;
  if (!take_char(text, "+-") || !take_number(text, 2, &hours) || !take_char(text, ":") ||
      !take_number(text, 2, &minutes) || hours > 23 || minutes > 59) {
    return false;
  }
  *offset_seconds = static_cast<int64_t>(hours) * 3600 + static_cast<int64_t>(minutes) * 60;
  if (west) *offset_seconds = -*offset_seconds;
  return true;
}

Result<Timestamp> parse_rfc3339(std::string_view text) {
  std::string_view rest = text;
  unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  uint64_t nanos = 0;
  int64_t offset_seconds = 0;
  if (!take_number(&rest, 4, &year) || !take_char(&rest, "-") || !take_number(&rest, 2, &month) ||
      !take_char(&rest, "-") || !take_number(&rest, 2, &day)) {
    return bad_time(text, "not understood");
  }
  if (!take_char(&rest, "Tt ") || !take_number(&rest, 2, &hour) || !take_char(&rest, ":") ||
      !take_number(&rest, 2, &minute) || !take_char(&rest, ":") ||
      !take_number(&rest, 2, &second)) {
    return bad_time(text, "hours, minutes and seconds are missing");
  }
  if (!take_fraction(&rest, &nanos)) return bad_time(text, "bad fraction of a second");
  if (!take_zone(&rest, &offset_seconds)) return bad_time(text, "the time zone is missing");
  if (!rest.empty()) return bad_time(text, "something follows the time zone");
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(month), std::chrono::day(day)};
  // A leap second, :60, is the first of the next minute.
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return bad_time(text, "no such time");
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const int64_t seconds =
      ((days * 24 + hour) * 60 + minute) * 60 + static_cast<int64_t>(second) - offset_seconds;
  if (seconds < 0) return bad_time(text, "before 1970");
  const auto whole = static_cast<uint64_t>(seconds);
  if (whole > (UINT64_MAX - nanos) / kSecond) return bad_time(text, "too far in the future");
  return Timestamp{whole * kSecond + nanos};
}

// "1.5h" off the front of `text`, added to `*nanos`.
bool take_quantity(std::string_view* text, uint64_t* nanos) {
  size_t digits = 0;
  size_t points = 0;
  double number = 0;
  double scale = 1;
  uint64_t whole = 0;
  bool exact = true;  // whole numbers are not rounded through a double
  for (; digits + points < text->size();) {
    const char c = (*text)[digits + points];
    if (c == '.' && points == 0) {
      ++points;
      exact = false;
      continue;
    }
    if (!is_digit(c)) break;
    ++digits;
    number = number * 10 + (c - '0');
    if (points > 0) scale *= 10;
    if (__builtin_mul_overflow(whole, 10u, &whole) ||
        __builtin_add_overflow(whole, static_cast<uint64_t>(c - '0'), &whole)) {
      return false;
    }
  }
  if (digits == 0) return false;
  text->remove_prefix(digits + points);
  size_t letters = 0;
  while (letters < text->size() && (*text)[letters] >= 'a' && (*text)[letters] <= 'z') ++letters;
  const std::string_view name = text->substr(0, letters);
  text->remove_prefix(letters);
  for (const Unit& unit : kUnits) {
    if (unit.name != name) continue;
    uint64_t part = 0;
    if (exact) {
      if (__builtin_mul_overflow(whole, unit.nanos, &part)) return false;
    } else {
      const double product = number / scale * static_cast<double>(unit.nanos);
      if (product >= 9e18) return false;
      part = static_cast<uint64_t>(product);
    }
    return !__builtin_add_overflow(*nanos, part, nanos);
  }
  return false;
}

}  // namespace

Timestamp current_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return Timestamp{
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count())};
}

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  if (text == "0") return std::chrono::nanoseconds(0);
  if (text == "forever") return std::chrono::nanoseconds::max();
  std::string_view rest = text;
  uint64_t nanos = 0;
  if (rest.empty()) return bad_duration(text);
  while (!rest.empty()) {
    if (!take_quantity(&rest, &nanos)) return bad_duration(text);
  }
  if (nanos > static_cast<uint64_t>(INT64_MAX)) return bad_duration(text);
  return std::chrono::nanoseconds(static_cast<int64_t>(nanos));
}

Result<Timestamp> parse_time(std::string_view text, Timestamp now) {
  if (text.empty()) return bad_time(text, "empty");
  if (text == "now") return now;
  if (text[0] == '-') {
    const Result<std::chrono::nanoseconds> back = parse_duration(text.substr(1));
    if (!back.ok() || text == "-forever") return bad_time(text, "not understood");
    const auto nanos = static_cast<uint64_t>(back->count());
    if (nanos > now.nanos) return bad_time(text, "before 1970");
    return Timestamp{now.nanos - nanos};
  }
  if (text.find_first_not_of("0123456789") == std::string_view::npos) {
    uint64_t nanos = 0;
    for (const char c : text) {
      if (__builtin_mul_overflow(nanos, 10u, &nanos) ||
          __builtin_add_overflow(nanos, static_cast<uint64_t>(c - '0'), &nanos)) {
        return bad_time(text, "too far in the future");
      }
    }
    return Timestamp{nanos};
  }
  return parse_rfc3339(text);
}

std::string format_duration(std::chrono::nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  const auto whole = static_cast<long long>(seconds);
  char text[64];
  if (duration == std::chrono::nanoseconds::max()) return "forever";
  if (seconds < 1) {
    std::snprintf(text, sizeof text, "%.0f ms", seconds * 1e3);
  } else if (seconds < 60) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else if (whole < 3600) {
    std::snprintf(text, sizeof text, "%lld min %lld s", whole / 60, whole % 60);
  } else if (whole < 86'400) {
    std::snprintf(text, sizeof text, "%lld h %lld min", whole / 3600, whole / 60 % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld d %lld h", whole / 86'400, whole / 3600 % 24);
  }
  return text;
}

}  // namespace varve::tools
