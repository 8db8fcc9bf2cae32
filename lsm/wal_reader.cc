#include "lsm/wal_reader.h"

#include <algorithm>

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"
#include "base/hash.h"

namespace varve {

namespace {

constexpr size_t kReadSize = 256 * 1024;
// The search for a later header looks at candidates in every aligned place; their checksums may
// cover at most this many times the segment, so that hostile bytes cannot make it quadratic.
constexpr uint64_t kAttestEffort = 16;

// A read that stops before the file does is an error: taken for the log's end, the rest would be
// lost for good.
Result<size_t> read_at(File* file, const WalSegmentInfo& segment, uint64_t offset, char* to,
                       size_t size) {
  VARVE_ASSIGN_OR_RETURN(const size_t got, file->read(offset, to, size));
  if (got < size && offset + got < segment.file_size) {
    return Status::io_error(format("%s at offset %llu: read %zu bytes of %zu", segment.path.c_str(),
                                   static_cast<unsigned long long>(offset), got, size));
  }
  return got;
}

}  // namespace

WalReader::WalReader(FileSystem* file_system, std::string directory, MemoryManager* memory,
                     const DatabaseId* database)
    : file_system_(file_system),
      directory_(std::move(directory)),
      database_(database == nullptr ? std::nullopt : std::optional(*database)),
      buffer_(memory, MemoryRole::log_buffer) {}

Status WalReader::open(const std::vector<FileNumber>& numbers, Lsn from, Lsn until) {
  until_ = until;
  for (const FileNumber number : numbers) {
    WalSegmentInfo info{.number = number,
                        .path = path_in(directory_, wal_name(number)),
                        .file_size = 0,
                        .header = {},
                        .status = {}};
    VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file,
                           file_system_->open(info.path, OpenMode::read));
    VARVE_ASSIGN_OR_RETURN(info.file_size, file->size());
    char bytes[kWalHeaderSize] = {};
    VARVE_ASSIGN_OR_RETURN(const size_t got, read_at(file.get(), info, 0, bytes, sizeof bytes));
    Result<WalSegmentHeader> header = decode_wal_segment_header({bytes, got});
    if (header.ok()) {
      info.header = *header;
      // Not to be passed over: what it displaced would be missed by nobody, and it be removed.
      if (database_ && header->database != *database_) {
        return Status::corruption(info.path + " at offset 64: a log segment of another database, " +
                                  id_text(header->database) + "; this one is " +
                                  id_text(*database_));
      }
      if (header->number != number) {
        // A recycled file that was renamed, but whose new header did not reach the disk.
        info.status =
            Status::corruption(format("log segment header at offset 32: number %llu, expected %llu",
                                      static_cast<unsigned long long>(header->number.value),
                                      static_cast<unsigned long long>(number.value)));
      }
    } else {
      info.status = std::move(header).status();
      if (info.status.code() == StatusCode::not_supported) {
        return info.status.with_context(info.path);
      }
    }
    segments_.push_back(std::move(info));
  }
  // Start in the last segment that begins at or before `from`; older ones are leftovers.
  bool found = false;
  for (size_t i = 0; i < segments_.size(); ++i) {
    const WalSegmentInfo& segment = segments_[i];
    if (!segment.status.ok()) continue;
    if (segment.header.start <= from || !found) {
      if (found && from == kLsnMax) break;
      current_ = i;
      found = true;
    }
  }
  if (!found || (from != kLsnMax && segments_[current_].header.start > from)) {
    ended_ = true;
    position_ = from == kLsnMax ? Lsn{} : from;
    if (!found && (from == kLsnMax || from == Lsn{})) return Status();  // nothing was logged yet
    std::string damaged;
    for (const WalSegmentInfo& segment : segments_) {
      if (segment.status.ok()) continue;
      damaged += "; " + segment.path + ": " + std::string(segment.status.message());
    }
    if (!found) {
      return Status::corruption(format("%s: no %slog segment is there, but the log is needed from "
                                       "LSN %llu on",
                                       directory_.c_str(), damaged.empty() ? "" : "sound ",
                                       static_cast<unsigned long long>(from.value)) +
                                damaged);
    }
    return Status::corruption(
        format(
            "%s begins at LSN %llu, but the log is needed from LSN %llu on: a segment is missing",
            segments_[current_].path.c_str(),
            static_cast<unsigned long long>(segments_[current_].header.start.value),
            static_cast<unsigned long long>(from.value)) +
        damaged);
  }
  position_ = segments_[current_].header.start;
  return open_current();
}

Status WalReader::open_current() {
  buffer_.clear();
  buffer_offset_ = 0;
  used_.push_back({.number = segments_[current_].number, .start = position_, .end = position_});
  reading_ = &segments_[current_];
  VARVE_ASSIGN_OR_RETURN(file_, file_system_->open(reading_->path, OpenMode::read));
  return Status();
}

Result<std::string_view> WalReader::bytes_at(uint64_t offset, size_t size) {
  const uint64_t buffered_end = buffer_offset_ + buffer_.size();
  if (offset < buffer_offset_ || offset + size > buffered_end) {
    const size_t wanted = std::max(size, kReadSize);
    buffer_.clear();
    if (!buffer_.resize(wanted)) return Status::out_of_memory("no memory to read the log");
    VARVE_ASSIGN_OR_RETURN(const size_t got,
                           read_at(file_.get(), *reading_, offset, buffer_.data(), wanted));
    static_cast<void>(buffer_.resize(got));  // smaller
    buffer_offset_ = offset;
  }
  const size_t skip = static_cast<size_t>(offset - buffer_offset_);
  return std::string_view(buffer_.data() + skip,
                          std::min(size, buffer_.size() - std::min(skip, buffer_.size())));
}

