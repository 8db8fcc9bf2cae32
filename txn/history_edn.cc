// Histories as the operation maps of Jepsen (K. Kingsbury), in EDN; docs/histories.md describes the
// form.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "txn/compact_history.h"
#include "txn/history_text.h"

namespace varve {

namespace {

using Kind = OperationRecord::Kind;

// An invocation or a completion.
struct Event {
  uint64_t nanos;
  uint32_t transaction;
  bool completion;
};

std::vector<Event> events_in_order(const CompactHistory& history) {
  std::vector<Event> events;
  const auto& transactions = history.transactions();
  for (uint32_t i = 0; i < transactions.size(); ++i) {
    events.push_back({.nanos = transactions[i].begin_nanos, .transaction = i, .completion = false});
    events.push_back({.nanos = transactions[i].end_nanos, .transaction = i, .completion = true});
  }
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return std::tie(a.nanos, a.transaction, a.completion) <
           std::tie(b.nanos, b.transaction, b.completion);
  });
  return events;
}

std::string_view type_name(RecordedOutcome outcome) {
  switch (outcome) {
    case RecordedOutcome::committed:
      return ":ok";
    case RecordedOutcome::aborted:
      return ":fail";
    case RecordedOutcome::unknown:
      return ":info";
  }
  return ":info";
}

void append_bytes(std::string_view bytes, HistoryText* out) {
  if (is_utf8_text(bytes)) {
    out->quoted(bytes);
  } else {
    out->text("#varve/hex ").hex(bytes);
  }
}

// In another keyspace than the default one: [keyspace key].
void append_key(Keyspace keyspace, std::string_view key, HistoryText* out) {
  if (keyspace == kDefaultKeyspace) {
    append_bytes(key, out);
    return;
  }
  out->text("[").number(keyspace.id).text(" ");
  append_bytes(key, out);
  out->text("]");
}

void append_value(const std::optional<std::string>& value, HistoryText* out) {
  if (value.has_value()) {
    append_bytes(*value, out);
  } else {
    out->text(":unrecorded");
  }
}

void append_scan(const OperationRecord& operation, bool completion, HistoryText* out) {
  const ScanRecord& scan = operation.scan;
  out->text("[:range {");
  std::string_view separator;
  const auto member = [&](std::string_view name) {
    out->text(separator).text(name).text(" ");
    separator = ", ";
  };
  const auto bound = [&](std::string_view name, std::string_view key) {
    member(name);
    append_bytes(key, out);
  };
  if (operation.keyspace != kDefaultKeyspace) {
    member(":keyspace");
    out->number(operation.keyspace.id);
  }
  if (!scan.lower.empty()) bound(":from", scan.lower);
  if (!scan.upper.empty()) bound(":to", scan.upper);
  if (scan.reverse) {
    member(":reverse");
    out->text("true");
  }
  if (scan.limit.has_value()) {
    member(":limit");
    out->number(*scan.limit);
  }
  if (completion && scan.ended_at.has_value()) bound(":ended-at", *scan.ended_at);
  out->text("} ");
  if (!completion) {
    out->text("nil]");
    return;
  }
  out->text("[");
  for (size_t i = 0; i < scan.rows.size(); ++i) {
    out->text(i == 0 ? "[" : " [");
    append_bytes(scan.rows[i].key, out);
    out->text(" ");
    append_value(scan.rows[i].value, out);
    out->text("]");
  }
  out->text("]]");
}

void append_operation(const OperationRecord& operation, bool completion, HistoryText* out) {
  if (operation.kind == Kind::scan) {
    append_scan(operation, completion, out);
    return;
  }
  const bool reads = operation.kind == Kind::read;
  out->text(reads ? "[:r " : "[:w ");
  append_key(operation.keyspace, operation.key, out);
  out->text(" ");
  if (operation.kind == Kind::erase || (reads && (!completion || !operation.found))) {
    out->text("nil");
  } else {
    append_value(operation.value, out);
  }
  out->text("]");
}

// What a read met: a timestamp, :own, or nil.
void append_version(bool own, bool found, Timestamp version, HistoryText* out) {
  if (own) {
    out->text(":own");
  } else if (found) {
    out->number(version.nanos);
  } else {
    out->text("nil");
  }
}

void append_versions(const OperationRecord& operation, HistoryText* out) {
  if (operation.kind != Kind::scan) {
    append_version(operation.own, operation.found, operation.version, out);
    return;
  }
  out->text("[");
  for (size_t i = 0; i < operation.scan.rows.size(); ++i) {
    const ScannedRow& row = operation.scan.rows[i];
    if (i != 0) out->text(" ");
    append_version(row.own, /*found=*/true, row.version, out);
  }
  out->text("]");
}

// What Jepsen's operations have no place for.
void append_timestamps(const TransactionRecord& record, HistoryText* out) {
  const bool serializable = record.isolation == RecordedIsolation::serializable;
  out->text(", :id ").number(record.id);
  out->text(serializable ? ", :isolation :serializable" : ", :isolation :snapshot");
  if (record.snapshot.has_value()) out->text(", :snapshot ").number(record.snapshot->nanos);
  if (record.commit.has_value()) out->text(", :commit ").number(record.commit->nanos);
  out->text(", :versions [");
  for (size_t i = 0; i < record.operations.size(); ++i) {
    if (i != 0) out->text(" ");
    append_versions(record.operations[i], out);
  }
  out->text("]");
  std::string_view before = ", :for-update [";
  for (size_t i = 0; i < record.operations.size(); ++i) {
    if (!record.operations[i].for_update) continue;
    out->text(before).number(i);
    before = " ";
  }
  if (before == " ") out->text("]");
}

void append_event(const TransactionRecord& record, const Event& event, uint64_t index,
                  HistoryText* out) {
  out->text("{:index ").number(index);
  out->text(", :type ").text(event.completion ? type_name(record.outcome) : ":invoke");
  out->text(", :process ").number(record.session);
  out->text(", :time ").number(event.nanos);
  out->text(", :f :txn, :value [");
  for (size_t i = 0; i < record.operations.size(); ++i) {
    if (i != 0) out->text(" ");
    append_operation(record.operations[i], event.completion, out);
  }
  out->text("]");
  if (event.completion) append_timestamps(record, out);
  out->text("}\n");
}

}  // namespace

Status write_history_edn(const History& history, const HistorySink& sink) {
  HistoryText out(sink);
  uint64_t index = 0;
  for (const Event& event : events_in_order(compact_history(history))) {
    append_event(history.transaction(event.transaction), event, index++, &out);
    VARVE_RETURN_IF_ERROR(out.end_of_record());
  }
  return out.flush();
}

}  // namespace varve
