#include "lsm/file_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "tests/support/seeded_test.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"

namespace varve::test {
namespace {

std::string name(size_t i) { return "file" + std::to_string(i); }

class FilePoolTest : public testing::Test {
 protected:
  void make(size_t count) {
    for (size_t i = 0; i < count; ++i) write_file(disk_.get(), name(i), content(i));
  }
  static std::string content(size_t i) { return "content of " + std::to_string(i); }
  static std::string read(File* file) {
    std::string bytes(100, '\0');
    const Result<size_t> got = file->read(0, bytes.data(), bytes.size());
    EXPECT_OK(got);
    bytes.resize(got.ok() ? *got : 0);
    return bytes;
  }
  std::vector<std::unique_ptr<File>> open_all(FilePool* pool, size_t count) {
    std::vector<std::unique_ptr<File>> files;
    for (size_t i = 0; i < count; ++i) {
      Result<std::unique_ptr<File>> file = pool->open(name(i), OpenMode::read);
      EXPECT_OK(file);
      files.push_back(std::move(*file));
    }
    return files;
  }

  const std::unique_ptr<FileSystem> disk_ = FileSystem::create_memory();
};

// Files that are opened at the same moment each find room; it is given back when they are read.
TEST_F(FilePoolTest, what_was_opened_together_is_too_much_only_for_a_while) {
  make(4);
  std::vector<std::unique_ptr<File>> opened;
  FilePool* all = nullptr;
  size_t depth = 0;
  HookedFiles files(disk_.get(), [&](const FileCall& call) {
    // While one is being opened the next one is read.
    if (all != nullptr && call.kind == FileCall::Kind::open_read && ++depth < 4) {
      const size_t next = depth;
      EXPECT_EQ(read(opened[next].get()), content(next));
    }
    return Status();
  });
  FilePool pool(&files, 1);
  opened = open_all(&pool, 4);
  EXPECT_EQ(pool.statistics().open, 1u);
  write_file(disk_.get(), name(4), content(4));
  Result<std::unique_ptr<File>> last = pool.open(name(4), OpenMode::read);
  ASSERT_OK(last);
  last->reset();
  EXPECT_EQ(pool.statistics().open, 0u);
  all = &pool;
  EXPECT_EQ(read(opened[0].get()), content(0));
  EXPECT_EQ(depth, 4u);
  EXPECT_EQ(pool.statistics().open, 1u);
  opened.clear();
}

// Where the process may open no more, an idle sstable gives up its descriptor to whatever else is
// to be opened.
TEST_F(FilePoolTest, gives_way_to_other_files) {
  make(3);
  ASSERT_OK(disk_->create_directory("directory"));
  int free_descriptors = 3;
  HookedFiles files(disk_.get(), [&](const FileCall& call) {
    const bool opens =
        call.kind == FileCall::Kind::open_read || call.kind == FileCall::Kind::open_write ||
        call.kind == FileCall::Kind::create || call.kind == FileCall::Kind::sync_directory;
    if (opens && free_descriptors == 0) return Status::busy("too many open files");
    if (opens && call.kind != FileCall::Kind::sync_directory) --free_descriptors;
    if (call.kind == FileCall::Kind::close) ++free_descriptors;
    return Status();
  });
  FilePool pool(&files, 100);
  std::vector<std::unique_ptr<File>> open = open_all(&pool, 3);
  EXPECT_EQ(free_descriptors, 0);
  Result<std::unique_ptr<File>> made = pool.open("new", OpenMode::create_exclusive);
  ASSERT_OK(made);
  EXPECT_OK(pool.sync_directory("directory"));
  EXPECT_EQ(pool.statistics().open, 1u);
  EXPECT_EQ(read(open[0].get()), content(0));
  ASSERT_OK((*made)->close());
}

TEST_F(FilePoolTest, many_files_few_descriptors) {
  VARVE_SEEDED_TEST(random);
  make(50);
  FilePool pool(disk_.get(), 8);
  std::vector<std::unique_ptr<File>> files = open_all(&pool, 50);
  for (int step = 0; step < 1000; ++step) {
    const size_t i = random.below(50);
    EXPECT_EQ(read(files[i].get()), content(i));
    EXPECT_EQ(*files[i]->size(), content(i).size());
    EXPECT_LE(pool.statistics().open, 8u);
  }
  EXPECT_GT(pool.statistics().evicted, 100u);
  files.clear();
  EXPECT_EQ(pool.statistics().open, 0u);
}

TEST_F(FilePoolTest, what_is_read_together_is_opened_and_each_hears_of_its_own) {
  class Heard final : public ReadListener {
   public:
    void done(FileRead* read) override { all.push_back(read); }
    std::vector<FileRead*> all;
  };
  make(50);
  FilePool* counted = nullptr;
  uint64_t most_open = 0;
  HookedFiles hooked(disk_.get(), [&](const FileCall&) {
    if (counted != nullptr) most_open = std::max(most_open, counted->statistics().open);
    return Status();
  });
  FilePool pool(&hooked, 8);
  std::vector<std::unique_ptr<File>> files = open_all(&pool, 50);
  ASSERT_OK(disk_->remove(name(7)));
  std::vector<FileRead> reads(100);
  std::vector<std::string> bytes(100, std::string(100, '\0'));
  for (size_t i = 0; i < 100; ++i) {
    reads[i].file = files[i / 2].get();
    reads[i].request.offset = i % 2 * 3;
    reads[i].request.data = bytes[i].data();
    reads[i].request.size = 100;
  }
  Heard heard;
  counted = &pool;
  pool.read_together(reads, &heard);
  counted = nullptr;
  ASSERT_EQ(heard.all.size(), 100u);
  std::sort(heard.all.begin(), heard.all.end());
  for (size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(heard.all[i], &reads[i]);
    const IoRequest& request = reads[i].request;
    if (i / 2 == 7) {
      EXPECT_EQ(request.status.code(), StatusCode::not_found);
    } else {
      EXPECT_OK(request.status);
      EXPECT_EQ(bytes[i].substr(0, request.transferred), content(i / 2).substr(i % 2 * 3));
    }
  }
  EXPECT_LE(most_open, 8u);
}

TEST_F(FilePoolTest, that_reads_are_under_way_is_said_once) {
  class Heard final : public ReadListener {
   public:
    void done(FileRead*) override {}
    void under_way() override { ++times; }
    int times = 0;
  };
  class SayingFiles final : public HookedFiles {
   public:
    using HookedFiles::HookedFiles;
    void read_together(std::span<FileRead> reads, ReadListener* listener) override {
      if (says) listener->under_way();
      HookedFiles::read_together(reads, listener);
    }
    bool says = true;
  };
  make(50);
  SayingFiles saying(disk_.get());
  FilePool pool(&saying, 4);  // so that it asks those below many times
  std::vector<std::unique_ptr<File>> files = open_all(&pool, 50);
  std::vector<FileRead> reads(50);
  std::vector<std::string> bytes(50, std::string(100, '\0'));
  for (size_t i = 0; i < 50; ++i) {
    reads[i].file = files[i].get();
    reads[i].request.data = bytes[i].data();
    reads[i].request.size = 100;
  }
  Heard heard;
  pool.read_together(reads, &heard);
  EXPECT_EQ(heard.times, 1);
  saying.says = false;
  pool.read_together(reads, &heard);
  EXPECT_EQ(heard.times, 1);
}

TEST_F(FilePoolTest, what_is_read_often_stays_open) {
  make(20);
  FilePool pool(disk_.get(), 4);
  std::vector<std::unique_ptr<File>> files = open_all(&pool, 20);
  read(files[0].get());
  const uint64_t before = pool.statistics().opened;
  for (size_t i = 1; i < 20; ++i) {
    read(files[i].get());
    read(files[0].get());
  }
  EXPECT_LE(pool.statistics().opened - before, 19u + 2u) << "file 0 hardly ever lost its place";
}

TEST_F(FilePoolTest, what_is_said_of_a_file_is_said_whenever_it_is_opened) {
  make(2);
  int said = 0;
  std::vector<uint64_t> ahead;
  HookedFiles files(disk_.get(), [&](const FileCall& call) {
    said += call.kind == FileCall::Kind::expect_random_reads ? 1 : 0;
    if (call.kind == FileCall::Kind::read_ahead) ahead.push_back(call.offset + call.size);
    return Status();
  });
  FilePool pool(&files, 1);
  std::vector<std::unique_ptr<File>> opened = open_all(&pool, 2);
  EXPECT_EQ(read(opened[0].get()), content(0));
  EXPECT_EQ(said, 0);
  opened[0]->expect_random_reads();
  EXPECT_EQ(said, 1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(read(opened[1].get()), content(1));
    EXPECT_EQ(said, 1 + i) << "the other one's reads are in order";
    opened[0]->read_ahead(3, 4);
    EXPECT_EQ(said, 2 + i);
  }
  EXPECT_EQ(ahead, (std::vector<uint64_t>{7, 7, 7}));
}

TEST_F(FilePoolTest, absent_files_are_told_when_opened) {
  FilePool pool(disk_.get(), 4);
  EXPECT_FAILS(pool.open("nothing", OpenMode::read), not_found, "nothing");
  EXPECT_EQ(pool.statistics().open, 0u);
}

TEST_F(FilePoolTest, closed_and_destroyed_files_give_their_place_back) {
  make(2);
  FilePool pool(disk_.get(), 4);
  std::vector<std::unique_ptr<File>> files = open_all(&pool, 2);
  EXPECT_EQ(pool.statistics().open, 2u);
  EXPECT_OK(files[0]->close());
  EXPECT_EQ(pool.statistics().open, 1u);
  files[1].reset();
  EXPECT_EQ(pool.statistics().open, 0u);
}

TEST_F(FilePoolTest, what_is_opened_to_read_cannot_be_written) {
  make(1);
  FilePool pool(disk_.get(), 4);
  std::vector<std::unique_ptr<File>> files = open_all(&pool, 1);
  EXPECT_FAILS(files[0]->write(0, "x"), not_supported, name(0));
  EXPECT_FAILS(files[0]->sync(), not_supported, name(0));
  EXPECT_FAILS(files[0]->truncate(0), not_supported, name(0));
  EXPECT_EQ(read(files[0].get()), content(0));
}

TEST_F(FilePoolTest, when_descriptors_run_out_it_makes_do_with_fewer) {
  make(20);
  size_t open = 0;
  HookedFiles scarce(disk_.get(), [&](const FileCall& call) {
    if (call.kind == FileCall::Kind::close) --open;
    if (call.kind != FileCall::Kind::open_read) return Status();
    if (open >= 3) return Status::busy(call.path + ": too many open files");
    ++open;
    return Status();
  });
  FilePool pool(&scarce, 100);
  std::vector<std::unique_ptr<File>> files = open_all(&pool, 20);
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(read(files[i].get()), content(i));
  EXPECT_LE(pool.statistics().open, 3u);
}

TEST_F(FilePoolTest, many_threads_read_each_its_own) {
  make(16);
  FilePool pool(disk_.get(), 3);
  std::vector<std::unique_ptr<File>> files = open_all(&pool, 16);
  std::atomic<bool> all_right{true};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t step = 0; step < 500; ++step) {
        const size_t i = (step * 7 + t * 3) % 16;
        if (read(files[i].get()) != content(i)) all_right = false;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(all_right);
  EXPECT_LE(pool.statistics().open, 3u + 4u);
}

}  // namespace
}  // namespace varve::test
