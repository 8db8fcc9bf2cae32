#include "tests/support/program_calls.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/support/transaction_recording.h"

namespace varve::test {
namespace {

OperationRecord in(Keyspace keyspace, OperationRecord operation) {
  operation.keyspace = keyspace;
  return operation;
}

// A batch holds one operation a key, its last.
void replace(OperationRecord operation, TransactionRecord* record) {
  std::erase_if(record->operations, [&](const OperationRecord& earlier) {
    return earlier.keyspace == operation.keyspace && earlier.key == operation.key;
  });
  record->operations.push_back(std::move(operation));
}

}  // namespace

// -- batches --

void RecordedBatch::put(Keyspace keyspace, const std::string& key) {
  const std::string value = context_.next_value(record_);
  if (!context_.allow(batch_.put(keyspace, key, value))) return;
  replace(in(keyspace, OperationRecord::write(key, value)), &record_);
}

void RecordedBatch::erase(Keyspace keyspace, const std::string& key) {
  if (!context_.allow(batch_.erase(keyspace, key))) return;
  replace(in(keyspace, OperationRecord::erase(key)), &record_);
}

void RecordedBatch::write(const WriteOptions& options) {
  if (record_.operations.empty()) return;
  if (context_.shape.markers) {
    const std::string marker = ProgramContext::marker_of(record_);
    if (!context_.allow(batch_.put(context_.markers, marker, marker))) return;
    replace(in(context_.markers, OperationRecord::write(marker, marker)), &record_);
  }
  Timestamp committed;
  const Status status = context_.database->write(batch_, options, &committed);
  const bool ok = context_.allow(status, {.timed_out = options.timeout.has_value(),
                                          .not_found = unrecorded_,
                                          .cancellation = options.cancellation});
  if (ok) {
    record_.commit = committed;
    context_.a_commit.store(committed.nanos);
  } else {
    context_.conflicts.failed(record_.id);
    record_.outcome =
        status.code() == StatusCode::io_error ? RecordedOutcome::unknown : RecordedOutcome::aborted;
  }
  context_.finish(std::move(record_));
}

namespace {

WriteOptions read_write_options(ProgramContext* context, size_t session, Input* input) {
  WriteOptions options;
  if (input->below(4) != 1) return options;
  options.durability = context->read_durability(input);
  options.timeout = ProgramContext::read_timeout(input);
  if (input->flag()) options.cancellation = &context->cancellations[session];
  return options;
}

}  // namespace

void run_batch(ProgramContext* context, size_t session, Input* input) {
  RecordedBatch batch(context, session);
  for (uint32_t writes = 1 + input->below(3); writes > 0; --writes) {
    const Keyspace keyspace = context->read_keyspace(input);
    const std::string key = context->read_key(input);
    if (input->below(4) != 0) {
      batch.put(keyspace, key);
    } else {
      batch.erase(keyspace, key);
    }
  }
  if (input->below(8) == 1) {
    batch.put_unrecorded(context->scratch_keyspace(), context->read_key(input));
  }
  batch.write(read_write_options(context, session, input));
}

// -- single writes --

void run_single_write(ProgramContext* context, size_t session, Input* input) {
  context->counts.direct.fetch_add(1);
  // Such a write tells no timestamp. The key's history does: while this transaction is open it
  // keeps at least the newest change after it.
  const Result<Transaction> keeper = context->database->begin();
  if (!context->allow(keeper.status())) return;
  const Timestamp before = keeper->snapshot_timestamp();
  TransactionRecord record = context->begin_record(session);
  WriteOptions options = read_write_options(context, session, input);
  options.keyspace = context->read_keyspace(input);
  const std::string key = context->read_key(input);
  const bool erases = input->below(4) == 1;
  const std::string value = context->next_value(record);
  const Status status =
      erases ? context->database->erase(key, options) : context->database->put(key, value, options);
  const bool ok = context->allow(
      status, {.timed_out = options.timeout.has_value(), .cancellation = options.cancellation});
  record.operations.push_back(in(
      options.keyspace, erases ? OperationRecord::erase(key) : OperationRecord::write(key, value)));
  record.outcome = RecordedOutcome::unknown;
  if (!ok) {
    context->conflicts.failed(record.id);
    if (status.code() != StatusCode::io_error) record.outcome = RecordedOutcome::aborted;
    context->finish(std::move(record));
    return;
  }
  record.end_nanos = ProgramContext::now();
  const Result<std::vector<HistoryEntry>> history =
      context->database->history(key, SIZE_MAX, options.keyspace);
  if (context->allow(history.status())) {
    bool changed = false;
    for (const HistoryEntry& entry : *history) {
      if (entry.timestamp <= before) continue;
      changed = true;
      if (erases || entry.erased || entry.value != value) continue;
      record.outcome = RecordedOutcome::committed;
      record.commit = entry.timestamp;
    }
    // Others may have erased it too; or written over it, so that it is not kept. Then all that is
    // known is that it was somewhere in between.
    if (!changed) context->complain("the history of " + key + " lacks its write " + value);
  }
  context->recorder.record(std::move(record));
}

// -- reads --

namespace {

// As of one snapshot, and recorded as what a transaction did that began there.
void read_at_snapshot(ProgramContext* context, const Snapshot& snapshot, TransactionRecord* record,
                      Input* input) {
  record->snapshot = snapshot.timestamp();
  // Of another time than now, it may be gone in this keyspace or that.
  const bool past = record->begin_nanos == 0;
  const Cancellation* cancellation =
      input->below(4) == 1 ? &context->cancellations[record->session] : nullptr;
  const MayAnswer may{.invalid_argument = past, .cancellation = cancellation};
  for (uint32_t reads = 1 + input->below(3); reads > 0; --reads) {
    const Keyspace keyspace = context->read_keyspace(input);
    const std::string key = context->read_key(input);
    if (input->below(4) != 1) {
      const Result<std::optional<PinnedValue>> got = context->database->get(
          key, {.keyspace = keyspace, .snapshot = &snapshot, .cancellation = cancellation});
      if (!context->allow(got.status(), may)) return;
      record->operations.push_back(read_of(keyspace, key, *got));
      continue;
    }
    Result<Cursor> cursor = context->database->scan(
        {.keyspace = keyspace, .snapshot = &snapshot, .lower = key, .cancellation = cancellation});
    if (!context->allow(cursor.status(), may)) return;
    ScanRecord scan;
    scan.lower = key;
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
      scan.rows.push_back(row_of(*cursor));
    }
    if (!context->allow(cursor->status(), may)) return;
    record->operations.push_back(scan_of(keyspace, std::move(scan)));
  }
}

// As of a commit that there was, or just before or after it.
void read_past(ProgramContext* context, TransactionRecord* record, Input* input) {
  const uint64_t commit = context->a_commit.load();
  if (commit == 0) return;
  context->counts.past.fetch_add(1);
  // Real time does not count.
  record->begin_nanos = 0;
  const Result<Snapshot> snapshot = context->database->snapshot_at({commit - 1 + input->below(3)});
  if (!context->allow(snapshot.status(), {.invalid_argument = true})) return;
  read_at_snapshot(context, *snapshot, record, input);
}

// As of now: at some moment between two snapshots, the same for all keys. What was there is held to
// the newest version among it, or to the first snapshot if that is newer; what was not there, only
// if nothing happened in between.
void read_now(ProgramContext* context, TransactionRecord* record, Input* input) {
  const auto snapshot_now = [&]() -> std::optional<Snapshot> {
    Result<Snapshot> snapshot = context->database->snapshot();
    if (!context->allow(snapshot.status())) return std::nullopt;
    return std::move(*snapshot);
  };
  // Held: so no timestamp that is newer collapses.
  const std::optional<Snapshot> before = snapshot_now();
  if (!before.has_value()) return;
  const Keyspace keyspace = context->read_keyspace(input);
  std::string names[3];
  std::string_view keys[3];
  std::optional<PinnedValue> values[3];
  const size_t count = 1 + input->below(3);
  for (size_t i = 0; i < count; ++i) keys[i] = names[i] = context->read_key(input);
  if (count == 1) {
    Result<std::optional<PinnedValue>> got =
        context->database->get(keys[0], {.keyspace = keyspace});
    if (!context->allow(got.status())) return;
    values[0] = std::move(*got);
  } else if (!context->allow(context->database->multi_get({keys, count}, {values, count},
                                                          {.keyspace = keyspace}))) {
    return;
  }
  Timestamp moment = before->timestamp();
  for (const std::optional<PinnedValue>& value : values) {
    if (value.has_value()) moment = std::max(moment, value->timestamp());
  }
  const std::optional<Snapshot> after = snapshot_now();
  const bool quiet = after.has_value() && after->timestamp() == moment;
  record->snapshot = moment;
  for (size_t i = 0; i < count; ++i) {
    if (values[i].has_value() || quiet) {
      record->operations.push_back(read_of(keyspace, names[i], values[i]));
    }
  }
}

}  // namespace

