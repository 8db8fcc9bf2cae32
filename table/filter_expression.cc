#include "table/filter_expression.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/format.h"

namespace varve {

namespace {

constexpr size_t kTextMax = 1 << 20;
constexpr size_t kNodesMax = 4096;   // also bounds how deep evaluation goes
constexpr uint32_t kDepthMax = 100;  // of parentheses and `not`

// -- values --

std::weak_ordering compare_floats(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) <=> std::isnan(b);
  if (a == b) return std::weak_ordering::equivalent;
  return a < b ? std::weak_ordering::less : std::weak_ordering::greater;
}

// 10^digits * number, rounded down; `*exact` if nothing was lost. Nothing: it is too large.
std::optional<Int128> shifted(Int128 number, int64_t digits, bool* exact) {
  *exact = true;
  for (; digits > 0 && number != 0; --digits) {
    if (__builtin_mul_overflow(number, Int128{10}, &number)) return std::nullopt;
  }
  for (; digits < 0 && number != 0 && number != -1; ++digits) {
    const Int128 rest = number % 10;
    number /= 10;
    if (rest == 0) continue;
    *exact = false;
    if (rest < 0) --number;
  }
  if (digits < 0 && number == -1) *exact = false;  // a little below 0 rounds down to -1 for ever
  return number;
}

// -- text --

enum class TokenKind : uint8_t { end, word, name, number, text, bytes, symbol };
struct Token {
  TokenKind kind = TokenKind::end;
  size_t at = 0;            // byte of the text
  std::string_view source;  // as it stands there
  std::string content;      // of texts, bytes and quoted names
};

bool is_word(std::string_view word, std::string_view wanted) {
  return std::equal(word.begin(), word.end(), wanted.begin(), wanted.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b;
  });
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<uint8_t>(c) >= 0x80;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// mantissa * 10^-scale, of 12, -3.50 or 1e6. Nothing: too many digits.
std::optional<Decimal> parse_decimal(std::string_view text) {
  Decimal decimal;
  const bool negative = text.starts_with('-');
  int64_t scale = 0;
  bool behind_point = false;
  size_t i = negative ? 1 : 0;
  for (; i < text.size() && text[i] != 'e' && text[i] != 'E'; ++i) {
    if (text[i] == '.') {
      behind_point = true;
      continue;
    }
    scale += behind_point ? 1 : 0;
    if (__builtin_mul_overflow(decimal.unscaled, Int128{10}, &decimal.unscaled) ||
        __builtin_add_overflow(decimal.unscaled, Int128{text[i] - '0'}, &decimal.unscaled)) {
      return std::nullopt;
    }
  }
  if (i < text.size()) {
    ++i;
    if (i < text.size() && text[i] == '+') ++i;
    int exponent = 0;
    if (std::from_chars(text.data() + i, text.data() + text.size(), exponent).ec != std::errc()) {
      return std::nullopt;
    }
    scale -= exponent;
  }
  if (scale < -100'000 || scale > 100'000) return std::nullopt;
  decimal.scale = static_cast<int32_t>(scale);
  if (negative) decimal.unscaled = -decimal.unscaled;
  return decimal;
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  Uuid uuid;
  size_t digits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '-' && (i == 8 || i == 13 || i == 18 || i == 23)) continue;
    const int digit = hex_digit(text[i]);
    if (digit < 0 || digits == 32) return std::nullopt;
    uint8_t& byte = uuid.bytes[digits / 2];
    byte = static_cast<uint8_t>(byte << 4 | digit);
    ++digits;
  }
  if (digits != 32) return std::nullopt;
  return uuid;
}

