// What varve/file_system.h promises, held against each implementation alike.

#include "varve/file_system.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/status_check.h"
#include "tests/support/temp_directory.h"

namespace varve {
namespace {

class FileSystemTest : public ::testing::TestWithParam<const char*> {
 protected:
  FileSystemTest() {
    if (is_posix()) {
      file_system_ = FileSystem::posix();
      char name[] = "/tmp/varve_file_system_test.XXXXXX";
      directory_ = ::mkdtemp(name);
    } else {
      memory_ = FileSystem::create_memory();
      file_system_ = memory_.get();
      directory_ = "/db";
      EXPECT_TRUE(file_system_->create_directory(directory_).ok());
    }
  }
  ~FileSystemTest() override {
    if (is_posix()) std::filesystem::remove_all(directory_);
  }

  bool is_posix() const { return std::string_view(GetParam()) == "posix"; }
  std::string at(const std::string& name) const { return directory_ + "/" + name; }

  std::unique_ptr<File> open(const std::string& name, OpenMode mode) {
    Result<std::unique_ptr<File>> file = file_system_->open(at(name), mode);
    EXPECT_TRUE(file.ok()) << file.status().to_string();
    return file.ok() ? std::move(*file) : nullptr;
  }
  StatusCode open_code(const std::string& name, OpenMode mode) {
    return file_system_->open(at(name), mode).status().code();
  }
  void write_file(const std::string& name, std::string_view content) {
    const std::unique_ptr<File> file = open(name, OpenMode::create_exclusive);
    ASSERT_NE(file, nullptr);
    EXPECT_TRUE(file->write(0, content).ok());
    EXPECT_TRUE(file->close().ok());
  }
  std::string read_file(const std::string& name) {
    const std::unique_ptr<File> file = open(name, OpenMode::read);
    return file == nullptr ? "unreadable" : read(file.get(), 0, 1000);
  }
  static std::string read(File* file, uint64_t offset, size_t size) {
    std::string bytes(size, '\xee');
    const Result<size_t> got = file->read(offset, bytes.data(), size);
    EXPECT_TRUE(got.ok()) << got.status().to_string();
    if (!got.ok()) return {};
    EXPECT_EQ(bytes.find_first_not_of('\xee', *got), std::string::npos)
        << "bytes beyond those transferred were written";
    return bytes.substr(0, *got);
  }
  std::vector<std::string> names() {
    Result<std::vector<std::string>> found = file_system_->list(directory_);
    EXPECT_TRUE(found.ok());
    std::sort(found->begin(), found->end());
    return *found;
  }

