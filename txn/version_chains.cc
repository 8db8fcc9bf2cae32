#include "txn/version_chains.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace varve {

namespace {

using Kind = OperationRecord::Kind;

// How far back met() looks for what a wrong read can have met; a right one meets the newest at
// once. Bounds the time that a history full of wrong reads of one key takes.
constexpr int kStepsBackMax = 1000;

bool values_differ(uint32_t one, uint32_t other) {
  return one != kNone && other != kNone && one != other;
}

bool values_equal(uint32_t one, uint32_t other) { return one != kNone && one == other; }

}  // namespace

VersionChains::VersionChains(const CompactHistory& history)
    : history_(history),
      committed_(history.transactions().size()),
      commits_(history.transactions().size()),
      last_writer_(history.keys().size()) {
  const auto& transactions = history.transactions();
  for (uint32_t position = 0; position < transactions.size(); ++position) {
    if (transactions[position].outcome != RecordedOutcome::committed) continue;
    committed_[position] = true;
    commits_[position] = transactions[position].commit;
    add_writes_of(position);
  }
  add_uncommitted_writes();
  order();
  add_unmatched();
  add_collapsed_unknown();
  add_collapsed();
  settle_ties();
  mark_effective();
}

// The last write of each key.
void VersionChains::add_writes_of(uint32_t position) {
  const CompactTransaction& transaction = history_.transactions()[position];
  if (!transaction.writes) return;
  const auto operations = history_.operations(transaction);
  for (const CompactOperation& operation : operations) {
    if (operation.kind != Kind::scan) last_writer_[operation.key] = 0;
  }
  for (auto operation = operations.rbegin(); operation != operations.rend(); ++operation) {
    if (operation->kind != Kind::write && operation->kind != Kind::erase) continue;
    if (std::exchange(last_writer_[operation->key], position + 1) == position + 1) continue;
    const bool erased = operation->kind == Kind::erase;
    if (committed_[position]) {
      versions_.push_back({.timestamp = commits_[position],
                           .key = operation->key,
                           .writer = position,
                           .value = operation->value,
                           .erased = erased,
                           .effective = true,
                           .collapsed = false});
    } else {
      uncommitted_.push_back(
          {.key = operation->key, .writer = position, .value = operation->value, .erased = erased});
    }
  }
}

void VersionChains::add_uncommitted_writes() {
  for (uint32_t position = 0; position < committed_.size(); ++position) {
    if (!committed_[position]) add_writes_of(position);
  }
  std::ranges::stable_sort(uncommitted_, {}, &UncommittedWrite::key);
}

std::pair<const UncommittedWrite*, const UncommittedWrite*> VersionChains::uncommitted(
    uint32_t key) const {
  // Not equal_range, whose subrange clang 14 does not compile with this standard library.
  const auto first = std::ranges::lower_bound(uncommitted_, key, {}, &UncommittedWrite::key);
  const auto last = std::ranges::upper_bound(uncommitted_, key, {}, &UncommittedWrite::key);
  const UncommittedWrite* const data = uncommitted_.data();
  return {data + (first - uncommitted_.begin()), data + (last - uncommitted_.begin())};
}

void VersionChains::order() {
  std::sort(versions_.begin(), versions_.end(), [](const ChainVersion& a, const ChainVersion& b) {
    return std::tie(a.key, a.timestamp, a.writer) < std::tie(b.key, b.timestamp, b.writer);
  });
  begins_.assign(history_.keys().size() + 1, 0);
  for (const ChainVersion& version : versions_) ++begins_[version.key + 1];
  for (size_t key = 1; key < begins_.size(); ++key) begins_[key] += begins_[key - 1];
}

