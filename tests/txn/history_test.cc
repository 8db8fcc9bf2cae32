// Histories as such: what is taken, what is refused, recording from threads, the two text forms.

#include "varve/history.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/status_check.h"

namespace varve::test {
namespace {

TransactionRecord writer(uint64_t id) {
  TransactionRecord record;
  record.id = id;
  record.session = id % 7;
  record.snapshot = Timestamp{id * 10};
  record.commit = Timestamp{id * 10 + 5};
  record.operations.push_back(OperationRecord::write("k" + std::to_string(id), "v"));
  return record;
}

// One of everything.
TransactionRecord rich() {
  TransactionRecord record;
  record.id = 7;
  record.session = 3;
  record.isolation = RecordedIsolation::serializable;
  record.begin_nanos = 10;
  record.end_nanos = 25;
  record.snapshot = Timestamp{100};
  record.commit = Timestamp{UINT64_MAX};
  record.operations.push_back(OperationRecord::read("a", {90}, "1"));
  record.operations.push_back(OperationRecord::read("b", {0}));
  record.operations.push_back(OperationRecord::read_absent("c"));
  record.operations.push_back(OperationRecord::write("quote\"\n\x01", "\xff"));
  record.operations.push_back(OperationRecord::read_own("quote\"\n\x01", "\xff"));
  record.operations.push_back(OperationRecord::erase("\xc3\x28"));
  record.operations.push_back(OperationRecord::read_own("\xc3\x28", std::nullopt));
  record.operations.back().keyspace = {9};
  ScanRecord scan;
  scan.lower = "a";
  scan.upper = "\xfe";
  scan.reverse = true;
  scan.ended_at = "b";
  scan.rows.push_back({.key = "q", .version = {}, .own = true, .value = "x"});
  scan.rows.push_back({.key = "b", .version = {90}, .own = false, .value = {}});
  record.operations.push_back(OperationRecord::scanned(std::move(scan)));
  record.operations.back().keyspace = {2};
  return record;
}

template <typename Writer>
std::string text_of(const History& history, const Writer& write) {
  std::string text;
  EXPECT_OK(write(history, [&](std::string_view piece) {
    text += piece;
    return Status();
  }));
  return text;
}

TEST(HistoryTest, json_lines) {
  History history;
  ASSERT_OK(history.add(rich()));
  EXPECT_EQ(
      text_of(history, write_history_json),
      R"({"id":7,"session":3,"isolation":"serializable","outcome":"committed","begin":10,"end":25,)"
      R"("snapshot":100,"commit":18446744073709551615,"operations":[)"
      R"({"read":"a","version":90,"value":"1"},{"read":"b","version":0},{"read":"c","found":false},)"
      R"({"write":"quote\"\n\u0001","value_hex":"ff"},)"
      R"({"read":"quote\"\n\u0001","own":true,"value_hex":"ff"},{"erase_hex":"c328"},)"
      R"({"read_hex":"c328","own":true,"found":false,"keyspace":9},)"
      R"({"scan":"reverse","from":"a","to_hex":"fe","ended_at":"b","rows":[)"
      R"({"key":"q","own":true,"value":"x"},{"key":"b","version":90}],"keyspace":2}]})"
      "\n");
}

