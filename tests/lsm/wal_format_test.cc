#include "lsm/wal_format.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lsm/wal_reader.h"
#include "memory/memory_manager.h"
#include "tests/lsm/golden_file.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"

namespace varve {
namespace {

constexpr FileId kFile{0x0123456789abcdef, 0xfedcba9876543210};
constexpr DatabaseId kDatabase{0x5555555566666666, 0x7777777788888888};

struct Commit {
  uint64_t timestamp;
  std::string batch;
};

std::string segment_header() {
  std::string bytes(kWalHeaderSize, '\xee');
  encode_wal_segment_header(bytes.data(), {.file = kFile,
                                           .number = {13},
                                           .start = {4096},
                                           .predecessor = {11},
                                           .durable = {4000},
                                           .database = kDatabase});
  return bytes;
}

// A sealed group at `offset` of the segment.
std::string group(WalKind kind, uint64_t offset, Lsn durable, const std::vector<Commit>& commits) {
  std::string payload;
  WalGroupHeader header{.kind = kind,
                        .commits = static_cast<uint32_t>(commits.size()),
                        .timestamp = {commits.empty() ? 0 : commits.front().timestamp},
                        .durable = durable};
  uint64_t last = header.timestamp.nanos;
  for (const Commit& commit : commits) {
    append_varint(&payload, commit.timestamp - last);
    append_sized(&payload, commit.batch);
    last = commit.timestamp;
  }
  header.payload_size = static_cast<uint32_t>(payload.size());
  std::string bytes = std::string(kWalGroupHeaderSize, '\xee') + payload;
  bytes.resize(wal_group_size(payload.size()), '\xee');
  seal_wal_group(bytes.data(), header, kFile, offset);
  return bytes;
}

const std::string kExampleBatch = test::bytes_of_hex("01 00 02 61 62 03 78 79 7a");

TEST(WalFormat, example_of_the_format_is_encoded_as_written_there) {
  const std::string bytes = group(WalKind::commits, 192, {0}, {{5, kExampleBatch}});
  EXPECT_EQ(bytes.size(), 56u);
  EXPECT_EQ(bytes.substr(kWalGroupHeaderSize),
            test::bytes_of_hex("00 09 01 00 02 61 62 03 78 79 7a 00 00 00 00 00"));
}

// A header, the example group, a group of two commits, and a clean end.
TEST(WalFormat, golden_log_segment) {
  std::string bytes = segment_header();
  bytes += group(WalKind::commits, bytes.size(), {4000}, {{5, kExampleBatch}});
  bytes += group(WalKind::commits, bytes.size(), {4096},
                 {{1000, test::bytes_of_hex("02 00 04 676f6e65")},
                  {1300, test::bytes_of_hex("01 ac02 01 6b 00")}});
  bytes += group(WalKind::end_marker, bytes.size(), {4096 + 120}, {});
  test::expect_golden("log_segment",
                      "segment 13 of file id 0123456789abcdef fedcba9876543210: "
                      "tests/lsm/wal_format_test.cc",
                      bytes);

  const std::unique_ptr<FileSystem> files = FileSystem::create_memory();
  ASSERT_OK(files->create_directory("/log"));
  test::write_file(files.get(), "/log/000013.wal", test::golden_bytes("log_segment"));
  MemoryManager memory(0);
  WalReader reader(files.get(), "/log", &memory, &kDatabase);
  ASSERT_OK(reader.open({FileNumber{13}}, Lsn{4096}));
  const WalSegmentHeader& header = reader.segments().at(0).header;
  EXPECT_EQ(header.file, kFile);
  EXPECT_EQ(header.number, FileNumber{13});
  EXPECT_EQ(header.start, Lsn{4096});
  EXPECT_EQ(header.predecessor, FileNumber{11});
  EXPECT_EQ(header.durable, Lsn{4000});
  EXPECT_EQ(header.database, kDatabase);
  std::vector<std::pair<uint64_t, std::string>> commits;
  WalGroup read;
  for (;;) {
    const Result<bool> more = reader.next(&read);
    ASSERT_OK(more);
    if (!*more) break;
    WalCommitReader payload(read.header, read.payload);
    for (WalCommit commit; payload.next(&commit);) {
      commits.emplace_back(commit.timestamp.nanos, std::string(commit.batch));
    }
    EXPECT_TRUE(payload.ok());
  }
  EXPECT_EQ(commits, (std::vector<std::pair<uint64_t, std::string>>{
                         {5, kExampleBatch},
                         {1000, test::bytes_of_hex("02 00 04 676f6e65")},
                         {1300, test::bytes_of_hex("01 ac02 01 6b 00")}}));
  EXPECT_TRUE(reader.clean());
}

TEST(WalFormat, newer_headers_are_not_supported) {
  for (const size_t field : {8, 12}) {
    std::string bytes = segment_header();
    for (const size_t copy : {size_t{0}, kWalHeaderCopySize}) {
      store_le(bytes.data() + copy + field, uint32_t{2});
      store_le(bytes.data() + copy + 88, checksum({bytes.data() + copy, 88}, kFile, 0));
    }
    EXPECT_FAILS(decode_wal_segment_header(bytes), not_supported, "version");
  }
}

TEST(WalFormat, group_headers_that_cannot_be_are_refused) {
  const std::string bytes = group(WalKind::commits, 192, {0}, {{5, kExampleBatch}});
  WalGroupHeader header;
  ASSERT_TRUE(decode_wal_group_header(bytes.data(), bytes.size(), &header));
  EXPECT_TRUE(wal_group_checksum_holds(bytes.data(), header, kFile, 192));
  EXPECT_FALSE(wal_group_checksum_holds(bytes.data(), header, kFile, 168)) << "another place";
  EXPECT_FALSE(wal_group_checksum_holds(bytes.data(), header, {1, 2}, 192)) << "another life";
  for (uint64_t remaining = 0; remaining < kWalGroupHeaderSize + 11; ++remaining) {
    EXPECT_FALSE(decode_wal_group_header(bytes.data(), remaining, &header)) << remaining;
  }
  for (const size_t reserved : {13, 14, 15, 20, 21, 22, 23}) {
    std::string changed = bytes;
    changed[reserved] = 1;
    EXPECT_FALSE(decode_wal_group_header(changed.data(), changed.size(), &header)) << reserved;
  }
  for (const int kind : {0, 2, 7, 14, 16, 255}) {
    std::string changed = bytes;
    changed[12] = static_cast<char>(kind);
    EXPECT_FALSE(decode_wal_group_header(changed.data(), changed.size(), &header)) << kind;
  }
}

TEST(WalFormat, payloads_that_no_writer_makes_are_refused) {
  const auto commits_of = [](uint32_t commits, const char* hex, bool* ok) {
    const std::string payload = test::bytes_of_hex(hex);
    WalCommitReader reader({.commits = commits}, payload);
    size_t count = 0;
    for (WalCommit commit; reader.next(&commit);) ++count;
    *ok = reader.ok();
    return count;
  };
  bool ok = false;
  EXPECT_EQ(commits_of(2, "05 01 61 07 00", &ok), 2u);
  EXPECT_TRUE(ok);
  EXPECT_EQ(commits_of(1, "05 01 61 07 00", &ok), 1u) << "bytes after the last commit";
  EXPECT_FALSE(ok);
  EXPECT_EQ(commits_of(3, "05 01 61 07 00", &ok), 2u) << "a commit is missing";
  EXPECT_FALSE(ok);
  EXPECT_EQ(commits_of(1, "05 02 61", &ok), 0u) << "a batch beyond the end";
  EXPECT_FALSE(ok);
  EXPECT_EQ(commits_of(1, "05 ffffffffffffffffff01 61", &ok), 0u) << "a batch of 2^64 - 1 bytes";
  EXPECT_FALSE(ok);
}

}  // namespace
}  // namespace varve
