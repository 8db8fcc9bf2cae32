// Runs db-bench as its users do, on small sizes, and reads what it prints.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/tools/program.h"
#include "tools/db_bench/permutation.h"

namespace varve::bench {
namespace {

using nlohmann::json;

struct Outcome {
  int exit_status = -1;
  std::string output;  // and errors, where asked for
};

class DbBenchTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "db_bench_test_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  static Outcome run(const std::string& arguments, bool with_errors) {
    const std::string command = std::string(VARVE_TOOLS_DIR) + "/db-bench " + arguments +
                                (with_errors ? " 2>&1" : " 2>/dev/null");
    std::FILE* pipe = popen(command.c_str(), "r");
    Outcome outcome;
    char chunk[4096];
    for (size_t size; (size = fread(chunk, 1, sizeof chunk, pipe)) > 0;) {
      outcome.output.append(chunk, size);
    }
    const int status = pclose(pipe);
    outcome.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
  }
  std::string directory(const std::string& engine) const { return root_ + "/" + engine; }
  // Small memory, so that small data is flushed and compacted.
  Outcome run_engine(const std::string& engine, const std::string& flags, bool with_errors = true) {
    return run("--engine=" + engine + " --db=" + directory(engine) +
                   " --write_buffer_size=256K --cache_size=8M " + flags,
               with_errors);
  }
  std::vector<json> run_json(const std::string& engine, const std::string& flags) {
    const Outcome outcome = run_engine(engine, "--json " + flags, /*with_errors=*/false);
    EXPECT_EQ(outcome.exit_status, 0) << engine << " " << flags;
    std::vector<json> objects;
    std::istringstream lines(outcome.output);
    for (std::string line; std::getline(lines, line);) objects.push_back(json::parse(line));
    return objects;
  }
  static std::vector<std::string> engines() {
    std::vector<std::string> names;
    std::istringstream lines(run("--version", false).output);
    std::string line;
    std::getline(lines, line);  // db-bench itself
    while (std::getline(lines, line)) names.push_back(line.substr(0, line.find(' ')));
    return names;
  }

  static std::vector<std::string> engines_with_transactions() {
    std::vector<std::string> names;
    for (const std::string& name : engines()) {
      if (name != "rocksdb" && name != "rocksdb-tuned" && name != "leveldb" && name != "sqlite")
        names.push_back(name);
    }
    return names;
  }

  std::string root_;
};

TEST(PermutationTest, MapsEachRankToAnIdOfItsOwn) {
  for (const uint64_t size : {1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 100, 1000, 65'536, 100'003}) {
    for (const uint64_t seed : {0, 1, 301}) {
      const Permutation permutation(size, seed);
      std::vector<bool> seen(size);
      for (uint64_t rank = 0; rank < size; rank++) {
        const uint64_t id = permutation(rank);
        ASSERT_LT(id, size) << size << " " << seed;
        ASSERT_FALSE(seen[id]) << size << " " << seed << " " << rank;
        seen[id] = true;
      }
    }
  }
}

TEST(PermutationTest, LeavesNoOrderBehind) {
  constexpr uint64_t kSize = 100'000;
  const Permutation permutation(kSize, 1);
  uint64_t ascents = 0;
  uint64_t fixed = 0;
  for (uint64_t rank = 0; rank + 1 < kSize; rank++) {
    ascents += permutation(rank) < permutation(rank + 1) ? 1 : 0;
    fixed += permutation(rank) == rank ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(ascents), kSize / 2.0, kSize / 50.0);
  EXPECT_LT(fixed, 20u);
}

TEST_F(DbBenchTest, NamesAnUnknownFlagAndTheNearestOne) {
  const Outcome outcome = run("--nmu=5 --benchmarks=fillseq", true);
  EXPECT_EQ(outcome.exit_status, 2);
  EXPECT_NE(outcome.output.find("unknown flag --nmu; did you mean --num?"), std::string::npos)
      << outcome.output;
}

