// Owns and wires what a database consists of: memory, cache, log, manifest, keyspaces, background
// work. Transactions and the public interface stand above it.
//
// Data flow:
//   writes   commit leader -> make_room, reserve -> wal() -> apply -> oracle().publish
//   reads    tree(keyspace)->view inside an epoch guard, or view_of() counted
//   change   flush and compaction write sstables and return an edit; install() is the only place
//            that applies one: manifest first, then the published view, then what is obsolete.
//            What transactions spilled is installed alike, by commit_spilled(): lsm/spill.cc
//
// Thread rule: open and close by one thread; commit_* by the commit leader, one at a time;
// everything else by any thread.
// Locks: manifest_mutex_ before mutex_. No file is touched under mutex_.
// Errors: after a failed write or sync of log or manifest failure() is set: the store is read-only
// until it is opened again.

#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/atomic.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "base/spread_counter.h"
#include "base/thread_slot.h"
#include "lsm/block_cache.h"
#include "lsm/compaction_pick.h"
#include "lsm/engine_memory.h"
#include "lsm/file_pool.h"
#include "lsm/manifest.h"
#include "lsm/run_writer.h"
#include "lsm/tree.h"
#include "lsm/wal_reader.h"
#include "lsm/wal_writer.h"
#include "lsm/work_rate.h"
#include "lsm/write_stall.h"
#include "mvcc/snapshot_registry.h"
#include "mvcc/timestamp_oracle.h"
#include "varve/database.h"
#include "varve/executor.h"
#include "varve/logger.h"

namespace varve {

// Options with everything derived and every seam set.
struct StoreOptions {
  Options user;
  std::string directory;
  FileSystem* file_system = nullptr;
  Clock* clock = nullptr;
  Executor* executor = nullptr;
  Logger* logger = nullptr;
  uint64_t memory_budget = 0;
  uint64_t value_size_max = 0;
  uint64_t write_buffer_size = 0;
  std::shared_ptr<EngineMemory> memory;
  uint64_t log_segment_size = 0;
  size_t open_files_max = 0;  // of sstables
};

class Store final : public FileNumberSource, public Sstable::Disposer, public EngineMemory::Member {
 public:
  static Result<std::unique_ptr<Store>> open(const StoreOptions& options);
  ~Store();

  // Stops background work, makes the log complete and gives all memory back. No call is in progress
  // or begins. What logged keyspaces hold in memory is in the log; the others are flushed.
  Status close();

  // -- parts --
  MemoryManager& memory() { return memory_; }
  EpochDomain& epochs() { return epochs_; }
  TimestampOracle& oracle() { return *oracle_; }
  SnapshotRegistry& snapshots() { return *snapshots_; }
  WalWriter& wal() { return *wal_; }
  BlockCache& cache() { return cache_; }
  FileSystem& files() { return pooled_files_; }
  const StoreOptions& options() const { return options_; }

  // -- keyspaces --
  // Null: unknown or dropped.
  Tree* tree(Keyspace keyspace);
  // With a reference; null if the keyspace is dropped.
  ReadView* view_of(Tree* tree);
  Levels* levels_of(Tree* tree);
  std::vector<Tree*> trees();
  // The commit leader's: takes effect at `timestamp`.
  Result<Keyspace> commit_create_keyspace(std::string_view name, const KeyspaceOptions& options,
                                          Timestamp timestamp);
  Status commit_drop_keyspace(Keyspace keyspace, Timestamp timestamp);

  // -- writes --
  // How long a commit has waited, in all its attempts.
  struct CommitWait {
    std::optional<std::chrono::nanoseconds> timeout;
    const Atomic<bool>* cancelled = nullptr;
    uint64_t since = 0;  // nanoseconds of the monotonic clock; 0: not yet
    uint32_t memory_waits = 0;
    bool is_counted = false;  // the admitted commit, in admitted_bytes_
  };
  // Around a commit that will take about `bytes` of memtable: waits while memtables, with what was
  // admitted before, or runs exceed their bounds, and a little on the way there. Errors, and then
  // there is nothing to leave: timed_out; cancelled, which nothing is that need not wait; no_space
  // and others that keep flushes from being done.
  Status admit(uint64_t bytes, CommitWait* waited);
  void leave(uint64_t bytes, const CommitWait& waited);
  // From now on who waits above, or comes, is answered `closed`; returns when the commits that are
  // under way were answered.
  void end_writes();
  // A commit was refused memory (`refused`): waits until a flush that ends after `drains` was read
  // has given some back, or, when no flush would, a moment. Errors: `refused`, after many such
  // times in vain; as admit().
  Status await_memory(const Status& refused, uint64_t drains, CommitWait* waited);
  // The same for a read, which need not end: waits only for a flush that is under way or worth it,
  // about a second in which nothing happens, whatever the clock says. False: none gave memory back.
  bool await_flush(uint64_t drains);
  uint64_t drains() const { return engine_memory_->drains(); }
  // What the layer above does where memory is short, and knows of memory and of transactions.
  class MemoryHelp {
   public:
    virtual void append_pools(std::vector<PoolStatistics>* pools) = 0;
    virtual void add_statistics(Statistics* statistics) = 0;
    // Calls commit_rotate_largest() in commit order.
    virtual Status rotate_largest() = 0;
    // Gives back what waits for reuse, and has cursors that stand still let go of superseded views;
    // false: none of the latter.
    virtual bool give_up_idle_memory() = 0;

