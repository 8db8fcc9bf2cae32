// Bytes as text and back: hex, backslash escapes, UTF-8.
//
// Thread rule: pure functions. Errors: invalid_argument, naming the column (from 1) and what was
// expected.

#pragma once

#include <string>
#include <string_view>

#include "varve/status.h"

namespace varve::tools {

// Lower-case, two digits a byte.
std::string to_hex(std::string_view bytes);
// Digits of either case, an even number of them, nothing else.
Result<std::string> from_hex(std::string_view text);

// One line of text that unescape() turns back into the same bytes: printable UTF-8 as it is,
// backslash as \\, then \t \n \r, and \xHH for other control characters and for bytes that are not
// UTF-8. Never holds a TAB or a line end.
std::string escape(std::string_view bytes);
void append_escaped(std::string_view bytes, std::string* out);
// Takes \\ \t \n \r \xHH; any other backslash is an error, every other byte stands for itself.
Result<std::string> unescape(std::string_view text);

// For eyes only: one line, as escape(), but backslashes stay. For finished messages, in which keys
// and names are escaped already.
std::string escape_message(std::string_view message);

// For eyes only: as escape(), but TAB, line ends and backslashes stay.
std::string printable(std::string_view bytes);

// Well-formed UTF-8: no surrogates, no over-long forms, nothing above U+10FFFF.
bool is_utf8(std::string_view bytes);

// What the command line or a key file holds: hex if `hex`, else text with escapes.
inline Result<std::string> parse_bytes(std::string_view text, bool hex) {
  return hex ? from_hex(text) : unescape(text);
}
// The reverse.
inline std::string format_bytes(std::string_view bytes, bool hex) {
  return hex ? to_hex(bytes) : escape(bytes);
}

}  // namespace varve::tools
