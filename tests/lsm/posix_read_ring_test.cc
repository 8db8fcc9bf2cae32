// Reads that are under way at the same time, and what stands in for them.

#include "lsm/posix_read_ring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "lsm/posix_read_waits.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"
#include "tests/support/temp_directory.h"

namespace varve::test {
namespace {

// Checks that each read is told of once.
class Heard final : public ReadListener {
 public:
  explicit Heard(std::span<FileRead> reads) : reads_(reads), times_(reads.size(), 0) {}
  void done(FileRead* read) override { ++times_[static_cast<size_t>(read - reads_.data())]; }
  int times(size_t i) const { return times_[i]; }

 private:
  std::span<FileRead> reads_;
  std::vector<int> times_;
};

class ReadTogetherTest : public testing::Test {
 protected:
  ReadTogetherTest() : content_(100'000, '\0') {
    for (char& byte : content_) byte = static_cast<char>(random_.below(256));
    Result<std::unique_ptr<File>> made = files_->open(path_, OpenMode::create_exclusive);
    EXPECT_OK(made);
    EXPECT_OK((*made)->write(0, content_));
    EXPECT_OK((*made)->close());
    file_ = std::move(*files_->open(path_, OpenMode::read));
  }

  struct Place {
    uint64_t offset;
    size_t size;
  };
  void add(File* file, Place place) {
    buffers_.push_back(std::make_unique<char[]>(place.size));
    FileRead& read = reads_.emplace_back();
    read.file = file;
    read.request.offset = place.offset;
    read.request.data = buffers_.back().get();
    read.request.size = place.size;
  }
  void add_random(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const size_t size = 1 + random_.below(9000);
      add(file_.get(), {random_.below(content_.size()), size});
    }
  }
  // Reads all, and expects what the file holds.
  void read_and_check() {
    Heard heard(reads_);
    files_->read_together(reads_, &heard);
    for (size_t i = 0; i < reads_.size(); ++i) {
      EXPECT_EQ(heard.times(i), 1);
      expect_content(reads_[i].request);
    }
  }
  void expect_content(const IoRequest& request) {
    EXPECT_OK(request.status);
    const std::string_view wanted =
        std::string_view(content_).substr(std::min(content_.size(), request.offset), request.size);
    EXPECT_EQ(request.transferred, wanted.size());
    EXPECT_EQ(std::string_view(request.data, request.transferred), wanted);
  }

