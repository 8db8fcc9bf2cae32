// What a database must answer: of each keyspace every version ever committed, and how much of that
// a crash may take.
//
// Commits, and creations and drops of keyspaces, are events, counted from 1 in their order. A crash
// leaves of the logged keyspaces what they were after some event, and of each other one what it was
// after some commit of its own (docs/durability.md).

#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fuzz/check.h"
#include "tests/model/model.h"
#include "varve/database.h"

namespace varve::fuzz {

// The timestamp of a version, as it is found: history below the watermark does not record it.
inline bool is_same_time(Timestamp found, Timestamp committed, Timestamp watermark) {
  return found == committed || (found == kTimestampMin && committed <= watermark);
}

struct KeyspaceModel {
  static constexpr uint64_t kNever = UINT64_MAX;

  Keyspace id;
  std::string name;
  KeyspaceOptions options;
  bool logged = true;
  uint64_t retention_nanos = 0;  // the least since it was created: what is forgotten stays so
  uint64_t created = 0;          // events
  uint64_t dropped = kNever;
  Timestamp promised;  // not logged: a crash takes nothing up to it
  test::ModelKeyspace rows;

  bool exists_after(uint64_t event) const { return created <= event && event < dropped; }
};

struct FoundKeyspace {
  Keyspace id;
  Timestamp watermark;
  std::vector<test::ModelRow> rows;
};
using FoundState = std::map<std::string, FoundKeyspace>;

// All rows of all keyspaces as of now; the first error that a walk meets.
inline Result<FoundState> read_state(Database* database) {
  FoundState state;
  for (const KeyspaceStatistics& statistics : database->statistics().keyspaces) {
    FoundKeyspace& found = state[statistics.name];
    found.id = statistics.keyspace;
    found.watermark = statistics.watermark;
    Result<Cursor> cursor = database->scan({.keyspace = found.id});
    if (!cursor.ok()) return cursor.status();
    for (cursor->seek_to_first(); cursor->valid(); cursor->next()) {
      found.rows.push_back(
          {std::string(cursor->key()), std::string(cursor->value()), cursor->timestamp()});
    }
    if (!cursor->status().ok()) return cursor->status();
  }
  return state;
}

class DatabaseModel {
 public:
  struct Change {
    size_t keyspace;  // index
    std::string key;
    std::optional<std::string> value;  // nothing: erased
  };

  // Before the first opening. `options`: as the database is opened.
  explicit DatabaseModel(const Options& options) {
    keyspaces_.push_back({.id = kDefaultKeyspace, .name = "default"});
    opened(options);
  }

  uint64_t events() const { return times_.size(); }
  Timestamp last_time() const { return time_of(events()); }
  Timestamp time_of(uint64_t event) const { return event == 0 ? Timestamp{} : times_[event - 1]; }
  // Indexes of those that exist now, in the order of their ids.
  std::vector<size_t> living() const {
    std::vector<size_t> living;
    for (size_t i = 0; i < keyspaces_.size(); ++i) {
      if (keyspaces_[i].exists_after(events())) living.push_back(i);
    }
    return living;
  }
  KeyspaceModel& keyspace(size_t i) { return keyspaces_[i]; }

  // -- events; without a timestamp: the call failed, so that nobody knows whether it took place --
  void commit(const std::vector<Change>& changes, std::optional<Timestamp> committed) {
    const Timestamp time = add_event(committed);
    std::set<std::pair<size_t, std::string>> changed;
    // The last change of a key is the one that counts.
    for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
      if (!changed.emplace(change->keyspace, change->key).second) continue;
      test::ModelKeyspace& rows = keyspaces_[change->keyspace].rows;
      if (change->value) {
        rows.put(change->key, time, *change->value);
      } else {
        rows.erase(change->key, time);
      }
    }
  }
  void create(const std::string& name, const KeyspaceOptions& options, const Options& database,
              std::optional<Timestamp> committed, Keyspace id) {
    add_event(committed);
    keyspaces_.push_back({.id = id, .name = name, .options = options, .created = events()});
    keyspaces_.back().retention_nanos = UINT64_MAX;
    derive(&keyspaces_.back(), database);
  }
  void drop(size_t keyspace, std::optional<Timestamp> committed) {
    add_event(committed);
    keyspaces_[keyspace].dropped = events();
  }

  // -- what happens below --
  // Whether a keyspace is logged, and what it retains, may follow from the database's options.
  void opened(const Options& options) {
    for (KeyspaceModel& keyspace : keyspaces_) derive(&keyspace, options);
  }
  // Keyspaces without a log: all that is there now outlives a crash.
  void flushed() {
    for (KeyspaceModel& keyspace : keyspaces_) keyspace.promised = last_time();
  }

