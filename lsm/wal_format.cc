#include "lsm/wal_format.h"

#include "base/format.h"

namespace varve {

namespace {

constexpr size_t kChecked = kWalHeaderCopySize - sizeof(uint64_t);  // of a header's copy

}  // namespace

void encode_wal_segment_header(char* to, const WalSegmentHeader& header) {
  store_le(to, kWalMagic);
  store_le(to + 8, kWalVersion);
  store_le(to + 12, uint32_t{0});
  store_le(to + 16, header.file.high);
  store_le(to + 24, header.file.low);
  store_le(to + 32, header.number.value);
  store_le(to + 40, header.start.value);
  store_le(to + 48, header.predecessor.value);
  store_le(to + 56, header.durable.value);
  store_le(to + 64, header.database.high);
  store_le(to + 72, header.database.low);
  store_le(to + 80, uint64_t{0});
  store_le(to + kChecked, checksum({to, kChecked}, header.file, 0));
  std::memcpy(to + kWalHeaderCopySize, to, kWalHeaderCopySize);
}

namespace {

Result<WalSegmentHeader> decode_copy(const char* p) {
  if (const auto magic = load_le<uint64_t>(p); magic != kWalMagic) {
    return Status::corruption(format("no log segment header at offset 0: %016llx, expected %016llx",
                                     static_cast<unsigned long long>(magic),
                                     static_cast<unsigned long long>(kWalMagic)));
  }
  WalSegmentHeader header{.file = {load_le<uint64_t>(p + 16), load_le<uint64_t>(p + 24)},
                          .number = {load_le<uint64_t>(p + 32)},
                          .start = {load_le<uint64_t>(p + 40)},
                          .predecessor = {load_le<uint64_t>(p + 48)},
                          .durable = {load_le<uint64_t>(p + 56)},
                          .database = {load_le<uint64_t>(p + 64), load_le<uint64_t>(p + 72)}};
  const uint32_t version = load_le<uint32_t>(p + 8);
  const uint32_t features = load_le<uint32_t>(p + 12);
  if (version > kWalVersion || features != 0) {
    return Status::not_supported(
        format("log format version %u, features %08x: this build reads version %u", version,
               features, kWalVersion));
  }
  const uint64_t expected = load_le<uint64_t>(p + kChecked);
  const uint64_t found = checksum({p, kChecked}, header.file, 0);
  if (found != expected) {
    return Status::corruption(
        format("log segment header at offset 0: checksum %016llx, expected %016llx",
               static_cast<unsigned long long>(found), static_cast<unsigned long long>(expected)));
  }
  return header;
}

}  // namespace

Result<WalSegmentHeader> decode_wal_segment_header(std::string_view from) {
  if (from.size() < kWalHeaderSize) {
    return Status::corruption(format("log segment header at offset 0: cut off at %zu bytes of %zu",
                                     from.size(), kWalHeaderSize));
  }
  Result<WalSegmentHeader> first = decode_copy(from.data());
  if (first.ok()) return first;
  Result<WalSegmentHeader> second = decode_copy(from.data() + kWalHeaderCopySize);
  return second.ok() ? std::move(second) : std::move(first);
}

void seal_wal_group(char* group, const WalGroupHeader& header, const FileId& file,
                    uint64_t offset) {
  store_le(group + 8, header.payload_size);
  group[12] = static_cast<char>(header.kind);
  std::memset(group + 13, 0, 3);
  store_le(group + 16, header.commits);
  store_le(group + 20, uint32_t{0});
  store_le(group + 24, header.timestamp.nanos);
  store_le(group + 32, header.durable.value);
  const size_t end = kWalGroupHeaderSize + header.payload_size;
  std::memset(group + end, 0, wal_group_size(header.payload_size) - end);
  store_le(group, checksum({group + 8, end - 8}, file, offset));
}

bool decode_wal_group_header(const char* from, uint64_t remaining, WalGroupHeader* header) {
  if (remaining < kWalGroupHeaderSize) return false;
  header->payload_size = load_le<uint32_t>(from + 8);
  header->kind = static_cast<WalKind>(from[12]);
  header->commits = load_le<uint32_t>(from + 16);
  header->timestamp.nanos = load_le<uint64_t>(from + 24);
  header->durable.value = load_le<uint64_t>(from + 32);
  const bool kind_known = header->kind == WalKind::commits || header->kind == WalKind::end_marker;
  return kind_known && from[13] == 0 && from[14] == 0 && from[15] == 0 &&
         load_le<uint32_t>(from + 20) == 0 &&
         header->payload_size <= remaining - kWalGroupHeaderSize;
}

bool wal_group_checksum_holds(const char* group, const WalGroupHeader& header, const FileId& file,
                              uint64_t offset) {
  return load_le<uint64_t>(group) ==
         checksum({group + 8, kWalGroupHeaderSize + header.payload_size - 8}, file, offset);
}

}  // namespace varve