   protected:
    ~MemoryHelp() = default;
  };
  // From now on, until close(), this store gives memory back where it, or another that shares the
  // budget, needs it.
  void share_memory(MemoryHelp* help);
  Status commit_rotate_largest();
  // What the commit leader is about to write to is fetched from the last one's core.
  void prefetch_for_commit() const {
    wal_->prefetch();
    oracle_->prefetch();
    prefetch_for_write(&unapplied_from_, &unapplied_from_ + 1);
    prefetch_for_write(&counters_, &counters_.user_bytes + 1);
  }
  // The commit leader's, before a group: begins a new memtable where one is full.
  Status commit_make_room();
  // The commit leader's, when a memtable was refused memory: sees to it that a flush gives some
  // back.
  void commit_shed_memory();
  // Around the logging and applying of a group: what is logged but not yet in a memtable holds the
  // log's start back.
  // Release: pair with log_start_without(), which reads the log's end before.
  void commit_begin_group() { unapplied_from_.store(wal_->end().value, kRelease); }
  void commit_end_group() { unapplied_from_.store(kLsnMax.value, kRelease); }
  // -- what transactions spill: lsm/spill.cc --
  // Writes what `input` yields and `horizon` keeps to sstables that no manifest names. The caller
  // has a reference on each. `undated`: for commit_spilled(); versions come with timestamp 0, one a
  // key. Errors: as of a flush; nothing is left behind.
  Result<std::vector<Sstable*>> write_spilled_run(Keyspace keyspace, VersionCursor* input,
                                                  const GcHorizon& horizon, bool undated);
  // Gives up the references; the files are removed when nobody uses them any more.
  void drop_spilled_run(std::span<Sstable* const> files);
  // One keyspace's: disjoint, in key order.
  struct SpilledRun {
    Keyspace keyspace;
    std::vector<Sstable*> files;
  };
  // Begins new memtables for these keyspaces: the commit leader's; then any thread writes out the
  // old ones.
  Status commit_rotate_for(std::span<const SpilledRun> runs);
  Status flush_for(std::span<const SpilledRun> runs);
  // The commit leader's, alone: all versions of these undated runs, of different keyspaces, are
  // committed at `timestamp`, durably, to be published by the caller. The caller keeps its
  // references. Errors: not_found (a keyspace), those of flushes, io_error as busy: nothing is
  // there. io_error: it is unknown whether all is there, or nothing; the files have to stay.
  Status commit_spilled(std::span<const SpilledRun> runs, Timestamp timestamp);

  // After a group's changes were applied to `tree`.
  void commit_account(Tree* tree);
  // Ensures that `count` timestamps are covered by a durable lease.
  Status commit_ensure_lease(uint64_t count);
  // Durability `buffered`: the log is synced within the loss window.
  void schedule_log_sync();
  // Makes the log durable up to its end as of now. When that fails for good, so does the store.
  Status sync_log();

  Status failure();
  void fail(const Status& status);
  Health health();

  // -- upkeep --
  // Begins new memtables for all keyspaces: the commit leader's; then any thread waits.
  Status commit_rotate_all();
  Status flush_all();
  Status compact_all();
  Status wait_for_background();
  Result<VerifyReport> verify();
  void statistics(Statistics* statistics);
  MemoryReport memory_report();

  FileNumber next_file_number() override;
  void dispose(Sstable* sstable) override;
  EngineMemory::MemtableState memtable_state() override;
  void shed_memory() override;
  bool give_up_idle_memory() override;
  void memory_was_given_back() override;

  // Counters of reads, bumped by the layers above.
  struct ReadCounters {
    SpreadCounter gets;
    SpreadCounter cursors_open;  // opened
    SpreadCounter cursors_closed;
  };
  ReadCounters& read_counters() { return read_counters_; }
  void count_commit_group(uint64_t commits, uint64_t entries, uint64_t user_bytes);

