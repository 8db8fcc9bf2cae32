#include "tests/sim/sim_history.h"

#include "base/assert.h"
#include "base/hash.h"

namespace varve::test {

namespace {

uint64_t rows_hash(const SimRows& rows) {
  uint64_t hash = rows.size();
  for (const auto& [key, value] : rows) hash = mix64((hash ^ key_hash(key)) * 31 + value);
  return hash;
}

std::string difference(const SimState& expected, const SimState& found) {
  std::string text;
  for (const auto& [name, rows] : expected.keyspaces) {
    const auto other = found.keyspaces.find(name);
    if (other == found.keyspaces.end()) {
      text += "  keyspace " + name + " is missing\n";
      continue;
    }
    for (const auto& [key, value] : rows) {
      const auto row = other->second.find(key);
      if (row == other->second.end()) {
        text += "  " + name + ": " + key + " is missing\n";
      } else if (row->second != value) {
        text += "  " + name + ": " + key + " has another value\n";
      }
    }
    for (const auto& [key, value] : other->second) {
      if (!rows.contains(key)) text += "  " + name + ": " + key + " is there\n";
    }
  }
  for (const auto& [name, rows] : found.keyspaces) {
    if (!expected.keyspaces.contains(name)) text += "  keyspace " + name + " is there\n";
  }
  return text.empty() ? "  none\n" : text;
}

}  // namespace

uint64_t value_hash(std::string_view value) { return key_hash(value); }

uint64_t SimState::logged_hash() const {
  uint64_t hash = keyspaces.size();
  for (const auto& [name, rows] : keyspaces) {
    hash = mix64((hash ^ key_hash(name)) * 31 + (name == kUnloggedKeyspace ? 0 : rows_hash(rows)));
  }
  return hash;
}

uint64_t SimState::unlogged_hash() const {
  const auto found = keyspaces.find(kUnloggedKeyspace);
  return found == keyspaces.end() ? 0 : rows_hash(found->second);
}

Result<SimState> read_state(Database* database) {
  SimState state;
  for (const KeyspaceInfo& keyspace : database->keyspaces()) {
    SimRows& rows = state.keyspaces[keyspace.name];
    VARVE_ASSIGN_OR_RETURN(Cursor cursor, database->scan({.keyspace = keyspace.keyspace}));
    for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
      rows[std::string(cursor.key())] = value_hash(cursor.value());
    }
    VARVE_RETURN_IF_ERROR(cursor.status());
    size_t backward = 0;
    for (cursor.seek_to_last(); cursor.valid(); cursor.prev()) {
      const auto row = rows.find(std::string(cursor.key()));
      if (row == rows.end() || row->second != value_hash(cursor.value())) break;
      ++backward;
    }
    VARVE_RETURN_IF_ERROR(cursor.status());
    if (backward != rows.size()) {
      return Status::corruption("disagree: scans of " + keyspace.name);
    }
    std::string value;
    for (const auto& [key, hash] : rows) {
      VARVE_ASSIGN_OR_RETURN(const bool found,
                             database->get(key, &value, {.keyspace = keyspace.keyspace}));
      if (!found || value_hash(value) != hash) {
        return Status::corruption("disagree: get and scan of " + keyspace.name + ": " + key);
      }
    }
  }
  return state;
}

void SimHistory::submit(SimState after) {
  const uint64_t logged = after.logged_hash();
  const uint64_t unlogged = after.unlogged_hash();
  states_.push_back({.state = std::move(after), .logged_hash = logged, .unlogged_hash = unlogged});
}

std::optional<SimHistory::Place> SimHistory::place(const SimState& found,
                                                   const SimPromise& promise) const {
  const uint64_t logged = found.logged_hash();
  const uint64_t unlogged = found.unlogged_hash();
  for (uint64_t p = promise.submitted + 1; p-- > promise.durable;) {
    if (states_[p].logged_hash != logged) continue;
    if (!found.keyspaces.contains(kUnloggedKeyspace)) return Place{.logged = p, .unlogged = p};
    for (uint64_t q = promise.submitted + 1; q-- > promise.unlogged;) {
      if (states_[q].unlogged_hash == unlogged) return Place{.logged = p, .unlogged = q};
    }
  }
  return std::nullopt;
}

std::string SimHistory::describe(const SimState& found, const SimPromise& promise) const {
  return "no commit from " + std::to_string(promise.durable) + " to " +
         std::to_string(promise.submitted) + " (without a log: from " +
         std::to_string(promise.unlogged) + ") left this; differences to the first:\n" +
         difference(states_[promise.durable].state, found) + "to the last:\n" +
         difference(states_[promise.submitted].state, found);
}

SimState SimHistory::merged(const Place& place) const {
  SimState state = states_[place.logged].state;
  const auto unlogged = states_[place.unlogged].state.keyspaces.find(kUnloggedKeyspace);
  const auto own = state.keyspaces.find(kUnloggedKeyspace);
  if (own != state.keyspaces.end() && unlogged != states_[place.unlogged].state.keyspaces.end()) {
    own->second = unlogged->second;
  }
  return state;
}

std::shared_ptr<SimHistory> history_of_creation() {
  auto history = std::make_shared<SimHistory>(SimState{});
  SimState made;
  made.keyspaces["default"];
  history->submit(std::move(made));
  return history;
}

}  // namespace varve::test
