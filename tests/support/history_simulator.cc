#include "tests/support/history_simulator.h"

#include <algorithm>
#include <utility>

namespace varve::test {

namespace {

using Kind = OperationRecord::Kind;

}  // namespace

HistorySimulator::HistorySimulator(const SimulatorOptions& options, uint64_t seed)
    : options_(options), random_(seed), sessions_(static_cast<size_t>(options.sessions)) {}

std::string HistorySimulator::key(int number) {
  const std::string digits = std::to_string(number);
  return "k" + std::string(digits.size() < 6 ? 6 - digits.size() : 0, '0') + digits;
}

std::vector<TransactionRecord> HistorySimulator::run() {
  load();
  for (;;) {
    std::vector<Running*> candidates;
    for (Running& session : sessions_) {
      if (session.active || begun_ < options_.transactions) candidates.push_back(&session);
    }
    if (candidates.empty()) break;
    Running* running = candidates[random_.below(candidates.size())];
    nanos_ += random_.below(3);
    if (!running->active) {
      begin(running);
    } else if (running->operations_left-- > 0) {
      step(running);
    } else {
      finish(running);
    }
  }
  return std::move(records_);
}

// The state before the history: half of the keys, some with collapsed timestamps.
void HistorySimulator::load() {
  for (int number = 0; number < options_.keys; ++number) {
    std::vector<Version>& versions = store_[key(number)];
    if (chance(0.5)) {
      versions.push_back({.timestamp = tick(),
                          .value = new_value(),
                          .intermediate = {},
                          .collapsed = chance(0.3)});
    }
  }
  published_ = previous_published_ = loaded_ = tick();
}

void HistorySimulator::begin(Running* running) {
  *running = Running();
  running->active = true;
  ++begun_;
  running->batch = chance(options_.batches);
  running->operations_left =
      1 + static_cast<int>(random_.below(static_cast<uint64_t>(options_.operations_max)));
  TransactionRecord& record = running->record;
  record.id = ++ids_;
  record.session = static_cast<uint64_t>(running - sessions_.data());
  record.isolation =
      chance(options_.serializable) ? RecordedIsolation::serializable : RecordedIsolation::snapshot;
  record.begin_nanos = ++nanos_;
  if (running->batch) return;
  record.snapshot = Timestamp{published_};
  if (bug(PlantedBug::old_snapshot) && previous_published_ != published_) {
    record.snapshot = Timestamp{previous_published_};
    ++bites_;
  }
}

void HistorySimulator::step(Running* running) {
  if (running->batch || chance(options_.writes)) {
    write(running);
  } else if (chance(options_.scans)) {
    scan(running);
  } else {
    read(running);
  }
}

const HistorySimulator::Version* HistorySimulator::visible(const std::string& key,
                                                           uint64_t snapshot) const {
  const std::vector<Version>& versions = store_.at(key);
  for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
    if (version->timestamp <= snapshot) return version->value.has_value() ? &*version : nullptr;
  }
  return nullptr;
}

std::optional<std::string> HistorySimulator::shown_value(
    const std::optional<std::string>& value) const {
  return options_.record_values ? value : std::nullopt;
}

void HistorySimulator::read(Running* running) {
  const std::string key = random_key();
  const uint64_t snapshot = running->record.snapshot->nanos;
  const auto own = running->writes.find(key);
  if (own != running->writes.end() && !bug(PlantedBug::forget_own_write)) {
    running->record.operations.push_back(OperationRecord::read_own(key, own->second.value));
    return;
  }
  bites_ += own != running->writes.end();
  const Version* right = visible(key, snapshot);
  const Version* met = right;
  // What was there before the history is known from reads alone: to miss it may go unnoticed.
  const bool shows = right == nullptr || right->timestamp > loaded_;
  if (right != nullptr && shows && bug(PlantedBug::read_too_old)) {
    met = visible(key, right->timestamp - 1);
  }
  if (shows && bug(PlantedBug::read_newest)) met = visible(key, UINT64_MAX);
  bites_ += met != right;
  if (met == nullptr) {
    running->record.operations.push_back(OperationRecord::read_absent(key));
    return;
  }
  std::optional<std::string> value = met->value;
  if (met->intermediate.has_value() && bug(PlantedBug::show_intermediate)) {
    value = met->intermediate;
    ++bites_;
  }
  if (met->timestamp > loaded_ && bug(PlantedBug::mix_up_values)) {
    const Version* other = visible(random_key(), snapshot);
    if (other != nullptr && other->value != value) {
      value = other->value;
      ++bites_;
    }
  }
  running->record.operations.push_back(
      OperationRecord::read(key, {met->collapsed ? 0 : met->timestamp}, shown_value(value)));
}

void HistorySimulator::scan(Running* running) {
  ScanRecord scan;
  std::string one = random_key();
  std::string other = random_key();
  if (other < one) std::swap(one, other);
  if (!chance(0.2)) scan.lower = one;
  if (!chance(0.2)) scan.upper = other;
  scan.reverse = chance(0.3);
  if (chance(0.3)) scan.limit = random_.below(4);
  std::vector<ScannedRow> rows;
  const uint64_t snapshot = running->record.snapshot->nanos;
  for (const auto& [key, versions] : store_) {
    if (key < scan.lower || (!scan.upper.empty() && key >= scan.upper)) continue;
    const auto own = running->writes.find(key);
    if (own != running->writes.end()) {
      if (!own->second.value.has_value()) continue;
      rows.push_back(
          {.key = key, .version = {}, .own = true, .value = shown_value(own->second.value)});
      continue;
    }
    const Version* version = visible(key, snapshot);
    // Only where the row stays, or its absence shows.
    const bool whole = !scan.limit.has_value();
    if (version == nullptr && whole && !versions.empty() && bug(PlantedBug::invent_scanned_key)) {
      version = visible(key, versions.back().timestamp - 1);
      bites_ += version != nullptr;
    } else if (version != nullptr && whole && version->timestamp > loaded_ &&
               bug(PlantedBug::forget_scanned_key)) {
      version = nullptr;
      ++bites_;
    }
    if (version == nullptr) continue;
    rows.push_back({.key = key,
                    .version = {version->collapsed ? 0 : version->timestamp},
                    .own = false,
                    .value = shown_value(version->value)});
  }
  if (scan.reverse) std::reverse(rows.begin(), rows.end());
  if (scan.limit.has_value() && rows.size() > *scan.limit) rows.resize(*scan.limit);
  if (!rows.empty() && options_.bug == PlantedBug::none && chance(0.2)) {  // had enough
    scan.ended_at = rows.back().key;
    scan.limit.reset();
  }
  scan.rows = std::move(rows);
  running->record.operations.push_back(OperationRecord::scanned(std::move(scan)));
}

