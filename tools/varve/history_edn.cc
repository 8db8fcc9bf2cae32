// Histories as the operation maps of Jepsen: pairs each invocation with its completion.

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "tools/varve/edn.h"
#include "tools/varve/history_reader.h"

namespace varve::cli {

namespace {

using EdnKind = EdnValue::Kind;
using Kind = OperationRecord::Kind;

Status expected(const std::string& what) { return Status::invalid_argument("expected " + what); }

// Cuts a stream of lines into operation maps. Between them may stand what a printed vector or list
// of them has around them, tags (#jepsen.history.Op) and comments.
class MapCutter {
 public:
  explicit MapCutter(tools::LineReader& lines, std::string_view line) : lines_(lines) {
    line_ = std::string(line) + "\n";
  }

  // The next map's text and the line that it begins in; false at the end.
  Result<bool> next(std::string* map, uint64_t* line_number) {
    map->clear();
    size_t depth = 0;
    bool in_string = false;
    bool in_comment = false;
    for (;;) {
      if (at_ == line_.size()) {
        in_comment = false;
        const Result<bool> more = next_line();
        if (!more.ok()) return more;
        if (!*more && depth == 0) return false;
        if (!*more)
          return lines_.error_at(*line_number, "expected the end of a map, found that of the file");
        if (map->size() > kRecordBytesMax)
          return lines_.error_at(*line_number, "this map is too large");
      }
      const char c = line_[at_++];
      if (depth == 0 && !in_comment) {
        if (c == '{') {
          *line_number = lines_.line_number();
        } else if (c == '#') {
          at_ = std::min(line_.find_first_of(" \t{", at_), line_.size());
          continue;
        } else if (c == ';') {
          in_comment = true;
          continue;
        } else if (std::string_view(" ,\t\r\n[]()").find(c) == std::string_view::npos) {
          return lines_.error_here("expected an operation map, {:type ...}");
        } else {
          continue;
        }
      }
      if (in_comment) continue;
      map->push_back(c);
      if (c == '\\' && at_ != line_.size()) {
        map->push_back(line_[at_++]);  // escaped, or a character
      } else if (c == '"') {
        in_string = !in_string;
      } else if (!in_string && c == ';') {
        map->pop_back();
        in_comment = true;
      } else if (!in_string && c == '{') {
        ++depth;
      } else if (!in_string && c == '}' && --depth == 0) {
        return true;
      }
    }
  }

 private:
  Result<bool> next_line() {
    std::string_view line;
    const Result<bool> more = lines_.next(&line);
    if (!more.ok() || !*more) return more;
    line_.assign(line);
    line_ += '\n';
    at_ = 0;
    return true;
  }