// Makes a transaction of unknown outcome a committed one if it alone can have written what was
// read. True: somebody of unknown outcome wrote it, though perhaps nobody knows who.
bool VersionChains::resolve_unknown(const Observation& observation, bool by_time_alone) {
  const UncommittedWrite* found = nullptr;
  size_t candidates = 0;
  const auto [begin, end] = uncommitted(observation.key);
  for (const UncommittedWrite* write = begin; write != end; ++write) {
    const CompactTransaction& writer = history_.transactions()[write->writer];
    if (writer.outcome != RecordedOutcome::unknown || write->erased) continue;
    if (values_differ(write->value, observation.value)) continue;
    if (committed_[write->writer]) {
      if (commits_[write->writer] == observation.version) return true;
      continue;
    }
    const bool fits = writer.has_commit ? writer.commit == observation.version
                                        : writer.snapshot < observation.version && !by_time_alone;
    if (!fits) continue;
    if (writer.has_commit) candidates = 0;  // its own timestamp says more than any value
    found = write;
    ++candidates;
    if (writer.has_commit) break;
  }
  if (candidates == 1) {
    committed_[found->writer] = true;
    commits_[found->writer] = observation.version;
  }
  return candidates != 0;
}

// Versions that were read and that no committed transaction wrote, each once; in order, so that one
// with a value comes before the same without.
std::vector<Observation> VersionChains::unmatched() const {
  std::vector<Observation> found;
  for_each_observation([&](const Observation& observation, uint32_t) {
    if (!observation.found || observation.version == 0) return;
    if (exact(observation.key, observation.version) == kNone) found.push_back(observation);
  });
  const auto fields = [](const Observation& observation) {
    return std::tie(observation.key, observation.version, observation.value);
  };
  std::sort(found.begin(), found.end(),
            [&](const Observation& a, const Observation& b) { return fields(a) < fields(b); });
  found.erase(std::unique(found.begin(), found.end(),
                          [&](const Observation& a, const Observation& b) {
                            return fields(a) == fields(b);
                          }),
              found.end());
  return found;
}

uint64_t VersionChains::first_commit() const {
  uint64_t first = UINT64_MAX;
  for (uint32_t position = 0; position < committed_.size(); ++position) {
    if (committed_[position] && history_.transactions()[position].writes) {
      first = std::min(first, commits_[position]);
    }
  }
  return first;
}

// Adds those that it does not hold, without a writer.
void VersionChains::add_unwritten(const std::vector<Observation>& observations) {
  const Observation* previous = nullptr;
  const size_t ordered = versions_.size();
  for (const Observation& observation : observations) {
    const bool repeated = previous != nullptr && previous->key == observation.key &&
                          previous->version == observation.version;
    previous = &observation;
    if (repeated || exact(observation.key, observation.version) != kNone) continue;
    versions_.push_back({.timestamp = observation.version,
                         .key = observation.key,
                         .writer = kNone,
                         .value = observation.value,
                         .erased = false,
                         .effective = true,
                         .collapsed = false});
  }
  if (versions_.size() != ordered) order();
}

void VersionChains::add_unmatched() {
  std::vector<Observation> rest = unmatched();
  if (rest.empty()) return;
  std::vector<Observation> of_somebody;
  // Those that come to be committed can be the first: then what seemed older than all is not.
  for (uint64_t first = first_commit();; first = first_commit()) {
    std::erase_if(rest, [&](const Observation& observation) {
      // Older than all commits and without a value: as likely of the state before the history,
      // unless somebody has that timestamp.
      const bool unsure = observation.version < first && observation.value == kNone;
      if (!resolve_unknown(observation, unsure)) return false;
      of_somebody.push_back(observation);
      return true;
    });
    if (first_commit() == first) break;
  }
  bool resolved = false;
  for (uint32_t position = 0; position < committed_.size(); ++position) {
    if (history_.transactions()[position].outcome != RecordedOutcome::unknown) continue;
    if (!committed_[position]) continue;
    add_writes_of(position);
    resolved = true;
  }
  if (resolved) order();
  add_unwritten(of_somebody);
  std::erase_if(rest, [&, first = first_commit()](const Observation& observation) {
    return observation.version >= first || aborted_write(observation) != nullptr;
  });
  add_unwritten(rest);
}

