#include "lsm/block_format.h"

#include "base/format.h"

namespace varve {

void seal_block(char* block, size_t stored_size, const BlockTrailer& trailer, const FileId& file,
                uint64_t offset) {
  char* to = block + stored_size;
  std::memset(to, 0, kBlockTrailerSize);
  to[0] = static_cast<char>(trailer.codec);
  to[1] = static_cast<char>(kBlockVersion);
  store_le(to + 4, trailer.raw_size);
  store_le(to + 8, trailer.row_count);
  store_le(to + 16, checksum({block, stored_size + 16}, file, offset));
}

Result<BlockTrailer> open_block(const char* block, size_t stored_size, const FileId& file,
                                uint64_t offset) {
  const char* from = block + stored_size;
  const uint64_t expected = load_le<uint64_t>(from + 16);
  const uint64_t found = checksum({block, stored_size + 16}, file, offset);
  if (found != expected) {
    return Status::corruption(format("block of %zu bytes: checksum %016llx, expected %016llx",
                                     stored_size, static_cast<unsigned long long>(found),
                                     static_cast<unsigned long long>(expected)));
  }
  const uint8_t codec = static_cast<uint8_t>(from[0]);
  const uint8_t version = static_cast<uint8_t>(from[1]);
  const uint8_t transform = static_cast<uint8_t>(from[2]);
  if (version != kBlockVersion || transform != 0 || codec > 1) {
    return Status::not_supported(
        format("block version %u, codec %u, transform %u: this build reads version %u, codecs 0 "
               "and 1, transform 0",
               version, codec, transform, kBlockVersion));
  }
  BlockTrailer trailer{.codec = static_cast<Compression>(codec),
                       .raw_size = load_le<uint32_t>(from + 4),
                       .row_count = load_le<uint32_t>(from + 8)};
  if (trailer.codec == Compression::none
          ? trailer.raw_size != stored_size || trailer.raw_size > kBlockRawSizeMax
          : trailer.raw_size > kBlockCompressedRawSizeMax) {
    return Status::corruption(format("block of %zu stored bytes claims %u uncompressed ones",
                                     stored_size, trailer.raw_size));
  }
  if (trailer.row_count > trailer.raw_size / kBlockRowSizeMin) {
    return Status::corruption(
        format("block of %u bytes claims %u rows", trailer.raw_size, trailer.row_count));
  }
  return trailer;
}

}  // namespace varve
