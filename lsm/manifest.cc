#include "lsm/manifest.h"

#include <algorithm>
#include <optional>

#include "base/assert.h"
#include "base/format.h"
#include "base/random.h"
#include "base/sync_point.h"
#include "lsm/current_file.h"
#include "lsm/file_contents.h"

namespace varve {

namespace {

// Far beyond what it needs.
constexpr uint64_t kManifestBytesMax = 256 << 20;
// Reserved when a manifest is begun, so that a full disk does not first show here (protocol 17).
constexpr uint64_t kManifestReserve = 256 << 10;
// The search for a record behind a damaged one may check this many times the file.
constexpr uint64_t kSearchEffort = 16;

size_t padded(size_t size) { return (size + 7) & ~size_t{7}; }

std::string hex(uint64_t value) {
  return format("%016llx", static_cast<unsigned long long>(value));
}

std::string encode_header(const FileId& id, FileNumber number) {
  char bytes[kManifestHeaderSize];
  store_le(bytes, kManifestMagic);
  store_le(bytes + 8, kManifestVersion);
  store_le(bytes + 12, uint32_t{0});
  store_le(bytes + 16, id.high);
  store_le(bytes + 24, id.low);
  store_le(bytes + 32, number.value);
  store_le(bytes + 40, checksum({bytes, kManifestHeaderSize - 8}, id, 0));
  return std::string(bytes, sizeof bytes);
}

Result<FileId> decode_header(std::string_view bytes) {
  Decoder decoder(bytes);
  const uint64_t magic = decoder.u64();
  const uint32_t version = decoder.u32();
  const uint32_t features = decoder.u32();
  FileId id;
  id.high = decoder.u64();
  id.low = decoder.u64();
  decoder.u64();
  const uint64_t expected = decoder.u64();
  if (!decoder.ok() || magic != kManifestMagic) {
    return Status::corruption("no manifest header at offset 0");
  }
  if (version > kManifestVersion || features != 0) {
    return Status::not_supported(
        format("manifest format version %u, features %08x: this build reads version %u", version,
               features, kManifestVersion));
  }
  const uint64_t found = checksum(bytes.substr(0, kManifestHeaderSize - 8), id, 0);
  if (found != expected) {
    return Status::corruption("header at offset 0: checksum " + hex(found) + ", expected " +
                              hex(expected));
  }
  return id;
}

// The payload of the record at `offset`; nothing if no valid record stands there.
std::optional<std::string_view> record_at(std::string_view bytes, size_t offset, const FileId& id) {
  if (offset + kManifestRecordHeaderSize > bytes.size()) return std::nullopt;
  const char* record = bytes.data() + offset;
  const uint32_t size = load_le<uint32_t>(record + 8);
  if (load_le<uint32_t>(record + 12) != 1 ||
      size > bytes.size() - offset - kManifestRecordHeaderSize ||
      load_le<uint64_t>(record) !=
          checksum({record + 8, kManifestRecordHeaderSize - 8 + size}, id, offset)) {
    return std::nullopt;
  }
  return bytes.substr(offset + kManifestRecordHeaderSize, size);
}

}  // namespace

Status ManifestState::apply(const LevelsEdit& edit) {
  for (const AddedKeyspace& added : edit.keyspaces_added) {
    if (added.keyspace.id >= kKeyspacesMax) {
      return Status::corruption(
          format("manifest: keyspace %u: ids are below %u", added.keyspace.id, kKeyspacesMax));
    }
    const bool fresh = keyspaces
                           .emplace(added.keyspace.id, KeyspaceState{.name = added.name,
                                                                     .options = added.options,
                                                                     .created = added.created,
                                                                     .flushed = added.flushed,
                                                                     .watermark = {},
                                                                     .files = {}})
                           .second;
    if (!fresh) {
      return Status::corruption(format("manifest: keyspace %u is added twice", added.keyspace.id));
    }
  }
  const auto keyspace_of = [&](Keyspace keyspace) {
    const auto found = keyspaces.find(keyspace.id);
    return found == keyspaces.end() ? nullptr : &found->second;
  };
  const auto unknown = [](Keyspace keyspace) {
    return Status::corruption(format("manifest: keyspace %u is unknown", keyspace.id));
  };
  for (const RemovedFile& removed : edit.removed) {
    KeyspaceState* keyspace = keyspace_of(removed.keyspace);
    if (keyspace == nullptr) return unknown(removed.keyspace);
    if (keyspace->files.erase(removed.number.value) == 0) {
      return Status::corruption(format("manifest: file %llu is removed, but not there",
                                       static_cast<unsigned long long>(removed.number.value)));
    }
  }
  for (const AddedFile& added : edit.added) {
    KeyspaceState* keyspace = keyspace_of(added.keyspace);
    if (keyspace == nullptr) return unknown(added.keyspace);
    if (!keyspace->files.emplace(added.info.number.value, added).second) {
      return Status::corruption(format("manifest: file %llu is added twice",
                                       static_cast<unsigned long long>(added.info.number.value)));
    }
  }
  for (const FlushedPosition& flushed : edit.flushed) {
    KeyspaceState* keyspace = keyspace_of(flushed.keyspace);
    if (keyspace == nullptr) return unknown(flushed.keyspace);
    keyspace->flushed = std::max(keyspace->flushed, flushed.lsn);
  }
  for (const KeyspaceWatermark& mark : edit.watermarks) {
    KeyspaceState* keyspace = keyspace_of(mark.keyspace);
    if (keyspace == nullptr) return unknown(mark.keyspace);
    keyspace->watermark = std::max(keyspace->watermark, mark.watermark);
  }
  for (const DroppedKeyspace& dropped : edit.keyspaces_dropped) {
    if (keyspaces.erase(dropped.keyspace.id) == 0) return unknown(dropped.keyspace);
  }
  if (edit.next_file) next_file = std::max(next_file, *edit.next_file);
  if (edit.next_keyspace) next_keyspace = std::max(next_keyspace, *edit.next_keyspace);
  if (edit.log_start) log_start = std::max(log_start, *edit.log_start);
  if (edit.lease) lease = *edit.lease;
  if (edit.last_timestamp) last_timestamp = *edit.last_timestamp;
  if (edit.log_end) log_end = std::max(log_end, *edit.log_end);
  return Status();
}

LevelsEdit ManifestState::as_edit() const {
  LevelsEdit edit;
  for (const auto& [id, keyspace] : keyspaces) {
    edit.keyspaces_added.push_back({.keyspace = {id},
                                    .name = keyspace.name,
                                    .options = keyspace.options,
                                    .created = keyspace.created,
                                    .flushed = keyspace.flushed});
    edit.watermarks.push_back({.keyspace = {id}, .watermark = keyspace.watermark});
    for (const auto& [number, file] : keyspace.files) edit.added.push_back(file);
  }
  edit.next_file = next_file;
  edit.next_keyspace = next_keyspace;
  edit.lease = lease;
  edit.log_start = log_start;
  edit.last_timestamp = last_timestamp;
  edit.log_end = log_end;
  return edit;
}

Result<std::unique_ptr<ManifestWriter>> ManifestWriter::create(FileSystem* file_system,
                                                               const std::string& directory,
                                                               FileNumber number,
                                                               const ManifestState& state) {
  const FileId id = random_file_id();
  const std::string path = path_in(directory, manifest_name(number));
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file,
                         file_system->open(path, OpenMode::create_exclusive));
  std::unique_ptr<ManifestWriter> writer(new ManifestWriter(std::move(file), id, number));
  Status status = writer->begin(state);
  if (status.ok()) status = file_system->sync_directory(directory);
  if (!status.ok()) {
    // Nothing names it; on a full disk it would be in the way of the next attempt.
    static_cast<void>(file_system->remove(path));
    return status;
  }
  VARVE_SYNC_POINT("manifest_created");
  // From here on it may be the one in force, whatever is answered.
  VARVE_RETURN_IF_ERROR(write_current(file_system, directory, {.number = number, .file = id}));
  return writer;
}

