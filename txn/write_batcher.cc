#include "varve/write_batcher.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "lsm/memtable.h"
#include "txn/database_impl.h"

// Rejected: committing old batches by a task of the executor, so that a pause of the stream needs
// no poll(). Every write would take a lock against it; a commit may wait for a flush, which then
// might wait for the very thread of the executor that commits; and its failure would have nobody to
// tell.

namespace varve {

namespace {

// A batch that outgrew its bound by more gives its memory back: one write was large.
constexpr uint64_t kKeptBeyondBound = 64 << 10;

}  // namespace

const char* batch_cause_name(BatchCause cause) {
  switch (cause) {
    case BatchCause::writes:
      return "writes";
    case BatchCause::bytes:
      return "bytes";
    case BatchCause::age:
      return "age";
    case BatchCause::flush:
      return "flush";
    case BatchCause::close:
      return "close";
  }
  return "unknown";
}

WriteBatcher::WriteBatcher(Database& database, const WriteBatcherOptions& options)
    : database_(&database), options_(options), batch_(database) {}

WriteBatcher::~WriteBatcher() {
  if (closed_) return;
  const Status status = close();
  if (status.ok()) return;
  log_line(database_->impl_->store_->options().logger, LogLevel::error,
           "a write batcher is destroyed with %llu writes that are not committed: %s",
           static_cast<unsigned long long>(pending_), status.to_string().c_str());
}

// -- taking --

Status WriteBatcher::put(Keyspace keyspace, std::string_view key, std::string_view value) {
  return take(/*erases=*/false, keyspace, key, value);
}

Status WriteBatcher::erase(Keyspace keyspace, std::string_view key) {
  return take(/*erases=*/true, keyspace, key, {});
}

Status WriteBatcher::take(bool erases, Keyspace keyspace, std::string_view key,
                          std::string_view value) {
  VARVE_RETURN_IF_ERROR(ready());
  // What could never be committed must not get among the others.
  const DatabaseImpl& database = *database_->impl_;
  VARVE_RETURN_IF_ERROR(check_entry_sizes(key, value, database.batch_memory_.value_size_max));
  if (database.store_->tree(keyspace) == nullptr) return unknown_keyspace(keyspace);
  const size_t size = batch_entry_size_max(key.size(), value.size());
  const uint64_t limit = database.batch_size_max();
  if (size > limit) {
    return Status::invalid_argument(format("a write of up to %zu bytes: at most %llu are allowed",
                                           size, static_cast<unsigned long long>(limit)));
  }
  const uint64_t bytes = batch_.size_bytes() + size;
  if (bytes > limit || Memtable::batch_size(pending_ + 1, bytes) > database.memtable_share()) {
    VARVE_RETURN_IF_ERROR(commit(BatchCause::bytes));
  }
  VARVE_RETURN_IF_ERROR(append(erases, keyspace, key, value));
  if (pending_ == 0 && options_.age_max) began_ = now();
  ++taken_;
  ++pending_;
  pending_bytes_ += key.size() + value.size();
  // The write is taken, whatever comes of its batch: the next call tells.
  if (const std::optional<BatchCause> cause = due()) static_cast<void>(commit(*cause));
  return Status();
}

Status WriteBatcher::append(bool erases, Keyspace keyspace, std::string_view key,
                            std::string_view value) {
  Store& store = *database_->impl_->store_;
  Store::CommitWait waited{.timeout = options_.timeout};
  for (;;) {
    const uint64_t drains = store.drains();
    const Status status = erases ? batch_.erase(keyspace, key) : batch_.put(keyspace, key, value);
    if (status.code() != StatusCode::out_of_memory) return status;
    if (pending_ != 0) {
      // Empty, it may have room enough.
      VARVE_RETURN_IF_ERROR(commit(BatchCause::bytes));
    } else {
      VARVE_RETURN_IF_ERROR(store.await_memory(status, drains, &waited));
    }
  }
}

Status WriteBatcher::ready() {
  if (closed_) return Status::closed("the write batcher is closed");
  if (failure_.code() == StatusCode::io_error) return failure_;
  VARVE_RETURN_IF_ERROR(database_->impl_->closed());
  return failure_.ok() ? Status() : commit(failed_cause_);
}

// -- committing --

std::optional<BatchCause> WriteBatcher::due() const {
  if (pending_ >= options_.writes_max) return BatchCause::writes;
  if (pending_bytes_ >= options_.bytes_max) return BatchCause::bytes;
  if (is_old()) return BatchCause::age;
  return std::nullopt;
}

bool WriteBatcher::is_old() const {
  if (!options_.age_max) return false;
  return now() - began_ >= static_cast<uint64_t>(std::max<int64_t>(options_.age_max->count(), 0));
}

uint64_t WriteBatcher::now() const {
  return database_->impl_->store_->options().clock->monotonic_nanos();
}

Status WriteBatcher::flush() {
  VARVE_RETURN_IF_ERROR(ready());
  return commit(BatchCause::flush);
}

Status WriteBatcher::poll() {
  VARVE_RETURN_IF_ERROR(ready());
  return pending_ != 0 && is_old() ? commit(BatchCause::age) : Status();
}

Status WriteBatcher::close() {
  if (closed_ || pending_ != 0) {
    VARVE_RETURN_IF_ERROR(ready());
    VARVE_RETURN_IF_ERROR(commit(BatchCause::close));
  }
  closed_ = true;
  batch_ = WriteBatch();
  return Status();
}

Status WriteBatcher::commit(BatchCause cause) {
  if (pending_ == 0) return Status();
  Timestamp committed;
  failure_ = database_->write(
      batch_, {.durability = options_.durability, .timeout = options_.timeout}, &committed);
  if (!failure_.ok()) {
    failed_cause_ = cause;
    ++report_.failures;
    return failure_;
  }
  ++report_.batches;
  ++report_.batches_by_cause[static_cast<size_t>(cause)];
  report_.writes += pending_;
  report_.bytes += pending_bytes_;
  report_.largest_writes = std::max(report_.largest_writes, pending_);
  report_.largest_bytes = std::max(report_.largest_bytes, pending_bytes_);
  report_.last_commit = committed;
  committed_through_ = taken_;
  begin_anew();
  return Status();
}

uint64_t WriteBatcher::discard() {
  const uint64_t discarded = pending_;
  report_.discarded += discarded;
  failure_ = Status();
  begin_anew();
  return discarded;
}

void WriteBatcher::begin_anew() {
  if (pending_bytes_ > options_.bytes_max &&
      pending_bytes_ - options_.bytes_max > kKeptBeyondBound) {
    batch_ = WriteBatch(*database_);
  } else {
    batch_.clear();
  }
  pending_ = pending_bytes_ = 0;
}

}  // namespace varve
