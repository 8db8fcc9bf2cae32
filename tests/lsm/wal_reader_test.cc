// Where a damaged log ends, and when damage is corruption (protocol 14): a place without a valid
// group is the end, unless a valid header further on says that it was durable once.

#include "lsm/wal_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "tests/lsm/log_fixture.h"
#include "tests/support/seeded_test.h"

namespace varve::test {
namespace {

class WalReaderTest : public LogTest {
 protected:
  // Small groups in a few segments; `sync_every` 0: never synced.
  void write_log(int groups, uint64_t segment_size, int sync_every, bool finish) {
    start(segment_size);
    for (int i = 0; i < groups; ++i) {
      ASSERT_OK(append(1 + i % 2, 10 + static_cast<size_t>(i) % 9));
      if (sync_every != 0 && i % sync_every == sync_every - 1) {
        ASSERT_OK(writer_->sync());
      }
    }
    if (finish) {
      ASSERT_OK(writer_->finish());
    }
    writer_.reset();
    const ReadLog log = read();
    ASSERT_OK(log.status);
    groups_ = log.groups;  // with places, the end marker included
    for (const FileNumber number : segment_numbers()) {
      image_.emplace_back(number, read_file(disk_.get(), path(number)));
    }
  }
  void restore() {
    for (const auto& [number, bytes] : image_) write_file(disk_.get(), path(number), bytes);
  }

  // The first `whole` groups are readable, and the next is not: what the reader must say.
  void expect_outcome(const ReadLog& log, size_t whole) {
    bool attested = false;
    for (size_t i = whole + 1; i < groups_.size(); ++i) {
      attested |= groups_[i].durable > groups_[whole].start;
    }
    ASSERT_LE(log.groups.size(), groups_.size());
    for (size_t i = 0; i < log.groups.size(); ++i) {
      ASSERT_EQ(log.groups[i], groups_[i]);
    }
    ASSERT_EQ(log.groups.size(), whole);
    if (attested) {
      ASSERT_FAILS(log.status, corruption, path(groups_[whole].segment));
      ASSERT_FAILS(log.status, corruption, "offset " + std::to_string(groups_[whole].offset));
    } else {
      ASSERT_OK(log.status);
      ASSERT_EQ(log.end, whole == 0 ? Lsn{} : groups_[whole - 1].end);
      ASSERT_FALSE(log.clean);
    }
  }

  // Which group holds `offset` of `segment` in what its checksum covers; size: none does.
  size_t group_at(FileNumber segment, uint64_t offset) {
    for (size_t i = 0; i < groups_.size(); ++i) {
      const LoggedGroup& group = groups_[i];
      size_t payload = 0;
      for (const auto& [timestamp, batch] : group.commits) payload += 2 + batch.size();
      if (group.segment == segment && offset >= group.offset &&
          offset < group.offset + kWalGroupHeaderSize + payload) {
        return i;
      }
    }
    return groups_.size();
  }

  void flip_every_byte() {
    for (const auto& [number, bytes] : image_) {
      for (size_t offset = kWalHeaderSize; offset < bytes.size(); ++offset) {
        SCOPED_TRACE(path(number) + " at " + std::to_string(offset));
        std::string changed = bytes;
        changed[offset] = static_cast<char>(changed[offset] ^ (1 << offset % 8));
        write_file(disk_.get(), path(number), changed);
        const size_t hit = group_at(number, offset);
        const ReadLog log = read();
        if (hit == groups_.size()) {  // padding
          ASSERT_OK(log.status);
          ASSERT_EQ(log.groups, groups_);
        } else {
          expect_outcome(log, hit);
        }
        if (HasFatalFailure()) return;
      }
      restore();
    }
  }