TEST_F(DbBenchTest, NamesAnUnknownBenchmarkAndTheNearestOneBeforeItTouchesAnything) {
  const Outcome outcome = run_engine("varve", "--benchmarks=fillseq,raedrandom");
  EXPECT_EQ(outcome.exit_status, 2);
  EXPECT_NE(outcome.output.find("unknown benchmark raedrandom; did you mean readrandom?"),
            std::string::npos)
      << outcome.output;
  EXPECT_FALSE(std::filesystem::exists(directory("varve")));
}

TEST_F(DbBenchTest, RefusesAnUnknownEngine) {
  EXPECT_EQ(run("--engine=sybase", true).exit_status, 2);
}

TEST_F(DbBenchTest, RefusesValuesOutOfRange) {
  for (const char* flag :
       {"--num=0", "--num=x", "--key_size=4", "--durability=maybe", "--seed=-1", "--seek_nexts=-1",
        "--block_size=-1", "--compression_type=lz4", "--cache_size=1Q", "--sync --durability=os",
        "--seed=18446744073709551616", "--block_size=4294967296", "--memory_budget=4194303",
        "--batch_size=0", "--benchmarks=", "--isolation=none", "--hot_keys=1",
        "--hot_keys=11 --num=10", "--transaction_sets=0"}) {
    const Outcome outcome = run(flag, true);
    EXPECT_EQ(outcome.exit_status, 2) << flag;
    const std::string name = std::string(flag).substr(0, std::string(flag).find_first_of("= "));
    EXPECT_NE(outcome.output.find(name), std::string::npos) << outcome.output;
  }
}

TEST_F(DbBenchTest, HelpListsEveryBenchmarkAndExitsWithZero) {
  const Outcome outcome = run("--help", true);
  EXPECT_EQ(outcome.exit_status, 0);
  for (const char* word :
       {"fill100K", "ycsbf", "verifychecksum", "--benchmark_write_rate_limit", "transfer",
        "randomtransaction", "--transaction_db", "--optimistic_transaction_db",
        "--transaction_sets", "--isolation", "--hot_keys"}) {
    EXPECT_NE(outcome.output.find(word), std::string::npos) << word;
  }
}

// `--name=` once took the next flag for its value.
TEST_F(DbBenchTest, AFlagCanHaveAnEmptyValue) {
  const Outcome outcome = run_engine("varve", "--report_file= --num=10 --benchmarks=fillseq");
  EXPECT_EQ(outcome.exit_status, 0);
  EXPECT_NE(outcome.output.find(" 10 operations;"), std::string::npos) << outcome.output;
}

TEST_F(DbBenchTest, OutputThatCannotBeWrittenIsAnError) {
  for (const char* json : {"", "--json "}) {
    const std::string flags = std::string(json) + "--num=10 --benchmarks=fillseq";
    EXPECT_EQ(run_engine("varve", flags + " > /dev/full").exit_status, 1);
    EXPECT_EQ(run_engine("varve", flags + " >&-", /*with_errors=*/false).exit_status, 1);
  }
}

TEST_F(DbBenchTest, AReaderThatGoesAwayEndsItQuietly) {
  const std::string status = root_ + "/status";
  test::run_shell("{ $TOOLS/db-bench --num=10 --benchmarks=fillseq,readseq,readseq --db=" +
                  directory("varve") + "; echo $? > " + status + "; } | true");
  EXPECT_EQ(test::read_file(status), "0\n");
}

TEST_F(DbBenchTest, PrintsTheLineOfRocksdb) {
  // Also: flags with one dash, booleans with a value.
  const Outcome outcome =
      run_engine("varve", "-num=2000 -sync=false --histogram=0 --benchmarks=fillseq,readrandom");
  ASSERT_EQ(outcome.exit_status, 0) << outcome.output;
  const std::regex line(
      R"(readrandom +: +[0-9.]+ micros/op [0-9]+ ops/sec [0-9.]+ seconds 2000 operations; +)"
      R"([0-9.]+ MB/s \(2000 of 2000 found\))");
  EXPECT_TRUE(std::regex_search(outcome.output, line)) << outcome.output;
}

