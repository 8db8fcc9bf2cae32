#include "base/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/manual_clock.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace varve {
namespace {

// As much of a file system as a logger touches: whole files in a map, renames of open files.
class FakeFileSystem final : public FileSystem {
 public:
  using Content = std::shared_ptr<std::string>;

  std::string content(const std::string& path) {
    const auto found = files.find(path);
    return found == files.end() ? "(none)" : *found->second;
  }

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    if (fail_open) return Status::io_error(path);
    EXPECT_EQ(mode, OpenMode::create_exclusive);
    if (files.count(path) != 0) return Status::already_exists(path);
    files[path] = std::make_shared<std::string>();
    return std::unique_ptr<File>(std::make_unique<FakeFile>(this, files[path]));
  }
  Status rename(const std::string& from, const std::string& to, bool replace) override {
    if (fail_rename) return Status::io_error(from);
    const auto found = files.find(from);
    if (found == files.end()) return Status::not_found(from);
    if (!replace && files.count(to) != 0) return Status::already_exists(to);
    files[to] = found->second;
    files.erase(from);
    ++renames;
    return {};
  }
  Result<FileInfo> info(const std::string& path) override { return unused(path); }
  Result<std::vector<std::string>> list(const std::string& path) override { return unused(path); }
  Status create_directory(const std::string& path) override { return unused(path); }
  Status remove(const std::string& path) override { return unused(path); }
  Status remove_directory(const std::string& path) override { return unused(path); }
  Status sync_directory(const std::string& path) override { return unused(path); }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override { return unused(path); }
  Result<uint64_t> free_bytes(const std::string& path) override { return unused(path); }

  std::map<std::string, Content> files;
  bool fail_open = false;
  bool fail_rename = false;
  bool fail_write = false;
  int renames = 0;

 private:
  class FakeFile final : public File {
   public:
    FakeFile(FakeFileSystem* system, Content content) : system_(system), content_(content) {}
    void submit(IoRequest* request) override {
      if (system_->fail_write) {
        request->status = Status::no_space("full");
        return;
      }
      if (content_->size() < request->offset + request->size) {
        content_->resize(request->offset + request->size);
      }
      content_->replace(request->offset, request->size, request->data, request->size);
      request->transferred = request->size;
    }
    void wait(IoRequest* /*request*/) override {}
    Result<uint64_t> size() override { return content_->size(); }
    Status truncate(uint64_t /*size*/) override { return {}; }
    Status allocate(uint64_t /*size*/, bool /*keep_size*/) override { return {}; }
    Status close() override { return {}; }

   private:
    FakeFileSystem* system_;
    Content content_;
  };

  static Status unused(const std::string& path) { return Status::not_supported(path); }
};

std::unique_ptr<Logger> open_logger(FakeFileSystem* files, Clock* clock,
                                    uint64_t bytes_max = 1 << 20) {
  auto logger = open_file_logger(files, clock, "db/LOG", bytes_max);
  EXPECT_TRUE(logger.ok()) << logger.status().to_string();
  return std::move(logger).value();
}

