#include "tools/varve/edn.h"

#include <charconv>
#include <system_error>

#include "tools/common/text_escape.h"

namespace varve::cli {

namespace {

using Kind = EdnValue::Kind;

constexpr int kDepthMax = 64;

bool is_space(char c) {
  return c == ' ' || c == ',' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

bool ends_token(char c) {
  return is_space(c) || std::string_view("()[]{}\";").find(c) != std::string_view::npos;
}

Status expected(const std::string& what) { return Status::invalid_argument("expected " + what); }

void append_utf8(uint32_t character, std::string* out) {
  if (character < 0x80) {
    *out += static_cast<char>(character);
  } else if (character < 0x800) {
    *out += static_cast<char>(0xc0 | character >> 6);
    *out += static_cast<char>(0x80 | (character & 0x3f));
  } else {
    *out += static_cast<char>(0xe0 | character >> 12);
    *out += static_cast<char>(0x80 | (character >> 6 & 0x3f));
    *out += static_cast<char>(0x80 | (character & 0x3f));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<EdnValue> parse() {
    EdnValue value;
    Status status = parse_value(&value, 0);
    if (!status.ok()) return status;
    skip_space();
    if (at_ != text_.size()) return expected("nothing behind the value");
    return value;
  }

 private:
  void skip_space() {
    for (; at_ != text_.size(); ++at_) {
      if (text_[at_] == ';') {
        at_ = std::min(text_.find('\n', at_), text_.size() - 1);
      } else if (!is_space(text_[at_])) {
        return;
      }
    }
  }

  std::string_view token() {
    const size_t begin = at_;
    while (at_ != text_.size() && !ends_token(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Status parse_value(EdnValue* value, int depth) {
    skip_space();
    if (at_ == text_.size()) return expected("a value, found the end");
    if (depth > kDepthMax) return expected("values nested no deeper than 64");
    switch (text_[at_]) {
      case '"':
        value->kind = Kind::string;
        return parse_string(&value->text);
      case '[':
        return parse_elements(']', Kind::vector, value, depth);
      case '(':
        return parse_elements(')', Kind::vector, value, depth);
      case '{':
        return parse_elements('}', Kind::map, value, depth);
      case '#':
        return parse_tagged(value, depth);
      case '\\':
        ++at_;
        if (at_ != text_.size()) ++at_;  // may be a character that ends tokens
        value->kind = Kind::other;
        value->text = token();
        return Status();
      default:
        return parse_token(value);
    }
  }

  Status parse_elements(char close, Kind kind, EdnValue* value, int depth) {
    value->kind = kind;
    ++at_;
    for (;;) {
      skip_space();
      if (at_ == text_.size()) return expected(std::string("'") + close + "', found the end");
      if (text_[at_] == close) break;
      EdnValue element;
      Status status = parse_value(&element, depth + 1);
      if (!status.ok()) return status;
      value->elements.push_back(std::move(element));
    }
    ++at_;
    if (kind == Kind::map && value->elements.size() % 2 != 0) {
      return expected("a value for each key of a map");
    }
    return Status();
  }

  // A tag and its value, or a set.
  Status parse_tagged(EdnValue* value, int depth) {
    ++at_;
    if (at_ != text_.size() && text_[at_] == '{') {
      return parse_elements('}', Kind::vector, value, depth);
    }
    const std::string tag(token());
    if (tag.empty()) return expected("a tag behind '#'");
    Status status = parse_value(value, depth + 1);
    if (!status.ok() || tag != "varve/hex") return status;
    if (!value->is(Kind::string)) return expected("a string behind #varve/hex");
    Result<std::string> bytes = tools::from_hex(value->text);
    if (!bytes.ok()) return bytes.status().with_context("#varve/hex");
    value->text = std::move(*bytes);
    return Status();
  }

  Status parse_token(EdnValue* value) {
    const std::string_view text = token();
    if (text.empty()) return expected("a value, found '" + std::string(1, text_[at_]) + "'");
    value->kind = Kind::other;
    value->text = text;
    if (text == "nil") value->kind = Kind::nil;
    if (text == "true" || text == "false") {
      value->kind = Kind::boolean;
      value->boolean = text == "true";
    } else if (text[0] == ':') {
      value->kind = Kind::keyword;
      value->text.erase(0, 1);
    } else {
      const char* const end = text.data() + text.size();
      const auto [stop, error] = std::from_chars(text.data(), end, value->number);
      if (error == std::errc() && stop == end) value->kind = Kind::number;
    }
    return Status();
  }

  Status parse_string(std::string* out) {
    out->clear();
    for (++at_; at_ != text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return Status();
      }
      if (c != '\\') {
        *out += c;
        continue;
      }
      if (++at_ == text_.size()) break;
      Status status = parse_escape(out);
      if (!status.ok()) return status;
    }
    return expected("the end of a string");
  }

  // at_ stands on the character behind the backslash, and then on the escape's last one.
  Status parse_escape(std::string* out) {
    constexpr std::string_view kNames = "\"\\nrtbf";
    constexpr std::string_view kMeanings = "\"\\\n\r\t\b\f";
    const char c = text_[at_];
    if (const size_t place = kNames.find(c); place != std::string_view::npos) {
      *out += kMeanings[place];
      return Status();
    }
    uint32_t character = 0;
    const std::string_view digits = text_.substr(at_ + 1, 4);
    const char* const end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, character, 16);
    if (c != 'u' || digits.size() != 4 || error != std::errc() || stop != end) {
      return expected("one of the escapes \\\" \\\\ \\n \\r \\t \\b \\f \\uXXXX");
    }
    append_utf8(character, out);
    at_ += 4;
    return Status();
  }

  const std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

const EdnValue* EdnValue::find(std::string_view keyword) const {
  for (size_t i = 0; i + 1 < elements.size(); i += 2) {
    if (elements[i].is_keyword(keyword)) return &elements[i + 1];
  }
  return nullptr;
}

Result<EdnValue> parse_edn(std::string_view text) { return Parser(text).parse(); }

}  // namespace varve::cli
