#include "lsm/sstable_format.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/lsm/golden_file.h"
#include "tests/lsm/version_rows.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

constexpr FileId kFile{0x0123456789abcdef, 0xfedcba9876543210};

std::string header_bytes() {
  std::string bytes(kSstableHeaderSize, '\0');
  encode_sstable_header(bytes.data(), kFile);
  return bytes;
}

const SstableFooter kFooter{.top_index_offset = 0x1111111122222222,
                            .top_index_stored_size = 0x33333333,
                            .top_index_raw_size = 0x44444444,
                            .top_index_rows = 0x55555555,
                            .properties_offset = 0x6666666677777777,
                            .properties_stored_size = 0x01234567,
                            .file_size = 1000,
                            .file = kFile};

std::string footer_bytes() {
  std::string bytes(kSstableFooterSize, '\0');
  encode_sstable_footer(bytes.data(), kFooter);
  return bytes;
}

SstableProperties example_properties() {
  return {.keyspace = 7,
          .versions = 1000,
          .tombstones = 20,
          .user_keys = 900,
          .timestamp_min = {1'700'000'000'000'000'000},
          .timestamp_max = {1'700'000'000'000'000'999},
          .collapse_horizon = {1'600'000'000'000'000'000},
          .raw_bytes = 123'456,
          .data_blocks = 300,
          .partitions = 2,
          .smallest_key = std::string("a\0b", 3),
          .largest_key = "zz",
          .codec = Compression::zstd,
          .created_nanos = 1'700'000'001'000'000'000,
          .filter_bits_per_key = 10};
}

std::string encoded(const SstableProperties& properties) {
  std::string bytes;
  encode_properties(properties, &bytes);
  return bytes;
}

void expect_equal(const SstableProperties& a, const SstableProperties& b) {
  EXPECT_EQ(encoded(a), encoded(b));
  EXPECT_EQ(a.keyspace, b.keyspace);
  EXPECT_EQ(a.versions, b.versions);
  EXPECT_EQ(a.tombstones, b.tombstones);
  EXPECT_EQ(a.user_keys, b.user_keys);
  EXPECT_EQ(a.timestamp_min, b.timestamp_min);
  EXPECT_EQ(a.timestamp_max, b.timestamp_max);
  EXPECT_EQ(a.collapse_horizon, b.collapse_horizon);
  EXPECT_EQ(a.raw_bytes, b.raw_bytes);
  EXPECT_EQ(a.data_blocks, b.data_blocks);
  EXPECT_EQ(a.partitions, b.partitions);
  EXPECT_EQ(a.smallest_key, b.smallest_key);
  EXPECT_EQ(a.largest_key, b.largest_key);
  EXPECT_EQ(a.codec, b.codec);
  EXPECT_EQ(a.created_nanos, b.created_nanos);
  EXPECT_EQ(a.filter_bits_per_key, b.filter_bits_per_key);
}

TEST(SstableFormat, golden_header) {
  test::expect_golden("sstable_header", "the example of lsm/sstable_format.h", header_bytes());
  EXPECT_EQ(header_bytes(), test::bytes_of_hex("7661727653535431 01000000 00000000"
                                               "efcdab8967452301 1032547698badcfe"
                                               "524d18e847ffd307"));
  const Result<FileId> file = decode_sstable_header(test::golden_bytes("sstable_header"));
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(*file, kFile);
  EXPECT_EQ(header_bytes().substr(0, 8), "varvSST1");
}

TEST(SstableFormat, golden_footer) {
  test::expect_golden("sstable_footer", "fields of tests/lsm/sstable_format_test.cc",
                      footer_bytes());
  const Result<SstableFooter> footer =
      decode_sstable_footer(test::golden_bytes("sstable_footer"), kFooter.file_size);
  ASSERT_TRUE(footer.ok()) << footer.status().to_string();
  EXPECT_EQ(footer->top_index_offset, kFooter.top_index_offset);
  EXPECT_EQ(footer->top_index_stored_size, kFooter.top_index_stored_size);
  EXPECT_EQ(footer->top_index_raw_size, kFooter.top_index_raw_size);
  EXPECT_EQ(footer->top_index_rows, kFooter.top_index_rows);
  EXPECT_EQ(footer->properties_offset, kFooter.properties_offset);
  EXPECT_EQ(footer->properties_stored_size, kFooter.properties_stored_size);
  EXPECT_EQ(footer->file_size, kFooter.file_size);
  EXPECT_EQ(footer->file, kFile);
}

TEST(SstableFormat, golden_properties) {
  test::expect_golden("sstable_properties", "fields of tests/lsm/sstable_format_test.cc",
                      encoded(example_properties()));
  const Result<SstableProperties> properties =
      decode_properties(test::golden_bytes("sstable_properties"));
  ASSERT_TRUE(properties.ok()) << properties.status().to_string();
  expect_equal(*properties, example_properties());
}