TEST_F(DbBenchTest, JsonHasAllFieldsAndNothingElseIsOnStandardOutput) {
  const std::vector<json> objects =
      run_json("varve", "--num=3000 --benchmarks=filluniquerandom,settle,readrandom,stats");
  ASSERT_EQ(objects.size(), 4u);
  for (const json& object : objects) {
    for (const char* field : {"engine",        "benchmark",
                              "threads",       "ops",
                              "seconds",       "ops_per_second",
                              "micros_per_op", "mib_per_second",
                              "p50_us",        "p95_us",
                              "p99_us",        "p999_us",
                              "max_us",        "found",
                              "checksum",      "fg_allocs_per_op",
                              "allocs_per_op", "alloc_bytes_per_op",
                              "rss_peak_mib",  "budget_mib",
                              "disk_mib",      "write_amp",
                              "cpu_seconds",   "stall_seconds"}) {
      EXPECT_TRUE(object.contains(field)) << object["benchmark"] << " lacks " << field;
    }
  }
  EXPECT_EQ(objects[0]["ops"], 3000);
  EXPECT_EQ(objects[0]["budget_mib"], 8.5);
  EXPECT_GE(objects[0]["write_amp"].get<double>(), 0.5);
  EXPECT_GT(objects[1]["ops_per_second_settled"].get<double>(), 0);
  EXPECT_LT(objects[1]["ops_per_second_settled"].get<double>(),
            objects[0]["ops_per_second"].get<double>());
  EXPECT_EQ(objects[2]["found"], 3000);
  EXPECT_LE(objects[2]["p999_us"].get<double>(), objects[2]["max_us"].get<double>());
  EXPECT_FALSE(objects[3]["text"].get<std::string>().empty());
  if (objects[0]["allocs_per_op"].is_null()) return;  // a sanitizer's malloc is not counted
  EXPECT_GT(objects[0]["allocs_per_op"].get<double>(), 0);
  EXPECT_EQ(objects[2]["fg_allocs_per_op"], 0.0);
}

TEST_F(DbBenchTest, LoadsWriteNumIdsInAllAndOtherBenchmarksCountPerThread) {
  const std::vector<json> objects = run_json(
      "varve",
      "--num=1001 --reads=70 --threads=3 --benchmarks=fillrandom,fillseq,overwrite,readseq");
  EXPECT_EQ(objects[0]["ops"], 1001);
  EXPECT_EQ(objects[0]["threads"], 3);
  EXPECT_EQ(objects[1]["ops"], 1001);
  EXPECT_EQ(objects[1]["threads"], 1);
  EXPECT_EQ(objects[2]["ops"], 210);
  EXPECT_EQ(objects[3]["ops"], 210);
}

TEST_F(DbBenchTest, FilluniquerandomWritesEachIdOnceAndAbsentKeysAreAbsent) {
  const std::vector<json> objects =
      run_json("varve", "--num=5000 --benchmarks=filluniquerandom,readseq,readreverse,readmissing");
  EXPECT_EQ(objects[1]["ops"], 5000);
  EXPECT_EQ(objects[1]["checksum"], objects[2]["checksum"]) << "forward and backward";
  EXPECT_EQ(objects[3]["ops"], 5000);
  EXPECT_EQ(objects[3]["found"], 0);
}

TEST_F(DbBenchTest, TheSeedDecidesWhatIsRead) {
  const std::string flags = "--num=3000 --reads=500 --benchmarks=filluniquerandom,readrandom";
  const json first = run_json("varve", flags + " --seed=7")[1]["checksum"];
  EXPECT_EQ(run_json("varve", flags + " --seed=7")[1]["checksum"], first);
  EXPECT_NE(run_json("varve", flags + " --seed=8")[1]["checksum"], first);
}

