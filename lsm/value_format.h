// Files of values: large values lie apart from the tree, which holds pointers to them. So a merge
// of sstables copies the pointers, and the values stay where they are.
//
//   header   kValueFileHeaderSize bytes
//   values   one after the other, each as it is or compressed, with the trailer of
//            lsm/block_format.h (row_count 0)
//   sizes    block whose payload is a varint a value: its stored size, without the trailer; so the
//            file can be read without the sstables that point into it
//   footer   kValueFileFooterSize bytes
//
//   header:  0   u64  kValueFileMagic
//            8   u32  format version          kValueFileVersion
//           12   u32  feature flags           0; unknown ones are refused
//           16   u64  file id, high    24  u64  file id, low
//           32   u64  checksum of bytes 0..31
//   footer:  0   u64  sizes offset
//            8   u32  sizes stored size       12  u32  0
//           16   u64  number of values        24  u64  file size, footer included
//           32   u32  format version          36  u32  feature flags
//           40   u64  file id, high           48  u64  file id, low
//           56   u64  kValueFileMagic
//           64   u64  checksum of bytes 0..63
// Both checksums mix in the file id and the offset (base/hash.h).
//
//   pointer, the value of a version of kind `value_pointer`: varints
//     file         which of the files that the sstable's properties name
//     offset       in it
//     stored size  without the trailer
//     raw size     of the value; where it is the stored size, the value is not compressed
//
// Valid when the checksums hold, ids and sizes agree, and the values fill the file from its header
// to the sizes.
//
// Example: the pointer 00 28 81 01 ac 02: in the first file at offset 40, 129 bytes, that hold 300.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "lsm/block_format.h"
#include "lsm/file_names.h"

namespace varve {

inline constexpr uint64_t kValueFileMagic = 0x314c4156'76726176;  // "varvVAL1" in the file
inline constexpr uint32_t kValueFileVersion = 1;
inline constexpr size_t kValueFileHeaderSize = 40;
inline constexpr size_t kValueFileFooterSize = 72;

// Which file of values: the number tells its name, the id that it is the file that was meant.
struct ValueFileName {
  FileNumber number;
  FileId id;
  friend bool operator==(const ValueFileName&, const ValueFileName&) = default;
};

// Where a value lies in its file.
struct ValuePlace {
  uint64_t offset = 0;
  uint32_t stored_size = 0;  // without the trailer
  uint32_t raw_size = 0;

  uint64_t end() const { return offset + stored_size + kBlockTrailerSize; }
  friend bool operator==(const ValuePlace&, const ValuePlace&) = default;
};

// What a pointer says.
struct ValuePointer {
  uint32_t file = 0;  // place in the properties' list
  ValuePlace place;
};
inline constexpr size_t kValuePointerSizeMax = 4 * kVarint64BytesMax;
// `to`: kValuePointerSizeMax bytes; returns what was used of them.
std::string_view encode_value_pointer(char* to, const ValuePointer& pointer);
// False: it is none.
bool decode_value_pointer(std::string_view from, ValuePointer* pointer);

struct ValueFileFooter {
  uint64_t sizes_offset = 0;
  uint32_t sizes_stored_size = 0;
  uint64_t values = 0;
  uint64_t file_size = 0;
  FileId file;
};

void encode_value_file_header(char* to, const FileId& file);
void encode_value_file_footer(char* to, const ValueFileFooter& footer);
// Errors: corruption, not_supported (newer). `from`: exactly the header's or footer's bytes.
Result<FileId> decode_value_file_header(std::string_view from);
Result<ValueFileFooter> decode_value_file_footer(std::string_view from, uint64_t file_size);

}  // namespace varve