 private:
  explicit Store(const StoreOptions& options);

  // A task that knows its store.
  struct StoreTask : Task {
    Store* store = nullptr;
    void (Store::*work)() = nullptr;
    TaskPriority priority = TaskPriority::upkeep;
    Atomic<bool> queued{false};   // or running; changed under mutex_
    Atomic<bool> waiting{false};  // queued, and its work has not begun; changed under mutex_
    bool again = false;           // asked for while running; under mutex_
    uint64_t again_delay_nanos = 0;
  };

  // Recovery, lsm/recovery.cc.
  struct Recovered;
  Status recover();
  Status claim_directory();
  Status read_directory(Recovered* found);
  Status sync_parent();
  Status open_trees(Recovered* found);
  Status replay_log(Recovered* found);
  Status replay_group(const WalGroup& group, Recovered* found);
  Status make_room_for_replay(Recovered* found);
  Status flush_replayed(Recovered* found);
  Status sync_recovered_log(const Recovered& found);
  Status write_log_again(const Recovered& found);
  Status remove_debris(const Recovered& found, FileNumber manifest);
  Status remove_value_debris(const Recovered& found);
  void remove_unused_files(const Recovered& found);
  void remove_unused(const std::string& name);
  Status trim_log(Recovered* found);
  Status release_log();

  // A keyspace with everything that it needs, and from then on its place among the others.
  Result<std::unique_ptr<Tree>> make_tree(Keyspace keyspace, const std::string& name,
                                          const KeyspaceOptions& options, Levels* levels);
  Tree* add_tree(std::unique_ptr<Tree> tree);
  Memtable* new_memtable(size_t keys_expected);
  void keep_spare_memtable();
  // The memtable that a keyspace will need next is made ready while the one before it fills: to
  // take and clear the memory of its table takes milliseconds, for which all commits would wait.
  struct NextMemtable {
    Keyspace keyspace;         // that it is for
    size_t keys_expected = 0;  // of one that is wanted; 0: none is
    Memtable* memtable = nullptr;
    ReadView* view = nullptr;  // room for the one with it; null as the memtable is
  };
  void want_next_memtable(const Tree* tree);  // the commit leader's: `tree` holds more, or less
  NextMemtable take_next_memtable(const Tree* tree);  // likewise; nothing: there is none for it
  void prepare_next_memtable();
  void drop_next_memtable();
  static void unref(const NextMemtable& next);
  // Returns the old table, for the caller to retire after it let go of mutex_.
  struct TreeTable {
    Retired retired;
    std::vector<Tree*> trees;  // by id; null: unknown

    static void reclaim(Retired* node) { delete reinterpret_cast<TreeTable*>(node); }
  };
  TreeTable* publish_trees() VARVE_REQUIRES(mutex_);
  // Replaces the tree's view; the old one is retired after the caller let go of mutex_.
  ReadView* publish_view(Tree* tree, ReadView* view) VARVE_REQUIRES(mutex_);
  Status rotate(Tree* tree);
  Tree* largest_active();

  // The only place where an edit takes effect: see the head comment.
  struct Change {
    Tree* tree = nullptr;
    LevelsEdit edit;
    std::vector<Levels::Addition> added;
    std::vector<FileNumber> removed;
    std::vector<Memtable*> flushed;  // leave the view
  };
  Status install(Change change);
  Status prepare_for_spilled(std::span<const SpilledRun> runs);
  Status install_spilled(std::span<const SpilledRun> runs, Timestamp timestamp);
  void mark_obsolete(const Levels& levels, std::span<const FileNumber> removed);
  // A lease that covers `count` timestamps more than a lease's length from now.
  Status renew_lease(uint64_t count);
  Status append_to_manifest(const LevelsEdit& edit) VARVE_REQUIRES(manifest_mutex_);
  void update_runs_most() VARVE_REQUIRES(mutex_);
  Status verify_manifest_and_log(VerifyReport* report);
  Lsn log_start_without(const Tree* tree, const std::vector<Memtable*>& flushed);

  // All memtables, empty ones apart.
  uint64_t memtable_bytes() const;
  // Memtables of all that share the budget take too much of it, and one of them is flushed.
  bool others_make_room(uint64_t bytes);
  // The parts of close() and destruction.
  Status flush_before_close();
  Status flush_for_good(Tree* tree, uint64_t until);
  // From now on no other that shares the memory asks this one for any.
  void leave_shared_memory();
  void stop(StoreTask* task);
  void stop_background();
  void release_memory();

