// What a database may hold after a crash: every state that it went through, one a commit, and what
// of them was promised. The oracle of the crash and fault enumerations.
//
// A commit here is anything that changes what readers see: a write, a keyspace made or dropped.
// Logged keyspaces go through these states together; a keyspace without a log goes through them on
// its own, and only what was flushed is promised.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "varve/database.h"

namespace varve::test {

inline constexpr const char* kUnloggedKeyspace = "unlogged";

// Values are kept as hashes; they begin with the number of their commit, for messages.
using SimRows = std::map<std::string, uint64_t>;

struct SimState {
  std::map<std::string, SimRows> keyspaces;  // by name
  uint64_t logged_hash() const;              // of names, and of rows in logged keyspaces
  uint64_t unlogged_hash() const;
};

uint64_t value_hash(std::string_view value);
// Everything that `database` answers: names, forward and backward scans, gets. Errors: the first
// one met; corruption, named "disagree:", if two ways of asking differ.
Result<SimState> read_state(Database* database);

// Numbers of commits, 0 the state at the start.
struct SimPromise {
  uint64_t durable = 0;    // survives a loss of power
  uint64_t written = 0;    // survives the death of the process
  uint64_t unlogged = 0;   // of keyspaces without a log: flushed
  uint64_t submitted = 0;  // the newest
};

class SimHistory {
 public:
  explicit SimHistory(SimState start) { submit(std::move(start)); }

  // The next commit, about to be asked for.
  void submit(SimState after);
  // The newest one was refused for certain.
  void withdraw() { states_.pop_back(); }
  uint64_t submitted() const { return states_.size() - 1; }
  const SimState& state(uint64_t commit) const { return states_[commit].state; }

  struct Place {
    uint64_t logged = 0;
    uint64_t unlogged = 0;
  };
  // The newest commit whose state was found, within what is promised; nothing: no such commit.
  std::optional<Place> place(const SimState& found, const SimPromise& promise) const;
  // Why there is none: the differences to the states at both ends.
  std::string describe(const SimState& found, const SimPromise& promise) const;
  // What follows once `place` was read: nothing of it may be lost any more.
  SimState merged(const Place& place) const;

 private:
  struct Hashed {
    SimState state;
    uint64_t logged_hash;
    uint64_t unlogged_hash;
  };
  std::vector<Hashed> states_;
};

// Of a database that is created: nothing (0), then its default keyspace (1).
std::shared_ptr<SimHistory> history_of_creation();

}  // namespace varve::test