TEST(SstableFormat, any_flipped_bit_of_header_or_footer_is_refused) {
  for (const bool is_header : {true, false}) {
    const std::string bytes = is_header ? header_bytes() : footer_bytes();
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string damaged = bytes;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      const Status status = is_header ? decode_sstable_header(damaged).status()
                                      : decode_sstable_footer(damaged, kFooter.file_size).status();
      EXPECT_TRUE(status.code() == StatusCode::corruption ||
                  status.code() == StatusCode::not_supported)
          << (is_header ? "header" : "footer") << " bit " << bit << ": " << status.to_string();
    }
  }
}

TEST(SstableFormat, newer_versions_and_unknown_features_are_not_supported) {
  const auto changed = [](std::string bytes, size_t at, uint32_t value) {
    store_le(bytes.data() + at, value);
    return bytes;
  };
  EXPECT_EQ(decode_sstable_header(changed(header_bytes(), 8, kSstableVersion + 1)).status().code(),
            StatusCode::not_supported);
  EXPECT_EQ(decode_sstable_header(changed(header_bytes(), 12, 1)).status().code(),
            StatusCode::not_supported);
  EXPECT_EQ(
      decode_sstable_footer(changed(footer_bytes(), 40, kSstableVersion + 1), 1000).status().code(),
      StatusCode::not_supported);
  EXPECT_EQ(decode_sstable_footer(changed(footer_bytes(), 44, 1), 1000).status().code(),
            StatusCode::not_supported);
  EXPECT_EQ(decode_sstable_header(changed(header_bytes(), 0, 0)).status().code(),
            StatusCode::corruption)
      << "another magic";
}

TEST(SstableFormat, footer_of_a_file_of_another_size_is_corruption) {
  EXPECT_EQ(decode_sstable_footer(footer_bytes(), kFooter.file_size + 1).status().code(),
            StatusCode::corruption);
  EXPECT_EQ(decode_sstable_footer(footer_bytes(), kFooter.file_size - 1).status().code(),
            StatusCode::corruption);
}

TEST(SstableFormat, properties_of_a_newer_writer_are_read_without_the_unknown_ones) {
  std::string bytes;
  append_varint(&bytes, 1000);
  append_sized(&bytes, "what it may be");
  bytes += encoded(example_properties());
  append_varint(&bytes, 18);
  append_sized(&bytes, "");
  const Result<SstableProperties> properties = decode_properties(bytes);
  ASSERT_TRUE(properties.ok()) << properties.status().to_string();
  expect_equal(*properties, example_properties());
}

TEST(SstableFormat, undated_is_a_property_that_others_lack) {
  SstableProperties undated = example_properties();
  undated.undated = true;
  const std::string bytes = encoded(undated);
  const std::string dated = encoded(example_properties());
  EXPECT_EQ(bytes, dated + std::string("\x10\x01\x01", 3));
  EXPECT_TRUE(decode_properties(bytes)->undated);
  EXPECT_FALSE(decode_properties(dated)->undated);
  EXPECT_FALSE(decode_properties(dated + std::string("\x10\x01\x02", 3)).ok());
}

TEST(SstableFormat, properties_that_are_cut_off_or_malformed_are_corruption) {
  const std::string bytes = encoded(example_properties());
  size_t whole = 0;
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Result<SstableProperties> properties = decode_properties(bytes.substr(0, size));
    whole += properties.ok();  // cut between two fields
    if (!properties.ok()) {
      EXPECT_EQ(properties.status().code(), StatusCode::corruption);
    }
  }
  EXPECT_EQ(whole, 15u);
  for (const char* hex : {
           "02 00",                       // a number without bytes
           "02 02 01 01",                 // bytes after a number
           "02 ffffffffffffffffff01 01",  // a size beyond the end
           "01 05 8080808010",            // a keyspace of 2^32
           "0b 02 8002",                  // a codec of 256
           "0e 05 8080808010",            // filter bits of 2^32
       }) {
    EXPECT_EQ(decode_properties(test::bytes_of_hex(hex)).status().code(), StatusCode::corruption)
        << hex;
  }
  std::string huge_key;
  append_varint(&huge_key, 8);
  append_sized(&huge_key, std::string(kKeySizeMax + 1, 'k'));
  EXPECT_EQ(decode_properties(huge_key).status().code(), StatusCode::corruption);
}

TEST(SstableFormat, random_bytes_are_properties_or_corruption) {
  VARVE_SEEDED_TEST(random);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes = test::random_bytes(&random, random.below(30));
    for (char& c : bytes) {
      if (random.one_in(2)) c = static_cast<char>(c & 15);
    }
    const Result<SstableProperties> properties = decode_properties(bytes);
    if (!properties.ok()) {
      EXPECT_EQ(properties.status().code(), StatusCode::corruption);
    }
  }
}

}  // namespace
}  // namespace varve
