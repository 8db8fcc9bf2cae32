#include "lsm/sstable_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/lsm/failing_files.h"
#include "tests/lsm/golden_file.h"
#include "tests/lsm/sstable_fixture.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

using test::FailingFiles;
using test::SstableHome;
using test::VersionRow;

constexpr VersionKind kValue = VersionKind::value;
constexpr VersionKind kTombstone = VersionKind::tombstone;

// Three data blocks: one live and single-version, one with a tombstone, one with two versions of a
// key of which the older one begins the block after.
const std::vector<VersionRow>& golden_rows() {
  static const std::vector<VersionRow> rows{
      {"apple", {105}, kValue, "a fruit, red or green"},
      {"apricot", {101}, kValue, "a fruit, orange"},
      {"banana", {104}, kTombstone, ""},
      {"cherry", {103}, kValue, "small, red, and newer than the next one"},
      {"cherry", {100}, kValue, "small"},
      {"date", {0}, kValue, "brown; its age is forgotten"},
  };
  return rows;
}

SstableWriterOptions golden_options() {
  return {.keyspace = {7},
          .block_size = 64,
          .filter_bits_per_key = 10,
          .codec = Compression::none,
          .created_nanos = 1'700'000'000'000'000'000,
          .collapse_horizon = {99}};
}

TEST(SstableWriter, golden_sstable) {
  SstableHome home;
  home.write("f", golden_rows(), golden_options());
  test::expect_golden("sstable",
                      "six versions, three data blocks, one partition: tests/lsm/"
                      "sstable_writer_test.cc",
                      home.bytes_of("f"));
  home.set_bytes("golden", test::golden_bytes("sstable"));
  const test::SstablePtr sstable = home.open("golden");
  ASSERT_NE(sstable, nullptr);
  EXPECT_EQ(sstable->id(), test::kTestFileId);
  EXPECT_EQ(sstable->properties().data_blocks, 3u);
  Status status;
  EXPECT_EQ(test::all_rows(&home, sstable.get(), &status), golden_rows());
  EXPECT_TRUE(status.ok()) << status.to_string();
}

TEST(SstableWriter, properties_say_what_is_in_the_file) {
  SstableHome home;
  const SstableProperties properties = home.write("f", golden_rows(), golden_options());
  EXPECT_EQ(properties.keyspace, 7u);
  EXPECT_EQ(properties.versions, 6u);
  EXPECT_EQ(properties.tombstones, 1u);
  EXPECT_EQ(properties.user_keys, 5u);
  EXPECT_EQ(properties.timestamp_min, Timestamp{0});
  EXPECT_EQ(properties.timestamp_max, Timestamp{105});
  EXPECT_EQ(properties.collapse_horizon, Timestamp{99});
  uint64_t raw_bytes = 0;
  for (const VersionRow& row : golden_rows()) raw_bytes += row.key.size() + row.value.size();
  EXPECT_EQ(properties.raw_bytes, raw_bytes);
  EXPECT_EQ(properties.data_blocks, 3u);
  EXPECT_EQ(properties.partitions, 1u);
  EXPECT_EQ(properties.smallest_key, "apple");
  EXPECT_EQ(properties.largest_key, "date");
  EXPECT_EQ(properties.codec, Compression::none);
  EXPECT_EQ(properties.created_nanos, 1'700'000'000'000'000'000u);
  EXPECT_EQ(properties.filter_bits_per_key, 10u);

  const test::SstablePtr sstable = home.open("f");
  ASSERT_NE(sstable, nullptr);
  const SstableInfo& info = sstable->info();
  EXPECT_EQ(info.id, test::kTestFileId);
  EXPECT_EQ(info.file_size, home.bytes_of("f").size());
  EXPECT_EQ(info.smallest_key, "apple");
  EXPECT_EQ(info.largest_key, "date");
  EXPECT_EQ(info.versions, 6u);
  EXPECT_EQ(info.tombstones, 1u);
  EXPECT_EQ(info.timestamp_min, Timestamp{0});
  EXPECT_EQ(info.timestamp_max, Timestamp{105});
  EXPECT_EQ(info.collapse_horizon, Timestamp{99});
  EXPECT_EQ(info.raw_bytes, raw_bytes);
}

