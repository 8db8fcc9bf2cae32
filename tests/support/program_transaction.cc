#include "tests/support/program_transaction.h"

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/program_cursor.h"
#include "tests/support/transaction_recording.h"

namespace varve::test {
namespace {

constexpr uint64_t kStepsMax = 6;
constexpr size_t kCursorsMax = 2;
constexpr size_t kLongValue = 3000;

struct TransactionPlan {
  TransactionOptions options;
  bool commits = true;
  bool rolls_back = false;  // by a call; else by letting go
};

TransactionPlan read_plan(const ProgramContext& context, Input* input) {
  const uint8_t shape = input->u8();
  TransactionPlan plan;
  const uint8_t level = context.shape.isolation;
  const bool serializable = level == 1 || (level > 1 && (shape & 1) != 0);
  plan.options.isolation = serializable ? Isolation::serializable : Isolation::snapshot;
  plan.commits = (shape & 0xf0) != 0;
  plan.rolls_back = (shape & 2) != 0;
  // Every fourth spills all that it writes, at once or a few entries at a time.
  if ((shape & 12) == 12) plan.options.write_memory_max = (shape & 16) != 0 ? 1 : 40;
  if ((shape & 12) != 0) return plan;
  plan.options.durability = context.read_durability(input);
  plan.options.timeout = ProgramContext::read_timeout(input);
  return plan;
}

// One attempt of a transaction.
class ProgramTransaction {
 public:
  ProgramTransaction(ProgramContext* context, size_t session, const TransactionOptions& options)
      : context_(*context),
        options_(options),
        scratch_(context->scratch_keyspace()),
        record_(context->begin_record(session)),
        recording_(&record_) {
    record_.isolation = options.isolation == Isolation::serializable
                            ? RecordedIsolation::serializable
                            : RecordedIsolation::snapshot;
  }

  // When it was begun, if that was before this was made.
  void set_begin(uint64_t nanos) { record_.begin_nanos = nanos; }
  // False: it met a fault, and is to be given up.
  bool run(Transaction* transaction, Input* input);
  // Commits, and tries again where that may help.
  void commit();
  // Of a call that committed: whether it can be repeated.
  bool note_commit(const Result<Timestamp>& committed);
  // The transaction has ended, or lost.
  TransactionRecord finish();  // without its end

 private:
  bool run_step(Input* input);
  bool read(Input* input, bool for_update);
  bool read_several(Input* input);
  bool change(Input* input);
  bool put(Keyspace keyspace, const std::string& key, std::string value);
  bool scan(Input* input);
  bool use_cursor(Input* input);
  bool savepoint(Input* input);
  bool use_scratch(Input* input);
  // A call that may wait; commits also tell of the scratch keyspace.
  MayAnswer may_wait() const {
    return {.timed_out = options_.timeout.has_value(), .not_found = used_scratch_};
  }
  // Some operations can be cancelled, and a few are from the start.
  const Cancellation* read_cancellation(Input* input) {
    const uint32_t choice = input->below(16);
    Cancellation* own = &context_.cancellations[record_.session];
    if (choice == 1) own->cancel();
    return choice != 0 && choice < 6 ? own : nullptr;
  }

