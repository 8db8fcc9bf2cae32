#include "lsm/levels_edit.h"

#include "base/assert.h"
#include "base/format.h"

namespace varve {

namespace {

enum Tag : uint64_t {
  kAddFile = 2,
  kRemoveFile = 4,
  kAddKeyspace = 6,
  kDropKeyspace = 8,
  kFlushed = 10,
  kWatermark = 12,
  kNextFile = 14,
  kNextKeyspace = 16,
  kLease = 18,
  kLogStart = 20,
  kLastTimestamp = 22,
  kLogEnd = 24,
  kAddUndated = 26,
};

constexpr size_t kNameSizeMax = 255;

void append_field(std::string* to, uint64_t tag, const std::string& bytes) {
  append_varint(to, tag);
  append_sized(to, bytes);
}

void append_numbers(std::string* to, uint64_t tag, std::initializer_list<uint64_t> numbers) {
  std::string bytes;
  for (const uint64_t number : numbers) append_varint(&bytes, number);
  append_field(to, tag, bytes);
}

void append_file(std::string* to, const AddedFile& file) {
  const SstableInfo& info = file.info;
  std::string bytes;
  append_varint(&bytes, file.keyspace.id);
  append_varint(&bytes, file.run.value);
  append_varint(&bytes, info.number.value);
  append_le(&bytes, info.id.high);
  append_le(&bytes, info.id.low);
  append_varint(&bytes, info.file_size);
  append_sized(&bytes, info.smallest_key);
  append_sized(&bytes, info.largest_key);
  for (const uint64_t number :
       {info.versions, info.tombstones, info.timestamp_min.nanos, info.timestamp_max.nanos,
        info.collapse_horizon.nanos, info.raw_bytes}) {
    append_varint(&bytes, number);
  }
  append_field(to, info.undated ? kAddUndated : kAddFile, bytes);
}

AddedFile decode_file(Decoder* decoder, bool undated) {
  AddedFile file;
  SstableInfo& info = file.info;
  file.keyspace.id = decoder->varint32();
  file.run.value = decoder->varint();
  info.number.value = decoder->varint();
  info.id.high = decoder->u64();
  info.id.low = decoder->u64();
  info.file_size = decoder->varint();
  info.smallest_key = decoder->sized();
  info.largest_key = decoder->sized();
  info.versions = decoder->varint();
  info.tombstones = decoder->varint();
  info.timestamp_min.nanos = decoder->varint();
  info.timestamp_max.nanos = decoder->varint();
  info.collapse_horizon.nanos = decoder->varint();
  info.raw_bytes = decoder->varint();
  if (info.smallest_key.size() > kKeySizeMax || info.largest_key.size() > kKeySizeMax ||
      info.smallest_key > info.largest_key) {
    decoder->fail();
  }
  info.undated = undated;
  if (undated && (info.timestamp_min != info.timestamp_max || info.timestamp_max == kTimestampMin ||
                  info.timestamp_max >= kTimestampLimit || info.collapse_horizon != Timestamp{})) {
    decoder->fail();
  }
  return file;
}

void append_keyspace(std::string* to, const AddedKeyspace& keyspace) {
  std::string bytes;
  append_varint(&bytes, keyspace.keyspace.id);
  append_sized(&bytes, keyspace.name);
  append_varint(&bytes, keyspace.options.durability
                            ? static_cast<uint64_t>(*keyspace.options.durability) + 1
                            : 0);
  append_varint(&bytes, keyspace.options.history_retention
                            ? static_cast<uint64_t>(keyspace.options.history_retention->count()) + 1
                            : 0);
  append_varint(&bytes, keyspace.created.nanos);
  append_varint(&bytes, keyspace.flushed.value);
  append_field(to, kAddKeyspace, bytes);
}

AddedKeyspace decode_keyspace(Decoder* decoder) {
  AddedKeyspace keyspace;
  keyspace.keyspace.id = decoder->varint32();
  keyspace.name = decoder->sized();
  const uint64_t durability = decoder->varint();
  const uint64_t retention = decoder->varint();
  keyspace.created.nanos = decoder->varint();
  keyspace.flushed.value = decoder->varint();
  if (durability > 4 || keyspace.name.empty() || keyspace.name.size() > kNameSizeMax ||
      (retention != 0 && retention - 1 > uint64_t{INT64_MAX})) {
    decoder->fail();
  }
  if (durability != 0) keyspace.options.durability = static_cast<Durability>(durability - 1);
  if (retention != 0) {
    keyspace.options.history_retention =
        std::chrono::nanoseconds(static_cast<int64_t>(retention - 1));
  }
  return keyspace;
}

}  // namespace

void encode_edit(const LevelsEdit& edit, std::string* to) {
  for (const AddedKeyspace& keyspace : edit.keyspaces_added) append_keyspace(to, keyspace);
  for (const DroppedKeyspace& dropped : edit.keyspaces_dropped) {
    append_numbers(to, kDropKeyspace, {dropped.keyspace.id, dropped.dropped.nanos});
  }
  for (const RemovedFile& file : edit.removed) {
    append_numbers(to, kRemoveFile, {file.keyspace.id, file.number.value});
  }
  for (const AddedFile& file : edit.added) append_file(to, file);
  for (const FlushedPosition& flushed : edit.flushed) {
    append_numbers(to, kFlushed, {flushed.keyspace.id, flushed.lsn.value});
  }
  for (const KeyspaceWatermark& mark : edit.watermarks) {
    append_numbers(to, kWatermark, {mark.keyspace.id, mark.watermark.nanos});
  }
  if (edit.next_file) append_numbers(to, kNextFile, {edit.next_file->value});
  if (edit.next_keyspace) append_numbers(to, kNextKeyspace, {edit.next_keyspace->id});
  if (edit.lease) append_numbers(to, kLease, {edit.lease->nanos});
  if (edit.log_start) append_numbers(to, kLogStart, {edit.log_start->value});
  if (edit.last_timestamp) append_numbers(to, kLastTimestamp, {edit.last_timestamp->nanos});
  if (edit.log_end) append_numbers(to, kLogEnd, {edit.log_end->value});
}

Result<LevelsEdit> decode_edit(std::string_view from) {
  LevelsEdit edit;
  Decoder fields(from);
  while (fields.ok() && fields.remaining() != 0) {
    const size_t at = fields.offset();
    const uint64_t tag = fields.varint();
    Decoder field(fields.sized());
    if (!fields.ok()) break;
    switch (tag) {
      case kAddFile:
      case kAddUndated:
        edit.added.push_back(decode_file(&field, /*undated=*/tag == kAddUndated));
        break;
      case kRemoveFile:
        edit.removed.push_back({.keyspace = {field.varint32()}, .number = {field.varint()}});
        break;
      case kAddKeyspace:
        edit.keyspaces_added.push_back(decode_keyspace(&field));
        break;
      case kDropKeyspace:
        edit.keyspaces_dropped.push_back(
            {.keyspace = {field.varint32()}, .dropped = {field.varint()}});
        break;
      case kFlushed:
        edit.flushed.push_back({.keyspace = {field.varint32()}, .lsn = {field.varint()}});
        break;
      case kWatermark:
        edit.watermarks.push_back({.keyspace = {field.varint32()}, .watermark = {field.varint()}});
        break;
      case kNextFile:
        edit.next_file = FileNumber{field.varint()};
        break;
      case kNextKeyspace:
        edit.next_keyspace = Keyspace{field.varint32()};
        break;
      case kLease:
        edit.lease = Timestamp{field.varint()};
        if (*edit.lease >= kTimestampLimit) field.fail();
        break;
      case kLogStart:
        edit.log_start = Lsn{field.varint()};
        break;
      case kLastTimestamp:
        edit.last_timestamp = Timestamp{field.varint()};
        if (*edit.last_timestamp >= kTimestampLimit) field.fail();
        break;
      case kLogEnd:
        edit.log_end = Lsn{field.varint()};
        break;
      default:
        if (tag % 2 == 0) {
          return Status::not_supported(
              format("manifest field %llu at byte %zu is unknown to this build",
                     static_cast<unsigned long long>(tag), at));
        }
        continue;
    }
    if (!field.done()) {
      return Status::corruption(format("manifest field %llu at byte %zu is malformed",
                                       static_cast<unsigned long long>(tag), at));
    }
  }
  if (!fields.ok()) {
    return Status::corruption(
        format("manifest record is cut off at byte %zu of %zu", fields.offset(), from.size()));
  }
  return edit;
}

}  // namespace varve
