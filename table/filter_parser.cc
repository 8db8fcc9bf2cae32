#include "table/filter_parser.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/format.h"
#include "table/value_text.h"

namespace varve {

namespace {

constexpr size_t kNodesMax = 4096;   // also bounds how deep evaluation goes
constexpr uint32_t kDepthMax = 100;  // of parentheses and `not`

bool equal_words(std::string_view word, std::string_view wanted) {
  return std::equal(word.begin(), word.end(), wanted.begin(), wanted.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b;
  });
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<uint8_t>(c) >= 0x80;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

Status FilterParser::parse() {
  next();
  parse_either();
  if (failure_.ok() && token_.kind != TokenKind::end) expected("the end, `and` or `or`");
  return std::move(failure_);
}

void FilterParser::fail(size_t at, const std::string& what) {
  if (failed()) return;
  failure_ = Status::invalid_argument(format("at byte %zu: ", at + 1) + what);
}
void FilterParser::expected(const char* what) {
  const std::string there = token_.kind == TokenKind::end ? "the end" : readable(token_.source);
  fail(token_.at, std::string("expected ") + what + ", found " + there);
}

// -- tokens --
void FilterParser::next() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) {
    ++at_;
  }
  end_ = token_.at + token_.source.size();
  token_ = {.kind = TokenKind::end, .at = at_, .source = {}, .content = {}};
  if (at_ == text_.size()) return;
  const size_t begin = at_;
  const char c = text_[at_];
  if ((c == 'x' || c == 'X') && at_ + 1 < text_.size() && text_[at_ + 1] == '\'') {
    ++at_;
    read_quoted('\'', TokenKind::bytes);
    const std::string digits = std::exchange(token_.content, {});
    if (!parse_hex(digits, &token_.content)) fail(begin, "bytes have two digits each, 0-9 and a-f");
  } else if (c == '\'') {
    read_quoted('\'', TokenKind::text);
  } else if (c == '"') {
    read_quoted('"', TokenKind::name);
  } else if (is_letter(c)) {
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    token_.kind = TokenKind::word;
  } else if (is_digit(c) || c == '.' || (c == '-' && at_ + 1 < text_.size())) {
    read_number();
  } else {
    read_symbol();
  }
  token_.source = text_.substr(begin, at_ - begin);
}
void FilterParser::read_quoted(char quote, TokenKind kind) {
  const size_t begin = at_++;
  token_.kind = kind;
  for (;; ++at_) {
    if (at_ == text_.size()) return fail(begin, "a quote without an end");
    if (text_[at_] == quote) {
      if (at_ + 1 == text_.size() || text_[at_ + 1] != quote) break;
      ++at_;  // a doubled one stands for itself
    }
    token_.content += text_[at_];
  }
  ++at_;
}
void FilterParser::read_number() {
  const size_t begin = at_;
  token_.kind = TokenKind::number;
  if (text_[at_] == '-') ++at_;
  size_t digits = 0;
  const auto read_digits = [&] {
    for (; at_ < text_.size() && is_digit(text_[at_]); ++at_) ++digits;
  };
  read_digits();
  if (at_ < text_.size() && text_[at_] == '.') {
    ++at_;
    read_digits();
  }
  if (digits == 0) return fail(begin, "a number without digits");
  if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    ++at_;
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    digits = 0;
    read_digits();
    if (digits == 0) return fail(begin, "an exponent without digits");
  }
  if (at_ < text_.size() && is_letter(text_[at_])) fail(begin, "a number that runs into a word");
}
void FilterParser::read_symbol() {
  token_.kind = TokenKind::symbol;
  const std::string_view two = text_.substr(at_, 2);
  at_ += two == "!=" || two == "<>" || two == "<=" || two == ">=" ? 2 : 1;
}

bool FilterParser::is_word(std::string_view word) const {
  return token_.kind == TokenKind::word && equal_words(token_.source, word);
}
bool FilterParser::take_word(std::string_view word) {
  if (failed() || !is_word(word)) return false;
  next();
  return true;
}
bool FilterParser::take_symbol(std::string_view symbol) {
  if (failed() || token_.kind != TokenKind::symbol || token_.source != symbol) return false;
  next();
  return true;
}

