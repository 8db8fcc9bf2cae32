#include "lsm/codec.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <string>

#include "lsm/block_format.h"
#include "tests/lsm/golden_file.h"
#include "tests/lsm/version_rows.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

class CodecTest : public ::testing::Test {
 protected:
  // Empty if the codec says that it is not worth it.
  std::string compress(std::string_view from) {
    std::string to(from.size(), '\0');
    to.resize(codec_.compress(from, to.data()));
    return to;
  }
  // Into a piece of memory of just that size, which AddressSanitizer watches.
  Status decompress(std::string_view from, size_t size, std::string* to) {
    const std::unique_ptr<char[]> exact(new char[size]);
    Status status = codec_.decompress(from, exact.get(), size);
    to->assign(exact.get(), size);
    return status;
  }

  MemoryManager manager_{0};
  Codec codec_{&manager_, MemoryRole::block_frames};
};

TEST_F(CodecTest, compressible_bytes_of_every_size_get_smaller_and_come_back) {
  VARVE_SEEDED_TEST(random);
  std::string all = test::random_text(&random, kBlockCompressedRawSizeMax);
  for (size_t size = 200; size <= all.size(); size += 1 + size / 9) {
    const std::string_view raw = std::string_view(all).substr(0, size);
    const std::string compressed = compress(raw);
    ASSERT_FALSE(compressed.empty()) << size << " bytes";
    EXPECT_LE(compressed.size(), size - size / 8);
    std::string back;
    const Status status = decompress(compressed, size, &back);
    ASSERT_TRUE(status.ok()) << status.to_string();
    ASSERT_TRUE(back == raw) << size << " bytes";
  }
  EXPECT_FALSE(compress(all).empty()) << "the largest size";
}

TEST_F(CodecTest, what_is_not_worth_it_is_left_as_it_is) {
  VARVE_SEEDED_TEST(random);
  EXPECT_EQ(compress(test::random_bytes(&random, 16 * 1024)), "") << "random bytes";
  EXPECT_EQ(compress(""), "");
  EXPECT_EQ(compress("short"), "");
  EXPECT_EQ(compress(std::string(kBlockCompressedRawSizeMax + 1, 'a')), "") << "over the limit";
}

TEST_F(CodecTest, compression_is_the_same_each_time) {
  Random random(7);
  const std::string raw = test::random_text(&random, 10'000);
  const std::string first = compress(raw);
  compress(test::random_text(&random, 500'000));
  EXPECT_EQ(compress(raw), first);
  EXPECT_EQ(Codec(&manager_, MemoryRole::compaction).compress(raw, std::string(raw).data()),
            first.size());
}

TEST_F(CodecTest, wrong_size_cut_off_or_changed_bytes_are_corruption_and_stay_within_bounds) {
  VARVE_SEEDED_TEST(random);
  const std::string raw = test::random_text(&random, 3000);
  const std::string compressed = compress(raw);
  std::string back;
  EXPECT_EQ(decompress(compressed, raw.size() - 1, &back).code(), StatusCode::corruption);
  EXPECT_EQ(decompress(compressed, raw.size() + 1, &back).code(), StatusCode::corruption);
  EXPECT_EQ(decompress(compressed, 0, &back).code(), StatusCode::corruption);
  EXPECT_EQ(decompress("", raw.size(), &back).code(), StatusCode::corruption);
  for (size_t size = 0; size < compressed.size(); size += 7) {
    EXPECT_EQ(decompress(compressed.substr(0, size), raw.size(), &back).code(),
              StatusCode::corruption);
  }
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = compressed;
    damaged[random.below(damaged.size())] = static_cast<char>(random.next());
    (void)decompress(damaged, raw.size(), &back);  // any answer, but nothing out of bounds
  }
  const Status status = decompress(compressed, raw.size(), &back);
  EXPECT_TRUE(status.ok() && back == raw) << "usable after failures";
}

TEST_F(CodecTest, a_bomb_stops_at_the_size_that_was_asked_for) {
  const std::string zeros(100 << 20, '\0');
  std::string bomb(ZSTD_compressBound(zeros.size()), '\0');
  bomb.resize(ZSTD_compress(bomb.data(), bomb.size(), zeros.data(), zeros.size(), 1));
  ASSERT_LT(bomb.size(), 20'000u);
  std::string back;
  EXPECT_EQ(decompress(bomb, 4096, &back).code(), StatusCode::corruption);
}

TEST_F(CodecTest, golden_compressed_bytes_still_decompress) {
  // Only read: another zstd may compress to other bytes.
  std::string raw;
  for (int i = 0; i < 20; ++i) raw += "varve " + std::to_string(i % 7) + ", ";
  if (std::getenv("VARVE_WRITE_GOLDEN") != nullptr) {
    test::expect_golden("zstd", "zstd level 1 of 'varve 0, varve 1, ...': tests/lsm/codec_test.cc",
                        compress(raw));
  }
  std::string back;
  const Status status = decompress(test::golden_bytes("zstd"), raw.size(), &back);
  ASSERT_TRUE(status.ok()) << status.to_string();
  EXPECT_EQ(back, raw);
}

TEST_F(CodecTest, working_memory_is_on_the_account_of_the_role_and_given_back) {
  {
    Codec codec(&manager_, MemoryRole::compaction);
    EXPECT_EQ(manager_.live_bytes(MemoryRole::compaction), 0u) << "taken on first use";
    std::string raw(1000, 'a');
    std::string to(1000, '\0');
    const size_t size = codec.compress(raw, to.data());
    ASSERT_NE(size, 0u);
    const uint64_t compressing = manager_.live_bytes(MemoryRole::compaction);
    EXPECT_GT(compressing, 0u);
    EXPECT_TRUE(codec.decompress({to.data(), size}, raw.data(), raw.size()).ok());
    EXPECT_GT(manager_.live_bytes(MemoryRole::compaction), compressing);
  }
  EXPECT_EQ(manager_.live_bytes(MemoryRole::compaction), 0u);
}

#if defined(VARVE_DEBUG)
TEST_F(CodecTest, refused_memory_leaves_blocks_uncompressed_and_fails_reads) {
  manager_.fail_allocation_after(1);
  EXPECT_EQ(compress(std::string(1000, 'a')), "");
  EXPECT_EQ(compress(std::string(1000, 'a')), "") << "it does not ask for each block";
  Codec next(&manager_, MemoryRole::sstable_builder);
  std::string compressed(1000, 0);
  compressed.resize(next.compress(std::string(1000, 'a'), compressed.data()));
  EXPECT_NE(compressed, "") << "memory is back";
  manager_.fail_allocation_after(1);
  std::string back;
  EXPECT_EQ(decompress(compressed, 1000, &back).code(), StatusCode::out_of_memory);
  EXPECT_TRUE(decompress(compressed, 1000, &back).ok()) << "memory is back";
}
#endif

}  // namespace
}  // namespace varve