  std::vector<LoggedGroup> groups_;
  std::vector<std::pair<FileNumber, std::string>> image_;
};

TEST_F(WalReaderTest, nothing_at_all) {
  const ReadLog log = read();
  ASSERT_OK(log.status);
  EXPECT_TRUE(log.groups.empty());
  EXPECT_EQ(log.end, Lsn{});
  EXPECT_FAILS(read(Lsn{100}).status, corruption, "needed from LSN 100");
}

TEST_F(WalReaderTest, every_byte_flipped_in_a_synced_log) {
  write_log(12, 300, 1, /*finish=*/false);
  flip_every_byte();
}

TEST_F(WalReaderTest, every_byte_flipped_in_a_log_that_was_synced_sometimes) {
  write_log(14, 400, 4, /*finish=*/false);
  flip_every_byte();
}

TEST_F(WalReaderTest, every_byte_flipped_in_a_log_that_was_never_synced) {
  write_log(10, 1 << 20, 0, /*finish=*/false);
  flip_every_byte();
}

TEST_F(WalReaderTest, every_byte_flipped_in_a_cleanly_closed_log) {
  write_log(10, 300, 0, /*finish=*/true);
  flip_every_byte();
}

// The header stands twice: one damaged copy hides nothing.
TEST_F(WalReaderTest, every_byte_flipped_in_segment_headers) {
  write_log(10, 300, 1, /*finish=*/true);
  for (const auto& [number, bytes] : image_) {
    for (size_t offset = 0; offset < kWalHeaderSize; ++offset) {
      std::string changed = bytes;
      changed[offset] = static_cast<char>(changed[offset] ^ 1 << offset % 8);
      write_file(disk_.get(), path(number), changed);
      const ReadLog log = read();
      ASSERT_OK(log.status);
      ASSERT_EQ(log.groups, groups_) << offset;
    }
    restore();
  }
}

TEST_F(WalReaderTest, both_header_copies_damaged) {
  write_log(16, 300, 1, /*finish=*/false);
  ASSERT_GT(image_.size(), 2u);
  for (size_t segment = 0; segment < image_.size(); ++segment) {
    const auto& [number, bytes] = image_[segment];
    std::string changed = bytes;
    changed[20] = static_cast<char>(changed[20] ^ 1);
    changed[kWalHeaderCopySize + 20] = static_cast<char>(changed[kWalHeaderCopySize + 20] ^ 1);
    write_file(disk_.get(), path(number), changed);
    const ReadLog log = read();
    if (segment + 1 < image_.size()) {
      EXPECT_EQ(log.status.code(), StatusCode::corruption) << "a later one attests it";
    } else {
      // Nothing says that there was more.
      EXPECT_OK(log.status);
    }
    for (size_t i = 0; i < log.groups.size(); ++i) {
      EXPECT_EQ(log.groups[i], groups_[i]);
    }
    restore();
  }
}

TEST_F(WalReaderTest, every_truncation_of_the_last_segment_reads_as_its_end) {
  for (const int sync_every : {0, 1}) {
    write_log(12, 400, sync_every, /*finish=*/sync_every == 1);
    const auto& [number, bytes] = image_.back();
    for (size_t size = 0; size < bytes.size(); ++size) {
      write_file(disk_.get(), path(number), std::string_view(bytes).substr(0, size));
      const ReadLog log = read();
      ASSERT_OK(log.status);
      size_t whole = 0;
      while (whole < groups_.size() &&
             (groups_[whole].segment != number ||
              groups_[whole].offset + (groups_[whole].end.value - groups_[whole].start.value) <=
                  size)) {
        ++whole;
      }
      // Cut-off padding costs nothing.
      ASSERT_TRUE(log.groups.size() == whole || log.groups.size() == whole + 1) << size;
      for (size_t i = 0; i < log.groups.size(); ++i) {
        ASSERT_EQ(log.groups[i], groups_[i]);
      }
    }
    for (const auto& [n, b] : image_) {
      ASSERT_OK(disk_->remove(path(n)));
    }
    image_.clear();
    written_.clear();
  }
}

TEST_F(WalReaderTest, every_truncation_of_an_earlier_synced_segment_is_corruption) {
  write_log(20, 400, 1, /*finish=*/false);
  ASSERT_GT(image_.size(), 2u);
  const auto& [number, bytes] = image_[1];
  // Without up to 7 bytes the last group may lack only its padding.
  for (size_t size = 0; size + kWalAlignment <= bytes.size(); ++size) {
    write_file(disk_.get(), path(number), std::string_view(bytes).substr(0, size));
    const ReadLog log = read();
    ASSERT_EQ(log.status.code(), StatusCode::corruption) << size;
    for (size_t i = 0; i < log.groups.size(); ++i) {
      ASSERT_EQ(log.groups[i], groups_[i]);
    }
  }
}

TEST_F(WalReaderTest, missing_segments) {
  write_log(16, 300, 1, /*finish=*/false);
  ASSERT_GT(image_.size(), 3u);
  // The first, which is needed.
  ASSERT_OK(disk_->remove(path(image_[0].first)));
  EXPECT_FAILS(read().status, corruption, "a segment is missing");
  // It is not, when the log is needed only from the second on.
  const LoggedGroup* second = nullptr;
  for (const LoggedGroup& group : groups_) {
    if (group.segment == image_[1].first) {
      second = &group;
      break;
    }
  }
  ASSERT_NE(second, nullptr);
  ReadLog log = read(second->start);
  ASSERT_OK(log.status);
  EXPECT_EQ(log.groups.front(), *second);
  EXPECT_EQ(log.groups.back(), groups_.back());
  restore();
  // One in the middle.
  ASSERT_OK(disk_->remove(path(image_[2].first)));
  log = read();
  EXPECT_FAILS(log.status, corruption, path(image_[1].first));
  restore();
  // The last: nothing knows of it here; the manifest does after a clean end.
  ASSERT_OK(disk_->remove(path(image_.back().first)));
  ASSERT_OK(read().status);
}

TEST_F(WalReaderTest, leftovers_below_what_is_needed_are_passed_over) {
  write_log(16, 300, 1, /*finish=*/false);
  const LoggedGroup& wanted = groups_[10];
  ReadLog log = read(wanted.start);
  ASSERT_OK(log.status);
  EXPECT_EQ(log.groups.front().segment, wanted.segment) << "reading begins with its segment";
  // Damage in older ones does not matter.
  std::string noise = image_[0].second;
  for (char& c : noise) c = static_cast<char>(c ^ 0x55);
  write_file(disk_.get(), path(image_[0].first), noise);
  log = read(wanted.start);
  ASSERT_OK(log.status);
  EXPECT_EQ(log.groups.back(), groups_.back());
}

TEST_F(WalReaderTest, zeros_and_noise_behind_the_end) {
  VARVE_SEEDED_TEST(random);
  write_log(6, 1 << 20, 1, /*finish=*/false);
  const auto& [number, bytes] = image_.back();
  for (int i = 0; i < 60; ++i) {
    std::string tail(random.below(3000), '\0');
    if (i % 2 == 1) {
      for (char& c : tail) c = static_cast<char>(random.next());
    }
    write_file(disk_.get(), path(number), bytes + tail);
    const ReadLog log = read();
    ASSERT_OK(log.status);
    ASSERT_EQ(log.groups, groups_);
  }
}

// A group of which some sectors reached the disk and others are zeros still.
TEST_F(WalReaderTest, torn_last_group) {
  start();
  ASSERT_OK(append(1, 100));
  ASSERT_OK(writer_->sync());
  ASSERT_OK(append(1, 3000));
  writer_.reset();
  const FileNumber number = segment_numbers().at(0);
  const std::string whole = read_file(disk_.get(), path(number));
  for (size_t sector = 0; sector + 512 <= whole.size(); sector += 512) {
    if (sector < written_[0].end.value + kWalHeaderSize) continue;
    std::string torn = whole;
    torn.replace(sector, 512, 512, '\0');
    write_file(disk_.get(), path(number), torn);
    const ReadLog log = read();
    ASSERT_OK(log.status);
    ASSERT_EQ(log.groups.size(), 1u);
  }
}

// Bytes that claim what cannot be: bounded memory and time, and an end or corruption.
TEST_F(WalReaderTest, hostile_bytes) {
  VARVE_SEEDED_TEST(random);
  write_log(20, 2000, 2, /*finish=*/true);
  for (uint64_t i = 0; i < test_iterations(300); ++i) {
    const auto& [number, bytes] = image_[random.below(image_.size())];
    std::string changed = bytes;
    for (uint64_t j = 1 + random.below(4); j > 0; --j) {
      const size_t at = random.below(changed.size() - 8);
      switch (random.below(4)) {
        case 0:
          changed.replace(at, 4, "\xff\xff\xff\xff");
          break;
        case 1:
          changed.erase(at, random.below(100));
          changed.resize(std::max<size_t>(changed.size(), 16));
          break;
        case 2:
          changed.insert(at, bytes.substr(random.below(bytes.size()), random.below(300)));
          break;
        case 3:
          changed[at] = static_cast<char>(random.next());
          break;
      }
    }
    write_file(disk_.get(), path(number), changed);
    const ReadLog log = read();
    if (!log.status.ok()) {
      const StatusCode code = log.status.code();
      ASSERT_TRUE(code == StatusCode::corruption || code == StatusCode::not_supported)
          << log.status.to_string();
    }
    ASSERT_LE(log.groups.size(), groups_.size());
    for (size_t g = 0; g < log.groups.size(); ++g) {
      ASSERT_EQ(log.groups[g], groups_[g]);
    }
    restore();
  }
}

TEST_F(WalReaderTest, read_errors_are_errors_and_not_an_end) {
  write_log(6, 300, 1, /*finish=*/false);
  for (uint64_t nth = 0; nth < 4; ++nth) {
    uint64_t reads = 0;
    files_.set_hook([&](const FileCall& call) {
      return call.kind == FileCall::Kind::read && reads++ == nth ? Status::io_error("injected")
                                                                 : Status();
    });
    EXPECT_FAILS(read().status, io_error, "injected");
  }
  files_.set_hook(nullptr);
}

}  // namespace
}  // namespace varve::test