  std::unique_ptr<FileSystem> memory_;
  FileSystem* file_system_;
  std::string directory_;
};

INSTANTIATE_TEST_SUITE_P(each, FileSystemTest, ::testing::Values("posix", "memory"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(FileSystemTest, written_bytes_are_read_back_at_any_offset) {
  const std::unique_ptr<File> file = open("f", OpenMode::create_exclusive);
  EXPECT_EQ(*file->size(), 0u);
  EXPECT_TRUE(file->write(0, "hello world").ok());
  EXPECT_TRUE(file->write(6, "there").ok());
  EXPECT_EQ(*file->size(), 11u);
  EXPECT_EQ(read(file.get(), 0, 11), "hello there");
  EXPECT_EQ(read(file.get(), 6, 3), "the");
  EXPECT_TRUE(file->write(3, "").ok());
  EXPECT_EQ(*file->size(), 11u);
  EXPECT_TRUE(file->sync().ok());
  EXPECT_TRUE(file->close().ok());
}

TEST_P(FileSystemTest, read_past_the_end_transfers_what_there_is) {
  write_file("f", "0123456789");
  const std::unique_ptr<File> file = open("f", OpenMode::read);
  EXPECT_EQ(read(file.get(), 8, 100), "89");
  EXPECT_EQ(read(file.get(), 10, 1), "");
  EXPECT_EQ(read(file.get(), 1'000'000, 5), "");
  EXPECT_EQ(read(file.get(), 0, 0), "");
}

TEST_P(FileSystemTest, a_hole_before_a_write_reads_as_zeros) {
  const std::unique_ptr<File> file = open("f", OpenMode::create_exclusive);
  EXPECT_TRUE(file->write(5, "x").ok());
  EXPECT_EQ(read(file.get(), 0, 10), std::string("\0\0\0\0\0x", 6));
}

TEST_P(FileSystemTest, a_request_may_be_used_again_after_a_failure) {
  write_file("f", "content");
  const std::unique_ptr<File> file = open("f", OpenMode::read);
  char bytes[7] = {};
  IoRequest request{.kind = IoRequest::Kind::write, .data = bytes, .size = 3, .status = {}};
  file->submit(&request);
  file->wait(&request);
  EXPECT_EQ(request.status.code(), StatusCode::io_error) << "a file opened for reading";
  request.kind = IoRequest::Kind::read;
  request.size = 7;
  file->submit(&request);
  file->wait(&request);
  EXPECT_TRUE(request.status.ok()) << request.status.to_string();
  EXPECT_EQ(request.transferred, 7u);
  request.kind = IoRequest::Kind::sync;
  file->submit(&request);
  file->wait(&request);
  EXPECT_TRUE(request.status.ok());
}

TEST_P(FileSystemTest, a_file_opened_for_reading_cannot_be_changed) {
  write_file("f", "content");
  const std::unique_ptr<File> file = open("f", OpenMode::read);
  EXPECT_EQ(file->write(0, "x").code(), StatusCode::io_error);
  EXPECT_EQ(file->truncate(0).code(), StatusCode::io_error);
  const StatusCode allocated = file->allocate(100, /*keep_size=*/false).code();
  EXPECT_TRUE(allocated == StatusCode::io_error || allocated == StatusCode::not_supported);
  EXPECT_EQ(read_file("f"), "content");
}

TEST_P(FileSystemTest, a_file_opened_for_writing_keeps_its_content) {
  write_file("f", "content");
  const std::unique_ptr<File> file = open("f", OpenMode::read_write);
  EXPECT_TRUE(file->write(7, "!").ok());
  EXPECT_EQ(read_file("f"), "content!");
}

TEST_P(FileSystemTest, truncate_cuts_off_or_fills_with_zeros) {
  const std::unique_ptr<File> file = open("f", OpenMode::create_exclusive);
  EXPECT_TRUE(file->write(0, "0123456789").ok());
  EXPECT_TRUE(file->truncate(4).ok());
  EXPECT_EQ(*file->size(), 4u);
  EXPECT_TRUE(file->truncate(6).ok());
  EXPECT_EQ(read(file.get(), 0, 10), std::string("0123\0\0", 6)) << "not the bytes cut off before";
}

TEST_P(FileSystemTest, allocate_reserves_without_touching_content) {
  const std::unique_ptr<File> file = open("f", OpenMode::create_exclusive);
  EXPECT_TRUE(file->write(0, "abc").ok());
  Status status = file->allocate(100'000, /*keep_size=*/true);
  if (status.code() == StatusCode::not_supported) GTEST_SKIP() << status.to_string();
  ASSERT_TRUE(status.ok()) << status.to_string();
  EXPECT_EQ(*file->size(), 3u);
  ASSERT_TRUE(file->allocate(10, /*keep_size=*/false).ok());
  EXPECT_EQ(read(file.get(), 0, 100), std::string("abc\0\0\0\0\0\0\0", 10));
  ASSERT_TRUE(file->allocate(5, /*keep_size=*/false).ok());
  EXPECT_EQ(*file->size(), 10u) << "never shorter";
}

TEST_P(FileSystemTest, opening_what_is_missing_or_is_there_already_fails) {
  EXPECT_EQ(open_code("absent", OpenMode::read), StatusCode::not_found);
  EXPECT_EQ(open_code("absent", OpenMode::read_write), StatusCode::not_found);
  EXPECT_EQ(open_code("absent/f", OpenMode::create_exclusive), StatusCode::not_found);
  EXPECT_EQ(names().size(), 0u);
  write_file("f", "content");
  EXPECT_EQ(open_code("f", OpenMode::create_exclusive), StatusCode::already_exists);
  EXPECT_EQ(read_file("f"), "content");
  EXPECT_TRUE(file_system_->create_directory(at("d")).ok());
  EXPECT_EQ(open_code("d", OpenMode::create_exclusive), StatusCode::already_exists);
  EXPECT_NE(open_code("d", OpenMode::read_write), StatusCode::ok);
}

TEST_P(FileSystemTest, messages_name_the_path) {
  const Status status = file_system_->open(at("absent"), OpenMode::read).status();
  EXPECT_NE(status.message().find(at("absent")), std::string_view::npos) << status.to_string();
  EXPECT_NE(file_system_->info(at("gone")).status().message().find(at("gone")),
            std::string_view::npos);
  EXPECT_NE(file_system_->remove(at("gone")).message().find(at("gone")), std::string_view::npos);
}

TEST_P(FileSystemTest, info_tells_size_and_kind) {
  write_file("f", "12345");
  const Result<FileInfo> file = file_system_->info(at("f"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->size, 5u);
  EXPECT_FALSE(file->is_directory);
  const Result<FileInfo> directory = file_system_->info(directory_);
  ASSERT_TRUE(directory.ok());
  EXPECT_TRUE(directory->is_directory);
  EXPECT_EQ(file_system_->info(at("absent")).status().code(), StatusCode::not_found);
}

TEST_P(FileSystemTest, list_names_files_and_directories_of_one_level) {
  EXPECT_EQ(names(), std::vector<std::string>{});
  write_file("b", "");
  write_file("a", "");
  EXPECT_TRUE(file_system_->create_directory(at("d")).ok());
  write_file("d/inside", "");
  EXPECT_EQ(names(), (std::vector<std::string>{"a", "b", "d"}));
  EXPECT_EQ(file_system_->list(at("absent")).status().code(), StatusCode::not_found);
  EXPECT_FALSE(file_system_->list(at("a")).ok()) << "a file";
}

TEST_P(FileSystemTest, directories_are_created_once_and_below_what_exists) {
  EXPECT_TRUE(file_system_->create_directory(at("d")).ok());
  EXPECT_TRUE(file_system_->create_directory(at("d")).ok()) << "ok if it is there already";
  EXPECT_EQ(file_system_->create_directory(at("x/y")).code(), StatusCode::not_found);
  write_file("f", "");
  EXPECT_EQ(file_system_->create_directory(at("f")).code(), StatusCode::already_exists)
      << "a file of that name is no directory";
}

TEST_P(FileSystemTest, directories_are_removed_when_they_are_empty) {
  EXPECT_TRUE(file_system_->create_directory(at("d")).ok());
  write_file("d/f", "x");
  EXPECT_FALSE(file_system_->remove_directory(at("d")).ok());
  EXPECT_EQ(read_file("d/f"), "x");
  EXPECT_FALSE(file_system_->remove(at("d")).ok()) << "remove() is for files";
  EXPECT_FALSE(file_system_->remove_directory(at("d/f")).ok());
  EXPECT_TRUE(file_system_->remove(at("d/f")).ok());
  EXPECT_TRUE(file_system_->remove_directory(at("d")).ok());
  EXPECT_EQ(file_system_->remove_directory(at("d")).code(), StatusCode::not_found);
}

TEST_P(FileSystemTest, an_open_file_outlives_its_name) {
  write_file("f", "content");
  const std::unique_ptr<File> file = open("f", OpenMode::read_write);
  EXPECT_TRUE(file_system_->remove(at("f")).ok());
  EXPECT_EQ(file_system_->remove(at("f")).code(), StatusCode::not_found);
  EXPECT_EQ(read(file.get(), 0, 100), "content");
  EXPECT_TRUE(file->write(0, "CON").ok());
  write_file("f", "another");
  EXPECT_EQ(read(file.get(), 0, 100), "CONtent");
  EXPECT_EQ(read_file("f"), "another");
}

TEST_P(FileSystemTest, rename_replaces_only_when_asked_to) {
  write_file("a", "A");
  write_file("b", "B");
  EXPECT_EQ(file_system_->rename(at("a"), at("b"), /*replace=*/false).code(),
            StatusCode::already_exists);
  EXPECT_EQ(read_file("a"), "A");
  EXPECT_EQ(read_file("b"), "B");
  EXPECT_TRUE(file_system_->rename(at("a"), at("c"), /*replace=*/false).ok());
  EXPECT_EQ(read_file("c"), "A");
  EXPECT_TRUE(file_system_->rename(at("c"), at("b"), /*replace=*/true).ok());
  EXPECT_EQ(names(), std::vector<std::string>{"b"});
  EXPECT_EQ(read_file("b"), "A");
  EXPECT_TRUE(file_system_->rename(at("b"), at("b"), /*replace=*/true).ok());
  EXPECT_EQ(read_file("b"), "A");
  EXPECT_EQ(file_system_->rename(at("absent"), at("d"), true).code(), StatusCode::not_found);
  EXPECT_EQ(file_system_->rename(at("b"), at("absent/b"), true).code(), StatusCode::not_found);
}

TEST_P(FileSystemTest, a_renamed_file_stays_open_under_its_new_name) {
  write_file("a", "A");
  const std::unique_ptr<File> file = open("a", OpenMode::read_write);
  EXPECT_TRUE(file_system_->rename(at("a"), at("b"), false).ok());
  EXPECT_TRUE(file->write(1, "!").ok());
  EXPECT_EQ(read_file("b"), "A!");
}

TEST_P(FileSystemTest, sync_directory_asks_for_a_directory) {
  EXPECT_TRUE(file_system_->sync_directory(directory_).ok());
  EXPECT_EQ(file_system_->sync_directory(at("absent")).code(), StatusCode::not_found);
}

TEST_P(FileSystemTest, a_lock_has_one_owner_until_it_is_released) {
  Result<std::unique_ptr<FileLock>> first = file_system_->lock(at("LOCK"));
  ASSERT_TRUE(first.ok()) << first.status().to_string();
  EXPECT_EQ(names(), std::vector<std::string>{"LOCK"});
  EXPECT_EQ(file_system_->lock(at("LOCK")).status().code(), StatusCode::busy);
  EXPECT_TRUE(file_system_->lock(at("OTHER")).ok());
  first->reset();
  EXPECT_TRUE(file_system_->lock(at("LOCK")).ok()) << "free again";
  EXPECT_EQ(file_system_->lock(at("absent/LOCK")).status().code(), StatusCode::not_found);
}

TEST_P(FileSystemTest, there_is_room) {
  const Result<uint64_t> free = file_system_->free_bytes(directory_);
  ASSERT_TRUE(free.ok()) << free.status().to_string();
  EXPECT_GT(*free, 0u);
}

TEST_P(FileSystemTest, disjoint_ranges_are_written_and_read_by_many_threads) {
  const std::unique_ptr<File> file = open("f", OpenMode::create_exclusive);
  constexpr size_t kPiece = 1000;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&file, t] {
      for (size_t i = 0; i < 50; ++i) {
        const std::string piece(kPiece, static_cast<char>('a' + t));
        const uint64_t offset = (i * 4 + t) * kPiece;
        EXPECT_TRUE(file->write(offset, piece).ok());
        EXPECT_EQ(read(file.get(), offset, kPiece), piece);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(*file->size(), 200 * kPiece);
}

TEST(PosixFileSystem, files_and_directories_are_private_to_their_user) {
  char name[] = "/tmp/varve_file_system_test.XXXXXX";
  const std::string directory = std::string(::mkdtemp(name)) + "/d";
  ASSERT_TRUE(FileSystem::posix()->create_directory(directory).ok());
  const std::string path = directory + "/f";
  ASSERT_TRUE(FileSystem::posix()->open(path, OpenMode::create_exclusive).ok());
  struct stat info;
  ASSERT_EQ(::stat(directory.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  std::filesystem::remove_all(name);
}

// With its standard input closed, a program's database once lay behind that number.
TEST(PosixFileSystem, never_uses_the_numbers_of_standard_streams) {
  const test::TempDirectory directory;
  const int kept = ::dup(STDIN_FILENO);
  ASSERT_GT(kept, STDERR_FILENO);
  ::close(STDIN_FILENO);
  Result<std::unique_ptr<File>> file =
      FileSystem::posix()->open(directory.path() + "/f", OpenMode::create_exclusive);
  Result<std::unique_ptr<FileLock>> lock = FileSystem::posix()->lock(directory.path() + "/l");
  errno = 0;
  const bool free = ::fcntl(STDIN_FILENO, F_GETFD) < 0 && errno == EBADF;
  ::dup2(kept, STDIN_FILENO);
  ::close(kept);
  ASSERT_OK(file);
  ASSERT_OK(lock);
  EXPECT_TRUE(free);
  EXPECT_OK((*file)->write(0, "x"));
}

TEST(PosixFileSystem, a_full_disk_is_no_space) {
  // Every write to this device fails with ENOSPC.
  Result<std::unique_ptr<File>> file = FileSystem::posix()->open("/dev/full", OpenMode::read_write);
  if (!file.ok()) GTEST_SKIP() << file.status().to_string();
  const Status status = (*file)->write(0, "x");
  EXPECT_EQ(status.code(), StatusCode::no_space) << status.to_string();
  EXPECT_NE(status.message().find("/dev/full"), std::string_view::npos);
}

// The kernel carries out a part of the write, and refuses the rest when it is asked for that.
TEST(PosixFileSystem, a_write_carried_out_in_part_goes_on_to_its_error) {
  const test::TempDirectory directory;
  const std::string path = directory.path() + "/f";
  Result<std::unique_ptr<File>> file = FileSystem::posix()->open(path, OpenMode::create_exclusive);
  ASSERT_OK(file);
  const std::string content(20'000, 'x');
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 10'000;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = (*file)->write(0, content);
  const Result<uint64_t> size = (*file)->size();
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(status.code(), StatusCode::io_error) << status.to_string();
  ASSERT_OK(size);
  EXPECT_EQ(*size, small.rlim_cur);
  EXPECT_OK((*file)->write(0, content));
  std::string found(content.size(), '\0');
  IoRequest request{.kind = IoRequest::Kind::read, .data = found.data(), .size = found.size()};
  (*file)->submit(&request);
  (*file)->wait(&request);
  EXPECT_OK(request.status);
  EXPECT_EQ(found, content);
}

// Opening a pipe to read waits for its writer.
TEST(PosixFileSystem, an_interrupted_call_is_made_again) {
  const test::TempDirectory directory;
  const std::string path = directory.path() + "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  static std::atomic<int> interruptions;
  interruptions = 0;
  struct sigaction interrupt = {};  // without SA_RESTART
  interrupt.sa_handler = [](int) { ++interruptions; };
  struct sigaction before;
  ASSERT_EQ(::sigaction(SIGUSR2, &interrupt, &before), 0);
  std::atomic<bool> ended = false;
  Status status;
  std::thread reader([&] {
    status = FileSystem::posix()->open(path, OpenMode::read).status();
    ended = true;
  });
  while (interruptions < 20 && !ended) {
    ::pthread_kill(reader.native_handle(), SIGUSR2);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_FALSE(ended) << status.to_string();
  int writer = -1;
  while (!ended && writer < 0) writer = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  reader.join();
  if (writer >= 0) ::close(writer);
  ::sigaction(SIGUSR2, &before, nullptr);
  EXPECT_OK(status);
}

TEST(MemoryFileSystem, two_of_them_share_nothing) {
  const std::unique_ptr<FileSystem> a = FileSystem::create_memory();
  const std::unique_ptr<FileSystem> b = FileSystem::create_memory();
  ASSERT_TRUE(a->create_directory("db").ok());
  ASSERT_TRUE(a->open("db/f", OpenMode::create_exclusive).ok());
  EXPECT_EQ(b->open("db/f", OpenMode::read).status().code(), StatusCode::not_found);
  EXPECT_TRUE(b->lock("LOCK").ok());
}

}  // namespace
}  // namespace varve
