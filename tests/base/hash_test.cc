#include "base/hash.h"

#include <gtest/gtest.h>

#include <string>

namespace varve {
namespace {

std::string pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 131 + 7);
  return bytes;
}

// In every file: filters, block tags. Never to change.
TEST(KeyHash, GoldenValues) {
  EXPECT_EQ(key_hash(""), 0x31d32554cc6b344aull);
  EXPECT_EQ(key_hash("a"), 0x30c566cd08d18815ull);
  EXPECT_EQ(key_hash("key00000"), 0x74c153c51fee9fb2ull);
  EXPECT_EQ(key_hash("user4052466453699787802"), 0x8109eb7a0d7cca5cull);
  EXPECT_EQ(key_hash(pattern(200)), 0x587541de6b142dc1ull);
  EXPECT_EQ(key_hash(pattern(1000)), 0x17f09a1363d8a202ull);
}

// In every file. Never to change.
TEST(Checksum, GoldenValues) {
  const FileId file{.high = 0x0123456789abcdefull, .low = 0xfedcba9876543210ull};
  EXPECT_EQ(checksum("", {}, 0), 0x849dfa95ed29f831ull);
  EXPECT_EQ(checksum("", file, 0), 0x2cbc3b5a2b4c61b6ull);
  EXPECT_EQ(checksum("block", file, 4096), 0xf2377cba457cf6eaull);
  EXPECT_EQ(checksum(pattern(16384), file, 1ull << 40), 0x7e29acc513d7644cull);
}

TEST(Checksum, DependsOnBytesFileAndOffset) {
  const FileId file{.high = 1, .low = 2};
  const uint64_t sum = checksum("bytes", file, 3);
  EXPECT_EQ(checksum("bytes", file, 3), sum);
  EXPECT_NE(checksum("bytez", file, 3), sum);
  EXPECT_NE(checksum("byte", file, 3), sum);
  EXPECT_NE(checksum("bytes", {.high = 2, .low = 1}, 3), sum);
  EXPECT_NE(checksum("bytes", {.high = 1, .low = 3}, 3), sum);
  EXPECT_NE(checksum("bytes", file, 4), sum);
}

TEST(Checksum, EverySingleBitFlipIsSeen) {
  std::string bytes = pattern(300);
  const FileId file{.high = 5, .low = 6};
  const uint64_t sum = checksum(bytes, file, 7);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(checksum(bytes, file, 7), sum) << "bit " << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
}

// Zeros written by nobody do not pass as a sealed block whose checksum is zero.
TEST(Checksum, ZerosDoNotSumToZero) {
  for (const size_t size : {0, 1, 8, 64, 4096, 16384}) {
    EXPECT_NE(checksum(std::string(size, '\0'), {}, 0), 0u) << size;
  }
}

TEST(FileId, ComparesHighFirst) {
  EXPECT_LT((FileId{1, 9}), (FileId{2, 0}));
  EXPECT_LT((FileId{1, 1}), (FileId{1, 2}));
  EXPECT_EQ((FileId{1, 1}), (FileId{1, 1}));
}

}  // namespace
}  // namespace varve
