// The log: segments of commit groups, read back only by recovery and tools.
//
// Integers little-endian; LSN as in lsm/lsn.h. A segment's file may be longer than what it holds,
// and what follows may be zeros or remains of an earlier life: the file id in every checksum tells.
//
//   segment header, twice, so that a damaged copy does not hide the segment: kWalHeaderSize bytes
//   in all, each copy kWalHeaderCopySize:
//     0   u64  kWalMagic
//     8   u32  format version      kWalVersion      12  u32  feature flags, 0
//    16   u64  file id, high       24  u64  file id, low     new each time the segment is begun
//    32   u64  segment number      as in the file's name
//    40   u64  start LSN           of the first group = end LSN of the predecessor
//    48   u64  predecessor         its number; 0: none
//    56   u64  durable LSN         known durable when the segment was begun
//    64   u64  database id, high   72  u64  database id, low     as in the manifest
//    80   u64  0                   reserved
//    88   u64  checksum of bytes 0..87, as at offset 0 in both copies
//
//   groups follow, each padded with zeros to 8 bytes:
//     0   u64  checksum of bytes 8.. to the payload's end
//     8   u32  payload size
//    12   u8   kind                WalKind
//    13   u8   flags               0; reserved for batches that span segments
//    14   u16  0
//    16   u32  commits
//    20   u32  0
//    24   u64  timestamp           of the first commit
//    32   u64  durable LSN         known durable when the group was written
//    40   payload: commits, each
//           varint  timestamp minus the previous commit's (the first: minus the header's)
//           varint  size           of the batch
//           bytes   batch          lsm/batch_format.h
//   A group's LSN is start LSN + offset - kWalHeaderSize.
//
// End of the log and corruption (protocol 14): a place where no valid group stands is the end,
// unless a valid header further on, in this segment or a later one, says that this place was
// durable once: then something was lost, and that is corruption. An end marker closes a log that
// was shut down cleanly.
//
// Example: a group at offset 192 with one commit at TS 5 of batch 01 00 02 61 62 03 78 79 7a has
// the payload 00 09 01 00 02 61 62 03 78 79 7a (11 bytes), padded by 5 zeros to 56 bytes in all.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/coding.h"
#include "base/hash.h"
#include "lsm/file_names.h"
#include "lsm/lsn.h"
#include "mvcc/version.h"
#include "varve/status.h"

namespace varve {

inline constexpr uint64_t kWalMagic = 0x314c4157'76726176;  // "varvWAL1" in the file
inline constexpr uint32_t kWalVersion = 1;
inline constexpr size_t kWalHeaderCopySize = 96;
inline constexpr size_t kWalHeaderSize = 2 * kWalHeaderCopySize;
inline constexpr size_t kWalGroupHeaderSize = 40;
inline constexpr size_t kWalAlignment = 8;

// Numbers are part of the format. Those not written yet are reserved.
enum class WalKind : uint8_t {
  commits = 1,
  prepare = 2,
  resolve = 3,
  keyspace_create = 4,
  keyspace_drop = 5,
  ingest = 6,
  timestamp_lease = 7,
  end_marker = 15,
};

struct WalSegmentHeader {
  FileId file;
  FileNumber number;
  Lsn start;
  FileNumber predecessor;
  Lsn durable;
  DatabaseId database;
};

struct WalGroupHeader {
  uint32_t payload_size = 0;
  WalKind kind = WalKind::commits;
  uint32_t commits = 0;
  Timestamp timestamp;
  Lsn durable;
};

inline size_t wal_group_size(size_t payload_size) {
  return (kWalGroupHeaderSize + payload_size + kWalAlignment - 1) & ~(kWalAlignment - 1);
}

void encode_wal_segment_header(char* to, const WalSegmentHeader& header);
// `from`: kWalHeaderSize bytes; the first sound copy is taken. Errors, of the first copy:
// corruption, not_supported (newer).
Result<WalSegmentHeader> decode_wal_segment_header(std::string_view from);

// Fills in the header of the group whose payload already follows at `group` + kWalGroupHeaderSize,
// and the padding; `offset` is its place in the segment.
void seal_wal_group(char* group, const WalGroupHeader& header, const FileId& file, uint64_t offset);

// The fields of a group header, when they are plausible for a place with `remaining` bytes up to
// the end of the file; the checksum is not looked at.
bool decode_wal_group_header(const char* from, uint64_t remaining, WalGroupHeader* header);
bool wal_group_checksum_holds(const char* group, const WalGroupHeader& header, const FileId& file,
                              uint64_t offset);

struct WalCommit {
  Timestamp timestamp;
  std::string_view batch;
};

// Walks the commits of a payload that may be anything.
class WalCommitReader {
 public:
  WalCommitReader(const WalGroupHeader& header, std::string_view payload)
      : decoder_(payload), left_(header.commits), timestamp_(header.timestamp) {}

  // False at the end and on bad bytes; ok() tells which.
  bool next(WalCommit* commit) {
    if (left_ == 0) {
      if (decoder_.remaining() != 0) decoder_.fail();
      return false;
    }
    --left_;
    const uint64_t passed = decoder_.varint();
    if (timestamp_ >= kTimestampLimit || passed >= kTimestampLimit.nanos - timestamp_.nanos) {
      decoder_.fail();
    }
    timestamp_.nanos += passed;
    commit->timestamp = timestamp_;
    commit->batch = decoder_.sized();
    return decoder_.ok();
  }
  bool ok() const { return decoder_.ok(); }
  void fail() { decoder_.fail(); }  // a batch proved malformed

 private:
  Decoder decoder_;
  uint32_t left_;
  Timestamp timestamp_;
};

}  // namespace varve
