// The isolation checker against random histories: right ones pass, wrong ones are caught, and what
// it says of cycles agrees with trying out every serial order.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/history_simulator.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"
#include "varve/history.h"

namespace varve::test {
namespace {

using Kind = OperationRecord::Kind;

History history_of(const std::vector<TransactionRecord>& records) {
  History history;
  for (const TransactionRecord& record : records) EXPECT_OK(history.add(record));
  return history;
}

std::string described(const Verdict& verdict) {
  std::string text;
  for (const Anomaly& anomaly : verdict.violations) {
    text += std::string(anomaly_name(anomaly.kind)) + ": " + anomaly.explanation + "\n";
    for (const std::string& step : anomaly.cycle) text += "    " + step + "\n";
  }
  return text;
}

SimulatorOptions random_options(Random& random) {
  SimulatorOptions options;
  options.keys = 2 + static_cast<int>(random.below(20));
  options.sessions = 1 + static_cast<int>(random.below(8));
  options.transactions = 20 + static_cast<int>(random.below(200));
  options.serializable = random.one_in(3) ? 1 : random.unit();
  options.scans = random.unit() * 0.5;
  options.record_values = !random.one_in(4);
  return options;
}

TEST(HistoryPropertyTest, right_histories_pass) {
  VARVE_SEEDED_TEST(random);
  uint64_t allowed = 0;
  const uint64_t rounds = test_iterations(400);
  for (uint64_t round = 0; round < rounds; ++round) {
    const uint64_t seed = random.next();
    const SimulatorOptions options = random_options(random);
    const Verdict verdict = verify_history(history_of(HistorySimulator(options, seed).run()));
    ASSERT_TRUE(verdict.ok()) << "round " << round << " seed " << seed << "\n"
                              << described(verdict);
    allowed += verdict.allowed(AnomalyKind::write_skew);
    if (options.serializable == 1) {
      ASSERT_EQ(verdict.allowed_counts, AnomalyCounts{}) << "round " << round;
    }
  }
  EXPECT_GT(allowed, rounds / 4) << "snapshot isolation shows write skew";
}

// What a planted bug changed is always seen, unless it can hide: a version that nobody reads again,
// a validation left out that would not have mattered.
TEST(HistoryPropertyTest, planted_bugs_are_caught) {
  VARVE_SEEDED_TEST(random);
  const std::set<PlantedBug> may_hide = {
      PlantedBug::drop_version,       PlantedBug::lose_tombstone,
      PlantedBug::half_visible,       PlantedBug::keep_aborted_writes,
      PlantedBug::skip_validation,    PlantedBug::skip_range_validation,
      PlantedBug::skip_conflict_check};
  for (int number = 1; number < kPlantedBugs; ++number) {
    const auto bug = static_cast<PlantedBug>(number);
    int bitten = 0;
    int caught = 0;
    for (uint64_t round = 0; round < test_iterations(60); ++round) {
      const uint64_t seed = random.next();
      SimulatorOptions options = random_options(random);
      options.bug = bug;
      options.unknown = 0;  // excuses much
      options.record_values = true;
      if (bug == PlantedBug::skip_validation || bug == PlantedBug::skip_range_validation) {
        options.serializable = 1;
        options.bug_rate = 0.7;
        options.sessions = std::max(options.sessions, 3);
      }
      if (bug == PlantedBug::skip_range_validation) options.scans = 0.7;
      HistorySimulator simulator(options, seed);
      const Verdict verdict = verify_history(history_of(simulator.run()));
      if (simulator.bites() == 0) {
        ASSERT_TRUE(verdict.ok()) << "bug " << number << " seed " << seed << "\n"
                                  << described(verdict);
        continue;
      }
      ++bitten;
      caught += !verdict.ok();
      if (!may_hide.contains(bug)) {
        ASSERT_FALSE(verdict.ok())
            << "bug " << number << " seed " << seed << " bit " << simulator.bites() << " times";
      }
    }
    EXPECT_GT(bitten, 10) << "bug " << number;
    EXPECT_GE(caught * 3, bitten) << "bug " << number << ": " << caught << " of " << bitten;
  }
}

// Looks for a serial order of all transactions in which each meets the versions that it did, and
// versions of a key come in the order of their timestamps. Knows nothing of graphs.
class SerialOrders {
 public:
  explicit SerialOrders(const std::vector<TransactionRecord>& records) : all_(records) {
    for (const TransactionRecord& record : records) {
      if (record.outcome != RecordedOutcome::committed) continue;
      for (const OperationRecord& operation : record.operations) note_keys(operation);
      records_.push_back(&record);
    }
    std::sort(records_.begin(), records_.end(), [](const auto* a, const auto* b) {
      return a->commit.value_or(*a->snapshot) < b->commit.value_or(*b->snapshot);
    });
    for (const TransactionRecord* record : records_) views_.push_back(view_of(*record));
  }

  bool exist() { return extend(0, {}); }

 private:
  // What the state is at a key: who made it so, 0 being from before the history.
  using State = std::map<std::string, std::pair<uint64_t, bool>>;
  struct View {
    std::map<std::string, uint64_t> met;  // by key: who had made it so
    std::map<std::string, bool> writes;   // true: a value
  };

  void note_keys(const OperationRecord& operation) {
    if (operation.kind != Kind::scan) keys_.insert(operation.key);
    for (const ScannedRow& row : operation.scan.rows) keys_.insert(row.key);
  }

