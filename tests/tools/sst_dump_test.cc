// The program `sst-dump`, run as a user would.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "lsm/manifest.h"
#include "lsm/sstable_writer.h"
#include "lsm/wal_format.h"
#include "tests/lsm/golden_file.h"
#include "tests/support/temp_directory.h"

extern char** environ;

namespace varve {
namespace {

using nlohmann::json;

struct Version {
  std::string key;
  uint64_t timestamp;
  VersionKind kind;
  std::string value;
};

constexpr VersionKind kValue = VersionKind::value;
constexpr VersionKind kTombstone = VersionKind::tombstone;
constexpr FileId kFile{0x0123456789abcdef, 0xfedcba9876543210};

struct Output {
  int status = -1;  // exit status; 128 + signal when killed by one
  std::string out;
  std::string err;

  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::istringstream stream(out);
    for (std::string line; std::getline(stream, line);) all.push_back(line);
    return all;
  }
  std::vector<json> objects(const std::string& type = {}) const {
    std::vector<json> all;
    for (const std::string& line : lines()) {
      json object = json::parse(line);
      if (type.empty() || object.value("type", "") == type) all.push_back(std::move(object));
    }
    return all;
  }
};

std::string slurp(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

void spew(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

class SstDump : public ::testing::Test {
 protected:
  Output run(std::vector<std::string> arguments) {
    const std::string out = directory_ / "stdout";
    const std::string err = directory_ / "stderr";
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    constexpr int kWrite = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), kWrite, 0600);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), kWrite, 0600);
    arguments.insert(arguments.begin(), VARVE_TOOLS_DIR "/sst-dump");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_t child = 0;
    Output output;
    EXPECT_EQ(posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    output.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    output.out = slurp(out);
    output.err = slurp(err);
    return output;
  }
  Output run(const std::string& command, const std::string& path,
             std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"--command=" + command, path});
    return run(std::move(options));
  }

  std::string write(const std::string& name, const std::vector<Version>& versions,
                    const SstableWriterOptions& options = {}, const FileId& id = kFile) {
    const std::string path = data_ + "/" + name;
    MemoryManager manager(0);
    Result<std::unique_ptr<File>> file =
        FileSystem::posix()->open(path, OpenMode::create_exclusive);
    EXPECT_TRUE(file.ok()) << file.status().to_string();
    SstableWriter writer(&manager, std::move(*file), id, options);
    for (const Version& v : versions) {
      EXPECT_TRUE(writer.add(v.key, key_hash(v.key), {v.timestamp}, v.kind, v.value).ok());
    }
    EXPECT_TRUE(writer.finish().ok());
    return path;
  }
  // Three data blocks in one partition.
  std::string write_fruit(const std::string& name = "000012.sst") {
    return write(name,
                 {{"apple", 105, kValue, "red or green"},
                  {"apricot", 101, kValue, "orange"},
                  {"banana", 104, kTombstone, ""},
                  {"cherry", 103, kValue, "newer"},
                  {"cherry", 100, kValue, std::string("\0\xff old", 6)},
                  {std::string("date\n\xfe", 6), 102, kValue, ""}},
                 {.keyspace = {7}, .block_size = 42, .created_nanos = 1'700'000'000'000'000'000});
  }

  const test::TempDirectory directory_;
  const std::string data_ = [this] {
    std::string path = directory_ / "data";
    std::filesystem::create_directory(path);
    return path;
  }();
};

TEST_F(SstDump, sound_file_is_ok) {
  const std::string path = write_fruit();
  for (const char* command : {"check", "verify"}) {
    const Output output = run(command, path);
    EXPECT_EQ(output.status, 0) << output.err;
    EXPECT_EQ(output.err, "");
    EXPECT_EQ(output.out.find(path + ": ok, 6 versions in 3 blocks of 1 partition, "), 0u)
        << output.out;
    const std::vector<json> objects = run(command, path, {"--json"}).objects(command);
    ASSERT_EQ(objects.size(), 1u);
    EXPECT_EQ(objects[0]["file"], path);
    EXPECT_EQ(objects[0]["ok"], true);
    EXPECT_EQ(objects[0]["versions"], 6);
    EXPECT_EQ(objects[0]["bytes_read"], std::filesystem::file_size(path));
  }
}