void HistorySimulator::write(Running* running) {
  const std::string key = random_key();
  Version version{.timestamp = 0, .value = {}, .intermediate = {}, .collapsed = false};
  if (!chance(options_.erases)) version.value = new_value();
  const auto own = running->writes.find(key);
  if (own != running->writes.end()) version.intermediate = own->second.value;
  running->record.operations.push_back(version.value.has_value()
                                           ? OperationRecord::write(key, *version.value)
                                           : OperationRecord::erase(key));
  running->writes[key] = std::move(version);
}

bool HistorySimulator::changed_between(const std::string& key, uint64_t after,
                                       uint64_t before) const {
  const std::vector<Version>& versions = store_.at(key);
  return std::any_of(versions.begin(), versions.end(), [&](const Version& version) {
    return version.timestamp > after && version.timestamp < before;
  });
}

bool HistorySimulator::conflicts(const Running& running) const {
  if (running.batch) return false;
  return std::any_of(running.writes.begin(), running.writes.end(), [&](const auto& write) {
    return changed_between(write.first, running.record.snapshot->nanos, UINT64_MAX);
  });
}

// Whether something that it read has changed since.
bool HistorySimulator::outdated(const Running& running, bool ranges) const {
  for (const OperationRecord& operation : running.record.operations) {
    const uint64_t snapshot = running.record.snapshot.value_or(kTimestampMax).nanos;
    if (operation.kind == Kind::read && !operation.own &&
        changed_between(operation.key, snapshot, UINT64_MAX)) {
      return true;
    }
    if (operation.kind != Kind::scan || !ranges) continue;
    for (const auto& [key, versions] : store_) {
      const bool inside = key >= operation.scan.lower &&
                          (operation.scan.upper.empty() || key < operation.scan.upper);
      if (inside && changed_between(key, snapshot, UINT64_MAX)) return true;
    }
  }
  return false;
}

void HistorySimulator::apply(const Running& running, uint64_t timestamp) {
  for (const auto& [key, write] : running.writes) {
    Version version = write;
    version.timestamp = timestamp;
    std::vector<Version>& versions = store_[key];
    if (bug(PlantedBug::drop_version)) {
      ++bites_;
      continue;
    }
    if (!version.value.has_value() && bug(PlantedBug::lose_tombstone)) {
      ++bites_;
      continue;
    }
    if (running.writes.size() > 1 && bug(PlantedBug::half_visible)) {
      version.timestamp = tick();
      ++bites_;
    }
    versions.push_back(std::move(version));
  }
}

void HistorySimulator::finish(Running* running) {
  TransactionRecord& record = running->record;
  const bool writes = !running->writes.empty();
  bool commits = !chance(0.05);
  if (commits && conflicts(*running)) {
    commits = options_.bug == PlantedBug::skip_conflict_check && chance(options_.bug_rate);
    bites_ += commits;
  }
  if (commits && writes && !running->batch && record.isolation == RecordedIsolation::serializable &&
      outdated(*running, /*ranges=*/true)) {
    commits = bug(PlantedBug::skip_validation) ||
              (!outdated(*running, /*ranges=*/false) && bug(PlantedBug::skip_range_validation));
    bites_ += commits;
  }
  record.outcome = commits ? RecordedOutcome::committed : RecordedOutcome::aborted;
  const bool kept = commits || (writes && bug(PlantedBug::keep_aborted_writes));
  if (kept && writes) {
    uint64_t timestamp = tick();
    if (bug(PlantedBug::reuse_timestamp) && previous_published_ != published_) {
      timestamp = published_;
      ++bites_;
    }
    bites_ += !commits;
    apply(*running, timestamp);
    if (commits) record.commit = Timestamp{timestamp};
    previous_published_ = published_;
    published_ = std::max(time_, timestamp);
  }
  if (options_.bug == PlantedBug::swap_reads && chance(options_.bug_rate)) swap_reads(&record);
  record.end_nanos = ++nanos_;
  if (writes && chance(options_.unknown)) {
    record.outcome = RecordedOutcome::unknown;
    if (chance(0.5)) record.commit.reset();
  }
  records_.push_back(std::move(record));
  running->active = false;
}

void HistorySimulator::swap_reads(TransactionRecord* record) {
  OperationRecord* first = nullptr;
  for (OperationRecord& operation : record->operations) {
    if (operation.kind != Kind::read || operation.own || !operation.found) continue;
    if (first == nullptr) {
      first = &operation;
    } else if (first->version != operation.version &&
               std::max(first->version, operation.version).nanos > loaded_) {
      std::swap(first->version, operation.version);
      std::swap(first->value, operation.value);
      ++bites_;
      return;
    }
  }
}

}  // namespace varve::test
