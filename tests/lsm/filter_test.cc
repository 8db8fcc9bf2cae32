#include "lsm/filter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/hash.h"
#include "memory/memory_manager.h"
#include "tests/lsm/golden_file.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

std::string filter_of(const std::vector<uint64_t>& hashes, uint32_t bits_per_key) {
  MemoryManager manager(0);
  Buffer payload(&manager, MemoryRole::filter);
  EXPECT_TRUE(build_filter(hashes, bits_per_key, &payload));
  return std::string(payload.view());
}

std::vector<uint64_t> hashes_of(uint64_t first, size_t count) {
  std::vector<uint64_t> hashes;
  for (uint64_t i = 0; i < count; ++i)
    hashes.push_back(key_hash("key" + std::to_string(first + i)));
  return hashes;
}

TEST(Filter, every_key_of_it_may_be_contained) {
  VARVE_SEEDED_TEST(random);
  for (const size_t keys : {0, 1, 2, 51, 52, 1000, 30'000}) {
    for (const uint32_t bits : {1, 2, 8, 10, 16, 30}) {
      std::vector<uint64_t> hashes;
      for (size_t i = 0; i < keys; ++i) hashes.push_back(random.next());
      // Extremes of line and probe bits.
      hashes.insert(hashes.end(), {0, UINT64_MAX, 0xffffffff, 0xffffffff'000000ff});
      const std::string payload = filter_of(hashes, bits);
      const Result<FilterView> filter = FilterView::parse(payload);
      ASSERT_TRUE(filter.ok()) << filter.status().to_string();
      for (const uint64_t hash : hashes) {
        ASSERT_TRUE(filter->may_contain(hash)) << keys << " keys, " << bits << " bits a key";
        filter->prefetch(hash);
      }
    }
  }
}

TEST(Filter, absent_keys_pass_as_rarely_as_the_bits_promise) {
  constexpr size_t kKeys = 50'000;
  // Measured, with a quarter to spare: a weaker hash or probe sequence shows here.
  struct Case {
    uint32_t bits_per_key;
    double rate_max;
  };
  for (const Case& c : {Case{5, 0.11}, Case{8, 0.032}, Case{10, 0.012}, Case{16, 0.0009}}) {
    const std::string payload = filter_of(hashes_of(0, kKeys), c.bits_per_key);
    const Result<FilterView> filter = FilterView::parse(payload);
    ASSERT_TRUE(filter.ok());
    size_t passed = 0;
    for (const uint64_t hash : hashes_of(kKeys, kKeys)) passed += filter->may_contain(hash);
    const double rate = static_cast<double>(passed) / kKeys;
    EXPECT_LT(rate, c.rate_max) << c.bits_per_key << " bits a key";
    RecordProperty("rate_" + std::to_string(c.bits_per_key), std::to_string(rate));
    const double bits = 8.0 * static_cast<double>(payload.size()) / kKeys;
    EXPECT_NEAR(bits, c.bits_per_key, 0.1) << "size of the filter";
  }
}

TEST(Filter, empty_filter_contains_nothing) {
  const std::string payload = filter_of({}, 10);
  const Result<FilterView> filter = FilterView::parse(payload);
  ASSERT_TRUE(filter.ok());
  for (const uint64_t hash : hashes_of(0, 1000)) EXPECT_FALSE(filter->may_contain(hash));
}

TEST(Filter, is_appended_to_what_is_there) {
  MemoryManager manager(0);
  Buffer payload(&manager, MemoryRole::filter);
  ASSERT_TRUE(payload.append("before"));
  ASSERT_TRUE(build_filter(hashes_of(0, 3), 10, &payload));
  EXPECT_EQ(payload.view(), "before" + filter_of(hashes_of(0, 3), 10));
}

TEST(Filter, tag_bits_of_the_hash_do_not_matter) {
  std::vector<uint64_t> hashes = hashes_of(0, 100);
  const std::string payload = filter_of(hashes, 10);
  for (uint64_t& hash : hashes) hash ^= 0xff;
  EXPECT_EQ(filter_of(hashes, 10), payload);
}

TEST(Filter, golden_filters) {
  std::string example = test::bytes_of_hex("01 06 0000 01000000") + std::string(64, '\0');
  for (const size_t bit : {285, 497, 505, 29, 95, 240}) {
    example[8 + bit / 8] = static_cast<char>(example[8 + bit / 8] | (1 << (bit % 8)));
  }
  EXPECT_EQ(filter_of({key_hash("ab")}, 10), example);
  test::expect_golden("filter", "the example of lsm/filter.h", example);
  std::vector<uint64_t> many = hashes_of(0, 60);
  test::expect_golden("filter_two_lines", "keys key0 to key59, 10 bits a key", filter_of(many, 10));
  const std::string golden = test::golden_bytes("filter_two_lines");
  const Result<FilterView> filter = FilterView::parse(golden);
  ASSERT_TRUE(filter.ok());
  for (const uint64_t hash : many) EXPECT_TRUE(filter->may_contain(hash));
}

TEST(Filter, bytes_that_are_no_filter_are_refused) {
  const std::string payload = filter_of(hashes_of(0, 100), 10);
  for (size_t size = 0; size < payload.size(); ++size) {
    EXPECT_EQ(FilterView::parse(payload.substr(0, size)).status().code(), StatusCode::corruption);
  }
  EXPECT_FALSE(FilterView::parse(payload + '\0').ok());
  const auto changed = [&](size_t at, char to) {
    std::string bytes = payload;
    bytes[at] = to;
    return FilterView::parse(bytes).status().code();
  };
  EXPECT_EQ(changed(0, 2), StatusCode::not_supported);
  EXPECT_EQ(changed(0, 0), StatusCode::not_supported);
  EXPECT_EQ(changed(1, 0), StatusCode::corruption);
  EXPECT_EQ(changed(1, 17), StatusCode::corruption);
  EXPECT_EQ(changed(4, 0), StatusCode::corruption);
  EXPECT_EQ(changed(7, '\x7f'), StatusCode::corruption) << "lines times their size exceed 32 bits";
  // 2^26 + 2 lines: the size agrees modulo 2^32.
  EXPECT_EQ(changed(7, 4), StatusCode::corruption);
}

}  // namespace
}  // namespace varve
