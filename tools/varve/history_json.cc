// One line of a history in JSON.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "tools/common/text_escape.h"
#include "tools/varve/history_reader.h"

namespace varve::cli {

namespace {

using nlohmann::json;
using Kind = OperationRecord::Kind;

// What is wrong with a line; thrown no further than parse_history_json().
struct BadRecord {
  std::string what;
};

[[noreturn]] void fail(std::string what) { throw BadRecord{std::move(what)}; }

std::string quoted(const std::string& name) { return "\"" + tools::escape(name) + "\""; }

const std::string& string_of(const std::string& name, const json& value) {
  if (!value.is_string()) fail(quoted(name) + ": expected a string");
  return value.get_ref<const std::string&>();
}

uint64_t number_of(const std::string& name, const json& value) {
  if (!value.is_number_unsigned()) {
    fail(quoted(name) + ": expected a whole number from 0 to 18446744073709551615");
  }
  return value.get<uint64_t>();
}

bool boolean_of(const std::string& name, const json& value) {
  if (!value.is_boolean()) fail(quoted(name) + ": expected true or false");
  return value.get<bool>();
}

const json& array_of(const std::string& name, const json& value) {
  if (!value.is_array()) fail(quoted(name) + ": expected an array");
  return value;
}

// True if the member is `wanted`, or `wanted`_hex; its bytes then.
bool bytes_of(const std::string& name, const json& value, std::string_view wanted,
              std::string* bytes) {
  if (name == wanted) {
    *bytes = string_of(name, value);
    return true;
  }
  if (!name.ends_with("_hex") || name.size() != wanted.size() + 4 || !name.starts_with(wanted)) {
    return false;
  }
  Result<std::string> decoded = tools::from_hex(string_of(name, value));
  if (!decoded.ok()) fail(quoted(name) + ": " + std::string(decoded.status().message()));
  *bytes = std::move(*decoded);
  return true;
}

bool optional_bytes_of(const std::string& name, const json& value, std::string_view wanted,
                       std::optional<std::string>* bytes) {
  std::string text;
  if (!bytes_of(name, value, wanted, &text)) return false;
  *bytes = std::move(text);
  return true;
}

[[noreturn]] void fail_unknown(const std::string& name, const std::string& of) {
  fail("unknown member " + quoted(name) + " of " + of);
}

ScannedRow parse_row(const json& object) {
  if (!object.is_object()) fail("\"rows\": expected objects");
  ScannedRow row;
  bool has_version = false;
  for (const auto& [name, value] : object.items()) {
    if (name == "version") {
      row.version = {number_of(name, value)};
      has_version = true;
    } else if (name == "own") {
      row.own = boolean_of(name, value);
    } else if (!bytes_of(name, value, "key", &row.key) &&
               !optional_bytes_of(name, value, "value", &row.value)) {
      fail_unknown(name, "a row");
    }
  }
  if (row.own == has_version) fail("a row has either \"version\" or \"own\":true");
  return row;
}

// The part of an operation that only scans have; false: not of these.
bool parse_scan_member(const std::string& name, const json& value, ScanRecord* scan) {
  if (name == "limit") {
    scan->limit = number_of(name, value);
  } else if (name == "rows") {
    for (const json& row : array_of(name, value)) scan->rows.push_back(parse_row(row));
  } else {
    return bytes_of(name, value, "from", &scan->lower) ||
           bytes_of(name, value, "to", &scan->upper) ||
           optional_bytes_of(name, value, "ended_at", &scan->ended_at);
  }
  return true;
}

class OperationParser {
 public:
  OperationRecord parse(const json& object) {
    if (!object.is_object()) fail("\"operations\": expected objects");
    for (const auto& [name, value] : object.items()) member(name, value);
    check();
    return std::move(operation_);
  }

 private:
  void member(const std::string& name, const json& value) {
    if (bytes_of(name, value, "read", &operation_.key)) {
      set_kind(Kind::read);
    } else if (bytes_of(name, value, "write", &operation_.key)) {
      set_kind(Kind::write);
    } else if (bytes_of(name, value, "erase", &operation_.key)) {
      set_kind(Kind::erase);
    } else if (name == "scan") {
      set_kind(Kind::scan);
      const std::string& direction = string_of(name, value);
      if (direction != "forward" && direction != "reverse") {
        fail("\"scan\": expected \"forward\" or \"reverse\"");
      }
      operation_.scan.reverse = direction == "reverse";
    } else if (name == "keyspace") {
      const uint64_t id = number_of(name, value);
      if (id > UINT32_MAX) fail("\"keyspace\": expected at most 4294967295");
      operation_.keyspace = {static_cast<uint32_t>(id)};
    } else if (name == "version") {
      operation_.version = {number_of(name, value)};
      has_version_ = true;
    } else if (name == "found") {
      found_ = boolean_of(name, value);
      has_found_ = true;
    } else if (name == "own") {
      operation_.own = boolean_of(name, value);
    } else if (name == "for_update") {
      operation_.for_update = boolean_of(name, value);
    } else if (parse_scan_member(name, value, &operation_.scan)) {
      has_scan_member_ = true;
    } else if (!optional_bytes_of(name, value, "value", &operation_.value)) {
      fail_unknown(name, "an operation");
    }
  }

