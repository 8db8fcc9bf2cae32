#include "lsm/value_format.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/lsm/golden_file.h"
#include "tests/support/status_check.h"

namespace varve::test {
namespace {

constexpr FileId kFile{0x0123456789abcdef, 0xfedcba9876543210};

TEST(ValueFormat, pointer_as_documented) {
  const ValuePointer pointer{.file = 0,
                             .place = {.offset = 40, .stored_size = 129, .raw_size = 300}};
  char bytes[kValuePointerSizeMax];
  EXPECT_EQ(encode_value_pointer(bytes, pointer), bytes_of_hex("00 28 8101 ac02"));
}

TEST(ValueFormat, pointers_come_back) {
  for (const ValuePointer& pointer :
       {ValuePointer{},
        ValuePointer{.file = UINT32_MAX,
        .place = {.offset = UINT64_MAX, .stored_size = UINT32_MAX, .raw_size = UINT32_MAX}}}) {
    char bytes[kValuePointerSizeMax];
    const std::string_view encoded = encode_value_pointer(bytes, pointer);
    ValuePointer found{.file = 7, .place = {.offset = 7, .stored_size = 7, .raw_size = 7}};
    ASSERT_TRUE(decode_value_pointer(encoded, &found));
    EXPECT_EQ(found.file, pointer.file);
    EXPECT_EQ(found.place, pointer.place);
    for (size_t size = 0; size < encoded.size(); ++size) {
      EXPECT_FALSE(decode_value_pointer(encoded.substr(0, size), &found)) << size;
    }
    EXPECT_FALSE(decode_value_pointer(std::string(encoded) + "x", &found));
  }
}

TEST(ValueFormat, header_and_footer_come_back_and_no_byte_of_them_may_change) {
  std::string header(kValueFileHeaderSize, '\0');
  encode_value_file_header(header.data(), kFile);
  EXPECT_EQ(header.substr(0, 32), bytes_of_hex("7661727656414c31 01000000 00000000"
                                               "efcdab8967452301 1032547698badcfe"));
  const Result<FileId> id = decode_value_file_header(header);
  ASSERT_OK(id);
  EXPECT_EQ(*id, kFile);

  constexpr uint64_t kSize = 5000;
  const ValueFileFooter footer{
      .sizes_offset = kSize - kValueFileFooterSize - kBlockTrailerSize - 33,
      .sizes_stored_size = 33,
      .values = 21,
      .file_size = kSize,
      .file = kFile};
  std::string bytes(kValueFileFooterSize, '\0');
  encode_value_file_footer(bytes.data(), footer);
  const Result<ValueFileFooter> found = decode_value_file_footer(bytes, kSize);
  ASSERT_OK(found);
  EXPECT_EQ(found->sizes_offset, footer.sizes_offset);
  EXPECT_EQ(found->sizes_stored_size, footer.sizes_stored_size);
  EXPECT_EQ(found->values, footer.values);
  EXPECT_EQ(found->file, kFile);
  EXPECT_FAILS(decode_value_file_footer(bytes, kSize + 1), corruption, "checksum");

  for (size_t i = 0; i < header.size(); ++i) {
    std::string damaged = header;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(decode_value_file_header(damaged).ok()) << i;
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(decode_value_file_footer(damaged, kSize).ok()) << i;
  }
}

TEST(ValueFormat, newer_versions_and_features_are_refused) {
  std::string header(kValueFileHeaderSize, '\0');
  for (const size_t at : {8, 12}) {
    encode_value_file_header(header.data(), kFile);
    header[at] = 2;
    EXPECT_FAILS(decode_value_file_header(header), not_supported, "value file format version");
  }
}

// Sums that hold say nothing of what is between them.
TEST(ValueFormat, a_footer_whose_sizes_lie_elsewhere_is_corrupt) {
  constexpr uint64_t kSize = 5000;
  for (const uint64_t offset : {uint64_t{0}, uint64_t{39}, uint64_t{4999}, UINT64_MAX}) {
    for (const uint32_t stored : {uint32_t{0}, uint32_t{33}, UINT32_MAX}) {
      std::string bytes(kValueFileFooterSize, '\0');
      encode_value_file_footer(bytes.data(), {.sizes_offset = offset,
                                              .sizes_stored_size = stored,
                                              .values = 1,
                                              .file_size = kSize,
                                              .file = kFile});
      EXPECT_FAILS(decode_value_file_footer(bytes, kSize), corruption, "footer");
    }
  }
}

}  // namespace
}  // namespace varve::test