  ProgramContext& context_;
  const TransactionOptions options_;
  const Keyspace scratch_;  // may be gone when it is used
  TransactionRecord record_;
  Recording recording_;
  Transaction* transaction_ = nullptr;
  bool used_scratch_ = false;
  uint64_t next_cursor_ = 0;
  std::deque<ProgramCursor> cursors_;
};

bool ProgramTransaction::run(Transaction* transaction, Input* input) {
  transaction_ = transaction;
  record_.snapshot = transaction->snapshot_timestamp();
  record_.outcome = RecordedOutcome::aborted;
  for (uint64_t steps = 1 + input->below(kStepsMax); steps > 0; --steps) {
    if (!run_step(input)) return false;
  }
  if (!context_.shape.markers || !recording_.wrote()) return true;
  const std::string marker = ProgramContext::marker_of(record_);
  return put(context_.markers, marker, marker);
}

bool ProgramTransaction::run_step(Input* input) {
  const uint32_t choice = input->below(16);
  switch (choice) {
    case 0:
      return scan(input);
    case 1:
      return savepoint(input);
    case 2:
    case 3:
      // Where there is one, what comes after it is undone often.
      if (recording_.marks() != 0) return savepoint(input);
      return read_several(input);
    case 4:
    case 5:
      if (choice == 4 || !cursors_.empty()) return use_cursor(input);
      return read(input, /*for_update=*/false);
    case 6:
      return read(input, /*for_update=*/true);
    case 7:
    case 8:
      return read(input, /*for_update=*/false);
    case 9:
      return input->flag() ? use_scratch(input) : change(input);
    default:
      return change(input);
  }
}

bool ProgramTransaction::read(Input* input, bool for_update) {
  ReadOptions options;
  options.keyspace = context_.read_keyspace(input);
  const std::string key = context_.read_key(input);
  options.cancellation = read_cancellation(input);
  recording_.will_read(options.keyspace, key, for_update);
  Result<std::optional<PinnedValue>> got =
      for_update ? transaction_->get_for_update(key, options) : transaction_->get(key, options);
  if (!context_.allow(got.status(), {.cancellation = options.cancellation})) {
    return got.status().code() == StatusCode::cancelled;
  }
  recording_.read(options.keyspace, key, *got, for_update);
  return true;
}

bool ProgramTransaction::read_several(Input* input) {
  ReadOptions options;
  options.keyspace = context_.read_keyspace(input);
  options.cancellation = read_cancellation(input);
  std::string names[4];
  std::string_view keys[4];
  std::optional<PinnedValue> values[4];
  const uint32_t choice = input->below(6);
  const size_t count = 2 + choice % 3;
  const bool for_update = choice >= 3;
  for (size_t i = 0; i < count; ++i) {
    names[i] = context_.read_key(input);
    keys[i] = names[i];
    recording_.will_read(options.keyspace, names[i], for_update);
  }
  const Status status =
      for_update ? transaction_->multi_get_for_update({keys, count}, {values, count}, options)
                 : transaction_->multi_get({keys, count}, {values, count}, options);
  if (!context_.allow(status, {.cancellation = options.cancellation})) {
    return status.code() == StatusCode::cancelled;
  }
  for (size_t i = 0; i < count; ++i) {
    recording_.read(options.keyspace, names[i], values[i], for_update);
  }
  return true;
}

bool ProgramTransaction::change(Input* input) {
  WriteOptions options;
  options.keyspace = context_.read_keyspace(input);
  const std::string key = context_.read_key(input);
  const uint32_t choice = input->below(8);
  if (choice == 0) {
    const Status status = transaction_->erase(key, options);
    if (!context_.allow(status, may_wait())) return status.code() == StatusCode::timed_out;
    recording_.write(options.keyspace, key, std::nullopt);
    return true;
  }
  std::string value = context_.next_value(record_);
  if (choice == 1) value.resize(kLongValue, 'l');
  return put(options.keyspace, key, std::move(value));
}

bool ProgramTransaction::put(Keyspace keyspace, const std::string& key, std::string value) {
  const Status status = transaction_->put(key, value, {.keyspace = keyspace});
  if (!context_.allow(status, may_wait())) return status.code() == StatusCode::timed_out;
  recording_.write(keyspace, key, std::move(value));
  return true;
}

bool ProgramTransaction::scan(Input* input) {
  const uint8_t shape = input->u8();
  const std::string lower = (shape & 1) != 0 ? context_.read_key(input) : "";
  const std::string upper = (shape & 2) != 0 ? context_.read_key(input) : "";
  ScanOptions options;
  options.keyspace = context_.read_keyspace(input);
  options.lower = lower;
  options.upper = upper;
  options.live = (shape & 8) != 0;
  options.cancellation = read_cancellation(input);
  const MayAnswer may{.cancellation = options.cancellation};
  ScanRecord scan;
  scan.lower = lower;
  scan.upper = upper;
  scan.reverse = (shape & 4) != 0;
  const uint32_t limit = shape >> 6;
  if (limit != 0) scan.limit = limit;
  Result<Cursor> cursor = transaction_->scan(options);
  if (!context_.allow(cursor.status(), may)) return false;
  const uint64_t number = next_cursor_++;
  recording_.cursor_opened(number);
  scan.reverse ? cursor->seek_to_last() : cursor->seek_to_first();
  bool goes_on = true;
  while (cursor->valid()) {
    scan.rows.push_back(row_of(*cursor));
    if (scan.rows.size() == limit) break;
    // The cursor shows writes as of its opening; a live one's scan would be no longer one moment.
    goes_on = (shape & 16) == 0 || options.live || change(input);
    if (!goes_on) break;
    scan.reverse ? cursor->prev() : cursor->next();
  }
  const bool cut_short = !goes_on || !cursor->status().ok();
  if (cut_short && !scan.rows.empty()) scan.ended_at = scan.rows.back().key;
  recording_.scanned(options.keyspace, scan, cut_short);
  if (!context_.allow(cursor->status(), may)) {
    goes_on = cursor->status().code() == StatusCode::cancelled;
  }
  std::vector<ScanRecord> scans;
  if (!cut_short || !scan.rows.empty()) scans.push_back(std::move(scan));
  recording_.cursor_ended(number, options.keyspace, std::move(scans));
  return goes_on;
}

// Opens one that is kept, or goes on with one, or ends it.
bool ProgramTransaction::use_cursor(Input* input) {
  const uint32_t choice = input->below(8);
  if (cursors_.empty() || (choice == 0 && cursors_.size() < kCursorsMax)) {
    CursorPlan plan;
    const uint8_t shape = input->u8();
    plan.keyspace = context_.read_keyspace(input);
    if ((shape & 3) == 1) plan.lower = context_.read_key(input);
    if ((shape & 12) == 4) plan.upper = context_.read_key(input);
    plan.cancellation = read_cancellation(input);
    Result<Cursor> cursor = transaction_->scan({.keyspace = plan.keyspace,
                                                .lower = plan.lower,
                                                .upper = plan.upper,
                                                .cancellation = plan.cancellation});
    if (!context_.allow(cursor.status(), {.cancellation = plan.cancellation})) return false;
    context_.counts.cursors.fetch_add(1);
    recording_.cursor_opened(next_cursor_);
    cursors_.emplace_back(next_cursor_++, std::move(plan), std::move(*cursor));
    return cursors_.back().go_on(&context_, input, &recording_);
  }
  const size_t which = input->below(static_cast<uint32_t>(cursors_.size()));
  if (choice != 1) return cursors_[which].go_on(&context_, input, &recording_);
  cursors_[which].end(&recording_);
  cursors_.erase(cursors_.begin() + static_cast<ptrdiff_t>(which));
  return true;
}

bool ProgramTransaction::savepoint(Input* input) {
  const uint32_t choice = input->below(8);
  if (recording_.marks() == 0 || choice < 2) {
    const Result<Savepoint> set = transaction_->set_savepoint();
    if (!context_.allow(set.status())) return false;
    recording_.mark(*set);
    return true;
  }
  const size_t which = input->below(static_cast<uint32_t>(recording_.marks()));
  if (choice == 2) {
    if (!context_.allow(transaction_->release(recording_.savepoint(which)))) return false;
    recording_.release(which);
    return true;
  }
  if (!context_.allow(transaction_->rollback_to(recording_.savepoint(which)))) return false;
  recording_.rolled_back_to(which);
  for (auto cursor = cursors_.begin(); cursor != cursors_.end();) {
    if (recording_.has_cursor(cursor->number())) {
      ++cursor;
      continue;
    }
    cursor->end(&recording_);
    cursor->expect_ended(&context_);
    cursor = cursors_.erase(cursor);
  }
  return true;
}

// Nothing of it is recorded: it is dropped beside this.
bool ProgramTransaction::use_scratch(Input* input) {
  used_scratch_ = true;
  const std::string key = context_.read_key(input);
  Status status;
  switch (input->below(8)) {
    case 0:
      status = transaction_->get(key, {.keyspace = scratch_}).status();
      break;
    case 1:
      status = transaction_->get_for_update(key, {.keyspace = scratch_}).status();
      break;
    case 2:
      status = transaction_->erase(key, {.keyspace = scratch_});
      if (status.ok()) recording_.wrote_elsewhere();
      break;
    case 3: {
      Result<Cursor> cursor = transaction_->scan({.keyspace = scratch_, .lower = key});
      status = cursor.status();
      if (!status.ok()) break;
      for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
      }
      status = cursor->status();
      break;
    }
    default:
      status = transaction_->put(key, "unrecorded", {.keyspace = scratch_});
      if (status.ok()) recording_.wrote_elsewhere();
  }
  return context_.allow(status, may_wait()) || status.code() == StatusCode::not_found ||
         status.code() == StatusCode::timed_out;
}

// -- the end --

void ProgramTransaction::commit() {
  constexpr int kCallsMax = 3;
  for (int calls = 1; note_commit(transaction_->commit()) && calls < kCallsMax; ++calls) {
  }
}

bool ProgramTransaction::note_commit(const Result<Timestamp>& committed) {
  // Committing detaches them, whatever comes of it.
  for (ProgramCursor& cursor : cursors_) cursor.end(&recording_);
  if (committed.ok()) {
    record_.outcome = RecordedOutcome::committed;
    if (recording_.wrote()) record_.commit = *committed;
    return false;
  }
  if (committed.status().code() == StatusCode::conflict) {
    // What others did to the scratch keyspace is not in the history.
    if (used_scratch_) {
      context_.conflicts.failed(record_.id);
    } else {
      context_.conflicts.lost(record_.id, recording_.footprint());
    }
    return false;
  }
  context_.allow(committed.status(), may_wait());
  context_.conflicts.failed(record_.id);
  if (committed.status().code() != StatusCode::io_error) return true;
  record_.outcome = RecordedOutcome::unknown;
  return false;
}

TransactionRecord ProgramTransaction::finish() {
  for (ProgramCursor& cursor : cursors_) {
    cursor.end(&recording_);
    cursor.expect_ended(&context_);
  }
  cursors_.clear();
  return std::move(record_);
}

}  // namespace

