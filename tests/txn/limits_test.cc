// Limits of the process, met for real.

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "tests/support/temp_directory.h"
#include "tests/txn/database_fixture.h"

namespace varve::test {
namespace {

// As `ulimit -n`.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t most) {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit limited = before_;
    limited.rlim_cur = most;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limited), 0);
  }
  ~DescriptorLimit() { EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before_), 0); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

using LimitsTest = DatabaseTest;

TEST_F(LimitsTest, two_thousand_sstables_in_a_process_that_may_open_256_files) {
  constexpr int kKeyspaces = 500;
  constexpr int kRounds = 4;
  constexpr int kKeys = 5;
  const auto key = [](int i, int round) {
    return "key" + std::to_string(i) + (i == 0 ? "" : " " + std::to_string(round));
  };
  const auto value = [](uint32_t keyspace, int i, int round) {
    return std::to_string(keyspace) + ":" + std::to_string(round) + ":" + std::string(100, 'v') +
           std::to_string(i);
  };
  // Written where a sync costs nothing, then copied.
  options_.write_buffer_size = 16 << 20;
  open();
  std::vector<Keyspace> keyspaces;
  for (int k = 0; k < kKeyspaces; ++k) keyspaces.push_back(create("keyspace" + std::to_string(k)));
  for (int round = 0; round < kRounds; ++round) {
    for (const Keyspace keyspace : keyspaces) {
      for (int i = 0; i < kKeys; ++i) {
        ASSERT_OK(db_->put(key(i, round), value(keyspace.id, i, round), in(keyspace)));
      }
    }
    ASSERT_OK(db_->flush());
  }
  close();
  TempDirectory directory;
  const std::string path = directory / "db";
  copy_directory(disk_.get(), kPath, FileSystem::posix(), path);
  ASSERT_EQ(files_with_suffix(FileSystem::posix(), path, ".sst").size(),
            static_cast<size_t>(kKeyspaces * kRounds));

  const DescriptorLimit limit(256);
  options_.file_system = nullptr;
  options_.executor = nullptr;
  options_.clock = nullptr;
  const auto expect_all = [&] {
    for (const Keyspace keyspace : keyspaces) {
      EXPECT_EQ(get(key(0, 0), from(keyspace)), value(keyspace.id, 0, kRounds - 1));
      ScanOptions all;
      all.keyspace = keyspace;
      const Rows found = rows(all);
      ASSERT_EQ(found.size(), static_cast<size_t>(1 + (kKeys - 1) * kRounds));
      EXPECT_EQ(found.back().second, value(keyspace.id, kKeys - 1, kRounds - 1));
    }
  };
  for (const bool compacted : {false, true}) {
    Result<std::unique_ptr<Database>> opened = Database::open(options_, path);
    ASSERT_OK(opened);
    db_ = std::move(*opened);
    expect_all();
    Result<VerifyReport> report = db_->verify();
    ASSERT_OK(report);
    EXPECT_GE(report->files, static_cast<uint64_t>(kKeyspaces * (compacted ? 1 : kRounds)));
    if (!compacted) {
      ASSERT_OK(db_->compact());
      expect_all();
      EXPECT_EQ(runs(1), 1u);
    }
    close_and_check(std::move(db_), FileSystem::posix());
  }
}

}  // namespace
}  // namespace varve::test
