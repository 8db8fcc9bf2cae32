#include "lsm/sstable_format.h"

#include "base/assert.h"
#include "base/format.h"
#include "lsm/format_check.h"

namespace varve {

namespace {

enum Tag : uint64_t {
  kKeyspace = 1,
  kVersions = 2,
  kTombstones = 3,
  kOldest = 4,
  kNewest = 5,
  kRawBytes = 6,
  kDataBlocks = 7,
  kSmallestKey = 8,
  kLargestKey = 9,
  kCollapseHorizon = 10,
  kCodec = 11,
  kPartitions = 12,
  kCreated = 13,
  kFilterBits = 14,
  kUserKeys = 15,
  kUndated = 16,
  kValueFile = 17,
};

void append_field(std::string* to, uint64_t tag, std::string_view bytes) {
  append_varint(to, tag);
  append_sized(to, bytes);
}

void append_number(std::string* to, uint64_t tag, uint64_t value) {
  char bytes[kVarint64BytesMax];
  append_field(to, tag, {bytes, static_cast<size_t>(store_varint(bytes, value) - bytes)});
}

constexpr FileFormat kFormat{.name = "sstable", .magic = kSstableMagic, .version = kSstableVersion};

}  // namespace

void encode_properties(const SstableProperties& p, std::string* to) {
  append_number(to, kKeyspace, p.keyspace);
  append_number(to, kVersions, p.versions);
  append_number(to, kTombstones, p.tombstones);
  append_number(to, kOldest, p.timestamp_min.nanos);
  append_number(to, kNewest, p.timestamp_max.nanos);
  append_number(to, kRawBytes, p.raw_bytes);
  append_number(to, kDataBlocks, p.data_blocks);
  append_field(to, kSmallestKey, p.smallest_key);
  append_field(to, kLargestKey, p.largest_key);
  append_number(to, kCollapseHorizon, p.collapse_horizon.nanos);
  append_number(to, kCodec, static_cast<uint64_t>(p.codec));
  append_number(to, kPartitions, p.partitions);
  append_number(to, kCreated, p.created_nanos);
  append_number(to, kFilterBits, p.filter_bits_per_key);
  append_number(to, kUserKeys, p.user_keys);
  if (p.undated) append_number(to, kUndated, 1);
  for (const ValueUse& use : p.values) {
    std::string field;
    append_varint(&field, use.file.number.value);
    append_le(&field, use.file.id.high);
    append_le(&field, use.file.id.low);
    append_varint(&field, use.values);
    append_varint(&field, use.bytes);
    append_field(to, kValueFile, field);
  }
}

Result<SstableProperties> decode_properties(std::string_view from) {
  SstableProperties p;
  Decoder decoder(from);
  while (decoder.ok() && decoder.remaining() != 0) {
    const uint64_t tag = decoder.varint();
    const std::string_view bytes = decoder.sized();
    if (!decoder.ok()) break;
    if (tag == kSmallestKey || tag == kLargestKey) {
      if (bytes.size() > kKeySizeMax) decoder.fail();
      (tag == kSmallestKey ? p.smallest_key : p.largest_key) = bytes;
      continue;
    }
    if (tag == kValueFile) {
      Decoder field(bytes);
      ValueUse use;
      use.file.number.value = field.varint();
      use.file.id.high = field.u64();
      use.file.id.low = field.u64();
      use.values = field.varint();
      use.bytes = field.varint();
      if (!field.done()) decoder.fail();
      p.values.push_back(use);
      continue;
    }
    Decoder number(bytes);
    const uint64_t value = number.varint();
    switch (tag) {
      case kKeyspace:
        p.keyspace = static_cast<uint32_t>(value);
        if (value > UINT32_MAX) decoder.fail();
        break;
      case kVersions:
        p.versions = value;
        break;
      case kTombstones:
        p.tombstones = value;
        break;
      case kOldest:
        p.timestamp_min.nanos = value;
        break;
      case kNewest:
        p.timestamp_max.nanos = value;
        break;
      case kRawBytes:
        p.raw_bytes = value;
        break;
      case kDataBlocks:
        p.data_blocks = value;
        break;
      case kCollapseHorizon:
        p.collapse_horizon.nanos = value;
        break;
      case kCodec:
        p.codec = static_cast<Compression>(value);
        if (value > UINT8_MAX) decoder.fail();
        break;
      case kPartitions:
        p.partitions = value;
        break;
      case kCreated:
        p.created_nanos = value;
        break;
      case kFilterBits:
        p.filter_bits_per_key = static_cast<uint32_t>(value);
        if (value > UINT32_MAX) decoder.fail();
        break;
      case kUserKeys:
        p.user_keys = value;
        break;
      case kUndated:
        p.undated = true;
        if (value != 1) decoder.fail();
        break;
      default:
        continue;  // of a newer writer
    }
    if (!number.done()) decoder.fail();
  }
  if (!decoder.ok()) {
    return Status::corruption(format("properties: bad field at byte %zu", decoder.offset()));
  }
  return p;
}

void encode_sstable_header(char* to, const FileId& file) {
  store_le(to, kSstableMagic);
  store_le(to + 8, kSstableVersion);
  store_le(to + 12, uint32_t{0});
  store_le(to + 16, file.high);
  store_le(to + 24, file.low);
  store_le(to + 32, checksum({to, 32}, file, 0));
}

void encode_sstable_footer(char* to, const SstableFooter& footer) {
  store_le(to, footer.top_index_offset);
  store_le(to + 8, footer.top_index_stored_size);
  store_le(to + 12, footer.top_index_raw_size);
  store_le(to + 16, footer.properties_offset);
  store_le(to + 24, footer.properties_stored_size);
  store_le(to + 28, footer.top_index_rows);
  store_le(to + 32, footer.file_size);
  store_le(to + 40, kSstableVersion);
  store_le(to + 44, uint32_t{0});
  store_le(to + 48, footer.file.high);
  store_le(to + 56, footer.file.low);
  store_le(to + 64, kSstableMagic);
  store_le(to + 72, checksum({to, 72}, footer.file, footer.file_size - kSstableFooterSize));
}

Result<FileId> decode_sstable_header(std::string_view from) {
  const char* p = from.data();
  VARVE_RETURN_IF_ERROR(check_format(kFormat, load_le<uint64_t>(p), load_le<uint32_t>(p + 8),
                                     load_le<uint32_t>(p + 12), "header at offset 0"));
  const FileId file{load_le<uint64_t>(p + 16), load_le<uint64_t>(p + 24)};
  VARVE_RETURN_IF_ERROR(
      check_sum(from.substr(0, 32), load_le<uint64_t>(p + 32), file, 0, "header at offset 0"));
  return file;
}

Result<SstableFooter> decode_sstable_footer(std::string_view from, uint64_t file_size) {
  const char* p = from.data();
  VARVE_RETURN_IF_ERROR(check_format(kFormat, load_le<uint64_t>(p + 64), load_le<uint32_t>(p + 40),
                                     load_le<uint32_t>(p + 44), "footer"));
  SstableFooter footer{.top_index_offset = load_le<uint64_t>(p),
                       .top_index_stored_size = load_le<uint32_t>(p + 8),
                       .top_index_raw_size = load_le<uint32_t>(p + 12),
                       .top_index_rows = load_le<uint32_t>(p + 28),
                       .properties_offset = load_le<uint64_t>(p + 16),
                       .properties_stored_size = load_le<uint32_t>(p + 24),
                       .file_size = load_le<uint64_t>(p + 32),
                       .file = {load_le<uint64_t>(p + 48), load_le<uint64_t>(p + 56)}};
  VARVE_RETURN_IF_ERROR(check_sum(from.substr(0, 72), load_le<uint64_t>(p + 72), footer.file,
                                  file_size - kSstableFooterSize, "footer"));
  if (footer.file_size != file_size) {
    return Status::corruption(format("footer: file of %llu bytes, expected %llu",
                                     static_cast<unsigned long long>(file_size),
                                     static_cast<unsigned long long>(footer.file_size)));
  }
  return footer;
}

}  // namespace varve