TEST_F(DbBenchTest, AllEnginesReadTheSameBytes) {
  const std::vector<std::string> names = engines();
  ASSERT_FALSE(names.empty());
  const std::string flags =
      "--num=5000 --reads=600 --threads=2 --seek_nexts=5 --benchmarks=filluniquerandom,readseq,"
      "readreverse,readrandom,readmissing,readhot,multireadrandom,seekrandom,newiterator,"
      "seekrandomwhilewriting,readwhilewriting,readrandomwriterandom,updaterandom,overwrite,"
      "ycsba,ycsbb,ycsbc,ycsbd,ycsbe,ycsbf,mixgraph,timeseries,queue,settle,readrandom,deleteseq,"
      "deleterandom,readseq,verifychecksum,readreverse";
  const std::vector<json> expected = run_json(names.front(), flags);
  for (const std::string& name : names) {
    const std::vector<json> objects = run_json(name, flags);
    ASSERT_EQ(objects.size(), expected.size()) << name;
    for (size_t i = 0; i < objects.size(); i++) {
      EXPECT_EQ(objects[i]["checksum"], expected[i]["checksum"]) << name << " " << objects[i];
      EXPECT_EQ(objects[i]["ops"], expected[i]["ops"]) << name << " " << objects[i];
      EXPECT_EQ(objects[i]["found"], expected[i]["found"]) << name << " " << objects[i];
    }
  }
}

TEST_F(DbBenchTest, TransactionsLeaveTheSameRowsInEveryEngineHoweverTheyInterleave) {
  const std::string flags =
      "--num=300 --reads=400 --threads=8 --benchmarks=filluniquerandom,transfer,randomtransaction,"
      "readseq";
  const std::vector<json> expected = run_json("varve", flags);
  ASSERT_EQ(expected.size(), 4u);
  for (const std::string& name : engines_with_transactions()) {
    for (const char* isolation : {"snapshot", "serializable"}) {
      for (const char* keys : {"", " --hot_keys=5"}) {
        const std::vector<json> objects =
            run_json(name, flags + keys + " --isolation=" + isolation);
        ASSERT_EQ(objects.size(), 4u) << name;
        for (size_t i : {1, 2}) {
          EXPECT_EQ(objects[i]["ops"], 3200) << name << " " << objects[i];
          EXPECT_TRUE(objects[i]["conflicts"].is_number_unsigned()) << name << " " << objects[i];
        }
        EXPECT_FALSE(objects[3].contains("conflicts")) << objects[3];
        EXPECT_EQ(objects[2]["checksum"], expected[2]["checksum"]) << name << " " << objects[2];
        if (*keys != '\0') continue;
        EXPECT_EQ(objects[1]["checksum"], expected[1]["checksum"]) << name << " " << objects[1];
        EXPECT_EQ(objects[3]["checksum"], expected[3]["checksum"]) << name << " " << objects[3];
      }
    }
  }
}

TEST_F(DbBenchTest, RowsAreTheSameInEveryEngineThatHasTables) {
  const std::string flags =
      "--cache_size=32M --num=5000 --reads=6 --threads=3 "
      "--benchmarks=updaterows,deleterows,indexiterator,tpcb";
  const std::vector<json> expected = run_json("varve", flags);
  ASSERT_EQ(expected.size(), 4u);
  for (const std::string& name : engines()) {
    if (name == "varve") continue;
    if (name != "sqlite") {
      EXPECT_EQ(run_engine(name, flags).exit_status, 2) << name;
      continue;
    }
    const std::vector<json> objects = run_json(name, flags);
    ASSERT_EQ(objects.size(), 4u) << name;
    for (size_t i = 0; i < objects.size(); i++) {
      EXPECT_EQ(objects[i]["ops"], 18) << objects[i];
      EXPECT_EQ(objects[i]["checksum"], expected[i]["checksum"]) << name << " " << objects[i];
      EXPECT_NE(objects[i]["checksum"], i == 0 ? "" : "0000000000000000") << objects[i];
      EXPECT_TRUE(objects[i]["conflicts"].is_number_unsigned()) << objects[i];
    }
  }
}

TEST_F(DbBenchTest, AnIndexIsBuiltBesideWriters) {
  const std::string flags = "--cache_size=32M --num=5000 --threads=2 --benchmarks=indexbuild";
  const std::vector<json> objects = run_json("varve", flags);
  ASSERT_EQ(objects.size(), 1u);
  EXPECT_EQ(objects[0]["threads"], 2) << objects[0];
  EXPECT_TRUE(objects[0]["conflicts"].is_number_unsigned()) << objects[0];
  EXPECT_GT(objects[0]["beside_ops_per_second"], 0) << objects[0];
  for (const std::string& name : engines()) {
    if (name == "varve") continue;
    EXPECT_EQ(run_engine(name, flags).exit_status, 2) << name;
  }
}