// Source: Howard Hinnant, chrono-compatible low-level date algorithms, days_from_civil.
int64_t days_since_1970(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

// 2026-01-31, 2026-01-31 12:00:05 or 2026-01-31T12:00:05.25Z: microseconds since 1970.
std::optional<int64_t> parse_timestamp(std::string_view text) {
  const auto number = [&](size_t digits) -> int64_t {
    int64_t value = -1;
    if (text.size() < digits) return -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
    if (error != std::errc() || end != text.data() + digits) return -1;
    text.remove_prefix(digits);
    return value;
  };
  const auto take = [&](std::string_view any_of) {
    if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
  };
  const int64_t year = number(4);
  if (!take("-")) return std::nullopt;
  const int64_t month = number(2);
  if (!take("-")) return std::nullopt;
  const int64_t day = number(2);
  constexpr int64_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (year < 0 || month < 1 || month > 12 || day < 1 ||
      day > kDays[month - 1] + (leap && month == 2 ? 1 : 0)) {
    return std::nullopt;
  }
  int64_t hour = 0;
  int64_t minute = 0;
  int64_t second = 0;
  int64_t micros = 0;
  if (take(" T")) {
    hour = number(2);
    if (!take(":")) return std::nullopt;
    minute = number(2);
    if (!take(":")) return std::nullopt;
    second = number(2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) {
      return std::nullopt;
    }
    if (take(".")) {
      size_t digits = 0;
      for (; !text.empty() && is_digit(text.front()); ++digits) {
        if (digits == 6) return std::nullopt;
        micros = micros * 10 + (text.front() - '0');
        text.remove_prefix(1);
      }
      if (digits == 0) return std::nullopt;
      for (; digits < 6; ++digits) micros *= 10;
    }
    take("Z");
  }
  if (!text.empty()) return std::nullopt;
  const int64_t seconds =
      ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
  return seconds * 1'000'000 + micros;
}

}  // namespace

std::weak_ordering compare_values(const Value& a, const Value& b) {
  switch (a.type()) {
    case ColumnType::boolean:
      return a.as_boolean() <=> b.as_boolean();
    case ColumnType::int64:
      return a.as_int64() <=> b.as_int64();
    case ColumnType::timestamp:
      return a.as_timestamp() <=> b.as_timestamp();
    case ColumnType::uint64:
      return a.as_uint64() <=> b.as_uint64();
    case ColumnType::float64:
      return compare_floats(a.as_float64(), b.as_float64());
    case ColumnType::decimal: {
      // Of one scale: of one column.
      const Int128 x = a.as_decimal().unscaled;
      const Int128 y = b.as_decimal().unscaled;
      return x < y ? std::weak_ordering::less
                   : (x > y ? std::weak_ordering::greater : std::weak_ordering::equivalent);
    }
    case ColumnType::uuid:
      return a.as_uuid() <=> b.as_uuid();
    case ColumnType::bytes:
    case ColumnType::text:
    case ColumnType::array:
      return a.as_bytes().compare(b.as_bytes()) <=> 0;
  }
  return std::weak_ordering::equivalent;
}

// -- compiling --

class FilterParser {
 public:
  FilterParser(std::string_view text, const TableSchema& table, FilterExpression* into)
      : text_(text), table_(table), into_(*into) {}

  Status parse() {
    next();
    parse_either();
    if (failure_.ok() && token_.kind != TokenKind::end) expected("the end, `and` or `or`");
    return std::move(failure_);
  }

 private:
  using Kind = FilterExpression::Kind;
  using Operator = FilterExpression::Operator;
  using Literal = FilterExpression::Literal;
  using Node = FilterExpression::Node;

  bool failed() const { return !failure_.ok(); }
  void fail(size_t at, const std::string& what) {
    if (failed()) return;
    failure_ = Status::invalid_argument(format("at byte %zu: ", at + 1) + what);
  }
  void expected(const char* what) {
    const std::string there = token_.kind == TokenKind::end ? "the end" : readable(token_.source);
    fail(token_.at, std::string("expected ") + what + ", found " + there);
  }

