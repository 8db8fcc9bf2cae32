#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "tools/common/record_reader.h"
#include "tools/common/text_escape.h"

namespace varve::tools {

namespace {

// Picks the four members out of one object as the parser walks it, building no tree: memory is
// that of the two strings, however deep the rest is nested. A callback that returns false stops the
// parser; `error` says why.
class RecordPicker final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit RecordPicker(Record* record) : record_(record) {}

  std::string error;

  // What the whole line amounts to.
  bool finish() {
    if (!error.empty()) return false;
    if (!has_key_) return fail("the member \"key\" or \"key_hex\" is missing");
    if (!has_value_) return fail("the member \"value\" or \"value_hex\" is missing");
    if (record_->key.empty()) return fail("the key is empty");
    return true;
  }

  bool null() override { return not_a_string("null"); }
  bool boolean(bool) override { return not_a_string("a boolean"); }
  bool number_integer(number_integer_t) override { return not_a_string("a number"); }
  bool number_unsigned(number_unsigned_t) override { return not_a_string("a number"); }
  bool number_float(number_float_t, const string_t&) override { return not_a_string("a number"); }
  bool binary(binary_t&) override { return not_a_string("binary"); }

  bool string(string_t& text) override {
    if (depth_ == 0) return not_a_string("a string");
    if (depth_ != 1 || wanted_ == nullptr) return true;
    bool* const seen = wanted_ == &record_->key ? &has_key_ : &has_value_;
    if (*seen) return fail("\"" + member_ + "\" gives what an earlier member gave");
    *seen = true;
    if (!hex_) {
      *wanted_ = std::move(text);
      return true;
    }
    Result<std::string> bytes = from_hex(text);
    if (!bytes.ok()) return fail("\"" + member_ + "\", " + std::string(bytes.status().message()));
    *wanted_ = std::move(*bytes);
    return true;
  }

  bool key(string_t& name) override {
    if (depth_ != 1) return true;
    hex_ = name == "key_hex" || name == "value_hex";
    wanted_ = name == "key" || name == "key_hex"       ? &record_->key
              : name == "value" || name == "value_hex" ? &record_->value
                                                       : nullptr;
    if (wanted_ != nullptr) member_ = name;
    return true;
  }

  bool start_object(std::size_t) override { return depth_ == 0 ? descend() : nest("an object"); }
  bool start_array(std::size_t) override { return nest("an array"); }
  bool end_object() override { return ascend(); }
  bool end_array() override { return ascend(); }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& exception) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 9: what we want"; it may
    // quote the whole line behind that.
    std::string detail = exception.what();
    const size_t column = detail.find(", column ");
    const size_t colon = column == std::string::npos ? column : detail.find(": ", column);
    if (colon != std::string::npos) detail.erase(0, colon + 2);
    if (detail.size() > 160) detail = detail.substr(0, 160) + "...";
    return fail("not JSON, at byte " + std::to_string(position) + ": " + escape(detail));
  }

 private:
  bool fail(std::string why) {
    error = std::move(why);
    return false;
  }
  bool descend() {
    ++depth_;
    return true;
  }
  bool ascend() {
    --depth_;
    return true;
  }
  bool nest(const char* what) { return not_a_string(what) && descend(); }
  bool not_a_string(const char* what) {
    if (depth_ == 0) return fail(std::string("expected an object, found ") + what);
    if (depth_ != 1 || wanted_ == nullptr) return true;
    return fail("\"" + member_ + "\": expected a string, found " + what);
  }

  Record* const record_;
  size_t depth_ = 0;
  std::string* wanted_ = nullptr;  // where the current member goes; null: nowhere
  std::string member_;             // its name
  bool hex_ = false;
  bool has_key_ = false;
  bool has_value_ = false;
};

class JsonlReader final : public RecordReader {
 public:
  explicit JsonlReader(std::unique_ptr<LineReader> lines) : RecordReader(std::move(lines)) {}

  Result<bool> next(Record* record) override {
    std::string_view line;
    do {
      const Result<bool> more = lines_->next(&line);
      if (!more.ok() || !*more) return more;
    } while (line.find_first_not_of(" \t\r") == std::string_view::npos);
    RecordPicker picker(record);
    nlohmann::json::sax_parse(line.begin(), line.end(), &picker);
    if (!picker.finish()) return lines_->error_here(picker.error);
    return true;
  }
};

}  // namespace

std::unique_ptr<RecordReader> make_jsonl_reader(std::unique_ptr<LineReader> lines) {
  return std::make_unique<JsonlReader>(std::move(lines));
}

}  // namespace varve::tools