TEST_F(DbBenchTest, ATransferIsOneOperationWithItsConflictsInThePrintedLine) {
  const Outcome outcome = run_engine(
      "varve", "--num=100 --reads=50 --benchmarks=fillseq,transfer,randomtransaction,updaterandom");
  ASSERT_EQ(outcome.exit_status, 0) << outcome.output;
  for (const char* name : {"transfer", "randomtransaction"}) {
    EXPECT_TRUE(std::regex_search(
        outcome.output, std::regex(std::string(name) + " +: .* 50 operations;.* 0 conflicts\n")))
        << outcome.output;
  }
  EXPECT_FALSE(std::regex_search(outcome.output, std::regex("updaterandom.*conflicts")));
}

TEST_F(DbBenchTest, ABrokenSumIsAnError) {
  for (const char* end : {"", " --transaction_sets=3"}) {
    run_json("varve", "--num=10 --benchmarks=randomtransaction");
    // Sets of other sizes begin elsewhere: the rows of one are now in two.
    const Outcome outcome = run_engine(
        "varve", std::string("--num=15 --use_existing_db --benchmarks=randomtransaction") + end);
    EXPECT_EQ(outcome.exit_status, 1) << outcome.output;
    EXPECT_NE(outcome.output.find("randomtransaction: the sum of set 0 is "), std::string::npos)
        << outcome.output;
    std::filesystem::remove_all(directory("varve"));
  }
}

TEST_F(DbBenchTest, RandomtransactionBringsItsRowsAndTransferWantsThem) {
  constexpr const char* kWarning = "there is nothing to read";
  for (const auto& [benchmark, warns] :
       {std::pair("randomtransaction", false), std::pair("transfer", true)}) {
    const Outcome outcome = run_engine(
        "varve",
        std::string("--num=100 --threads=4 --transaction_sets=5 --benchmarks=") + benchmark);
    EXPECT_EQ(outcome.exit_status, 0) << outcome.output;
    EXPECT_EQ(outcome.output.find(kWarning) != std::string::npos, warns) << outcome.output;
    std::filesystem::remove_all(directory("varve"));
  }
}

TEST_F(DbBenchTest, TransactionFlagsThatDisagreeAreErrors) {
  std::vector<std::string> refused = {
      "--transaction_db --optimistic_transaction_db",
      "--value_size=7 --benchmarks=transfer",
      "--value_size=7 --benchmarks=fillseq,randomtransaction",
      "--num=1 --benchmarks=transfer",
      "--engine=leveldb --benchmarks=transfer",
      "--engine=rocksdb --benchmarks=fillseq,randomtransaction",
      "--engine=rocksdb --transaction_db",
      "--engine=rocksdb --optimistic_transaction_db",
      "--engine=rocksdb-optimistic --transaction_db",
      "--engine=rocksdb-pessimistic --optimistic_transaction_db",
  };
  for (const std::string& flags : refused) {
    EXPECT_EQ(run("--db=" + root_ + "/none " + flags, true).exit_status, 2) << flags;
    EXPECT_FALSE(std::filesystem::exists(root_ + "/none")) << flags;
  }
}

