// The commands of `varve` that read the files as they lie there: wal, manifest, find.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "lsm/wal_format.h"
#include "tests/tools/varve_cli_fixture.h"

namespace varve::tools {
namespace {

using test::Outcome;
using test::read_file;
using test::write_file;

// Paths of the log segments in the directory `db`, oldest first.
std::vector<std::string> segments(const std::string& db) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(db)) {
    if (entry.path().extension() == ".wal") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// A copy of the database `db` without one of its log segments.
std::string without(const std::string& db, const std::string& segment) {
  const std::string name = std::filesystem::path(segment).filename();
  const std::string copy = db + "-without-" + name;
  std::filesystem::copy(db, copy);
  std::filesystem::remove(copy + "/" + name);
  return copy;
}

TEST_F(VarveCli, WalShowsGroupsCommitsAndEntries) {
  const std::string time = ok_json({"put", db_, "k\\x00", "value", "--json"})["time"];
  ok({"erase", db_, "gone"});
  const std::string text = ok({"wal", db_, "--values"});
  EXPECT_NE(text.find("put   0 k\\x00  5 bytes  value"), std::string::npos) << text;
  EXPECT_NE(text.find("erase 0 gone"), std::string::npos) << text;
  EXPECT_NE(text.find("commit " + time), std::string::npos) << text;
  EXPECT_NE(text.find("2 groups, 1 commit  closed"), std::string::npos) << text;
  std::istringstream lines(ok({"wal", db_, "--json"}));
  std::string line;
  size_t entries = 0;
  while (std::getline(lines, line)) {
    const json object = json::parse(line, nullptr, false);
    ASSERT_TRUE(object.is_object()) << line;
    entries += object["type"] == "entry" ? 1 : 0;
  }
  EXPECT_EQ(entries, 2u);
  EXPECT_EQ(ok({"wal", db_, "--depth=segments"}).find("group LSN"), std::string::npos);
  fails(2, "--depth", {"wal", db_, "--depth=all"});
  fails(1, "no such log segment", {"wal", db_, "--segment=4711"});
}

TEST_F(VarveCli, ManifestShowsFilesAndKeyspaces) {
  ok({"put", db_, "k", "v", "--keyspace=second"});
  ok({"compact", db_});
  const std::string text = ok({"manifest", db_});
  EXPECT_NE(text.find("second"), std::string::npos) << text;
  EXPECT_NE(text.find(".sst"), std::string::npos) << text;
  std::istringstream lines(ok({"manifest", db_, "--json"}));
  std::string line;
  size_t count = 0;
  for (; std::getline(lines, line); ++count) {
    EXPECT_TRUE(json::parse(line, nullptr, false).is_object()) << line;
  }
  EXPECT_GE(count, 2u);
}

TEST_F(VarveCli, ManifestTellsWhereTheLogBeginsAndEnds) {
  ok({"put", db_, "k", "v"});
  const std::string text = ok({"manifest", db_, "--state"});
  EXPECT_NE(text.find("\n  log start LSN "), std::string::npos) << text;
  EXPECT_NE(text.find("\n  log end LSN "), std::string::npos) << text;
  EXPECT_NE(ok({"manifest", db_}).find("\n  log end LSN "), std::string::npos);
  const std::string lines = ok({"manifest", db_, "--state", "--json"});
  const json object = json::parse(lines.substr(lines.find('\n') + 1));
  EXPECT_GT(object["log_end_lsn"].get<uint64_t>(), object["log_start_lsn"].get<uint64_t>());
}

TEST_F(VarveCli, FindNamesTheFilesOfEachVersion) {
  const std::string first = ok_json({"put", db_, "k", "one", "--json"})["time"];
  ok({"compact", db_});
  const std::string second = ok_json({"put", db_, "k", "three", "--json"})["time"];
  const std::string text = ok({"find", db_, "k"});
  EXPECT_NE(text.find(".wal"), std::string::npos) << text;
  EXPECT_NE(text.find(".sst"), std::string::npos) << text;
  EXPECT_LT(text.find(second), text.find(first)) << text;
  const json found = ok_json({"find", db_, "k", "--json"});
  EXPECT_GE(found["places"].size(), 2u);
  fails(3, "no such key: absent", {"find", db_, "absent"});
}

TEST_F(VarveCli, FindReportsDamageOfTheLogInsteadOfAMissingKey) {
  ok({"put", db_, "k", "value"});
  const std::string segment = segments(db_).at(0);
  const std::string sound = read_file(segment);
  const auto find = [&](const std::string& key, const std::string& bytes, const std::string& what) {
    write_file(segment, bytes);
    fails(1, "corruption: " + segment + what, {"find", db_, key});
  };
  std::string bytes = sound;
  bytes[kWalHeaderSize + kWalGroupHeaderSize] ^= 1;
  find("k", bytes, " at offset 192");
  bytes = sound;
  bytes[0] ^= 1;
  bytes[kWalHeaderCopySize] ^= 1;
  find("k", bytes, " at offset 0: ");
  bytes = sound.substr(0, kWalHeaderSize);
  find("k", bytes,
       " at offset 192: the log ends at LSN 0, but the manifest knows it durable up to");
  // Sound checksums over a batch that is none.
  bytes = sound;
  WalGroupHeader header;
  ASSERT_TRUE(decode_wal_group_header(bytes.data() + kWalHeaderSize, bytes.size() - kWalHeaderSize,
                                      &header));
  const FileId file = decode_wal_segment_header({bytes.data(), kWalHeaderSize}).value().file;
  const size_t payload = kWalHeaderSize + kWalGroupHeaderSize;
  for (size_t i = 2; i < header.payload_size; ++i) bytes[payload + i] = '\xff';
  seal_wal_group(bytes.data() + kWalHeaderSize, header, file, kWalHeaderSize);
  find("other", bytes, " at offset 192: a batch is malformed");
  bytes = sound;
  bytes[payload + 1] = 0;  // the size of the batch
  seal_wal_group(bytes.data() + kWalHeaderSize, header, file, kWalHeaderSize);
  find("other", bytes, " at offset 192: ");
  write_file(segment, sound);
  ok({"find", db_, "k"});
}

TEST_F(VarveCli, FindMissesAnSstable) {
  ok({"put", db_, "k", "value"});
  ok({"compact", db_});
  for (const auto& entry : std::filesystem::directory_iterator(db_)) {
    if (entry.path().extension() == ".sst") std::filesystem::remove(entry.path());
  }
  fails(1, ".sst: named by the manifest, but missing", {"find", db_, "k"});
  EXPECT_TRUE(run({"find", db_, "k"}).err.starts_with("varve: corruption: " + db_));
}

TEST_F(VarveCli, WalNeedsADatabaseAndALog) {
  const std::string empty = directory_ / "empty";
  std::filesystem::create_directory(empty);
  fails(1, "not_found", {"wal", empty});
  fails(1, "not_found", {"wal", empty, "--segment=1"});
  EXPECT_TRUE(std::filesystem::is_empty(empty));
  // The segments are shown without a manifest too, but that is an error.
  ok({"put", db_, "k", "value"});
  std::filesystem::remove(db_ + "/CURRENT");
  const Outcome outcome = run({"wal", db_});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.out.find("put   0 k"), std::string::npos) << outcome.out;
  EXPECT_TRUE(outcome.err.starts_with("varve: corruption: " + db_ + "/CURRENT: missing, but "))
      << outcome.err;
}

TEST_F(VarveCli, WalWithoutAManifestMissesOnlyWhatLiesBetweenSegments) {
  for (const char* key : {"a", "b", "c"}) ok({"put", db_, key, "value"});
  const std::vector<std::string> paths = segments(db_);
  ASSERT_EQ(paths.size(), 3u);
  for (const auto& [gone, problem] : {std::pair(paths[0], false), std::pair(paths[1], true)}) {
    const std::string db = without(db_, gone);
    std::filesystem::remove(db + "/CURRENT");
    const Outcome outcome = run({"wal", db});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.out.find("problem in ") != std::string::npos, problem) << outcome.out;
  }
}

