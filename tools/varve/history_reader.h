// Reads a recorded history, in either of its text forms (docs/histories.md).
//
// Thread rule: one thread. Memory: the history, and one record's text, at most kRecordBytesMax.
// Errors: not_found or io_error at opening and reading; invalid_argument as "FILE:LINE: what was
// expected" for text that is no history.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tools/common/line_reader.h"
#include "varve/history.h"

namespace varve::cli {

enum class HistoryFormat : uint8_t { jsonl, edn };

inline constexpr size_t kRecordBytesMax = 256 << 20;

// "-": standard input. Without a format: by the first characters, which are {" of JSON lines only.
Result<History> read_history(const std::string& path, std::optional<HistoryFormat> format);

// One line of JSON. Errors: invalid_argument, without file and line.
Result<TransactionRecord> parse_history_json(std::string_view line);

// The operation maps of a Jepsen history. `line` is one that next() gave already.
Status read_history_edn(tools::LineReader& lines, std::string_view line, History* history);

}  // namespace varve::cli
