// Group commit: concurrent commits form groups, and every write is a commit.
//
//   commit()  waits in the queue until it is done, or until it is its turn to lead
//   leader    takes the group in front; one clock read, a block of timestamps; checks transactions
//             against earlier commits, those of the group included; one log write; applies the
//             changes; marks the watched ranges that it touched (txn/change_watch.h). Publishes at
//             once if nobody has to wait for the disk, or else leaves the group to be finished;
//             passes the lead; and puts what the memtable holds in order, if much waits for that
//   finisher  of the groups that are applied: waits a little for more; syncs if a member asked for
//             it; publishes; passes the role, if there are more by now; wakes the members
//
// So groups are checked and applied while earlier ones sync, and one sync serves them all. Who
// loses against a commit that is applied, and not published, hears of it at once if it begins again
// from what is applied (Database::transact()), and else, since from what is published it would lose
// again, with its group.
//
// The order is protocol 1's: everything that may wait or fail for want of memory comes before the
// timestamps; publishing comes last.
//
// Invariants:
//  1. One leader at a time; groups take timestamps, log positions and effect in queue order. So
//     version chains are in order, and the published timestamp has no gaps below it.
//  2. One finisher at a time, of all that was applied until then; groups are published in order. A
//     leader publishes only while none is to be finished.
//  3. A commit is acknowledged only when it is as durable as asked and published. A weaker commit
//     that is finished beside a stronger one, or behind it, waits with it.
//  4. A failure after the timestamps were taken leaves them unpublished for ever, and the store
//     read-only: whether those commits are there is known after reopening.
// Rejected: letting members apply their own changes in parallel (as RocksDB's and Pebble's
// pipelines can). It would break the in-order version chains for a gain that one leader makes up by
// batching.
//
// Thread rule: any thread. Memory: steady state allocates nothing.

#pragma once

#include <optional>
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

  // Runs `action` in commit order, alone: every earlier commit is published, or has failed; no
  // later one has begun. It gets a timestamp of its own, which is published when it returns ok.
  // What it changes of watched ranges it marks itself.
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
    bool is_committed() const {
      return status.ok() && (check == nullptr || check->verdict == CommitCheck::Verdict::clear);
    }
    bool begins_again() const {
      return check != nullptr && check->verdict == CommitCheck::Verdict::conflict &&
             check->begins_again;
    }
    // In the queue, under mutex_; then of those that are told together.
    Request* next = nullptr;
    Baton turn;
    // Of the first of a group that is applied.
    struct {
      Timestamp last;
      uint64_t recorded_end = 0;  // of the conflict table
      bool syncs = false;
      Lsn log_end;
      Request* next = nullptr;  // group's first; under mutex_
    } group;
  };
  // What is passed to those who wait.
  static constexpr uint8_t kDone = 0;
  static constexpr uint8_t kLeads = 1;
  static constexpr uint8_t kFinishes = 2;
  // What a group brings to one keyspace.
  struct Touched {
    Tree* tree;
    size_t bytes;
    size_t entries;
  };

  Status enqueue(Request* request);
  // What `first` does next.
  uint8_t lead(Request* first, bool alone);
  // The group that `first` leads, in group_, up to last_. It stays in the queue while it is worked
  // on: whoever comes meanwhile waits behind it. `alone`: nobody else was there a moment ago.
  void form_group(Request* first, bool alone);
  // True: it is applied, or what its members lost against is, and to be finished.
  bool run_group();
  // Takes the group, with those of its members that are not told yet, from the queue to those that
  // are to be finished, and the others to `*losers`. What `first`, who leads, does next, if that is
  // known.
  std::optional<uint8_t> leave_to_finish(Request* first, Request** after, Request** losers);
  void finish(Request* own);
  // Where groups sync, as the last one did: waits for those whom the last one let go, if they are
  // likely to come back soon. Two threads that commit, each behind the other, would otherwise never
  // share a sync.
  void gather() VARVE_REQUIRES(mutex_);
  // Up to `end`, and whatever can be beside.
  Status sync_log(Lsn end);
  void fail_groups(Request* groups);
  void publish(Timestamp last, uint64_t recorded_end);
  // The leader: until there is nothing left to finish.
  void await_finished();
  static void tell(Request* first, const Request* other_than);
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
  // Before anything of it was done. False.
  bool refuse_group(const Status& status);

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
  size_t queued_ VARVE_GUARDED_BY(mutex_) = 0;
  // Groups that are applied, by their first members, in order.
  Request* unfinished_ VARVE_GUARDED_BY(mutex_) = nullptr;
  Request* last_unfinished_ VARVE_GUARDED_BY(mutex_) = nullptr;
  size_t unfinished_members_ VARVE_GUARDED_BY(mutex_) = 0;
  bool is_finishing_ VARVE_GUARDED_BY(mutex_) = false;  // somebody is, or is about to
  // Being finished or not. Changed under mutex_, raised by the leader.
  Atomic<size_t> unfinished_groups_{0};
  CondVar finished_;                                  // there are none
  bool is_awaited_ VARVE_GUARDED_BY(mutex_) = false;  // by the leader
  size_t gathers_ VARVE_GUARDED_BY(mutex_) = 0;       // members; 0: the finisher does not wait
  CondVar gathered_;
  // Members of the last sync, and who had come behind it when it ended.
  size_t in_play_ VARVE_GUARDED_BY(mutex_) = 0;
  Atomic<bool> syncs_{false};  // the last group did: whoever waits for one need not spin
  // The finisher's.
  struct {
    uint64_t nanos = 0;  // that it took
    uint64_t end = 0;
  } last_sync_;
  uint32_t rests_ = 0;
  Status failed_;  // a sync did; the leader looks when there is nothing to be finished
  // The leader's.
  Request* last_ = nullptr;      // of the group
  size_t size_ = 0;              // members, in the queue
  std::vector<Request*> group_;  // those still to be committed
  bool group_syncs_ = false;
  Timestamp last_applied_;
  std::vector<Touched> touched_;
  Buffer logged_part_;
  uint64_t group_bytes_ = 0;
};

}  // namespace varve
