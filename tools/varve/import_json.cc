#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "table/key_format.h"
#include "tools/varve/import_source.h"
#include "varve/value.h"

namespace varve::cli {

namespace {

using Form = ImportField::Form;

// Whoever prints or compares an array calls itself for each level.
constexpr size_t kArrayDepthMax = 64;

// Walks over a line for the parser, and leaves word of how far it came: the parser's callbacks do
// not say where they are.
class LineWalk {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  LineWalk(const char* at, const char** reached) : at_(at), reached_(reached) {}
  const char& operator*() const { return *at_; }
  LineWalk& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  friend bool operator==(const LineWalk& a, const LineWalk& b) { return a.at_ == b.at_; }

 private:
  const char* at_;
  const char** reached_;
};

class JsonSource final : public ImportSource {
 public:
  explicit JsonSource(std::unique_ptr<tools::LineReader> lines) : ImportSource(std::move(lines)) {}

  Result<bool> next(ImportRow* row) override;

  // The column of that name, which may be new.
  size_t column(const std::string& name, const ImportPlace& place) {
    const auto [found, is_new] = numbers_.try_emplace(name, columns_.size());
    if (is_new) columns_.push_back({.name = name, .place = place});
    return found->second;
  }

 private:
  std::unordered_map<std::string, size_t> numbers_;  // of columns, by name
};

// The parser's message without what it says of itself and of the place:
// "[json.exception.parse_error.101] parse error at line 1, column 9: syntax error while ...". It
// may quote the whole line.
std::string what_is_wrong(std::string_view message) {
  constexpr size_t kBytesMax = 160;
  const size_t column = message.find(", column ");
  const std::string_view before = column == std::string_view::npos ? "] " : ": ";
  const size_t found = message.find(before, column == std::string_view::npos ? 0 : column);
  if (found != std::string_view::npos) message.remove_prefix(found + before.size());
  std::string text(message.substr(0, kBytesMax));
  if (message.size() > kBytesMax) text += "...";
  return text;
}

// Makes a row of one object as the parser walks it. A callback that returns false stops the parser;
// `error` says why.
class RowBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  RowBuilder(JsonSource* source, std::string_view line, ImportRow* row)
      : source_(source), line_(line), row_(row), reached_(line.data()) {}

  std::string error;

  void parse() {
    nlohmann::json::sax_parse(LineWalk(line_.data(), &reached_),
                              LineWalk(line_.data() + line_.size(), &reached_), this);
  }

  bool null() override { return add(Form::null, {}, Value()); }
  bool boolean(bool value) override {
    return add(Form::boolean, value ? "true" : "false", Value::boolean(value));
  }
  bool number_integer(number_integer_t value) override {
    return add(Form::number, std::to_string(value), Value::int64(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return add(Form::number, std::to_string(value), Value::uint64(value));
  }
  bool number_float(number_float_t value, const string_t& written) override {
    return add(Form::number, written, Value::float64(value));
  }
  bool string(string_t& text) override { return add(Form::text, text, Value::text(text)); }
  bool binary(binary_t&) override { return false; }  // JSON has none

  bool key(string_t& name) override {
    const ImportPlace place = value_place();
    ImportField field{.column = source_->column(name, place), .place = place};
    for (const ImportField& before : row_->fields) {
      if (before.column == field.column) return fail(source_->at(place, name) + "given twice");
    }
    row_->fields.push_back(std::move(field));
    return true;
  }

  bool start_object(std::size_t) override {
    if (depth_ > 0) return fail(at_field() + "an object, expected a scalar or an array");
    ++depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == 0) return not_an_object();
    if (++depth_ > kArrayDepthMax) return fail(at_field() + "arrays are nested too deeply");
    field().form = Form::array;
    field().text += static_cast<char>(kTagArray);
    return true;
  }
  bool end_object() override { return true; }
  bool end_array() override {
    --depth_;
    field().text += static_cast<char>(kTagArrayEnd);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& exception) override {
    constexpr int kNumberOverflow = 406;
    if (exception.id == kNumberOverflow && depth_ > 0) {
      return fail(at_field() + what_is_wrong(exception.what()));
    }
    const size_t before = std::min(position == 0 ? 0 : position - 1, line_.size());
    return fail(source_->at({row_->place.line, count_characters(line_.substr(0, before)) + 1}) +
                "not JSON: " + what_is_wrong(exception.what()));
  }

 private:
  bool fail(std::string why) {
    error = std::move(why);
    return false;
  }
  bool not_an_object() { return fail(source_->at(row_->place) + "expected an object"); }

  ImportField& field() { return row_->fields.back(); }
  std::string at_field() {
    return source_->at(field().place, source_->columns()[field().column].name);
  }

  // Where the value begins whose name was just read.
  ImportPlace value_place() {
    const auto reached = static_cast<size_t>(reached_ - line_.data());
    const size_t value = std::min(line_.find_first_not_of(" \t\r:", reached), line_.size());
    characters_ += count_characters(line_.substr(counted_, value - counted_));
    counted_ = value;
    return {row_->place.line, characters_ + 1};
  }

  bool add(Form form, std::string text, const Value& value) {
    if (depth_ == 0) return not_an_object();
    if (depth_ == 1) {
      field().form = form;
      field().text = std::move(text);
      return true;
    }
    // A number takes at most 16 bytes; of a text each byte may become two.
    element_.resize(2 * text.size() + 16);
    KeyWriter writer(element_);
    append_value(value, Order::ascending, &writer);
    field().text += writer.key();
    return true;
  }

  JsonSource* const source_;
  const std::string_view line_;
  ImportRow* const row_;
  const char* reached_;  // behind what the parser took
  size_t counted_ = 0;   // bytes of the line, of which
  uint64_t characters_ = 0;
  size_t depth_ = 0;  // of the object and its arrays
  std::string element_;
};

Result<bool> JsonSource::next(ImportRow* row) {
  std::string_view line;
  do {
    const Result<bool> more = lines_->next(&line);
    if (!more.ok() || !*more) return more;
  } while (line.find_first_not_of(" \t\r") == std::string_view::npos);
  row->place = {lines_->line_number(), 1};
  row->fields.clear();
  RowBuilder builder(this, line, row);
  builder.parse();
  if (!builder.error.empty()) return Status::invalid_argument(builder.error);
  return true;
}

}  // namespace

std::unique_ptr<ImportSource> make_json_source(std::unique_ptr<tools::LineReader> lines) {
  return std::make_unique<JsonSource>(std::move(lines));
}

}  // namespace varve::cli
