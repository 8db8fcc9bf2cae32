// Appends through a window of mapped pages: as if each were a pwrite().

#include "lsm/posix_append_window.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "base/random.h"
#include "tests/support/status_check.h"
#include "tests/support/temp_directory.h"
#include "varve/file_system.h"

namespace varve::test {
namespace {

class AppendWindowTest : public ::testing::Test {
 protected:
  // A file of `size` bytes that do not matter.
  void open(uint64_t size, uint64_t end) {
    {
      std::ofstream old(path_);
      for (uint64_t i = 0; i < size; ++i) old.put(static_cast<char>(random_.below(256)));
    }
    Result<std::unique_ptr<File>> opened = FileSystem::posix()->open(path_, OpenMode::read_write);
    ASSERT_OK(opened);
    file_ = std::move(*opened);
    file_->expect_appends(end);
  }
  void append(size_t size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>('a' + random_.below(26));
    ASSERT_OK(file_->write(appended_.size(), bytes));
    appended_ += bytes;
  }
  // What others see of the file, as long as what was appended.
  std::string seen() const {
    std::string bytes(appended_.size(), '\0');
    std::ifstream(path_).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return bytes;
  }
  bool has_window() const {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find(path_) != std::string::npos) return true;
    }
    return false;
  }
  void append_until_there_is_a_window() {
    for (int i = 0; i < 1000 && !has_window(); ++i) append(100);
  }
  static bool are_windows_possible() {
    const TempDirectory directory;
    const std::string path = directory.path() + "/probe";
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const std::unique_ptr<AppendWindow> window = AppendWindow::create(descriptor, 1 << 20);
    bool possible = false;
    const std::string bytes(1000, 'x');
    for (uint64_t i = 0; window != nullptr && i < 100; ++i) {
      possible |= window->write(i * bytes.size(), bytes.data(), bytes.size());
    }
    ::close(descriptor);
    return possible;
  }

  Random random_{1};
  const TempDirectory directory_;
  const std::string path_ = directory_.path() + "/file";
  std::unique_ptr<File> file_;
  std::string appended_;
};

#define REQUIRE_WINDOWS() \
  if (!are_windows_possible()) GTEST_SKIP() << "by this file system, or this kernel"

TEST_F(AppendWindowTest, what_was_appended_is_seen_by_others_at_once) {
  for (const uint64_t old : {uint64_t{0}, uint64_t{5000}, uint64_t{1} << 20}) {
    appended_.clear();
    open(old, uint64_t{1} << 20);
    append(random_.below(5000));
    bool had_window = false;
    while (appended_.size() < (1 << 20) + 100'000) {  // beyond the end too
      append(random_.one_in(50) ? random_.below(300'000) : random_.below(1000));
      if (random_.one_in(300)) ASSERT_OK(file_->sync());
      if (random_.one_in(20)) {
        ASSERT_TRUE(seen() == appended_) << "at " << appended_.size();
        had_window |= has_window();
      }
    }
    ASSERT_TRUE(seen() == appended_);
    EXPECT_EQ(had_window, are_windows_possible());
    ASSERT_OK(file_->truncate(appended_.size()));
    EXPECT_EQ(std::filesystem::file_size(path_), appended_.size());
    ASSERT_OK(file_->close());
    EXPECT_FALSE(has_window());
    EXPECT_TRUE(seen() == appended_);
  }
}

TEST_F(AppendWindowTest, what_was_written_already_is_not_touched) {
  open(0, 1 << 20);
  append(200'000);
  append_until_there_is_a_window();
  // Earlier bytes once more, by which a window must not be opened.
  ASSERT_OK(file_->sync());
  for (int i = 0; i < 1000; ++i) ASSERT_OK(file_->write(0, appended_.substr(0, 100)));
  EXPECT_TRUE(seen() == appended_);
  append_until_there_is_a_window();
  EXPECT_TRUE(seen() == appended_);
}

TEST_F(AppendWindowTest, files_that_are_synced_often_have_none) {
  REQUIRE_WINDOWS();
  open(1 << 20, 1 << 20);
  append_until_there_is_a_window();
  EXPECT_TRUE(has_window());
  ASSERT_OK(file_->sync());
  for (int i = 0; i < 100; ++i) {
    append(1000);
    ASSERT_OK(file_->sync());
    EXPECT_FALSE(has_window());
  }
  append_until_there_is_a_window();
  EXPECT_TRUE(has_window());
  EXPECT_TRUE(seen() == appended_);
}

TEST_F(AppendWindowTest, large_appends_need_none) {
  open(1 << 20, 16 << 20);
  for (int i = 0; i < 50; ++i) {
    append(100'000);
    EXPECT_FALSE(has_window());
  }
  EXPECT_TRUE(seen() == appended_);
}

TEST_F(AppendWindowTest, a_full_file_has_none) {
  REQUIRE_WINDOWS();
  open(0, 1 << 20);
  while (appended_.size() <= (1 << 20)) append(1000);
  EXPECT_FALSE(has_window());
  EXPECT_TRUE(seen() == appended_);
}

TEST_F(AppendWindowTest, a_file_that_becomes_shorter_loses_its_window) {
  REQUIRE_WINDOWS();
  open(1 << 20, 1 << 20);
  append_until_there_is_a_window();
  ASSERT_OK(file_->truncate(10));
  EXPECT_FALSE(has_window());
  appended_.resize(10);
  append(1000);  // not into pages that the file does not have any more
  EXPECT_TRUE(seen() == appended_);
}

TEST_F(AppendWindowTest, small_writes_beside_syncs) {
  open(0, 16 << 20);
  std::atomic<bool> done = false;
  std::thread syncer([&] {
    while (!done.load()) ASSERT_OK(file_->sync());
  });
  for (int i = 0; i < 20'000; ++i) append(100);
  done.store(true);
  syncer.join();
  EXPECT_TRUE(seen() == appended_);
}

// A commit of durability `os` outlives its process.
TEST_F(AppendWindowTest, what_was_appended_outlives_the_process) {
  open(0, 1 << 20);
  append(1000);
  append_until_there_is_a_window();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Its own, since a window is not the child's.
    std::unique_ptr<File> file = std::move(*FileSystem::posix()->open(path_, OpenMode::read_write));
    file->expect_appends(1 << 20);
    const std::string bytes(100, 'c');
    for (uint64_t i = 0; i < 1000; ++i) {
      if (!file->write(appended_.size() + i * bytes.size(), bytes).ok()) ::_exit(1);
    }
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  appended_ += std::string(100'000, 'c');
  EXPECT_TRUE(seen() == appended_);
}

}  // namespace
}  // namespace varve::test
