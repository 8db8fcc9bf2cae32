// A random history of the tables of one database on simulated files: rows in transactions over
// several tables, columns, indexes and tables that come and go, builds and drops that are broken
// off, flushes, compactions, reopening. The same seed on the same files makes the same file calls.
//
// Every answer is held against TablesHistory. Errors of calls are allowed where `may_fail`.
//
// Thread rule: one thread. Failures are GoogleTest failures.

#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/manual_clock.h"
#include "base/manual_executor.h"
#include "base/random.h"
#include "tests/support/hooked_files.h"
#include "tests/table/table_choices.h"
#include "tests/table/tables_history.h"
#include "varve/varve.h"

namespace varve::test {

inline constexpr const char* kTablesDirectory = "/db";

class TablesWorkload {
 public:
  struct Settings {
    bool may_fail = false;  // the files below do
  };
  // `history` ends with the newest state that may be there; `promise` says what of it must.
  TablesWorkload(FileSystem* files, std::shared_ptr<TablesHistory> history,
                 const CommitPromise& promise, uint64_t seed, const Settings& settings);
  ~TablesWorkload();

  // The database and its tables.
  Status open();
  // Holds what is there against the history, rows against indexes, and all keys against the
  // catalog; goes on from there with a new history. The commit that it is; nothing: a failure was
  // reported.
  std::optional<uint64_t> adopt();
  Status close();
  // Ends the database in whatever state its files allow.
  void let_go();

  // Two tables, one of them with so many rows that a build takes several transactions.
  void fill();
  // One operation.
  void step();
  // Ends the builds that were broken off, and has all erased that was dropped: nothing is left.
  void finish();
  // Everything is what was committed.
  void check();

  const std::shared_ptr<TablesHistory>& history() const { return history_; }
  const CommitPromise& promise() const { return promise_; }
  // An index is there that is not ready.
  bool is_building() const;
  // A call failed so that only reopening tells what is there.
  bool broken() const { return broken_; }
  Database* database() { return database_.get(); }

 private:
  class Quiet;
  enum class Answer : uint8_t { done, refused, failed };

  // -- what statuses mean --
  const TablesModel& now() const { return history_->state(visible_); }
  void submit(TablesModel after);
  // After the newest commit was answered.
  void settle(const Status& status, Durability durability);
  void settle_all_durable(const Status& status);
  // Whether a change of rows was made that `fits`, or, if another row may have its key by now,
  // perhaps.
  Answer answer(const Status& status, bool fits, bool perhaps);
  void fail(const Status& status);
  // After a failure: what is there now, of what the call may have left, if it can be known.
  void go_on();

  // -- choices --
  Durability pick_durability();
  std::string pick_table();

  // -- operations --
  void write_rows();
  Answer change_rows(const std::string& name, Transaction* transaction, TableModel* model);
  Answer change_row(TableRows* rows, TableModel* model);
  Answer write_several(TableRows* rows, TableModel* model);
  void commit(Transaction* transaction, TablesModel after, Durability durability);
  void add_column();
  void drop_column();
  void create_index(const std::string& table, const std::string& name, const ModelIndex& index);
  void create_some_index();
  void end_build();
  void drop_index(const std::string& table, const std::string& name);
  void create_table(const std::string& name, uint64_t rows);
  void drop_table(const std::string& name);
  void flush_or_compact();
  void reopen();
  void check_index(const std::string& table);

  HookedFiles files_;
  uint64_t refuse_in_ = 0;  // writes of the log: then one is refused
  bool refused_ = false;
  std::shared_ptr<TablesHistory> history_;
  CommitPromise promise_;
  Random random_;
  TableChoices choices_{&random_};
  const Settings settings_;
  std::unique_ptr<Quiet> logger_;
  ManualClock clock_;
  ManualExecutor executor_;
  Durability durability_ = Durability::sync;  // of what does not ask for another one
  std::unique_ptr<Database> database_;
  std::unique_ptr<Tables> tables_;
  uint64_t visible_ = 0;  // the newest commit that readers see
  std::optional<StatusCode> failure_;
  bool broken_ = false;
};

}  // namespace varve::test
