#include <string>
#include <string_view>
#include <utility>

#include "tools/common/record_reader.h"
#include "tools/common/text_escape.h"

namespace varve::tools {

namespace {

class TsvReader final : public RecordReader {
 public:
  TsvReader(std::unique_ptr<LineReader> lines, bool hex)
      : RecordReader(std::move(lines)), hex_(hex) {}

  Result<bool> next(Record* record) override {
    std::string_view line;
    do {
      const Result<bool> more = lines_->next(&line);
      if (!more.ok() || !*more) return more;
    } while (line.empty());
    const size_t tab = line.find('\t');
    if (tab == std::string_view::npos) {
      return lines_->error_here("expected KEY TAB VALUE, found no TAB");
    }
    if (tab == 0) return lines_->error_here("the key is empty");
    if (line.find('\t', tab + 1) != std::string_view::npos) {
      return lines_->error_here("a second TAB (one inside a key or value is written as \\t)");
    }
    Status status = decode(line.substr(0, tab), "key", &record->key);
    if (status.ok()) status = decode(line.substr(tab + 1), "value", &record->value);
    if (!status.ok()) return status;
    return true;
  }

 private:
  Status decode(std::string_view text, const char* what, std::string* bytes) {
    if (!hex_ && text.find('\\') == std::string_view::npos) {
      bytes->assign(text);
      return Status();
    }
    Result<std::string> decoded = parse_bytes(text, hex_);
    if (!decoded.ok()) {
      return lines_->error_here(std::string(what) + ", " + std::string(decoded.status().message()));
    }
    *bytes = std::move(*decoded);
    return Status();
  }

  const bool hex_;
};

}  // namespace

std::unique_ptr<RecordReader> make_tsv_reader(std::unique_ptr<LineReader> lines, bool hex) {
  return std::make_unique<TsvReader>(std::move(lines), hex);
}

}  // namespace varve::tools
