// A random history against a model that keeps every version: whatever the engine does below (flush,
// compaction, eviction, reopening, a killed process, a loss of power), it must answer as the model
// does, and each way to ask must give the same answer. The first wrong answer fails the test that
// runs it, and ends the history.
//
// Thread rule: one thread; the engine's own, if the preset has some.

#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "base/manual_executor.h"
#include "base/random.h"
#include "tests/model/model.h"
#include "tests/model/model_presets.h"
#include "tests/support/sim_file_system.h"
#include "varve/varve.h"

namespace varve::test {

// A row that every batch writes in each keyspace that it touches: its number. It tells after a
// crash how much of what was not promised is there.
inline const std::string kMarkerKey = "\x01marker";

struct ModelledKeyspace {
  Keyspace id;
  std::string name;
  bool logged = true;
  uint64_t retention_nanos = 0;
  ModelKeyspace model;
  // What the database may have forgotten (statistics): below it only open snapshots hold.
  Timestamp watermark;
};

struct HeldSnapshot {
  Snapshot snapshot;
  Timestamp time;
};

struct HeldCursor {
  Cursor cursor;
  size_t keyspace;
  Timestamp time;
  bool positioned = false;
  std::optional<Snapshot> snapshot;  // which it reads through, if any
};

struct HeldValue {
  PinnedValue pinned;
  std::string expected;
};

class History {
 public:
  History(const Preset& preset, uint64_t seed)
      : preset_(preset), random_(seed), disk_(std::make_unique<SimFileSystem>(random_.next())) {}

  void run(uint64_t operations);

 private:
  // -- opening and closing --

  Options options() const;
  void open();
  void add_keyspace(const char* name, Keyspace id, const KeyspaceOptions& options);
  void create_keyspace(const char* name, const KeyspaceOptions& options);
  void release_all();
  void reopen_cleanly();

  // The process is killed: what was handed to the operating system stays, what was only in memory
  // is gone.
  void reopen_after_kill();

  // The machine loses power: what was synced stays, and of the rest anything may.
  void reopen_after_power_cut();

  // Of logged keyspaces a prefix of all commits, `promised` of them at least; of each other one a
  // prefix of its own.
  void find_out_what_is_left(uint64_t promised);

  // Of a commit without a marker: values are unique.
  bool is_there(uint64_t commit);
  uint64_t marker_in(const ModelledKeyspace& keyspace);
  Timestamp time_of(uint64_t commit) const {
    return commit == 0 ? kTimestampMin : commits_[commit - 1];
  }
  void commits_after_crash();

  // -- one operation --

  void step();
  void upkeep();
  ptrdiff_t pick(size_t count) { return static_cast<ptrdiff_t>(random_.below(count)); }
  size_t pick_keyspace() { return random_.below(keyspaces_.size()); }
  std::string random_key();
  std::string random_value();

  // -- writes --

  // Runs `commit` until it is not refused for want of room, which only background steps make.
  template <typename Commit>
  void commit(Commit commit, WriteOptions options);
  void write_batch();
  void add_to(WriteBatch* batch, size_t keyspace, const std::string& key,
              const std::optional<std::string>& value);

  // Through put() and erase(). They leave no marker: a put is known by its value, which is unique,
  // and an erasure is synced.
  void write_one();

  // -- reads --

  // A point in time to read at, and the snapshot for it; null: now.
  struct ReadPoint {
    const Snapshot* snapshot = nullptr;
    Timestamp time = kTimestampMax;
  };
  ReadPoint random_point();
  // False: the keyspace has forgotten what `point` wants to see, and may.
  bool readable(ModelledKeyspace& keyspace, const ReadPoint& point, const Status& status);

  // A version's timestamp is the model's, or collapsed when no reader can tell.
  void expect_timestamp(ModelledKeyspace& keyspace, Timestamp found, Timestamp expected);
  void check_get();
  void check_multi_get();

  struct Range {
    std::string lower;
    std::string upper;
    std::string prefix;
  };
  Range random_range();
  static std::vector<ModelRow> expected_rows(const ModelledKeyspace& keyspace, const Range& range,
                                             Timestamp time);
  Result<Cursor> scan(const ModelledKeyspace& keyspace, const Range& range, const ReadPoint& point);
  void check_rows(ModelledKeyspace& keyspace, const Range& range, const ReadPoint& point);
  void check_scan() { check_rows(keyspaces_[pick_keyspace()], random_range(), random_point()); }

  // Seeks to random places, then a few steps to and fro.
  void check_seeks();
  void check_everything();
  void check_history();

  // -- what is held for a while --

  void take_snapshot();
  void take_snapshot_of_the_past();
  void look_at_watermarks();
  void check_statistics();
  void open_cursor();

  // A cursor that is held while the database changes under it sees what it saw at first.
  void walk_cursor();

  // A pinned value stays what it was, whatever happens to the files and memtables below.
  void hold_value();

  const Preset& preset_;
  Random random_;
  std::unique_ptr<SimFileSystem> disk_;
  std::unique_ptr<FileSystem> files_;  // KillableFiles before the disk
  ManualClock clock_;
  std::unique_ptr<ManualExecutor> executor_;
  std::unique_ptr<Database> database_;
  bool database_opened_ = false;
  std::vector<ModelledKeyspace> keyspaces_;
  std::vector<Timestamp> commits_;  // of all commits, lost ones included
  Timestamp floor_;                 // newest time that snapshot_at() answered
  uint64_t last_written_ = 0;       // the newest commit that outlives the process
  uint64_t last_synced_ = 0;        // the newest commit that outlives a loss of power
  struct Single {
    size_t keyspace;
    std::string key;
    std::string value;
  };
  std::map<uint64_t, Single> singles_;  // commits without a marker, by number
  std::deque<HeldSnapshot> snapshots_;
  std::deque<HeldCursor> cursors_;
  std::deque<HeldValue> values_;
  uint64_t operation_ = 0;
};

}  // namespace varve::test
