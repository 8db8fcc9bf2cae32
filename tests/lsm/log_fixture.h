// A log in memory: written through the writer, read back whole, with its bytes at hand.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lsm/wal_reader.h"
#include "lsm/wal_writer.h"
#include "memory/memory_manager.h"
#include "tests/support/status_check.h"
#include "tests/support/test_files.h"

namespace varve::test {

class CountingNumbers final : public FileNumberSource {
 public:
  FileNumber next_file_number() override { return {next_++}; }

 private:
  uint64_t next_ = 1;
};

// A commit group as it was written.
struct LoggedGroup {
  FileNumber segment;
  uint64_t offset = 0;  // in the segment
  Lsn start;
  Lsn end;
  Lsn durable;                                            // what it attests
  std::vector<std::pair<uint64_t, std::string>> commits;  // timestamp, batch
  friend bool operator==(const LoggedGroup&, const LoggedGroup&) = default;
};

inline void PrintTo(const LoggedGroup& group, std::ostream* out) {
  *out << "segment " << group.segment.value << " at " << group.offset << ", LSN "
       << group.start.value << ".." << group.end.value << ", durable " << group.durable.value
       << ", " << group.commits.size() << " commits";
}

struct ReadLog {
  Status status;
  std::vector<LoggedGroup> groups;  // end markers without commits
  Lsn end;
  bool clean = false;
  std::vector<WalReader::UsedSegment> used;
};

class LogTest : public testing::Test {
 protected:
  static constexpr const char* kDirectory = "/log";
  static constexpr DatabaseId kDatabase{7, 8};

  LogTest() { EXPECT_OK(disk_->create_directory(kDirectory)); }
  ~LogTest() override {
    writer_.reset();
    EXPECT_EQ(manager_.live_bytes(), 0u);
  }

  void start(uint64_t segment_size = 1 << 20, std::vector<WalWriter::Inherited> inherited = {},
             Lsn end = {}) {
    writer_ = std::make_unique<WalWriter>(WalWriterOptions{.file_system = &files_,
                                                           .directory = kDirectory,
                                                           .database = kDatabase,
                                                           .memory = &manager_,
                                                           .numbers = &numbers_,
                                                           .segment_size = segment_size});
    ASSERT_OK(writer_->start(std::move(inherited), end));
  }

  // No writer any more, and no file of one.
  void remove_log() {
    writer_.reset();
    written_.clear();
    for (const std::string& name : std::vector<std::string>(disk_->list(kDirectory).value())) {
      ASSERT_OK(disk_->remove(path_in(kDirectory, name)));
    }
  }

  // The first such call answers `status`.
  void fail(FileCall::Kind kind, const char* suffix, const Status& status) {
    failed_.store(0);
    files_.set_hook([this, kind, suffix, status](const FileCall& call) {
      if (call.kind != kind || !call.path.ends_with(suffix)) return Status();
      return failed_.fetch_add(1) == 0 ? status : Status();
    });
  }

  // A group of `commits` batches of `size` bytes each.
  Status append(int commits, size_t size, bool buffered = false) {
    LoggedGroup group;
    Status status = writer_->begin_group(static_cast<size_t>(commits) * (size + 20));
    if (!status.ok()) return status;
    group.start = writer_->end();
    group.durable = writer_->durable();
    for (int i = 0; i < commits; ++i) {
      std::string batch = std::to_string(timestamp_) + ".";
      batch.resize(std::max(size, batch.size()), static_cast<char>('a' + timestamp_ % 26));
      writer_->add_commit({timestamp_}, batch);
      group.commits.emplace_back(timestamp_++, batch);
    }
    status = writer_->end_group(buffered);
    if (!status.ok()) return status;
    group.end = writer_->end();
    written_.push_back(group);
    return status;
  }

  std::vector<FileNumber> segment_numbers() {
    std::vector<FileNumber> numbers;
    const std::vector<std::string> names = disk_->list(kDirectory).value();
    for (const std::string& name : names) {
      const FileName parsed = parse_file_name(name);
      if (parsed.type == FileType::wal) numbers.push_back(parsed.number);
    }
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  }
  std::string path(FileNumber number) { return path_in(kDirectory, wal_name(number)); }

  ReadLog read(Lsn from = {}) {
    ReadLog log;
    WalReader reader(&files_, kDirectory, &manager_, &kDatabase);
    log.status = reader.open(segment_numbers(), from);
    WalGroup group;
    while (log.status.ok()) {
      Result<bool> more = reader.next(&group);
      log.status = more.status();
      if (!more.ok() || !*more) break;
      LoggedGroup found{.segment = group.segment,
                        .offset = group.offset,
                        .start = group.start,
                        .end = group.end,
                        .durable = group.header.durable,
                        .commits = {}};
      WalCommitReader commits(group.header, group.payload);
      WalCommit commit;
      while (commits.next(&commit)) {
        found.commits.emplace_back(commit.timestamp.nanos, std::string(commit.batch));
      }
      EXPECT_TRUE(commits.ok());
      log.groups.push_back(std::move(found));
    }
    log.end = reader.end();
    log.clean = reader.clean();
    log.used = reader.used();
    return log;
  }

  // What read() must show of the first `count` groups: places are filled in from `log`.
  void expect_groups(const ReadLog& log, size_t count) {
    size_t i = 0;
    for (const LoggedGroup& group : log.groups) {
      if (group.commits.empty()) continue;  // an end marker
      ASSERT_LT(i, written_.size());
      EXPECT_EQ(group.start, written_[i].start);
      EXPECT_EQ(group.end, written_[i].end);
      EXPECT_EQ(group.durable, written_[i].durable);
      EXPECT_EQ(group.commits, written_[i].commits);
      ++i;
    }
    EXPECT_EQ(i, count);
  }

  MemoryManager manager_{0};
  const std::unique_ptr<FileSystem> disk_ = FileSystem::create_memory();
  HookedFiles files_{disk_.get()};
  CountingNumbers numbers_;
  std::unique_ptr<WalWriter> writer_;
  std::atomic<int> failed_{0};  // calls that fail() met
  uint64_t timestamp_ = 1000;
  std::vector<LoggedGroup> written_;  // segment and offset are not known here
};

}  // namespace varve::test