Status ManifestWriter::begin(const ManifestState& state) {
  if (Status status = file_->allocate(kManifestReserve, /*keep_size=*/true);
      !status.ok() && status.code() != StatusCode::not_supported) {
    return status;
  }
  VARVE_RETURN_IF_ERROR(file_->write(0, encode_header(id_, number_)));
  return append(state.as_edit());
}

Status ManifestWriter::append(const LevelsEdit& edit) {
  if (failed_) return Status::read_only("the manifest failed before");
  Status status = write_record(edit);
  VARVE_SYNC_POINT("manifest_appended");
  if (status.code() == StatusCode::no_space) return status;  // written again, in the same place
  if (status.ok()) {
    status = file_->sync();
    // Whatever the reason, a failed sync does not heal.
    if (status.code() == StatusCode::no_space) {
      status = Status::io_error(std::string(status.message()));
    }
  }
  failed_ = !status.ok();
  return status;
}

Status ManifestWriter::write_record(const LevelsEdit& edit) {
  std::string record(kManifestRecordHeaderSize, '\0');
  encode_edit(edit, &record);
  const size_t size = record.size() - kManifestRecordHeaderSize;
  store_le(record.data() + 8, static_cast<uint32_t>(size));
  store_le(record.data() + 12, uint32_t{1});
  store_le(record.data(), checksum(std::string_view(record).substr(8), id_, offset_));
  record.resize(padded(record.size()), '\0');
  VARVE_RETURN_IF_ERROR(file_->write(offset_, record));
  offset_ += record.size();
  return Status();
}

