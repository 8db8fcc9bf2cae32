#include "tools/common/record_reader.h"

#include <utility>

namespace varve::tools {

RecordFormat format_of_name(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  for (const std::string_view ending : {".json", ".jsonl", ".ndjson"}) {
    if (name.ends_with(ending)) return RecordFormat::jsonl;
  }
  for (const std::string_view ending : {".control", ".deb822", "Packages", "Sources", "status"}) {
    if (name.ends_with(ending)) return RecordFormat::control;
  }
  return RecordFormat::tsv;
}

Result<RecordFormat> parse_record_format(std::string_view name) {
  if (name == "tsv") return RecordFormat::tsv;
  if (name == "jsonl") return RecordFormat::jsonl;
  if (name == "control") return RecordFormat::control;
  return Status::invalid_argument("format '" + std::string(name) +
                                  "' (expected tsv, jsonl or control)");
}

Result<std::unique_ptr<RecordReader>> RecordReader::open(const std::string& path,
                                                         const RecordReaderOptions& options) {
  Result<std::unique_ptr<LineReader>> lines = LineReader::open(path, options.record_bytes_max);
  if (!lines.ok()) return lines.status();
  switch (options.format) {
    case RecordFormat::tsv:
      return make_tsv_reader(std::move(*lines), options.hex);
    case RecordFormat::jsonl:
      return make_jsonl_reader(std::move(*lines));
    case RecordFormat::control:
      return make_control_reader(std::move(*lines), options.record_bytes_max);
  }
  return Status::invalid_argument("unknown record format");
}

}  // namespace varve::tools
