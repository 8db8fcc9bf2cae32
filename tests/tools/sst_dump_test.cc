// The program `sst-dump` on files that are sound, and its command line.

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lsm/manifest.h"
#include "lsm/value_writer.h"
#include "lsm/wal_format.h"
#include "tests/lsm/golden_file.h"
#include "tests/tools/sst_dump_fixture.h"

namespace varve {
namespace {

TEST_F(SstDump, sound_file_is_ok) {
  const std::string path = write_fruit();
  for (const char* command : {"check", "verify"}) {
    const SstOutput output = run(command, path);
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
  test::write_file(data_ + "/000001.wal", "not looked at");
  const std::vector<json> objects = run("check", data_, {"--json"}).objects();
  ASSERT_EQ(objects.size(), 2u);
  EXPECT_EQ(objects[0]["file"], data_ + "/000002.sst");
  EXPECT_EQ(objects[1]["file"], data_ + "/1000000.sst");
}

TEST_F(SstDump, scan_prints_versions) {
  const SstOutput output = run("scan", write_fruit());
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
    const SstOutput output = run("scan", path, std::move(options));
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
  EXPECT_EQ(keys({"--prefix=", "--from=cherry", "--to="}), "ch ch da ");
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
  std::string bytes = test::read_file(path);
  bytes[kSstableHeaderSize + 20] ^= 1;
  test::write_file(path, bytes);
  const SstOutput near = run("scan", path, {"--from=k11990"});
  EXPECT_EQ(near.status, 0) << near.err;
  EXPECT_EQ(near.lines().size(), 10u);
  EXPECT_EQ(run("scan", path).status, 1);
}

TEST_F(SstDump, raw_offsets_lead_to_the_bytes) {
  const std::string path = write_fruit();
  const std::string bytes = test::read_file(path);
  const SstOutput output = run("raw", path, {"--json"});
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
  const SstOutput output = run("layout", path, {"--json"});
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
  const SstOutput output = run("recompress", path, {"--json", "--read_num=2500"});
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
  encode_wal_segment_header(segment.data(), {.file = kFile,
                                             .number = {13},
                                             .start = {4096},
                                             .predecessor = {},
                                             .durable = {},
                                             .database = {}});
  test::write_file(data_ + "/000013.wal", segment + "groups");
  ASSERT_TRUE(
      ManifestWriter::create(FileSystem::posix(), data_, FileNumber{1}, ManifestState{}).ok());
  test::write_file(data_ + "/LOCK", "");
  test::write_file(data_ + "/LOG", "some text\n");
  test::write_file(data_ + "/zeros", std::string(5000, '\0'));
  const SstOutput output = run("identify", data_, {"--json"});
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

// Large values lie in another file, which has commands of its own.
TEST_F(SstDump, values_in_other_files_are_followed) {
  const ValueFileName name{.number = {13}, .id = {1, 2}};
  const std::string large(5000, 'v');
  MemoryManager manager(0);
  const auto file_for = [&](const std::string& path) {
    return std::move(*FileSystem::posix()->open(path, OpenMode::create_exclusive));
  };
  const std::string values_path = data_ + "/000013.val";
  ValueWriter values(&manager, file_for(values_path), name, {.codec = Compression::zstd});
  const Result<ValuePlace> first = values.add(large);
  ASSERT_TRUE(first.ok() && values.add("an old one").ok() && values.finish().ok());
  const std::string path = data_ + "/000012.sst";
  SstableWriter writer(&manager, file_for(path), kFile, {.keyspace = {7}});
  ASSERT_TRUE(writer.add("a", key_hash("a"), {5}, kValue, "small").ok());
  ASSERT_TRUE(writer.add_pointer("b", key_hash("b"), {6}, name, *first).ok());
  ASSERT_TRUE(writer.finish().ok());

  for (const char* command : {"check", "verify"}) {
    const SstOutput output = run(command, data_);
    EXPECT_EQ(output.status, 0) << output.err;
    EXPECT_NE(output.out.find("000013.val: ok, 2 values of 5,010 bytes, 1 compressed"),
              std::string::npos)
        << output.out;
  }
  EXPECT_EQ(run("scan", path).out, "a @ 5 : value => small\nb @ 6 : value => " + large + "\n");
  EXPECT_EQ(run("scan", path, {"--json"}).objects().at(1)["value"], large);
  EXPECT_NE(run("raw", path).out.find("b @ 6 : value_pointer => file 0 of values at 40, "),
            std::string::npos);
  EXPECT_NE(run("raw", path).out.find(", with pointers to values"), std::string::npos);
  EXPECT_NE(run("properties", path).out.find("  values            1 value of "), std::string::npos);
  EXPECT_EQ(run("properties", path, {"--json"}).objects().at(0)["value_files"][0]["file"],
            "000013.val");
  EXPECT_EQ(run("scan", values_path, {"--json"}).objects().size(), 2u);
  EXPECT_EQ(run("properties", values_path, {"--json"}).objects().at(0)["values"], 2);
  EXPECT_NE(run("identify", values_path).out.find("file of values, "), std::string::npos);
  EXPECT_EQ(run("recompress", values_path).status, 1);

  // Damage there is found by what reads it.
  std::string bytes = test::read_file(values_path);
  bytes[60] = static_cast<char>(bytes[60] ^ 1);
  test::write_file(values_path, bytes);
  for (const std::string& file : {path, values_path}) {
    const SstOutput output = run("verify", file);
    EXPECT_EQ(output.status, 1);
    EXPECT_NE(output.err.find("000013.val at offset 40: "), std::string::npos) << output.err;
  }
  EXPECT_EQ(run("check", path).status, 0);
  const SstOutput scanned = run("scan", path);
  EXPECT_EQ(scanned.status, 1);
  EXPECT_NE(scanned.out.find("b @ 6 : value_pointer => file 0"), std::string::npos) << scanned.out;
  std::filesystem::remove(values_path);
  EXPECT_NE(run("verify", path).err.find("000013.val"), std::string::npos);
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
        Case{{"--command=scan", path, "--fromm=a"}, "unknown option --fromm, did you mean --from?"},
        Case{{"--command=check", path, "--from=a"}, "--from: not for this command"},
        Case{{"--command=layout", path, "--prefix="}, "--prefix: not for this command"},
        Case{{"--command=verify", path, "--read_num=1"}, "--read_num: not for this command"},
        Case{{"--command=recompress", path, "--to=a"}, "--to: not for this command"},
        Case{{"--command=", "scan", path}, "unknown command ''"},
        Case{{"--command=scan", path, "--from=\\q"}, "--from: column 1: expected one of \\\\ \\t"},
        Case{{"--command=scan", path, "--from=abc", "--input_key_hex"}, "hex"},
        Case{{"--command=scan", path, "--read_num=-1"}, "--read_num: number '-1'"},
        Case{{"--command=scan", path, "--read_num=many"}, "read_num"}}) {
    const SstOutput output = run(c.arguments);
    EXPECT_EQ(output.status, 2) << c.message;
    EXPECT_NE(output.err.find(c.message), std::string::npos) << output.err;
    EXPECT_EQ(output.out, "");
  }
  const SstOutput help = run({"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.out.find("recompress"), std::string::npos);
}

TEST_F(SstDump, locked_and_read_only_databases_can_be_looked_at) {
  const std::string path = write_fruit();
  const Result<std::unique_ptr<FileLock>> lock = FileSystem::posix()->lock(data_ + "/LOCK");
  ASSERT_TRUE(lock.ok());
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  std::filesystem::permissions(
      data_, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  const SstOutput output = run("verify", data_);
  std::filesystem::permissions(data_, std::filesystem::perms::owner_all);
  EXPECT_EQ(output.status, 0) << output.err;
}

TEST_F(SstDump, golden_sstable_is_sound) {
  const std::string path = data_ + "/golden.sst";
  test::write_file(path, test::golden_bytes("sstable"));
  const SstOutput output = run("verify", path);
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_EQ(run("scan", path, {"--from=date"}).out,
            "date @ 0 : value => brown; its age is forgotten\n");
}

}  // namespace
}  // namespace varve
