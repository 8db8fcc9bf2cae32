// Values as text, and back: what literals of filters, fields of files, and options and output of
// tools look like.
//
// Thread rule: pure. Errors: nothing, for a text that is none, or too large.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "varve/value.h"

namespace varve {

// 12, -3.50 or 1e6. Requires digits, at most one point, and an exponent at the end only.
std::optional<Decimal> parse_decimal(std::string_view text);
// 32 digits, with or without the four hyphens.
std::optional<Uuid> parse_uuid(std::string_view text);
// 2026-01-31, 2026-01-31 12:00:05 or 2026-01-31T12:00:05.25Z: microseconds since 1970, UTC.
std::optional<int64_t> parse_timestamp(std::string_view text);
// Two digits a byte: appended to `*bytes`. False: a digit is missing, or none.
bool parse_hex(std::string_view text, std::string* bytes);

// Appends what a parser above takes for it; texts as they are, bytes in hex, null as "null", arrays
// as [1, two, null]. Requires a timestamp of the years 0 to 9999; others are appended as a number.
void append_text(const Value& value, std::string* to);
inline std::string to_text(const Value& value) {
  std::string text;
  append_text(value, &text);
  return text;
}

// "int64", "decimal(2)".
std::string to_text(const ColumnKind& kind);
std::optional<ColumnKind> parse_column_kind(std::string_view text);
// What append_text() shows of a value of that kind, but "null" is a text like others, and arrays
// are not read. The value views into `text`, or `*scratch`.
std::optional<Value> parse_value(std::string_view text, const ColumnKind& kind,
                                 std::string* scratch);

}  // namespace varve
