// A test's sstable of keys in order, its cache, and files that may fail or wait.

#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "lsm/block_cache.h"
#include "tests/lsm/failing_files.h"
#include "tests/lsm/sstable_fixture.h"
#include "tests/support/status_check.h"

namespace varve::test {

inline std::string key_of(int i) { return "key" + std::to_string(10'000 + i); }

class CachedFileTest : public testing::Test {
 protected:
  using Wanted = BlockCache::Wanted;

  // A file of `count` keys, `rows` of them a block, or less.
  void make(int count, int rows, size_t value_size = 100, uint64_t cache_bytes = 1 << 20,
            Compression codec = Compression::none) {
    home_.emplace(cache_bytes);
    std::vector<VersionRow> all;
    for (int i = 0; i < count; ++i) {
      all.push_back({key_of(i),
                     {5},
                     VersionKind::value,
                     std::string(value_size, static_cast<char>('a' + i % 26))});
    }
    home_->write("f", all,
                 {.block_size = static_cast<uint32_t>(static_cast<size_t>(rows) * value_size),
                  .codec = codec});
    files_.emplace(&home_->files());
    home_->use(&*files_);
    sstable_ = home_->open("f");
    partition_ = std::move(*sstable_->partition(0, true));
    ASSERT_GE(partition_->view.row_count(), 4u);
  }
  void TearDown() override {
    partition_.reset();
    sstable_.reset();
  }
  // As `missing` says it, of the first partition.
  Wanted want_block(uint32_t block) {
    Wanted wanted;
    Sstable::Parents parents;
    EXPECT_OK(sstable_->want({.file = sstable_.get(), .kind = FrameKind::data, .block = block},
                             &wanted, &parents));
    EXPECT_EQ(parents.partition.get(), partition_.get());
    EXPECT_EQ(wanted.parent, partition_.get());
    EXPECT_EQ(wanted.slot, &partition_->children[block]);
    return wanted;
  }
  std::vector<Wanted> want(const std::vector<uint32_t>& blocks) {
    std::vector<Wanted> wanted;
    for (const uint32_t block : blocks) wanted.push_back(want_block(block));
    return wanted;
  }
  void expect_block(const Wanted& wanted, uint32_t block) {
    ASSERT_OK(wanted.status);
    ASSERT_TRUE(wanted.frame);
    const FrameRef same = std::move(*sstable_->block(partition_, block, true));
    EXPECT_EQ(wanted.frame.get(), same.get());
    EXPECT_EQ(partition_->children[block].load(), same.get());
  }

  std::optional<SstableHome> home_;
  std::optional<FailingFiles> files_;
  SstablePtr sstable_;
  FrameRef partition_;
};

}  // namespace varve::test
