// Appends commit groups to the log, and keeps account of its segments.
//
// A group is encoded once, into the writer's buffer, and goes to the operating system in one write
// (`os`, `sync`) or waits in the buffer for write() (`buffered`).
//
// Thread rule: start(), begin_group() .. end_group() and finish() by one thread at a time (the
// commit leader); everything else by any. Invariants:
//  1. LSNs are contiguous: a segment starts where its predecessor ended.
//  2. durable() <= written() <= end().
//  3. A segment becomes visible under its own name only when its header was written, by a rename
//     that cannot replace; it is recycled by another one, after the manifest no longer needs it
//     (protocol 16). Until and after then it bears the name of a free one.
// Errors: no_space changes nothing, and heals by itself. After any other failed write or sync every
// call fails with the same status: what is on disk is unknown, and the store becomes read-only.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/atomic.h"
#include "base/mutex.h"
#include "base/prefetch.h"
#include "lsm/wal_format.h"
#include "memory/buffer.h"
#include "varve/file_system.h"

namespace varve {

// Who names new segments.
class FileNumberSource {
 public:
  virtual FileNumber next_file_number() = 0;

 protected:
  ~FileNumberSource() = default;
};

struct WalWriterOptions {
  FileSystem* file_system = nullptr;
  std::string directory;
  DatabaseId database;
  MemoryManager* memory = nullptr;
  FileNumberSource* numbers = nullptr;
  uint64_t segment_size = 16 << 20;  // bytes; a single larger group makes a larger segment
  uint32_t free_segments_max = 4;    // kept for reuse
};

class WalWriter {
 public:
  explicit WalWriter(const WalWriterOptions& options);
  ~WalWriter();

  // What recovery found and keeps: older segments, in order; the log goes on at `end` in a segment
  // of its own. Everything below `end` is durable.
  struct Inherited {
    FileNumber number;
    Lsn start;
    Lsn end;
    uint64_t disk_bytes = 0;
  };
  Status start(const std::vector<Inherited>& inherited, Lsn end);

  // A group is about to begin, on another core than the last one.
  void prefetch() const { prefetch_for_write(&mutex_, &oldest_ + 1); }
  // One group at a time: begin, add its commits, end. Bytes up to end_group() are only encoded.
  // Errors: out_of_memory: nothing was changed; those of opening the next segment.
  Status begin_group(size_t payload_size_max);
  void add_commit(Timestamp timestamp, std::string_view batch);
  // Seals the group and hands it, and what waits in the buffer before it, to the operating system;
  // with `buffered` it may wait in the buffer for write() or sync().
  Status end_group(bool buffered);
  // Hands the buffer to the operating system.
  Status write();

  // Writes and makes durable everything up to end() as of now. no_space: up to written(); what
  // waits in the buffer goes on waiting.
  Status sync();
  // The clean end: marker, sync; and the space that was reserved for more is given back.
  Status finish();

  // To create a file and reserve its space takes half a millisecond, for which all commits would
  // wait; so the next segment's is made ready while one fills. Where that fails, who needs it tries
  // again. prepare_segment(): one at a time.
  bool wants_segment() const { return wants_segment_.load(kRelaxed); }  // a hint
  void prepare_segment();

  Lsn end() const { return Lsn{end_.load()}; }
  Lsn written() const { return Lsn{written_.load()}; }
  Lsn durable() const { return Lsn{durable_.load()}; }
  // Where the oldest segment that is kept begins.
  Lsn oldest() const { return Lsn{oldest_.load()}; }
  size_t segment_count();
  // Of those that hold something from `from` on; ascending.
  std::vector<FileNumber> segment_numbers(Lsn from);
  // That segments, those kept for reuse included, take on disk.
  uint64_t disk_bytes();

  // Segments that end at or below `lsn` are recycled or removed, oldest first, as far as each has a
  // successor whose header is durable: something must always say where the log goes on. Their
  // removal is not synced: a segment that comes back after a crash is recognised by the manifest's
  // log start. One at a time. An error leaves the rest for the next call; a file that is gone
  // although its removal failed is none.
  Status release_before(Lsn lsn);
  // Removes the segments kept for reuse, or ready for use, and gives back what the current one has
  // reserved.
  Status give_space_back();

  uint64_t bytes_written() const { return bytes_written_.get(); }
  uint64_t syncs() const { return syncs_.get(); }

 private:
  struct Segment {
    FileNumber number;
    FileId file;
    Lsn start;
    Lsn end;                      // kLsnMax for the current one
    std::unique_ptr<File> out;    // null once synced and closed
    bool header_durable = false;  // until then its predecessor stays, as proof of where it ends
    uint64_t disk_bytes = 0;
  };

  // A file for a segment that has not begun.
  struct ReadySegment {
    FileNumber number;      // that it will have
    std::string free_path;  // its name until then
    std::string path;
    std::unique_ptr<File> file;  // null: there is none
    bool recycled = false;
  };

  Status open_segment();
  Status make_ready(bool recycles, ReadySegment* ready);
  // Writes the header and gives it its name; if that fails, it is gone.
  Status name_segment(const WalSegmentHeader& header, ReadySegment* ready);
  ReadySegment take_ready();
  void remove_ready(ReadySegment* ready);
  // Writes `bytes`, which begin at LSN written().
  Status write_bytes(std::string_view bytes) VARVE_REQUIRES(mutex_);
  Status write_pending() VARVE_REQUIRES(mutex_);
  Status append_group(bool buffered) VARVE_REQUIRES(mutex_);
  void keep_buffers_small() VARVE_REQUIRES(mutex_);
  // Of the current segment. Only space is lost when it fails; a length that a crash restores holds
  // nothing valid.
  void cut_behind_written() VARVE_REQUIRES(mutex_);
  Status fail(Status status) VARVE_REQUIRES(mutex_);

  const WalWriterOptions options_;
  Mutex sync_mutex_;  // one sync at a time: it also closes segments; before mutex_
  std::vector<File*> unsynced_ VARVE_GUARDED_BY(sync_mutex_);  // kept for its memory
  Mutex mutex_;
  std::vector<Segment> segments_ VARVE_GUARDED_BY(mutex_);  // oldest first; the last is current
  std::vector<FileNumber> free_ VARVE_GUARDED_BY(mutex_);
  ReadySegment ready_ VARVE_GUARDED_BY(mutex_);
  Status failure_ VARVE_GUARDED_BY(mutex_);
  Buffer pending_ VARVE_GUARDED_BY(mutex_);  // groups [written_, end_)
  Buffer group_bytes_;                       // the leader's: the group being encoded
  // The current segment, as the leader sees it.
  FileId current_file_;
  Lsn current_start_;
  bool next_was_wanted_ = false;  // since it began
  WalGroupHeader group_;
  Timestamp last_timestamp_;
  Atomic<uint64_t> end_{0};
  Atomic<uint64_t> written_{0};
  Atomic<uint64_t> durable_{0};
  Atomic<uint64_t> oldest_{0};  // changed under mutex_
  Atomic<bool> wants_segment_{false};
  Counter bytes_written_;
  Counter syncs_;
};

}  // namespace varve
