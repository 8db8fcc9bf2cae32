#include "tools/varve/history_reader.h"

#include <memory>

namespace varve::cli {

namespace {

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

HistoryFormat format_of(std::string_view line) {
  const size_t brace = line.find_first_not_of(" \t\r");
  const size_t inside = line.find_first_not_of(" \t\r", brace + 1);
  const bool json = line[brace] == '{' && (inside == std::string_view::npos ||
                                           line[inside] == '"' || line[inside] == '}');
  return json ? HistoryFormat::jsonl : HistoryFormat::edn;
}

Status add_json_line(const tools::LineReader& lines, std::string_view line, History* history) {
  const Result<TransactionRecord> record = parse_history_json(line);
  if (!record.ok()) return lines.error_here(std::string(record.status().message()));
  const Status added = history->add(*record);
  return added.ok() ? added : lines.error_here(std::string(added.message()));
}

}  // namespace

Result<History> read_history(const std::string& path, std::optional<HistoryFormat> format) {
  Result<std::unique_ptr<tools::LineReader>> opened =
      tools::LineReader::open(path, kRecordBytesMax);
  if (!opened.ok()) return opened.status();
  tools::LineReader& lines = **opened;
  History history;
  std::string_view line;
  for (;;) {
    const Result<bool> more = lines.next(&line);
    if (!more.ok()) return more.status();
    if (!*more) return history;
    if (is_blank(line)) continue;
    if (!format.has_value()) format = format_of(line);
    if (*format == HistoryFormat::edn) {
      const Status status = read_history_edn(lines, line, &history);
      if (!status.ok()) return status;
      return history;
    }
    const Status status = add_json_line(lines, line, &history);
    if (!status.ok()) return status;
  }
}

}  // namespace varve::cli
