// Group commit: concurrent commits form groups, and every write is a commit.
//
//   commit()  waits in the queue until it is done, or until it is its turn to lead
//   leader    where groups sync, waits a little for more; takes the group in front; one clock read,
//             a block of timestamps; checks transactions against earlier commits, those of the
//             group included; one log write; applies the changes; syncs if a member asked for it;
//             marks the watched ranges that it touched (txn/change_watch.h); publishes; passes
//             the lead, wakes the members; and puts what the memtable holds in order, if much
//             waits for that
//
// The order is protocol 1's: everything that may wait or fail for want of memory comes before the
// timestamps; publishing comes last.
//
// Invariants:
//  1. One leader at a time; groups take timestamps, log positions and effect in queue order. So
//     version chains are in order, and the published timestamp has no gaps below it.
//  2. A commit is acknowledged only when it is as durable as asked and published. A weaker commit
//     in the group of, or queued behind, a stronger one waits with it.
//  3. A failure after the timestamps were taken leaves them unpublished for ever, and the store
//     read-only: whether those commits are there is known after reopening.
// Rejected: letting members apply their own changes in parallel (as RocksDB's and Pebble's
// pipelines can). It would break the in-order version chains for a gain that one leader makes up by
// batching.
//
// Thread rule: any thread. Memory: steady state allocates nothing.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/baton.h"
#include "base/mutex.h"
#include "lsm/batch_format.h"
#include "lsm/store.h"
#include "memory/buffer.h"
#include "txn/change_watch.h"
#include "txn/commit_check.h"

namespace varve {

class CommitPipeline {
 public:
  CommitPipeline(Store* store, ConflictTable* conflicts, ChangeWatch* watch,
                 TransactionCounters* counters)
      : store_(store),
        conflicts_(conflicts),
        watch_(watch),
        checker_(store, conflicts, counters),
        logged_part_(&store->memory(), MemoryRole::commit_queue) {}

  // Commits the entries of `batch` (lsm/batch_format.h), all or none. `durability` unset: the
  // strongest of the keyspaces'. With `check`, which was made up to what was published, only if it
  // turns out clear: the verdict says so, and the status is ok either way. Errors as
  // Database::write().
  Status commit(std::string_view batch, uint32_t entries,
                const std::optional<Durability>& durability, CommitCheck* check,
                Timestamp* committed);

  // Runs `action` in commit order, alone: every earlier commit is published, no later one has
  // begun. It gets a timestamp of its own, which is published when it returns ok. What it changes
  // of watched ranges it marks itself.
  class Action {
   public:
    virtual Status run(Timestamp timestamp) = 0;
    // What somebody may have read, or will write: transactions have to look it up.
    virtual bool changes_data() const { return false; }

   protected:
    ~Action() = default;
  };
  Status run_alone(Action* action);

  // No commit is in progress.
  void release_memory() { logged_part_.reset(); }

 private:
  struct Request {
    std::string_view batch;
    uint32_t entries = 0;
    std::optional<Durability> durability;
    CommitCheck* check = nullptr;
    Action* action = nullptr;

    bool goes_alone() const { return action != nullptr || (check != nullptr && check->in_queue()); }
    // The leader's.
    Durability effective = Durability::none;
    bool logged = false;    // some of its keyspaces are
    bool unlogged = false;  // some are not
    bool buffered = false;  // some want the log synced within the loss window
    // Outcome.
    Status status;
    Timestamp timestamp;
    Request* next = nullptr;  // under mutex_, until it is taken out of the queue
    Baton turn;               // passed by a leader: kLeads or kDone
  };
  static constexpr uint8_t kLeads = 0;
  static constexpr uint8_t kDone = 1;
  // What a group brings to one keyspace.
  struct Touched {
    Tree* tree;
    size_t bytes;
    size_t entries;
  };

  Status enqueue(Request* request);
  void lead(Request* first, bool alone);
  // The group that `first` leads, in group_, and its last member. It stays in the queue while it is
  // worked on: whoever comes meanwhile waits behind it. `alone`: nobody else was there a moment
  // ago.
  Request* form_group(Request* first, bool alone);
  // Where groups sync, as the last one did: waits for those whom the last one let go, if they are
  // likely to come back soon. Two threads that commit, each behind the other, would otherwise never
  // share a sync.
  void gather() VARVE_REQUIRES(mutex_);
  Status sync_log();
  void run_group();
  void run_action(Request* request);
  // Resolves keyspaces and sums up sizes; a request that cannot be committed gets its status.
  void examine(Request* request);
  Touched* touch(Tree* tree);
  Memtable* memtable_to_link();
  Status reserve();
  // Takes those out of the group that may not commit, and gives the others their timestamps.
  void check_group(Timestamp first, bool recording);
  Status log_group(Timestamp first, Lsn* start);
  std::string_view logged_part(const Request& request);
  void apply_group(Timestamp first, Lsn start, Lsn end);
  void mark_group();
  void fail_group(const Status& status);
  // Before anything of it was done.
  void refuse_group(const Status& status);

  // A group ends at either; a larger one keeps its members waiting for no gain.
  static constexpr size_t kGroupBytesMax = 1 << 20;
  static constexpr size_t kGroupRequestsMax = 256;
  // How long a group is gathered for, counted from the end of the last sync.
  static constexpr uint64_t kSyncShareToGather = 4;
  static constexpr uint64_t kGatherNanosMin = 10'000;
  static constexpr uint64_t kGatherNanosMax = 2'000'000;
  static constexpr uint32_t kGroupsOfRest = 16;  // after gathering that did not pay
  // Of the buffer for the logged part of a commit, between commits.
  static constexpr size_t kLoggedPartKept = 64 << 10;

  Store* const store_;
  ConflictTable* const conflicts_;
  ChangeWatch* const watch_;
  const CommitChecker checker_;
  Mutex mutex_;
  Request* front_ VARVE_GUARDED_BY(mutex_) = nullptr;
  Request* back_ VARVE_GUARDED_BY(mutex_) = nullptr;
  Atomic<bool> syncs_{false};  // the last group did: whoever waits for one need not spin
  size_t queued_ VARVE_GUARDED_BY(mutex_) = 0;
  size_t gathers_ VARVE_GUARDED_BY(mutex_) = 0;  // tell the leader at so many; 0: it does not wait
  CondVar gathered_;
  // The leader's.
  struct {
    uint64_t nanos = 0;  // that it took
    uint64_t end = 0;    // 0: the last group did not sync
    size_t in_play = 0;  // members of that group, and who waited behind it
  } last_sync_;
  uint32_t rests_ = 0;
  std::vector<Request*> group_;  // those still to be committed
  std::vector<Touched> touched_;
  Buffer logged_part_;
  uint64_t group_bytes_ = 0;
};

}  // namespace varve