  // -- tokens --
  void next() {
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
      unhex(begin);
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
  void read_quoted(char quote, TokenKind kind) {
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
  void unhex(size_t begin) {
    const std::string digits = std::exchange(token_.content, {});
    if (digits.size() % 2 != 0) return fail(begin, "bytes have two digits each");
    for (size_t i = 0; i < digits.size(); i += 2) {
      const int high = hex_digit(digits[i]);
      const int low = hex_digit(digits[i + 1]);
      if (high < 0 || low < 0) return fail(begin, "bytes have digits 0-9 and a-f");
      token_.content += static_cast<char>(high << 4 | low);
    }
  }
  void read_number() {
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
  void read_symbol() {
    token_.kind = TokenKind::symbol;
    const std::string_view two = text_.substr(at_, 2);
    at_ += two == "!=" || two == "<>" || two == "<=" || two == ">=" ? 2 : 1;
  }

  bool is_word(std::string_view word) const {
    return token_.kind == TokenKind::word && varve::is_word(token_.source, word);
  }
  bool take_word(std::string_view word) {
    if (failed() || !is_word(word)) return false;
    next();
    return true;
  }
  bool take_symbol(std::string_view symbol) {
    if (failed() || token_.kind != TokenKind::symbol || token_.source != symbol) return false;
    next();
    return true;
  }

  // -- nodes --
  uint32_t add(const Node& node) {
    if (into_.nodes_.size() == kNodesMax) fail(token_.at, "too many conditions");
    if (failed()) return 0;
    into_.nodes_.push_back(node);
    return static_cast<uint32_t>(into_.nodes_.size() - 1);
  }
  uint32_t add_pair(Kind kind, uint32_t left, uint32_t right) {
    return add({.kind = kind, .left = left, .right = right});
  }
  uint32_t parse_either() {
    uint32_t left = parse_both();
    while (take_word("or")) left = add_pair(Kind::either, left, parse_both());
    return left;
  }
  uint32_t parse_both() {
    uint32_t left = parse_one();
    while (take_word("and")) left = add_pair(Kind::both, left, parse_one());
    return left;
  }
  uint32_t parse_one() {
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
  uint32_t parse_condition() {
    const std::optional<uint32_t> column = parse_column();
    if (!column) return 0;
    if (take_word("is")) {
      const bool negated = take_word("not");
      if (!take_word("null")) expected("`null`");
      return negate(negated, add({.kind = Kind::null, .place = *column}));
    }
    const bool negated = take_word("not");
    if (take_word("between")) {
      const uint32_t least = add_comparison(*column, Operator::at_least);
      if (!take_word("and")) expected("`and`");
      const uint32_t most = add_comparison(*column, Operator::at_most);
      return negate(negated, add_pair(Kind::both, least, most));
    }
    if (take_word("in")) return negate(negated, parse_among(*column));
    if (take_word("like")) return negate(negated, parse_prefix(*column));
    if (negated) expected("`between`, `in` or `like`");
    static constexpr std::pair<std::string_view, Operator> kOperators[] = {
        {"=", Operator::equal},    {"!=", Operator::unequal}, {"<>", Operator::unequal},
        {"<", Operator::less},     {"<=", Operator::at_most}, {">", Operator::greater},
        {">=", Operator::at_least}};
    for (const auto& [symbol, op] : kOperators) {
      if (take_symbol(symbol)) return add_comparison(*column, op);
    }
    expected("a comparison");
    return 0;
  }
  uint32_t negate(bool negated, uint32_t node) {
    return negated ? add({.kind = Kind::negation, .left = node}) : node;
  }
  std::optional<uint32_t> parse_column() {
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
  uint32_t add_comparison(uint32_t column, Operator op) {
    Node node{.kind = Kind::comparison, .op = op, .place = column};
    node.first = static_cast<uint32_t>(into_.literals_.size());
    node.count = 1;
    parse_literal(column);
    return add(node);
  }
  uint32_t parse_among(uint32_t column) {
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
  uint32_t parse_prefix(uint32_t column) {
    const ColumnType type = table_.columns[column].kind.type;
    if (type != ColumnType::text && type != ColumnType::bytes) {
      fail(token_.at, "`like` asks for a text");
    } else if (token_.kind != TokenKind::text || !token_.content.ends_with('%') ||
               token_.content.find_first_of("%_") + 1 != token_.content.size()) {
      expected("'PREFIX%' without further % or _");
    }
    if (failed()) return 0;
    token_.content.pop_back();
    Node node{.kind = Kind::prefix, .place = column};
    node.first = static_cast<uint32_t>(into_.literals_.size());
    node.count = 1;
    into_.literals_.push_back({.value = Value::text(kept())});
    next();
    return add(node);
  }

  // -- literals --
  // The token's content, where it stays.
  std::string_view kept() {
    into_.texts_.push_back(std::make_unique<std::string>(std::move(token_.content)));
    return *into_.texts_.back();
  }
  void parse_literal(uint32_t column) {
    if (failed()) return;
    const ColumnSchema& schema = table_.columns[column];
    std::optional<Literal> literal;
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
  std::optional<Literal> number_literal(const ColumnKind& kind) {
    if (kind.type == ColumnType::float64) {
      double value = 0;
      const char* const end = token_.source.data() + token_.source.size();
      const auto [stop, error] = std::from_chars(token_.source.data(), end, value);
      if (stop != end || error == std::errc::invalid_argument) return std::nullopt;
      if (error == std::errc::result_out_of_range) return std::nullopt;
      return Literal{.value = Value::float64(value)};
    }
    const std::optional<Decimal> decimal = parse_decimal(token_.source);
    if (!decimal) {
      fail(token_.at, "a number of too many digits");
      return std::nullopt;
    }
    const bool is_decimal = kind.type == ColumnType::decimal;
    bool exact = true;
    const std::optional<Int128> whole =
        shifted(decimal->unscaled, int64_t{is_decimal ? kind.scale : 0} - decimal->scale, &exact);
    Int128 least = std::numeric_limits<Int128>::min();
    Int128 most = std::numeric_limits<Int128>::max();
    switch (kind.type) {
      case ColumnType::int64:
      case ColumnType::timestamp:
        least = INT64_MIN;
        most = INT64_MAX;
        break;
      case ColumnType::uint64:
        least = 0;
        most = UINT64_MAX;
        break;
      case ColumnType::decimal:
        break;
      default:
        return std::nullopt;
    }
    Literal literal{.place = exact ? Literal::Place::exact : Literal::Place::just_above};
    if (whole ? *whole < least : decimal->unscaled < 0) {
      literal.place = Literal::Place::below_all;
    } else if (whole ? *whole > most : decimal->unscaled > 0) {
      literal.place = Literal::Place::above_all;
    } else if (is_decimal) {
      literal.value = Value::decimal({*whole, kind.scale});
    } else if (kind.type == ColumnType::uint64) {
      literal.value = Value::uint64(static_cast<uint64_t>(*whole));
    } else if (kind.type == ColumnType::int64) {
      literal.value = Value::int64(static_cast<int64_t>(*whole));
    } else {
      literal.value = Value::timestamp(static_cast<int64_t>(*whole));
    }
    return literal;
  }
  std::optional<Literal> text_literal(const ColumnKind& kind) {
    switch (kind.type) {
      case ColumnType::text:
        return Literal{.value = Value::text(kept())};
      case ColumnType::bytes:
        return Literal{.value = Value::bytes(kept())};
      case ColumnType::uuid: {
        const std::optional<Uuid> uuid = parse_uuid(token_.content);
        if (!uuid) return std::nullopt;
        return Literal{.value = Value::uuid(*uuid)};
      }
      case ColumnType::timestamp: {
        const std::optional<int64_t> micros = parse_timestamp(token_.content);
        if (!micros) return std::nullopt;
        return Literal{.value = Value::timestamp(*micros)};
      }
      default:
        return std::nullopt;
    }
  }

  const std::string_view text_;
  const TableSchema& table_;
  FilterExpression& into_;
  size_t at_ = 0;
  size_t end_ = 0;  // of the token before this one
  Token token_;
  uint32_t depth_ = 0;
  Status failure_;
};

Result<FilterExpression> FilterExpression::compile(std::string_view text,
                                                   const TableSchema& table) {
  FilterExpression expression;
  if (text.find_first_not_of(" \t\n") == std::string_view::npos) return expression;
  if (text.size() > kTextMax) {
    return Status::invalid_argument(format("at byte %zu: an expression of %zu bytes, at most %zu",
                                           kTextMax, text.size(), kTextMax));
  }
  VARVE_RETURN_IF_ERROR(FilterParser(text, table, &expression).parse());
  expression.text_ = text;
  return expression;
}

std::vector<FilterExpression::Conjunct> FilterExpression::conjuncts() const {
  std::vector<Conjunct> conjuncts;
  if (is_empty()) return conjuncts;
  struct Open {
    uint32_t node;
    std::string_view text;  // of what it is a part of
  };
  std::vector<Open> open{{static_cast<uint32_t>(nodes_.size() - 1), text_}};
  while (!open.empty()) {
    Open next = open.back();
    const Node& node = nodes_[next.node];
    open.pop_back();
    if (node.end != 0) {
      next.text = std::string_view(text_).substr(node.begin, node.end - node.begin);
    }
    if (node.kind == Kind::both) {
      open.push_back({node.right, next.text});
      open.push_back({node.left, next.text});
      continue;
    }
    Conjunct& conjunct = conjuncts.emplace_back();
    conjunct.node = next.node;
    conjunct.text = next.text;
    if (node.kind != Kind::comparison && node.kind != Kind::prefix) continue;
    conjunct.form = node.kind == Kind::prefix ? Conjunct::Form::prefix : Conjunct::Form::comparison;
    conjunct.place = node.place;
    conjunct.op = node.op;
    conjunct.literal = &literals_[node.first];
  }
  return conjuncts;
}

std::vector<uint32_t> FilterExpression::columns_of(const Conjunct& conjunct) const {
  std::vector<uint32_t> places;
  std::vector<uint32_t> open{conjunct.node};
  while (!open.empty()) {
    const Node& node = nodes_[open.back()];
    open.pop_back();
    switch (node.kind) {
      case Kind::both:
      case Kind::either:
        open.push_back(node.right);
        open.push_back(node.left);
        break;
      case Kind::negation:
        open.push_back(node.left);
        break;
      default:
        places.push_back(node.place);
    }
  }
  return places;
}

// -- evaluating --

std::weak_ordering FilterExpression::compare(const Value& value, const Literal& literal) {
  switch (literal.place) {
    case Literal::Place::below_all:
      return std::weak_ordering::greater;
    case Literal::Place::above_all:
      return std::weak_ordering::less;
    case Literal::Place::exact:
      return compare_values(value, literal.value);
    case Literal::Place::just_above:
      break;
  }
  const std::weak_ordering order = compare_values(value, literal.value);
  return order == 0 ? std::weak_ordering::less : order;
}

bool FilterExpression::holds(Operator op, std::weak_ordering order) {
  switch (op) {
    case Operator::equal:
      return order == 0;
    case Operator::unequal:
      return order != 0;
    case Operator::less:
      return order < 0;
    case Operator::at_most:
      return order <= 0;
    case Operator::greater:
      return order > 0;
    case Operator::at_least:
      return order >= 0;
  }
  return false;
}

template <typename Row>
Truth FilterExpression::truth_of(uint32_t i, Row* row) const {
  const Node& node = nodes_[i];
  switch (node.kind) {
    case Kind::both: {
      const Truth left = truth_of(node.left, row);
      if (left == Truth::no) return left;
      const Truth right = truth_of(node.right, row);
      return right == Truth::yes ? left : right;
    }
    case Kind::either: {
      const Truth left = truth_of(node.left, row);
      if (left == Truth::yes) return left;
      const Truth right = truth_of(node.right, row);
      return right == Truth::no ? left : right;
    }
    case Kind::negation: {
      const Truth truth = truth_of(node.left, row);
      if (truth == Truth::unknown) return truth;
      return truth == Truth::yes ? Truth::no : Truth::yes;
    }
    default:
      break;
  }
  const Value value = row->get(node.place);
  if (node.kind == Kind::null) return value.is_null() ? Truth::yes : Truth::no;
  if (value.is_null()) return Truth::unknown;
  const std::span<const Literal> literals(literals_.data() + node.first, node.count);
  bool holds_here = false;
  if (node.kind == Kind::comparison) {
    holds_here = holds(node.op, compare(value, literals[0]));
  } else if (node.kind == Kind::among) {
    holds_here = std::any_of(literals.begin(), literals.end(),
                             [&](const Literal& literal) { return compare(value, literal) == 0; });
  } else {
    holds_here = value.as_bytes().starts_with(literals[0].value.as_bytes());
  }
  return holds_here ? Truth::yes : Truth::no;
}

namespace {
struct ValuesByPlace {
  std::span<const Value> values;
  const Value& get(uint32_t place) const { return values[place]; }
};
}  // namespace

Truth FilterExpression::evaluate(std::span<const Value> values) const {
  const ValuesByPlace row{values};
  return is_empty() ? Truth::yes : truth_of(static_cast<uint32_t>(nodes_.size() - 1), &row);
}

Truth FilterExpression::evaluate(const Conjunct& conjunct, std::span<const Value> values) const {
  const ValuesByPlace row{values};
  return truth_of(conjunct.node, &row);
}

bool FilterExpression::evaluate(const RowView& view, Truth* truth) const {
  struct Row {
    const RowView& view;
    bool malformed = false;
    Value get(uint32_t place) {
      Value value;
      malformed |= !view.get(place, &value);
      return malformed ? Value() : value;
    }
  } row{view};
  *truth = is_empty() ? Truth::yes : truth_of(static_cast<uint32_t>(nodes_.size() - 1), &row);
  return !row.malformed;
}

}  // namespace varve