TEST_F(DbBenchTest, TransactionFlagsThatAnEngineLacksAreNoted) {
  for (const std::string& name : engines()) {
    const bool optimistic = name == "varve" || name == "rocksdb-optimistic" || name == "wiredtiger";
    const bool has_some = optimistic || name == "rocksdb-pessimistic" || name == "lmdb";
    const bool serializable = name == "varve" || name == "lmdb";
    const std::string benchmarks =
        has_some ? "--benchmarks=fillseq,transfer" : "--benchmarks=fillseq";
    const std::string flags = "--num=50 --isolation=serializable " + benchmarks;
    const Outcome plain = run_engine(name, flags);
    EXPECT_EQ(plain.exit_status, 0) << plain.output;
    EXPECT_EQ(plain.output.find("has no isolation level serializable") != std::string::npos,
              has_some && !serializable)
        << plain.output;
    if (name.starts_with("rocksdb")) continue;
    const Outcome pessimistic = run_engine(name, flags + " --transaction_db");
    EXPECT_EQ(pessimistic.exit_status, 0) << pessimistic.output;
    EXPECT_EQ(pessimistic.output.find("has no pessimistic transactions") != std::string::npos,
              optimistic)
        << pessimistic.output;
    EXPECT_EQ(pessimistic.output.find("has no transactions") != std::string::npos, !has_some)
        << pessimistic.output;
  }
  EXPECT_EQ(
      run_engine("varve", "--num=50 --optimistic_transaction_db --benchmarks=fillseq,transfer")
          .output.find(" has no "),
      std::string::npos);
}

TEST_F(DbBenchTest, EveryDurabilityIsTakenByEveryEngine) {
  for (const std::string& name : engines()) {
    for (const char* durability : {"sync", "os", "buffered", "none"}) {
      const std::vector<json> objects =
          run_json(name, std::string("--num=50 --benchmarks=fillrandom,fillsync,fillbatch,readseq"
                                     " --compression_type=none --durability=") +
                             durability);
      ASSERT_EQ(objects.size(), 4u);
      EXPECT_EQ(objects[3]["ops"], 50) << name << " " << durability;
    }
  }
}

TEST_F(DbBenchTest, DataSurvivesToTheNextRun) {
  for (const std::string& name : engines()) {
    run_json(name, "--num=3000 --benchmarks=filluniquerandom");
    const std::vector<json> objects =
        run_json(name, "--num=3000 --use_existing_db --benchmarks=fillseq,readrandom");
    ASSERT_EQ(objects.size(), 1u) << "fills are skipped";
    EXPECT_EQ(objects[0]["found"], 3000) << name;
  }
}

TEST_F(DbBenchTest, AnExistingDatabaseMustExist) {
  for (const std::string& name : engines()) {
    const Outcome missing = run_engine(name, "--use_existing_db --benchmarks=readrandom");
    EXPECT_EQ(missing.exit_status, 1) << name;
    EXPECT_EQ(missing.output.find("db-bench: no database in " + directory(name)), 0u)
        << missing.output;
    EXPECT_FALSE(std::filesystem::exists(directory(name)));
    std::filesystem::create_directory(directory(name));
    EXPECT_EQ(run_engine(name, "--use_existing_db --benchmarks=readrandom").exit_status, 1);
    EXPECT_TRUE(std::filesystem::is_empty(directory(name)));
  }
}

TEST_F(DbBenchTest, TheNewestCommitIsATime) {
  const std::regex line(R"(\nlast commit +20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z\n)");
  for (const char* flags : {"--benchmarks=fillseq,stats", "--benchmarks=fillseq --statistics"}) {
    const Outcome outcome = run_engine("varve", std::string("--num=100 ") + flags);
    EXPECT_TRUE(std::regex_search(outcome.output, line)) << outcome.output;
    EXPECT_EQ(outcome.output.find("\npublished"), std::string::npos) << outcome.output;
  }
}

TEST_F(DbBenchTest, WarnsWhenThereIsNothingToRead) {
  constexpr const char* kWarning = "begins with an empty database: there is nothing to read";
  const Outcome empty = run_engine("varve", "--num=100 --benchmarks=readrandom");
  EXPECT_EQ(empty.exit_status, 0) << empty.output;
  EXPECT_NE(empty.output.find(kWarning), std::string::npos) << empty.output;
  const Outcome filled = run_engine("varve", "--num=100 --benchmarks=fillseq,readrandom");
  EXPECT_EQ(filled.output.find(kWarning), std::string::npos) << filled.output;
}

TEST_F(DbBenchTest, ReplacesADatabaseOnlyWhenAFillComesFirst) {
  run_json("varve", "--num=1000 --benchmarks=fillseq");
  const Outcome refused = run_engine("varve", "--num=1000 --benchmarks=readrandom,fillseq");
  EXPECT_EQ(refused.exit_status, 1);
  EXPECT_NE(refused.output.find("--use_existing_db"), std::string::npos) << refused.output;
  EXPECT_EQ(run_json("varve", "--num=10 --benchmarks=fillseq,readseq")[1]["ops"], 10);
}

