// `varve verify-history`: verdicts, both text forms and their round trip, input that is no history.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/history_simulator.h"
#include "tests/support/status_check.h"
#include "tests/tools/varve_cli_fixture.h"
#include "varve/history.h"

namespace varve::tools {
namespace {

using test::Outcome;
using test::write_file;

// Two withdrawals that each saw the other account full. `level`: of both.
std::string write_skew(const std::string& level) {
  std::string text =
      R"({"id":1,"isolation":"LEVEL","outcome":"committed","snapshot":100,"commit":110,)"
      R"("operations":[{"read":"x","version":50},{"read":"y","version":50},{"write":"x","value":"0"}]})"
      "\n\n"
      R"({"id":2,"isolation":"LEVEL","outcome":"committed","snapshot":100,"commit":120,)"
      R"("operations":[{"read":"x","version":50},{"read":"y","version":50},{"write":"y","value":"0"}]})"
      "\n";
  for (size_t at; (at = text.find("LEVEL")) != std::string::npos;) text.replace(at, 5, level);
  return text;
}

std::string random_history(uint64_t seed, bool values) {
  const test::SimulatorOptions options{.transactions = 300, .scans = 0.3, .record_values = values};
  History history;
  for (TransactionRecord& record : test::HistorySimulator(options, seed).run()) {
    for (OperationRecord& operation : record.operations) {
      if (record.id % 3 == 0) operation.keyspace = {static_cast<uint32_t>(record.id % 2)};
    }
    EXPECT_OK(history.add(record));
  }
  std::string text;
  EXPECT_OK(write_history_json(history, [&](std::string_view piece) {
    text += piece;
    return Status();
  }));
  return text;
}

TEST_F(VarveCli, VerifyHistoryPassesWhatIsRight) {
  const std::string text = ok({"verify-history", "-"}, write_skew("snapshot"));
  EXPECT_NE(text.find("2 transactions: 2 committed, 0 aborted, 0 unknown"), std::string::npos)
      << text;
  EXPECT_NE(text.find("1 x write skew (G2-item)"), std::string::npos) << text;
  EXPECT_NE(text.find("isolation was kept"), std::string::npos) << text;
  const json verdict = ok_json({"verify-history", "-", "--json"}, write_skew("snapshot"));
  EXPECT_EQ(verdict["ok"], true);
  EXPECT_EQ(verdict["violations"], json::array());
  EXPECT_EQ(verdict["allowed_counts"], json({{"write skew (G2-item)", 1}}));
  EXPECT_EQ(ok_json({"verify-history", "-", "--json"})["transactions"], 0);
}

TEST_F(VarveCli, VerifyHistoryShowsTheCycle) {
  const std::string path = directory_ / "history";
  write_file(path, write_skew("serializable"));
  const Outcome outcome = run({"verify-history", path});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "");
  EXPECT_NE(outcome.out.find("violation: write skew (G2-item)\n"), std::string::npos);
  EXPECT_NE(outcome.out.find("    T1 -rw-> T2: T1 read key y as it was before T2 wrote it\n"
                             "    T2 -rw-> T1: T2 read key x as it was before T1 wrote it\n"),
            std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("isolation was violated"), std::string::npos);
  const Outcome as_json = run({"verify-history", path, "--json"});
  EXPECT_EQ(as_json.status, 1);
  const json verdict = json::parse(as_json.out, nullptr, false);
  EXPECT_EQ(verdict["ok"], false);
  EXPECT_EQ(verdict["violations"][0]["name"], "write skew (G2-item)");
  EXPECT_EQ(verdict["violations"][0]["transactions"], json({1, 2}));
  EXPECT_EQ(verdict["violations"][0]["cycle"].size(), 2u);
  const Outcome undescribed = run({"verify-history", path, "--describe=0", "--json"});
  EXPECT_EQ(undescribed.status, 1) << "what is not described is counted all the same";
}

TEST_F(VarveCli, VerifyHistoryRoundTripsBothForms) {
  for (const bool values : {true, false}) {
    const std::string lines = random_history(4711, values);
    EXPECT_EQ(ok({"verify-history", "-", "--convert=jsonl"}, lines), lines);
    const std::string edn = ok({"verify-history", "-", "--convert=edn"}, lines);
    EXPECT_EQ(ok({"verify-history", "-", "--convert=edn"}, edn), edn);
    // Transactions are in order of their ends in both.
    EXPECT_EQ(ok({"verify-history", "-", "--convert=jsonl", "--format=edn"}, edn), lines);
  }
}

// One of everything, bytes that are no text included.
TEST_F(VarveCli, VerifyHistoryKeepsAllMembers) {
  const std::string line =
      R"({"id":7,"session":3,"isolation":"serializable","outcome":"unknown","begin":10,"end":25,)"
      R"("snapshot":100,"commit":18446744073709551615,"operations":[)"
      R"({"read":"a","version":90,"value":"1"},{"read":"b","version":0},)"
      R"({"read":"c","found":false,"for_update":true},)"
      R"({"write":"quote\"\n\u0001","value_hex":"ff"},)"
      R"({"read":"quote\"\n\u0001","own":true,"value_hex":"ff"},{"erase_hex":"c328"},)"
      R"({"read_hex":"c328","own":true,"found":false,"keyspace":9},{"write":"w"},)"
      R"({"scan":"forward","limit":0,"rows":[]},)"
      R"({"scan":"reverse","from":"a","to_hex":"fe","ended_at":"b","rows":[)"
      R"({"key":"q","own":true,"value":"x"},{"key":"b","version":90}],"keyspace":2}]})"
      "\n";
  EXPECT_EQ(ok({"verify-history", "-", "--convert=jsonl"}, line), line);
  const std::string edn = ok({"verify-history", "-", "--convert=edn"}, line);
  EXPECT_EQ(ok({"verify-history", "-", "--convert=jsonl"}, edn), line);
}

