// Small histories by hand: each anomaly with its name and cycle, and a twin that is all right.
//
// Unless a test says otherwise the state before the history is of timestamp 50, transactions begin
// with snapshot 100, and commits come after.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/status_check.h"
#include "varve/history.h"

namespace varve::test {
namespace {

using Kinds = std::multiset<AnomalyKind>;
using Op = OperationRecord;
using K = AnomalyKind;

constexpr Timestamp kOld{50};

// A transaction in the making: T(1).snapshot(100).read("x", 50).write("x", "1").commit(110).
struct T {
  explicit T(uint64_t id) {
    record.id = id;
    record.session = id;
    record.isolation = RecordedIsolation::serializable;
    record.snapshot = Timestamp{100};
  }
  T& snapshot(uint64_t timestamp) {
    record.snapshot = Timestamp{timestamp};
    return *this;
  }
  T& batch() {
    record.snapshot.reset();
    return *this;
  }
  T& commit(uint64_t timestamp) {
    record.commit = Timestamp{timestamp};
    return *this;
  }
  T& aborted() {
    record.outcome = RecordedOutcome::aborted;
    return *this;
  }
  T& unknown() {
    record.outcome = RecordedOutcome::unknown;
    return *this;
  }
  T& at_snapshot_level() {
    record.isolation = RecordedIsolation::snapshot;
    return *this;
  }
  T& between(uint64_t begin, uint64_t end) {
    record.begin_nanos = begin;
    record.end_nanos = end;
    return *this;
  }
  T& op(Op operation) {
    record.operations.push_back(std::move(operation));
    return *this;
  }
  T& read(const std::string& key, uint64_t version,
          std::optional<std::string> value = std::nullopt) {
    return op(Op::read(key, {version}, std::move(value)));
  }
  T& absent(const std::string& key) { return op(Op::read_absent(key)); }
  T& write(const std::string& key, const std::string& value = "value") {
    return op(Op::write(key, value));
  }
  T& erase(const std::string& key) { return op(Op::erase(key)); }
  T& scan(ScanRecord scan) { return op(Op::scanned(std::move(scan))); }

