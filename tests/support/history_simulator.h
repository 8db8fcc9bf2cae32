// A small multi-version store that runs random transactions of several sessions side by side and
// records what they did: histories that are right by construction, and, with a bug planted, wrong
// ones. It shares no code with the checker.
//
// Snapshot isolation: reads at the snapshot, the first committer wins. Serializable: besides, what
// was read, ranges included, must be unchanged at the commit (H. Kung and J. Robinson, On
// Optimistic Methods for Concurrency Control, 1981). So the commit order is the serial order.
//
// Thread rule: one thread.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "varve/history.h"

namespace varve::test {

enum class PlantedBug : uint8_t {
  none,
  read_too_old,           // a read gives the version before the right one
  read_newest,            // a read gives the newest version, whatever the snapshot
  drop_version,           // a commit's version of one key is not there
  lose_tombstone,         // an erase does nothing
  half_visible,           // one key of a commit gets a later timestamp than the others
  forget_scanned_key,     // a scan leaves out a row
  invent_scanned_key,     // a scan shows a row that was erased
  keep_aborted_writes,    // an aborted transaction's writes stay
  show_intermediate,      // a read gives a value that its writer wrote over
  mix_up_values,          // a read gives the value of another version
  forget_own_write,       // a read does not see the transaction's own write
  old_snapshot,           // a transaction begins with a snapshot from before the newest commit
  reuse_timestamp,        // a commit gets the timestamp of the one before
  skip_conflict_check,    // the first committer does not win
  skip_validation,        // serializable transactions are not validated
  skip_range_validation,  // they are, but for their scans
  swap_reads,             // what two reads met is exchanged
};
inline constexpr int kPlantedBugs = 18;

struct SimulatorOptions {
  int keys = 12;
  int sessions = 5;
  int transactions = 200;
  int operations_max = 6;  // of a transaction
  double serializable = 0.5;
  double scans = 0.15;  // of the operations
  double writes = 0.4;  // of the operations, erases included
  double erases = 0.3;  // of the writes
  double unknown = 0.05;
  double batches = 0.05;  // transactions without a snapshot
  bool record_values = true;
  PlantedBug bug = PlantedBug::none;
  double bug_rate = 0.1;  // of the occasions
};

class HistorySimulator {
 public:
  HistorySimulator(const SimulatorOptions& options, uint64_t seed);

  std::vector<TransactionRecord> run();
  // How often the bug made a difference to what was recorded or committed.
  int bites() const { return bites_; }

 private:
  struct Version {
    uint64_t timestamp;
    std::optional<std::string> value;         // none: erased
    std::optional<std::string> intermediate;  // written before, by the same transaction
    bool collapsed = false;                   // is shown with timestamp 0
  };
  struct Running {
    bool active = false;
    bool batch = false;
    int operations_left = 0;
    TransactionRecord record;
    std::map<std::string, Version> writes;
  };

  uint64_t tick() { return time_ += 1 + random_.below(5); }
  bool chance(double p) { return random_.unit() < p; }
  bool bug(PlantedBug wanted) { return options_.bug == wanted && chance(options_.bug_rate); }
  std::string random_key() {
    return key(static_cast<int>(random_.below(static_cast<uint64_t>(options_.keys))));
  }
  static std::string key(int number);
  std::string new_value() { return "v" + std::to_string(++values_); }

  void load();
  void begin(Running* running);
  void step(Running* running);
  void read(Running* running);
  void scan(Running* running);
  void write(Running* running);
  void finish(Running* running);
  bool conflicts(const Running& running) const;
  bool outdated(const Running& running, bool ranges) const;
  bool changed_between(const std::string& key, uint64_t after, uint64_t before) const;
  void apply(const Running& running, uint64_t timestamp);
  const Version* visible(const std::string& key, uint64_t snapshot) const;
  std::optional<std::string> shown_value(const std::optional<std::string>& value) const;
  void swap_reads(TransactionRecord* record);

  const SimulatorOptions options_;
  Random random_;
  std::map<std::string, std::vector<Version>> store_;
  std::vector<Running> sessions_;
  std::vector<TransactionRecord> records_;
  uint64_t time_ = 1000;    // commit timestamps
  uint64_t nanos_ = 1;      // real time
  uint64_t published_ = 0;  // the newest commit that everybody sees
  uint64_t previous_published_ = 0;
  uint64_t loaded_ = 0;  // the same when the first transaction began
  uint64_t ids_ = 0;
  uint64_t values_ = 0;
  int begun_ = 0;
  int bites_ = 0;
};

}  // namespace varve::test
