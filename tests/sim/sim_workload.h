// A random history of one database on simulated files: writes of every durability across keyspaces,
// transactions that spill, flushes, compactions, background steps, keyspaces made and dropped,
// clean and unclean reopening. The same seed on the same files makes the same file calls.
//
// Every answer is held against SimHistory. Errors of calls are allowed where `may_fail`: then what
// the interface says of them is checked, and a commit counts as refused, or as indeterminate.
//
// Thread rule: one thread. Failures are GoogleTest failures.

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/manual_clock.h"
#include "base/manual_executor.h"
#include "base/random.h"
#include "tests/sim/sim_history.h"
#include "tests/support/sim_file_system.h"
#include "varve/varve.h"

namespace varve::test {

inline constexpr const char* kSimDirectory = "/db";

class SimWorkload {
 public:
  struct Settings {
    size_t value_size_max = 400;
    uint64_t keys = 40;        // different ones in each keyspace
    uint64_t sync_one_in = 4;  // writes that ask for `sync`
    bool reopens = true;       // now and then
    bool may_fail = false;     // the files below do
    // Reads lie: what nothing attests of the log may be lost with an unclean end, and of the
    // manifest always; without edits, the state may be that of no commit.
    bool may_lose_end = false;
    bool may_lose_edits = false;
    bool logs_to_file = false;  // LOG, as a database without a logger of its own has it
  };
  // `history` ends with the state that is there; `promise` says what of it must stay.
  SimWorkload(FileSystem* files, std::shared_ptr<SimHistory> history, const SimPromise& promise,
              uint64_t seed, const Settings& settings);
  ~SimWorkload();

  // Opens; the keyspaces are those that are there. After an end that was not clean, what is there
  // is held against the promise, and the history goes on from it.
  Status open();
  // Ends the database in whatever state its files allow.
  void let_go();
  Status close();
  // One operation.
  void step();
  void steps(uint64_t count);
  // Makes the unlogged keyspace and two others; of a fresh database.
  void make_keyspaces();
  // Everything that can be read is what was committed, or an error where that is allowed.
  void check_reads();
  // Waits for what is due, checks that commits go on, and that all is there.
  void expect_writable();
  // Until it is opened again, every write must fail.
  void expect_refusals() { read_only_ = true; }
  // A new history begins: what was read is all there is.
  void start_over(std::shared_ptr<SimHistory> history, const SimPromise& promise);

  Database* database() { return database_.get(); }
  const std::shared_ptr<SimHistory>& history() const { return history_; }
  const SimPromise& promise() const { return promise_; }
  // Of the newest commit that readers see.
  uint64_t visible() const { return visible_; }
  bool read_only() const { return read_only_; }
  // Openings that found less than was promised, where that is allowed.
  uint64_t ends_lost() const { return ends_lost_; }

 private:
  Status adopt();
  enum class Outcome : uint8_t { done, refused, unknown };
  Outcome outcome_of(const Status& status, bool write) const;
  // `durability` as promised for logged keyspaces; unset: everything is durable, or fails.
  void settle(const Status& status, bool write, std::optional<Durability> durability,
              bool logged = true);
  void allow(const Status& status, const char* what);
  Durability pick_durability();
  std::string pick_key();
  std::string pick_value();
  Keyspace keyspace(const std::string& name) { return ids_.at(name); }
  std::string pick_keyspace();

  // The commit that is about to be asked for.
  void submit(SimState after);
  void withdraw();
  void write_one();
  void write_batch();
  // Most of what it writes goes to disk before it commits.
  void write_transaction();
  void create_keyspace(const std::string& name);
  void drop_keyspace();
  void flush();
  void compact();
  void background();
  void reopen();

  class Quiet;

  FileSystem* const files_;
  std::shared_ptr<SimHistory> history_;
  SimPromise promise_;
  Random random_;
  const Settings settings_;
  std::unique_ptr<Quiet> logger_;
  ManualClock clock_;
  ManualExecutor executor_;
  std::unique_ptr<Database> database_;
  std::map<std::string, Keyspace> ids_;
  uint64_t visible_ = 0;
  uint64_t buffered_ = 0;  // the newest commit that waits for a background sync
  uint64_t number_ = 0;    // of values
  uint64_t ends_lost_ = 0;
  bool read_only_ = false;
  bool clean_ = true;  // the last end
};

}  // namespace varve::test
