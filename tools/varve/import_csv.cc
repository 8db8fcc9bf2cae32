#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "tools/common/quantity_text.h"
#include "tools/varve/import_source.h"

namespace varve::cli {

namespace {

class CsvSource final : public ImportSource {
 public:
  CsvSource(std::unique_ptr<tools::LineReader> lines, const ImportSourceOptions& options)
      : ImportSource(std::move(lines)),
        delimiter_(options.delimiter),
        null_text_(options.null_text) {}

  // Takes the names, or reads the line that has them.
  Status name_columns(const std::vector<std::string>& names) {
    for (const std::string& name : names) columns_.push_back({.name = name, .place = {}});
    if (names.empty()) {
      ImportRow header;
      const Result<bool> found = next(&header);
      if (!found.ok()) return found.status();
      if (!*found) {
        return Status::invalid_argument(at({1, 1}) + "expected a line with the names of columns");
      }
      for (ImportField& field : header.fields) {
        columns_.push_back({.name = std::move(field.text), .place = field.place});
      }
    }
    for (size_t i = 0; i < columns_.size(); ++i) {
      const auto& [name, place] = columns_[i];
      if (name.empty()) return Status::invalid_argument(at(place) + "a column without a name");
      for (size_t before = 0; before < i; ++before) {
        if (columns_[before].name == name) {
          return Status::invalid_argument(at(place, name) + "named twice");
        }
      }
    }
    return Status();
  }

  Result<bool> next(ImportRow* row) override {
    do {
      const Result<bool> more = next_line();
      if (!more.ok() || !*more) return more;
    } while (line_.empty());
    row->place = here();
    row->fields.clear();
    for (;;) {
      ImportField field{
          .column = row->fields.size(), .form = ImportField::Form::word, .place = here()};
      const bool named = !columns_.empty();
      if (named && field.column == columns_.size()) {
        return Status::invalid_argument(at(field.place) + "expected " +
                                        tools::counted(columns_.size(), "field") + ", found more");
      }
      const bool quoted = at_ < line_.size() && line_[at_] == '"';
      const Status status = quoted ? read_quoted(&field) : read_plain(&field);
      if (!status.ok()) return status;
      row->fields.push_back(std::move(field));
      if (at_ == line_.size()) break;
      skip(1);  // the delimiter
    }
    const size_t found = row->fields.size();
    if (found < columns_.size()) {
      return Status::invalid_argument(at(here(), columns_[found].name) + "expected " +
                                      tools::counted(columns_.size(), "field") + ", found " +
                                      std::to_string(found));
    }
    return true;
  }

 private:
  // What is wrong with the field.
  Status wrong(const ImportField& field, const std::string& what) const {
    return Status::invalid_argument((field.column < columns_.size()
                                         ? at(field.place, columns_[field.column].name)
                                         : at(field.place)) +
                                    what);
  }

  ImportPlace here() const { return {lines_->line_number(), column_}; }

  void skip(size_t bytes) {
    column_ += count_characters(line_.substr(at_, bytes));
    at_ += bytes;
  }

  Result<bool> next_line() {
    const Result<bool> more = lines_->next(&line_);
    if (!more.ok() || !*more) return more;
    at_ = 0;
    column_ = 1;
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (lines_->line_number() == 1 && line_.starts_with(kByteOrderMark)) {
      line_.remove_prefix(kByteOrderMark.size());
    }
    line_end_ = lines_->line_complete() ? "\n" : "";
    if (line_.ends_with('\r')) {
      line_.remove_suffix(1);
      line_end_ = lines_->line_complete() ? "\r\n" : "\r";
    }
    return true;
  }

  // From at_ up to the delimiter or the end of the line.
  Status read_plain(ImportField* field) {
    const std::string_view rest = line_.substr(at_);
    field->text = rest.substr(0, rest.find(delimiter_));
    if (field->text.find('"') != std::string::npos) {
      return wrong(*field, "a quote inside, expected it around the whole field");
    }
    if (field->text.find('\r') != std::string::npos) {
      return wrong(*field, "a carriage return without a line feed");
    }
    if (field->text == null_text_) field->form = ImportField::Form::null;
    skip(field->text.size());
    return Status();
  }

  // From the quote at at_, over lines, behind the one that closes it.
  Status read_quoted(ImportField* field) {
    skip(1);
    for (;;) {
      const size_t quote = std::min(line_.find('"', at_), line_.size());
      field->text += line_.substr(at_, quote - at_);
      skip(quote - at_);
      if (at_ == line_.size()) {
        field->text += line_end_;
        if (field->text.size() > kImportRowBytesMax) {
          return wrong(*field, "no closing quote within " + tools::format_size(kImportRowBytesMax));
        }
        const Result<bool> more = next_line();
        if (!more.ok()) return more.status();
        if (!*more) return wrong(*field, "the closing quote is missing");
        continue;
      }
      skip(1);
      if (at_ == line_.size() || line_[at_] == delimiter_) return Status();
      if (line_[at_] != '"') return wrong(*field, "text behind the closing quote");
      field->text += '"';
      skip(1);
    }
  }

  const char delimiter_;
  const std::string null_text_;
  std::string_view line_;  // without its end
  std::string_view line_end_;
  size_t at_ = 0;        // what comes next in it
  uint64_t column_ = 1;  // the same, in characters
};

}  // namespace

Result<std::unique_ptr<ImportSource>> make_csv_source(std::unique_ptr<tools::LineReader> lines,
                                                      const ImportSourceOptions& options) {
  auto source = std::make_unique<CsvSource>(std::move(lines), options);
  if (Status status = source->name_columns(options.columns); !status.ok()) return status;
  return std::unique_ptr<ImportSource>(std::move(source));
}

}  // namespace varve::cli
