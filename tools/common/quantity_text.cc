#include "tools/common/quantity_text.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <vector>

namespace varve::tools {

namespace {

// Edits of one character (insert, delete, replace, swap with its neighbour) from `a` to `b`.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1);  // the row before `above`
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] =
          std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text) {
  const Status bad =
      Status::invalid_argument("size '" + std::string(text) +
                               "' (expected a number of bytes, such as 65536, 64K or 1.5GiB)");
  const size_t unit_at = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view number = text.substr(0, unit_at);
  std::string unit;
  for (const char c : text.substr(unit_at)) {
    unit.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  }
  unsigned shift = 0;
  if (!unit.empty() && unit != "b") {
    const size_t power = std::string_view("kmgt").find(unit[0]);
    const std::string_view suffix = std::string_view(unit).substr(1);
    if (power == std::string_view::npos || (!suffix.empty() && suffix != "b" && suffix != "ib")) {
      return bad;
    }
    shift = static_cast<unsigned>(power + 1) * 10;
  }
  const char* end = number.data() + number.size();
  uint64_t whole = 0;
  if (const auto parsed = std::from_chars(number.data(), end, whole);
      parsed.ec == std::errc() && parsed.ptr == end) {
    if (shift > 0 && whole >> (64 - shift) != 0) return bad;
    return whole << shift;
  }
  double value = 0;
  const auto parsed = std::from_chars(number.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end) return bad;
  value *= static_cast<double>(1ull << shift);
  if (value >= 18e18) return bad;
  return static_cast<uint64_t>(value);
}

Result<uint64_t> parse_count(std::string_view text) {
  uint64_t count = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, count);
  if (parsed.ec == std::errc() && parsed.ptr == end) return count;
  return Status::invalid_argument("number '" + std::string(text) +
                                  "' (expected decimal digits, less than 2^64)");
}

std::string format_size(uint64_t bytes) {
  char text[32];
  if (bytes < 1024) {
    std::snprintf(text, sizeof text, "%llu B", static_cast<unsigned long long>(bytes));
    return text;
  }
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1023.95 would be printed as 1024.0.
  for (; value >= 1023.95 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  std::snprintf(text, sizeof text, "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string format_count(uint64_t count) {
  std::string text = std::to_string(count);
  for (size_t place = text.size(); place > 3; place -= 3) text.insert(place - 3, ",");
  return text;
}

std::string counted(uint64_t count, std::string_view noun) {
  std::string text = format_count(count) + " ";
  if (count == 1) return text.append(noun);
  if (noun.ends_with('y')) return text.append(noun.substr(0, noun.size() - 1)).append("ies");
  return text.append(noun).append("s");
}

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> candidates) {
  std::string_view best;
  // More edits than one in three characters make another word, which is no hint.
  size_t best_distance = std::max<size_t>(name.size() / 3, 1) + 1;
  for (const std::string_view candidate : candidates) {
    const bool cut_short = name.size() >= 3 && candidate.starts_with(name);
    const size_t distance = cut_short ? 1 : edit_distance(name, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace varve::tools