size_t WalReader::zeros_at(uint64_t offset) const {
  const char* const begin = buffer_.data() + (offset - buffer_offset_);
  const char* const end = buffer_.data() + buffer_.size();
  const char* at = begin;
  while (end - at >= static_cast<ptrdiff_t>(sizeof(uint64_t)) && load_le<uint64_t>(at) == 0) {
    at += sizeof(uint64_t);
  }
  return static_cast<size_t>(at - begin);
}

Lsn WalReader::limit() const {
  for (size_t i = current_ + 1; i < segments_.size(); ++i) {
    if (segments_[i].status.ok() && segments_[i].header.predecessor == segments_[current_].number) {
      return segments_[i].header.start;
    }
  }
  return kLsnMax;
}

Result<bool> WalReader::next(WalGroup* group) {
  while (!ended_) {
    if (position_ >= until_) {
      ended_ = true;
      break;
    }
    const WalSegmentInfo& segment = segments_[current_];
    const uint64_t at = offset();
    std::string why = "the segment's end, by its successor";
    if (position_ < limit()) {
      VARVE_ASSIGN_OR_RETURN(std::string_view bytes, bytes_at(at, kWalGroupHeaderSize));
      const uint64_t remaining = segment.file_size > at ? segment.file_size - at : 0;
      if (bytes.size() == kWalGroupHeaderSize &&
          decode_wal_group_header(bytes.data(), remaining, &group->header)) {
        const size_t size = kWalGroupHeaderSize + group->header.payload_size;
        VARVE_ASSIGN_OR_RETURN(bytes, bytes_at(at, size));
        if (bytes.size() == size &&
            wal_group_checksum_holds(bytes.data(), group->header, segment.header.file, at)) {
          group->segment = segment.number;
          group->offset = at;
          group->start = position_;
          group->payload = bytes.substr(kWalGroupHeaderSize);
          position_.value += wal_group_size(group->header.payload_size);
          group->end = position_;
          used_.back().end = position_;
          clean_ = group->header.kind == WalKind::end_marker;
          if (position_ > limit()) {
            return Status::corruption(
                format("%s at offset %llu: a group reaches beyond the segment's end",
                       segment.path.c_str(), static_cast<unsigned long long>(at)));
          }
          return true;
        }
        why = "a group's checksum does not hold";
      } else {
        why = "no group header";
      }
    }
    VARVE_ASSIGN_OR_RETURN(const bool crossed, cross_or_end(why));
    if (!crossed) ended_ = true;
  }
  return false;
}

Result<bool> WalReader::cross_or_end(const std::string& why) {
  for (size_t i = current_ + 1; i < segments_.size(); ++i) {
    if (segments_[i].status.ok() && segments_[i].header.start == position_ &&
        segments_[i].header.predecessor == segments_[current_].number) {
      current_ = i;
      VARVE_RETURN_IF_ERROR(open_current());
      return true;
    }
  }
  if (until_ == kLsnMax) {
    VARVE_ASSIGN_OR_RETURN(const bool lost, attested());
    if (!lost) return false;
  }
  return Status::corruption(
      format("%s at offset %llu (LSN %llu): %s, but %s", segments_[current_].path.c_str(),
             static_cast<unsigned long long>(offset()),
             static_cast<unsigned long long>(position_.value), why.c_str(),
             until_ == kLsnMax ? "the log says further on that this place was durable"
                               : "this place was written"));
}

Result<bool> WalReader::attested() {
  VARVE_ASSIGN_OR_RETURN(bool found, attested_in(segments_[current_], offset()));
  for (size_t i = current_ + 1; i < segments_.size() && !found; ++i) {
    const WalSegmentInfo& later = segments_[i];
    if (!later.status.ok() || later.header.start < position_) continue;
    if (later.header.durable > position_) return true;
    VARVE_ASSIGN_OR_RETURN(found, attested_in(later, kWalHeaderSize));
  }
  return found;
}

Result<bool> WalReader::attested_in(const WalSegmentInfo& segment, uint64_t offset) {
  reading_ = &segment;
  VARVE_ASSIGN_OR_RETURN(file_, file_system_->open(segment.path, OpenMode::read));
  buffer_.clear();
  buffer_offset_ = 0;
  uint64_t effort = segment.file_size * kAttestEffort;
  for (uint64_t at = offset; at + kWalGroupHeaderSize <= segment.file_size; at += kWalAlignment) {
    VARVE_ASSIGN_OR_RETURN(std::string_view bytes, bytes_at(at, kWalGroupHeaderSize));
    // Most of a segment that was reserved, and not filled: no header begins with as many.
    if (const size_t zeros = zeros_at(at); zeros >= kWalGroupHeaderSize) {
      at += zeros - kWalGroupHeaderSize;
      continue;
    }
    WalGroupHeader header;
    const uint64_t lsn = segment.header.start.value + at - kWalHeaderSize;
    if (bytes.size() < kWalGroupHeaderSize ||
        !decode_wal_group_header(bytes.data(), segment.file_size - at, &header) ||
        header.durable <= position_ || header.durable.value > lsn) {
      continue;
    }
    const size_t size = kWalGroupHeaderSize + header.payload_size;
    if (size > effort) return true;  // too much that looks valid to be remains of an earlier life
    effort -= size;
    VARVE_ASSIGN_OR_RETURN(bytes, bytes_at(at, size));
    if (bytes.size() == size &&
        wal_group_checksum_holds(bytes.data(), header, segment.header.file, at)) {
      return true;
    }
  }
  return false;
}

}  // namespace varve
