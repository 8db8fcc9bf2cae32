#include "lsm/file_names.h"

#include <gtest/gtest.h>

#include <string>

namespace varve {
namespace {

TEST(FileNames, names_of_numbers_are_parsed_back) {
  for (const uint64_t number :
       {0ull, 1ull, 12ull, 999'999ull, 1'000'000ull, 123'456'789'012ull, UINT64_MAX + 0ull}) {
    const FileNumber wanted{number};
    struct Case {
      std::string name;
      FileType type;
    };
    for (const Case& c :
         {Case{sstable_name(wanted), FileType::sstable}, Case{wal_name(wanted), FileType::wal},
          Case{free_wal_name(wanted), FileType::free_wal},
          Case{manifest_name(wanted), FileType::manifest}}) {
      const FileName parsed = parse_file_name(c.name);
      EXPECT_EQ(parsed.type, c.type) << c.name;
      EXPECT_EQ(parsed.number, wanted) << c.name;
    }
  }
  EXPECT_EQ(sstable_name({12}), "000012.sst");
  EXPECT_EQ(wal_name({1'234'567}), "1234567.wal");
  EXPECT_EQ(free_wal_name({13}), "000013.free");
  EXPECT_EQ(manifest_name({1}), "000001.manifest");
  EXPECT_EQ(path_in("/a/b", "CURRENT"), "/a/b/CURRENT");
}

TEST(FileNames, fixed_names_are_known) {
  EXPECT_EQ(parse_file_name(kCurrentName).type, FileType::current);
  EXPECT_EQ(parse_file_name(kLockName).type, FileType::lock);
  EXPECT_EQ(parse_file_name(kLogName).type, FileType::log);
  EXPECT_EQ(parse_file_name("LOG.old").type, FileType::log);
  EXPECT_EQ(parse_file_name(kStatsName).type, FileType::stats);
  EXPECT_EQ(parse_file_name("STATS.tmp").type, FileType::temporary);
  EXPECT_EQ(parse_file_name("CURRENT.tmp").type, FileType::temporary);
}

// A name that is taken for one of ours may be deleted as obsolete, or opened: exactly the names
// that this build writes are ours.
TEST(FileNames, other_names_are_foreign) {
  for (const char* name : {"",
                           ".",
                           "sst",
                           ".sst",
                           "000012",
                           "000012.",
                           "12.sst",
                           "00012.sst",
                           "0000012.sst",
                           "0999999.sst",
                           "000012.sst2",
                           "000012.SST",
                           "000012.sst.bak",
                           "-00012.sst",
                           "+00012.sst",
                           " 00012.sst",
                           "00001a.sst",
                           "0x0012.sst",
                           "000012 .sst",
                           "18446744073709551616.sst",
                           "99999999999999999999999.wal",
                           "current",
                           "CURRENT2",
                           "LOCK.old",
                           "LOG.1",
                           "README.md",
                           "000012.ldb",
                           "000012.log",
                           "MANIFEST-000001",
                           ".tmp",
                           "thesis.tmp",
                           "000012.sst.tmp"}) {
    EXPECT_EQ(parse_file_name(name).type, FileType::foreign) << name;
  }
}

}  // namespace
}  // namespace varve
