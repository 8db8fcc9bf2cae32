// What walks say ahead of what they will read.

#include "lsm/read_ahead.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "lsm/run_cursor.h"
#include "tests/lsm/sstable_fixture.h"
#include "tests/support/hooked_files.h"
#include "tests/support/status_check.h"

namespace varve::test {
namespace {

struct Piece {
  bool ahead;
  uint64_t offset;
  uint64_t size;
};

// Keeps what is said.
class Listener final : public File {
 public:
  void submit(IoRequest*) override {}
  void wait(IoRequest*) override {}
  Result<uint64_t> size() override { return 0; }
  Status truncate(uint64_t) override { return Status(); }
  Status allocate(uint64_t, bool) override { return Status(); }
  Status close() override { return Status(); }
  void read_ahead(uint64_t offset, uint64_t size) override {
    pieces.push_back({true, offset, size});
  }

  std::vector<Piece> pieces;
};

constexpr uint64_t kBlock = 4096;

std::vector<Piece> said(const std::vector<uint64_t>& blocks, bool to_the_end) {
  Listener file;
  ReadAhead ahead(to_the_end);
  for (const uint64_t block : blocks) ahead.note(&file, block * kBlock, kBlock);
  return file.pieces;
}

TEST(ReadAhead, nothing_is_said_of_single_reads) {
  EXPECT_TRUE(said({5}, false).empty());
  EXPECT_TRUE(said({500, 100, 900, 30, 2000, 1000}, false).empty());
}

TEST(ReadAhead, who_goes_on_is_met_by_ever_larger_pieces_up_to_a_megabyte) {
  std::vector<uint64_t> blocks;
  for (uint64_t i = 7; i < 3000; ++i) blocks.push_back(i);
  const std::vector<Piece> pieces = said(blocks, false);
  ASSERT_GT(pieces.size(), 8u);
  EXPECT_EQ(pieces[0].offset, 10 * kBlock) << "the third block in order gives it away";
  uint64_t end = pieces[0].offset;
  for (size_t i = 0; i < pieces.size(); ++i) {
    EXPECT_EQ(pieces[i].offset, end) << "no gap, and nothing twice";
    end += pieces[i].size;
    EXPECT_LE(pieces[i].size, 1u << 20);
    if (i != 0) EXPECT_GE(pieces[i].size, pieces[i - 1].size);
  }
  EXPECT_EQ(pieces.back().size, 1u << 20);
  EXPECT_GE(end, 3000 * kBlock);
  EXPECT_LT(end, 3000 * kBlock + (3 << 20));
}

TEST(ReadAhead, who_reads_to_the_end_is_met_from_the_first_block_on) {
  const std::vector<Piece> pieces = said({3}, true);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].offset, 4 * kBlock);
  EXPECT_EQ(pieces[0].size, 1u << 20);
}

TEST(ReadAhead, a_small_gap_is_passed_over_and_a_jump_begins_anew) {
  const std::vector<Piece> pieces = said({3, 4, 5, 30}, false);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[1].offset, 31 * kBlock);
  EXPECT_EQ(said({3, 4, 6}, false).size(), 0u);
  EXPECT_EQ(said({3, 4, 5, 1000, 1001}, false).size(), 1u);
  EXPECT_EQ(said({3, 4, 5, 1000, 1001, 1002}, false).size(), 2u);
  EXPECT_EQ(said({1003, 1002, 1001, 1000}, false).size(), 0u) << "backwards";
}

class ReadAheadOfWalksTest : public testing::Test {
 protected:
  ReadAheadOfWalksTest() {
    Random random(1);
    std::vector<VersionRow> rows;
    for (int i = 0; i < 6000; ++i) {
      rows.push_back({"key" + std::to_string(10'000 + i),
                      {5},
                      VersionKind::value,
                      random_bytes(&random, 100)});
    }
    home_.write("f", rows, {.block_size = 4096});
    files_.set_hook([this](const FileCall& call) {
      says_random_ |= call.kind == FileCall::Kind::expect_random_reads;
      const bool ahead = call.kind == FileCall::Kind::read_ahead;
      if (ahead || call.kind == FileCall::Kind::read) {
        pieces_.push_back({ahead, call.offset, call.size});
      }
      return Status();
    });
    home_.use(&files_);
    sstable_ = home_.open("f");
    EXPECT_TRUE(says_random_);
    pieces_.clear();
  }
  size_t count(bool ahead) const {
    size_t count = 0;
    for (const Piece& piece : pieces_) count += piece.ahead == ahead ? 1 : 0;
    return count;
  }

  SstableHome home_;
  bool says_random_ = false;
  std::vector<Piece> pieces_;
  HookedFiles files_{&home_.files()};
  SstablePtr sstable_;
};

TEST_F(ReadAheadOfWalksTest, what_a_walk_comes_to_was_said_before) {
  for (const MemoryRole role : {MemoryRole::cursor, MemoryRole::compaction}) {
    RunCursor cursor(&home_.manager(), role);
    Sstable* const files[] = {sstable_.get()};
    cursor.reset(files, /*fill_cache=*/false);
    pieces_.clear();
    int rows = 0;
    for (cursor.seek_to_first(); cursor.valid(); cursor.next()) ++rows;
    ASSERT_OK(cursor.status());
    EXPECT_EQ(rows, 6000);
    uint64_t said = 0;
    size_t unsaid = 0;
    for (const Piece& piece : pieces_) {
      if (piece.ahead) {
        said = std::max(said, piece.offset + piece.size);
      } else {
        unsaid += piece.offset + piece.size > said ? 1 : 0;
      }
    }
    EXPECT_GT(count(false), 100u);
    EXPECT_LE(unsaid, 4u);
    EXPECT_LE(count(true), 8u);
  }
}

TEST_F(ReadAheadOfWalksTest, seeks_say_nothing) {
  RunCursor cursor(&home_.manager());
  Sstable* const files[] = {sstable_.get()};
  cursor.reset(files, /*fill_cache=*/true);
  Random random(2);
  for (int i = 0; i < 50; ++i) {
    const std::string key = "key" + std::to_string(10'000 + 120 * random.below(50));
    cursor.seek({key, kTimestampMax});
    ASSERT_TRUE(cursor.valid());
  }
  EXPECT_GT(count(false), 20u);
  EXPECT_LE(count(true), 3u) << "two that followed one another by chance";
}

TEST_F(ReadAheadOfWalksTest, what_is_in_memory_is_not_asked_for) {
  RunCursor cursor(&home_.manager());
  Sstable* const files[] = {sstable_.get()};
  cursor.reset(files, /*fill_cache=*/true);
  for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
  }
  pieces_.clear();
  for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
  }
  EXPECT_TRUE(pieces_.empty());
}

}  // namespace
}  // namespace varve::test
