// Streams of a WriteBatcher: which of its writes commit together, and when, is told by its counts.

#include <algorithm>
#include <utility>

#include "tests/support/program_calls.h"

namespace varve::test {
namespace {

WriteBatcherOptions read_options(ProgramContext* context, Input* input) {
  const uint8_t shape = input->u8();
  WriteBatcherOptions options;
  options.writes_max = 1 + (shape & 7);
  if ((shape & 8) != 0) options.bytes_max = 1 + input->below(64);
  if ((shape & 16) != 0) options.age_max = std::chrono::microseconds(input->below(64));
  if ((shape & 96) != 32) return options;
  options.durability = context->read_durability(input);
  options.timeout = ProgramContext::read_timeout(input);
  return options;
}

class Stream {
 public:
  Stream(ProgramContext* context, size_t session, const WriteBatcherOptions& options)
      : context_(*context),
        session_(session),
        may_{.timed_out = options.timeout.has_value()},
        batcher_(*context->database, options),
        record_(context->begin_record(session)) {}

  // False: it is over.
  bool step(Input* input);
  void end(bool closes);

 private:
  void write(Input* input);
  // Carries out a call; then looks what was committed. False: the batcher is of no use any more.
  template <typename Call>
  bool call(const Call& what);
  void note_commits(uint64_t began);
  // The oldest `count` of the pending writes have met that fate.
  void finish_group(size_t count, RecordedOutcome outcome, std::optional<Timestamp> commit,
                    uint64_t began);

  ProgramContext& context_;
  const size_t session_;
  const MayAnswer may_;
  WriteBatcher batcher_;
  TransactionRecord record_;              // of the next group
  std::vector<OperationRecord> pending_;  // in the order of the stream
  uint64_t batches_ = 0;
  std::optional<uint64_t> failing_since_;
};

bool Stream::step(Input* input) {
  switch (input->below(16)) {
    case 0:
      return call([&] { return batcher_.flush(); });
    case 1:
    case 2:
      return call([&] { return batcher_.poll(); });
    case 3: {
      const size_t pending = pending_.size();
      if (batcher_.discard() != pending) context_.complain("a batcher discards others than pend");
      if (pending == 0) return true;
      finish_group(pending, RecordedOutcome::aborted, std::nullopt, record_.begin_nanos);
      return true;
    }
    default:
      break;
  }
  OperationRecord operation;
  const Keyspace keyspace = context_.read_keyspace(input);
  const std::string key = context_.read_key(input);
  const bool erases = input->below(4) == 0;
  const std::string value = context_.next_value(record_);
  operation = erases ? OperationRecord::erase(key) : OperationRecord::write(key, value);
  operation.keyspace = keyspace;
  return call([&] {
    const uint64_t taken = batcher_.taken();
    Status status = erases ? batcher_.erase(keyspace, key) : batcher_.put(keyspace, key, value);
    if (batcher_.taken() != taken + (status.ok() ? 1 : 0)) {
      context_.complain("a batcher takes other writes than it says");
    }
    if (status.ok()) pending_.push_back(std::move(operation));
    return status;
  });
}

template <typename Call>
bool Stream::call(const Call& what) {
  const uint64_t began = ProgramContext::now();
  const Status status = what();
  context_.allow(status, may_);
  note_commits(began);
  // A commit that put() set off tells at the next call; it may be noted at once.
  const Status& failure = batcher_.failure();
  if (failure.ok()) return status.ok() || status.code() == StatusCode::timed_out;
  context_.allow(failure, may_);
  if (!failing_since_.has_value()) failing_since_ = began;
  return failure.code() != StatusCode::io_error;
}

void Stream::note_commits(uint64_t began) {
  const WriteBatcherReport& report = batcher_.report();
  const uint64_t committed = pending_.size() - batcher_.pending();
  const uint64_t batches = report.batches - batches_;
  batches_ = report.batches;
  if ((committed == 0) != (batches == 0)) {
    context_.complain("a batcher commits " + std::to_string(batches) + " batches of " +
                      std::to_string(committed) + " writes");
  }
  if (batches == 0) return;
  failing_since_.reset();
  context_.counts.groups.fetch_add(batches);
  // What did not fit went before, at a time that nobody tells; then the write that was taken.
  if (batches == 2) finish_group(committed - 1, RecordedOutcome::unknown, std::nullopt, began);
  finish_group(batches == 2 ? 1 : committed, RecordedOutcome::committed, report.last_commit, began);
  if (batches > 2) context_.complain("a call of a batcher commits more than two batches");
}

void Stream::finish_group(size_t count, RecordedOutcome outcome, std::optional<Timestamp> commit,
                          uint64_t began) {
  TransactionRecord next = context_.begin_record(session_);
  record_.begin_nanos = failing_since_.value_or(began);
  record_.outcome = outcome;
  record_.commit = commit;
  for (size_t i = 0; i < count; ++i) {
    std::erase_if(record_.operations, [&](const OperationRecord& earlier) {
      return earlier.keyspace == pending_[i].keyspace && earlier.key == pending_[i].key;
    });
    record_.operations.push_back(std::move(pending_[i]));
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
  if (outcome != RecordedOutcome::committed) context_.conflicts.failed(record_.id);
  context_.finish(std::exchange(record_, std::move(next)));
}

void Stream::end(bool closes) {
  const bool lost = batcher_.failure().code() == StatusCode::io_error;
  if (closes && !lost) call([&] { return batcher_.close(); });
  if (pending_.empty()) return;
  // Whatever is left is given up, unless nobody knows whether it is there.
  const bool unknown = batcher_.failure().code() == StatusCode::io_error;
  const uint64_t began = failing_since_.value_or(ProgramContext::now());
  if (batcher_.discard() != pending_.size()) context_.complain("a batcher has lost a write");
  finish_group(pending_.size(), unknown ? RecordedOutcome::unknown : RecordedOutcome::aborted,
               std::nullopt, began);
}

}  // namespace

void run_stream(ProgramContext* context, size_t session, Input* input) {
  Stream stream(context, session, read_options(context, input));
  bool goes_on = true;
  for (uint32_t steps = 2 + input->below(10); goes_on && steps > 0; --steps) {
    goes_on = stream.step(input);
  }
  stream.end(/*closes=*/input->below(4) != 1);
}

}  // namespace varve::test
