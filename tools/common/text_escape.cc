#include "tools/common/text_escape.h"

#include <cstddef>
#include <cstdint>

namespace varve::tools {

namespace {

constexpr char kDigits[] = "0123456789abcdef";

// -1: not a digit.
int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Bytes of the well-formed UTF-8 sequence at the start of `bytes`; 0: there is none.
// Source: The Unicode Standard, table 3-7.
size_t utf8_sequence(std::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const auto within = [&](size_t i, uint8_t low, uint8_t high) {
    return i < bytes.size() && byte(i) >= low && byte(i) <= high;
  };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return within(1, 0x80, 0xBF) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;
    const uint8_t high = lead == 0xED ? 0x9F : 0xBF;
    return within(1, low, high) && within(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;
    return within(1, low, high) && within(2, 0x80, 0xBF) && within(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

// Control characters of ASCII, DEL, and those of U+0080 to U+009F, which terminals obey as well.
bool is_control(std::string_view sequence) {
  const auto lead = static_cast<uint8_t>(sequence[0]);
  if (sequence.size() == 1) return lead < 0x20 || lead == 0x7F;
  return lead == 0xC2 && static_cast<uint8_t>(sequence[1]) < 0xA0;
}

void append_hex_escape(char c, std::string* out) {
  const auto byte = static_cast<uint8_t>(c);
  const char text[4] = {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
  out->append(text, sizeof text);
}

// `kept`: which of TAB, line end and backslash stay as they are.
void append_readable(std::string_view bytes, std::string_view kept, std::string* out) {
  while (!bytes.empty()) {
    const char c = bytes[0];
    size_t length = utf8_sequence(bytes);
    if (c == '\\' || c == '\t' || c == '\n') {
      if (kept.find(c) != std::string_view::npos) {
        out->push_back(c);
      } else {
        out->push_back('\\');
        out->push_back(c == '\t' ? 't' : c == '\n' ? 'n' : '\\');
      }
    } else if (c == '\r') {
      out->append("\\r");
    } else if (length == 0 || is_control(bytes.substr(0, length))) {
      length = 1;  // byte by byte: what follows is then no sequence either
      append_hex_escape(c, out);
    } else {
      out->append(bytes.substr(0, length));
    }
    bytes.remove_prefix(length);
  }
}

Status bad_text(size_t position, const char* what) {
  return Status::invalid_argument("column " + std::to_string(position + 1) + ": " + what);
}

}  // namespace

std::string to_hex(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

Result<std::string> from_hex(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    if (high < 0) return bad_text(i, "expected a hex digit");
    if (i + 1 == text.size()) return bad_text(i, "odd number of hex digits");
    const int low = hex_digit(text[i + 1]);
    if (low < 0) return bad_text(i + 1, "expected a hex digit");
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

void append_escaped(std::string_view bytes, std::string* out) { append_readable(bytes, "", out); }

std::string escape(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  append_escaped(bytes, &text);
  return text;
}

std::string escape_message(std::string_view message) {
  std::string text;
  text.reserve(message.size());
  append_readable(message, "\\", &text);
  return text;
}

std::string printable(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  append_readable(bytes, "\t\n\\", &text);
  return text;
}

Result<std::string> unescape(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes.push_back(text[i]);
      continue;
    }
    const size_t start = i++;
    switch (i < text.size() ? text[i] : '\0') {
      case '\\':
        bytes.push_back('\\');
        break;
      case 't':
        bytes.push_back('\t');
        break;
      case 'n':
        bytes.push_back('\n');
        break;
      case 'r':
        bytes.push_back('\r');
        break;
      case 'x': {
        const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0) return bad_text(start, "expected two hex digits after \\x");
        bytes.push_back(static_cast<char>(high * 16 + low));
        i += 2;
        break;
      }
      default:
        return bad_text(start,
                        "expected one of \\\\ \\t \\n \\r \\xHH (write a backslash as \\\\)");
    }
  }
  return bytes;
}

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t length = utf8_sequence(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

}  // namespace varve::tools