Status ManifestWriter::close() { return file_->close(); }

Result<ManifestState> read_manifest(FileSystem* file_system, const std::string& path,
                                    const FileId* expected,
                                    const std::function<void(uint64_t, const LevelsEdit&)>& each) {
  VARVE_ASSIGN_OR_RETURN(const std::string bytes,
                         read_whole_file(file_system, path, kManifestBytesMax));
  Result<FileId> id =
      decode_header(std::string_view(bytes).substr(0, std::min(bytes.size(), kManifestHeaderSize)));
  if (!id.ok()) return id.status().with_context(path);
  if (expected != nullptr && *expected != *id) {
    return Status::corruption(path + ": file id " + hex(id->high) + hex(id->low) +
                              "; CURRENT expects " + hex(expected->high) + hex(expected->low));
  }
  ManifestState state;
  size_t offset = kManifestHeaderSize;
  bool first = true;
  while (const std::optional<std::string_view> payload = record_at(bytes, offset, *id)) {
    const std::string where = format("%s at offset %zu", path.c_str(), offset);
    Result<LevelsEdit> edit = decode_edit(*payload);
    if (!edit.ok()) return edit.status().with_context(where);
    if (each) each(offset, *edit);
    Status applied = state.apply(*edit);
    if (!applied.ok()) return applied.with_context(where);
    first = false;
    offset += padded(kManifestRecordHeaderSize + payload->size());
  }
  // Synced one by one: only the last may be torn, and the first never, since CURRENT came after it.
  bool more = false;
  uint64_t effort = bytes.size() * kSearchEffort;
  for (size_t at = offset + 8; !more && at + kManifestRecordHeaderSize <= bytes.size(); at += 8) {
    const uint64_t size = load_le<uint32_t>(bytes.data() + at + 8);
    if (load_le<uint32_t>(bytes.data() + at + 12) != 1 || size > bytes.size() - at) continue;
    // Too much that looks like records to be a torn one: count it as damage.
    more = size > effort || record_at(bytes, at, *id).has_value();
    effort -= std::min(effort, size);
  }
  if (first || more) {
    return Status::corruption(format("%s at offset %zu: a record is damaged that was complete once",
                                     path.c_str(), offset));
  }
  return state;
}

}  // namespace varve
