// Sstables: immutable files of versions of one keyspace, in version order.
//
//   header      kSstableHeaderSize bytes
//   partitions  one after the other, each:
//                 data blocks         lsm/block_format.h
//                 filter block        lsm/filter.h; absent when filters are off
//                 index block         a row a data block: its first version -> BlockHandle
//   top index   block: a row a partition: its first version -> BlockHandle with filter
//   properties  block whose payload is tagged fields, see below
//   footer      kSstableFooterSize bytes
//
// Every block but the header and footer has the trailer of lsm/block_format.h. Only the top index
// stays in memory while a file is open; partitions and filters come and go with the cache.
// A user key's versions never lie in two files of one run.
//
//   header:  0   u64  kSstableMagic
//            8   u32  format version          kSstableVersion
//           12   u32  feature flags           0; unknown ones are refused
//           16   u64  file id, high    24  u64  file id, low
//           32   u64  checksum of bytes 0..31
//   footer:  0   u64  top index offset
//            8   u32  top index stored size   12  u32  top index raw size
//           16   u64  properties offset
//           24   u32  properties stored size  28  u32  top index rows
//           32   u64  file size, footer included
//           40   u32  format version          44  u32  feature flags
//           48   u64  file id, high           56  u64  file id, low
//           64   u64  kSstableMagic
//           72   u64  checksum of bytes 0..71
// Both checksums mix in the file id and the offset (base/hash.h).
//
//   properties: fields, each  varint tag, varint size, bytes. Tags, with varints as bytes unless
//   said otherwise; unknown ones are skipped:
//      1 keyspace id    2 versions    3 tombstones    4 timestamp min    5 timestamp max
//      6 raw bytes of keys and values    7 data blocks    8 smallest user key (the key's bytes)
//      9 largest user key (the key's bytes)    10 collapse horizon: versions of timestamp 0 were
//      committed at or before it; 0: there are none    11 codec of data blocks    12 partitions
//     13 created, nanoseconds since 1970    14 filter bits a key    15 distinct user keys
//     16 undated, 1: all timestamps in the file are 0, and its versions were committed when the
//     manifest says; absent: it is not
//     17 a file that values of it lie in: number, id high (u64 LE), low (u64 LE), how many values,
//     bytes that they take there; as often as there are such files, in the order in which pointers
//     count them (lsm/value_format.h)
//
// Valid when both checksums hold, ids and sizes agree with each other and with the file, and every
// handle lies inside the file.
//
// Example: the header of the file 0123456789abcdef fedcba9876543210 is
//   7661727653535431 01000000 00000000 efcdab8967452301 1032547698badcfe 524d18e847ffd307
// and a whole file stands in tests/data/golden_sstable.hex.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/hash.h"
#include "lsm/block_format.h"
#include "lsm/file_names.h"
#include "lsm/value_format.h"

namespace varve {

inline constexpr uint64_t kSstableMagic = 0x31545353'76726176;  // "varvSST1" in the file
inline constexpr uint32_t kSstableVersion = 1;
inline constexpr size_t kSstableHeaderSize = 40;
inline constexpr size_t kSstableFooterSize = 80;
// A partition is closed when it has this many data blocks: 8 KiB blocks of 116-byte rows make
// filters of about 22 KiB and indexes of about 16 KiB, small enough to come and go with the cache.
inline constexpr uint32_t kPartitionBlocksMax = 256;

// What an sstable has in a file of values.
struct ValueUse {
  ValueFileName file;
  uint64_t values = 0;
  uint64_t bytes = 0;  // as stored, trailers included
};

struct SstableProperties {
  uint32_t keyspace = 0;
  uint64_t versions = 0;
  uint64_t tombstones = 0;
  uint64_t user_keys = 0;
  Timestamp timestamp_min;
  Timestamp timestamp_max;
  Timestamp collapse_horizon;
  uint64_t raw_bytes = 0;
  uint64_t data_blocks = 0;
  uint64_t partitions = 0;
  std::string smallest_key;
  std::string largest_key;
  Compression codec = Compression::none;
  uint64_t created_nanos = 0;
  uint32_t filter_bits_per_key = 0;
  bool undated = false;
  std::vector<ValueUse> values;
};

void encode_properties(const SstableProperties& properties, std::string* to);
Result<SstableProperties> decode_properties(std::string_view from);

struct SstableFooter {
  uint64_t top_index_offset = 0;
  uint32_t top_index_stored_size = 0;
  uint32_t top_index_raw_size = 0;
  uint32_t top_index_rows = 0;
  uint64_t properties_offset = 0;
  uint32_t properties_stored_size = 0;
  uint64_t file_size = 0;
  FileId file;
};

void encode_sstable_header(char* to, const FileId& file);
void encode_sstable_footer(char* to, const SstableFooter& footer);
// Errors: corruption, not_supported (newer). `from`: exactly the header's or footer's bytes.
Result<FileId> decode_sstable_header(std::string_view from);
Result<SstableFooter> decode_sstable_footer(std::string_view from, uint64_t file_size);

}  // namespace varve