TEST_F(VarveCli, VerifyHistoryReadsWhatJepsenPrints) {
  const std::string edn =
      "; a history\n"
      "[#jepsen.history.Op{:index 0, :type :invoke, :process 0, :time 1, :f :txn,\n"
      "  :value [[:r 1 nil] [:w \"x}\" \"a\\\"\\u00e9\"]]} ; comment }\n"
      "{:index 1 :type :info :process :nemesis :f :start :value #{:a 1.5 \\} sym} :time 2}\n"
      "{:index 2 :type :invoke :process 1 :time 2 :f :txn :value [[:w \"y\" 5] [:r 1 nil]]},\n"
      "{:type :ok, :process 0, :time 3, :f :txn, :value [[:r 1 nil] [:w \"x}\" "
      "\"a\\\"\\u00e9\"]],\n"
      " :id 1, :isolation :snapshot, :snapshot 10, :commit 20, :versions [nil nil]}]\n";
  EXPECT_EQ(ok({"verify-history", "-", "--convert=jsonl"}, edn),
            R"({"id":1,"session":0,"isolation":"snapshot","outcome":"committed","begin":1,"end":3,)"
            R"("snapshot":10,"commit":20,"operations":[{"read":"1","found":false},)"
            "{\"write\":\"x}\",\"value\":\"a\\\"\xc3\xa9\"}]}\n"
            R"({"id":18446744073709551615,"session":1,"isolation":"snapshot","outcome":"unknown",)"
            R"("begin":2,"end":2,"operations":[{"write":"y","value":"5"}]})"
            "\n");
}

TEST_F(VarveCli, VerifyHistoryRefusesBadJson) {
  const std::string good =
      R"({"id":9,"isolation":"snapshot","outcome":"aborted","snapshot":1,"operations":[]})"
      "\n";
  const auto refused = [&](const std::string& line, const std::string& message) {
    fails(2, "standard input:2: " + message, {"verify-history", "-", "--format=jsonl"},
          good + line + "\n");
  };
  const auto operation = [](const std::string& text) {
    return R"({"id":1,"isolation":"snapshot","outcome":"committed","snapshot":5,"commit":9,)"
           R"("operations":[)" +
           text + "]}";
  };
  refused("{\"id\":1", "not JSON, at byte");
  refused("[1]", "expected an object");
  refused("\"\xff\"", "not JSON");
  refused("{}", "the member \"id\" is missing");
  refused(R"({"id":1,"isolation":"snapshot","outcome":"committed"})", "the member \"operations\"");
  refused(R"({"id":-1})", "\"id\": expected a whole number");
  refused(R"({"id":1.5})", "\"id\": expected a whole number");
  refused(R"({"id":18446744073709551616})", "\"id\": expected a whole number");
  refused(R"({"isolation":"strict"})", "\"isolation\": expected \"snapshot\"");
  refused(R"({"outcome":3})", "\"outcome\": expected a string");
  refused(R"({"nonsense":3})", "unknown member \"nonsense\"");
  refused(good.substr(0, good.size() - 1), "transaction 9: its id was given");
  refused(operation("3"), "\"operations\": expected objects");
  refused(operation("{}"), "an operation has \"read\"");
  refused(operation(R"({"read":"x","write":"x"})"), "an operation is one of");
  refused(operation(R"({"read":"x"})"), "a read has \"version\"");
  refused(operation(R"({"read":"x","found":false,"version":1})"), "a read has \"version\" only");
  refused(operation(R"({"read":"x","found":false,"value":"v"})"), "a read found nothing");
  refused(operation(R"({"read":"x","version":1,"rows":[]})"),
          "\"from\", \"to\", \"limit\", \"ended_at\" and \"rows\" are of scans");
  refused(operation(R"({"write":"x","version":1})"),
          "\"version\", \"found\", \"own\" and \"for_update\" are of reads");
  refused(operation(R"({"erase":"x","value":"1"})"), "\"value\" is of reads and writes");
  refused(operation(R"({"write_hex":"0g"})"), "\"write_hex\": ");
  refused(operation(R"({"write":""})"), "transaction 1: an operation has an empty key");
  refused(operation(R"({"write":"x","keyspace":4294967296})"), "\"keyspace\": expected at most");
  refused(operation(R"({"scan":"up","rows":[]})"), "\"scan\": expected \"forward\"");
  refused(operation(R"({"scan":"forward","rows":[{"key":"x"}]})"), "a row has either");
  refused(operation(R"({"scan":"forward","rows":[{"key":"x","version":1,"own":true}]})"),
          "a row has either");
  refused(operation(R"({"scan":"forward","rows":[{"key":"x","at":1}]})"), "unknown member \"at\"");
  refused(operation(R"({"scan":"forward","limit":0,"rows":[{"key":"x","version":1}]})"),
          "transaction 1: a scan has 1 rows, more than its limit");
  refused(std::string(100000, '['), "not JSON");
}