// -- nodes --
uint32_t FilterParser::add(const Node& node) {
  if (into_.nodes_.size() == kNodesMax) fail(token_.at, "too many conditions");
  if (failed()) return 0;
  into_.nodes_.push_back(node);
  return static_cast<uint32_t>(into_.nodes_.size() - 1);
}
uint32_t FilterParser::add_pair(Kind kind, uint32_t left, uint32_t right) {
  return add({.kind = kind, .left = left, .right = right});
}
uint32_t FilterParser::parse_either() {
  uint32_t left = parse_both();
  while (take_word("or")) left = add_pair(Kind::either, left, parse_both());
  return left;
}
uint32_t FilterParser::parse_both() {
  uint32_t left = parse_one();
  while (take_word("and")) left = add_pair(Kind::both, left, parse_one());
  return left;
}
uint32_t FilterParser::parse_one() {
  if (depth_ == kDepthMax) fail(token_.at, "nested too deeply");
  if (failed()) return 0;
  ++depth_;
  const size_t begin = token_.at;
  uint32_t node;
  if (take_word("not")) {
    node = parse_one();
    node = add({.kind = Kind::negation, .left = node});
  } else if (take_symbol("(")) {
    node = parse_either();
    if (!take_symbol(")")) expected("`)`");
  } else {
    node = parse_condition();
  }
  --depth_;
  if (failed()) return 0;
  into_.nodes_[node].begin = static_cast<uint32_t>(begin);
  into_.nodes_[node].end = static_cast<uint32_t>(end_);
  return node;
}
uint32_t FilterParser::parse_condition() {
  const std::optional<uint32_t> column = parse_column();
  if (!column) return 0;
  if (take_word("is")) {
    const bool negated = take_word("not");
    if (!take_word("null")) expected("`null`");
    return negate(negated, add({.kind = Kind::null, .place = *column}));
  }
  const bool negated = take_word("not");
  if (take_word("between")) {
    const uint32_t least = add_comparison(*column, FilterOperator::at_least);
    if (!take_word("and")) expected("`and`");
    const uint32_t most = add_comparison(*column, FilterOperator::at_most);
    return negate(negated, add_pair(Kind::both, least, most));
  }
  if (take_word("in")) return negate(negated, parse_among(*column));
  if (take_word("like")) return negate(negated, parse_prefix(*column));
  if (negated) expected("`between`, `in` or `like`");
  static constexpr std::pair<std::string_view, FilterOperator> kOperators[] = {
      {"=", FilterOperator::equal},    {"!=", FilterOperator::unequal},
      {"<>", FilterOperator::unequal}, {"<", FilterOperator::less},
      {"<=", FilterOperator::at_most}, {">", FilterOperator::greater},
      {">=", FilterOperator::at_least}};
  for (const auto& [symbol, op] : kOperators) {
    if (take_symbol(symbol)) return add_comparison(*column, op);
  }
  expected("a comparison");
  return 0;
}
uint32_t FilterParser::negate(bool negated, uint32_t node) {
  return negated ? add({.kind = Kind::negation, .left = node}) : node;
}
std::optional<uint32_t> FilterParser::parse_column() {
  if (token_.kind != TokenKind::word && token_.kind != TokenKind::name) {
    expected("a column");
    return std::nullopt;
  }
  const std::string name =
      token_.kind == TokenKind::word ? std::string(token_.source) : token_.content;
  const std::optional<uint32_t> place = table_.find_column(name);
  if (!place) {
    fail(token_.at, "table " + readable(table_.name) + " has no column " + readable(name));
    return std::nullopt;
  }
  next();
  return place;
}
uint32_t FilterParser::add_comparison(uint32_t column, FilterOperator op) {
  Node node{.kind = Kind::comparison, .op = op, .place = column};
  node.first = static_cast<uint32_t>(into_.literals_.size());
  node.count = 1;
  parse_literal(column);
  return add(node);
}
uint32_t FilterParser::parse_among(uint32_t column) {
  Node node{.kind = Kind::among, .place = column};
  node.first = static_cast<uint32_t>(into_.literals_.size());
  if (!take_symbol("(")) expected("`(`");
  do {
    parse_literal(column);
    ++node.count;
  } while (take_symbol(","));
  if (!take_symbol(")")) expected("`,` or `)`");
  return add(node);
}
uint32_t FilterParser::parse_prefix(uint32_t column) {
  const ColumnType type = table_.columns[column].kind.type;
  Node node{.kind = Kind::prefix, .place = column};
  node.first = static_cast<uint32_t>(into_.literals_.size());
  node.count = 1;
  if (type != ColumnType::text && type != ColumnType::bytes) {
    fail(token_.at, "`like` asks for a text");
  } else if (take_symbol("?")) {
    add_argument(column, /*is_prefix=*/true);
  } else if (token_.kind == TokenKind::text && is_prefix_pattern(token_.content)) {
    token_.content.pop_back();
    into_.literals_.push_back({.value = Value::text(kept())});
    next();
  } else {
    expected("'PREFIX%' without further % or _");
  }
  return add(node);
}