// What the handles of index and top index must say, from the rows themselves.
void check_handles(SstableHome* home, const Sstable& sstable, const std::vector<VersionRow>& rows) {
  size_t next = 0;
  const auto lives_alone = [&rows](size_t i) {
    return rows[i].kind == kValue && (i == 0 || rows[i - 1].key != rows[i].key) &&
           (i + 1 == rows.size() || rows[i + 1].key != rows[i].key);
  };
  uint64_t data_end = kSstableHeaderSize;  // blocks follow each other without a gap
  for (uint32_t p = 0; p < sstable.partition_count(); ++p) {
    const BlockHandle above = *sstable.partition_handle(p);
    const Result<FrameRef> partition = sstable.partition(p, true);
    ASSERT_TRUE(partition.ok()) << partition.status().to_string();
    const BlockView& index = (*partition)->view;
    ASSERT_EQ(index.row_count(), above.rows);
    EXPECT_EQ(std::string(sstable.top().prefix()) + std::string(sstable.top().row(p).suffix),
              rows[next].key);
    EXPECT_EQ(sstable.top().timestamp(p), rows[next].timestamp);
    BlockHandle sum{.flags = kBlockLiveSingleVersion};
    std::set<uint64_t> hashes;
    for (uint32_t b = 0; b < index.row_count(); ++b) {
      const BlockHandle handle = *sstable.block_handle(index, b);
      EXPECT_EQ(handle.offset, data_end);
      data_end += handle.stored_size + kBlockTrailerSize;
      ASSERT_LE(next + handle.rows, rows.size());
      EXPECT_EQ(std::string(index.prefix()) + std::string(index.row(b).suffix), rows[next].key);
      EXPECT_EQ(index.timestamp(b), rows[next].timestamp);
      Timestamp timestamp_max;
      uint32_t tombstones = 0;
      bool live = true;
      for (uint32_t i = 0; i < handle.rows; ++i, ++next) {
        timestamp_max = std::max(timestamp_max, rows[next].timestamp);
        tombstones += rows[next].kind == kTombstone;
        live &= lives_alone(next);
        hashes.insert(key_hash(rows[next].key));
      }
      EXPECT_EQ(handle.timestamp_max, timestamp_max);
      EXPECT_EQ(handle.tombstones, tombstones);
      EXPECT_EQ(handle.flags, live ? kBlockLiveSingleVersion : 0)
          << "partition " << p << " block " << b;
      sum.timestamp_max = std::max(sum.timestamp_max, timestamp_max);
      sum.tombstones += tombstones;
      sum.flags &= handle.flags;
    }
    EXPECT_EQ(above.timestamp_max, sum.timestamp_max);
    EXPECT_EQ(above.tombstones, sum.tombstones);
    EXPECT_EQ(above.flags, sum.flags);
    const Result<FrameRef> filter = sstable.filter(p, true);
    ASSERT_TRUE(filter.ok());
    if (sstable.properties().filter_bits_per_key == 0) {
      EXPECT_FALSE(*filter);
    } else {
      ASSERT_TRUE(*filter);
      for (const uint64_t hash : hashes) EXPECT_TRUE((*filter)->filter.may_contain(hash));
      EXPECT_EQ(above.filter_offset, data_end);
      data_end += above.filter_stored_size + kBlockTrailerSize;
    }
    EXPECT_EQ(above.offset, data_end);
    data_end += above.stored_size + kBlockTrailerSize;
  }
  EXPECT_EQ(next, rows.size());
  EXPECT_LT(data_end, sstable.info().file_size);
  (void)home;
}

TEST(SstableWriter, handles_and_filters_agree_with_the_rows) {
  VARVE_SEEDED_TEST(random);
  for (int round = 0; round < 12; ++round) {
    SstableHome home;
    const std::vector<VersionRow> rows =
        test::random_rows(&random, {.keys = 1 + random.below(600),
                                    .versions_max = round % 3 == 0 ? 1u : 4u,
                                    .tombstone_one_in = round % 2 == 0 ? 300u : 5u,
                                    .prefix = "k"});
    home.write("f", rows,
               {.block_size = static_cast<uint32_t>(1 + random.below(300)),
                .filter_bits_per_key = round % 4 == 0 ? 0u : 10u,
                .codec = round % 2 == 0 ? Compression::none : Compression::zstd});
    const test::SstablePtr sstable = home.open("f");
    ASSERT_NE(sstable, nullptr);
    check_handles(&home, *sstable, rows);
  }
}

// The newest versions fill more than one partition: every partition's filter must know the key.
TEST(SstableWriter, a_key_whose_versions_span_partitions_is_in_each_filter) {
  SstableHome home;
  std::vector<VersionRow> rows{{"a", {1}, kValue, ""}};
  for (uint64_t t = 1000; t > 0; --t) rows.push_back({"many", {t}, kValue, "v"});
  rows.push_back({"z", {1}, kValue, ""});
  home.write("f", rows, {.block_size = 1});  // a row a block
  const test::SstablePtr sstable = home.open("f");
  ASSERT_NE(sstable, nullptr);
  ASSERT_EQ(sstable->partition_count(), 1002 / kPartitionBlocksMax + 1);
  check_handles(&home, *sstable, rows);
}

TEST(SstableWriter, values_larger_than_the_output_buffer_are_written) {
  VARVE_SEEDED_TEST(random);
  for (const Compression codec : {Compression::none, Compression::zstd}) {
    SstableHome home(64 << 20);
    std::vector<VersionRow> rows;
    for (int i = 0; i < 12; ++i) {
      const size_t size = random.below(4) * 300'000 + random.below(100);
      rows.push_back(
          {"key" + std::to_string(100 + i),
           {5},
           kValue,
           random.one_in(2) ? std::string(size, 'x') : test::random_bytes(&random, size)});
    }
    home.write("f", rows, {.codec = codec});
    const test::SstablePtr sstable = home.open("f");
    ASSERT_NE(sstable, nullptr);
    Status status;
    EXPECT_EQ(test::all_rows(&home, sstable.get(), &status), rows);
    EXPECT_TRUE(status.ok()) << status.to_string();
  }
}

