#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "tools/common/record_reader.h"

namespace varve::tools {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Field names are case-insensitive (Debian policy 5.1).
bool same_name(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

class ControlReader final : public RecordReader {
 public:
  ControlReader(std::unique_ptr<LineReader> lines, size_t record_bytes_max)
      : RecordReader(std::move(lines)), record_bytes_max_(record_bytes_max) {}

  Result<bool> next(Record* record) override {
    std::string_view line;
    for (;;) {
      const Result<bool> more = lines_->next(&line);
      if (!more.ok() || !*more) return more;
      if (!trim(line).empty()) break;
    }
    record->value.clear();
    for (std::string& field : key_fields_) field.clear();
    const uint64_t first_line = lines_->line_number();
    for (;;) {
      Status status = take_line(line, first_line, record);
      if (!status.ok()) return status;
      const Result<bool> more = lines_->next(&line);
      if (!more.ok()) return more;
      if (!*more || trim(line).empty()) break;
    }
    return make_key(first_line, record);
  }

 private:
  static constexpr std::string_view kKeyNames[3] = {"Package", "Version", "Architecture"};

  Status take_line(std::string_view line, uint64_t first_line, Record* record) {
    if (record->value.size() + line.size() > record_bytes_max_) {
      return lines_->error_at(
          first_line, "a stanza of more than " + std::to_string(record_bytes_max_) + " bytes");
    }
    if (!record->value.empty()) record->value.push_back('\n');
    record->value.append(line);
    if (line[0] == '#') return Status();
    if (line[0] == ' ' || line[0] == '\t') {
      if (lines_->line_number() > first_line) return Status();
      return lines_->error_here("a continuation line, where a stanza should begin");
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) {
      return lines_->error_here(
          "expected 'Field: value', or a continuation that begins with a space");
    }
    for (size_t i = 0; i < 3; ++i) {
      if (key_fields_[i].empty() && same_name(line.substr(0, colon), kKeyNames[i])) {
        key_fields_[i] = trim(line.substr(colon + 1));
      }
    }
    return Status();
  }

  Result<bool> make_key(uint64_t first_line, Record* record) {
    record->key.clear();
    for (size_t i = 0; i < 3; ++i) {
      if (key_fields_[i].empty()) {
        return lines_->error_at(first_line, "the stanza that begins here has no field '" +
                                                std::string(kKeyNames[i]) + "'");
      }
      if (i > 0) record->key.push_back('/');
      record->key.append(key_fields_[i]);
    }
    return true;
  }

  const size_t record_bytes_max_;
  std::string key_fields_[3];
};

}  // namespace

std::unique_ptr<RecordReader> make_control_reader(std::unique_ptr<LineReader> lines,
                                                  size_t record_bytes_max) {
  return std::make_unique<ControlReader>(std::move(lines), record_bytes_max);
}

}  // namespace varve::tools
