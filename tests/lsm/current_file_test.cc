#include "lsm/current_file.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/format.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"

namespace varve::test {
namespace {

constexpr const char* kDirectory = "/d";
constexpr CurrentManifest kCurrent{.number = {14},
                                   .file = {0x0123456789abcdef, 0x00dcba9876543210}};

std::string sealed(const std::string& content) {
  return content +
         format(" %016llx\n", static_cast<unsigned long long>(checksum(content, FileId{}, 0)));
}

TEST(CurrentFile, golden_line) {
  const std::string line =
      "varve-current 1 00000000 000014.manifest 0123456789abcdef 00dcba9876543210 "
      "9c6619ac2b1ee3c1\n";
  EXPECT_EQ(encode_current(kCurrent), line);
  const Result<CurrentManifest> decoded = decode_current(line);
  ASSERT_OK(decoded);
  EXPECT_EQ(*decoded, kCurrent);
}

TEST(CurrentFile, long_numbers_and_ids_survive) {
  for (const CurrentManifest& current :
       {CurrentManifest{.number = {1}, .file = {0, 0}},
        CurrentManifest{.number = {UINT64_MAX}, .file = {UINT64_MAX, UINT64_MAX}}}) {
    const Result<CurrentManifest> decoded = decode_current(encode_current(current));
    ASSERT_OK(decoded);
    EXPECT_EQ(*decoded, current);
  }
}

TEST(CurrentFile, newer_formats_are_refused_as_such) {
  const std::string rest = " 000014.manifest 0123456789abcdef 00dcba9876543210";
  EXPECT_OK(decode_current(sealed("varve-current 1 00000000" + rest)));
  for (const char* newer : {"2 00000000", "4294967295 00000000", "1 00000001", "1 80000000"}) {
    EXPECT_FAILS(decode_current(sealed("varve-current " + std::string(newer) + rest)),
                 not_supported, "this build reads version 1");
  }
  // What a newer version holds beyond the two numbers is its own affair.
  EXPECT_FAILS(decode_current(sealed("varve-current 2 00000000 x")), not_supported, "version 2");
}

TEST(CurrentFile, sealed_nonsense_is_corruption) {
  for (const char* content :
       {"varve-current ", "varve-current 1", "varve-current 1 00000000", "varve-current x 0 y",
        "varve-current 1 00000000 000014.sst 1 2", "varve-current 1 00000000 000014.manifest 1",
        "varve-current 1 00000000 000014.manifest 1 g",
        "varve-current 1 00000000 000014.manifest 1 2 3",
        "varve-current 1 00000000 000014.manifest 11111111111111111 2",
        "varve-current 99999999999 00000000 000014.manifest 1 2"}) {
    EXPECT_FAILS(decode_current(sealed(content)), corruption, "at offset 0") << content;
  }
}

TEST(CurrentFile, every_flipped_bit_and_every_truncation_is_corruption) {
  const std::unique_ptr<FileSystem> files = FileSystem::create_memory();
  ASSERT_OK(files->create_directory(kDirectory));
  EXPECT_FAILS(read_current(files.get(), kDirectory), not_found, "CURRENT");
  ASSERT_OK(write_current(files.get(), kDirectory, kCurrent));
  ASSERT_OK(read_current(files.get(), kDirectory));
  const std::string path = path_in(kDirectory, kCurrentName);
  const std::string line = read_file(files.get(), path);
  const auto refused = [&](const std::string& bytes) {
    write_file(files.get(), path, bytes);
    ASSERT_FAILS(read_current(files.get(), kDirectory), corruption, path);
  };
  for (size_t at = 0; at < line.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = line;
      changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
      refused(changed);
    }
    refused(line.substr(0, at));
  }
  for (const std::string& bad :
       {std::string("\n"), line + line, line + "x", std::string(1 << 20, 'x')}) {
    refused(bad);
  }
}

}  // namespace
}  // namespace varve::test
