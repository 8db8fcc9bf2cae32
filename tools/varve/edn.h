// The part of EDN (extensible data notation, https://github.com/edn-format/edn) that histories use:
// nil, booleans, whole numbers, strings, keywords, vectors, lists and maps. Tags are skipped, but
// for #varve/hex, whose string becomes bytes. Everything else (symbols, characters, other numbers)
// is kept as its text, since a history may have members that nobody looks at.
//
// Thread rule: pure functions. Errors: invalid_argument, saying what was expected.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "varve/status.h"

namespace varve::cli {

struct EdnValue {
  enum class Kind : uint8_t { nil, boolean, number, string, keyword, vector, map, other };

  Kind kind = Kind::nil;
  bool boolean = false;
  uint64_t number = 0;
  std::string text;  // of a string, without quotes; of a keyword, without its colon
  // Of a vector or list: its elements. Of a map: key, value, key, value ...
  std::vector<EdnValue> elements;

  bool is(Kind wanted) const { return kind == wanted; }
  bool is_keyword(std::string_view name) const { return kind == Kind::keyword && text == name; }
  // Of a map: the value at that keyword; null: there is none.
  const EdnValue* find(std::string_view keyword) const;
};

// Exactly one value, with nothing behind it. It may be nested 64 deep.
Result<EdnValue> parse_edn(std::string_view text);

}  // namespace varve::cli