TEST(HistoryTest, edn) {
  History history;
  ASSERT_OK(history.add(rich()));
  TransactionRecord other = writer(8);
  other.begin_nanos = 5;
  other.end_nanos = 12;
  other.outcome = RecordedOutcome::unknown;
  other.commit.reset();
  ASSERT_OK(history.add(other));
  EXPECT_EQ(
      text_of(history, write_history_edn),
      R"({:index 0, :type :invoke, :process 1, :time 5, :f :txn, :value [[:w "k8" "v"]]})"
      "\n"
      R"({:index 1, :type :invoke, :process 3, :time 10, :f :txn, :value [)"
      R"([:r "a" nil] [:r "b" nil] [:r "c" nil] [:w "quote\"\n\u0001" #varve/hex "ff"] )"
      R"([:r "quote\"\n\u0001" nil] [:w #varve/hex "c328" nil] [:r [9 #varve/hex "c328"] nil] )"
      R"([:range {:keyspace 2, :from "a", :to #varve/hex "fe", :reverse true} nil]]})"
      "\n"
      R"({:index 2, :type :info, :process 1, :time 12, :f :txn, :value [[:w "k8" "v"]], :id 8, )"
      R"(:isolation :snapshot, :snapshot 80, :versions [nil]})"
      "\n"
      R"({:index 3, :type :ok, :process 3, :time 25, :f :txn, :value [)"
      R"([:r "a" "1"] [:r "b" :unrecorded] [:r "c" nil] [:w "quote\"\n\u0001" #varve/hex "ff"] )"
      R"([:r "quote\"\n\u0001" #varve/hex "ff"] [:w #varve/hex "c328" nil] )"
      R"([:r [9 #varve/hex "c328"] nil] [:range {:keyspace 2, :from "a", :to #varve/hex "fe", )"
      R"(:reverse true, :ended-at "b"} [["q" "x"] ["b" :unrecorded]]]], :id 7, )"
      R"(:isolation :serializable, :snapshot 100, :commit 18446744073709551615, )"
      R"(:versions [90 0 nil nil :own nil :own [:own 90]]})"
      "\n");
}

TEST(HistoryTest, a_failing_sink_ends_the_writing) {
  History history;
  for (uint64_t id = 1; id < 5000; ++id) ASSERT_OK(history.add(writer(id)));
  for (const auto write : {write_history_json, write_history_edn}) {
    int calls = 0;
    const Status status = write(history, [&](std::string_view) {
      ++calls;
      return Status::no_space("full");
    });
    EXPECT_EQ(status.code(), StatusCode::no_space);
    EXPECT_EQ(calls, 1);
  }
}

TEST(HistoryTest, refuses_what_one_record_shows_to_be_wrong) {
  History history;
  ASSERT_OK(history.add(writer(1)));
  const auto refused = [&](const TransactionRecord& record, const std::string& message) {
    const Status status = history.add(record);
    EXPECT_EQ(status.code(), StatusCode::invalid_argument);
    EXPECT_NE(status.message().find(message), std::string::npos) << status.message();
    EXPECT_EQ(history.size(), 1u);
  };
  refused(writer(1), "its id was given");
  TransactionRecord record = writer(2);
  record.commit.reset();
  refused(record, "needs a commit timestamp");
  record = writer(2);
  record.commit = kTimestampMin;
  refused(record, "commit timestamp is 0");
  record = writer(2);
  record.snapshot.reset();
  record.operations.push_back(OperationRecord::read_absent("x"));
  refused(record, "needs a snapshot");
  record = writer(2);
  record.operations.push_back(OperationRecord::erase(""));
  refused(record, "empty key");
  record = writer(2);
  record.begin_nanos = 3;
  refused(record, "ends before it begins");
  record = writer(2);
  ScanRecord scan;
  scan.limit = 0;
  scan.rows.push_back({.key = "x", .version = {1}, .own = false, .value = {}});
  record.operations.push_back(OperationRecord::scanned(scan));
  refused(record, "more than its limit");
  record.operations.pop_back();
  scan.limit = 1;
  scan.rows[0].key = "";
  record.operations.push_back(OperationRecord::scanned(scan));
  refused(record, "empty key");
}

TEST(HistoryTest, recorder_takes_from_many_threads) {
  HistoryRecorder recorder;
  constexpr uint64_t kThreads = 8;
  constexpr uint64_t kEach = 500;
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t i = 0; i < kEach; ++i) recorder.record(writer(1 + i * kThreads + thread));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Result<History> history = recorder.take();
  ASSERT_OK(history);
  ASSERT_EQ(history->size(), kThreads * kEach);
  for (size_t i = 0; i < history->size(); ++i) EXPECT_EQ(history->transaction(i).id, i + 1);
  EXPECT_TRUE(verify_history(*history).ok());
  EXPECT_EQ(recorder.take()->size(), 0u);
  recorder.record(writer(1));
  recorder.record(writer(1));
  EXPECT_EQ(recorder.take().status().code(), StatusCode::invalid_argument);
}

}  // namespace
}  // namespace varve::test
