// Reads of sstables in tests: one version, or all that a file holds, by every way.

#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "lsm/sstable.h"
#include "tests/lsm/sstable_fixture.h"

namespace varve::test {

inline constexpr VersionKind kValue = VersionKind::value;

// A point read as the engine does it: in memory inside a guard first, then with I/O.
enum class Way : uint8_t { resident_then_filling, filling, private_blocks };

inline Status read_version(SstableHome* home, Sstable* sstable, std::string_view key,
                           Timestamp snapshot, Way way, bool* found, VersionRow* row) {
  const auto read = [&](ReadAccess* access) -> Status {
    FoundVersion version;
    const Result<bool> result = sstable->get(key, key_hash(key), snapshot, access, &version);
    if (!result.ok()) return result.status();
    *found = *result;
    if (*found)
      *row = {std::string(key), version.timestamp, version.kind, std::string(version.value)};
    return Status();
  };
  if (way == Way::resident_then_filling) {
    ReadAccess access{.resident_only = true};
    {
      EpochDomain::Guard guard(home->epochs());
      if (Status status = read(&access); !status.ok() || !access.missed) return status;
      EXPECT_FALSE(*found) << "missed and found";
    }
  }
  ReadAccess access{.fill_cache = way != Way::private_blocks};
  return read(&access);
}

// Reads everything there is in the file: versions forwards, filters, point reads. The first
// failure.
inline Status read_everything(SstableHome* home, const std::string& path,
                              const std::vector<VersionRow>& expected) {
  Result<Sstable*> opened = home->try_open(path);
  if (!opened.ok()) return opened.status();
  const SstablePtr sstable(*opened);
  Status status;
  for (uint32_t p = 0; p < sstable->partition_count(); ++p) {
    if (Status filter = sstable->filter(p, true).status(); !filter.ok()) status = filter;
  }
  Status walked;
  const std::vector<VersionRow> rows = test::all_rows(home, sstable.get(), &walked);
  // What was read before the damage is right.
  EXPECT_LE(rows.size(), expected.size());
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), expected.begin()));
  if (walked.ok()) {
    EXPECT_EQ(rows.size(), expected.size());
  }
  for (const VersionRow& wanted : expected) {
    bool found = false;
    VersionRow row;
    const Status read =
        read_version(home, sstable.get(), wanted.key, wanted.timestamp, Way::filling, &found, &row);
    if (read.ok()) {
      EXPECT_TRUE(found && row == wanted) << "a wrong answer from a damaged file";
    }
    if (!read.ok() && status.ok()) status = read;
  }
  return walked.ok() ? status : walked;
}

// Two partitions would make it large: one of three blocks, with a filter.
struct SmallFile {
  std::vector<VersionRow> rows{{"apple", {105}, kValue, "red or green"},
                               {"banana", {104}, VersionKind::tombstone, ""},
                               {"cherry", {103}, kValue, "newer"},
                               {"cherry", {100}, kValue, "older"}};
  SstableWriterOptions options{.block_size = 40, .created_nanos = 5};
};

}  // namespace varve::test
