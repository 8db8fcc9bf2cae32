#include "lsm/wal_writer.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/random.h"
#include "base/sync_point.h"

namespace varve {

namespace {

// Commits of durability `buffered` wait for at most this many bytes of company.
constexpr size_t kPendingBytesMax = 1 << 20;
// Of its memory, what is kept after a sync.
constexpr size_t kIdlePendingBytesMax = 64 << 10;
// A roll-over needs this many segments open and unsynced at most; more are synced by it.
constexpr size_t kUnsyncedSegmentsMax = 8;
// There are hardly ever more.
constexpr size_t kSegmentsExpected = 32;

}  // namespace

WalWriter::WalWriter(const WalWriterOptions& options)
    : options_(options),
      pending_(options.memory, MemoryRole::log_buffer),
      group_bytes_(options.memory, MemoryRole::log_buffer) {}

WalWriter::~WalWriter() = default;

Status WalWriter::start(const std::vector<Inherited>& inherited, Lsn end) {
  {
    MutexLock lock(mutex_);
    segments_.reserve(inherited.size() + kSegmentsExpected);
    for (const Inherited& segment : inherited) {
      segments_.push_back({.number = segment.number,
                           .file = {},
                           .start = segment.start,
                           .end = segment.end,
                           .out = nullptr,
                           .header_durable = true,
                           .disk_bytes = segment.disk_bytes});
    }
  }
  end_.store(end.value);
  written_.store(end.value);
  durable_.store(end.value);
  return open_segment();
}

Status WalWriter::fail(Status status) {
  if (failure_.ok()) failure_ = status;
  return status;
}

// -- segments --

Status WalWriter::make_ready(bool recycles, ReadySegment* ready) {
  FileSystem* files = options_.file_system;
  FileNumber recycled;
  if (recycles) {
    MutexLock lock(mutex_);
    if (!free_.empty()) {
      recycled = free_.back();
      free_.pop_back();
    }
  }
  *ready = {};
  ready->number = options_.numbers->next_file_number();
  ready->path = path_in(options_.directory, wal_name(ready->number));
  if (recycled != FileNumber{}) {
    ready->free_path = path_in(options_.directory, free_wal_name(recycled));
    Result<std::unique_ptr<File>> opened = files->open(ready->free_path, OpenMode::read_write);
    if (opened.status().code() == StatusCode::busy) {
      MutexLock lock(mutex_);
      free_.push_back(recycled);
      return opened.status();
    }
    if (opened.ok()) {
      ready->file = std::move(*opened);
      ready->recycled = true;
    } else {
      static_cast<void>(files->remove(ready->free_path));  // nothing depends on it
    }
  }
  if (ready->file == nullptr) {
    ready->free_path = path_in(options_.directory, free_wal_name(ready->number));
    VARVE_ASSIGN_OR_RETURN(ready->file, files->open(ready->free_path, OpenMode::create_exclusive));
    // Space first (protocol 17): a full disk shows here, before anything depends on it.
    Status status = ready->file->allocate(options_.segment_size, /*keep_size=*/true);
    if (!status.ok() && status.code() != StatusCode::not_supported) {
      remove_ready(ready);
      return status;
    }
  }
  // No more than that: so whatever prepares for them is done when the next segment is begun.
  ready->file->expect_appends(options_.segment_size);
  return Status();
}

void WalWriter::remove_ready(ReadySegment* ready) {
  if (ready->file == nullptr) return;
  ready->file = nullptr;
  static_cast<void>(options_.file_system->remove(ready->free_path));
}

WalWriter::ReadySegment WalWriter::take_ready() {
  MutexLock lock(mutex_);
  return std::exchange(ready_, {});
}

void WalWriter::prepare_segment() {
  if (!wants_segment_.exchange(false)) return;
  {
    MutexLock lock(mutex_);
    if (ready_.file != nullptr || !failure_.ok()) return;
  }
  ReadySegment made;
  if (!make_ready(/*recycles=*/true, &made).ok()) return;
  MutexLock lock(mutex_);
  ready_ = std::move(made);  // nobody else makes one
}

Status WalWriter::name_segment(const WalSegmentHeader& header, ReadySegment* ready) {
  char bytes[kWalHeaderSize];
  encode_wal_segment_header(bytes, header);
  FileSystem* files = options_.file_system;
  // The header goes in under the old name: whatever bears the new name is of this life.
  Status status = ready->file->write(0, {bytes, sizeof bytes});
  if (status.ok()) status = files->rename(ready->free_path, ready->path, /*replace=*/false);
  if (status.ok()) {
    ready->file->renamed(ready->path);
    return status;
  }
  // The rename may have been done, whatever was answered.
  remove_ready(ready);
  static_cast<void>(files->remove(ready->path));
  return status;
}

Status WalWriter::open_segment() {
  VARVE_RETURN_IF_ERROR(write());  // pending groups belong to the segment that ends
  bool too_many_unsynced;
  WalSegmentHeader header;
  header.start = end();
  header.database = options_.database;
  {
    MutexLock lock(mutex_);
    if (!failure_.ok()) return failure_;
    if (!segments_.empty()) header.predecessor = segments_.back().number;
    too_many_unsynced = std::count_if(segments_.begin(), segments_.end(), [](const Segment& s) {
                          return s.out != nullptr;
                        }) >= static_cast<ptrdiff_t>(kUnsyncedSegmentsMax);
  }
  if (too_many_unsynced) VARVE_RETURN_IF_ERROR(sync());
  header.durable = durable();
  ReadySegment segment = take_ready();
  const auto begin_file = [&] {
    header.file = random_file_id();
    header.number = segment.number;
    return name_segment(header, &segment);
  };
  // Numbers ascend: it came too late if somebody else's was used meanwhile.
  if (segment.number < header.predecessor) remove_ready(&segment);
  const bool was_ready = segment.file != nullptr;
  if (!was_ready) VARVE_RETURN_IF_ERROR(make_ready(/*recycles=*/true, &segment));
  const bool was_new = !was_ready && !segment.recycled;
  Status status = begin_file();
  if (!status.ok() && !was_new) {  // a new file may do
    VARVE_RETURN_IF_ERROR(make_ready(/*recycles=*/false, &segment));
    status = begin_file();
  }
  VARVE_RETURN_IF_ERROR(status);
  status = options_.file_system->sync_directory(options_.directory);
  if (!status.ok()) {
    // It must go: the next attempt makes a segment with the same start and predecessor, and of two
    // recovery would follow the empty one.
    segment.file = nullptr;
    static_cast<void>(options_.file_system->remove(segment.path));
    return status;
  }
  VARVE_SYNC_POINT("wal_segment_opened");
  next_was_wanted_ = false;
  MutexLock lock(mutex_);
  if (!segments_.empty() && segments_.back().end == kLsnMax) segments_.back().end = header.start;
  segments_.push_back({.number = header.number,
                       .file = header.file,
                       .start = header.start,
                       .end = kLsnMax,
                       .out = std::move(segment.file),
                       .header_durable = false,
                       .disk_bytes = options_.segment_size});
  oldest_.store(segments_.front().start.value);
  current_file_ = header.file;
  current_start_ = header.start;
  bytes_written_.add_alone(kWalHeaderSize);
  return Status();
}

// -- groups --

Status WalWriter::begin_group(size_t payload_size_max) {
  if (end_.load() - current_start_.value >= options_.segment_size) {
    VARVE_RETURN_IF_ERROR(open_segment());
  }
  group_bytes_.clear();
  if (!group_bytes_.reserve(wal_group_size(payload_size_max))) {
    return Status::out_of_memory("no memory to encode a log record");
  }
  static_cast<void>(group_bytes_.resize(kWalGroupHeaderSize));  // reserved
  group_ = {};
  return Status();
}

void WalWriter::add_commit(Timestamp timestamp, std::string_view batch) {
  if (group_.commits == 0) {
    group_.timestamp = timestamp;
    last_timestamp_ = timestamp;
  }
  char varints[2 * kVarint64BytesMax];
  char* end = store_varint(varints, timestamp.nanos - last_timestamp_.nanos);
  end = store_varint(end, batch.size());
  const bool fits = group_bytes_.append({varints, static_cast<size_t>(end - varints)}) &&
                    group_bytes_.append(batch);
  VARVE_ASSERT(fits);  // reserved by begin_group()
  last_timestamp_ = timestamp;
  ++group_.commits;
}

Status WalWriter::end_group(bool buffered) {
  group_.payload_size = static_cast<uint32_t>(group_bytes_.size() - kWalGroupHeaderSize);
  group_.durable = durable();
  static_cast<void>(group_bytes_.resize(wal_group_size(group_.payload_size)));  // reserved
  seal_wal_group(group_bytes_.data(), group_, current_file_,
                 kWalHeaderSize + end_.load() - current_start_.value);
  if (!next_was_wanted_ && end_.load() - current_start_.value >= options_.segment_size / 2) {
    next_was_wanted_ = true;
    wants_segment_.store(true, kRelaxed);
  }
  MutexLock lock(mutex_);
  Status status = failure_.ok() ? append_group(buffered) : failure_;
  keep_buffers_small();
  return status;
}

Status WalWriter::append_group(bool buffered) {
  const uint64_t start = end_.load();
  const size_t size = group_bytes_.size();
  const bool wait = buffered && pending_.size() + size <= kPendingBytesMax;
  if (wait || pending_.size() != 0) {
    if (!pending_.append(group_bytes_.view())) {
      return Status::out_of_memory("no memory to buffer a log record");
    }
    end_.store(start + size, kRelease);  // here and below: pairs with end()
    if (wait) return Status();
    Status status = write_pending();
    if (!status.ok()) {
      // The group's commits are refused: they must not be written with a later one.
      static_cast<void>(pending_.resize(pending_.size() - size));  // smaller
      end_.store(start, kRelease);
    }
    return status;
  }
  VARVE_RETURN_IF_ERROR(write_bytes(group_bytes_.view()));
  end_.store(start + size, kRelease);
  return Status();
}

void WalWriter::keep_buffers_small() {
  // One large commit must not hold memory for ever that nothing can evict.
  const uint64_t budget = options_.memory->budget_bytes();
  const uint64_t most = budget == 0
                            ? kPendingBytesMax
                            : std::clamp<uint64_t>(budget / 128, 64 << 10, kPendingBytesMax);
  if (group_bytes_.capacity() > most) group_bytes_.reset();
  if (pending_.size() == 0 && pending_.capacity() > 2 * most) pending_.reset();
}

Status WalWriter::write_bytes(std::string_view bytes) {
  const uint64_t at = written_.load();
  Segment& current = segments_.back();
  Status status = current.out->write(kWalHeaderSize + at - current.start.value, bytes);
  if (status.code() == StatusCode::no_space) return status;  // written again, in the same place
  if (!status.ok()) return fail(std::move(status));
  written_.store(at + bytes.size(), kRelease);  // pairs with written()
  bytes_written_.add_alone(bytes.size());
  return Status();
}

Status WalWriter::write_pending() {
  if (pending_.size() == 0) return Status();
  VARVE_RETURN_IF_ERROR(write_bytes(pending_.view()));
  pending_.clear();
  return Status();
}

Status WalWriter::write() {
  MutexLock lock(mutex_);
  if (!failure_.ok()) return failure_;
  return write_pending();
}

Status WalWriter::sync() {
  MutexLock sync_lock(sync_mutex_);
  unsynced_.clear();
  uint64_t target;
  FileNumber last;  // of those that are synced
  Status written;
  {
    MutexLock lock(mutex_);
    if (!failure_.ok()) return failure_;
    written = write_pending();
    if (!written.ok() && written.code() != StatusCode::no_space) return written;
    // Whoever goes on writes soon; of many databases that share a budget most do not.
    if (pending_.size() == 0 && pending_.capacity() > kIdlePendingBytesMax) pending_.reset();
    target = written_.load();
    if (durable_.load() >= target && segments_.back().header_durable) return written;
    for (const Segment& segment : segments_) {
      if (segment.out != nullptr) unsynced_.push_back(segment.out.get());
    }
    last = segments_.back().number;
  }
  // Oldest first: a later segment is never durable beyond an earlier one's end for long.
  Status status;
  for (File* segment : unsynced_) {
    status = segment->sync();
    // Whatever the reason, a failed sync does not heal.
    if (status.code() == StatusCode::no_space) {
      status = Status::io_error(std::string(status.message()));
    }
    if (!status.ok()) break;
  }
  syncs_.add();
  MutexLock lock(mutex_);
  if (!status.ok()) return fail(std::move(status));
  durable_.store(std::max(durable_.load(), target));
  for (Segment& segment : segments_) {
    if (segment.number > last) break;  // opened meanwhile
    segment.header_durable = true;
    if (segment.number == last || segment.out == nullptr) continue;
    Status closed = segment.out->close();
    segment.out = nullptr;
    if (!closed.ok()) return fail(std::move(closed));
  }
  return written;
}

Status WalWriter::finish() {
  VARVE_RETURN_IF_ERROR(sync());
  VARVE_RETURN_IF_ERROR(begin_group(0));
  group_.kind = WalKind::end_marker;
  VARVE_RETURN_IF_ERROR(end_group(/*buffered=*/false));
  VARVE_RETURN_IF_ERROR(sync());
  MutexLock lock(mutex_);
  cut_behind_written();
  return Status();
}

void WalWriter::cut_behind_written() {
  Segment& current = segments_.back();
  const uint64_t size = kWalHeaderSize + written_.load() - current.start.value;
  if (current.out == nullptr || current.disk_bytes == size) return;
  if (current.out->truncate(size).ok()) current.disk_bytes = size;
}

size_t WalWriter::segment_count() {
  MutexLock lock(mutex_);
  return segments_.size();
}

std::vector<FileNumber> WalWriter::segment_numbers(Lsn from) {
  MutexLock lock(mutex_);
  std::vector<FileNumber> numbers;
  for (const Segment& segment : segments_) {
    if (segment.end > from) numbers.push_back(segment.number);
  }
  return numbers;
}

uint64_t WalWriter::disk_bytes() {
  MutexLock lock(mutex_);
  uint64_t bytes = (free_.size() + (ready_.file == nullptr ? 0 : 1)) * options_.segment_size;
  for (const Segment& segment : segments_) bytes += segment.disk_bytes;
  if (segments_.empty()) return bytes;
  // The current one may have grown beyond what it had reserved.
  const Segment& current = segments_.back();
  const uint64_t used = kWalHeaderSize + written_.load() - current.start.value;
  return bytes + used - std::min(used, current.disk_bytes);
}

Status WalWriter::release_before(Lsn lsn) {
  for (;;) {
    FileNumber number;
    bool recycle;
    {
      MutexLock lock(mutex_);
      // The current segment stays, and so does one that is not synced and closed: it is synced
      // before what it holds is dropped elsewhere, see protocol 13.
      if (segments_.size() < 2 || segments_.front().end > lsn) return Status();
      if (segments_.front().out != nullptr || !segments_[1].header_durable) return Status();
      number = segments_.front().number;
      // An inherited segment may have any size.
      recycle = segments_.front().file != FileId{} && free_.size() < options_.free_segments_max;
    }
    const std::string path = path_in(options_.directory, wal_name(number));
    const Status status =
        recycle ? options_.file_system->rename(
                      path, path_in(options_.directory, free_wal_name(number)), /*replace=*/false)
                : options_.file_system->remove(path);
    if (!status.ok() && status.code() != StatusCode::not_found) return status;
    MutexLock lock(mutex_);
    if (recycle && status.ok()) free_.push_back(number);
    segments_.erase(segments_.begin());  // others only add at the end
    oldest_.store(segments_.front().start.value);
  }
}

Status WalWriter::give_space_back() {
  ReadySegment ready = take_ready();
  remove_ready(&ready);
  std::vector<FileNumber> numbers;
  {
    MutexLock lock(mutex_);
    numbers.swap(free_);
    if (failure_.ok()) cut_behind_written();
  }
  for (const FileNumber number : numbers) {
    VARVE_RETURN_IF_ERROR(
        options_.file_system->remove(path_in(options_.directory, free_wal_name(number))));
  }
  return Status();
}

}  // namespace varve