// Reads of timestamp 0 with a value that no version of the chain has, by key, value and snapshot.
std::vector<Observation> VersionChains::unexplained_collapsed() const {
  std::vector<Observation> found;
  for_each_observation([&](const Observation& observation, uint32_t) {
    if (!observation.found || observation.version != 0 || observation.value == kNone) return;
    if (!met(observation).known) found.push_back(observation);
  });
  std::sort(found.begin(), found.end(), [](const Observation& a, const Observation& b) {
    return std::tie(a.key, a.value, a.snapshot) < std::tie(b.key, b.value, b.snapshot);
  });
  return found;
}

// Who of unknown outcome can have written it: kNone: nobody, or several.
VersionChains::Author VersionChains::author_of(const Observation& observation) const {
  Author author;
  const auto [begin, end] = uncommitted(observation.key);
  for (const UncommittedWrite* write = begin; write != end; ++write) {
    const CompactTransaction& transaction = history_.transactions()[write->writer];
    if (transaction.outcome != RecordedOutcome::unknown || write->erased) continue;
    if (write->value != observation.value || transaction.snapshot >= observation.snapshot) continue;
    if (transaction.has_commit && transaction.commit > observation.snapshot) continue;
    author.writer = author.exists ? kNone : write->writer;
    author.exists = true;
  }
  return author;
}

// Those of them that transactions of unknown outcome wrote.
void VersionChains::add_collapsed_unknown() {
  if (uncommitted_.empty()) return;
  mark_effective();
  std::vector<std::pair<uint32_t, Observation>> met;  // by whom
  for (const Observation& observation : unexplained_collapsed()) {
    const bool placed = !met.empty() && met.back().second.key == observation.key &&
                        met.back().second.value == observation.value;
    const Author author = placed ? Author{} : author_of(observation);
    if (author.exists) met.emplace_back(author.writer, observation);
  }
  if (met.empty()) return;
  std::ranges::stable_sort(met, {}, &std::pair<uint32_t, Observation>::first);
  std::vector<Observation> of_one;
  for (size_t i = 0; i < met.size(); ++i) {
    of_one.push_back(met[i].second);
    if (i + 1 < met.size() && met[i + 1].first == met[i].first) continue;
    place_whole(met[i].first, of_one);
    of_one.clear();
  }
  order();
}

// Adds what was met of a transaction, kNone: of several that nobody can tell apart; and what else
// it wrote, for it is there as a whole. All of it from the lowest snapshot on that met any: but
// what was met of a key that has a version since the transaction's own snapshot only from where it
// was met, and others of its keys then not at all, nor those that somebody else of unknown outcome
// wrote. If the state before the history may have had that value as well, it proves nothing.
void VersionChains::place_whole(uint32_t position, const std::vector<Observation>& met) {
  if (position != kNone && history_.transactions()[position].has_commit) {
    committed_[position] = true;
    commits_[position] = history_.transactions()[position].commit;
    add_writes_of(position);
    return;
  }
  uint64_t lowest = UINT64_MAX;
  for (const Observation& observation : met) {
    const bool proves = newest_below(observation.key, observation.snapshot) != kNone;
    if (proves && position != kNone) lowest = std::min(lowest, observation.snapshot);
  }
  const bool whole = lowest != UINT64_MAX;
  const auto may_lie_between = [&](uint32_t key) {
    const uint32_t newest = newest_below(key, lowest + 1);
    return newest != kNone &&
           versions_[newest].timestamp > history_.transactions()[position].snapshot;
  };
  const auto add = [&](uint32_t key, uint64_t timestamp, uint32_t value, bool erased) {
    versions_.push_back({.timestamp = timestamp,
                         .key = key,
                         .writer = kNone,
                         .value = value,
                         .erased = erased,
                         .effective = true,
                         .collapsed = true});
  };
  for (const Observation& observation : met) {
    const bool early = whole && observation.snapshot > lowest && !may_lie_between(observation.key);
    add(observation.key, early ? lowest : observation.snapshot, observation.value,
        /*erased=*/false);
  }
  if (!whole) return;
  for (const UncommittedWrite& write : uncommitted_) {
    if (write.writer != position) continue;
    const bool was_met = std::any_of(met.begin(), met.end(), [&](const Observation& observation) {
      return observation.key == write.key;
    });
    const auto [begin, end] = uncommitted(write.key);
    const bool alone = std::all_of(begin, end, [&](const UncommittedWrite& other) {
      return other.writer == position ||
             history_.transactions()[other.writer].outcome == RecordedOutcome::aborted;
    });
    if (!was_met && alone && !may_lie_between(write.key)) {
      add(write.key, lowest, write.value, write.erased);
    }
  }
}

