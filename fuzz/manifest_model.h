// Edits as a fuzz target makes them up, and the sealed records of a manifest file whose bytes may
// be anything.

#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "fuzz/check.h"
#include "lsm/manifest.h"

namespace varve::fuzz {

// What two equal edits, or states as edits, have in common and unequal ones have not.
inline std::string text_of(const LevelsEdit& edit) {
  std::string text;
  encode_edit(edit, &text);
  return text;
}

// A change that `state` can take: mostly of what is there.
inline LevelsEdit make_edit(const ManifestState& state, Input* input) {
  LevelsEdit edit;
  const uint16_t parts = input->u16();
  const auto some_keyspace = [&]() -> std::optional<Keyspace> {
    if (state.keyspaces.empty()) return std::nullopt;
    auto at = state.keyspaces.begin();
    std::advance(at, input->u8() % state.keyspaces.size());
    return Keyspace{at->first};
  };
  if ((parts & 1) != 0) {
    AddedKeyspace added{.keyspace = {static_cast<uint32_t>(input->magnitude() % kKeyspacesMax)},
                        .name = std::string(input->piece(1 + input->u8() % 255)),
                        .options = {},
                        .created = {input->magnitude()},
                        .flushed = {input->magnitude()}};
    if (added.name.empty()) added.name = "n";
    if (input->flag()) added.options.durability = static_cast<Durability>(input->u8() % 4);
    if (input->flag()) {
      // A retention is not negative; it may be the longest there is.
      added.options.history_retention =
          std::chrono::nanoseconds(static_cast<int64_t>(input->magnitude() >> 1));
    }
    if (!state.keyspaces.contains(added.keyspace.id)) edit.keyspaces_added.push_back(added);
  }
  if ((parts & 2) != 0) {
    for (const std::optional<Keyspace> keyspace = some_keyspace(); keyspace;) {
      const auto& files = state.keyspaces.at(keyspace->id).files;
      if (!files.empty()) edit.removed.push_back({*keyspace, {files.begin()->first}});
      break;
    }
  }
  if ((parts & 4) != 0) {
    if (const std::optional<Keyspace> keyspace = some_keyspace()) {
      AddedFile file{.keyspace = *keyspace, .run = {input->magnitude()}, .info = {}};
      SstableInfo& info = file.info;
      info.number = {input->magnitude()};
      info.id = {input->u64(), input->u64()};
      info.file_size = input->magnitude();
      info.smallest_key = input->piece(1 + input->u8() % 32);
      info.largest_key = info.smallest_key + std::string(input->piece(input->u8() % 32));
      info.versions = input->magnitude();
      info.tombstones = input->magnitude();
      info.timestamp_min = {input->magnitude()};
      info.timestamp_max = {input->magnitude()};
      info.collapse_horizon = {input->magnitude()};
      info.raw_bytes = input->magnitude();
      if (!state.keyspaces.at(keyspace->id).files.contains(info.number.value)) {
        edit.added.push_back(std::move(file));
      }
    }
  }
  if ((parts & 8) != 0) {
    if (const auto keyspace = some_keyspace()) {
      edit.flushed.push_back({*keyspace, {input->magnitude()}});
    }
  }
  if ((parts & 16) != 0) {
    if (const auto keyspace = some_keyspace()) {
      edit.watermarks.push_back({*keyspace, {input->magnitude()}});
    }
  }
  if ((parts & 32) != 0) edit.next_file = FileNumber{input->magnitude()};
  if ((parts & 64) != 0) edit.next_keyspace = Keyspace{static_cast<uint32_t>(input->magnitude())};
  if ((parts & 128) != 0) edit.lease = Timestamp{input->magnitude() >> 1};
  if ((parts & 256) != 0) edit.log_start = Lsn{input->magnitude()};
  if ((parts & 0x1000) != 0) edit.log_end = Lsn{input->magnitude()};
  if ((parts & 512) != 0) edit.last_timestamp = Timestamp{input->magnitude() >> 1};
  if ((parts & 0xc00) == 0xc00) {
    if (const auto keyspace = some_keyspace()) {
      edit.keyspaces_dropped.push_back({*keyspace, {input->magnitude()}});
    }
  }
  return edit;
}

// A record's place: header, payload, without the padding.
struct ManifestRecord {
  size_t offset = 0;
  size_t size = 0;
};

inline size_t padded_record_size(size_t size) { return (size + 7) & ~size_t{7}; }

// Records as their sizes say, from the first on, without a look at checksums.
inline std::vector<ManifestRecord> find_records(std::string_view file) {
  std::vector<ManifestRecord> records;
  size_t offset = kManifestRecordsOffset;
  while (offset + kManifestRecordHeaderSize <= file.size()) {
    const uint64_t size =
        uint64_t{kManifestRecordHeaderSize} + load_le<uint32_t>(file.data() + offset + 8);
    if (size > file.size() - offset) break;
    records.push_back({offset, size});
    offset += padded_record_size(size);
  }
  return records;
}

// The places of marks, in order.
inline std::vector<size_t> mark_offsets() {
  return {manifest_mark_offset(0, 0), manifest_mark_offset(0, 1), manifest_mark_offset(1, 0),
          manifest_mark_offset(1, 1)};
}

// A manifest without the room between header, marks and records, as inputs hold it; and back.
inline std::string without_gaps(std::string_view file) {
  std::string compact(file.substr(0, kManifestHeaderSize));
  for (const size_t offset : mark_offsets()) compact += file.substr(offset, kManifestMarkSize);
  return compact += file.substr(kManifestRecordsOffset);
}
inline std::string with_gaps(std::string_view compact) {
  const size_t marks_end = kManifestHeaderSize + mark_offsets().size() * kManifestMarkSize;
  if (compact.size() < marks_end) return std::string(compact);
  std::string file(compact.substr(0, kManifestHeaderSize));
  compact.remove_prefix(kManifestHeaderSize);
  for (const size_t offset : mark_offsets()) {
    file.resize(offset);
    file += compact.substr(0, kManifestMarkSize);
    compact.remove_prefix(kManifestMarkSize);
  }
  file.resize(kManifestRecordsOffset);
  return file.append(compact);
}

inline DatabaseId database_of_manifest(std::string_view file) {
  if (file.size() < kManifestHeaderSize) return {};
  return {load_le<uint64_t>(file.data() + 40), load_le<uint64_t>(file.data() + 48)};
}

// Gives the file the identity `id`, if any, and every mark and record it can be found in a true
// checksum. `random`: what is wrong besides is mostly put right, and now and then a checksum is
// left false.
inline void seal_manifest(std::string* file, const FileId* id, Random* random) {
  if (file->size() < kManifestRecordsOffset) return;
  const auto mends = [&](uint64_t n) { return random == nullptr || !random->one_in(n); };
  char* const header = file->data();
  if (mends(16)) store_le(header, kManifestMagic);
  if (mends(16)) store_le(header + 8, uint64_t{kManifestVersion});
  if (id != nullptr) {
    store_le(header + 16, id->high);
    store_le(header + 24, id->low);
  }
  const FileId own{load_le<uint64_t>(header + 16), load_le<uint64_t>(header + 24)};
  constexpr size_t kChecked = kManifestHeaderSize - 8;
  store_le(header + kChecked, checksum({header, kChecked}, own, 0));
  const std::vector<ManifestRecord> records = find_records(*file);
  for (const size_t offset : mark_offsets()) {
    char* const mark = file->data() + offset;
    if (random != nullptr && mends(4)) {
      const size_t count = records.size() - random->below(records.size() + 1) / 2;
      const size_t size =
          count == records.size() ? padded_record_size(file->size()) : records[count].offset;
      encode_manifest_mark(mark, {.size = size, .records = count}, own, offset);
    } else if (mends(32)) {
      store_le(mark, checksum({mark + 8, kManifestMarkSize - 8}, own, offset));
    }
  }
  for (const ManifestRecord& record : records) {
    char* const bytes = file->data() + record.offset;
    if (mends(32)) store_le(bytes + 12, uint32_t{1});
    if (mends(32)) store_le(bytes, checksum({bytes + 8, record.size - 8}, own, record.offset));
  }
}

// The checksum at the end of the line of CURRENT is made true.
inline void seal_current(std::string* line) {
  constexpr size_t kSumSize = 18;
  if (line->size() < kSumSize) return;
  const std::string_view content = std::string_view(*line).substr(0, line->size() - kSumSize);
  char sum[kSumSize + 1];
  std::snprintf(sum, sizeof sum, " %016llx\n",
                static_cast<unsigned long long>(checksum(content, FileId{}, 0)));
  line->replace(content.size(), kSumSize, sum, kSumSize);
}

}  // namespace varve::fuzz
