// The program `varve`, run as a user would: its command line, and the commands that open a
// database.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/tools/sample_bytes.h"
#include "tests/tools/varve_cli_fixture.h"
#include "tools/common/text_escape.h"
#include "varve/database.h"

namespace varve::tools {
namespace {

using namespace std::string_literals;
using test::all_bytes;
using test::Outcome;
using test::read_file;
using test::write_file;

constexpr const char* kAllCommands[] = {
    "get",    "put",    "erase",  "scan",    "count", "load",     "dump", "history",       "stats",
    "levels", "memory", "verify", "compact", "find",  "manifest", "wal",  "verify-history"};

TEST_F(VarveCli, HelpListsEveryCommandAndNothingThatIsNotBuilt) {
  const std::string help = ok({"--help"});
  for (const char* command : kAllCommands) {
    EXPECT_NE(help.find("\n  "s + command + " "), std::string::npos) << command;
    const std::string own = ok({command, "--help"});
    EXPECT_NE(own.find("varve "s + command), std::string::npos);
    EXPECT_NE(own.find("Examples:"), std::string::npos) << command;
    EXPECT_NE(own.find("Exit status:"), std::string::npos) << command;
    EXPECT_NE(own.find("--json"), std::string::npos) << command;
    EXPECT_NE(own.find("--hex"), std::string::npos) << command;
  }
  EXPECT_EQ(help.find("checkpoint"), std::string::npos);
}

TEST_F(VarveCli, VersionNamesRevisionInstructionSetAndLibraries) {
  const std::string version = ok({"--version"});
  for (const char* part : {"varve ", "revision", "instruction set", "xxHash", "zstd", "mimalloc"}) {
    EXPECT_NE(version.find(part), std::string::npos) << version;
  }
}

TEST_F(VarveCli, HelpThatCannotBeWrittenIsAnError) {
  for (const char* command : {"varve --help", "varve --version", "varve get --help",
                              "sst-dump --help", "db-bench --help", "db-bench --version"}) {
    EXPECT_EQ(test::run_shell("$TOOLS/"s + command + " > /dev/full 2> /dev/null"), 1) << command;
  }
}

TEST_F(VarveCli, WrongUsageExits2) {
  fails(2, "a command is missing", {});
  fails(2, "did you mean 'scan'", {"scna", db_});
  fails(2, "varve: unknown command 'bar' (see varve --help)", {"bar", db_});
  fails(2, "DB", {"get"});
  for (const char* command : {"scan", "wal", "stats"})
    fails(2, "DB: the name is empty", {command, ""});
  fails(2, "KEY", {"get", db_});
  fails(2, "KEY", {"get", db_, ""});
  fails(2, "--nonsense", {"get", db_, "k", "--nonsense"});
  fails(2, "--at", {"get", db_, "k", "--at=yesterday"});
  fails(2, "hex", {"get", db_, "xyz", "--hex"});
  fails(2, "--durability", {"put", db_, "k", "v", "--durability=maybe"});
  fails(2, "--memory-budget", {"put", db_, "k", "v", "--memory-budget=lots"});
  fails(2, "--memory-budget: '64K' (at least 4MiB are needed)",
        {"put", db_, "k", "v", "--memory-budget=64K"});
  fails(2, "--memory-budget", {"put", db_, "k", "v", "--memory-budget=4194303"});
  fails(2, "VALUE", {"put", db_, "k"});
  fails(2, "--format", {"load", db_, "-", "--format=xml"});
  fails(2, "--batch-size", {"load", db_, "-", "--batch-size=0"});
  fails(2, "--batch-size", {"load", db_, "-", "--batch-size=-1"});
  fails(2, "--raw: contradicts --json", {"get", db_, "k", "--raw", "--json"});
  fails(2, "--raw: contradicts --hex", {"get", db_, "00", "--raw", "--hex"});
  fails(2, "--raw: contradicts --keys-from", {"get", db_, "--raw", "--keys-from=-"});
  fails(2, "--published: contradicts --memory-budget",
        {"memory", db_, "--published", "--memory-budget=8M"});
  fails(2, "--published: contradicts --history-retention",
        {"stats", db_, "--history-retention=0", "--published"});
  fails(2, "--values: contradicts --depth=commits", {"wal", db_, "--values", "--depth=commits"});
  fails(2, "--format: tsv contradicts --json", {"dump", db_, "--format=tsv", "--json"});
  fails(2, "--limit", {"scan", db_, "--limit=-1"});
  fails(2, "--limit", {"history", db_, "k", "--limit=-1"});
  fails(2, "--segment", {"wal", db_, "--segment=-1"});
  EXPECT_FALSE(std::filesystem::exists(db_));
}

TEST_F(VarveCli, ArgumentsThatNobodyTakesAreNamedAndTheNearestOption) {
  fails(2, "scan: unknown option --limt, did you mean --limit?", {"scan", db_, "--limt", "3"});
  fails(2, "count: unknown option --limit (", {"count", db_, "--limit=3"});
  fails(2, "scan: unexpected argument 'x' (", {"scan", db_, "x", "y"});
}

// `--name=` once took the next argument for its value.
TEST_F(VarveCli, AnOptionCanHaveAnEmptyValue) {
  fails(2, "--keyspace: a name has at least one byte", {"put", db_, "--keyspace=", "k", "v"});
  fails(2, "--limit: number ''", {"scan", "--limit=", db_});
  EXPECT_FALSE(std::filesystem::exists(db_));
  ok({"put", db_, "k", "v"});
  EXPECT_EQ(ok({"scan", "--prefix=", db_, "--to="}), "k\tv\n");
  ok({"put", db_, "--", "--keyspace=", "v"});
  EXPECT_EQ(ok({"get", db_, "--", "--keyspace="}), "v\n");
}

TEST_F(VarveCli, MessagesKeepTheirBackslashes) {
  fails(2, "expected one of \\\\ \\t \\n \\r \\xHH (write a backslash as \\\\)",
        {"get", db_, "\\q"});
  fails(1, "a\\b", {"get", directory_ / "a\\b", "k"});
  fails(1, "a\\nb\\x1b", {"get", directory_ / "a\nb\x1b", "k"});
}

TEST_F(VarveCli, ReadersDoNotCreateADatabase) {
  for (const char* command : {"scan", "count", "dump", "stats", "levels", "memory", "verify",
                              "compact", "manifest", "wal"}) {
    fails(1, db_, {command, db_});
  }
  const std::string empty = directory_ / "empty";
  std::filesystem::create_directory(empty);
  fails(1, "not_found", {"erase", db_, "k"});
  fails(1, "not_found", {"history", db_, "k"});
  for (const char* command : {"get", "find"}) {
    fails(1, "varve: not_found: " + db_ + ": no such directory\n", {command, db_, "k"});
    fails(1, "varve: not_found: " + empty + ": no database\n", {command, empty, "k"});
  }
  for (const char* command : {"scan", "stats", "manifest", "wal"}) {
    fails(1, "varve: not_found: " + db_ + ": no such directory\n", {command, db_});
    fails(1, "varve: not_found: " + empty + ": no database\n", {command, empty});
  }
  fails(1, "varve: not_found: " + empty + ": no file STATS, in which an owner publishes",
        {"stats", empty, "--published"});
  EXPECT_TRUE(std::filesystem::is_empty(empty));
  fails(1, "not_found", {"put", db_, "k", "v", "--no-create"});
  EXPECT_FALSE(std::filesystem::exists(db_));
}

TEST_F(VarveCli, PutGetErase) {
  EXPECT_EQ(ok({"put", db_, "greeting", "good\\tmorning"}), "");
  EXPECT_EQ(ok({"get", db_, "greeting"}), "good\tmorning\n");
  EXPECT_EQ(ok({"get", db_, "greeting", "--raw"}), "good\tmorning");
  EXPECT_EQ(ok({"get", db_, "6772656574696e67", "--hex"}), "676f6f64096d6f726e696e67\n");
  const json found = ok_json({"get", db_, "greeting", "--json"});
  EXPECT_EQ(found["key"], "greeting");
  EXPECT_EQ(found["value"], "good\tmorning");
  EXPECT_TRUE(found["time"].is_string());
  const json put = ok_json({"put", db_, "--json", "--", "-k", "-v"});
  EXPECT_EQ(put["key"], "-k");
  EXPECT_EQ(ok({"get", db_, "--at", put["time"], "--", "-k"}), "-v\n");
  ok({"put", db_, "[x]", ""});
  EXPECT_EQ(ok({"get", db_, "[x]"}), "\n");
  EXPECT_EQ(ok_json({"erase", db_, "greeting", "[x]", "absent", "--json"})["keys"], 3);
  fails(3, "no such key: greeting", {"get", db_, "greeting"});
  fails(3, "no such key: [x]", {"get", db_, "[x]"});
}

TEST_F(VarveCli, PutTakesAFileAsItIs) {
  write_file(directory_ / "value", all_bytes() + "\n\n");
  ok({"put", db_, "k", "--value-file", directory_ / "value"});
  EXPECT_EQ(ok({"get", db_, "k", "--raw"}), all_bytes() + "\n\n");
  ok({"put", db_, "k", "--value-file=-"}, "from stdin");
  EXPECT_EQ(ok({"get", db_, "k"}), "from stdin\n");
  fails(1, "not_found", {"put", db_, "k", "--value-file", directory_ / "absent"});
  fails(1, "varve: io_error: " + db_ + ": a directory, expected a file\n",
        {"put", db_, "k", "--value-file", db_});
  fails(1, "/dev/zero: more than 268435456 bytes, the most that a value can have",
        {"put", db_, "k", "--value-file=/dev/zero"});
}

TEST_F(VarveCli, KeysAreNotTakenForCommandsOrLists) {
  for (const char* key : {"scan", "get", "{}", "a,b", "--", "%%", "k=v"}) {
    ok({"put", db_, "--", key, "value"});
    EXPECT_EQ(ok({"get", db_, "--", key}), "value\n") << key;
  }
}

TEST_F(VarveCli, KeyspacesAreApart) {
  ok({"put", db_, "k", "default"});
  ok({"put", db_, "k", "other", "--keyspace=second"});
  EXPECT_EQ(ok({"get", db_, "k"}), "default\n");
  EXPECT_EQ(ok({"get", db_, "k", "--keyspace=second"}), "other\n");
  EXPECT_EQ(ok({"count", db_, "--keyspace", "second"}), "1\n");
  for (const char* command : {"get", "history", "find"}) {
    fails(1, "varve: not_found: no keyspace third\n", {command, db_, "k", "--keyspace=third"});
  }
  fails(1, "not_found", {"put", db_, "k", "v", "--keyspace=third", "--no-create"});
  EXPECT_NE(ok({"levels", db_}).find("keyspace second"), std::string::npos);
  // A name is taken as it is printed.
  ok({"put", db_, "k", "odd", "--keyspace=a\\x01\\\\"});
  EXPECT_NE(ok({"levels", db_}).find("keyspace a\\x01\\\\ (id"), std::string::npos);
  EXPECT_EQ(ok({"get", db_, "6b", "--hex", "--keyspace=a\\x01\\\\"}), "6f6464\n");
}

TEST_F(VarveCli, ScanTakesBoundsPrefixLimitAndDirection) {
  ok({"load", db_}, "a\t1\nab\t2\nabc\t3\nb\t4\nc\t5\n");
  EXPECT_EQ(ok({"scan", db_}), "a\t1\nab\t2\nabc\t3\nb\t4\nc\t5\n");
  EXPECT_EQ(ok({"scan", db_, "--prefix=ab", "--keys-only"}), "ab\nabc\n");
  EXPECT_EQ(ok({"scan", db_, "--from=ab", "--to=c"}), "ab\t2\nabc\t3\nb\t4\n");
  EXPECT_EQ(ok({"scan", db_, "--reverse", "--limit=2"}), "c\t5\nb\t4\n");
  EXPECT_EQ(ok({"scan", db_, "--from=ab", "--to=c", "--reverse", "--keys-only"}), "b\nabc\nab\n");
  EXPECT_EQ(ok({"scan", db_, "--limit=0"}), "");
  EXPECT_EQ(ok({"scan", db_, "--hex", "--limit=1"}), "61\t31\n");
  EXPECT_EQ(ok({"count", db_, "--prefix=a"}), "3\n");
  const json count = ok_json({"count", db_, "--json"});
  EXPECT_EQ(count["keys"], 5);
  EXPECT_EQ(count["key_bytes"], 8);
  const json first = ok_json({"scan", db_, "--json", "--limit=1"});
  EXPECT_EQ(first["key"], "a");
  EXPECT_EQ(first["value"], "1");
}

TEST_F(VarveCli, ScanIntoAClosedPipeEndsQuietly) {
  std::string input;
  for (int i = 0; i < 20'000; ++i) input += "key" + std::to_string(i) + "\tvalue\n";
  ok({"load", db_}, input);
  const std::string status = directory_ / "status";
  test::run_shell("{ $TOOLS/varve scan " + db_ + "; echo $? > " + status +
                  "; } | head -n 1 > /dev/null");
  EXPECT_EQ(read_file(status), "0\n");
}

// The database's own files once took the numbers of the streams that were not open, and what was
// printed went into them.
TEST_F(VarveCli, ClosedStandardStreamsDoTheDatabaseNoHarm) {
  ok({"put", db_, "k", "value"});
  for (const std::string& arguments :
       {"get " + db_ + " absent", "get " + db_ + " k", "put " + db_ + " k2 v --json", "scan " + db_,
        "stats " + db_, "compact " + db_, "load " + db_}) {
    for (const char* closed : {"<&-", ">&-", "2>&-", "<&- >&- 2>&-"}) {
      test::run_shell("$TOOLS/varve " + arguments + " < /dev/null > /dev/null 2> /dev/null " +
                      closed);
      EXPECT_EQ(run({"verify", db_}).status, 0) << arguments << " " << closed;
    }
  }
  EXPECT_EQ(ok({"scan", db_}), "k\tvalue\nk2\tv\n");
  EXPECT_EQ(test::run_shell("$TOOLS/varve scan " + db_ + " 2> /dev/null >&-"), 1);
  EXPECT_EQ(test::run_shell("$TOOLS/varve load " + db_ + " 2> /dev/null <&-"), 1);
}

TEST_F(VarveCli, DumpAndLoadKeepAllBytes) {
  ok({"put", db_, "--hex", to_hex(all_bytes()), to_hex("\n" + all_bytes())});
  ok({"put", db_, "text", "na\xc3\xafve \\\\ tab\\t"});
  ok({"put", db_, "empty", ""});
  const std::string expected = ok({"dump", db_, "--hex"});
  const std::vector<std::vector<std::string>> ways = {
      {"--format=tsv"}, {"--format=jsonl"}, {"--hex"}};
  for (const std::vector<std::string>& way : ways) {
    const std::string copy = directory_ / ("copy" + way[0]);
    std::vector<std::string> dump = {"dump", db_};
    std::vector<std::string> load = {"load", copy, "-"};
    dump.insert(dump.end(), way.begin(), way.end());
    load.insert(load.end(), way.begin(), way.end());
    ok(load, ok(dump));
    EXPECT_EQ(ok({"dump", copy, "--hex"}), expected) << way[0];
  }
  // JSON in hex says so itself.
  const std::string copy = directory_ / "copy-json-hex";
  ok({"load", copy, "-", "--format=jsonl"}, ok({"dump", db_, "--json", "--hex"}));
  EXPECT_EQ(ok({"dump", copy, "--hex"}), expected);
}

TEST_F(VarveCli, LoadPrintsFigures) {
  const json figures =
      ok_json({"load", db_, "-", "--json", "--batch-size=2"}, "a\t1\nb\t2\nc\t3\n");
  EXPECT_EQ(figures["records"], 3);
  EXPECT_EQ(figures["bytes"], 6);
  EXPECT_EQ(figures["written"], 3);
  EXPECT_EQ(figures["commits"], 2);
  EXPECT_GE(figures["records_per_second"], 0.0);
  const std::string text = ok({"load", db_}, "a\t1\n");
  EXPECT_TRUE(text.starts_with("1 record, 2 B, ")) << text;
  EXPECT_TRUE(text.ends_with("written 1, in 1 commit\n")) << text;
}

TEST_F(VarveCli, LoadReadsEachFormatByItsName) {
  write_file(directory_ / "x.jsonl", "{\"key\":\"j\",\"value\":\"1\"}\n");
  write_file(directory_ / "x_Packages", "Package: p\nVersion: 1\nArchitecture: all\n\n");
  write_file(directory_ / "x.tsv", "t\t1\n");
  for (const char* name : {"x.jsonl", "x_Packages", "x.tsv"}) ok({"load", db_, directory_ / name});
  EXPECT_EQ(ok({"scan", db_, "--keys-only"}), "j\np/1/all\nt\n");
  EXPECT_EQ(ok({"get", db_, "p/1/all"}), "Package: p\nVersion: 1\nArchitecture: all\n");
}

TEST_F(VarveCli, LoadStopsAtBadInputAndSaysWhere) {
  write_file(directory_ / "bad.tsv", "a\t1\nb\t2\nbroken\nc\t3\n");
  fails(1, "bad.tsv:3: expected KEY TAB VALUE",
        {"load", db_, directory_ / "bad.tsv", "--batch-size=1", "--delete-missing"});
  EXPECT_EQ(ok({"scan", db_, "--keys-only"}), "a\nb\n");
  fails(1, "not_found", {"load", directory_ / "new", directory_ / "absent.tsv"});
  EXPECT_FALSE(std::filesystem::exists(directory_ / "new"));
}

TEST_F(VarveCli, LoadDeletesWhatIsMissingAndCountsWhatChanged) {
  ok({"load", db_}, "a\t1\nb\t2\nc\t3\n");
  const json figures = ok_json({"load", db_, "-", "--json", "--only-changed", "--delete-missing"},
                               "a\t1\nb\tnew\nd\t4\n");
  EXPECT_EQ(figures["records"], 3);
  EXPECT_EQ(figures["unchanged"], 1);
  EXPECT_EQ(figures["written"], 2);
  EXPECT_EQ(figures["erased"], 1);
  EXPECT_EQ(ok({"scan", db_}), "a\t1\nb\tnew\nd\t4\n");
  EXPECT_EQ(ok_json({"history", db_, "a", "--json"})["versions"].size(), 1u);
  EXPECT_EQ(ok_json({"history", db_, "b", "--json"})["versions"].size(), 2u);
  fails(1, "holds no record", {"load", db_, "-", "--delete-missing"}, "");
  EXPECT_EQ(ok({"count", db_}), "3\n");
}

TEST_F(VarveCli, LoadOnlyChangedLetsTheLastRecordOfAKeyWin) {
  ok({"put", db_, "k", "old"});
  ok({"load", db_, "-", "--only-changed"}, "k\tnew\nk\told\n");
  EXPECT_EQ(ok({"get", db_, "k"}), "old\n");
}

TEST_F(VarveCli, AcknowledgedKeysAreThereAfterAKill) {
  std::string input;
  for (int i = 0; i < 400'000; ++i) input += "key" + std::to_string(i) + "\tvalue\n";
  const std::string acks = directory_ / "acks";
  const pid_t child =
      start({"load", db_, "-", "--batch-size=50", "--durability=os", "--ack-file=" + acks}, input);
  for (int i = 0; i < 2000 && read_file(acks).size() < 100'000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::kill(child, SIGKILL);
  EXPECT_EQ(wait(child).status, 128 + SIGKILL) << "the load ended before it was killed";
  const json check = ok_json({"get", db_, "--keys-from", acks, "--hex", "--json"});
  EXPECT_GE(check["keys"], 1000);
  EXPECT_EQ(check["missing"], 0);
}

TEST_F(VarveCli, KeysFromTellsWhichAreMissing) {
  ok({"load", db_}, "a\t1\nb\t22\n");
  const std::string keys = directory_ / "keys";
  write_file(keys, "a\n\nb\nxx\\x00\nincompl");
  const Outcome text = run({"get", db_, "--keys-from", keys});
  EXPECT_EQ(text.status, 3);
  EXPECT_EQ(text.out,
            "missing xx\\x00\nkeys 3, found 2, missing 1\n"
            "the last line has no end and was left out\n");
  write_file(keys, "61\n62\n");
  const json all = ok_json({"get", db_, "--keys-from", keys, "--hex", "--json"});
  EXPECT_EQ(all["found"], 2);
  EXPECT_EQ(all["value_bytes"], 3);
  EXPECT_EQ(ok({"get", db_, "--keys-from=-"}, "b\n"), "keys 1, found 1, missing 0\n");
  fails(1, ":2: column 1: expected a hex digit", {"get", db_, "--keys-from=-", "--hex"},
        "61\nzz\n");
}

TEST_F(VarveCli, HistoryAndThePast) {
  const std::string first = ok_json({"put", db_, "k", "one", "--json"})["time"];
  const std::string second = ok_json({"put", db_, "k", "two", "--json"})["time"];
  const std::string erased = ok_json({"erase", db_, "k", "--json"})["time"];
  ok({"put", db_, "other", "x"});
  EXPECT_EQ(ok({"history", db_, "k"}),
            erased + "\terase\n" + second + "\tput\t3\ttwo\n" + first + "\tput\t3\tone\n");
  EXPECT_EQ(ok({"history", db_, "k", "--limit=2", "--no-values"}),
            erased + "\terase\n" + second + "\tput\t3\n");
  const json history = ok_json({"history", db_, "k", "--json"});
  EXPECT_EQ(history["versions"].size(), 3u);
  EXPECT_EQ(history["versions"][0]["erased"], true);
  EXPECT_EQ(history["versions"][2]["value"], "one");
  EXPECT_EQ(ok({"get", db_, "k", "--at", first}), "one\n");
  EXPECT_EQ(ok({"get", db_, "k", "--at", second}), "two\n");
  fails(3, "no such key", {"get", db_, "k", "--at", erased});
  fails(3, "no such key", {"get", db_, "k"});
  EXPECT_EQ(ok({"scan", db_, "--at=" + first}), "k\tone\n");
  EXPECT_EQ(ok({"count", db_, "--at=" + erased}), "0\n");
  EXPECT_EQ(ok({"dump", db_, "--at=" + second}), "k\ttwo\n");
  EXPECT_EQ(ok({"history", db_, "k", "--limit=0"}), "") << "it is there";
  EXPECT_EQ(ok({"history", db_, "k", "--limit=0", "--json"}), "{\"key\":\"k\",\"versions\":[]}\n");
  for (const char* limit : {"--limit=0", "--limit=1"}) {
    fails(3, "no such key: never", {"history", db_, "never", limit});
  }
  fails(1, "2500-01-01T00:00:00.000000000Z (16725225600000000000) lies in the future: it is 20",
        {"get", db_, "k", "--at=2500-01-01T00:00:00Z"});
}

TEST_F(VarveCli, ThePastOutlivesCompactionUnlessItIsLetGo) {
  const std::string first = ok_json({"put", db_, "k", "one", "--json"})["time"];
  ok({"put", db_, "k", "two"});
  const json kept = ok_json({"compact", db_, "--json"});
  EXPECT_EQ(kept["after"]["entries"], 2);
  EXPECT_EQ(ok({"get", db_, "k", "--at", first}), "one\n");
  ok({"put", db_, "other", "x"});
  const json dropped = ok_json({"compact", db_, "--json", "--history-retention=0"});
  EXPECT_EQ(dropped["after"]["entries"], 2);
  EXPECT_EQ(ok({"get", db_, "k"}), "two\n");
  fails(1, "invalid_argument", {"get", db_, "k", "--at", first});
}

TEST_F(VarveCli, VerifyAndCompactReportFigures) {
  std::string input;
  for (int i = 0; i < 5000; ++i) input += "key" + std::to_string(i) + "\tvalue\n";
  ok({"load", db_}, input);
  const std::string compacted = ok({"compact", db_});
  EXPECT_NE(compacted.find("after   1 run, 1 sstable, 5,000 entries"), std::string::npos)
      << compacted;
  const json report = ok_json({"verify", db_, "--json"});
  EXPECT_EQ(report["entries"], 5000);
  EXPECT_TRUE(report["log_commits"].is_number_unsigned());
  EXPECT_GE(report["files"], 1);
  EXPECT_TRUE(ok({"verify", db_}).starts_with("verified "));
}

TEST_F(VarveCli, HexIsTakenWhereNoKeysArePrintedToo) {
  ok({"load", db_}, "a\t1\n");
  for (const char* command : {"stats", "levels", "memory", "verify", "compact"}) {
    EXPECT_NE(ok({command, db_, "--hex"}), "") << command;
  }
}

TEST_F(VarveCli, VerifyFindsDamage) {
  ok({"load", db_}, "a\t1\nb\t2\n");
  ok({"compact", db_});
  for (const auto& entry : std::filesystem::directory_iterator(db_)) {
    if (entry.path().extension() != ".sst") continue;
    std::string bytes = read_file(entry.path());
    bytes[50] = static_cast<char>(bytes[50] ^ 1);
    write_file(entry.path(), bytes);
  }
  fails(1, "corruption", {"verify", db_});
}

TEST_F(VarveCli, StatsLevelsAndMemory) {
  ok({"load", db_}, "a\t1\nb\t2\n");
  ok({"compact", db_});
  const json stats = ok_json({"stats", db_, "--json"});
  EXPECT_EQ(stats["source"], "database");
  EXPECT_EQ(stats["keyspaces"][0]["name"], "default");
  EXPECT_TRUE(stats.contains("write_amplification"));
  EXPECT_TRUE(stats["published"].is_string());
  const std::string figures = ok({"stats", db_});
  EXPECT_NE(figures.find("disk_bytes"), std::string::npos);
  EXPECT_NE(figures.find("\nlast commit"s + std::string(15, ' ') + "20"), std::string::npos)
      << figures;
  EXPECT_EQ(figures.find("\npublished"), std::string::npos) << figures;
  const json levels = ok_json({"levels", db_, "--json"});
  EXPECT_EQ(levels["keyspaces"][0]["runs"][0]["entries"], 2);
  const std::string text = ok({"levels", db_});
  EXPECT_NE(text.find("keyspace default (id 0)"), std::string::npos) << text;
  EXPECT_NE(text.find("tombstones"), std::string::npos) << text;
  const json memory = ok_json({"memory", db_, "--json"});
  EXPECT_GE(memory["roles"].size(), kMemoryRoleCount);
  uint64_t sum = 0;
  for (const json& role : memory["roles"]) sum += role["live_bytes"].get<uint64_t>();
  EXPECT_EQ(sum, memory["live_bytes"]);
  EXPECT_NE(ok({"memory", db_}).find("block_frames"), std::string::npos);
  // The examples of docs/cli.md, and the least that --help names.
  EXPECT_NE(ok({"memory", "--help"}).find("at least 4MiB"), std::string::npos);
  for (const auto& [size, bytes] : std::map<std::string, uint64_t>{
           {"16777216", 16 << 20}, {"64M", 64 << 20}, {"4MiB", 4 << 20}}) {
    EXPECT_EQ(ok_json({"memory", db_, "--json", "--memory-budget", size})["budget_bytes"], bytes);
  }
}

// Beside a running owner the figures come from what it publishes, and everything else is busy.
TEST_F(VarveCli, WorksBesideARunningOwner) {
  Options options;
  auto database = Database::open(options, db_);
  ASSERT_TRUE(database.ok()) << database.status().to_string();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE((*database)->put("key" + std::to_string(i), "value").ok());
  }
  for (int i = 0; i < 100 && !std::filesystem::exists(db_ + "/STATS"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  for (const char* command : {"stats", "levels", "memory"}) {
    const Outcome outcome = run({command, db_});
    EXPECT_EQ(outcome.status, 0) << command << ": " << outcome.err;
    EXPECT_NE(outcome.err.find("another process owns the database"), std::string::npos)
        << outcome.err;
    const json document = json::parse(run({command, db_, "--json"}).out, nullptr, false);
    EXPECT_EQ(document["source"], "STATS");
    EXPECT_EQ(document["owned_by_other"], true);
    EXPECT_LT(document["age_seconds"], 60.0);
  }
  const json stats = json::parse(run({"stats", db_, "--json"}).out, nullptr, false);
  EXPECT_EQ(stats["commits"], 100);
  EXPECT_EQ(stats["keyspaces"][0]["memtable_entries"], 100);
  const std::string memory = run({"memory", db_}).out;
  for (const char* pool : {"slab", "chunks", "spans", "cursor", "snapshot", "batch",
                           "block_load_scratch", "compaction_load_scratch"}) {
    EXPECT_NE(memory.find(std::string("\n") + pool + " "), std::string::npos) << pool << memory;
  }
  fails(4, "busy", {"get", db_, "key1"});
  fails(4, "busy", {"compact", db_});
  for (const char* command : {"wal", "manifest"}) ok({command, db_});
  ok({"find", db_, "key1"});
  std::string published = read_file(db_ + "/STATS");
  const std::string version = "{\"format_version\":1,";
  ASSERT_EQ(published.substr(0, version.size()), version);
  write_file(db_ + "/STATS", "{\"format_version\":2," + published.substr(version.size()));
  fails(1, "this build reads version 1", {"stats", db_});
  const std::string waits =
      "\"waits\":{\"memtables\":{\"waits\":3,\"micros\":70,"
      "\"longest_micros\":50,\"waiting\":1,\"oldest_micros\":9}}";
  write_file(db_ + "/STATS",
             version + "\"feature_flags\":0,\"time_nanos\":1,\"statistics\":{\"keyspaces\":[]," +
                 waits + "},\"memory\":{}}");
  EXPECT_NE(run({"stats", db_})
                .out.find("waits for memtables: 3, 70 us, longest 50 us; now 1, oldest 9 us\n"),
            std::string::npos);
  ASSERT_TRUE((*database)->close().ok());
}

}  // namespace
}  // namespace varve::tools