  TransactionRecord record;
};

// Rows of [lower, upper), each of version kOld unless it is given.
ScanRecord range(const std::string& lower, const std::string& upper,
                 const std::vector<std::pair<std::string, uint64_t>>& rows) {
  ScanRecord scan;
  scan.lower = lower;
  scan.upper = upper;
  for (const auto& [key, version] : rows) {
    scan.rows.push_back({.key = key, .version = {version}, .own = false, .value = {}});
  }
  return scan;
}

Verdict verdict_of(const std::vector<T>& transactions) {
  History history;
  for (const T& transaction : transactions) EXPECT_OK(history.add(transaction.record));
  return verify_history(history);
}

Kinds kinds(const Verdict& verdict) {
  Kinds kinds;
  for (const Anomaly& anomaly : verdict.violations) kinds.insert(anomaly.kind);
  return kinds;
}

std::string described(const Verdict& verdict) {
  std::string text;
  for (const auto* anomalies : {&verdict.violations, &verdict.allowed_examples}) {
    for (const Anomaly& anomaly : *anomalies) {
      text += std::string(anomaly_name(anomaly.kind)) + ": " + anomaly.explanation + "\n";
      for (const std::string& step : anomaly.cycle) text += "    " + step + "\n";
    }
  }
  return text;
}

// "T1 -rw-> T2" of each step, joined by spaces.
std::string edges(const Anomaly& anomaly) {
  std::string text;
  for (const std::string& step : anomaly.cycle) {
    text += (text.empty() ? "" : " ") + step.substr(0, step.find(':'));
  }
  return text;
}

void passes(const std::vector<T>& transactions) {
  const Verdict verdict = verdict_of(transactions);
  EXPECT_TRUE(verdict.ok()) << described(verdict);
  EXPECT_EQ(verdict.violation_counts, AnomalyCounts{});
}

// Exactly one violation, of that kind, with that cycle (empty: none) and these transactions.
void finds(AnomalyKind kind, const std::string& cycle, const std::vector<uint64_t>& ids,
           const std::vector<T>& transactions) {
  const Verdict verdict = verdict_of(transactions);
  ASSERT_EQ(kinds(verdict), Kinds{kind}) << described(verdict);
  EXPECT_EQ(verdict.count(kind), 1u);
  EXPECT_EQ(edges(verdict.violations[0]), cycle) << described(verdict);
  EXPECT_EQ(verdict.violations[0].transactions, ids) << described(verdict);
  EXPECT_FALSE(verdict.violations[0].explanation.empty());
}

// No violation, but one anomaly that snapshot isolation allows.
void allows(AnomalyKind kind, const std::string& cycle, std::vector<T> transactions) {
  for (T& transaction : transactions) transaction.at_snapshot_level();
  const Verdict verdict = verdict_of(transactions);
  EXPECT_TRUE(verdict.ok()) << described(verdict);
  AnomalyCounts expected{};
  expected[static_cast<size_t>(kind)] = 1;
  EXPECT_EQ(verdict.allowed_counts, expected) << described(verdict);
  ASSERT_EQ(verdict.allowed_examples.size(), 1u);
  EXPECT_EQ(edges(verdict.allowed_examples[0]), cycle);
}

TEST(IsolationCheckerTest, serial_history_passes) {
  passes({T(1).absent("x").write("x", "1").commit(110),
          T(2).snapshot(110).read("x", 110, "1").write("x", "2").commit(120),
          T(3).snapshot(120).read("x", 120, "2").erase("x").commit(130),
          T(4).snapshot(130).absent("x").scan(range("", "", {})),
          T(5).snapshot(125).read("x", 120, "2").scan(range("", "", {{"x", 120}}))});
}

// Two commits with one timestamp, each of which wrote over the other.
TEST(IsolationCheckerTest, dirty_write) {
  const T one = T(1).batch().write("x", "1").write("y", "1").commit(110);
  const T other = T(2).batch().write("x", "2").write("y", "2").commit(110);
  const Verdict verdict =
      verdict_of({one, other, T(3).snapshot(110).read("x", 110, "1").read("y", 110, "2")});
  ASSERT_EQ(kinds(verdict), (Kinds{K::duplicate_timestamp, K::dirty_write})) << described(verdict);
  EXPECT_EQ(edges(verdict.violations[1]), "T1 -ww-> T2 T2 -ww-> T1");
  finds(K::duplicate_timestamp, "", {1, 2},
        {one, other, T(3).snapshot(110).read("x", 110, "2").read("y", 110, "2")});
  passes({one, T(2).batch().write("x", "2").write("y", "2").commit(111),
          T(3).snapshot(111).read("x", 111, "2").read("y", 111, "2")});
}

TEST(IsolationCheckerTest, aborted_read) {
  finds(K::aborted_read, "", {2, 1},
        {T(1).write("x", "1").aborted(), T(2).snapshot(120).read("x", 110, "1"),
         T(3).write("y").commit(105)});
  finds(K::aborted_read, "", {2, 1},
        {T(1).write("x").commit(110).aborted(), T(2).snapshot(120).read("x", 110)});
  // Its timestamp says nothing; its value does.
  finds(K::aborted_read, "", {2, 1},
        {T(1).write("x", "1").aborted(), T(2).snapshot(120).read("x", 0, "1"),
         T(3).write("x", "3").commit(105)});
  passes({T(1).write("x", "1").aborted(), T(2).snapshot(120).absent("x")});
}

TEST(IsolationCheckerTest, intermediate_read) {
  const T writer = T(1).write("x", "1").write("x", "2").commit(110);
  finds(K::intermediate_read, "", {2, 1}, {writer, T(2).snapshot(110).read("x", 110, "1")});
  finds(K::intermediate_read, "", {2, 1}, {writer, T(2).snapshot(110).read("x", 0, "1")});
  passes({writer, T(2).snapshot(110).read("x", 110, "2"), T(3).snapshot(110).read("x", 0, "2")});
}

TEST(IsolationCheckerTest, circular_information_flow) {
  finds(K::circular_information_flow, "T1 -wr-> T2 T2 -wr-> T1", {1, 2},
        {T(1).read("y", 120).write("x").commit(110),
         T(2).snapshot(115).read("x", 110).write("y").commit(120)});
  passes({T(1).absent("y").write("x").commit(110),
          T(2).snapshot(115).read("x", 110).write("y").commit(120)});
}

TEST(IsolationCheckerTest, read_skew) {
  const T writer = T(1).write("x").write("y").commit(110);
  finds(K::read_skew, "T1 -wr-> T2 T2 -rw-> T1", {1, 2},
        {writer, T(2).snapshot(110).read("x", 50).read("y", 110)});
  finds(K::read_skew, "T1 -wr-> T2 T2 -rw-> T1", {1, 2},
        {writer, T(2).snapshot(110).absent("x").scan(range("y", "z", {{"y", 110}}))});
  // One that aborted is in no cycle.
  finds(K::read_skew, "", {2, 1},
        {writer, T(2).snapshot(110).read("x", 50).read("y", 110).aborted()});
  passes({writer, T(2).read("x", 50).read("y", 50), T(3).snapshot(110).read("x", 110)});
}

TEST(IsolationCheckerTest, non_repeatable_read) {
  const T writer = T(1).write("x").commit(110);
  finds(K::non_repeatable_read, "T1 -wr-> T2 T2 -rw-> T1", {1, 2},
        {writer, T(2).snapshot(110).read("x", 50).read("x", 110)});
  passes({writer, T(2).snapshot(110).read("x", 110).read("x", 110)});
}

TEST(IsolationCheckerTest, stale_read) {
  const T writer = T(1).write("x").commit(110);
  finds(K::stale_read, "", {2, 1}, {writer, T(2).snapshot(110).read("x", 50)});
  finds(K::stale_read, "", {2, 1}, {writer, T(2).snapshot(110).absent("x")});
  finds(K::stale_read, "", {2, 1}, {writer, T(2).snapshot(110).absent("x").aborted()});
  passes({writer, T(2).snapshot(109).read("x", 50)});
}

TEST(IsolationCheckerTest, future_read) {
  finds(K::future_read, "", {2, 1},
        {T(1).write("x").commit(110), T(2).snapshot(109).read("x", 110)});
  passes({T(1).write("x").commit(110), T(2).snapshot(110).read("x", 110)});
}

TEST(IsolationCheckerTest, read_of_a_version_nobody_wrote) {
  const T writer = T(1).write("x", "1").commit(110);
  finds(K::unwritten_read, "", {2}, {writer, T(2).snapshot(120).read("x", 115)});
  finds(K::unwritten_read, "", {2}, {writer, T(2).snapshot(120).read("y", 110)});
  finds(K::unwritten_read, "", {2}, {writer, T(2).snapshot(120).read("x", 110, "other")});
  finds(K::unwritten_read, "", {2}, {writer, T(2).snapshot(120).read("x", 0, "other")});
  finds(K::unwritten_read, "", {2},
        {writer, T(3).snapshot(110).erase("x").commit(115), T(2).snapshot(120).read("x", 115)});
  passes({writer, T(2).snapshot(120).read("x", 110)});
}

TEST(IsolationCheckerTest, own_write_missed) {
  finds(K::own_write_missed, "", {1}, {T(1).write("x", "1").absent("x").commit(110)});
  finds(K::own_write_missed, "", {1}, {T(1).write("x", "1").read("x", 50).commit(110)});
  finds(K::own_write_missed, "", {1},
        {T(1).op(Op::read_own("x", "1")).write("x", "1").commit(110)});
  finds(K::own_write_missed, "", {1},
        {T(1).write("x", "1").write("x", "2").op(Op::read_own("x", "1")).commit(110)});
  finds(K::own_write_missed, "", {1}, {T(1).erase("x").op(Op::read_own("x", "1")).commit(110)});
  finds(K::own_write_missed, "", {1}, {T(1).write("x").scan(range("a", "z", {})).commit(110)});
  finds(K::own_write_missed, "", {1},
        {T(1).write("x").scan(range("", "", {{"x", 50}})).commit(110)});
  ScanRecord own;
  own.rows.push_back({.key = "x", .version = {}, .own = true, .value = "2"});
  passes({T(1).write("x", "1")
              .write("x", "2")
              .op(Op::read_own("x", "2"))
              .scan(own)
              .erase("x")
              .op(Op::read_own("x", std::nullopt))
              .scan(range("", "", {}))
              .commit(110)});
}

TEST(IsolationCheckerTest, phantoms) {
  const T writer = T(1).write("b").erase("d").commit(110);
  const T load = T(9).batch().write("d").write("e").commit(60);
  // It saw that d was erased.
  finds(K::missing_phantom, "T1 -wr (range)-> T2 T2 -rw (range)-> T1", {1, 2},
        {load, writer, T(2).snapshot(110).scan(range("a", "z", {{"e", 60}}))});
  finds(K::missing_phantom, "", {2, 1},
        {load, writer, T(2).snapshot(110).scan(range("a", "c", {}))});
  finds(K::extra_phantom, "", {2, 1},
        {load, writer, T(2).snapshot(110).scan(range("c", "z", {{"d", 60}, {"e", 60}}))});
  finds(K::missing_phantom, "T9 -wr-> T2 T2 -rw (range)-> T9", {9, 2},
        {load, T(2).scan(range("a", "", {{"d", 60}}))});
  passes({load, writer, T(2).snapshot(110).scan(range("a", "z", {{"b", 110}, {"e", 60}})),
          T(3).scan(range("", "", {{"d", 60}, {"e", 60}})), T(4).scan(range("a", "d", {}))});
}

TEST(IsolationCheckerTest, what_a_scan_covered_is_exact) {
  const T a = T(7).batch().write("a").commit(60);
  const T b = T(8).batch().write("b").commit(60 + 1);
  const T c = T(9).batch().write("c").commit(60 + 2);
  const auto scan = [](const std::vector<std::string>& keys, bool reverse,
                       std::optional<uint64_t> limit, std::optional<std::string> ended_at) {
    ScanRecord scan;
    for (const std::string& key : keys) {
      scan.rows.push_back({.key = key, .version = {60u + key[0] - 'a'}, .own = false, .value = {}});
    }
    scan.reverse = reverse;
    scan.limit = limit;
    scan.ended_at = std::move(ended_at);
    return T(2).scan(std::move(scan));
  };
  passes({a, b, c, scan({"a", "b", "c"}, false, {}, {})});
  passes({a, b, c, scan({"c", "b", "a"}, true, {}, {})});
  passes({a, b, c, scan({"a", "b"}, false, 2, {})});
  passes({a, b, c, scan({"c", "b"}, true, 2, {})});
  passes({a, b, c, scan({"a"}, false, {}, "a")});
  passes({a, b, c, scan({"c"}, true, {}, "bb")});
  passes({a, b, c, scan({}, false, 0, {})});
  finds(K::missing_phantom, "", {2, 9}, {a, b, c, scan({"a", "b"}, false, 3, {})});
  finds(K::missing_phantom, "", {2, 9}, {a, b, c, scan({"b", "a"}, true, {}, {})});
  finds(K::missing_phantom, "", {2, 8}, {a, b, c, scan({"a"}, false, {}, "b")});
  finds(K::missing_phantom, "", {2, 8}, {a, b, c, scan({"c"}, true, {}, "b")});
  finds(K::missing_phantom, "", {2, 8}, {a, b, c, scan({"a", "c"}, false, 2, {})});
  finds(K::scan_disorder, "", {2}, {a, b, c, scan({"a", "c", "b"}, false, {}, {})});
  finds(K::scan_disorder, "", {2}, {a, b, c, scan({"a", "b", "c"}, true, {}, {})});
  finds(K::scan_disorder, "", {2}, {a, b, c, scan({"a", "b", "b", "c"}, false, {}, {})});
  finds(K::scan_disorder, "", {2}, {a, b, c, scan({"a", "b"}, false, {}, "a")});
  finds(K::scan_disorder, "", {2}, {a, b, c, T(2).scan(range("b", "c", {{"b", 61}, {"c", 62}}))});
  finds(K::scan_disorder, "", {2}, {a, b, c, T(2).scan(range("b", "c", {{"a", 60}, {"b", 61}}))});
}

TEST(IsolationCheckerTest, lost_update) {
  const T one = T(1).read("x", 50).write("x").commit(110);
  finds(K::lost_update, "T1 -ww-> T2 T2 -rw-> T1", {1, 2},
        {one, T(2).read("x", 50).write("x").commit(120)});
  finds(K::lost_update, "T1 -ww-> T2 T2 -rw-> T1", {1, 2},
        {one, T(2).scan(range("x", "y", {{"x", 50}})).write("x").commit(120)});
  passes({one, T(2).read("x", 50).write("x").commit(120).aborted(),
          T(3).snapshot(110).read("x", 110).write("x").commit(130)});
}

TEST(IsolationCheckerTest, missed_conflict) {
  finds(K::missed_conflict, "", {2, 1}, {T(1).write("x").commit(110), T(2).write("x").commit(120)});
  finds(K::missed_conflict, "", {2, 1}, {T(1).erase("x").commit(110), T(2).erase("x").commit(120)});
  // A batch has no snapshot that it could conflict with; but others conflict with it.
  finds(K::missed_conflict, "", {2, 1},
        {T(1).batch().write("x").commit(110), T(2).write("x").commit(120)});
  passes({T(1).write("x").commit(110), T(2).batch().write("x").commit(120),
          T(3).snapshot(120).write("x").commit(130)});
}

TEST(IsolationCheckerTest, read_for_update) {
  Op read = Op::read("x", kOld);
  read.for_update = true;
  const T writer = T(1).write("x").commit(110);
  finds(K::missed_conflict, "", {2, 1}, {writer, T(2).op(read).write("y").commit(120)});
  finds(K::lost_update, "T1 -ww-> T2 T2 -rw-> T1", {1, 2},
        {writer, T(2).op(read).write("x").commit(120)});
  passes({writer, T(2).op(read), T(3).op(read).write("y").commit(109),
          T(4).op(read).write("z").commit(120).aborted()});
}

// varve's own promise: more than that there be no cycle.
TEST(IsolationCheckerTest, outdated_reads) {
  const auto outdated = [](const std::vector<T>& transactions) {
    History history;
    for (const T& transaction : transactions) EXPECT_OK(history.add(transaction.record));
    const Verdict verdict = verify_history(history, {.outdated_reads = true});
    EXPECT_EQ(kinds(verdict).size(), verdict.count(K::outdated_read)) << described(verdict);
    return verdict.count(K::outdated_read);
  };
  const T writer = T(1).batch().write("x").commit(110);
  const T reader = T(2).read("x", 50).write("y").commit(120);
  passes({writer, reader});
  EXPECT_EQ(outdated({writer, reader}), 1u);
  EXPECT_EQ(outdated({T(1).write("x").commit(110).at_snapshot_level(), reader}), 1u);
  EXPECT_EQ(outdated({T(1).read("x", 50).erase("x").commit(110), reader}), 1u);
  const T absent = T(2).absent("x").write("y").commit(120);
  const T scan = T(2).scan(range("w", "y", {})).write("y").commit(120);
  EXPECT_EQ(outdated({writer, absent}), 1u);
  EXPECT_EQ(outdated({writer, scan}), 1u);
  EXPECT_EQ(outdated({writer, T(2).scan(range("y", "z", {})).write("y").commit(120)}), 0u);
  // Nobody can see an erase of what is not there.
  EXPECT_EQ(outdated({T(1).batch().erase("x").commit(110), scan}), 0u);
  // It wrote nothing, or not at that level, or before, or not at all.
  EXPECT_EQ(outdated({writer, T(2).read("x", 50), T(3).absent("q").write("q").commit(109),
                      T(4).read("x", 50).write("z").commit(121).at_snapshot_level(),
                      T(5).read("x", 50).write("z").aborted(),
                      T(6).read("x", 50).write("p").commit(108)}),
            0u);
  EXPECT_EQ(outdated({writer, T(2).snapshot(110).read("x", 110).write("y").commit(120)}), 0u);
}

TEST(IsolationCheckerTest, write_skew) {
  const std::vector<T> history = {T(1).read("x", 50).read("y", 50).write("x").commit(110),
                                  T(2).read("x", 50).read("y", 50).write("y").commit(120)};
  finds(K::write_skew, "T1 -rw-> T2 T2 -rw-> T1", {1, 2}, history);
  allows(K::write_skew, "T1 -rw-> T2 T2 -rw-> T1", history);
  passes({T(1).read("x", 50).read("y", 50).write("x").commit(110),
          T(2).read("y", 50).write("y").commit(120)});
}

TEST(IsolationCheckerTest, write_skew_of_three) {
  const std::vector<T> history = {T(1).read("x", 50).write("y").commit(110),
                                  T(2).read("y", 50).write("z").commit(120),
                                  T(3).read("z", 50).write("x").commit(130)};
  finds(K::write_skew, "T1 -rw-> T3 T3 -rw-> T2 T2 -rw-> T1", {1, 3, 2}, history);
  allows(K::write_skew, "T1 -rw-> T3 T3 -rw-> T2 T2 -rw-> T1", history);
}

// Hermitage's G2: both look for what is not there, and make it.
TEST(IsolationCheckerTest, predicate_write_skew) {
  const std::vector<T> history = {T(1).scan(range("a", "m", {})).write("b").commit(110),
                                  T(2).scan(range("a", "m", {})).write("c").commit(120)};
  finds(K::predicate_write_skew, "T1 -rw (range)-> T2 T2 -rw (range)-> T1", {1, 2}, history);
  allows(K::predicate_write_skew, "T1 -rw (range)-> T2 T2 -rw (range)-> T1", history);
  passes({T(1).scan(range("a", "m", {})).write("b").commit(110),
          T(2).scan(range("c", "m", {})).write("c").commit(120)});
  // One by range, one by key.
  finds(K::predicate_write_skew, "T1 -rw (range)-> T2 T2 -rw-> T1", {1, 2},
        {T(1).scan(range("a", "m", {})).write("z").commit(110),
         T(2).read("z", 50).write("b").commit(120)});
}

// A. Fekete, E. O'Neil and P. O'Neil, A Read-Only Transaction Anomaly Under Snapshot Isolation,
// 2004: a deposit, a withdrawal that does not see it, and a statement that sees the deposit alone.
TEST(IsolationCheckerTest, read_only_anomaly) {
  const T deposit = T(1).read("savings", 50).write("savings", "20").commit(110);
  const T withdrawal =
      T(2).read("savings", 50).read("checking", 50).write("checking", "-11").commit(130);
  const T statement = T(3).snapshot(115).read("savings", 110, "20").read("checking", 50);
  finds(K::read_only_anomaly, "T1 -wr-> T3 T3 -rw-> T2 T2 -rw-> T1", {1, 3, 2},
        {deposit, withdrawal, statement});
  allows(K::read_only_anomaly, "T1 -wr-> T3 T3 -rw-> T2 T2 -rw-> T1",
         {deposit, withdrawal, statement});
  passes({deposit, withdrawal});
  passes({deposit, withdrawal, T(3).read("savings", 50).read("checking", 50)});
}

// The statement is in the shortest cycle; but the others would have one without it.
TEST(IsolationCheckerTest, read_only_transaction_that_does_not_matter) {
  finds(K::write_skew, "T1 -wr-> T3 T3 -rw-> T2 T2 -rw-> T1", {1, 3, 2},
        {T(1).read("u", 50).write("y").commit(110),
         T(2).read("y", 50).write("x").write("w").commit(130),
         T(3).snapshot(115).read("y", 110).read("x", 50), T(4).read("v", 50).write("u").commit(140),
         T(5).read("w", 50).write("v").commit(150)});
}

// The same, with a key that the statement does not find any more.
TEST(IsolationCheckerTest, read_only_anomaly_by_a_key_that_is_gone) {
  const T remover = T(1).read("k", 50).erase("k").commit(110);
  const T writer = T(2).read("k", 50).write("z").commit(130);
  finds(K::read_only_anomaly, "T1 -wr (range)-> T3 T3 -rw-> T2 T2 -rw-> T1", {1, 3, 2},
        {remover, writer, T(3).snapshot(115).scan(range("a", "m", {})).absent("z")});
  passes({remover, writer, T(3).snapshot(115).scan(range("l", "m", {})).absent("z")});
}

// Two readers see two writes in different orders.
TEST(IsolationCheckerTest, long_fork) {
  finds(K::long_fork, "T1 -wr-> T3 T3 -rw-> T2 T2 -wr-> T4 T4 -rw-> T1", {1, 3, 2, 4},
        {T(1).write("x").commit(110), T(2).write("y").commit(120),
         T(3).snapshot(110).read("x", 110).read("y", 50),
         T(4).snapshot(120).read("x", 50).read("y", 120)});
  passes({T(1).write("x").commit(110), T(2).write("y").commit(120),
          T(3).snapshot(110).read("x", 110).read("y", 50),
          T(4).snapshot(120).read("x", 110).read("y", 120)});
}

TEST(IsolationCheckerTest, real_time) {
  const T writer = T(1).write("x").commit(110).between(10, 20);
  finds(K::real_time_violation, "", {2, 1}, {writer, T(2).read("x", 50).between(21, 30)});
  passes({writer, T(2).read("x", 50).between(20, 30), T(3).snapshot(110).between(21, 30)});
  passes({writer, T(2).read("x", 50)});  // no times: the past, on purpose
  // What one who is done has seen, others see too.
  finds(K::real_time_violation, "", {3, 2},
        {writer, T(2).snapshot(110).read("x", 110).between(12, 14),
         T(3).read("x", 50).between(15, 16)});
  // A batch is written on top of what was acknowledged.
  finds(K::real_time_violation, "", {2, 1},
        {writer, T(2).batch().write("y").commit(105).between(21, 22)});
  passes({writer, T(2).batch().write("y").commit(115).between(21, 22)});
  // Nobody acknowledged this, though it did commit.
  passes({T(1).write("x").commit(110).between(10, 20).unknown(), T(2).between(21, 30).absent("x"),
          T(3).snapshot(110).read("x", 110)});
  passes({T(1).write("x").commit(110).between(10, 20).unknown(), T(2).between(21, 30).absent("x")});
}

TEST(IsolationCheckerTest, commit_timestamps) {
  finds(K::duplicate_timestamp, "", {1, 2},
        {T(1).write("x").commit(110), T(2).write("y").commit(110)});
  finds(K::timestamp_order, "", {1}, {T(1).write("x").commit(100)});
  passes({T(1).write("x").commit(101), T(2).write("y").commit(102)});
}

TEST(IsolationCheckerTest, unknown_outcome_may_be_either) {
  const T writer = T(1).write("x", "1").write("y", "1").commit(110).unknown();
  const T no_time = T(1).write("x", "1").write("y", "1").unknown();
  passes({writer, T(2).snapshot(120).absent("x").absent("y")});
  passes({writer, T(2).snapshot(120).read("x", 110).read("y", 110)});
  passes({no_time, T(2).snapshot(120).absent("x").absent("y")});
  passes({no_time, T(2).snapshot(120).read("x", 110, "1").read("y", 110, "1")});
  // Who was seen once has committed, with all that it wrote.
  for (const T& unknown : {writer, no_time}) {
    finds(K::read_skew, "T1 -wr-> T2 T2 -rw-> T1", {1, 2},
          {unknown, T(2).snapshot(120).read("x", 110).absent("y"), T(3).write("z").commit(105)});
    finds(K::stale_read, "", {3, 1},
          {unknown, T(2).snapshot(120).read("x", 110, "1"), T(3).snapshot(120).absent("x")});
  }
  // One that is found to have committed shows that another version is not from before the history.
  passes({T(1).write("x").commit(110).unknown(), T(2).write("y").unknown(),
          T(3).snapshot(120).read("x", 110).read("y", 115)});
  // The only commit that there is.
  finds(K::read_skew, "T1 -wr-> T2 T2 -rw-> T1", {1, 2},
        {writer, T(2).snapshot(120).read("x", 110).absent("y")});
  // Two that could have written it: nobody knows.
  passes({T(1).write("x").write("y").unknown(), T(2).write("x").unknown(),
          T(3).snapshot(120).read("x", 110).absent("y"), T(4).write("z").commit(105)});
  finds(K::unwritten_read, "", {2},
        {no_time, T(2).snapshot(120).read("x", 110, "2"), T(4).write("z").commit(105)});
}

TEST(IsolationCheckerTest, unknown_erase_may_explain_an_absence) {
  const T load = T(9).batch().write("x").write("y").commit(60);
  passes({load, T(1).erase("x").unknown(), T(2).snapshot(120).absent("x"),
          T(3).snapshot(120).read("x", 60), T(4).snapshot(120).scan(range("", "", {{"y", 60}}))});
  finds(K::stale_read, "", {2, 9},
        {load, T(1).erase("x").commit(130).unknown(), T(2).snapshot(120).absent("x")});
}

TEST(IsolationCheckerTest, state_before_the_history) {
  const T writer = T(1).write("x").commit(110);
  passes({writer, T(2).read("x", 50).read("y", 70), T(3).read("x", 50).read("y", 70)});
  finds(K::stale_read, "", {2}, {writer, T(2).read("y", 60), T(3).read("y", 70)});
  finds(K::stale_read, "", {2}, {writer, T(2).absent("y"), T(3).read("y", 70)});
  finds(K::missing_phantom, "", {2}, {writer, T(2).scan(range("", "", {})), T(3).read("y", 70)});
  finds(K::unwritten_read, "", {3}, {writer, T(2).read("y", 70, "1"), T(3).read("y", 70, "2")});
  // Before its time.
  passes({writer, T(2).snapshot(69).absent("y"), T(3).read("y", 70)});
  // Not before the history.
  finds(K::unwritten_read, "", {3}, {writer, T(3).snapshot(120).read("y", 115)});
}

TEST(IsolationCheckerTest, collapsed_timestamps) {
  const T writer = T(1).write("x", "1").commit(110);
  // The state before the history.
  passes({writer, T(2).read("x", 0).read("y", 0, "1"), T(3).snapshot(120).read("y", 0, "1")});
  passes({writer, T(2).read("y", 0), T(3).read("y", 60)});
  finds(K::unwritten_read, "", {3}, {writer, T(2).read("y", 0, "1"), T(3).read("y", 0, "2")});
  finds(K::stale_read, "", {3}, {writer, T(2).read("y", 0), T(3).snapshot(120).absent("y")});
  passes({writer, T(2).snapshot(80).read("y", 0), T(3).snapshot(70).absent("y")});
  // A version of the history, told by its value.
  passes({writer, T(2).snapshot(120).read("x", 0, "1")});
  finds(K::stale_read, "", {2}, {writer, T(2).snapshot(120).read("x", 0)});
  finds(K::stale_read, "", {3, 2},
        {writer, T(2).snapshot(110).write("x", "2").commit(120),
         T(3).snapshot(130).read("x", 0, "1")});
  // One of a transaction of unknown outcome, told by its value; the rest of it is there too.
  const T unknown = T(5).snapshot(110).write("x", "5").write("y", "5").erase("z").unknown();
  const T met = T(2).snapshot(130).read("x", 0, "5");
  passes({writer, unknown, met, T(3).snapshot(120).read("x", 110, "1").absent("y")});
  passes(
      {writer, unknown, met, T(3).snapshot(140).read("x", 0, "5").read("y", 0, "5").absent("z")});
  passes({writer, unknown, T(2).snapshot(130).read("y", 125).read("x", 0, "5")});
  finds(K::stale_read, "", {3}, {writer, unknown, met, T(3).snapshot(140).read("x", 110, "1")});
  finds(K::stale_read, "", {3}, {writer, unknown, met, T(3).snapshot(140).absent("y")});
  finds(K::unwritten_read, "", {3}, {writer, unknown, T(3).snapshot(140).read("x", 0, "6")});
  // Older than that transaction's own snapshot: the state before the history.
  passes({writer, unknown, T(3).snapshot(109).read("x", 0, "5")});
  // Half of it was seen, whoever saw the other half later.
  const T half = T(3).snapshot(120).read("y", 0, "5").read("x", 110, "1");
  const T before_y = T(7).snapshot(105).write("y", "0").commit(106);
  for (const std::vector<T>& more : {std::vector<T>{}, {met}}) {
    std::vector<T> history = {writer, before_y, unknown, half};
    history.insert(history.end(), more.begin(), more.end());
    finds(K::stale_read, "", {3}, history);
  }
  // The state before the history may have had that value too.
  passes({T(1).write("z", "1").commit(110), unknown, T(2).snapshot(130).read("x", 0, "5"),
          T(3).snapshot(140).absent("y")});
  // It does not hide who should have lost against whom.
  finds(K::missed_conflict, "", {8, 4},
        {writer, unknown, T(4).snapshot(110).write("x", "4").commit(121), met,
         T(8).snapshot(115).write("x", "8").commit(131)});
  // With its commit timestamp it is as any other.
  finds(K::stale_read, "", {3, 6},
        {writer, T(6).snapshot(110).write("x", "6").write("y", "6").commit(125).unknown(),
         T(2).snapshot(130).read("x", 0, "6"), T(3).snapshot(126).absent("y")});
  // Nothing is known of y: another one wrote it, or may have.
  passes({writer, unknown, met, T(3).snapshot(115).write("y", "3").commit(120),
          T(4).snapshot(140).read("y", 120, "3")});
  passes({writer, unknown, met, T(3).snapshot(115).erase("y").unknown(),
          T(4).snapshot(140).absent("y")});
  // Several may have written it.
  passes({writer, T(5).snapshot(110).write("x", "5").write("y", "5").unknown(),
          T(6).snapshot(110).write("x", "5").unknown(), met, T(4).snapshot(140).absent("y")});
  // Nobody lost an update: it only has no timestamp.
  passes({T(1).snapshot(90).absent("z").write("y").commit(110), T(2).read("y", 0)});
}

// Promised is serializability among those that ask for it.
TEST(IsolationCheckerTest, levels_mix) {
  const std::vector<T> mixed = {
      T(1).read("x", 50).read("y", 50).write("x").commit(110),
      T(2).read("x", 50).read("y", 50).write("y").commit(120).at_snapshot_level()};
  const Verdict verdict = verdict_of(mixed);
  EXPECT_TRUE(verdict.ok()) << described(verdict);
  EXPECT_EQ(verdict.allowed(K::write_skew), 1u);
  // One of the other level wrote a version in between: who wrote later still comes later.
  finds(K::write_skew, "T1 -rw-> T2 T2 -rw-> T1", {1, 2},
        {T(1).read("y", 50).write("p").commit(118), T(4).write("y").commit(115).at_snapshot_level(),
         T(2).snapshot(116).absent("p").write("y").commit(120)});
  // And who read that version, later than who wrote before it.
  finds(
      K::read_only_anomaly, "T1 -wr-> T3 T3 -rw-> T2 T2 -rw-> T1", {1, 3, 2},
      {T(1).write("x").commit(105), T(4).snapshot(105).write("x").commit(106).at_snapshot_level(),
       T(2).read("x", 50).write("z").commit(130), T(3).snapshot(115).read("x", 106).read("z", 50)});
}

// An erase of what is not there changes nothing, so it orders nobody who read.
TEST(IsolationCheckerTest, erase_of_an_absent_key_is_no_dependency) {
  passes({T(1).absent("x").read("y", 50).erase("z").write("x").commit(110),
          T(2).absent("z").write("y").commit(120)});
  finds(K::write_skew, "T1 -rw-> T2 T2 -rw-> T1", {1, 2},
        {T(1).absent("x").read("y", 50).write("z").write("x").commit(110),
         T(2).absent("z").write("y").commit(120)});
}

TEST(IsolationCheckerTest, keyspaces_are_apart) {
  Op other = Op::write("x", "1");
  other.keyspace = {7};
  Op read = Op::read("x", {110}, "1");
  read.keyspace = {7};
  passes({T(1).op(other).commit(110),
          T(2).snapshot(110).op(read).absent("x").scan(range("", "", {}))});
  Op scan = Op::scanned(range("", "", {}));
  scan.keyspace = {7};
  finds(K::missing_phantom, "", {2, 1}, {T(1).op(other).commit(110), T(2).snapshot(110).op(scan)});
  scan.keyspace = {6};
  passes({T(1).op(other).commit(110), T(2).snapshot(110).op(scan)});
}

TEST(IsolationCheckerTest, counts_all_and_describes_the_first) {
  std::vector<T> transactions = {T(1).write("x").commit(110)};
  for (uint64_t id = 2; id < 40; ++id) transactions.push_back(T(id).snapshot(110).absent("x"));
  History history;
  for (const T& transaction : transactions) ASSERT_OK(history.add(transaction.record));
  const Verdict verdict = verify_history(history, {.described_max = 3});
  EXPECT_EQ(verdict.count(K::stale_read), 38u);
  EXPECT_EQ(verdict.violations.size(), 3u);
  EXPECT_FALSE(verify_history(history, {.described_max = 0}).ok());
  EXPECT_EQ(verdict.figures.transactions, 39u);
  EXPECT_EQ(verdict.figures.committed, 39u);
  EXPECT_EQ(verdict.figures.reads, 38u);
  EXPECT_EQ(verdict.figures.writes, 1u);
}

TEST(IsolationCheckerTest, two_writes_of_a_value_are_told_apart_by_timestamp) {
  finds(K::stale_read, "", {3, 2},
        {T(1).write("x", "1").commit(110), T(2).snapshot(110).write("x", "1").commit(120),
         T(3).snapshot(120).read("x", 110, "1")});
}

TEST(IsolationCheckerTest, empty_history_passes) {
  passes({});
  passes({T(1), T(2).aborted(), T(3).unknown()});
}

}  // namespace
}  // namespace varve::test