TEST_F(SstDump, directory_stands_for_its_sstables_in_order) {
  write_fruit("1000000.sst");
  write_fruit("000002.sst");
  spew(data_ + "/000001.wal", "not looked at");
  const std::vector<json> objects = run("check", data_, {"--json"}).objects();
  ASSERT_EQ(objects.size(), 2u);
  EXPECT_EQ(objects[0]["file"], data_ + "/000002.sst");
  EXPECT_EQ(objects[1]["file"], data_ + "/1000000.sst");
}

TEST_F(SstDump, scan_prints_versions) {
  const Output output = run("scan", write_fruit());
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_EQ(output.out,
            "apple @ 105 : value => red or green\n"
            "apricot @ 101 : value => orange\n"
            "banana @ 104 : tombstone\n"
            "cherry @ 103 : value => newer\n"
            "cherry @ 100 : value => \\x00\\xff old\n"
            "date\\n\\xfe @ 102 : value => \n");
}

TEST_F(SstDump, scan_prints_json_and_hex) {
  const std::string path = write_fruit();
  const std::vector<json> objects = run("scan", path, {"--json"}).objects();
  ASSERT_EQ(objects.size(), 6u);
  EXPECT_EQ(objects[0], (json{{"key", "apple"},
                              {"timestamp", "105"},
                              {"time", "1970-01-01T00:00:00.000000105Z"},
                              {"kind", "value"},
                              {"value", "red or green"}}));
  EXPECT_EQ(objects[2]["kind"], "tombstone");
  EXPECT_FALSE(objects[2].contains("value"));
  EXPECT_EQ(objects[4]["value_hex"], "00ff206f6c64");
  EXPECT_EQ(objects[5]["key_hex"], "646174650afe");
  EXPECT_EQ(run("scan", path, {"--output_hex", "--read_num=1"}).out,
            "6170706c65 @ 105 : value => 726564206f7220677265656e\n");
}

TEST_F(SstDump, scan_keeps_to_its_range) {
  const std::string path = write_fruit();
  const auto keys = [&](std::vector<std::string> options) {
    const Output output = run("scan", path, std::move(options));
    EXPECT_EQ(output.status, 0) << output.err;
    std::string found;
    for (const std::string& line : output.lines()) found += line.substr(0, 2) + " ";
    return found;
  };
  EXPECT_EQ(keys({"--from=banana"}), "ba ch ch da ");
  EXPECT_EQ(keys({"--to=banana"}), "ap ap ");
  EXPECT_EQ(keys({"--from=apricot", "--to=cherry"}), "ap ba ");
  EXPECT_EQ(keys({"--prefix=ap"}), "ap ap ");
  EXPECT_EQ(keys({"--prefix=cherry"}), "ch ch ") << "its versions lie in two blocks";
  EXPECT_EQ(keys({"--from=cherry", "--read_num=1"}), "ch ");
  EXPECT_EQ(keys({"--prefix=c", "--from=d"}), "");
  EXPECT_EQ(keys({"--from=e"}), "");
  EXPECT_EQ(keys({"--to=a"}), "");
  EXPECT_EQ(keys({"--read_num=0"}), "");
  EXPECT_EQ(keys({"--input_key_hex", "--from=62", "--to=63"}), "ba ");
  EXPECT_EQ(keys({"--from=date\\n\\xfe"}), "da ");
}