  static bool covers(const ScanRecord& scan, const std::string& key) {
    if (key < scan.lower || (!scan.upper.empty() && key >= scan.upper)) return false;
    std::optional<std::string> end = scan.ended_at;
    if (!end.has_value() && scan.limit == scan.rows.size()) {
      if (scan.rows.empty()) return false;
      end = scan.rows.back().key;
    }
    if (!end.has_value()) return true;
    return scan.reverse ? key >= *end : key <= *end;
  }

  // The state of a key at a snapshot in the order of commits, which the reads are known to meet.
  uint64_t maker_at(const std::string& key, Timestamp snapshot) const {
    uint64_t maker = 0;
    bool present = initially_present(key);
    for (const TransactionRecord* record : records_) {
      if (!record->commit.has_value() || *record->commit > snapshot) continue;
      const std::map<std::string, bool> writes = writes_of(*record);
      const auto write = writes.find(key);
      if (write == writes.end() || (!write->second && !present)) continue;
      maker = record->id;
      present = write->second;
    }
    return maker;
  }

  bool initially_present(const std::string& key) const {
    for (const TransactionRecord& record : all_) {
      for (const OperationRecord& operation : record.operations) {
        const bool read = operation.kind == Kind::read && operation.key == key && operation.found &&
                          !operation.own;
        if (read && maker_of(operation.version) == 0) return true;
        for (const ScannedRow& row : operation.scan.rows) {
          if (row.key == key && !row.own && maker_of(row.version) == 0) return true;
        }
      }
    }
    return false;
  }

  uint64_t maker_of(Timestamp version) const {
    for (const TransactionRecord* record : records_) {
      if (record->commit == version) return record->id;
    }
    return 0;
  }

  static std::map<std::string, bool> writes_of(const TransactionRecord& record) {
    std::map<std::string, bool> writes;
    for (const OperationRecord& operation : record.operations) {
      if (operation.kind == Kind::write) writes[operation.key] = true;
      if (operation.kind == Kind::erase) writes[operation.key] = false;
    }
    return writes;
  }

  View view_of(const TransactionRecord& record) const {
    View view;
    std::set<std::string> own;
    const auto meet = [&](const std::string& key) {
      if (!own.contains(key)) view.met[key] = maker_at(key, *record.snapshot);
    };
    for (const OperationRecord& operation : record.operations) {
      if (operation.kind == Kind::read) meet(operation.key);
      if (operation.kind == Kind::write || operation.kind == Kind::erase) own.insert(operation.key);
      if (operation.kind != Kind::scan) continue;
      for (const std::string& key : keys_) {
        if (covers(operation.scan, key)) meet(key);
      }
    }
    view.writes = writes_of(record);
    return view;
  }

  // `done`: a bit for each transaction; they are in order of their commits.
  bool extend(uint32_t done, const State& state) {
    if (done == (1u << records_.size()) - 1) return true;
    if (!tried_.insert(done).second) return false;  // the state follows from the set
    for (size_t next = 0; next < records_.size(); ++next) {
      if ((done >> next & 1) != 0 || !may_follow(done, next, state)) continue;
      State after = state;
      for (const auto& [key, value] : views_[next].writes) {
        auto [at, inserted] = after.try_emplace(key, 0, initially_present(key));
        if (value || at->second.second) at->second = {records_[next]->id, value};
      }
      if (extend(done | 1u << next, after)) return true;
    }
    return false;
  }

  bool may_follow(uint32_t done, size_t next, const State& state) const {
    for (const auto& [key, maker] : views_[next].met) {
      const auto at = state.find(key);
      if ((at == state.end() ? 0 : at->second.first) != maker) return false;
    }
    for (size_t earlier = 0; earlier < next; ++earlier) {
      if ((done >> earlier & 1) != 0) continue;
      for (const auto& [key, value] : views_[next].writes) {
        if (views_[earlier].writes.contains(key)) return false;
      }
    }
    return true;
  }

  const std::vector<TransactionRecord>& all_;
  std::vector<const TransactionRecord*> records_;  // that committed, in order of their commits
  std::set<std::string> keys_;
  std::vector<View> views_;
  std::set<uint32_t> tried_;
};

TEST(HistoryPropertyTest, agrees_with_trying_all_serial_orders) {
  VARVE_SEEDED_TEST(random);
  int serializable = 0;
  int not_serializable = 0;
  for (uint64_t round = 0; round < test_iterations(1500); ++round) {
    const uint64_t seed = random.next();
    SimulatorOptions options;
    options.keys = 3 + static_cast<int>(random.below(5));
    options.sessions = 2 + static_cast<int>(random.below(4));
    options.transactions = 4 + static_cast<int>(random.below(9));
    options.scans = random.unit() * 0.6;
    options.writes = 0.3 + random.unit() * 0.4;
    options.serializable = 0;
    options.unknown = 0;
    options.batches = 0;
    std::vector<TransactionRecord> records = HistorySimulator(options, seed).run();
    const Verdict at_snapshot = verify_history(history_of(records));
    ASSERT_TRUE(at_snapshot.ok()) << "seed " << seed << "\n" << described(at_snapshot);
    for (TransactionRecord& record : records) record.isolation = RecordedIsolation::serializable;
    const Verdict verdict = verify_history(history_of(records));
    const bool exists = SerialOrders(records).exist();
    ASSERT_EQ(verdict.ok(), exists) << "seed " << seed << "\n" << described(verdict);
    // The same cycles, called allowed or not.
    ASSERT_EQ(at_snapshot.allowed_counts == AnomalyCounts{}, exists) << "seed " << seed;
    ++(exists ? serializable : not_serializable);
  }
  EXPECT_GT(serializable, 20);
  EXPECT_GT(not_serializable, 20);
}

}  // namespace
}  // namespace varve::test
