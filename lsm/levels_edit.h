// A change of what the database consists of: files, keyspaces, positions. The only thing that
// manifests hold, and the only way that the set of files changes.
//
// Encoding (the payload of a manifest record): fields, each  varint tag, varint size, bytes. Within
// a field, numbers are varints and strings are varint size, bytes; unknown tags with the low bit of
// the tag set are skipped, others refused as not_supported. Fields in any order:
//    2 add_file        keyspace, run, number, file id high (u64 LE), low (u64 LE), file size,
//                      smallest key, largest key, versions, tombstones, timestamp min, max,
//                      collapse horizon, raw bytes
//    4 remove_file     keyspace, number
//    6 add_keyspace    id, name, durability + 1 (0: the database's), retention nanos + 1 (0: the
//                      database's), created (timestamp), flushed LSN
//    8 drop_keyspace   id, timestamp
//   10 flushed         keyspace, LSN: what the log holds of the keyspace below it is in sstables
//   12 watermark       keyspace, timestamp: history below it is gone
//   14 next_file       file number: greater than any used
//   16 next_keyspace   keyspace id: greater than any used
//   18 lease           timestamp: no greater one was handed out (protocol 7)
//   20 log_start       LSN: the log below it is not needed
//   22 last_timestamp  timestamp: newest handed out; written at a clean close, ends the lease
//   24 log_end         LSN: the log is durable up to here; written at a clean close
//   26 add_undated     as add_file, of a file whose versions bear no timestamps: all were committed
//                      at timestamp max
//
// Validity: each field's bytes are used up; keys at most kKeySizeMax; names 1..255 bytes; lease and
// last_timestamp below kTimestampLimit. Of an undated file: timestamp min = max, above 0 and below
// kTimestampLimit; collapse horizon 0.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lsm/lsn.h"
#include "lsm/sstable.h"
#include "varve/options.h"

namespace varve {

// Runs order by age: a greater id is newer.
struct RunId {
  uint64_t value = 0;
  friend auto operator<=>(const RunId&, const RunId&) = default;
};

struct AddedFile {
  Keyspace keyspace;
  RunId run;
  SstableInfo info;
};

struct RemovedFile {
  Keyspace keyspace;
  FileNumber number;
};

struct AddedKeyspace {
  Keyspace keyspace;
  std::string name;
  KeyspaceOptions options;
  Timestamp created;
  Lsn flushed;
};

struct DroppedKeyspace {
  Keyspace keyspace;
  Timestamp dropped;
};

struct FlushedPosition {
  Keyspace keyspace;
  Lsn lsn;
};

struct KeyspaceWatermark {
  Keyspace keyspace;
  Timestamp watermark;
};

struct LevelsEdit {
  std::vector<AddedFile> added;
  std::vector<RemovedFile> removed;
  std::vector<AddedKeyspace> keyspaces_added;
  std::vector<DroppedKeyspace> keyspaces_dropped;
  std::vector<FlushedPosition> flushed;
  std::vector<KeyspaceWatermark> watermarks;
  std::optional<FileNumber> next_file;
  std::optional<Keyspace> next_keyspace;
  std::optional<Timestamp> lease;
  std::optional<Lsn> log_start;
  std::optional<Timestamp> last_timestamp;
  std::optional<Lsn> log_end;
};

void encode_edit(const LevelsEdit& edit, std::string* to);
Result<LevelsEdit> decode_edit(std::string_view from);

}  // namespace varve