// Reads of timestamp 0 where the chain begins only later.
void VersionChains::add_collapsed() {
  std::vector<Observation> lowest;
  for_each_observation([&](const Observation& observation, uint32_t) {
    if (!observation.found || observation.version != 0) return;
    const uint32_t first = begin(observation.key);
    if (first == end(observation.key) || versions_[first].timestamp > observation.snapshot) {
      lowest.push_back(observation);
    }
  });
  if (lowest.empty()) return;
  std::sort(lowest.begin(), lowest.end(), [](const Observation& a, const Observation& b) {
    return std::tie(a.key, a.snapshot, a.value) < std::tie(b.key, b.snapshot, b.value);
  });
  uint32_t previous = kNone;
  for (const Observation& observation : lowest) {
    if (std::exchange(previous, observation.key) == observation.key) continue;
    versions_.push_back({.timestamp = observation.snapshot,
                         .key = observation.key,
                         .writer = kNone,
                         .value = observation.value,
                         .erased = false,
                         .effective = true,
                         .collapsed = true});
  }
  order();
}

// Two transactions with one commit timestamp that wrote one key: the value that was read is of the
// later one. (A violation in itself; but so it can also be seen that they wrote across each other.)
void VersionChains::settle_ties() {
  std::vector<uint32_t> tied;
  for (uint32_t i = 1; i < versions_.size(); ++i) {
    const ChainVersion& one = versions_[i - 1];
    const ChainVersion& other = versions_[i];
    if (one.key == other.key && one.timestamp == other.timestamp) tied.push_back(i);
  }
  if (tied.empty()) return;
  for_each_observation([&](const Observation& observation, uint32_t) {
    if (!observation.found || observation.value == kNone) return;
    const uint32_t last = exact(observation.key, observation.version);
    if (last == kNone) return;
    for (uint32_t i = last; i-- > begin(observation.key);) {
      if (versions_[i].timestamp != versions_[last].timestamp) break;
      if (versions_[i].value == observation.value) std::swap(versions_[i], versions_[last]);
    }
  });
}

void VersionChains::mark_effective() {
  effective_.resize(versions_.size());
  for (uint32_t key = 0; key + 1 < begins_.size(); ++key) {
    uint32_t newest = kNone;
    for (uint32_t i = begin(key); i != end(key); ++i) {
      versions_[i].effective = !versions_[i].erased || present(newest);
      if (versions_[i].effective) newest = i;
      effective_[i] = newest;
    }
  }
}

uint32_t VersionChains::newest_at(uint32_t key, uint64_t timestamp) const {
  const auto first = versions_.begin() + begin(key);
  const auto above = std::upper_bound(
      first, versions_.begin() + end(key), timestamp,
      [](uint64_t wanted, const ChainVersion& version) { return wanted < version.timestamp; });
  return above == first ? kNone : effective_[static_cast<size_t>(above - versions_.begin()) - 1];
}

uint32_t VersionChains::before(uint32_t version) const {
  return version == begin(versions_[version].key) ? kNone : effective_[version - 1];
}