void run_transaction(ProgramContext* context, size_t session, Input* input) {
  const TransactionPlan plan = read_plan(*context, input);
  ProgramTransaction program(context, session, plan.options);
  Result<Transaction> begun = context->database->begin(plan.options);
  if (!context->allow(begun.status())) return;
  if (program.run(&*begun, input) && plan.commits) {
    program.commit();
  } else if (plan.rolls_back) {
    context->allow(begun->rollback());
  }
  begun = Transaction();
  context->finish(program.finish());
}

void run_transact(ProgramContext* context, size_t session, Input* input) {
  TransactionPlan plan = read_plan(*context, input);
  plan.options.attempts_max = 1 + input->below(4);
  const Status gave_up = Status::invalid_argument("the program gives it up");
  std::optional<ProgramTransaction> attempt;
  enum class Ends : uint8_t { by_commit, by_giving_up, by_wish } ends = Ends::by_commit;
  // What an attempt read may not be durable yet: nobody is told before transact() returns.
  std::vector<TransactionRecord> attempts;
  const auto end_attempt = [&](const Result<Timestamp>& result) {
    if (ends == Ends::by_commit) {
      attempt->note_commit(result);
    }
    attempts.push_back(attempt->finish());
  };
  uint64_t began = ProgramContext::now();
  const Result<Timestamp> result = context->database->transact(
      [&](Transaction& transaction) -> Status {
        if (attempt.has_value()) {
          context->counts.retries.fetch_add(1);
          end_attempt(Status(StatusCode::conflict, ""));
        }
        attempt.emplace(context, session, plan.options);
        attempt->set_begin(began);
        ends = Ends::by_commit;
        const bool goes_on = attempt->run(&transaction, input);
        began = ProgramContext::now();
        if (!goes_on || !plan.commits) {
          ends = Ends::by_giving_up;
          return gave_up;
        }
        if (input->below(16) != 1) return Status();
        ends = Ends::by_wish;
        return Status(StatusCode::conflict, "as the program wishes");
      },
      plan.options);
  if (!attempt.has_value()) {
    context->allow(result.status());
    return;
  }
  const bool as_told =
      ends == Ends::by_commit ||
      result.status().code() == (ends == Ends::by_wish ? StatusCode::conflict : gave_up.code());
  if (!as_told && result.status().code() == StatusCode::read_only) {
    context->allow(result.status());  // what it read is not durable, and never will be
  } else if (!as_told) {
    context->complain("transact() answers otherwise than its body: " + result.status().to_string());
  }
  end_attempt(result);
  // What is not durable, and never will be, is told to nobody.
  const bool is_told = result.status().code() != StatusCode::read_only &&
                       result.status().code() != StatusCode::io_error;
  for (TransactionRecord& record : attempts) {
    is_told ? context->finish(std::move(record)) : context->finish_untold(std::move(record));
  }
}

}  // namespace varve::test
