#include "txn/history_text.h"

#include "base/format.h"

namespace varve {

namespace {

constexpr char kDigits[] = "0123456789abcdef";

// The first byte of a character says how many follow, and what the smallest character is that needs
// as many.
struct Form {
  int following;
  uint32_t smallest;
};

Form form_of(uint8_t first) {
  if (first < 0x80) return {.following = 0, .smallest = 0};
  if (first >= 0xc0 && first < 0xe0) return {.following = 1, .smallest = 0x80};
  if (first >= 0xe0 && first < 0xf0) return {.following = 2, .smallest = 0x800};
  if (first >= 0xf0 && first < 0xf8) return {.following = 3, .smallest = 0x10000};
  return {.following = -1, .smallest = 0};
}

}  // namespace

bool is_utf8_text(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const auto first = static_cast<uint8_t>(bytes[at++]);
    const Form form = form_of(first);
    if (form.following < 0 || bytes.size() - at < static_cast<size_t>(form.following)) return false;
    uint32_t character = form.following == 0 ? first : first & (0x3fu >> form.following);
    for (int i = 0; i < form.following; ++i) {
      const auto byte = static_cast<uint8_t>(bytes[at++]);
      if ((byte & 0xc0) != 0x80) return false;
      character = character << 6 | (byte & 0x3fu);
    }
    const bool surrogate = character >= 0xd800 && character < 0xe000;
    if (character < form.smallest || surrogate || character > 0x10ffff) return false;
  }
  return true;
}

HistoryText& HistoryText::quoted(std::string_view bytes) {
  buffer_ += '"';
  for (const char c : bytes) {
    switch (c) {
      case '"':
        buffer_ += "\\\"";
        break;
      case '\\':
        buffer_ += "\\\\";
        break;
      case '\n':
        buffer_ += "\\n";
        break;
      case '\r':
        buffer_ += "\\r";
        break;
      case '\t':
        buffer_ += "\\t";
        break;
      default:
        if (static_cast<uint8_t>(c) < 0x20) {
          buffer_ += format("\\u%04x", static_cast<unsigned>(c));
        } else {
          buffer_ += c;
        }
    }
  }
  buffer_ += '"';
  return *this;
}

HistoryText& HistoryText::hex(std::string_view bytes) {
  buffer_ += '"';
  for (const char c : bytes) {
    buffer_ += kDigits[static_cast<uint8_t>(c) >> 4];
    buffer_ += kDigits[static_cast<uint8_t>(c) & 15];
  }
  buffer_ += '"';
  return *this;
}

Status HistoryText::flush() {
  if (buffer_.empty()) return Status();
  const Status status = sink_(buffer_);
  buffer_.clear();
  return status;
}

}  // namespace varve
