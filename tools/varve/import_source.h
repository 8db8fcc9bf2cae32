// Reads rows for `varve import` from one of two text formats:
//
//   csv    RFC 4180: fields between delimiters; one that begins with a quote goes on to the next
//          single quote, over delimiters and line ends, a doubled quote in it is one. Lines end in
//          LF or CRLF. The first line names the columns, unless the options do. Empty lines, and a
//          byte order mark, are skipped.
//   jsonl  An object a line, whose members are the columns. Values are scalars, or arrays of
//          scalars and arrays. Blank lines are skipped.
//
// Thread rule: one thread. Memory: a row, of at most kImportRowBytesMax of text.
// Errors: invalid_argument as "FILE:LINE:COLUMN: column NAME: what is wrong", without the name
// where there is none; io_error. After an error the source is done for. Units: lines and columns of
// places from 1; a column is a character, that is, a code point.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/common/line_reader.h"
#include "varve/status.h"

namespace varve::cli {

inline constexpr size_t kImportRowBytesMax = 64 << 20;

struct ImportPlace {
  uint64_t line = 0;  // 0: none; it was given on the command line
  uint64_t column = 0;
};

struct ImportColumn {
  std::string name;
  ImportPlace place;  // where it was met first
};

struct ImportField {
  enum class Form : uint8_t {
    null,
    word,  // of CSV, which does not tell texts from numbers
    boolean,
    number,
    text,
    array,
  };
  size_t column = 0;  // of ImportSource::columns()
  Form form = Form::null;
  // What it says; of numbers, as they are written; of arrays, as Value::array() takes them.
  std::string text = {};
  ImportPlace place = {};  // where it begins
};

struct ImportRow {
  ImportPlace place;
  std::vector<ImportField> fields;  // no two of one column
  size_t bytes() const;             // of its texts
};

enum class ImportFormat : uint8_t { csv, jsonl };

struct ImportSourceOptions {
  ImportFormat format = ImportFormat::csv;
  // -- of CSV --
  char delimiter = ',';
  std::string null_text;             // a field without quotes that says this is null
  std::vector<std::string> columns;  // none: the first line names them
};

class ImportSource {
 public:
  // "-": standard input. Errors: also as LineReader::open.
  static Result<std::unique_ptr<ImportSource>> open(const std::string& path,
                                                    const ImportSourceOptions& options);
  virtual ~ImportSource() = default;

  // Overwrites `*row`; false at the end.
  virtual Result<bool> next(ImportRow* row) = 0;

  // Of CSV all from the beginning; of JSON lines those that were met so far.
  const std::vector<ImportColumn>& columns() const { return columns_; }
  const tools::LineReader& lines() const { return *lines_; }

  // "FILE:LINE:COLUMN: ".
  std::string at(const ImportPlace& place) const;
  // The same, then "column NAME: ".
  std::string at(const ImportPlace& place, std::string_view column) const;

 protected:
  explicit ImportSource(std::unique_ptr<tools::LineReader> lines) : lines_(std::move(lines)) {}

  const std::unique_ptr<tools::LineReader> lines_;
  std::vector<ImportColumn> columns_;
};

// One of each format; open() chooses. Errors: those of the line that names the columns.
Result<std::unique_ptr<ImportSource>> make_csv_source(std::unique_ptr<tools::LineReader> lines,
                                                      const ImportSourceOptions& options);
std::unique_ptr<ImportSource> make_json_source(std::unique_ptr<tools::LineReader> lines);

// Code points of UTF-8; of other bytes, those that do not go on with one.
uint64_t count_characters(std::string_view text);

}  // namespace varve::cli