  tools::LineReader& lines_;
  std::string line_;
  size_t at_ = 0;
};

Status read_number(const EdnValue& map, const char* name, bool required,
                   std::optional<uint64_t>* number) {
  const EdnValue* value = map.find(name);
  if (value == nullptr || value->is(EdnKind::nil)) {
    return required ? expected(std::string(":") + name) : Status();
  }
  if (!value->is(EdnKind::number)) {
    return expected(std::string("a whole number from 0 to 18446744073709551615 as :") + name);
  }
  *number = value->number;
  return Status();
}

// A string, or a number, which becomes its digits.
Status read_bytes(const EdnValue& value, const std::string& what, std::string* bytes) {
  if (!value.is(EdnKind::string) && !value.is(EdnKind::number)) {
    return expected(what + " to be a string or a number");
  }
  *bytes = value.text;
  return Status();
}

Status read_value(const EdnValue& value, std::optional<std::string>* bytes) {
  if (value.is_keyword("unrecorded")) return Status();
  return read_bytes(value, "a value", &bytes->emplace());
}

// A key, or [keyspace key].
Status read_key(const EdnValue& value, OperationRecord* operation) {
  if (!value.is(EdnKind::vector)) return read_bytes(value, "a key", &operation->key);
  if (value.elements.size() != 2 || !value.elements[0].is(EdnKind::number) ||
      value.elements[0].number > UINT32_MAX) {
    return expected("a key, or [keyspace key]");
  }
  operation->keyspace = {static_cast<uint32_t>(value.elements[0].number)};
  return read_bytes(value.elements[1], "a key", &operation->key);
}

// A timestamp or :own.
Status read_version(const EdnValue* version, bool* own, Timestamp* timestamp) {
  if (version == nullptr) return expected(":versions with an element for each of :value");
  *own = version->is_keyword("own");
  if (*own) return Status();
  if (!version->is(EdnKind::number)) {
    return expected("a timestamp or :own in :versions for each read that found something");
  }
  *timestamp = {version->number};
  return Status();
}

Status read_scan_options(const EdnValue& options, OperationRecord* operation) {
  ScanRecord& scan = operation->scan;
  for (size_t i = 0; i + 1 < options.elements.size(); i += 2) {
    const EdnValue& name = options.elements[i];
    const EdnValue& value = options.elements[i + 1];
    if (name.is_keyword("from")) {
      VARVE_RETURN_IF_ERROR(read_bytes(value, ":from", &scan.lower));
    } else if (name.is_keyword("to")) {
      VARVE_RETURN_IF_ERROR(read_bytes(value, ":to", &scan.upper));
    } else if (name.is_keyword("ended-at")) {
      VARVE_RETURN_IF_ERROR(read_bytes(value, ":ended-at", &scan.ended_at.emplace()));
    } else if (name.is_keyword("reverse") && value.is(EdnKind::boolean)) {
      scan.reverse = value.boolean;
    } else if (name.is_keyword("limit") && value.is(EdnKind::number)) {
      scan.limit = value.number;
    } else if (name.is_keyword("keyspace") && value.is(EdnKind::number) &&
               value.number <= UINT32_MAX) {
      operation->keyspace = {static_cast<uint32_t>(value.number)};
    } else {
      return expected(":keyspace, :from, :to, :reverse, :limit or :ended-at in a range's map");
    }
  }
  return Status();
}

// [:range {options} [[key value] ...]]
Status read_scan(const EdnValue& micro, const EdnValue* versions, OperationRecord* operation) {
  operation->kind = Kind::scan;
  if (!micro.elements[1].is(EdnKind::map)) return expected("a map behind :range");
  VARVE_RETURN_IF_ERROR(read_scan_options(micro.elements[1], operation));
  const EdnValue& rows = micro.elements[2];
  if (rows.is(EdnKind::nil)) return Status();
  if (!rows.is(EdnKind::vector)) return expected("a vector of rows in :range");
  const bool complete = versions != nullptr && versions->is(EdnKind::vector) &&
                        versions->elements.size() == rows.elements.size();
  if (!complete) return expected(":versions to have a vector with an element for each row");
  for (size_t i = 0; i < rows.elements.size(); ++i) {
    const EdnValue& pair = rows.elements[i];
    if (!pair.is(EdnKind::vector) || pair.elements.size() != 2) {
      return expected("rows to be [key value]");
    }
    ScannedRow& row = operation->scan.rows.emplace_back();
    VARVE_RETURN_IF_ERROR(read_bytes(pair.elements[0], "a row's key", &row.key));
    VARVE_RETURN_IF_ERROR(read_value(pair.elements[1], &row.value));
    VARVE_RETURN_IF_ERROR(read_version(&versions->elements[i], &row.own, &row.version));
  }
  return Status();
}

// `version` null: not given, as in invocations, whose reads have no outcome and are left out.
Status read_micro_operation(const EdnValue& micro, const EdnValue* version,
                            OperationRecord* operation) {
  if (!micro.is(EdnKind::vector) || micro.elements.size() != 3) {
    return expected("[:r key value], [:w key value] or [:range {...} rows] in :value");
  }
  const EdnValue& value = micro.elements[2];
  if (micro.elements[0].is_keyword("range")) return read_scan(micro, version, operation);
  const bool reads = micro.elements[0].is_keyword("r");
  if (!reads && !micro.elements[0].is_keyword("w")) return expected(":r, :w or :range in :value");
  VARVE_RETURN_IF_ERROR(read_key(micro.elements[1], operation));
  const bool nothing = value.is(EdnKind::nil);
  if (!nothing) VARVE_RETURN_IF_ERROR(read_value(value, &operation->value));
  if (!reads) {
    operation->kind = nothing ? Kind::erase : Kind::write;
    return Status();
  }
  operation->kind = Kind::read;
  operation->found = !nothing;
  if (nothing) {
    operation->own = version != nullptr && version->is_keyword("own");
    return Status();
  }
  return read_version(version, &operation->own, &operation->version);
}

Status read_operations(const EdnValue& map, bool completed, TransactionRecord* record) {
  const EdnValue* operations = map.find("value");
  if (operations == nullptr || !operations->is(EdnKind::vector)) {
    return expected(":value with a vector of operations");
  }
  const EdnValue* versions = map.find("versions");
  for (size_t i = 0; i < operations->elements.size(); ++i) {
    const EdnValue& micro = operations->elements[i];
    const bool has_version = versions != nullptr && i < versions->elements.size();
    OperationRecord operation;
    VARVE_RETURN_IF_ERROR(
        read_micro_operation(micro, has_version ? &versions->elements[i] : nullptr, &operation));
    const bool writes = operation.kind == Kind::write || operation.kind == Kind::erase;
    if (completed || writes) record->operations.push_back(std::move(operation));
  }
  return Status();
}

// Positions among the operations.
Status read_for_update(const EdnValue& map, TransactionRecord* record) {
  const EdnValue* positions = map.find("for-update");
  if (positions == nullptr) return Status();
  Status wrong = expected("positions of reads in :value as :for-update");
  if (!positions->is(EdnKind::vector)) return wrong;
  for (const EdnValue& position : positions->elements) {
    const bool fits = position.is(EdnKind::number) && position.number < record->operations.size() &&
                      record->operations[position.number].kind == Kind::read;
    if (!fits) return wrong;
    record->operations[position.number].for_update = true;
  }
  return Status();
}

Status read_completion(const EdnValue& map, TransactionRecord* record) {
  const EdnValue* type = map.find("type");
  if (type->is_keyword("ok")) {
    record->outcome = RecordedOutcome::committed;
  } else if (type->is_keyword("fail")) {
    record->outcome = RecordedOutcome::aborted;
  } else if (type->is_keyword("info")) {
    record->outcome = RecordedOutcome::unknown;
  } else {
    return expected(":invoke, :ok, :fail or :info as :type");
  }
  const EdnValue* isolation = map.find("isolation");
  if (isolation != nullptr && isolation->is_keyword("serializable")) {
    record->isolation = RecordedIsolation::serializable;
  } else if (isolation == nullptr || !isolation->is_keyword("snapshot")) {
    return expected(":snapshot or :serializable as :isolation");
  }
  std::optional<uint64_t> id;
  std::optional<uint64_t> time;
  std::optional<uint64_t> snapshot;
  std::optional<uint64_t> commit;
  VARVE_RETURN_IF_ERROR(read_number(map, "id", true, &id));
  VARVE_RETURN_IF_ERROR(read_number(map, "time", true, &time));
  VARVE_RETURN_IF_ERROR(read_number(map, "snapshot", false, &snapshot));
  VARVE_RETURN_IF_ERROR(read_number(map, "commit", false, &commit));
  record->id = *id;
  record->end_nanos = *time;
  if (snapshot.has_value()) record->snapshot = Timestamp{*snapshot};
  if (commit.has_value()) record->commit = Timestamp{*commit};
  VARVE_RETURN_IF_ERROR(read_operations(map, /*completed=*/true, record));
  return read_for_update(map, record);
}

class EventReader {
 public:
  explicit EventReader(History* history) : history_(*history) {}

