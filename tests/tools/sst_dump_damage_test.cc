// The program `sst-dump` on what is missing, damaged, of another kind, or contradicts itself.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "lsm/sstable_format.h"
#include "tests/tools/sst_dump_fixture.h"

namespace varve {
namespace {

TEST_F(SstDump, identify_says_what_is_damaged_or_misnamed) {
  const std::string path = write_fruit();
  std::filesystem::copy_file(path, data_ + "/000014.wal");
  std::string bytes = test::read_file(path);
  test::write_file(path, bytes.substr(0, 300));
  const SstOutput output = run("identify", data_);
  EXPECT_EQ(output.status, 1);
  EXPECT_NE(output.out.find("000012.sst: sstable, damaged, 300 bytes"), std::string::npos);
  EXPECT_NE(output.err.find("000012.sst at offset 220: footer: magic"), std::string::npos)
      << output.err;
  EXPECT_NE(output.err.find("000014.wal at offset 0: named as a log segment"), std::string::npos);
}

TEST_F(SstDump, missing_files_are_told_and_the_others_shown) {
  const std::string path = write_fruit();
  const SstOutput output = run({"--command=check", data_ + "/absent.sst", path});
  EXPECT_EQ(output.status, 1);
  EXPECT_NE(output.err.find("absent.sst"), std::string::npos);
  EXPECT_NE(output.out.find(path + ": ok"), std::string::npos);
}

TEST_F(SstDump, a_directory_without_sstables_is_told) {
  const std::string expected = "sst-dump: not_found: " + data_ + ": no ";
  EXPECT_EQ(run("identify", data_).err, expected + "files in it\n");
  test::write_file(data_ + "/000001.wal", "not looked at");
  for (const char* command : {"check", "scan"}) {
    const SstOutput output = run(command, data_);
    EXPECT_EQ(output.status, 1);
    EXPECT_EQ(output.err, expected + "sstables in it\n");
    EXPECT_EQ(output.out, "");
  }
}

TEST_F(SstDump, messages_keep_their_backslashes) {
  const SstOutput output = run("check", data_ + "/a\\b\n.sst");
  EXPECT_NE(output.err.find("/a\\b\\n.sst"), std::string::npos) << output.err;
}

TEST_F(SstDump, named_pipes_are_refused_unopened) {
  const std::string path = write_fruit();
  const std::string pipe = data_ + "/000013.sst";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const char* command : {"check", "identify"}) {
    for (const std::string& named : {pipe, data_}) {
      const SstOutput output = run(command, named);
      EXPECT_EQ(output.status, 1) << command;
      EXPECT_EQ(output.err, "sst-dump: invalid_argument: " + pipe + ": not a regular file\n");
      EXPECT_EQ(output.out.find(path) == 0, named == data_) << output.out;
    }
  }
}

TEST_F(SstDump, a_flipped_bit_is_found_and_the_rest_is_shown) {
  const std::string path = write_fruit();
  std::string bytes = test::read_file(path);
  bytes[kSstableHeaderSize + 30] ^= 4;  // in the first data block
  test::write_file(path, bytes);
  const SstOutput check = run("check", path);
  EXPECT_EQ(check.status, 1);
  EXPECT_EQ(check.err.find("sst-dump: corruption: " + path + " at offset 40: "), 0u) << check.err;
  EXPECT_NE(check.out.find("1 problem, 4 versions in 2 blocks"), std::string::npos) << check.out;
  const SstOutput verify = run("verify", path);
  EXPECT_EQ(verify.status, 1);
  EXPECT_EQ(std::count(verify.err.begin(), verify.err.end(), '\n'), 1)
      << "nothing is concluded from what cannot be read: " << verify.err;
  const SstOutput scan = run("scan", path);
  EXPECT_EQ(scan.status, 1);
  EXPECT_EQ(scan.lines().size(), 4u);
  EXPECT_EQ(scan.lines()[0], "banana @ 104 : tombstone");
}

TEST_F(SstDump, cut_off_and_foreign_files_give_an_error_with_file_and_offset) {
  const std::string whole = test::read_file(write_fruit());
  std::vector<std::string> contents{"", "x", std::string(5000, '\0'), std::string(5000, '\xff'),
                                    "#!/bin/sh\n" + std::string(200, 'x')};
  for (size_t size = 1; size < whole.size(); size += 53) contents.push_back(whole.substr(0, size));
  const std::string path = data_ + "/damaged";
  for (const std::string& content : contents) {
    test::write_file(path, content);
    for (const char* command : {"check", "scan", "raw"}) {
      const SstOutput output = run(command, path);
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
    bytes_ = test::read_file(path_);
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
    test::write_file(path_, bytes);
    const SstOutput check = run("check", path_);
    EXPECT_EQ(check.status, 0) << "nothing is unreadable: " << check.err;
    const SstOutput verify = run("verify", path_);
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
  test::write_file(path_, changed(first.offset, first.stored_size, [&](char* payload) {
                     // The keys are "ap" + "ple" and "ap" + "ricot".
                     payload[std::string_view(payload, first.stored_size).find("ricot")] = 'a';
                   }));
  const SstOutput output = run("check", path_);
  EXPECT_EQ(output.status, 1);
  EXPECT_NE(output.err.find("at offset 40: row 1 of 2, 'apaicot' @ 101, does not come after "
                            "'apple' @ 105"),
            std::string::npos)
      << output.err;
}

}  // namespace
}  // namespace varve