  Random random_{1};
  const TempDirectory directory_;
  const std::string path_ = directory_.path() + "/file";
  FileSystem* const files_ = FileSystem::posix();
  std::string content_;
  std::unique_ptr<File> file_;
  std::vector<std::unique_ptr<char[]>> buffers_;
  std::vector<FileRead> reads_;
};

TEST_F(ReadTogetherTest, each_has_what_a_read_by_itself_would_have) {
  for (const size_t count : {0, 1, 2, 31, 32, 33, 100}) {
    SCOPED_TRACE(count);
    reads_.clear();
    add_random(count);
    read_and_check();
  }
}

TEST_F(ReadTogetherTest, at_the_end_of_the_file_there_is_less_and_behind_it_nothing) {
  add(file_.get(), {content_.size() - 10, 100});
  add(file_.get(), {0, 100});
  add(file_.get(), {content_.size(), 10});
  add(file_.get(), {content_.size() * 2, 10});
  read_and_check();
}

TEST_F(ReadTogetherTest, the_one_that_fails_says_so_and_the_others_are_read) {
  Result<std::unique_ptr<File>> closed = files_->open(path_, OpenMode::read);
  ASSERT_OK(closed);
  ASSERT_OK((*closed)->close());
  add(file_.get(), {0, 5000});
  add(closed->get(), {0, 5000});
  add(file_.get(), {5000, 5000});
  Heard heard(reads_);
  files_->read_together(reads_, &heard);
  for (const size_t i : {0, 1, 2}) EXPECT_EQ(heard.times(i), 1);
  expect_content(reads_[0].request);
  expect_content(reads_[2].request);
  EXPECT_EQ(reads_[1].request.status.code(), StatusCode::io_error);
  EXPECT_NE(reads_[1].request.status.to_string().find(path_), std::string::npos);
}

TEST_F(ReadTogetherTest, threads_do_not_disturb_each_other) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([this, t] {
      Random random(static_cast<uint64_t>(t));
      for (int round = 0; round < 50; ++round) {
        char buffers[20][500];
        FileRead reads[20];
        for (size_t i = 0; i < 20; ++i) {
          reads[i].file = file_.get();
          reads[i].request.offset = random.below(content_.size() - 500);
          reads[i].request.data = buffers[i];
          reads[i].request.size = 500;
        }
        Heard heard(reads);
        files_->read_together(reads, &heard);
        for (size_t i = 0; i < 20; ++i) {
          EXPECT_EQ(heard.times(i), 1);
          expect_content(reads[i].request);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// A ring is shared with the kernel: the child would take what the parent asked for.
TEST_F(ReadTogetherTest, a_child_process_has_rings_of_its_own) {
  add_random(10);
  read_and_check();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    read_and_check();
    ::_exit(HasFailure() ? 1 : 0);
  }
  for (int round = 0; round < 20; ++round) read_and_check();
  int state = 0;
  ASSERT_EQ(::waitpid(child, &state, 0), child);
  EXPECT_TRUE(WIFEXITED(state) && WEXITSTATUS(state) == 0);
}

class ReadRingsTest : public ReadTogetherTest {
 protected:
  // Reads by `rings` alone. Returns those that it left to the caller.
  uint32_t read(ReadRings* rings) {
    const int descriptor = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    const std::vector<int> descriptors(reads_.size(), descriptor);
    Heard heard(reads_);
    uint64_t waited_nanos;
    const uint32_t others = rings->read(descriptors, reads_, &heard, &waited_nanos);
    ::close(descriptor);
    for (size_t i = 0; i < reads_.size(); ++i) {
      const bool whole = (others >> i & 1) == 0;
      EXPECT_EQ(heard.times(i), whole ? 1 : 0);
      if (whole) expect_content(reads_[i].request);
    }
    return others;
  }
};

TEST_F(ReadRingsTest, what_is_not_whole_is_left_to_the_caller) {
  add(file_.get(), {0, 100});
  add(file_.get(), {content_.size() - 10, 100});
  add(file_.get(), {500, 100});
  ReadRings rings;
  const uint32_t others = read(&rings);
  if (others == 0b111) GTEST_SKIP() << "the kernel refuses rings";
  EXPECT_EQ(others, 0b010u);
  reads_.clear();
  for (size_t i = 0; i < ReadRings::kReadsMax; ++i) add(file_.get(), {i * 1000, 1000});
  EXPECT_EQ(read(&rings), 0u) << "as many as there may be";
}

TEST_F(ReadRingsTest, without_rings_all_is_left_to_the_caller) {
  add_random(ReadRings::kReadsMax);
  ReadRings rings(ReadRings::Kind::none);
  EXPECT_EQ(read(&rings), UINT32_MAX);
}

TEST(ReadWaits, a_device_is_told_from_the_page_cache_after_some_reads) {
  constexpr uint64_t kBlock = 4'300;
  constexpr uint64_t kOfMemory = 2'500;
  constexpr uint64_t kOfDevice = 60'000;
  ReadWaits waits;
  EXPECT_FALSE(waits.lately());
  for (int i = 0; i < 100; ++i) waits.note(kOfMemory, 1, kBlock);
  for (int i = 0; i < 100; ++i) waits.note(32 * kOfMemory, 32, 32 * kBlock);
  for (int i = 0; i < 100; ++i) waits.note(100'000, 1, 1 << 20);  // a large copy
  EXPECT_FALSE(waits.lately());
  waits.note(kOfDevice, 1, kBlock);
  EXPECT_FALSE(waits.lately()) << "one by itself was chance";
  int noted = 0;
  for (; !waits.lately() && noted < 100; ++noted) waits.note(kOfDevice, 1, kBlock);
  EXPECT_LT(noted, 10);
  for (int i = 0; i < 100; ++i) waits.note(32 * 12'000, 32, 32 * kBlock);  // beside one another
  EXPECT_TRUE(waits.lately());
  noted = 0;
  for (; waits.lately() && noted < 100; ++noted) waits.note(8 * kOfMemory, 8, 8 * kBlock);
  EXPECT_LT(noted, 40);
}

}  // namespace
}  // namespace varve::test
