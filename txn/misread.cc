#include "txn/misread.h"

#include <algorithm>

namespace varve {

namespace {

using Kind = OperationRecord::Kind;

// How far back through a key's versions the name of a misread is looked for; beyond that it is only
// called stale. Bounds the time that a history full of misreads of one key takes.
constexpr int kVersionsMax = 1000;

}  // namespace

void Misreads::name(uint32_t reader, const Observation& observation, uint32_t expected, bool row) {
  const VersionChains::Met met = chains_.met(observation);
  if (!met.known && observation.found) {
    name_unknown(reader, observation, expected);
    return;
  }
  if (met.version != kNone && chains_.versions()[met.version].timestamp > observation.snapshot) {
    const uint32_t writer = chains_.versions()[met.version].writer;
    std::vector<uint32_t> transactions{reader};
    if (writer != kNone && writer != reader) transactions.push_back(writer);
    report_.violation(AnomalyKind::future_read, transactions, [&] {
      return read_text(reader, observation) + ", which is newer than its snapshot.";
    });
    return;
  }
  if (met.version == expected) {
    name_other_value(reader, observation, met.version);
  } else {
    name_outdated(reader, observation, met.version, expected, row);
  }
}

// No committed transaction wrote such a version.
void Misreads::name_unknown(uint32_t reader, const Observation& observation, uint32_t expected) {
  if (const UncommittedWrite* write = chains_.aborted_write(observation)) {
    const uint32_t writer = write->writer;
    report_.violation(AnomalyKind::aborted_read, {reader, writer}, [&] {
      return read_text(reader, observation) + ", which " + report_.name(writer) +
             " wrote; but that transaction aborted.";
    });
    return;
  }
  if (const uint32_t writer = intermediate_writer(observation); writer != kNone) {
    report_.violation(AnomalyKind::intermediate_read, {reader, writer}, [&] {
      return read_text(reader, observation) + ", which " + report_.name(writer) +
             " wrote, but wrote over before it committed.";
    });
    return;
  }
  if (observation.version == 0 && observation.value == kNone) {
    report_.violation(AnomalyKind::stale_read, {reader}, [&] {
      return read_text(reader, observation) + "; but the newest one at its snapshot is " +
             version_text(expected) +
             ". (Where timestamps collapse while a history is recorded, values have to be recorded "
             "too: they tell versions apart.)";
    });
    return;
  }
  report_.violation(AnomalyKind::unwritten_read, {reader}, [&] {
    return read_text(reader, observation) +
           ", which no transaction of the history wrote to that key, and which is not of the state "
           "before it. The newest one at its snapshot is " +
           version_text(expected) + ".";
  });
}

// The right version, with a value that is not its own.
void Misreads::name_other_value(uint32_t reader, const Observation& observation, uint32_t version) {
  const ChainVersion& met = chains_.versions()[version];
  if (met.writer != kNone && wrote_on_the_way(met.writer, observation.key, observation.value)) {
    report_.violation(AnomalyKind::intermediate_read, {reader, met.writer}, [&] {
      return read_text(reader, observation) + ", which " + report_.name(met.writer) +
             " wrote, but wrote over before it committed: its last value is " +
             report_.value(met.value) + ".";
    });
    return;
  }
  report_.violation(AnomalyKind::unwritten_read, {reader}, [&] {
    return read_text(reader, observation) + "; but the value of " + version_text(version) + " is " +
           report_.value(met.value) + ".";
  });
}

// An older version than it should have, or none.
void Misreads::name_outdated(uint32_t reader, const Observation& observation, uint32_t met,
                             uint32_t expected, bool row) {
  const std::string expected_text =
      "; but the newest one at its snapshot, " + timestamp_text(observation.snapshot) + ", is ";
  std::vector<uint32_t> transactions{reader};
  const uint32_t overwriter = expected == kNone ? kNone : chains_.versions()[expected].writer;
  const auto report = [&](AnomalyKind kind, const std::string& more) {
    report_.violation(kind, transactions, [&] {
      return read_text(reader, observation) + expected_text + version_text(expected) + "." + more;
    });
  };
  if (row && (!observation.found || !chains_.present(expected))) {
    if (overwriter != kNone) transactions.push_back(overwriter);
    report(observation.found ? AnomalyKind::extra_phantom : AnomalyKind::missing_phantom, "");
    return;
  }
  if (expected != kNone && met_elsewhere(reader, expected)) {
    if (overwriter != kNone) transactions.push_back(overwriter);
    report(AnomalyKind::non_repeatable_read, " It met that one too, in another read of the key.");
    return;
  }
  const uint32_t seen = seen_writer(reader, observation.key, met, expected);
  if (seen != kNone) {
    transactions.push_back(seen);
    report(AnomalyKind::read_skew,
           " It saw another key as " + report_.name(seen) + " wrote it, and this one as before.");
    return;
  }
  if (overwriter != kNone) transactions.push_back(overwriter);
  report(AnomalyKind::stale_read, "");
}

// Where the version's timestamp does not tell: who wrote that value, and wrote over it.
uint32_t Misreads::intermediate_writer(const Observation& observation) const {
  if (observation.value == kNone) return kNone;
  // Among those that the snapshot could see.
  int left = kVersionsMax;
  for (uint32_t version = chains_.newest_at(observation.key, observation.snapshot);
       version != kNone && left-- != 0; version = chains_.before(version)) {
    const uint32_t writer = chains_.versions()[version].writer;
    if (writer == kNone || chains_.versions()[version].value == observation.value) continue;
    if (wrote_on_the_way(writer, observation.key, observation.value)) return writer;
  }
  return kNone;
}

bool Misreads::wrote_on_the_way(uint32_t writer, uint32_t key, uint32_t value) const {
  if (value == kNone) return false;
  const auto operations = history_.operations(history_.transactions()[writer]);
  return std::any_of(operations.begin(), operations.end(), [&](const CompactOperation& operation) {
    return operation.kind == Kind::write && operation.key == key && operation.value == value;
  });
}

// Calls matches(version met) for the reads and rows of a transaction until one matches.
template <typename Matches>
bool Misreads::any_met(uint32_t reader, const Matches& matches) const {
  const CompactTransaction& transaction = history_.transactions()[reader];
  const auto met = [&](uint32_t key, bool found, uint64_t version, uint32_t value) {
    return chains_
        .met({.key = key,
              .found = found,
              .version = version,
              .value = value,
              .snapshot = transaction.snapshot})
        .version;
  };
  for (const CompactOperation& operation : history_.operations(transaction)) {
    if (operation.kind == Kind::read && !operation.own) {
      const uint32_t version =
          met(operation.key, operation.found, operation.version, operation.value);
      if (version != kNone && matches(version)) return true;
    } else if (operation.kind == Kind::scan) {
      for (const CompactRow& row : history_.rows(history_.scan(operation))) {
        if (row.own) continue;
        const uint32_t version = met(row.key, /*found=*/true, row.version, row.value);
        if (version != kNone && matches(version)) return true;
      }
    }
  }
  return false;
}

bool Misreads::met_elsewhere(uint32_t reader, uint32_t version) const {
  return any_met(reader, [&](uint32_t other) { return other == version; });
}

// Who wrote a version after `met`, up to `expected`, and was seen by the reader through another
// key; kNone: nobody.
uint32_t Misreads::seen_writer(uint32_t reader, uint32_t key, uint32_t met,
                               uint32_t expected) const {
  uint32_t seen = kNone;
  int left = kVersionsMax;
  for (uint32_t version = expected;
       version != kNone && version != met && seen == kNone && left-- != 0;
       version = chains_.before(version)) {
    const uint32_t writer = chains_.versions()[version].writer;
    if (writer == kNone) continue;
    const bool was_seen = any_met(reader, [&](uint32_t other) {
      return chains_.versions()[other].writer == writer && chains_.versions()[other].key != key;
    });
    if (was_seen) seen = writer;
  }
  return seen;
}

std::string Misreads::read_text(uint32_t reader, const Observation& observation) const {
  std::string text = report_.name(reader);
  if (!observation.found) return text + " did not find " + report_.key(observation.key);
  text += " read " + report_.key(observation.key) + " at version " +
          timestamp_text(observation.version);
  if (observation.value != kNone) text += " with " + report_.value(observation.value);
  return text;
}

std::string Misreads::version_text(uint32_t version) const {
  if (version == kNone) return "that it is not there";
  const ChainVersion& it = chains_.versions()[version];
  std::string text = it.erased ? "the erase at " : "version ";
  text += it.collapsed ? "0" : timestamp_text(it.timestamp);
  return text +
         (it.writer == kNone ? ", from before the history" : " of " + report_.name(it.writer));
}

}  // namespace varve
