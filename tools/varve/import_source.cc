#include "tools/varve/import_source.h"

#include <algorithm>

namespace varve::cli {

size_t ImportRow::bytes() const {
  size_t sum = 0;
  for (const ImportField& field : fields) sum += field.text.size();
  return sum;
}

Result<std::unique_ptr<ImportSource>> ImportSource::open(const std::string& path,
                                                         const ImportSourceOptions& options) {
  Result<std::unique_ptr<tools::LineReader>> lines =
      tools::LineReader::open(path, kImportRowBytesMax);
  if (!lines.ok()) return lines.status();
  if (options.format == ImportFormat::csv) return make_csv_source(std::move(*lines), options);
  return make_json_source(std::move(*lines));
}

std::string ImportSource::at(const ImportPlace& place) const {
  return lines_->name() + ":" + std::to_string(place.line) + ":" + std::to_string(place.column) +
         ": ";
}

std::string ImportSource::at(const ImportPlace& place, std::string_view column) const {
  const std::string where = place.line == 0 ? lines_->name() + ": " : at(place);
  return where + "column " + std::string(column) + ": ";
}

uint64_t count_characters(std::string_view text) {
  return static_cast<uint64_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<uint8_t>(byte) & 0xc0) != 0x80;
  }));
}

}  // namespace varve::cli