  void set_kind(Kind kind) {
    if (has_kind_) fail("an operation is one of \"read\", \"write\", \"erase\" and \"scan\"");
    operation_.kind = kind;
    has_kind_ = true;
  }

  void check() {
    if (!has_kind_) fail("an operation has \"read\", \"write\", \"erase\" or \"scan\"");
    const Kind kind = operation_.kind;
    if (has_scan_member_ && kind != Kind::scan) {
      fail("\"from\", \"to\", \"limit\", \"ended_at\" and \"rows\" are of scans");
    }
    if (operation_.value.has_value() && (kind == Kind::erase || kind == Kind::scan)) {
      fail("\"value\" is of reads and writes");
    }
    if (kind != Kind::read) {
      if (has_version_ || has_found_ || operation_.own || operation_.for_update) {
        fail("\"version\", \"found\", \"own\" and \"for_update\" are of reads");
      }
      return;
    }
    operation_.found = found_;
    const bool needs_version = found_ && !operation_.own;
    if (needs_version && !has_version_) fail("a read has \"version\", \"own\" or \"found\":false");
    if (!needs_version && has_version_) {
      fail("a read has \"version\" only if it found something, and not its own write");
    }
    if (!found_ && operation_.value.has_value()) fail("a read found nothing, but has \"value\"");
  }

  OperationRecord operation_;
  bool has_kind_ = false;
  bool has_version_ = false;
  bool has_found_ = false;
  bool has_scan_member_ = false;
  bool found_ = true;
};

RecordedIsolation isolation_of(const std::string& name, const json& value) {
  const std::string& text = string_of(name, value);
  if (text == "snapshot") return RecordedIsolation::snapshot;
  if (text == "serializable") return RecordedIsolation::serializable;
  fail("\"isolation\": expected \"snapshot\" or \"serializable\"");
}

RecordedOutcome outcome_of(const std::string& name, const json& value) {
  const std::string& text = string_of(name, value);
  if (text == "committed") return RecordedOutcome::committed;
  if (text == "aborted") return RecordedOutcome::aborted;
  if (text == "unknown") return RecordedOutcome::unknown;
  fail("\"outcome\": expected \"committed\", \"aborted\" or \"unknown\"");
}

TransactionRecord parse_transaction(const json& object) {
  if (!object.is_object()) fail("expected an object, one transaction a line");
  TransactionRecord record;
  for (const auto& [name, value] : object.items()) {
    if (name == "id") {
      record.id = number_of(name, value);
    } else if (name == "session") {
      record.session = number_of(name, value);
    } else if (name == "isolation") {
      record.isolation = isolation_of(name, value);
    } else if (name == "outcome") {
      record.outcome = outcome_of(name, value);
    } else if (name == "begin") {
      record.begin_nanos = number_of(name, value);
    } else if (name == "end") {
      record.end_nanos = number_of(name, value);
    } else if (name == "snapshot") {
      record.snapshot = Timestamp{number_of(name, value)};
    } else if (name == "commit") {
      record.commit = Timestamp{number_of(name, value)};
    } else if (name == "operations") {
      for (const json& operation : array_of(name, value)) {
        record.operations.push_back(OperationParser().parse(operation));
      }
    } else {
      fail_unknown(name, "a transaction");
    }
  }
  for (const char* name : {"id", "isolation", "outcome", "operations"}) {
    if (!object.contains(name)) fail("the member " + quoted(name) + " is missing");
  }
  return record;
}

// "[json.exception.parse_error.101] parse error at line 1, column 9: what it wants"; it may quote
// the whole line behind that.
std::string syntax_error(const json::parse_error& error) {
  std::string detail = error.what();
  const size_t column = detail.find(", column ");
  const size_t colon = column == std::string::npos ? column : detail.find(": ", column);
  if (colon != std::string::npos) detail.erase(0, colon + 2);
  if (detail.size() > 160) detail = detail.substr(0, 160) + "...";
  return "not JSON, at byte " + std::to_string(error.byte) + ": " + tools::escape(detail);
}

}  // namespace

Result<TransactionRecord> parse_history_json(std::string_view line) {
  try {
    return parse_transaction(json::parse(line.begin(), line.end()));
  } catch (const json::parse_error& error) {
    return Status::invalid_argument(syntax_error(error));
  } catch (const json::exception& error) {  // a number too large for its type
    return Status::invalid_argument(std::string("not JSON: ") + tools::escape(error.what()));
  } catch (const BadRecord& bad) {
    return Status::invalid_argument(bad.what);
  }
}

}  // namespace varve::cli