TEST_F(VarveCli, VerifyHistoryRefusesBadEdn) {
  const std::string invoke = "{:type :invoke :process 1 :time 1 :f :txn :value []}\n";
  const auto refused = [&](const std::string& line, const std::string& message) {
    fails(2, "standard input:2: " + message, {"verify-history", "-", "--format=edn"},
          invoke + line + "\n");
  };
  const auto completed = [](const std::string& members) {
    return "{:type :ok :process 1 :time 2 :id 1 :isolation :snapshot :snapshot 5 " + members + "}";
  };
  refused("x", "expected an operation map");
  refused("{:type :ok", "expected the end of a map");
  refused("{:type :ok :process 1", "expected the end of a map");
  refused("{:type \"a\n", "expected the end of a map");
  refused("{:type}", "expected a value for each key");
  refused("{:type ]}", "expected a value, found ']'");
  refused("{:type \"\\q\"}", "expected one of the escapes");
  refused("{:a #varve/hex 3}", "expected a string behind #varve/hex");
  refused("{:a #varve/hex \"1\"}", "#varve/hex: ");
  refused("{:a " + std::string(100, '[') + std::string(100, ']') + "}", "expected values nested");
  refused("{:f :txn}", "expected :type and :process");
  refused(invoke.substr(0, invoke.size() - 1), "expected the completion of this process's last");
  refused("{:type :ok :process 2}", "expected an invocation by this process");
  refused("{:type :done :process 1}", "expected :invoke, :ok, :fail or :info");
  refused("{:type :ok :process 1}", "expected :snapshot or :serializable as :isolation");
  refused("{:type :ok :process 1 :isolation :snapshot}", "expected :id");
  refused(completed(":commit -1 :value []"), "expected a whole number");
  refused(completed(""), "expected :value with a vector");
  refused(completed(":value [[:r 1]]"), "expected [:r key value]");
  refused(completed(":value [[:append 1 1]]"), "expected :r, :w or :range");
  refused(completed(":value [[:r 1 2]]"), "expected :versions with an element");
  refused(completed(":value [[:r 1 2]] :versions [nil]"), "expected a timestamp or :own");
  refused(completed(":value [[:r [1 2 3] nil]] :versions [nil]"), "expected a key, or [keyspace");
  refused(completed(":value [[:r :x nil]] :versions [nil]"), "expected a key to be a string");
  refused(completed(":value [[:range [] []]] :versions [[]]"), "expected a map behind :range");
  refused(completed(":value [[:range {:up 1} []]] :versions [[]]"), "expected :keyspace, :from");
  refused(completed(":value [[:range {} [[1 2]]]] :versions [[]]"), "expected :versions to have");
  refused(completed(":value [[:range {} [1]]] :versions [[1]]"), "expected rows to be [key value]");
  refused(completed(":value [[:w 1 2]] :for-update [0]"), "expected positions of reads");
  refused(completed(":value [[:w 1 2]]"), "transaction 1: it committed writes");
}

TEST_F(VarveCli, VerifyHistoryAnswersWrongUsage) {
  fails(2, "not_found", {"verify-history", directory_ / "missing"});
  fails(2, "io_error", {"verify-history", directory_.path()});
  fails(2, "FILE", {"verify-history"});
  fails(2, "--format: expected auto, jsonl or edn", {"verify-history", "-", "--format=xml"});
  fails(2, "--convert: expected jsonl or edn", {"verify-history", "-", "--convert=xml"});
  fails(2, "contradicts", {"verify-history", "-", "--convert=edn", "--json"});
  EXPECT_NE(ok({"verify-history", "--help"}).find("docs/histories.md"), std::string::npos);
}

}  // namespace
}  // namespace varve::tools
