// Versions in sstables, as a run of them.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "tests/lsm/sstable_fixture.h"

namespace varve::test {

// `rows` as a run of `count` files or fewer, cut between user keys. Undated files are given the
// timestamp of the rows, which is one. `id`: differs from that of other runs in the same home.
class TestRun {
 public:
  TestRun(SstableHome* home, const std::vector<VersionRow>& rows, size_t count,
          const SstableWriterOptions& options, uint64_t id = 7) {
    size_t from = 0;
    for (size_t i = 0; i < count && from < rows.size(); ++i) {
      size_t to = i + 1 == count ? rows.size()
                                 : std::min(rows.size(), from + (rows.size() + count - 1) / count);
      while (to < rows.size() && rows[to].key == rows[to - 1].key) ++to;
      const std::string path = "run" + std::to_string(id) + "-" + std::to_string(i);
      std::vector<VersionRow> part(rows.begin() + static_cast<ptrdiff_t>(from),
                                   rows.begin() + static_cast<ptrdiff_t>(to));
      const Timestamp timestamp = part.front().timestamp;
      for (VersionRow& row : part) {
        if (options.undated) row.timestamp = kTimestampMin;
      }
      home->write(path, part, options, {id, i});
      owned_.push_back(home->open(path));
      if (options.undated) owned_.back()->date(timestamp);
      files_.push_back(owned_.back().get());
      from = to;
    }
    EXPECT_EQ(from, rows.size());
  }
  std::span<Sstable* const> files() const { return files_; }

 private:
  std::vector<SstablePtr> owned_;
  std::vector<Sstable*> files_;
};

}  // namespace varve::test
