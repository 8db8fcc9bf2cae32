// The manifest's bytes. Manifests get a random file id, so the golden file is sealed again with the
// id of one that was just written before the two are compared.

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "lsm/manifest.h"
#include "tests/lsm/golden_file.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"

namespace varve {
namespace {

constexpr FileId kFile{0x0123456789abcdef, 0xfedcba9876543210};
constexpr DatabaseId kDatabase{0x5555555566666666, 0x7777777788888888};
constexpr FileNumber kNumber{14};

AddedFile example_file() {
  AddedFile file{.keyspace = {1}, .run = {3}, .info = {}};
  file.info.number = {12};
  file.info.id = {0x1111111122222222, 0x3333333344444444};
  file.info.file_size = 70'000;
  file.info.smallest_key = std::string("a\0", 2);
  file.info.largest_key = "zz";
  file.info.versions = 1000;
  file.info.tombstones = 10;
  file.info.timestamp_min = {5};
  file.info.timestamp_max = {1'700'000'000'000'000'000};
  file.info.collapse_horizon = {4};
  file.info.raw_bytes = 66'000;
  return file;
}

// What the first record holds; the default keyspace is one like others.
ManifestState first_state() {
  LevelsEdit edit;
  edit.keyspaces_added.push_back(
      {.keyspace = {0}, .name = "default", .options = {}, .created = {}, .flushed = {4096}});
  edit.keyspaces_added.push_back(
      {.keyspace = {1},
       .name = "files",
       .options = {.durability = Durability::none,
                   .history_retention = std::chrono::nanoseconds(86'400'000'000'000)},
       .created = {1000},
       .flushed = {8192}});
  edit.watermarks.push_back({.keyspace = {1}, .watermark = {4}});
  edit.added.push_back(example_file());
  edit.next_file = FileNumber{15};
  edit.next_keyspace = Keyspace{2};
  edit.lease = Timestamp{1'700'000'010'000'000'000};
  edit.log_start = Lsn{4096};
  ManifestState state;
  state.database = kDatabase;
  EXPECT_OK(state.apply(edit));
  return state;
}

// What is appended then: a flush replaces a file.
LevelsEdit second_edit() {
  LevelsEdit edit;
  AddedFile file = example_file();
  file.run = {4};
  file.info.number = {15};
  edit.removed.push_back({.keyspace = {1}, .number = {12}});
  edit.added.push_back(file);
  edit.flushed.push_back({.keyspace = {1}, .lsn = {9000}});
  edit.watermarks.push_back({.keyspace = {1}, .watermark = {6}});
  edit.next_file = FileNumber{16};
  edit.last_timestamp = Timestamp{1'700'000'000'000'000'001};
  edit.log_end = Lsn{9000};
  return edit;
}

// The bytes of a manifest with all checksums made for the file `id`.
std::string sealed_as(std::string bytes, const FileId& id) {
  store_le(bytes.data() + 16, id.high);
  store_le(bytes.data() + 24, id.low);
  store_le(bytes.data() + 56, checksum({bytes.data(), 56}, id, 0));
  for (const size_t at : {4096, 4608, 8192, 8704}) {
    char* mark = bytes.data() + at;
    store_le(mark, checksum({mark + 8, kManifestMarkSize - 8}, id, at));
  }
  for (size_t at = kManifestRecordsOffset; at + kManifestRecordHeaderSize <= bytes.size();) {
    char* record = bytes.data() + at;
    const size_t size = kManifestRecordHeaderSize + load_le<uint32_t>(record + 8);
    store_le(record, checksum({record + 8, size - 8}, id, at));
    at += (size + 7) & ~size_t{7};
  }
  return bytes;
}

TEST(ManifestFormat, golden_manifest) {
  const std::unique_ptr<FileSystem> files = FileSystem::create_memory();
  ASSERT_OK(files->create_directory("/db"));
  {
    Result<std::unique_ptr<ManifestWriter>> writer =
        ManifestWriter::create(files.get(), "/db", kNumber, first_state());
    ASSERT_OK(writer);
    ASSERT_OK((*writer)->append(second_edit()));
    ASSERT_OK((*writer)->close());
  }
  test::expect_golden("manifest",
                      "manifest 14, two records, file id 0123456789abcdef fedcba9876543210: "
                      "tests/lsm/manifest_golden_test.cc",
                      sealed_as(test::read_file(files.get(), "/db/000014.manifest"), kFile));

  test::write_file(files.get(), "/db/golden", test::golden_bytes("manifest"));
  std::vector<std::pair<uint64_t, LevelsEdit>> edits;
  Result<ManifestState> state = read_manifest(
      files.get(), "/db/golden", &kFile,
      [&](uint64_t offset, const LevelsEdit& edit) { edits.emplace_back(offset, edit); });
  ASSERT_OK(state);
  ASSERT_EQ(edits.size(), 2u);
  EXPECT_EQ(edits[0].first, kManifestRecordsOffset);
  EXPECT_EQ(state->database, kDatabase);
  const auto encoded = [](const LevelsEdit& edit) {
    std::string bytes;
    encode_edit(edit, &bytes);
    return test::hex_of_bytes(bytes);
  };
  EXPECT_EQ(encoded(edits[0].second), encoded(first_state().as_edit()));
  EXPECT_EQ(encoded(edits[1].second), encoded(second_edit()));
  ManifestState expected = first_state();
  EXPECT_OK(expected.apply(second_edit()));
  EXPECT_EQ(encoded(state->as_edit()), encoded(expected.as_edit()));
}

}  // namespace
}  // namespace varve