// -- literals --
// The token's content, where it stays.
std::string_view FilterParser::kept() {
  into_.texts_.push_back(std::make_unique<std::string>(std::move(token_.content)));
  return *into_.texts_.back();
}
void FilterParser::add_argument(uint32_t column, bool is_prefix) {
  const ColumnSchema& schema = table_.columns[column];
  into_.arguments_.push_back({.literal = static_cast<uint32_t>(into_.literals_.size()),
                              .is_prefix = is_prefix,
                              .kind = schema.kind,
                              .column = schema.name});
  into_.literals_.emplace_back();
}
void FilterParser::parse_literal(uint32_t column) {
  if (failed()) return;
  if (take_symbol("?")) return add_argument(column, /*is_prefix=*/false);
  const ColumnSchema& schema = table_.columns[column];
  std::optional<FilterLiteral> literal;
  switch (token_.kind) {
    case TokenKind::number:
      literal = number_literal(schema.kind);
      break;
    case TokenKind::text:
      literal = text_literal(schema.kind);
      break;
    case TokenKind::bytes:
      if (schema.kind.type == ColumnType::bytes) literal = {.value = Value::bytes(kept())};
      break;
    case TokenKind::word:
      if (schema.kind.type == ColumnType::boolean && (is_word("true") || is_word("false"))) {
        literal = {.value = Value::boolean(is_word("true"))};
      } else if (is_word("null")) {
        return fail(token_.at, "nothing compares with null: `is null` asks for it");
      }
      break;
    default:
      return expected("a literal");
  }
  if (failed()) return;
  if (!literal) {
    return fail(token_.at,
                readable(token_.source) + " is no value of column " + readable(schema.name));
  }
  into_.literals_.push_back(*literal);
  next();
}
std::optional<FilterLiteral> FilterParser::number_literal(const ColumnKind& kind) {
  if (kind.type == ColumnType::float64) {
    double value = 0;
    const char* const end = token_.source.data() + token_.source.size();
    const auto [stop, error] = std::from_chars(token_.source.data(), end, value);
    if (stop != end || error != std::errc()) return std::nullopt;
    return FilterLiteral{.value = Value::float64(value)};
  }
  const std::optional<Decimal> decimal = parse_decimal(token_.source);
  if (!decimal) fail(token_.at, "a number of too many digits");
  return decimal ? literal_of(*decimal, kind) : std::nullopt;
}
std::optional<FilterLiteral> FilterParser::text_literal(const ColumnKind& kind) {
  switch (kind.type) {
    case ColumnType::text:
      return FilterLiteral{.value = Value::text(kept())};
    case ColumnType::bytes:
      return FilterLiteral{.value = Value::bytes(kept())};
    case ColumnType::uuid: {
      const std::optional<Uuid> uuid = parse_uuid(token_.content);
      if (!uuid) return std::nullopt;
      return FilterLiteral{.value = Value::uuid(*uuid)};
    }
    case ColumnType::timestamp: {
      const std::optional<int64_t> micros = parse_timestamp(token_.content);
      if (!micros) return std::nullopt;
      return FilterLiteral{.value = Value::timestamp(*micros)};
    }
    default:
      return std::nullopt;
  }
}

}  // namespace varve