TEST_F(VarveCli, WalMissesSegmentsThatAreGone) {
  for (const char* key : {"a", "b", "c"}) ok({"put", db_, key, "value"});
  const std::vector<std::string> paths = segments(db_);
  ASSERT_EQ(paths.size(), 3u) << "each opening begins one";
  ok({"wal", db_, "--depth=segments"});
  const auto problem = [&](const std::string& db, const std::string& what) {
    const Outcome outcome = run({"wal", db, "--depth=segments"});
    EXPECT_EQ(outcome.status, 1) << outcome.out;
    EXPECT_NE(outcome.out.find(what), std::string::npos) << outcome.out;
    EXPECT_EQ(outcome.err, "varve: corruption: " + db + ": 1 problem in the log\n");
    fails(1, what, {"find", db, "absent"});
  };
  const auto name = [](const std::string& path) -> std::string {
    return std::filesystem::path(path).filename();
  };
  for (size_t i : {0, 1}) {
    problem(without(db_, paths[i]), name(paths[i + 1]) + " at offset 0: predecessor " +
                                        name(paths[i]) +
                                        " is missing, but the log is needed from LSN 0 on");
  }
  const std::string db = without(db_, paths[2]);
  problem(db, name(paths[1]) +
                  " at offset 288: the log ends at LSN 192, but the manifest knows it "
                  "durable up to LSN 288");
  // A segment on its own is not held against others.
  ok({"wal", db, "--segment", std::to_string(std::stoi(name(paths[1])))});
  for (const std::string& path : segments(db)) std::filesystem::remove(path);
  problem(db, db + ": no log segment is readable, but the manifest knows it durable up to LSN 288");
}

}  // namespace
}  // namespace varve::tools