void run_reads(ProgramContext* context, size_t session, Input* input) {
  context->counts.direct.fetch_add(1);
  TransactionRecord record = context->begin_record(session);
  const uint32_t choice = input->below(4);
  if (choice == 0) {
    read_past(context, &record, input);
  } else if (choice == 1) {
    const Result<Snapshot> snapshot = context->database->snapshot();
    if (context->allow(snapshot.status())) read_at_snapshot(context, *snapshot, &record, input);
  } else {
    read_now(context, &record, input);
  }
  if (!record.snapshot.has_value()) return;
  if (record.begin_nanos != 0) record.end_nanos = ProgramContext::now();
  context->recorder.record(std::move(record));
}

// -- keyspaces --

void run_scratch(ProgramContext* context, Input* input) {
  static constexpr std::optional<Durability> kDurabilities[] = {std::nullopt, Durability::none,
                                                                Durability::sync, Durability::os};
  const Keyspace keyspace = context->scratch_keyspace();
  if (input->below(4) == 1) {
    context->allow(
        context->database->put(context->read_key(input), "unrecorded", {.keyspace = keyspace}),
        {.not_found = true});
    return;
  }
  if (!context->allow(context->database->drop_keyspace(keyspace), {.not_found = true})) return;
  // Of those that drop it at a time one gets here.
  const Result<Keyspace> anew =
      context->database->create_keyspace("scratch", {.durability = kDurabilities[input->below(4)]});
  if (context->allow(anew.status())) context->scratch.store(anew->id);
}

}  // namespace varve::test
