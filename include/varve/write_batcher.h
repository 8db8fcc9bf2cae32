// Groups a stream of small writes into write batches, so that many of them share one commit.
//
// What is promised: a write that was taken is neither durable nor visible until its batch is
// committed; then it is both, as after Database::write(). Batches commit in the order of the
// stream, each whole: what a crash leaves of it is a beginning that ends with a batch (of keyspaces
// with a log). To know what is committed, number the writes: they are 1, 2, 3 ... as they are
// taken, taken() is the newest one, and all up to committed_through() are committed.
//
// A batch is committed when it is full, when it is old, and by flush(). It has no thread: all is
// done by the calls below, the age is looked at by put(), erase() and poll(). A stream that pauses
// is to be flushed, or polled.

#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "varve/status.h"
#include "varve/types.h"
#include "varve/write_batch.h"

namespace varve {

class Database;

// A batch is committed as soon as it reaches one of the bounds. Larger ones share a commit's cost
// among more writes, and each waits longer for it.
struct WriteBatcherOptions {
  uint64_t writes_max = 1000;
  // Of keys and values. Never more than what Database::write() takes.
  uint64_t bytes_max = 256 * 1024;
  // Since the batch's first write was taken. Unset: it may be of any age.
  std::optional<std::chrono::nanoseconds> age_max = std::chrono::milliseconds(100);
  // Of the commits, as in WriteOptions.
  std::optional<Durability> durability = {};
  std::optional<std::chrono::nanoseconds> timeout = {};
};

// Why a batch was committed.
enum class BatchCause : uint8_t {
  writes,  // so many
  bytes,   // so many, or as many as one commit, or the memory budget, allows
  age,
  flush,
  close,  // or destruction
};
inline constexpr size_t kBatchCauseCount = 5;
const char* batch_cause_name(BatchCause cause);

struct WriteBatcherReport {
  uint64_t batches = 0;    // committed
  uint64_t writes = 0;     // in them, folded ones included (see WriteBatch)
  uint64_t bytes = 0;      // of these writes, keys and values
  uint64_t failures = 0;   // commits that failed, each attempt
  uint64_t discarded = 0;  // writes
  std::array<uint64_t, kBatchCauseCount> batches_by_cause{};  // indexed by BatchCause
  uint64_t largest_writes = 0;                                // of one batch
  uint64_t largest_bytes = 0;
  Timestamp last_commit;  // timestamp of the newest batch; kTimestampMin: none yet
};

// Thread rule: one thread at a time; any number side by side on one database. As writes are, its
// calls may be in progress beside Database::close(), and answer `closed` then.
// Lifetime: must be gone before its database is destroyed, which does not wait for it; does not
// keep it from being closed.
// Memory: in the database's budget, role batch: about one and a half times bytes_max, and up to 150
// bytes a write. Kept between batches, so that writes allocate nothing.
// Errors: a commit that fails loses nothing: its writes stay, before what comes later, and every
// later call begins with committing them. So the failure of a commit that put() set off is answered
// by the next call; failure() has it at once. io_error: whether the batch is there is known after
// reopening; so it is not tried again, and the only answer from then on. What can never be
// committed, as after a keyspace was dropped, is to be discarded.
class WriteBatcher {
 public:
  explicit WriteBatcher(Database& database, const WriteBatcherOptions& options = {});
  // close(); what could not be committed is gone, and the database's logger is told how much. Call
  // close() to know.
  ~WriteBatcher();
  WriteBatcher(const WriteBatcher&) = delete;
  WriteBatcher& operator=(const WriteBatcher&) = delete;

  // Takes a write; ok: it is taken, and no more. May wait as Database::write() does, when the batch
  // is full. Otherwise it is not taken: invalid_argument (sizes), not_found (keyspace),
  // out_of_memory, timed_out, closed; or as flush(), for what was taken before.
  Status put(std::string_view key, std::string_view value) {
    return put(kDefaultKeyspace, key, value);
  }
  Status put(Keyspace keyspace, std::string_view key, std::string_view value);
  Status erase(std::string_view key) { return erase(kDefaultKeyspace, key); }
  Status erase(Keyspace keyspace, std::string_view key);

  // Ok: all that was taken, and not discarded, is committed. Errors: as Database::write(); closed,
  // of the database or this.
  Status flush();
  // Commits the batch if it is old enough, or a commit failed before. Errors: as flush().
  Status poll();
  // flush(), and then nothing more is taken. After an error it is still open.
  Status close();
  // Gives up what is not committed; how many writes that were. Forgets failure().
  uint64_t discard();

  // The number of the newest write that was taken, and of the newest that is committed: so are all
  // before it, but for discarded ones.
  uint64_t taken() const { return taken_; }
  uint64_t committed_through() const { return committed_through_; }
  // Taken, and neither committed nor discarded.
  uint64_t pending() const { return pending_; }
  // Why what is pending could not be committed; ok: nothing was tried, or it was done.
  const Status& failure() const { return failure_; }
  const WriteBatcherReport& report() const { return report_; }

 private:
  Status take(bool erases, Keyspace keyspace, std::string_view key, std::string_view value);
  Status append(bool erases, Keyspace keyspace, std::string_view key, std::string_view value);
  // Of every call: whether it can go on. Commits what could not be committed before.
  Status ready();
  std::optional<BatchCause> due() const;
  bool is_old() const;
  uint64_t now() const;
  Status commit(BatchCause cause);
  void begin_anew();

  Database* const database_;
  const WriteBatcherOptions options_;
  WriteBatch batch_;
  bool closed_ = false;
  Status failure_;
  BatchCause failed_cause_ = BatchCause::flush;  // of the commit that failed
  uint64_t taken_ = 0;
  uint64_t committed_through_ = 0;
  uint64_t pending_ = 0;
  uint64_t pending_bytes_ = 0;
  uint64_t began_ = 0;  // the batch's first write; nanoseconds of the monotonic clock
  WriteBatcherReport report_;
};

}  // namespace varve