size_t line_count(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(FileLogger, LinesCarryTimeAndLevel) {
  FakeFileSystem files;
  ManualClock clock(1'769'860'800'000'000'000ull + 123'456'789);
  auto logger = open_logger(&files, &clock);
  logger->write(LogLevel::debug, "one");
  clock.set_realtime(1'709'251'199'999'999'999ull);  // the last moment of a leap day
  logger->write(LogLevel::info, "two");
  clock.set_realtime(0);
  logger->write(LogLevel::warning, "");
  clock.set_realtime(4'102'444'800'000'000'000ull);
  log_line(logger.get(), LogLevel::error, "%s %d", "four", 4);
  EXPECT_EQ(files.content("db/LOG"),
            "2026-01-31T12:00:00.123456Z D one\n"
            "2024-02-29T23:59:59.999999Z I two\n"
            "1970-01-01T00:00:00.000000Z W \n"
            "2100-01-01T00:00:00.000000Z E four 4\n");
}

TEST(FileLogger, OpeningKeepsOneOldFile) {
  FakeFileSystem files;
  ManualClock clock;
  for (const char* text : {"first", "second", "third"}) {
    open_logger(&files, &clock)->write(LogLevel::info, text);
  }
  EXPECT_NE(files.content("db/LOG").find("third"), std::string::npos);
  EXPECT_NE(files.content("db/LOG.old").find("second"), std::string::npos);
  EXPECT_EQ(files.files.size(), 2u);
}

TEST(FileLogger, RotatesBeforeALineThatExceedsTheLimit) {
  FakeFileSystem files;
  ManualClock clock(0);
  auto logger = open_logger(&files, &clock, 100);  // a line of 40 bytes fits twice
  const std::string message(10, 'x');
  for (int i = 0; i < 5; ++i) logger->write(LogLevel::info, message);
  EXPECT_EQ(files.renames, 2);
  EXPECT_EQ(line_count(files.content("db/LOG")), 1u);
  EXPECT_EQ(line_count(files.content("db/LOG.old")), 2u);
}

TEST(FileLogger, ALineLongerThanTheLimitIsWrittenAlone) {
  FakeFileSystem files;
  ManualClock clock(0);
  auto logger = open_logger(&files, &clock, 50);
  logger->write(LogLevel::info, std::string(200, 'x'));
  logger->write(LogLevel::info, std::string(200, 'y'));
  EXPECT_EQ(line_count(files.content("db/LOG")), 1u);
  EXPECT_EQ(line_count(files.content("db/LOG.old")), 1u);
}

TEST(FileLogger, GoesOnInTheSameFileWhenRotationFails) {
  FakeFileSystem files;
  ManualClock clock(0);
  auto logger = open_logger(&files, &clock, 100);
  files.fail_rename = true;
  for (int i = 0; i < 6; ++i) logger->write(LogLevel::info, "0123456789");
  EXPECT_EQ(line_count(files.content("db/LOG")), 6u);
  files.fail_rename = false;
  for (int i = 0; i < 6; ++i) logger->write(LogLevel::info, "0123456789");
  EXPECT_GT(files.renames, 0);
  EXPECT_LE(line_count(files.content("db/LOG")), 2u);
}

TEST(FileLogger, KeepsWritingWhenTheNewFileCannotBeOpened) {
  FakeFileSystem files;
  ManualClock clock(0);
  auto logger = open_logger(&files, &clock, 100);
  files.fail_open = true;
  for (int i = 0; i < 3; ++i) logger->write(LogLevel::info, "0123456789");
  EXPECT_EQ(line_count(files.content("db/LOG.old")), 3u);  // the old file under its new name
  files.fail_open = false;
  for (int i = 0; i < 3; ++i) logger->write(LogLevel::info, "0123456789");
  EXPECT_NE(files.content("db/LOG"), "(none)");
}

TEST(FileLogger, WriteErrorsAreIgnored) {
  FakeFileSystem files;
  ManualClock clock(0);
  auto logger = open_logger(&files, &clock);
  files.fail_write = true;
  logger->write(LogLevel::info, "lost");
  files.fail_write = false;
  logger->write(LogLevel::info, "kept");
  EXPECT_EQ(files.content("db/LOG"), "1970-01-01T00:00:00.000000Z I kept\n");
}

TEST(FileLogger, OpenFailuresAreReported) {
  FakeFileSystem files;
  ManualClock clock;
  files.fail_open = true;
  EXPECT_EQ(open_file_logger(&files, &clock, "db/LOG").status().code(), StatusCode::io_error);
  files.fail_rename = true;
  EXPECT_EQ(open_file_logger(&files, &clock, "db/LOG").status().code(), StatusCode::io_error);
}

TEST(FileLogger, AMessageStaysOneLineAndIsCut) {
  FakeFileSystem files;
  ManualClock clock(0);
  auto logger = open_logger(&files, &clock);
  logger->write(LogLevel::info, "a\nb\tc");
  logger->write(LogLevel::info, std::string(5000, 'x'));
  log_line(logger.get(), LogLevel::info, "%s", std::string(5000, 'y').c_str());
  const std::string head = "1970-01-01T00:00:00.000000Z I ";
  EXPECT_EQ(files.content("db/LOG"), head + "a b c\n" + head + std::string(1000, 'x') + "\n" +
                                         head + std::string(1000, 'y') + "\n");
}

TEST(FileLogger, LinesOfManyThreadsStayWhole) {
  FakeFileSystem files;
  ManualClock clock(0);
  auto logger = open_logger(&files, &clock);
  {
    std::vector<Thread> threads;
    for (char name = 'a'; name < 'e'; ++name) {
      threads.emplace_back("varve-test", 0, [&, name] {
        for (int i = 0; i < 100; ++i) logger->write(LogLevel::info, std::string(20, name));
      });
    }
  }
  const std::string text = files.content("db/LOG");
  EXPECT_EQ(line_count(text), 400u);
  const size_t line_size = text.find('\n') + 1;
  ASSERT_EQ(text.size(), 400 * line_size);
  for (size_t i = 0; i < text.size(); i += line_size) {
    const std::string message = text.substr(i + line_size - 21, 20);
    EXPECT_EQ(message, std::string(20, message[0]));
  }
}

TEST(LogLine, NullLoggerDoesNothing) { log_line(nullptr, LogLevel::error, "%s", "nobody"); }

}  // namespace
}  // namespace varve
