// Text -> nodes and literals of a FilterExpression: by recursive descent, one token ahead.
//
// Thread rule: one thread. Errors: invalid_argument, with the byte.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "table/filter_expression.h"

namespace varve {

class FilterParser {
 public:
  // All outlive this. `into` is a new one.
  FilterParser(std::string_view text, const TableSchema& table, FilterExpression* into)
      : text_(text), table_(table), into_(*into) {}

  Status parse();

 private:
  using Kind = FilterExpression::Kind;
  using Node = FilterExpression::Node;
  enum class TokenKind : uint8_t { end, word, name, number, text, bytes, symbol };
  struct Token {
    TokenKind kind = TokenKind::end;
    size_t at = 0;            // byte of the text
    std::string_view source;  // as it stands there
    std::string content;      // of texts, bytes and quoted names
  };

  bool failed() const { return !failure_.ok(); }
  void fail(size_t at, const std::string& what);  // the first one counts
  void expected(const char* what);

  // -- tokens --
  void next();
  void read_quoted(char quote, TokenKind kind);
  void read_number();
  void read_symbol();
  bool is_word(std::string_view word) const;
  bool take_word(std::string_view word);
  bool take_symbol(std::string_view symbol);

  // -- nodes: each returns its number --
  uint32_t add(const Node& node);
  uint32_t add_pair(Kind kind, uint32_t left, uint32_t right);
  uint32_t parse_either();
  uint32_t parse_both();
  uint32_t parse_one();
  uint32_t parse_condition();
  uint32_t negate(bool negated, uint32_t node);
  std::optional<uint32_t> parse_column();
  uint32_t add_comparison(uint32_t column, FilterOperator op);
  uint32_t parse_among(uint32_t column);
  uint32_t parse_prefix(uint32_t column);

  // -- literals --
  // The token's content, where it stays.
  std::string_view kept();
  void add_argument(uint32_t column, bool is_prefix);
  void parse_literal(uint32_t column);
  std::optional<FilterLiteral> number_literal(const ColumnKind& kind);
  std::optional<FilterLiteral> text_literal(const ColumnKind& kind);

  const std::string_view text_;
  const TableSchema& table_;
  FilterExpression& into_;
  size_t at_ = 0;
  size_t end_ = 0;  // of the token before this one
  Token token_;
  uint32_t depth_ = 0;
  Status failure_;
};

}  // namespace varve