TEST(SstableWriter, compression_is_used_where_it_pays) {
  SstableHome home;
  Random random(5);
  std::vector<VersionRow> text;
  std::vector<VersionRow> noise;
  for (int i = 0; i < 500; ++i) {
    const std::string key = "key" + std::to_string(1000 + i);
    text.push_back({key, {5}, kValue, test::random_text(&random, 100)});
    noise.push_back({key, {5}, kValue, test::random_bytes(&random, 1000)});
  }
  home.write("text", text, {.codec = Compression::none});
  home.write("text_zstd", text, {.codec = Compression::zstd});
  home.write("noise", noise, {.codec = Compression::none});
  home.write("noise_zstd", noise, {.codec = Compression::zstd});
  EXPECT_LT(home.bytes_of("text_zstd").size(), home.bytes_of("text").size() * 7 / 10);
  EXPECT_NEAR(static_cast<double>(home.bytes_of("noise_zstd").size()),
              static_cast<double>(home.bytes_of("noise").size()), 4000.0);
}

TEST(SstableWriter, size_estimate_is_near_the_file_size) {
  SstableHome home;
  Random random(5);
  std::unique_ptr<File> file = std::move(*home.files().open("f", OpenMode::create_exclusive));
  SstableWriter writer(&home.manager(), std::move(file), test::kTestFileId, {});
  uint64_t before = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = "key" + std::to_string(100'000 + i);
    ASSERT_TRUE(writer.add(key, key_hash(key), {5}, kValue, test::random_text(&random, 80)).ok());
    if (i % 100 == 0) {
      EXPECT_GE(writer.size_estimate() + 4096, before);
      before = writer.size_estimate();
    }
  }
  const double estimate = static_cast<double>(writer.size_estimate());
  ASSERT_TRUE(writer.finish().ok());
  EXPECT_NEAR(estimate, static_cast<double>(writer.file_size()),
              0.05 * static_cast<double>(writer.file_size()));
}

TEST(SstableWriter, file_is_synced_then_closed) {
  SstableHome home;
  FailingFiles files(&home.files());
  home.use(&files);
  home.write("f", golden_rows(), golden_options());
  EXPECT_EQ(files.calls(FailingFiles::Kind::sync), 1u);
  EXPECT_EQ(files.calls(FailingFiles::Kind::close), 1u);
}

TEST(SstableWriter, every_failing_call_is_reported) {
  for (const FailingFiles::Kind call :
       {FailingFiles::Kind::write, FailingFiles::Kind::sync, FailingFiles::Kind::close}) {
    SstableHome home;
    FailingFiles files(&home.files());
    home.use(&files);
    Random random(5);
    std::vector<VersionRow> rows;
    for (int i = 0; i < 20; ++i) {
      rows.push_back(
          {"k" + std::to_string(100 + i), {1}, kValue, test::random_bytes(&random, 100'000)});
    }
    bool met = true;
    for (uint64_t nth = 1; met; ++nth) {
      files.fail(call, nth);
      const Status status = home.try_write("f" + std::to_string(nth), rows).status();
      met = files.met();
      EXPECT_EQ(status.code(), met ? StatusCode::io_error : StatusCode::ok)
          << static_cast<int>(call) << " " << nth << ": " << status.to_string();
      ASSERT_LT(nth, 100u);
    }
    EXPECT_GE(files.calls(call), call == FailingFiles::Kind::write ? 10u : 2u);
  }
}

#if defined(VARVE_DEBUG)
TEST(SstableWriter, every_refused_allocation_is_reported_or_gone_around) {
  SstableHome home;
  Random random(5);
  const std::vector<VersionRow> rows = test::random_rows(&random, {.keys = 300, .prefix = "k"});
  uint64_t refused = 0;
  for (uint64_t nth = 1; nth <= 150; ++nth) {
    home.manager().fail_allocation_after(nth);
    const std::string path = "f" + std::to_string(nth);
    const Status status =
        home.try_write(path, rows, {.block_size = 200, .codec = Compression::zstd}).status();
    home.manager().fail_allocation_after(0);
    if (!status.ok()) {
      EXPECT_EQ(status.code(), StatusCode::out_of_memory) << status.to_string();
      ++refused;
      continue;
    }
    // The call was never made, or it was for zstd: a block is stored as it is then.
    const test::SstablePtr sstable = home.open(path);
    ASSERT_NE(sstable, nullptr);
    Status walked;
    EXPECT_EQ(test::all_rows(&home, sstable.get(), &walked), rows);
  }
  EXPECT_GT(refused, 5u);
  EXPECT_LT(refused, 149u) << "the last calls are never made";
}
#endif

}  // namespace
}  // namespace varve
