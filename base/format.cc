#include "base/format.h"

#include <cstdarg>
#include <cstdio>

namespace varve {

std::string format(const char* format, ...) {
  char short_text[256];
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  const int size = std::vsnprintf(short_text, sizeof short_text, format, arguments);
  va_end(arguments);
  std::string text;
  if (size >= 0 && static_cast<size_t>(size) < sizeof short_text) {
    text.assign(short_text, static_cast<size_t>(size));
  } else if (size >= 0) {
    text.resize(static_cast<size_t>(size));
    std::vsnprintf(text.data(), text.size() + 1, format, again);
  }
  va_end(again);
  return text;
}

std::string readable(std::string_view bytes, size_t bytes_max) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string text;
  for (const char c : bytes.substr(0, bytes_max)) {
    const unsigned byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  if (bytes.size() > bytes_max) text += "...";
  return text;
}

}  // namespace varve
