// Reads the log back, segment by segment, and decides where it ends (lsm/wal_format.h).
//
// Thread rule: one thread.
// Ownership: groups point into the reader's buffer, valid until the next call.
// Errors: corruption, naming segment and offset, when a place that was known durable cannot be
// read; io_error; not_supported (newer format). Memory: one segment's largest group, at least 256
// KiB.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lsm/wal_format.h"
#include "memory/buffer.h"
#include "varve/file_system.h"

namespace varve {

struct WalGroup {
  FileNumber segment;
  uint64_t offset = 0;  // in the segment
  Lsn start;
  Lsn end;
  WalGroupHeader header;
  std::string_view payload;
};

// What is known of a segment from its header.
struct WalSegmentInfo {
  FileNumber number;
  std::string path;
  uint64_t file_size = 0;
  WalSegmentHeader header;
  Status status;  // why the header is not one; ok if it is
};

class WalReader {
 public:
  // `database`: whose log it is; null: anybody's.
  WalReader(FileSystem* file_system, std::string directory, MemoryManager* memory,
            const DatabaseId* database);

  // `numbers`: the segments that are there, ascending. The log is read from the segment that holds
  // `from` on (kLsnMax: from the oldest). With `until` it is known to reach so far, and is read no
  // further: what is missing before that is corruption. Errors: corruption if `from` is needed but
  // missing, or a segment is another database's.
  Status open(const std::vector<FileNumber>& numbers, Lsn from, Lsn until = kLsnMax);

  // False at the log's end.
  Result<bool> next(WalGroup* group);

  // After next() said false: where the log ends; the segments that make it up, with their ends; and
  // whether an end marker was the last thing read.
  Lsn end() const { return position_; }
  struct UsedSegment {
    FileNumber number;
    Lsn start;
    Lsn end;
  };
  const std::vector<UsedSegment>& used() const { return used_; }
  bool clean() const { return clean_; }
  const std::vector<WalSegmentInfo>& segments() const { return segments_; }

 private:
  Status open_current();
  // At a place without a valid group: goes on to the next segment (true), or says that the log ends
  // here (false), or that something durable is lost.
  Result<bool> cross_or_end(const std::string& why);
  // Whether any valid header after the current position says that it was durable.
  Result<bool> attested();
  Result<bool> attested_in(const WalSegmentInfo& segment, uint64_t offset);
  Lsn limit() const;  // where the successor says that the current segment ends; kLsnMax without one
  uint64_t offset() const {
    return kWalHeaderSize + position_.value - segments_[current_].header.start.value;
  }

  FileSystem* const file_system_;
  const std::string directory_;
  const std::optional<DatabaseId> database_;
  std::vector<WalSegmentInfo> segments_;
  size_t current_ = 0;
  std::unique_ptr<File> file_;
  const WalSegmentInfo* reading_ = nullptr;  // whose file that is
  Lsn position_;
  Lsn until_ = kLsnMax;
  bool clean_ = false;
  bool ended_ = false;
  std::vector<UsedSegment> used_;
  Buffer buffer_;
  // What of the current file is in buffer_.
  uint64_t buffer_offset_ = 0;
  Result<std::string_view> bytes_at(uint64_t offset, size_t size);
  // How many of what bytes_at() has read from `offset` on are zero; of whole aligned words.
  size_t zeros_at(uint64_t offset) const;
};

}  // namespace varve
