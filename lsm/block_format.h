// Blocks: the unit in which sstables are read, checked, compressed and cached. Data blocks hold
// versions; index blocks hold, in the same form, the first version of each block below them with
// the block's handle as value.
//
// On disk a block is its payload (as it is, or compressed) followed by a trailer. Offsets in bytes,
// integers little-endian, varints LEB128 (base/coding.h).
//
//   payload, uncompressed:
//     0   u32  row_count          >= 1
//     4   u16  prefix_size        bytes that all keys begin with
//     6   u8   timestamp_width    0..8 bytes a row; 0: all timestamps are timestamp_base
//     7   u8   kind               the VersionKind of all rows; 0: there is a kind column
//     8   u64  timestamp_base     smallest timestamp of the block
//    16   prefix_size bytes       the common prefix
//         timestamp column        row_count x timestamp_width: timestamp - timestamp_base
//         kind column             row_count x u8, if kind is 0
//         rows, in version order, each:
//           varint  suffix_size   key without the prefix; prefix_size + suffix_size <= kKeySizeMax
//           varint  value_size
//           bytes   suffix, value   side by side: one cache miss, not two
//   The payload ends with the last row.
//
//   trailer, kBlockTrailerSize bytes:
//     0   u8   codec              Compression
//     1   u8   version            kBlockVersion
//     2   u8   transform          0; reserved for encryption
//     3   u8   0
//     4   u32  raw_size           bytes of the uncompressed payload; with a codec, at most
//                                 kBlockCompressedRawSizeMax
//     8   u32  row_count          as in the payload; 0 for payloads that are not rows
//    12   u32  0                  reserved: nonce
//    16   u64  checksum           of stored payload and trailer bytes 0..15, file id and offset
//    mixed
//                                 in (base/hash.h)
//
// Valid when the checksum holds, the columns and every row lie within the payload, and rows end
// exactly with it. That rows ascend in version order is checked by verification.
//
// Three columns are not stored but derived when a block is loaded, so that they cannot disagree
// with the rows and cost no disk space (docs/decisions.md, "derived columns"):
//     tags     u16 a row: the low bits of the key's hash: for point reads of a block that has many
//     offsets  u16 a row, u32 in payloads above 64 KiB: where it begins there: random access
//     heads    u64 a row: first eight bytes of the suffix, big-endian, zero-padded: for seeks; in
//              blocks of an index two, of sixteen bytes
//
// Example: rows ("ab", ts 7, value "x") and ("ac", ts 5, value ""):
//   02000000 0100 01 01 0500000000000000  61  02 00  01 01 62 78  01 00 63

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/coding.h"
#include "base/hash.h"
#include "mvcc/version.h"
#include "varve/status.h"

namespace varve {

inline constexpr size_t kBlockHeaderSize = 16;
inline constexpr size_t kBlockTrailerSize = 24;
inline constexpr uint8_t kBlockVersion = 1;
inline constexpr uint32_t kBlockRawSizeMax = 1u << 30;
// Of compressed blocks; larger ones (single large values, mostly) are stored as they are. So what a
// hostile file makes a reader allocate is bounded by its own size, or by a few MiB.
inline constexpr uint32_t kBlockCompressedRawSizeMax = 1u << 20;
inline constexpr size_t kBlockRowSizeMin = 2;  // two varints of one byte
static_assert(kValueSizeMax + kKeySizeMax + 1024 < kBlockRawSizeMax);

// Where a block lies, what is in it: the value of a row of an index block, kBlockHandleSize bytes.
//     0   u64  offset             in the file
//     8   u32  stored_size        without the trailer
//    12   u32  raw_size
//    16   u64  timestamp_max      of the block's versions
//    24   u32  tombstones
//    28   u32  rows               row_count of the block
//    32   u32  flags              bit 0: live and single-version (all kinds are `value`, and no two
//                                 versions have one key, neighbouring blocks included)
//                                 bit 1: some kinds are `value_pointer`; not of partitions
//    36   u32  0
// In a top-level index the block is an index partition (timestamp_max, tombstones and flags speak
// of all data blocks below it), and kPartitionHandleSize - kBlockHandleSize bytes more locate its
// filter:
//    40   u64  filter_offset
//    48   u32  filter_stored_size  0: no filter
//    52   u32  0
struct BlockHandle {
  uint64_t offset = 0;
  uint32_t stored_size = 0;
  uint32_t raw_size = 0;
  Timestamp timestamp_max = {};
  uint32_t tombstones = 0;
  uint32_t rows = 0;
  uint32_t flags = 0;
  uint64_t filter_offset = 0;
  uint32_t filter_stored_size = 0;
};
inline constexpr size_t kBlockHandleSize = 40;
inline constexpr size_t kPartitionHandleSize = 56;
inline constexpr uint32_t kBlockLiveSingleVersion = 1;
inline constexpr uint32_t kBlockHasPointers = 2;

inline void encode_block_handle(char* to, const BlockHandle& handle, bool partition) {
  store_le(to, handle.offset);
  store_le(to + 8, handle.stored_size);
  store_le(to + 12, handle.raw_size);
  store_le(to + 16, handle.timestamp_max.nanos);
  store_le(to + 24, handle.tombstones);
  store_le(to + 28, handle.rows);
  store_le(to + 32, handle.flags);
  store_le(to + 36, uint32_t{0});
  if (!partition) return;
  store_le(to + 40, handle.filter_offset);
  store_le(to + 48, handle.filter_stored_size);
  store_le(to + 52, uint32_t{0});
}

// False when the size is not that of a handle.
inline bool decode_block_handle(std::string_view from, bool partition, BlockHandle* handle) {
  if (from.size() != (partition ? kPartitionHandleSize : kBlockHandleSize)) return false;
  const char* p = from.data();
  handle->offset = load_le<uint64_t>(p);
  handle->stored_size = load_le<uint32_t>(p + 8);
  handle->raw_size = load_le<uint32_t>(p + 12);
  handle->timestamp_max.nanos = load_le<uint64_t>(p + 16);
  handle->tombstones = load_le<uint32_t>(p + 24);
  handle->rows = load_le<uint32_t>(p + 28);
  handle->flags = load_le<uint32_t>(p + 32);
  if (partition) {
    handle->filter_offset = load_le<uint64_t>(p + 40);
    handle->filter_stored_size = load_le<uint32_t>(p + 48);
  }
  return true;
}

struct BlockTrailer {
  Compression codec = Compression::none;
  uint32_t raw_size = 0;
  uint32_t row_count = 0;
};

// Writes kBlockTrailerSize bytes right after the `stored_size` bytes at `block`, over which the
// checksum goes; `offset` is the block's in the file.
void seal_block(char* block, size_t stored_size, const BlockTrailer& trailer, const FileId& file,
                uint64_t offset);

// Checks the trailer that follows the `stored_size` bytes at `block`. Errors: corruption,
// not_supported (newer version, unknown codec or transform).
Result<BlockTrailer> open_block(const char* block, size_t stored_size, const FileId& file,
                                uint64_t offset);

}  // namespace varve
