// The manifest: a log of edits that says what the database consists of. Each opening begins a new
// one with a single edit that holds everything; then every change appends one edit, synced before
// it takes effect.
//
//   file:    0  u64  kManifestMagic    8  u32  format version    12  u32  feature flags, 0
//           16  u64  file id, high    24  u64  file id, low      32  u64  file number
//           40  u64  database id, high                           48  u64  database id, low
//           56  u64  checksum of bytes 0..55
//   marks    four: two each at kManifestMarksOffset and a page further on, kManifestMarkStride
//   apart
//            0  u64  checksum of bytes 8..31
//            8  u64  size             16  u64  records            24  u64  0
//            once the file had that size, and so many whole records, durably
//   records  from kManifestRecordsOffset on, each padded with zeros to 8 bytes:
//            0  u64  checksum of bytes 8.. to the payload's end
//            8  u32  payload size     12  u32  1
//           16  payload: an edit, lsm/levels_edit.h
//
// lsm/current_file.h says which manifest is in force.
//
// Every edit is synced before it is marked, and before the next is appended. So what ends before
// the newest mark says is damaged: corruption. Behind it may be a torn record, or whole ones that
// the mark came too late for. Marks are written in turn into either page, twice, so that neither
// a torn write nor one bad sector takes the newest sound one; they become durable with the next
// edit or with close(): after a power cut alone the newest edit may lack its mark.

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lsm/levels_edit.h"
#include "varve/file_system.h"

namespace varve {

inline constexpr uint64_t kManifestMagic = 0x3146494e'414d7276;  // "vrMANIF1" in the file
inline constexpr uint32_t kManifestVersion = 1;
// A longer one is not read, nor written. Some ten million sstables.
inline constexpr uint64_t kManifestBytesMax = uint64_t{1} << 30;
inline constexpr size_t kManifestHeaderSize = 64;
inline constexpr size_t kManifestMarkSize = 32;
inline constexpr size_t kManifestMarkStride = 512;
inline constexpr size_t kManifestMarksOffset = 4096;
inline constexpr size_t kManifestMarksPage = 4096;
inline constexpr size_t kManifestRecordsOffset = kManifestMarksOffset + 2 * kManifestMarksPage;
inline constexpr size_t kManifestRecordHeaderSize = 16;

// Ids are never reused, and tables by id are kept in memory.
inline constexpr uint32_t kKeyspacesMax = 1u << 22;

// "At this size the file held so many records."
struct ManifestMark {
  uint64_t size = 0;
  uint64_t records = 0;
};
// Where copy 0 or 1 of the mark that is written with record number `records` goes.
inline size_t manifest_mark_offset(uint64_t records, size_t copy) {
  return kManifestMarksOffset + records % 2 * kManifestMarksPage + copy * kManifestMarkStride;
}
// `to`: kManifestMarkSize bytes, at `offset` of the manifest `file`.
void encode_manifest_mark(char* to, const ManifestMark& mark, const FileId& file, uint64_t offset);

// What all edits of a manifest add up to.
struct ManifestState {
  struct KeyspaceState {
    std::string name;
    KeyspaceOptions options;
    Timestamp created;
    Lsn flushed;
    Timestamp watermark;
    std::map<uint64_t, AddedFile> files;  // by number
  };
  DatabaseId database;                          // in the header, not in edits
  std::map<uint32_t, KeyspaceState> keyspaces;  // by id
  FileNumber next_file{1};
  Keyspace next_keyspace{1};
  Timestamp lease;
  Lsn log_start;
  Timestamp last_timestamp;
  Lsn log_end;

  // Errors: corruption (a file removed that is not there, added twice, an unknown keyspace, an id
  // beyond all that can be given out).
  Status apply(const LevelsEdit& edit);
  // What it takes, about. Kept by apply().
  size_t memory_bytes = 0;
  // One edit that makes this state from nothing.
  LevelsEdit as_edit() const;
};

// Thread rule: one thread at a time.
class ManifestWriter {
 public:
  // Creates the manifest `number` with `state` as its first record, and makes CURRENT name it. When
  // this fails, the manifest that was in force still is, or `number` is: both hold the same.
  static Result<std::unique_ptr<ManifestWriter>> create(FileSystem* file_system,
                                                        const std::string& directory,
                                                        FileNumber number,
                                                        const ManifestState& state);
  // Appends, syncs, and marks. no_space: nothing was changed, and it may be tried again. After any
  // other error nothing is known of the edit, and nothing more may be appended.
  Status append(const LevelsEdit& edit);
  // Syncs the last mark.
  Status close();
  FileNumber number() const { return number_; }
  uint64_t size() const { return offset_; }
  // As it was created.
  uint64_t first_size() const { return first_size_; }

 private:
  ManifestWriter(std::unique_ptr<File> file, const FileId& id, FileNumber number)
      : file_(std::move(file)), id_(id), number_(number) {}
  Status begin(const ManifestState& state);
  Status write_record(const LevelsEdit& edit);
  Status write_mark();
  Status sync();

  std::unique_ptr<File> file_;
  const FileId id_;
  const FileNumber number_;
  uint64_t offset_ = kManifestRecordsOffset;
  uint64_t first_size_ = 0;
  uint64_t records_ = 0;
  bool failed_ = false;
};

// Reads a manifest record by record; `each`, if given, is called with the offset of every edit.
// Errors: corruption and not_supported, naming file and offset.
Result<ManifestState> read_manifest(
    FileSystem* file_system, const std::string& path, const FileId* expected,
    const std::function<void(uint64_t offset, const LevelsEdit&)>& each = nullptr);

}  // namespace varve