  // After which event, `least` or later, the logged keyspaces were as they are found; the last one
  // if several are, except that what failed and changed nothing did not take place: its timestamp
  // may be given again.
  std::optional<uint64_t> find_event(const FoundState& found, uint64_t least) const {
    for (uint64_t event = events() + 1; event-- > least;) {
      if (!is_after(event, found)) continue;
      while (event > least && guessed_.contains(time_of(event)) && is_after(event - 1, found)) {
        --event;
      }
      return event;
    }
    return std::nullopt;
  }
  // Forgets what a crash took, and promises the rest: what is there after an opening stays.
  // Requires find_event() to have given `event`. False: some keyspace without a log is not as it
  // was after any commit that it may have been left at.
  bool forget_after(uint64_t event, const FoundState& found) {
    std::erase_if(keyspaces_,
                  [event](const KeyspaceModel& keyspace) { return keyspace.created > event; });
    for (KeyspaceModel& keyspace : keyspaces_) {
      if (keyspace.dropped > event) keyspace.dropped = KeyspaceModel::kNever;
      if (!keyspace.exists_after(event)) continue;
      const FoundKeyspace& there = found.at(keyspace.name);
      keyspace.id = there.id;
      Timestamp left = time_of(event);
      if (!keyspace.logged) {
        const std::optional<Timestamp> own = find_time(keyspace, there);
        if (!own) return false;
        left = *own;
      }
      keyspace.rows.lose_after(left);
    }
    for (KeyspaceModel& keyspace : keyspaces_) keyspace.promised = last_time();
    times_.resize(event);
    return true;
  }

 private:
  // One that was not acknowledged has no timestamp that anybody knows, and perhaps none at all.
  Timestamp add_event(std::optional<Timestamp> committed) {
    const Timestamp newest = std::max(newest_time_, last_time());
    const Timestamp time = committed ? *committed : Timestamp{newest.nanos + 1};
    FUZZ_CHECK_SAYING(time > newest, "timestamps do not rise");
    if (committed) {
      newest_time_ = time;
    } else {
      guessed_.insert(time);
    }
    times_.push_back(time);
    return time;
  }

  static void derive(KeyspaceModel* keyspace, const Options& options) {
    keyspace->logged =
        keyspace->options.durability.value_or(options.durability) != Durability::none;
    const auto retention = keyspace->options.history_retention.value_or(options.history_retention);
    keyspace->retention_nanos =
        std::min(keyspace->retention_nanos, static_cast<uint64_t>(retention.count()));
  }

  bool is_same(const std::vector<test::ModelRow>& rows, const FoundKeyspace& found) const {
    return std::equal(rows.begin(), rows.end(), found.rows.begin(), found.rows.end(),
                      [&](const test::ModelRow& row, const test::ModelRow& there) {
                        return row.key == there.key && row.value == there.value &&
                               (is_same_time(there.timestamp, row.timestamp, found.watermark) ||
                                guessed_.contains(row.timestamp));
                      });
  }

  bool is_after(uint64_t event, const FoundState& found) const {
    size_t existing = 0;
    for (const KeyspaceModel& keyspace : keyspaces_) {
      if (!keyspace.exists_after(event)) continue;
      ++existing;
      const auto there = found.find(keyspace.name);
      if (there == found.end()) return false;
      if (keyspace.logged && !is_same(keyspace.rows.scan("", "", time_of(event)), there->second)) {
        return false;
      }
    }
    return existing == found.size();
  }

  std::optional<Timestamp> find_time(const KeyspaceModel& keyspace,
                                     const FoundKeyspace& found) const {
    std::set<Timestamp, std::greater<>> times{keyspace.promised};
    for (const auto& [key, versions] : keyspace.rows.versions()) {
      for (const test::ModelVersion& version : versions) {
        if (version.timestamp > keyspace.promised) times.insert(version.timestamp);
      }
    }
    for (const Timestamp time : times) {
      if (is_same(keyspace.rows.scan("", "", time), found)) return time;
    }
    return std::nullopt;
  }

  std::vector<KeyspaceModel> keyspaces_;
  std::vector<Timestamp> times_;  // of events
  Timestamp newest_time_;         // of any acknowledged event, lost ones included
  std::set<Timestamp> guessed_;   // of events that were not acknowledged
};

}  // namespace varve::fuzz