TEST_F(DbBenchTest, DeletesNoForeignFile) {
  std::filesystem::create_directories(directory("varve"));
  const std::string precious = directory("varve") + "/precious.txt";
  std::ofstream(precious) << "keep me";
  const Outcome outcome = run_engine("varve", "--num=10 --benchmarks=fillseq");
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_NE(outcome.output.find("precious.txt"), std::string::npos) << outcome.output;
  EXPECT_TRUE(std::filesystem::exists(precious));
}

TEST_F(DbBenchTest, AFixedRateIsKept) {
  // 1,000 rows of 116 bytes at 232,000 bytes a second take half a second.
  const std::vector<json> objects = run_json(
      "varve", "--num=1000 --benchmark_write_rate_limit=232000 --benchmarks=fillrandom,overwrite");
  for (const json& object : objects) EXPECT_GE(object["seconds"].get<double>(), 0.45) << object;
}

TEST_F(DbBenchTest, ADurationEndsABenchmark) {
  const std::vector<json> objects = run_json(
      "varve", "--num=1000 --duration=0.2 --benchmarks=fillseq,readseq,readrandom,overwrite");
  EXPECT_EQ(objects[0]["ops"], 1000);
  for (size_t i = 1; i < objects.size(); i++) {
    EXPECT_GE(objects[i]["seconds"].get<double>(), 0.19) << objects[i];
    EXPECT_LT(objects[i]["seconds"].get<double>(), 30) << objects[i];
  }
}

TEST_F(DbBenchTest, TheReportFileHasARowPerInterval) {
  const std::string file = root_ + "/report.csv";
  run_json("varve", "--num=1000 --duration=0.7 --stats_interval_seconds=0.2 --report_file=" + file +
                        " --benchmarks=fillseq,readrandom");
  std::ifstream stream(file);
  std::string line;
  ASSERT_TRUE(std::getline(stream, line));
  EXPECT_EQ(line, "secs_elapsed,interval_qps,benchmark");
  int rows = 0;
  while (std::getline(stream, line)) rows += line.ends_with(",readrandom") ? 1 : 0;
  EXPECT_GE(rows, 2);
}

TEST_F(DbBenchTest, TheLatencyFileCountsEveryOperationOnce) {
  const std::string file = root_ + "/latencies.csv";
  const std::vector<json> objects =
      run_json("varve",
               "--num=1000 --threads=2 --duration=0.9 --stats_interval_seconds=0.2 "
               "--latency_file=" +
                   file + " --benchmarks=fillseq,readrandom,readseq");
  std::ifstream stream(file);
  std::string line;
  ASSERT_TRUE(std::getline(stream, line));
  EXPECT_EQ(line, "secs_elapsed,operations,p50_us,p99_us,p99.9_us,max_us,benchmark");
  std::map<std::string, uint64_t> operations;
  std::map<std::string, int> rows;
  std::map<std::string, double> largest;
  while (std::getline(stream, line)) {
    double seconds, p50, p99, p999, largest_us;
    unsigned long long count;
    char name[32];
    ASSERT_EQ(std::sscanf(line.c_str(), "%lf,%llu,%lf,%lf,%lf,%lf,%31s", &seconds, &count, &p50,
                          &p99, &p999, &largest_us, name),
              7)
        << line;
    EXPECT_LE(p50, p99) << line;
    EXPECT_LE(p99, p999) << line;
    EXPECT_LE(p999, largest_us) << line;
    operations[name] += count;
    largest[name] = std::max(largest[name], largest_us);
    ++rows[name];
  }
  for (const json& object : objects) {
    const std::string name = object["benchmark"];
    EXPECT_EQ(operations[name], object["ops"].get<uint64_t>()) << name;
    EXPECT_NEAR(largest[name], object["max_us"].get<double>(), 0.01) << name;
  }
  EXPECT_GE(rows["readrandom"], 2);
}

}  // namespace
}  // namespace varve::bench