uint32_t VersionChains::exact(uint32_t key, uint64_t timestamp) const {
  const auto first = versions_.begin() + begin(key);
  auto above = std::upper_bound(
      first, versions_.begin() + end(key), timestamp,
      [](uint64_t wanted, const ChainVersion& version) { return wanted < version.timestamp; });
  while (above != first && (above - 1)->timestamp == timestamp) {
    --above;
    if (!above->collapsed) return static_cast<uint32_t>(above - versions_.begin());
  }
  return kNone;
}

uint32_t VersionChains::dated_before(uint32_t version) const {
  const uint32_t first = begin(versions_[version].key);
  while (version-- != first) {
    if (!versions_[version].collapsed) return version;
  }
  return kNone;
}

uint32_t VersionChains::newest_dated_below(uint32_t key, uint64_t timestamp) const {
  const uint32_t version = newest_below(key, timestamp);
  return version == kNone || !versions_[version].collapsed ? version : dated_before(version);
}

uint32_t VersionChains::newest_below(uint32_t key, uint64_t timestamp) const {
  const auto first = versions_.begin() + begin(key);
  const auto at = std::lower_bound(
      first, versions_.begin() + end(key), timestamp,
      [](const ChainVersion& version, uint64_t wanted) { return version.timestamp < wanted; });
  return at == first ? kNone : static_cast<uint32_t>(at - versions_.begin()) - 1;
}

VersionChains::Met VersionChains::met(const Observation& observation) const {
  if (observation.found && observation.version != 0) {
    const uint32_t version = exact(observation.key, observation.version);
    return {.known = version != kNone && !versions_[version].erased, .version = version};
  }
  const uint32_t newest = newest_at(observation.key, observation.snapshot);
  if (!observation.found) {
    if (!present(newest)) return {.known = true, .version = newest};
    if (may_be_erased(observation.key, newest, observation.snapshot)) return {};
    // The last time that it was not there.
    uint32_t version = newest;
    int left = kStepsBackMax;
    while (present(version) && left-- != 0) version = before(version);
    return {.known = !present(version), .version = version};
  }
  // Timestamp 0: the newest, if it is not of the history or has that value; else the last that has.
  int left = kStepsBackMax;
  for (uint32_t version = newest; version != kNone && left-- != 0; version = before(version)) {
    const ChainVersion& candidate = versions_[version];
    const bool fits = candidate.writer == kNone ? !values_differ(candidate.value, observation.value)
                                                : values_equal(candidate.value, observation.value);
    if (!candidate.erased && fits) return {.known = true, .version = version};
  }
  return {};
}

bool VersionChains::may_be_erased(uint32_t key, uint32_t newest, uint64_t snapshot) const {
  const uint64_t after = newest == kNone ? 0 : versions_[newest].timestamp;
  const auto [begin, end] = uncommitted(key);
  return std::any_of(begin, end, [&](const UncommittedWrite& write) {
    const CompactTransaction& writer = history_.transactions()[write.writer];
    if (writer.outcome != RecordedOutcome::unknown || committed_[write.writer] || !write.erased) {
      return false;
    }
    if (!writer.has_commit) return writer.snapshot < snapshot;
    return writer.commit > after && writer.commit <= snapshot;
  });
}

const UncommittedWrite* VersionChains::aborted_write(const Observation& observation) const {
  if (!observation.found) return nullptr;
  const auto [begin, end] = uncommitted(observation.key);
  for (const UncommittedWrite* write = begin; write != end; ++write) {
    const CompactTransaction& writer = history_.transactions()[write->writer];
    if (writer.outcome != RecordedOutcome::aborted || write->erased) continue;
    if (writer.has_commit && writer.commit == observation.version) return write;
    const bool newer = observation.version == 0 || observation.version > writer.snapshot;
    if (newer && values_equal(write->value, observation.value)) return write;
  }
  return nullptr;
}

}  // namespace varve
