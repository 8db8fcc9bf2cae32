#include "lsm/block_format.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/lsm/golden_file.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

constexpr FileId kFile{0x0123456789abcdef, 0xfedcba9876543210};

std::string sealed(std::string_view stored, const BlockTrailer& trailer, uint64_t offset) {
  std::string block(stored);
  block.resize(stored.size() + kBlockTrailerSize);
  seal_block(block.data(), stored.size(), trailer, kFile, offset);
  return block;
}

std::string sealed_rows(uint64_t offset) {
  return sealed("12345678", {.raw_size = 8, .row_count = 3}, offset);
}

// As if a newer or a hostile writer had sealed what now stands in the block.
void seal_again(std::string* block, uint64_t offset) {
  const size_t guarded = block->size() - 8;
  store_le(block->data() + guarded, checksum({block->data(), guarded}, kFile, offset));
}

TEST(BlockFormat, sealed_block_opens_with_its_trailer) {
  const std::string block = sealed_rows(4096);
  const Result<BlockTrailer> trailer = open_block(block.data(), 8, kFile, 4096);
  ASSERT_TRUE(trailer.ok()) << trailer.status().to_string();
  EXPECT_EQ(trailer->codec, Compression::none);
  EXPECT_EQ(trailer->raw_size, 8u);
  EXPECT_EQ(trailer->row_count, 3u);
}

TEST(BlockFormat, any_flipped_bit_of_block_is_corruption) {
  const std::string block = sealed_rows(4096);
  for (size_t bit = 0; bit < block.size() * 8; ++bit) {
    std::string damaged = block;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const Result<BlockTrailer> trailer = open_block(damaged.data(), 8, kFile, 4096);
    ASSERT_FALSE(trailer.ok()) << "bit " << bit;
    EXPECT_EQ(trailer.status().code(), StatusCode::corruption) << "bit " << bit;
  }
}

TEST(BlockFormat, block_at_another_offset_or_in_another_file_is_corruption) {
  const std::string block = sealed_rows(4096);
  EXPECT_FALSE(open_block(block.data(), 8, kFile, 0).ok());
  EXPECT_FALSE(open_block(block.data(), 8, kFile, 4097).ok());
  EXPECT_FALSE(open_block(block.data(), 8, {kFile.high + 1, kFile.low}, 4096).ok());
  EXPECT_FALSE(open_block(block.data(), 8, {kFile.high, kFile.low + 1}, 4096).ok());
  EXPECT_FALSE(open_block(block.data(), 8, {kFile.low, kFile.high}, 4096).ok());
}

TEST(BlockFormat, newer_version_codec_or_transform_is_not_supported) {
  for (const size_t byte : {0, 1, 2}) {
    std::string block = sealed_rows(0);
    block[8 + byte] = 2;
    seal_again(&block, 0);
    const Result<BlockTrailer> trailer = open_block(block.data(), 8, kFile, 0);
    ASSERT_FALSE(trailer.ok()) << "trailer byte " << byte;
    EXPECT_EQ(trailer.status().code(), StatusCode::not_supported) << "trailer byte " << byte;
  }
}

TEST(BlockFormat, sizes_that_cannot_be_are_corruption_although_the_checksum_holds) {
  struct Case {
    const char* what;
    size_t byte;  // of the trailer
    uint32_t value;
  };
  for (const Case& c :
       {Case{"raw size unlike the stored one, without a codec", 4, 9},
        Case{"raw size over the limit", 4, UINT32_MAX}, Case{"more rows than bytes allow", 8, 5}}) {
    std::string block = sealed_rows(0);
    store_le(block.data() + 8 + c.byte, c.value);
    seal_again(&block, 0);
    const Result<BlockTrailer> trailer = open_block(block.data(), 8, kFile, 0);
    ASSERT_FALSE(trailer.ok()) << c.what;
    EXPECT_EQ(trailer.status().code(), StatusCode::corruption) << c.what;
  }
}

TEST(BlockFormat, compressed_block_over_the_limit_is_corruption) {
  BlockTrailer trailer{.codec = Compression::zstd, .raw_size = kBlockCompressedRawSizeMax};
  std::string block = sealed("12345678", trailer, 0);
  EXPECT_TRUE(open_block(block.data(), 8, kFile, 0).ok());
  ++trailer.raw_size;
  block = sealed("12345678", trailer, 0);
  EXPECT_EQ(open_block(block.data(), 8, kFile, 0).status().code(), StatusCode::corruption);
}

TEST(BlockFormat, empty_payload_is_sealed_and_opened) {
  const std::string block = sealed("", {.raw_size = 0, .row_count = 0}, 77);
  EXPECT_TRUE(open_block(block.data(), 0, kFile, 77).ok());
}

TEST(BlockFormat, handles_come_back_as_they_were) {
  const BlockHandle handle{.offset = 0x1122334455667788,
                           .stored_size = 0x01020304,
                           .raw_size = 0x05060708,
                           .timestamp_max = {0x99aabbccddeeff00},
                           .tombstones = 0x0a0b0c0d,
                           .rows = 0x0e0f1011,
                           .flags = kBlockLiveSingleVersion,
                           .filter_offset = 0x8877665544332211,
                           .filter_stored_size = 0x12131415};
  for (const bool partition : {false, true}) {
    const size_t size = partition ? kPartitionHandleSize : kBlockHandleSize;
    std::string bytes(size, '\xee');
    std::string over_others(size, '\x11');
    encode_block_handle(bytes.data(), handle, partition);
    encode_block_handle(over_others.data(), handle, partition);
    EXPECT_EQ(bytes, over_others) << "a byte was not written";
    BlockHandle found;
    ASSERT_TRUE(decode_block_handle(bytes, partition, &found));
    EXPECT_EQ(found.offset, handle.offset);
    EXPECT_EQ(found.stored_size, handle.stored_size);
    EXPECT_EQ(found.raw_size, handle.raw_size);
    EXPECT_EQ(found.timestamp_max, handle.timestamp_max);
    EXPECT_EQ(found.tombstones, handle.tombstones);
    EXPECT_EQ(found.rows, handle.rows);
    EXPECT_EQ(found.flags, handle.flags);
    EXPECT_EQ(found.filter_offset, partition ? handle.filter_offset : 0);
    EXPECT_EQ(found.filter_stored_size, partition ? handle.filter_stored_size : 0);
    test::expect_golden(partition ? "partition_handle" : "block_handle",
                        "value of a row of an index block: lsm/block_format.h", bytes);
    for (size_t other = 0; other <= 100; ++other) {
      EXPECT_EQ(decode_block_handle(std::string(other, '\0'), partition, &found), other == size);
    }
  }
}

TEST(BlockFormat, golden_sealed_block) {
  const std::string block =
      sealed(test::bytes_of_hex("02000000 0100 01 01 0500000000000000 61 02 00"
                                "01 01 62 78 01 00 63"),
             {.raw_size = 26, .row_count = 2}, 40);
  test::expect_golden("sealed_block",
                      "the example of lsm/block_format.h with its trailer, file id "
                      "0123456789abcdef fedcba9876543210, offset 40",
                      block);
  EXPECT_TRUE(open_block(block.data(), 26, kFile, 40).ok());
}

}  // namespace
}  // namespace varve
