#include "lsm/sstable.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "lsm/store.h"
#include "tests/lsm/failing_files.h"
#include "tests/lsm/golden_file.h"
#include "tests/lsm/sstable_fixture.h"
#include "tests/lsm/sstable_reads.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

using test::FailingFiles;
using test::kValue;
using test::read_everything;
using test::read_version;
using test::SmallFile;
using test::SstableHome;
using test::SstablePtr;
using test::VersionRow;
using test::Way;

std::vector<std::string> probes(Random* random, const std::vector<VersionRow>& rows,
                                const std::string& prefix) {
  std::set<std::string> keys{std::string(1, '\0'), "\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
  for (const VersionRow& row : rows) {
    keys.insert(row.key);
    keys.insert(row.key + '\0');
    if (row.key.size() > 1) keys.insert(row.key.substr(0, row.key.size() - 1));
  }
  for (int i = 0; i < 50; ++i) keys.insert(test::random_key(random, prefix));
  return {keys.begin(), keys.end()};
}

struct Shape {
  const char* name;
  SstableWriterOptions options;
  test::RowProfile profile;
  uint64_t cache_bytes;
};

std::vector<Shape> shapes() {
  return {
      {"one row a block, partitions, cache for few blocks",
       {.block_size = 1},
       {.keys = 500, .prefix = "p"},
       20'000},
      {"small blocks, no filters",
       {.block_size = 100, .filter_bits_per_key = 0},
       {.keys = 300, .prefix = {}},
       1 << 20},
      {"zstd",
       {.block_size = 2000, .codec = Compression::zstd},
       {.keys = 800, .value_size_max = 100, .prefix = "some common prefix"},
       100'000},
      {"one block", {.block_size = 1 << 20}, {.keys = 200, .prefix = {}}, 1 << 20},
      {"many versions a key",
       {.block_size = 60},
       {.keys = 5, .versions_max = 900, .timestamp_spread = 100'000, .prefix = {}},
       1 << 20},
      {"a filter that lets much pass",
       {.block_size = 50, .filter_bits_per_key = 1},
       {.keys = 400, .prefix = {}},
       1 << 20},
      {"a single row", {}, {.keys = 1, .versions_max = 1, .prefix = {}}, 0},
  };
}

TEST(Sstable, point_reads_find_what_the_model_finds) {
  VARVE_SEEDED_TEST(random);
  for (const Shape& shape : shapes()) {
    SCOPED_TRACE(shape.name);
    SstableHome home(shape.cache_bytes);
    const std::vector<VersionRow> rows = test::random_rows(&random, shape.profile);
    home.write("f", rows, shape.options);
    const SstablePtr sstable = home.open("f");
    ASSERT_NE(sstable, nullptr);
    for (const std::string& key : probes(&random, rows, shape.profile.prefix)) {
      std::vector<Timestamp> times{kTimestampMin, kTimestampMax};
      for (int i = 0; i < 3; ++i) {
        const Timestamp near = rows[random.below(rows.size())].timestamp;
        times.insert(times.end(), {near, {near.nanos - 1}});
      }
      for (const Timestamp time : times) {
        for (const Way way : {Way::resident_then_filling, Way::filling, Way::private_blocks}) {
          bool found = false;
          VersionRow row;
          const Status status = read_version(&home, sstable.get(), key, time, way, &found, &row);
          ASSERT_TRUE(status.ok()) << status.to_string();
          const VersionRow* expected = test::visible_row(rows, key, time);
          ASSERT_EQ(found, expected != nullptr) << key << " @ " << time.nanos;
          if (found) {
            ASSERT_EQ(row, *expected);
          }
        }
      }
    }
  }
}

TEST(Sstable, what_is_resident_is_found_inside_a_guard_without_any_call) {
  SstableHome home;
  FailingFiles files(&home.files());
  home.use(&files);
  Random random(3);
  const std::vector<VersionRow> rows = test::random_rows(&random, {.keys = 100, .prefix = {}});
  home.write("f", rows, {.block_size = 200});
  const SstablePtr sstable = home.open("f");
  bool found = false;
  VersionRow row;
  for (const VersionRow& wanted : rows) {
    EXPECT_TRUE(
        read_version(&home, sstable.get(), wanted.key, wanted.timestamp, Way::filling, &found, &row)
            .ok());
  }
  const uint64_t reads = files.calls(FailingFiles::Kind::read);
  for (const VersionRow& wanted : rows) {
    EpochDomain::Guard guard(home.epochs());
    ReadAccess access{.resident_only = true};
    FoundVersion version;
    const Result<bool> result =
        sstable->get(wanted.key, key_hash(wanted.key), wanted.timestamp, &access, &version);
    ASSERT_TRUE(result.ok() && *result && !access.missed);
    EXPECT_EQ(version.value, wanted.value);
    EXPECT_FALSE(version.pin) << "nothing is counted";
  }
  EXPECT_EQ(files.calls(FailingFiles::Kind::read), reads);
}

TEST(Sstable, a_pinned_value_outlives_eviction) {
  SstableHome home(0);  // everything is evicted as soon as nobody uses it
  std::vector<VersionRow> rows;
  for (int i = 0; i < 100; ++i) {
    rows.push_back({"k" + std::to_string(100 + i), {1}, kValue, "value " + std::to_string(i)});
  }
  home.write("f", rows, {.block_size = 100});
  const SstablePtr sstable = home.open("f");
  std::vector<FoundVersion> kept(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    ReadAccess access;
    const Result<bool> result =
        sstable->get(rows[i].key, key_hash(rows[i].key), {5}, &access, &kept[i]);
    ASSERT_TRUE(result.ok() && *result);
  }
  home.epochs().collect();
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(kept[i].value, rows[i].value);
}

TEST(Sstable, filters_spare_reads_of_absent_keys) {
  SstableHome home;
  std::vector<VersionRow> rows;
  for (int i = 0; i < 3000; ++i)
    rows.push_back({"k" + std::to_string(10'000 + i), {1}, kValue, "v"});
  home.write("f", rows, {.block_size = 500});
  const SstablePtr sstable = home.open("f");
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "k" + std::to_string(10'000 + i) + "x";
    ReadAccess access;
    FoundVersion version;
    const Result<bool> result = sstable->get(key, key_hash(key), {5}, &access, &version);
    ASSERT_TRUE(result.ok() && !*result);
  }
  // One filter, and a block for about 1 in 100.
  EXPECT_LT(home.cache().statistics().misses.get(), 60u);
}

TEST(Sstable, a_file_that_the_manifest_does_not_describe_is_refused) {
  SstableHome home;
  home.write("f", {{"a", {1}, kValue, ""}});
  SstableInfo info;
  {
    const SstablePtr sstable = home.open("f");
    info = sstable->info();
  }
  info.number = {12};
  const auto open = [&](const SstableInfo& expected) {
    return Sstable::open(&home.files(), "f", &home.cache(), nullptr, expected);
  };
  Result<Sstable*> sstable = open(info);
  ASSERT_TRUE(sstable.ok());
  EXPECT_EQ((*sstable)->info().number, FileNumber{12});
  (*sstable)->unref();
  SstableInfo other = info;
  other.id.low ^= 1;
  EXPECT_EQ(open(other).status().code(), StatusCode::corruption);
  other = info;
  ++other.file_size;
  EXPECT_EQ(open(other).status().code(), StatusCode::corruption);
  EXPECT_NE(open(other).status().message().find("f:"), std::string_view::npos);
  EXPECT_EQ(Sstable::open(&home.files(), "absent", &home.cache(), nullptr, info).status().code(),
            StatusCode::not_found);
}

TEST(Sstable, an_obsolete_file_goes_to_its_disposer_with_the_last_reference) {
  struct Disposer final : Sstable::Disposer {
    void dispose(Sstable* sstable) override {
      paths.push_back(sstable->path());
      sstable->destroy();
    }
    std::vector<std::string> paths;
  };
  SstableHome home;
  home.write("f", {{"a", {1}, kValue, ""}});
  Disposer disposer;
  SstablePtr first = home.open("f");
  first->ref();
  SstablePtr second(first.get());
  first->mark_obsolete(&disposer);
  first.reset();
  EXPECT_TRUE(disposer.paths.empty());
  second.reset();
  EXPECT_EQ(disposer.paths, std::vector<std::string>{"f"});
}

// -- damage --

TEST(Sstable, any_flipped_bit_is_noticed_when_it_is_read) {
  SstableHome home;
  const SmallFile file;
  home.write("f", file.rows, file.options);
  const std::string bytes = home.bytes_of("f");
  ASSERT_TRUE(read_everything(&home, "f", file.rows).ok());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    home.set_bytes("dir.sst", damaged);
    const Status status = read_everything(&home, "dir.sst", file.rows);
    ASSERT_TRUE(status.code() == StatusCode::corruption ||
                status.code() == StatusCode::not_supported)
        << "bit " << bit % 8 << " of byte " << bit / 8 << ": " << status.to_string();
    EXPECT_TRUE(status.message().starts_with("dir.sst")) << status.to_string();
  }
}

TEST(Sstable, a_file_that_is_cut_off_or_too_long_is_not_opened) {
  SstableHome home;
  const SmallFile file;
  home.write("f", file.rows, file.options);
  const std::string bytes = home.bytes_of("f");
  for (size_t size = 0; size < bytes.size(); ++size) {
    home.set_bytes("cut", std::string_view(bytes).substr(0, size));
    const Status status = home.try_open("cut").status();
    ASSERT_EQ(status.code(), StatusCode::corruption) << size << " bytes: " << status.to_string();
  }
  home.set_bytes("long", bytes + std::string(1, '\0'));
  EXPECT_EQ(home.try_open("long").status().code(), StatusCode::corruption);
  home.set_bytes("zeros", std::string(bytes.size(), '\0'));
  EXPECT_EQ(home.try_open("zeros").status().code(), StatusCode::corruption);
}

TEST(Sstable, blocks_of_another_place_or_file_are_corruption) {
  SstableHome home;
  std::vector<VersionRow> rows;
  for (int i = 0; i < 20; ++i)
    rows.push_back({"key" + std::to_string(10 + i), {5}, kValue, "value"});
  const SstableWriterOptions options{.block_size = 50};
  home.write("f", rows, options);
  home.write("other", rows, options, {1, 2});
  const SstablePtr sstable = home.open("f");
  const Result<FrameRef> partition = sstable->partition(0, false);
  const BlockHandle first = *sstable->block_handle((*partition)->view, 1);
  const BlockHandle second = *sstable->block_handle((*partition)->view, 2);
  ASSERT_EQ(first.stored_size, second.stored_size);
  const size_t size = first.stored_size + kBlockTrailerSize;
  const std::string bytes = home.bytes_of("f");
  std::string moved = bytes;
  moved.replace(first.offset, size, bytes, second.offset, size);
  home.set_bytes("moved", moved);
  EXPECT_EQ(read_everything(&home, "moved", rows).code(), StatusCode::corruption);
  std::string mixed = bytes;
  mixed.replace(first.offset, size, home.bytes_of("other"), first.offset, size);
  home.set_bytes("mixed", mixed);
  EXPECT_EQ(read_everything(&home, "mixed", rows).code(), StatusCode::corruption);
  std::string footer = bytes;
  footer.replace(bytes.size() - kSstableFooterSize, kSstableFooterSize, home.bytes_of("other"),
                 bytes.size() - kSstableFooterSize, kSstableFooterSize);
  home.set_bytes("footer", footer);
  EXPECT_EQ(home.try_open("footer").status().code(), StatusCode::corruption);
}

// -- failing calls --

TEST(Sstable, failing_reads_are_reported_with_the_file) {
  SstableHome home;
  FailingFiles files(&home.files());
  home.use(&files);
  const SmallFile file;
  home.write("f", file.rows, file.options);
  for (uint64_t nth = 1;; ++nth) {
    files.fail(FailingFiles::Kind::read, nth);
    const Status status = read_everything(&home, "f", file.rows);
    if (!files.met()) break;
    EXPECT_EQ(status.code(), StatusCode::io_error) << nth << ": " << status.to_string();
    EXPECT_NE(status.message().find("f: "), std::string_view::npos);
    ASSERT_LT(nth, 100u);
  }
}

TEST(Sstable, a_file_that_is_cut_off_while_it_is_open_is_corruption) {
  SstableHome home;
  const SmallFile file;
  home.write("f", file.rows, file.options);
  const SstablePtr sstable = home.open("f");
  const std::unique_ptr<File> shorter = std::move(*home.files().open("f", OpenMode::read_write));
  ASSERT_TRUE(shorter->truncate(kSstableHeaderSize + 10).ok());
  bool found = false;
  VersionRow row;
  EXPECT_EQ(
      read_version(&home, sstable.get(), "apple", kTimestampMax, Way::filling, &found, &row).code(),
      StatusCode::corruption);
}

TEST(Sstable, a_failed_read_leaves_nothing_behind_and_the_next_one_works) {
  SstableHome home;
  FailingFiles files(&home.files());
  home.use(&files);
  const SmallFile file;
  home.write("f", file.rows, file.options);
  const SstablePtr sstable = home.open("f");
  bool found = false;
  VersionRow row;
  for (uint64_t nth = 1; nth <= 3; ++nth) {  // filter, index, data block
    files.fail(FailingFiles::Kind::read, 1);
    const Status status = read_version(&home, sstable.get(), "apple", kTimestampMax,
                                       Way::resident_then_filling, &found, &row);
    EXPECT_EQ(status.code(), StatusCode::io_error) << nth;
    // The part whose read failed is read now, and the next call meets the next part.
    files.fail(FailingFiles::Kind::read, 2);
    (void)read_version(&home, sstable.get(), "apple", kTimestampMax, Way::filling, &found, &row);
  }
  files.fail(FailingFiles::Kind::read, 0);
  EXPECT_TRUE(
      read_version(&home, sstable.get(), "apple", kTimestampMax, Way::filling, &found, &row).ok());
  EXPECT_TRUE(found);
  EXPECT_EQ(row.value, "red or green");
}

#if defined(VARVE_DEBUG)
TEST(Sstable, every_refused_allocation_of_a_read_is_out_of_memory) {
  SstableHome home(0);
  Random random(3);
  const std::vector<VersionRow> rows =
      test::random_rows(&random, {.keys = 200, .value_size_max = 100, .prefix = "k"});
  home.write("f", rows, {.block_size = 1000, .codec = Compression::zstd});
  uint64_t refused = 0;
  for (uint64_t nth = 1; nth < 60; ++nth) {
    home.manager().fail_allocation_after(nth);
    Status status;
    Result<Sstable*> opened = home.try_open("f");
    if (opened.ok()) {
      const SstablePtr sstable(*opened);
      (void)test::all_rows(&home, sstable.get(), &status);
    } else {
      status = opened.status();
    }
    home.manager().fail_allocation_after(0);
    if (status.ok()) continue;
    EXPECT_EQ(status.code(), StatusCode::out_of_memory) << status.to_string();
    ++refused;
  }
  EXPECT_GT(refused, 5u);
}
#endif

TEST(Sstable, undated_versions_are_those_of_the_timestamp_that_the_file_is_given) {
  SstableHome home;
  std::vector<VersionRow> rows;
  for (int i = 0; i < 500; ++i) {
    rows.push_back({.key = "key" + std::to_string(1000 + i),
                    .timestamp = kTimestampMin,
                    .kind = i % 7 == 0 ? VersionKind::tombstone : VersionKind::value,
                    .value = i % 7 == 0 ? "" : "value" + std::to_string(i)});
  }
  const SstableProperties written = home.write("a", rows, {.block_size = 200, .undated = true});
  EXPECT_TRUE(written.undated);
  EXPECT_EQ(written.collapse_horizon, Timestamp{}) << "nothing is collapsed";
  const SstablePtr sstable = home.open("a");
  ASSERT_NE(sstable, nullptr);
  EXPECT_TRUE(sstable->info().undated);
  sstable->date({77});
  for (const VersionRow& row : rows) {
    for (const uint64_t snapshot : {uint64_t{0}, uint64_t{76}, uint64_t{77}, uint64_t{1000}}) {
      ReadAccess access;
      FoundVersion found;
      const Result<bool> got =
          sstable->get(row.key, key_hash(row.key), {snapshot}, &access, &found);
      ASSERT_TRUE(got.ok()) << got.status().to_string();
      ASSERT_EQ(*got, snapshot >= 77) << row.key << " at " << snapshot;
      if (!*got) continue;
      ASSERT_EQ(found.timestamp, Timestamp{77});
      ASSERT_EQ(found.kind, row.kind);
      ASSERT_EQ(found.value, row.value);
    }
  }
  VerifyReport report;
  EXPECT_TRUE(verify_sstable(sstable.get(), &home.manager(), &report).ok());
  // What the manifest says of it and what it says of itself have to agree.
  SstableInfo info = sstable->info();
  info.undated = false;
  const Result<Sstable*> other = Sstable::open(&home.files(), "a", &home.cache(), nullptr, info);
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.status().code(), StatusCode::corruption);
}

}  // namespace
}  // namespace varve