TEST_F(SstDump, scan_of_many_partitions_reads_only_what_the_range_needs) {
  std::vector<Version> versions;
  for (int i = 0; i < 2000; ++i) {
    versions.push_back({"k" + std::to_string(10'000 + i), 5, kValue, std::string(20, 'v')});
  }
  const std::string path = write("000001.sst", versions, {.block_size = 1});
  EXPECT_EQ(run("verify", path).status, 0);
  EXPECT_EQ(run("scan", path).lines().size(), 2000u);
  // Damage far from the range is not met.
  std::string bytes = slurp(path);
  bytes[kSstableHeaderSize + 20] ^= 1;
  spew(path, bytes);
  const Output near = run("scan", path, {"--from=k11990"});
  EXPECT_EQ(near.status, 0) << near.err;
  EXPECT_EQ(near.lines().size(), 10u);
  EXPECT_EQ(run("scan", path).status, 1);
}

TEST_F(SstDump, raw_offsets_lead_to_the_bytes) {
  const std::string path = write_fruit();
  const std::string bytes = slurp(path);
  const Output output = run("raw", path, {"--json"});
  EXPECT_EQ(output.status, 0) << output.err;
  uint64_t block = 0;
  std::string prefix;
  size_t rows = 0;
  for (const json& object : output.objects()) {
    const std::string type = object["type"];
    if (type == "data") {
      block = object["offset"];
      prefix = object["prefix"];
      EXPECT_EQ(load_le<uint32_t>(bytes.data() + block), object["rows"]);
      EXPECT_EQ(object["codec"], "none");
    } else if (type == "row" && object.contains("key")) {
      const std::string suffix = std::string(object["key"]).substr(prefix.size());
      const size_t at = block + static_cast<size_t>(object["payload_offset"]);
      EXPECT_EQ(static_cast<uint8_t>(bytes[at]), suffix.size());
      EXPECT_EQ(bytes.substr(at + 2, suffix.size()), suffix);
      ++rows;
    }
  }
  EXPECT_EQ(rows, 5u) << "all but the key that is no UTF-8";
  const json handle = output.objects("handle").at(0);
  EXPECT_EQ(handle["timestamp_max"], "105");
  EXPECT_EQ(handle["time_max"], "1970-01-01T00:00:00.000000105Z");
  EXPECT_EQ(handle["first_time"], "1970-01-01T00:00:00.000000105Z");
  EXPECT_EQ(output.objects("data").at(0)["time_base"], "1970-01-01T00:00:00.000000101Z");
  const std::string text = run("raw", path).out;
  EXPECT_NE(text.find("header at 0: format 1, file id 0123456789abcdeffedcba9876543210"),
            std::string::npos);
  EXPECT_NE(text.find("data block 0.2 at "), std::string::npos);
  EXPECT_NE(text.find("live and single-version"), std::string::npos);
  EXPECT_NE(text.find("6 probes, 1 lines of 512 bits"), std::string::npos);
  // A range leaves out other blocks.
  const std::string part = run("raw", path, {"--prefix=date"}).out;
  EXPECT_EQ(part.find("data block 0.0"), std::string::npos);
  EXPECT_NE(part.find("data block 0.2"), std::string::npos);
}

TEST_F(SstDump, properties_are_printed) {
  const std::string path = write_fruit();
  const std::vector<json> objects = run("properties", path, {"--json"}).objects();
  ASSERT_EQ(objects.size(), 1u);
  EXPECT_EQ(objects[0]["keyspace"], 7);
  EXPECT_EQ(objects[0]["versions"], 6);
  EXPECT_EQ(objects[0]["user_keys"], 5);
  EXPECT_EQ(objects[0]["tombstones"], 1);
  EXPECT_EQ(objects[0]["smallest_key"], "apple");
  EXPECT_EQ(objects[0]["largest_key_hex"], "646174650afe");
  EXPECT_EQ(objects[0]["timestamp_min"], "100");
  EXPECT_EQ(objects[0]["time_min"], "1970-01-01T00:00:00.000000100Z");
  EXPECT_EQ(objects[0]["time_max"], "1970-01-01T00:00:00.000000105Z");
  EXPECT_EQ(objects[0]["created"], "1700000000000000000");
  EXPECT_EQ(objects[0]["created_time"], "2023-11-14T22:13:20.000000000Z");
  EXPECT_EQ(objects[0]["collapse_horizon"], "0");
  EXPECT_EQ(objects[0]["collapse_horizon_time"], nullptr);
  EXPECT_EQ(objects[0]["file_size"], std::filesystem::file_size(path));
  const std::string text = run("properties", path).out;
  EXPECT_NE(text.find("  tombstones        1 (17 %)\n"), std::string::npos) << text;
  EXPECT_NE(text.find("(2023-11-14T22:13:20.000000000Z)"), std::string::npos);
  EXPECT_EQ(run("scan", path, {"--show_properties", "--read_num=1"}).out,
            text + "apple @ 105 : value => red or green\n");
}

TEST_F(SstDump, layout_covers_the_file_without_gaps) {
  const std::string path = write_fruit();
  const Output output = run("layout", path, {"--json"});
  EXPECT_EQ(output.status, 0);
  uint64_t next = 0;
  for (const json& part : output.objects("part")) {
    EXPECT_EQ(part["offset"], next);
    next += static_cast<uint64_t>(part["size"]);
  }
  EXPECT_EQ(next, std::filesystem::file_size(path));
  uint64_t sum = 0;
  for (const json& part : output.objects("sum")) sum += static_cast<uint64_t>(part["bytes"]);
  EXPECT_EQ(sum, next);
  EXPECT_NE(run("layout", path).out.find("data 0.1  2 rows  from banana\n"), std::string::npos);
}

TEST_F(SstDump, recompress_compares_block_sizes_and_levels) {
  std::vector<Version> versions;
  for (int i = 0; i < 3000; ++i) {
    versions.push_back({"key" + std::to_string(10'000 + i), 5, kValue,
                        "some value that is much like others, " + std::to_string(i * 7919)});
  }
  const std::string path = write("000001.sst", versions);
  const Output output = run("recompress", path, {"--json", "--read_num=2500"});
  EXPECT_EQ(output.status, 0) << output.err;
  const std::vector<json> objects = output.objects("recompress");
  ASSERT_EQ(objects.size(), 5 * 15u);
  double none = 0;
  for (const json& object : objects) {
    EXPECT_EQ(object["versions"], 2500);
    if (object["codec"] == "none") {
      none = object["ratio"];
    } else {
      EXPECT_LT(static_cast<double>(object["ratio"]), none / 2) << object;
      EXPECT_EQ(object["blocks_left_raw"], 0);
    }
  }
  EXPECT_NE(run("recompress", path, {"--read_num=100"}).out.find("zstd -5"), std::string::npos);
}

TEST_F(SstDump, files_are_identified_by_content) {
  write_fruit();
  std::string segment(kWalHeaderSize, '\0');
  encode_wal_segment_header(
      segment.data(),
      {.file = kFile, .number = {13}, .start = {4096}, .predecessor = {}, .durable = {}});
  spew(data_ + "/000013.wal", segment + "groups");
  ASSERT_TRUE(
      ManifestWriter::create(FileSystem::posix(), data_, FileNumber{1}, ManifestState{}).ok());
  spew(data_ + "/LOCK", "");
  spew(data_ + "/LOG", "some text\n");
  spew(data_ + "/zeros", std::string(5000, '\0'));
  const Output output = run("identify", data_, {"--json"});
  EXPECT_EQ(output.status, 0) << output.err;
  std::map<std::string, std::string> types;
  for (const json& object : output.objects()) {
    types[std::filesystem::path(object["file"]).filename()] = object["type"];
    EXPECT_EQ(object["damaged"], false);
  }
  EXPECT_EQ(types, (std::map<std::string, std::string>{{"000012.sst", "sstable"},
                                                       {"000013.wal", "log segment"},
                                                       {"000001.manifest", "manifest"},
                                                       {"CURRENT", "CURRENT"},
                                                       {"LOCK", "other"},
                                                       {"LOG", "other"},
                                                       {"zeros", "other"}}));
  const std::string text = run("identify", data_).out;
  EXPECT_NE(text.find("keyspace 7, 6 versions"), std::string::npos);
  EXPECT_NE(text.find("number 13, begins at LSN 4096"), std::string::npos);
  EXPECT_NE(text.find("names 000001.manifest"), std::string::npos);
}

TEST_F(SstDump, identify_says_what_is_damaged_or_misnamed) {
  const std::string path = write_fruit();
  std::filesystem::copy_file(path, data_ + "/000014.wal");
  std::string bytes = slurp(path);
  spew(path, bytes.substr(0, 300));
  const Output output = run("identify", data_);
  EXPECT_EQ(output.status, 1);
  EXPECT_NE(output.out.find("000012.sst: sstable, damaged, 300 bytes"), std::string::npos);
  EXPECT_NE(output.err.find("000012.sst at offset 220: footer: magic"), std::string::npos)
      << output.err;
  EXPECT_NE(output.err.find("000014.wal at offset 0: named as a log segment"), std::string::npos);
}

TEST_F(SstDump, wrong_usage_is_told) {
  const std::string path = write_fruit();
  struct Case {
    std::vector<std::string> arguments;
    const char* message;
  };
  for (const Case& c :
       {Case{{}, "--command is required"}, Case{{"--command=check"}, "files is required"},
        Case{{"--command=chek", path}, "did you mean 'check'"},
        Case{{"--command=scan", path, "--fromm=a"}, "--fromm=a"},
        Case{{"--command=scan", path, "--from=\\q"}, "--from: column 1: expected one of \\\\ \\t"},
        Case{{"--command=scan", path, "--from=abc", "--input_key_hex"}, "hex"},
        Case{{"--command=scan", path, "--read_num=-1"}, "--read_num: number '-1'"},
        Case{{"--command=scan", path, "--read_num=many"}, "read_num"}}) {
    const Output output = run(c.arguments);
    EXPECT_EQ(output.status, 2) << c.message;
    EXPECT_NE(output.err.find(c.message), std::string::npos) << output.err;
    EXPECT_EQ(output.out, "");
  }
  const Output help = run({"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.out.find("recompress"), std::string::npos);
}

TEST_F(SstDump, missing_files_are_told_and_the_others_shown) {
  const std::string path = write_fruit();
  const Output output = run({"--command=check", data_ + "/absent.sst", path});
  EXPECT_EQ(output.status, 1);
  EXPECT_NE(output.err.find("absent.sst"), std::string::npos);
  EXPECT_NE(output.out.find(path + ": ok"), std::string::npos);
}

TEST_F(SstDump, a_directory_without_sstables_is_told) {
  const std::string expected = "sst-dump: not_found: " + data_ + ": no ";
  EXPECT_EQ(run("identify", data_).err, expected + "files in it\n");
  spew(data_ + "/000001.wal", "not looked at");
  for (const char* command : {"check", "scan"}) {
    const Output output = run(command, data_);
    EXPECT_EQ(output.status, 1);
    EXPECT_EQ(output.err, expected + "sstables in it\n");
    EXPECT_EQ(output.out, "");
  }
}

TEST_F(SstDump, messages_keep_their_backslashes) {
  const Output output = run("check", data_ + "/a\\b\n.sst");
  EXPECT_NE(output.err.find("/a\\b\\n.sst"), std::string::npos) << output.err;
}

TEST_F(SstDump, named_pipes_are_refused_unopened) {
  const std::string path = write_fruit();
  const std::string pipe = data_ + "/000013.sst";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const char* command : {"check", "identify"}) {
    for (const std::string& named : {pipe, data_}) {
      const Output output = run(command, named);
      EXPECT_EQ(output.status, 1) << command;
      EXPECT_EQ(output.err, "sst-dump: invalid_argument: " + pipe + ": not a regular file\n");
      EXPECT_EQ(output.out.find(path) == 0, named == data_) << output.out;
    }
  }
}

TEST_F(SstDump, locked_and_read_only_databases_can_be_looked_at) {
  const std::string path = write_fruit();
  const Result<std::unique_ptr<FileLock>> lock = FileSystem::posix()->lock(data_ + "/LOCK");
  ASSERT_TRUE(lock.ok());
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  std::filesystem::permissions(
      data_, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  const Output output = run("verify", data_);
  std::filesystem::permissions(data_, std::filesystem::perms::owner_all);
  EXPECT_EQ(output.status, 0) << output.err;
}

// -- damage --

TEST_F(SstDump, a_flipped_bit_is_found_and_the_rest_is_shown) {
  const std::string path = write_fruit();
  std::string bytes = slurp(path);
  bytes[kSstableHeaderSize + 30] ^= 4;  // in the first data block
  spew(path, bytes);
  const Output check = run("check", path);
  EXPECT_EQ(check.status, 1);
  EXPECT_EQ(check.err.find("sst-dump: corruption: " + path + " at offset 40: "), 0u) << check.err;
  EXPECT_NE(check.out.find("1 problem, 4 versions in 2 blocks"), std::string::npos) << check.out;
  const Output verify = run("verify", path);
  EXPECT_EQ(verify.status, 1);
  EXPECT_EQ(std::count(verify.err.begin(), verify.err.end(), '\n'), 1)
      << "nothing is concluded from what cannot be read: " << verify.err;
  const Output scan = run("scan", path);
  EXPECT_EQ(scan.status, 1);
  EXPECT_EQ(scan.lines().size(), 4u);
  EXPECT_EQ(scan.lines()[0], "banana @ 104 : tombstone");
}

TEST_F(SstDump, cut_off_and_foreign_files_give_an_error_with_file_and_offset) {
  const std::string whole = slurp(write_fruit());
  std::vector<std::string> contents{"", "x", std::string(5000, '\0'), std::string(5000, '\xff'),
                                    "#!/bin/sh\n" + std::string(200, 'x')};
  for (size_t size = 1; size < whole.size(); size += 53) contents.push_back(whole.substr(0, size));
  const std::string path = data_ + "/damaged";
  for (const std::string& content : contents) {
    spew(path, content);
    for (const char* command : {"check", "scan", "raw"}) {
      const Output output = run(command, path);
      EXPECT_EQ(output.status, 1) << command << ", " << content.size() << " bytes";
      EXPECT_EQ(output.err.find("sst-dump: corruption: " + path + " at offset "), 0u) << output.err;
    }
  }
}

// -- lies: every checksum holds --

class SstDumpLies : public SstDump {
 protected:
  SstDumpLies() {
    path_ = write_fruit();
    bytes_ = slurp(path_);
    const std::string_view tail(bytes_.data() + bytes_.size() - kSstableFooterSize,
                                kSstableFooterSize);
    footer_ = *decode_sstable_footer(tail, bytes_.size());
    decode_block_handle(
        std::string_view(bytes_).substr(
            footer_.top_index_offset + footer_.top_index_stored_size - kPartitionHandleSize,
            kPartitionHandleSize),
        true, &partition_);
  }
  // The block with its payload changed, sealed again.
  std::string changed(uint64_t offset, uint32_t stored_size,
                      const std::function<void(char* payload)>& change) const {
    std::string bytes = bytes_;
    char* block = bytes.data() + offset;
    change(block);
    store_le(block + stored_size + 16, checksum({block, stored_size + 16}, kFile, offset));
    return bytes;
  }
  // The handle of the last data block.
  std::string with_handle(size_t byte, uint64_t value, size_t size) const {
    return changed(partition_.offset, partition_.stored_size, [&](char* payload) {
      std::memcpy(payload + partition_.stored_size - kBlockHandleSize + byte, &value, size);
    });
  }
  std::string with_partition(size_t byte, uint64_t value, size_t size) const {
    return changed(footer_.top_index_offset, footer_.top_index_stored_size, [&](char* payload) {
      std::memcpy(payload + footer_.top_index_stored_size - kPartitionHandleSize + byte, &value,
                  size);
    });
  }
  std::string with_properties(const std::function<void(SstableProperties*)>& change) const {
    const std::string_view old(bytes_.data() + footer_.properties_offset,
                               footer_.properties_stored_size);
    SstableProperties properties = *decode_properties(old);
    change(&properties);
    std::string fresh;
    encode_properties(properties, &fresh);
    EXPECT_EQ(fresh.size(), old.size());
    return changed(footer_.properties_offset, footer_.properties_stored_size,
                   [&](char* payload) { std::memcpy(payload, fresh.data(), fresh.size()); });
  }
  void expect_found(const std::string& bytes, const std::string& message) {
    spew(path_, bytes);
    const Output check = run("check", path_);
    EXPECT_EQ(check.status, 0) << "nothing is unreadable: " << check.err;
    const Output verify = run("verify", path_);
    EXPECT_EQ(verify.status, 1) << message;
    EXPECT_NE(verify.err.find(message), std::string::npos)
        << "expected '" << message << "', got: " << verify.err;
    EXPECT_NE(verify.err.find(path_ + " at offset "), std::string::npos);
  }

  std::string path_;
  std::string bytes_;
  SstableFooter footer_;
  BlockHandle partition_;
};

TEST_F(SstDumpLies, summaries_in_the_index_are_held_against_the_rows) {
  expect_found(with_handle(16, 101, 8), "newest timestamp is 102 in the data, 101 here");
  expect_found(with_handle(24, 1, 4), "number of tombstones is 0 in the data, 1 here");
  expect_found(with_handle(32, 1, 4), "flag 'live and single-version' is 0 in the data, 1 here");
  expect_found(with_partition(16, 500, 8), "newest timestamp is 105 in the data, 500 here");
  expect_found(with_partition(24, 0, 4), "number of tombstones is 1 in the data, 0 here");
  expect_found(with_partition(32, 1, 4), "flag 'live and single-version' is 0 in the data, 1");
}

TEST_F(SstDumpLies, first_keys_in_the_index_are_held_against_the_rows) {
  // The index block begins with header and columns; "apple" is the first row's suffix.
  expect_found(changed(partition_.offset, partition_.stored_size,
                       [&](char* payload) {
                         const size_t at =
                             std::string_view(payload, partition_.stored_size).find("apple");
                         payload[at + 4] = 'd';
                       }),
               "begins with 'apple' @ 105, its index entry says 'appld' @ 105");
}

TEST_F(SstDumpLies, a_filter_that_hides_a_key_is_found) {
  expect_found(changed(partition_.filter_offset, partition_.filter_stored_size,
                       [](char* payload) { std::memset(payload + 8, 0, 64); }),
               "6 versions of the partition's 6 are hidden by its filter");
  expect_found(with_partition(48, 0, 4), "partition 0 has no filter");
}

TEST_F(SstDumpLies, properties_are_held_against_the_data) {
  using P = SstableProperties;
  expect_found(with_properties([](P* p) { p->versions = 7; }), "number of versions is 6");
  expect_found(with_properties([](P* p) { p->user_keys = 6; }), "number of user keys is 5");
  expect_found(with_properties([](P* p) { p->tombstones = 0; }), "number of tombstones is 1");
  expect_found(with_properties([](P* p) { p->timestamp_min = {99}; }), "oldest timestamp is 100");
  expect_found(with_properties([](P* p) { p->timestamp_max = {106}; }), "newest timestamp is 105");
  expect_found(with_properties([](P* p) { ++p->raw_bytes; }), "number of raw bytes is");
  expect_found(with_properties([](P* p) { p->data_blocks = 2; }), "number of data blocks is 3");
  expect_found(with_properties([](P* p) { p->partitions = 2; }), "number of partitions is 1");
  expect_found(with_properties([](P* p) { p->smallest_key = "apply"; }),
               "smallest key is 'apple' in the data, 'apply' here");
  expect_found(with_properties([](P* p) { p->largest_key = "date__"; }), "largest key is");
}

TEST_F(SstDumpLies, rows_out_of_order_are_found_by_check) {
  const std::string_view index =
      std::string_view(bytes_).substr(partition_.offset, partition_.stored_size);
  BlockHandle first;
  ASSERT_TRUE(
      decode_block_handle(index.substr(index.find("apple") + 5, kBlockHandleSize), false, &first));
  spew(path_, changed(first.offset, first.stored_size, [&](char* payload) {
         // The keys are "ap" + "ple" and "ap" + "ricot".
         payload[std::string_view(payload, first.stored_size).find("ricot")] = 'a';
       }));
  const Output output = run("check", path_);
  EXPECT_EQ(output.status, 1);
  EXPECT_NE(output.err.find("at offset 40: row 1 of 2, 'apaicot' @ 101, does not come after "
                            "'apple' @ 105"),
            std::string::npos)
      << output.err;
}

TEST_F(SstDump, golden_sstable_is_sound) {
  const std::string path = data_ + "/golden.sst";
  spew(path, test::golden_bytes("sstable"));
  const Output output = run("verify", path);
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_EQ(run("scan", path, {"--from=date"}).out,
            "date @ 0 : value => brown; its age is forgotten\n");
}

}  // namespace
}  // namespace varve
