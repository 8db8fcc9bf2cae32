// What the threads of a run of transaction programs share: the database and its shape, the records
// of what was done, and which answers are none that a program may be given.
//
// Thread rule: fields are set while no thread of the run lives; functions by any thread, those that
// take a session by its thread.

#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/input.h"
#include "tests/support/justified_conflicts.h"
#include "varve/varve.h"

namespace varve::test {

inline constexpr size_t kProgramThreadsMax = 4;

struct ProgramShape {
  size_t threads = 0;
  uint32_t keys = 0;
  uint8_t isolation = 0;  // 0: snapshot, 1: serializable, more: either
  bool markers = false;   // each commit puts a key of its own besides
  bool unlogged = false;  // of the second keyspace; without faults, what it holds is kept
  bool closes_beside_writers = false;
  PlannedFault fault;
  bool fault_at_open = false;  // from the second life's opening on
  Options options;
};

// What an operation may answer, besides ok, where no fault was met.
struct MayAnswer {
  bool timed_out = false;                      // it had a timeout
  bool not_found = false;                      // its keyspace may be dropped
  bool invalid_argument = false;               // the past that it asks for may be gone
  const Cancellation* cancellation = nullptr;  // it had this one
};

class ProgramContext {
 public:
  ProgramContext(ProgramShape wanted, const FaultyDisk* disk) : shape(wanted), disk_(disk) {}

  ProgramShape shape;
  Database* database = nullptr;
  Keyspace keyspaces[2] = {kDefaultKeyspace, kDefaultKeyspace};
  // One key for each commit that has a marker, which only the end reads: there, or not there, it
  // resolves outcomes that are unknown.
  Keyspace markers = kDefaultKeyspace;
  // Dropped and created anew while others use it; what it holds is not judged.
  std::atomic<uint32_t> scratch{0};
  std::atomic<bool> closing{false};                    // now, or done: `closed` is an answer
  Cancellation cancellations[kProgramThreadsMax + 1];  // of sessions
  std::atomic<uint64_t> a_commit{0};  // timestamp of one that a batch made: a past to be read

  // Things that happened.
  struct Counts {
    std::atomic<uint64_t> retries{0};    // of transact()
    std::atomic<uint64_t> groups{0};     // of batchers, committed
    std::atomic<uint64_t> cursors{0};    // kept open across steps
    std::atomic<uint64_t> cancelled{0};  // answers
    std::atomic<uint64_t> timed_out{0};
    std::atomic<uint64_t> gone{0};    // answers that a keyspace is
    std::atomic<uint64_t> closed{0};  // answers
    std::atomic<uint64_t> direct{0};  // reads and writes without a transaction
    std::atomic<uint64_t> past{0};    // of these, reads of the past
  };
  Counts counts;
  ConflictLog conflicts;
  HistoryRecorder recorder;

  // -- what is read from the input --
  static std::string key_name(uint32_t key) { return "k" + std::to_string(key); }
  Keyspace scratch_keyspace() const { return {scratch.load()}; }
  std::string read_key(Input* input) const { return key_name(input->below(shape.keys)); }
  Keyspace read_keyspace(Input* input) const { return keyspaces[input->below(4) == 0 ? 1 : 0]; }
  // One that keeps what was acknowledged through whatever the shape's fault leads to.
  std::optional<Durability> read_durability(Input* input) const;
  static std::optional<std::chrono::nanoseconds> read_timeout(Input* input);

  // -- records --
  static uint64_t now() { return Clock::system()->monotonic_nanos(); }
  TransactionRecord begin_record(size_t session);
  // Unlike any other.
  std::string next_value(const TransactionRecord& record) {
    return "t" + std::to_string(record.id) + "." + std::to_string(next_value_[record.session]++);
  }
  static std::string marker_of(const TransactionRecord& record) {
    return "m" + std::to_string(record.id);
  }
  void finish(TransactionRecord record) {
    record.end_nanos = now();
    recorder.record(std::move(record));
  }
  // One that ended, but nobody is told of what it read.
  void finish_untold(TransactionRecord record) {
    record.end_nanos = INT64_MAX;
    std::erase_if(record.operations, [](const OperationRecord& operation) {
      using Kind = OperationRecord::Kind;
      return operation.kind == Kind::read || operation.kind == Kind::scan;
    });
    recorder.record(std::move(record));
  }

  // -- judgement --
  // True: ok. Faults that were met in this life are an answer, and what `may` names; whatever else
  // is not ok is a complaint.
  bool allow(const Status& status, const MayAnswer& may = {});
  bool expect(const Status& status) {
    if (!status.ok()) complain(status.to_string());
    return status.ok();
  }
  void complain(const std::string& complaint) {
    MutexLock lock(mutex_);
    if (complaint_.empty()) complaint_ = complaint;
  }
  std::string complaint() const {
    MutexLock lock(mutex_);
    return complaint_;
  }
  // A life begins: whatever failed before is no excuse.
  void begin_life() {
    failed_before_ = disk_->failed();
    closing.store(false);
  }
  bool met_fault() const { return disk_->failed() > failed_before_; }

 private:
  static constexpr uint64_t kIdsOfSession = 1000;  // at least so many

  const FaultyDisk* const disk_;
  uint64_t failed_before_ = 0;  // file calls, when this life began
  uint64_t next_id_[kProgramThreadsMax + 1] = {1, 0, 0, 0, 0};
  uint64_t next_value_[kProgramThreadsMax + 1] = {};
  mutable Mutex mutex_;
  std::string complaint_ VARVE_GUARDED_BY(mutex_);
};

}  // namespace varve::test