  void schedule(StoreTask* task, uint64_t delay_nanos = 0);
  static void run_task(Task* task);
  void flush_work();
  void compaction_work();
  void log_sync_work();
  void lease_work();
  void disposal_work();
  void ahead_work();
  void publish_statistics_work();
  void shed_work();

  // Flushes the tree's immutable memtables; false: there are none.
  Result<bool> flush_tree(Tree* tree);
  // Its part that holds the old view; the bytes that those memtables held.
  Result<uint64_t> write_memtables(Tree* tree);
  // And of that, the part that writes the run and says what it changes; install() comes after it.
  Result<Change> write_sstables(Tree* tree, const std::vector<Memtable*>& flushed, RunId run,
                                bool bottom);
  // Does one compaction of the tree; false: none is due.
  Result<bool> compact_tree(Tree* tree, bool manual);
  bool compaction_due(Tree* tree);
  bool values_are_stale(Tree* tree);
  // `kept`: gives the sstables their blocks; null: has none.
  Result<std::vector<Levels::Addition>> open_outputs(const WrittenRun& run, RunId id,
                                                     WrittenBlocks* kept);
  // Since the tree's last flush there were as many point reads, of any tree, as these memtables
  // have versions. Its flusher's.
  bool has_readers(Tree* tree, const std::vector<Memtable*>& flushed);
  void fill_run_writer_options(Tree* tree, bool bottom, MemoryRole role, RunWriterOptions* options);
  // Logs the failure; true: try again.
  bool background_failed(const char* what, const Status& status);

  // Remembers what keeps the task's work from being done, if anything, and tries again later.
  struct Hindrance {
    Status status;
    uint32_t times = 0;  // in a row

    void set(Status why) {
      times = why.ok() ? 0 : times + 1;
      status = std::move(why);
    }
  };
  void note_outcome(StoreTask* task, Hindrance* of, Status hindrance);

  // Admission, lsm/admission.cc.
  class Wait;
  struct Waiter {
    WaitReason reason = WaitReason::memtables;
    uint64_t since = 0;           // nanoseconds of the monotonic clock
    uint64_t limit = UINT64_MAX;  // nanoseconds that it waits at most
    const Atomic<bool>* cancelled = nullptr;
    Waiter* next = nullptr;
  };
  WriteStall stall_of(uint64_t more_bytes);
  // So little, and so far from where writes wait, that it need not be counted.
  bool is_no_matter(uint64_t bytes);
  WriteStall try_admit(uint64_t bytes);
  Status admit_counted(uint64_t bytes, CommitWait* waited);
  // What a commit pays for work that is behind, and paying it.
  uint64_t pace_of(uint64_t bytes, uint64_t now);
  Status keep_pace(uint64_t bytes, CommitWait* waited);
  // Until something changed, `most_nanos` at most. Errors: why there is nothing to wait for.
  Status wait_for_change(Waiter* waiter, WaitReason reason, const Hindrance& hindrance,
                         uint64_t most_nanos) VARVE_REQUIRES(mutex_);
  void add_waits(std::array<WaitStatistics, kWaitReasonCount>* waits);

  StoreOptions options_;
  std::unique_ptr<Logger> own_logger_;  // the file LOG, when the user gave none
  const std::shared_ptr<EngineMemory> engine_memory_;
  MemoryManager& memory_;
  EpochDomain& epochs_;
  BlockCache cache_;
  FilePool pooled_files_;  // the file system, with sstables that share descriptors
  ValueFiles value_files_;
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<TimestampOracle> oracle_;
  std::unique_ptr<SnapshotRegistry> snapshots_;
  std::unique_ptr<WalWriter> wal_;

  Mutex manifest_mutex_;
  std::unique_ptr<ManifestWriter> manifest_ VARVE_GUARDED_BY(manifest_mutex_);
  ManifestState state_ VARVE_GUARDED_BY(manifest_mutex_);
  ControlCharge state_charge_ VARVE_GUARDED_BY(manifest_mutex_);

  Memtable* nothing_ = nullptr;  // empty: of all dropped keyspaces; the commit leader's

  // What all threads read for each call and what they write lies in different cache lines.
  // Trees by id; replaced whole, the old array is retired.
  alignas(64) Atomic<TreeTable*> tree_table_{nullptr};
  Atomic<bool> failed_{false};
  Atomic<bool> closing_{false};
  Atomic<bool> writes_ended_{false};
  Atomic<size_t> runs_most_{0};