  Status add(const EdnValue& map) {
    const EdnValue* type = map.find("type");
    const EdnValue* process = map.find("process");
    if (type == nullptr || process == nullptr) return expected(":type and :process");
    if (!process->is(EdnKind::number)) return Status();  // the nemesis, who is no client
    const auto open = open_.find(process->number);
    if (type->is_keyword("invoke")) {
      if (open != open_.end()) return expected("the completion of this process's last operation");
      return begin(map, process->number);
    }
    if (open == open_.end()) return expected("an invocation by this process before");
    TransactionRecord record;
    record.session = process->number;
    record.begin_nanos = open->second.begin_nanos;
    open_.erase(open);
    VARVE_RETURN_IF_ERROR(read_completion(map, &record));
    return history_.add(record);
  }

  // What was invoked and never completed has an unknown outcome, ids from the largest downwards,
  // and its writes alone: nothing is known of its reads.
  Status finish() {
    uint64_t id = UINT64_MAX;
    for (auto& [process, record] : open_) {
      record.id = id--;
      VARVE_RETURN_IF_ERROR(history_.add(record));
    }
    return Status();
  }

 private:
  Status begin(const EdnValue& map, uint64_t process) {
    TransactionRecord record;
    record.session = process;
    record.outcome = RecordedOutcome::unknown;
    std::optional<uint64_t> time;
    VARVE_RETURN_IF_ERROR(read_number(map, "time", true, &time));
    record.begin_nanos = record.end_nanos = *time;
    VARVE_RETURN_IF_ERROR(read_operations(map, /*completed=*/false, &record));
    open_.emplace(process, std::move(record));
    return Status();
  }

  History& history_;
  std::map<uint64_t, TransactionRecord> open_;  // by process
};

}  // namespace

Status read_history_edn(tools::LineReader& lines, std::string_view line, History* history) {
  MapCutter cutter(lines, line);
  EventReader events(history);
  std::string text;
  uint64_t line_number = 0;
  for (;;) {
    const Result<bool> more = cutter.next(&text, &line_number);
    if (!more.ok()) return more.status();
    if (!*more) {
      const Status status = events.finish();
      return status.ok() ? status : lines.error_here(std::string(status.message()));
    }
    const Result<EdnValue> map = parse_edn(text);
    const Status status = map.ok() ? events.add(*map) : map.status();
    if (!status.ok()) return lines.error_at(line_number, std::string(status.message()));
  }
}

}  // namespace varve::cli
