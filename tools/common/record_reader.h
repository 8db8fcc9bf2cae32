// Reads records, each a key and a value, from the three text formats that `varve load` takes:
//
//   tsv      KEY TAB VALUE, a record a line; both escaped (text_escape.h), or hex. Blank lines are
//            skipped.
//   jsonl    {"key": "...", "value": "..."}, an object a line. Bytes that are not UTF-8 stand in
//            "key_hex" and "value_hex". Other members are ignored. Blank lines are skipped.
//   control  Debian control stanzas, separated by blank lines. Key: "Package/Version/Architecture",
//            value: the stanza's text without its last line end.
//
// Thread rule: one thread. Memory: one record, at most `record_bytes_max` of text.
// Errors: invalid_argument as "FILE:LINE: what was expected"; io_error. After an error the reader
// is done for.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tools/common/line_reader.h"
#include "varve/status.h"

namespace varve::tools {

struct Record {
  std::string key;
  std::string value;
};

enum class RecordFormat : uint8_t { tsv, jsonl, control };

// By the ending of the name: .json .jsonl .ndjson; .control .deb822, and apt's names that end in
// Packages, Sources or status; all else is tsv.
RecordFormat format_of_name(std::string_view path);
// "tsv", "jsonl", "control". Errors: invalid_argument.
Result<RecordFormat> parse_record_format(std::string_view name);

struct RecordReaderOptions {
  RecordFormat format = RecordFormat::tsv;
  bool hex = false;  // tsv: both fields are hex. The other formats say it themselves
  size_t record_bytes_max = 64 << 20;
};

class RecordReader {
 public:
  // `path` "-": standard input. Errors: as LineReader::open.
  static Result<std::unique_ptr<RecordReader>> open(const std::string& path,
                                                    const RecordReaderOptions& options);
  virtual ~RecordReader() = default;

  // Overwrites `*record`, reusing its memory; false at the end, and `*record` is then undefined.
  virtual Result<bool> next(Record* record) = 0;

  const LineReader& lines() const { return *lines_; }

 protected:
  explicit RecordReader(std::unique_ptr<LineReader> lines) : lines_(std::move(lines)) {}
  const std::unique_ptr<LineReader> lines_;
};

// One of each format; open() chooses.
std::unique_ptr<RecordReader> make_tsv_reader(std::unique_ptr<LineReader> lines, bool hex);
std::unique_ptr<RecordReader> make_jsonl_reader(std::unique_ptr<LineReader> lines);
std::unique_ptr<RecordReader> make_control_reader(std::unique_ptr<LineReader> lines,
                                                  size_t record_bytes_max);

}  // namespace varve::tools