  alignas(64) Mutex mutex_;
  CondVar changed_;  // a flush or compaction ended, room was made, a failure happened
  std::map<uint32_t, std::unique_ptr<Tree>> all_trees_ VARVE_GUARDED_BY(mutex_);
  Status failure_ VARVE_GUARDED_BY(mutex_);
  // Why the last flush, or compaction, will be repeated; ok when it was done.
  Hindrance flush_hindrance_ VARVE_GUARDED_BY(mutex_);
  Hindrance compaction_hindrance_ VARVE_GUARDED_BY(mutex_);
  uint64_t next_file_ VARVE_GUARDED_BY(mutex_) = 1;
  Memtable* spare_ VARVE_GUARDED_BY(mutex_) = nullptr;  // for rotate() when memory is refused
  NextMemtable next_ VARVE_GUARDED_BY(mutex_);
  Waiter* waiters_ VARVE_GUARDED_BY(mutex_) = nullptr;                           // who waits now
  std::array<WaitStatistics, kWaitReasonCount> waits_ VARVE_GUARDED_BY(mutex_);  // that are over
  // The commit leader's, for each group.
  alignas(64) Atomic<uint64_t> unapplied_from_{kLsnMax.value};
  bool next_was_wanted_ = false;  // since the last rotation
  // Changed when a memtable grew, began to be flushed or was; read for each commit.
  alignas(64) EngineMemory::Share active_bytes_;
  EngineMemory::Share immutable_bytes_;
  // Commits, by thread: a line that all threads write would cost more than all the rest of it.
  struct alignas(64) Commits {
    Atomic<uint64_t> under_way{0};
    Atomic<uint64_t> owed_nanos{0};  // not yet in paced_until_
  };
  static constexpr size_t kCommitCells = 16;
  Commits commits_[kCommitCells];
  Commits& own_commits() { return commits_[this_thread_slot() % kCommitCells]; }
  bool commits_are_under_way() const;
  // Of commits under way that matter.
  alignas(64) Atomic<uint64_t> admitted_bytes_{0};
  Atomic<uint32_t> waiting_writers_{0};
  WorkRate flush_rate_;
  WorkRate compaction_rate_;
  Atomic<uint64_t> compaction_bytes_{0};  // of the compaction under way, or the last one
  Atomic<uint64_t> paced_until_{0};       // what commits have paid for, as monotonic time

  Mutex spill_mutex_;  // one run is spilled at a time; before all others

  Mutex disposal_mutex_;
  std::vector<Sstable*> disposed_ VARVE_GUARDED_BY(disposal_mutex_);

  bool clock_jump_logged_ = false;  // lease_work()'s

  StoreTask flush_task_;
  StoreTask compaction_task_;
  StoreTask log_sync_task_;
  StoreTask lease_task_;
  StoreTask disposal_task_;
  StoreTask ahead_task_;
  StoreTask statistics_task_;
  StoreTask shed_task_;
  Atomic<MemoryHelp*> memory_help_{nullptr};
  bool serves() const { return memory_help_.load() != nullptr; }  // it is open, all of it is there

  ReadCounters read_counters_;
  struct WorkCounters {
    Counter commits;
    Counter groups;
    Counter entries;
    Counter user_bytes;
    Counter flushes;
    Counter flush_bytes;
    Counter compactions;
    Counter compaction_bytes_in;
    Counter compaction_bytes_out;
    Counter compaction_entries_in;
    Counter compaction_entries_out;
    Counter spills;
    Counter spill_bytes;
  };
  WorkCounters counters_;
};

// Reads all of an sstable: every checksum, every order, and whether what the file and the manifest
// say of its keys, timestamps and counts is so; adds to `report`. Errors: corruption, io_error.
Status verify_sstable(Sstable* file, MemoryManager* memory, VerifyReport* report);

// The text of the file STATS: {"format_version": kStatsVersion, "feature_flags": 0,
// "time_nanos": .., "statistics": {..}, "memory": {..}}, with the field names of
// varve/statistics.h. New fields do not change the version.
inline constexpr uint32_t kStatsVersion = 1;
std::string encode_statistics_json(const Statistics& statistics, const MemoryReport& memory,
                                   uint64_t now_nanos);

// Whether work that failed with `status` changed nothing and may succeed later, without reopening.
inline bool heals_by_itself(const Status& status) {
  return status.code() == StatusCode::no_space || status.code() == StatusCode::out_of_memory ||
         status.code() == StatusCode::busy;
}

// What `bytes` of a budget mean; 0: a quarter of the machine's memory. invalid_argument: too few.
Result<uint64_t> derive_memory_budget(uint64_t bytes);

// How much of the memory budget each part may use, and every seam's default, from what the user
// gave. invalid_argument: settings that contradict each other.
Result<StoreOptions> derive_store_options(const Options& options, const std::string& directory);

}  // namespace varve
