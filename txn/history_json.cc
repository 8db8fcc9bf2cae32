// Histories as JSON lines; docs/histories.md describes the form.

#include <string>
#include <string_view>

#include "txn/history_text.h"

namespace varve {

namespace {

using Kind = OperationRecord::Kind;

std::string_view outcome_name(RecordedOutcome outcome) {
  switch (outcome) {
    case RecordedOutcome::committed:
      return "committed";
    case RecordedOutcome::aborted:
      return "aborted";
    case RecordedOutcome::unknown:
      return "unknown";
  }
  return "unknown";
}

// "name":"text", or "name_hex":"digits" for bytes that are not UTF-8.
void append_bytes(std::string_view name, std::string_view bytes, HistoryText* out) {
  out->text("\"").text(name);
  if (is_utf8_text(bytes)) {
    out->text("\":").quoted(bytes);
  } else {
    out->text("_hex\":").hex(bytes);
  }
}

void append_number(std::string_view name, uint64_t number, HistoryText* out) {
  out->text(",\"").text(name).text("\":").number(number);
}

void append_value(const std::optional<std::string>& value, HistoryText* out) {
  if (!value.has_value()) return;
  out->text(",");
  append_bytes("value", *value, out);
}

void append_scan(const ScanRecord& scan, HistoryText* out) {
  out->text("{\"scan\":").text(scan.reverse ? "\"reverse\"" : "\"forward\"");
  const auto bound = [&](std::string_view name, std::string_view key) {
    out->text(",");
    append_bytes(name, key, out);
  };
  if (!scan.lower.empty()) bound("from", scan.lower);
  if (!scan.upper.empty()) bound("to", scan.upper);
  if (scan.limit.has_value()) append_number("limit", *scan.limit, out);
  if (scan.ended_at.has_value()) bound("ended_at", *scan.ended_at);
  out->text(",\"rows\":[");
  for (size_t i = 0; i < scan.rows.size(); ++i) {
    const ScannedRow& row = scan.rows[i];
    out->text(i == 0 ? "{" : ",{");
    append_bytes("key", row.key, out);
    if (row.own) {
      out->text(",\"own\":true");
    } else {
      append_number("version", row.version.nanos, out);
    }
    append_value(row.value, out);
    out->text("}");
  }
  out->text("]");
}

void append_operation(const OperationRecord& operation, HistoryText* out) {
  switch (operation.kind) {
    case Kind::read:
      out->text("{");
      append_bytes("read", operation.key, out);
      if (operation.own) out->text(",\"own\":true");
      if (!operation.found) out->text(",\"found\":false");
      if (operation.for_update) out->text(",\"for_update\":true");
      if (operation.found && !operation.own) append_number("version", operation.version.nanos, out);
      if (operation.found) append_value(operation.value, out);
      break;
    case Kind::write:
      out->text("{");
      append_bytes("write", operation.key, out);
      append_value(operation.value, out);
      break;
    case Kind::erase:
      out->text("{");
      append_bytes("erase", operation.key, out);
      break;
    case Kind::scan:
      append_scan(operation.scan, out);
      break;
  }
  if (operation.keyspace != kDefaultKeyspace) append_number("keyspace", operation.keyspace.id, out);
  out->text("}");
}

void append_transaction(const TransactionRecord& record, HistoryText* out) {
  out->text("{\"id\":").number(record.id);
  append_number("session", record.session, out);
  const bool serializable = record.isolation == RecordedIsolation::serializable;
  out->text(",\"isolation\":").text(serializable ? "\"serializable\"" : "\"snapshot\"");
  out->text(",\"outcome\":\"").text(outcome_name(record.outcome)).text("\"");
  append_number("begin", record.begin_nanos, out);
  append_number("end", record.end_nanos, out);
  if (record.snapshot.has_value()) append_number("snapshot", record.snapshot->nanos, out);
  if (record.commit.has_value()) append_number("commit", record.commit->nanos, out);
  out->text(",\"operations\":[");
  for (size_t i = 0; i < record.operations.size(); ++i) {
    if (i != 0) out->text(",");
    append_operation(record.operations[i], out);
  }
  out->text("]}\n");
}

}  // namespace

Status write_history_json(const History& history, const HistorySink& sink) {
  HistoryText out(sink);
  for (size_t i = 0; i < history.size(); ++i) {
    append_transaction(history.transaction(i), &out);
    VARVE_RETURN_IF_ERROR(out.end_of_record());
  }
  return out.flush();
}

}  // namespace varve
