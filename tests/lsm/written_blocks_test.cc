#include "lsm/written_blocks.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/thread.h"
#include "memory/allocation_faults.h"
#include "tests/lsm/sstable_fixture.h"

namespace varve {
namespace {

using test::kTestFileId;
using test::SstableHome;
using test::SstablePtr;
using test::VersionRow;

constexpr int kRows = 3000;

std::vector<VersionRow> some_rows() {
  std::vector<VersionRow> rows;
  for (int i = 0; i < kRows; ++i) {
    rows.push_back({"key" + std::to_string(100'000 + i),
                    {7},
                    VersionKind::value,
                    std::string(50, static_cast<char>('a' + i % 26))});
  }
  return rows;
}

// Blocks of about six rows, and so more than one partition.
SstableWriterOptions options_for(WrittenBlocks* kept, Compression codec = Compression::none) {
  return {.block_size = 512, .codec = codec, .kept = kept};
}

class WrittenBlocksTest : public ::testing::Test {
 protected:
  void expect_all_rows(Sstable* sstable) {
    for (const VersionRow& row : some_rows()) {
      ReadAccess access;
      FoundVersion found;
      const Result<bool> there =
          sstable->get(row.key, key_hash(row.key), kTimestampMax, &access, &found);
      ASSERT_TRUE(there.ok() && *there) << row.key;
      ASSERT_EQ(found.value, row.value);
    }
  }
  uint64_t misses() { return home_.cache().statistics().misses.get(); }

  SstableHome home_{8 << 20};
};

TEST_F(WrittenBlocksTest, an_sstable_that_took_its_blocks_is_read_without_its_file) {
  for (const Compression codec : {Compression::none, Compression::zstd}) {
    const std::string path = codec == Compression::none ? "plain" : "compressed";
    WrittenBlocks kept(&home_.cache());
    const SstableProperties written = home_.write(path, some_rows(), options_for(&kept, codec));
    ASSERT_GT(written.partitions, 1u);
    ASSERT_EQ(kept.of(kTestFileId)->size(), written.data_blocks);
    const SstablePtr sstable = home_.open(path);
    sstable->adopt(&kept);
    const uint64_t before = misses();
    expect_all_rows(sstable.get());
    EXPECT_EQ(misses(), before);
  }
}

TEST_F(WrittenBlocksTest, what_nobody_took_leaves_the_cache) {
  {
    WrittenBlocks kept(&home_.cache());
    home_.write("f", some_rows(), options_for(&kept));
    EXPECT_GT(home_.cache().bytes(), uint64_t{kRows} * 50);
  }
  EXPECT_EQ(home_.cache().bytes(), 0u);
  home_.settle();
  EXPECT_EQ(home_.manager().live_bytes(MemoryRole::block_frames), 0u);
}

TEST_F(WrittenBlocksTest, what_was_evicted_meanwhile_is_read_from_the_file) {
  SstableHome small(64 << 10);
  WrittenBlocks kept(&small.cache());
  const SstableProperties written = small.write("f", some_rows(), options_for(&kept));
  size_t left = 0;
  for (WrittenBlocks::Block& block : *kept.of(kTestFileId)) {
    left += block.slot.load() != nullptr ? 1 : 0;
  }
  EXPECT_GT(left, 0u);
  EXPECT_LT(left, written.data_blocks / 2);
  EXPECT_LE(small.cache().bytes(), 64u << 10);
  const SstablePtr sstable = small.open("f");
  sstable->adopt(&kept);
  expect_all_rows(sstable.get());
  EXPECT_LE(small.cache().bytes(), 64u << 10);
}

TEST_F(WrittenBlocksTest, blocks_go_where_they_belong_though_some_were_not_kept) {
  WrittenBlocks kept(&home_.cache());
  home_.write("f", some_rows(), options_for(&kept));
  std::deque<WrittenBlocks::Block>* const blocks = kept.of(kTestFileId);
  for (int i = 0; i < 3; ++i) {
    home_.cache().detach(&blocks->front().slot);
    blocks->pop_front();
  }
  const SstablePtr sstable = home_.open("f");
  sstable->adopt(&kept);
  expect_all_rows(sstable.get());
  EXPECT_EQ(blocks->back().slot.load(), nullptr) << "it was taken over";
}

TEST_F(WrittenBlocksTest, blocks_of_several_files_go_where_they_belong) {
  WrittenBlocks kept(&home_.cache());
  const FileId other{1, 2};
  home_.write("f", some_rows(), options_for(&kept));
  std::vector<VersionRow> fewer = some_rows();
  fewer.resize(100);
  home_.write("g", fewer, options_for(&kept), other);
  const SstablePtr g = home_.open("g");
  g->adopt(&kept);
  const SstablePtr f = home_.open("f");
  f->adopt(&kept);
  const uint64_t before = misses();
  expect_all_rows(f.get());
  ReadAccess access;
  FoundVersion found;
  EXPECT_TRUE(*g->get(fewer[99].key, key_hash(fewer[99].key), kTimestampMax, &access, &found));
  EXPECT_EQ(misses(), before);
  EXPECT_EQ(kept.of({3, 4}), nullptr);
}

TEST_F(WrittenBlocksTest, a_block_that_a_reader_was_faster_to_load_stays_his) {
  WrittenBlocks kept(&home_.cache());
  home_.write("f", some_rows(), options_for(&kept));
  const SstablePtr sstable = home_.open("f");
  const FrameRef partition = std::move(*sstable->partition(0, true));
  const FrameRef loaded = std::move(*sstable->block(partition, 3, true));
  sstable->adopt(&kept);
  EXPECT_EQ(partition->children[3].load(), loaded.get());
  EXPECT_NE(partition->children[4].load(), nullptr);
  expect_all_rows(sstable.get());
}

TEST_F(WrittenBlocksTest, once_memory_is_refused_nothing_is_kept) {
  const AllThroughSlabs all;
  for (const uint64_t refused : {1, 2, 100}) {
    WrittenBlocks kept(&home_.cache());
    kept.begin_file(kTestFileId);
    // One that an sstable of any rows might have.
    BlockBuilder builder(&home_.manager(), MemoryRole::sstable_builder);
    ASSERT_TRUE(builder.add("key", {1}, VersionKind::value, "value"));
    Buffer raw(&home_.manager(), MemoryRole::sstable_builder);
    ASSERT_TRUE(builder.finish(&raw, 1 << 20));
    AllocationFaults::begin(refused, 10);  // more than it asks for one block
    for (uint64_t i = 0; i < 50; ++i) kept.add(i * 100, raw.view(), 1, /*has_pointers=*/false);
    AllocationFaults::end();
    kept.add(5000, raw.view(), 1, /*has_pointers=*/false);
    if (refused > 50) {
      ASSERT_NE(kept.of(kTestFileId), nullptr);
      EXPECT_EQ(kept.of(kTestFileId)->size(), 51u);
    } else {
      EXPECT_EQ(kept.of(kTestFileId), nullptr);
    }
  }
  EXPECT_EQ(home_.cache().bytes(), 0u);
}

TEST_F(WrittenBlocksTest, sstables_come_and_go_beside_readers_in_a_small_cache) {
  SstableHome small(200 << 10);
  small.write("read", some_rows(), {.block_size = 512}, FileId{9, 9});
  const SstablePtr always = small.open("read");
  Atomic<bool> stop{false};
  Atomic<Sstable*> shown{nullptr};
  std::vector<Thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back("varve-test", 0, [&, t] {
      const std::vector<VersionRow> rows = some_rows();
      for (size_t i = 0; !stop.load(); i = (i + 7) % kRows) {
        const VersionRow& row = rows[i];
        EpochDomain::Guard guard(small.epochs());
        Sstable* const sstable = t == 0 ? always.get() : shown.load();
        if (sstable == nullptr) continue;
        ReadAccess access{.resident_only = true};
        FoundVersion found;
        const Result<bool> there =
            sstable->get(row.key, key_hash(row.key), kTimestampMax, &access, &found);
        ASSERT_TRUE(there.ok());
        ASSERT_TRUE(*there || access.missed);
        if (*there) ASSERT_EQ(found.value, row.value);
      }
    });
  }
  for (int round = 0; round < 30; ++round) {
    WrittenBlocks kept(&small.cache());
    const std::string path = "f" + std::to_string(round);
    small.write(path, some_rows(), options_for(&kept));
    if (round % 3 == 0) continue;  // it is given up
    const SstablePtr sstable = small.open(path);
    shown.store(sstable.get());
    sstable->adopt(&kept);
    expect_all_rows(sstable.get());
    expect_all_rows(always.get());
    shown.store(nullptr);
    // Readers are waited for on behalf of what was retired: there may be nothing else.
    Retired marker{.reclaim = [](Retired*) {}};
    small.epochs().retire(&marker);
    small.epochs().drain();
  }
  stop.store(true);
}

}  // namespace
}  // namespace varve
