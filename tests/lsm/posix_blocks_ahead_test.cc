// Zeros ahead of appends that are synced one by one.

#include "lsm/posix_blocks_ahead.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

#include "base/random.h"
#include "tests/support/status_check.h"
#include "tests/support/temp_directory.h"
#include "varve/file_system.h"

namespace varve::test {
namespace {

constexpr uint64_t kEnd = 1 << 20;

class BlocksAheadTest : public ::testing::Test {
 protected:
  // False: the file system is none of those.
  bool open(uint64_t reserved) {
    Result<std::unique_ptr<File>> opened =
        FileSystem::posix()->open(path_, OpenMode::create_exclusive);
    EXPECT_OK(opened);
    file_ = std::move(*opened);
    if (reserved != 0 && !file_->allocate(reserved, /*keep_size=*/true).ok()) return false;
    file_->expect_appends(kEnd);
    return reserved == 0 || size() == kEnd;
  }
  void append(size_t size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>('a' + random_.below(26));
    ASSERT_OK(file_->write(appended_.size(), bytes));
    appended_ += bytes;
  }
  uint64_t size() { return *file_->size(); }
  // Where, behind what was appended, nothing was ever written.
  uint64_t written_end() const {
    const int descriptor = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    const off_t hole = ::lseek(descriptor, static_cast<off_t>(appended_.size()), SEEK_HOLE);
    ::close(descriptor);
    return static_cast<uint64_t>(hole);
  }
  void expect_appended_and_zeros() {
    std::string bytes(size(), '\1');
    std::ifstream(path_).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    EXPECT_TRUE(bytes.starts_with(appended_));
    EXPECT_EQ(bytes.find_first_not_of('\0', appended_.size()), std::string::npos);
  }

  Random random_{1};
  const TempDirectory directory_;
  const std::string path_ = directory_.path() + "/file";
  std::unique_ptr<File> file_;
  std::string appended_;
};

TEST_F(BlocksAheadTest, reserved_space_is_the_length_at_once) {
  if (!open(kEnd)) GTEST_SKIP() << "by this file system";
  EXPECT_EQ(size(), kEnd);
  append(100);
  EXPECT_EQ(size(), kEnd);
  expect_appended_and_zeros();
}

TEST_F(BlocksAheadTest, without_reserved_space_the_length_is_what_was_appended) {
  open(0);
  append(100);
  ASSERT_OK(file_->sync());
  EXPECT_EQ(size(), 100u);
}

TEST_F(BlocksAheadTest, syncs_of_few_appends_each_have_zeros_ahead) {
  if (!open(kEnd)) GTEST_SKIP() << "by this file system";
  for (int i = 0; i < 20; ++i) {
    append(1 + random_.below(3000));
    ASSERT_OK(file_->sync());
  }
  EXPECT_GT(written_end(), appended_.size() + (16 << 10));
  while (appended_.size() < kEnd + 100'000) {  // beyond what is reserved too
    append(1 + random_.below(random_.one_in(20) ? 200'000 : 3000));
    if (!random_.one_in(10)) ASSERT_OK(file_->sync());
    if (random_.one_in(30)) expect_appended_and_zeros();
  }
  expect_appended_and_zeros();
  EXPECT_EQ(size(), appended_.size());
}

TEST_F(BlocksAheadTest, nothing_is_written_ahead_where_syncs_are_rare) {
  if (!open(kEnd)) GTEST_SKIP() << "by this file system";
  for (int i = 0; i < 20; ++i) {
    append(10'000);
    append(10'000);
    ASSERT_OK(file_->sync());
  }
  EXPECT_LE(written_end(), appended_.size() + 4096);
}

TEST_F(BlocksAheadTest, what_is_cut_off_stays_cut_off) {
  if (!open(kEnd)) GTEST_SKIP() << "by this file system";
  for (int i = 0; i < 10; ++i) {
    append(100);
    ASSERT_OK(file_->sync());
  }
  ASSERT_OK(file_->truncate(appended_.size()));
  append(100);
  ASSERT_OK(file_->sync());
  EXPECT_EQ(size(), appended_.size());
  expect_appended_and_zeros();
}

}  // namespace
}  // namespace varve::test
