// What the two text forms of a history share: quoted text, and a buffer in front of the sink.
//
// Thread rule: one thread.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "varve/history.h"

namespace varve {

// Well-formed UTF-8: no surrogates, no over-long forms, nothing above U+10FFFF.
bool is_utf8_text(std::string_view bytes);

class HistoryText {
 public:
  explicit HistoryText(const HistorySink& sink) : sink_(sink) {}

  HistoryText& text(std::string_view text) {
    buffer_.append(text);
    return *this;
  }
  HistoryText& number(uint64_t number) {
    buffer_.append(std::to_string(number));
    return *this;
  }
  // In double quotes, with the escapes that JSON and Clojure have in common. Takes UTF-8.
  HistoryText& quoted(std::string_view bytes);
  // In double quotes, two lower-case digits a byte.
  HistoryText& hex(std::string_view bytes);

  // Between two records: hands on what has gathered.
  Status end_of_record() { return buffer_.size() < kPieceBytes ? Status() : flush(); }
  Status flush();

 private:
  static constexpr size_t kPieceBytes = 64 * 1024;
  const HistorySink& sink_;
  std::string buffer_;
};

}  // namespace varve
