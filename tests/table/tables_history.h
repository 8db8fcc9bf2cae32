// What the tables of a database may hold after a crash: every state that they went through, one a
// commit, and what of them was promised. The oracle of TableCrash.
//
// A commit here is what changes rows, or what the catalog says: a transaction; a table, a column or
// an index that comes or goes. An index that is created makes two: it is there, and it is ready.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/table/table_model.h"

namespace varve::test {

using TablesModel = std::map<std::string, TableModel>;  // by name

// A line for each column, index and row.
std::string to_text(const TablesModel& tables);
// Everything that `tables` answers of itself. Errors: those of reads.
Result<TablesModel> read_tables(Database* database, Tables* tables);

// What belongs to no table and no index of the catalog: nothing, but for what the catalog names as
// left to be erased, and not even that if `all_erased`. Errors: corruption, naming the key; those
// of reads.
Status check_leftovers(Database* database, bool all_erased);

// Numbers of commits, 0 the state at the start.
struct CommitPromise {
  uint64_t durable = 0;    // survives a loss of power
  uint64_t written = 0;    // survives the death of the process
  uint64_t submitted = 0;  // the newest
};

class TablesHistory {
 public:
  explicit TablesHistory(TablesModel start) { submit(std::move(start)); }

  // The next commit, about to be asked for.
  void submit(TablesModel after);
  // What came after `commit` was refused for certain.
  void withdraw_to(uint64_t commit) { states_.resize(commit + 1); }
  uint64_t submitted() const { return states_.size() - 1; }
  const TablesModel& state(uint64_t commit) const { return *states_[commit].tables; }

  // The newest commit, from `promise.durable` on, whose state was found; nothing: there is none.
  std::optional<uint64_t> place(const TablesModel& found, const CommitPromise& promise) const;
  // Why there is none.
  std::string describe(const TablesModel& found, const CommitPromise& promise) const;

 private:
  struct Hashed {
    std::shared_ptr<const TablesModel> tables;
    uint64_t hash = 0;
  };
  std::vector<Hashed> states_;
};

}  // namespace varve::test
