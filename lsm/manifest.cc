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

// Reserved when a manifest is begun, so that a full disk does not first show here (protocol 17).
constexpr uint64_t kManifestReserve = 256 << 10;
constexpr int kRereads = 3;

size_t padded(size_t size) { return (size + 7) & ~size_t{7}; }

std::string hex(uint64_t value) {
  return format("%016llx", static_cast<unsigned long long>(value));
}

constexpr size_t kHeaderChecked = kManifestHeaderSize - sizeof(uint64_t);

std::string encode_header(const FileId& id, FileNumber number, const DatabaseId& database) {
  char bytes[kManifestHeaderSize];
  store_le(bytes, kManifestMagic);
  store_le(bytes + 8, kManifestVersion);
  store_le(bytes + 12, uint32_t{0});
  store_le(bytes + 16, id.high);
  store_le(bytes + 24, id.low);
  store_le(bytes + 32, number.value);
  store_le(bytes + 40, database.high);
  store_le(bytes + 48, database.low);
  store_le(bytes + kHeaderChecked, checksum({bytes, kHeaderChecked}, id, 0));
  return std::string(bytes, sizeof bytes);
}

struct Header {
  FileId id;
  DatabaseId database;
};

Result<Header> decode_header(std::string_view bytes) {
  Decoder decoder(bytes);
  Header header;
  const uint64_t magic = decoder.u64();
  const uint32_t version = decoder.u32();
  const uint32_t features = decoder.u32();
  header.id.high = decoder.u64();
  header.id.low = decoder.u64();
  decoder.u64();
  header.database.high = decoder.u64();
  header.database.low = decoder.u64();
  const uint64_t expected = decoder.u64();
  if (!decoder.ok()) {
    return Status::corruption(format("header at offset 0: cut off at %zu bytes of %zu",
                                     bytes.size(), kManifestHeaderSize));
  }
  if (magic != kManifestMagic) {
    return Status::corruption("no manifest header at offset 0: " + hex(magic) + ", expected " +
                              hex(kManifestMagic));
  }
  if (version > kManifestVersion || features != 0) {
    return Status::not_supported(
        format("manifest format version %u, features %08x: this build reads version %u", version,
               features, kManifestVersion));
  }
  const uint64_t found = checksum(bytes.substr(0, kHeaderChecked), header.id, 0);
  if (found != expected) {
    return Status::corruption("header at offset 0: checksum " + hex(found) + ", expected " +
                              hex(expected));
  }
  return header;
}

// The newest mark that is sound; nothing if none is.
std::optional<ManifestMark> newest_mark(std::string_view bytes, const FileId& id) {
  std::optional<ManifestMark> newest;
  for (const uint64_t page : {0, 1}) {
    for (const size_t copy : {0, 1}) {
      const size_t offset = manifest_mark_offset(page, copy);
      if (offset + kManifestMarkSize > bytes.size()) continue;
      const char* const mark = bytes.data() + offset;
      if (load_le<uint64_t>(mark) != checksum({mark + 8, kManifestMarkSize - 8}, id, offset)) {
        continue;
      }
      const uint64_t records = load_le<uint64_t>(mark + 16);
      if (newest && newest->records >= records) continue;
      newest = {.size = load_le<uint64_t>(mark + 8), .records = records};
    }
  }
  return newest;
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

struct Contents {
  std::string bytes;
  Header header;
  ManifestMark mark;
};

Result<Contents> read_contents(FileSystem* file_system, const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(std::string bytes, read_whole_file(file_system, path, kManifestBytesMax));
  const Result<Header> header =
      decode_header(std::string_view(bytes).substr(0, std::min(bytes.size(), kManifestHeaderSize)));
  if (!header.ok()) return header.status().with_context(path);
  const std::optional<ManifestMark> mark = newest_mark(bytes, header->id);
  if (!mark) {
    return Status::corruption(format("%s at offset %zu: no mark says how far records go",
                                     path.c_str(), kManifestMarksOffset));
  }
  return Contents{.bytes = std::move(bytes), .header = *header, .mark = *mark};
}

}  // namespace

void encode_manifest_mark(char* to, const ManifestMark& mark, const FileId& file, uint64_t offset) {
  store_le(to + 8, mark.size);
  store_le(to + 16, mark.records);
  store_le(to + 24, uint64_t{0});
  store_le(to, checksum({to + 8, kManifestMarkSize - 8}, file, offset));
}

namespace {

constexpr size_t kNodeBytes = 48;  // of a map, beside what it holds

size_t bytes_of(const AddedFile& file) {
  return kNodeBytes + sizeof(AddedFile) + file.info.smallest_key.size() +
         file.info.largest_key.size();
}
size_t bytes_of(const ManifestState::KeyspaceState& keyspace) {
  size_t bytes = kNodeBytes + sizeof keyspace + keyspace.name.size();
  for (const auto& [number, file] : keyspace.files) bytes += bytes_of(file);
  return bytes;
}

}  // namespace

Status ManifestState::apply(const LevelsEdit& edit) {
  for (const AddedKeyspace& added : edit.keyspaces_added) {
    if (added.keyspace.id >= kKeyspacesMax) {
      return Status::corruption(
          format("manifest: keyspace %u: ids are below %u", added.keyspace.id, kKeyspacesMax));
    }
    const auto [place, fresh] =
        keyspaces.emplace(added.keyspace.id, KeyspaceState{.name = added.name,
                                                           .options = added.options,
                                                           .created = added.created,
                                                           .flushed = added.flushed,
                                                           .watermark = {},
                                                           .files = {}});
    if (!fresh) {
      return Status::corruption(format("manifest: keyspace %u is added twice", added.keyspace.id));
    }
    memory_bytes += bytes_of(place->second);
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
    const auto file = keyspace->files.find(removed.number.value);
    if (file == keyspace->files.end()) {
      return Status::corruption(format("manifest: file %llu is removed, but not there",
                                       static_cast<unsigned long long>(removed.number.value)));
    }
    memory_bytes -= bytes_of(file->second);
    keyspace->files.erase(file);
  }
  for (const AddedFile& added : edit.added) {
    KeyspaceState* keyspace = keyspace_of(added.keyspace);
    if (keyspace == nullptr) return unknown(added.keyspace);
    if (!keyspace->files.emplace(added.info.number.value, added).second) {
      return Status::corruption(format("manifest: file %llu is added twice",
                                       static_cast<unsigned long long>(added.info.number.value)));
    }
    memory_bytes += bytes_of(added);
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
    const auto keyspace = keyspaces.find(dropped.keyspace.id);
    if (keyspace == keyspaces.end()) return unknown(dropped.keyspace);
    memory_bytes -= bytes_of(keyspace->second);
    keyspaces.erase(keyspace);
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
  status = write_current(file_system, directory, {.number = number, .file = id});
  if (!status.ok()) {
    // It may be the one in force, whatever was answered: unless CURRENT still names another.
    const Result<CurrentManifest> current = read_current(file_system, directory);
    if (current.ok() && current->number != number) static_cast<void>(file_system->remove(path));
    return status;
  }
  writer->first_size_ = writer->offset_;
  return writer;
}

Status ManifestWriter::begin(const ManifestState& state) {
  if (Status status = file_->allocate(kManifestReserve, /*keep_size=*/true);
      !status.ok() && status.code() != StatusCode::not_supported) {
    return status;
  }
  VARVE_RETURN_IF_ERROR(file_->write(0, encode_header(id_, number_, state.database)));
  // Nothing names the file yet, so that the mark may come before what it says.
  VARVE_RETURN_IF_ERROR(write_record(state.as_edit()));
  VARVE_RETURN_IF_ERROR(write_mark());
  return file_->sync();
}

Status ManifestWriter::append(const LevelsEdit& edit) {
  if (failed_) return Status::read_only("the manifest failed before");
  Status status = write_record(edit);
  VARVE_SYNC_POINT("manifest_appended");
  if (status.code() == StatusCode::no_space) return status;  // written again, in the same place
  if (status.ok()) status = sync();
  if (status.ok()) status = write_mark();
  // On a file system that copies on write. The mark before stays true, and the next one says more.
  if (status.code() == StatusCode::no_space) status = Status();
  failed_ = !status.ok();
  return status;
}

Status ManifestWriter::sync() {
  Status status = file_->sync();
  // Whatever the reason, a failed sync does not heal.
  if (status.code() == StatusCode::no_space) {
    status = Status::io_error(std::string(status.message()));
  }
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
  if (offset_ + record.size() > kManifestBytesMax) {
    return Status::not_supported(format("a manifest of more than %llu bytes",
                                        static_cast<unsigned long long>(kManifestBytesMax)));
  }
  VARVE_RETURN_IF_ERROR(file_->write(offset_, record));
  offset_ += record.size();
  ++records_;
  return Status();
}

Status ManifestWriter::write_mark() {
  std::string bytes(kManifestMarkStride + kManifestMarkSize, '\0');
  for (const size_t copy : {0, 1}) {
    encode_manifest_mark(bytes.data() + copy * kManifestMarkStride,
                         {.size = offset_, .records = records_}, id_,
                         manifest_mark_offset(records_, copy));
  }
  return file_->write(manifest_mark_offset(records_, 0), bytes);
}

Status ManifestWriter::close() {
  Status status = failed_ ? Status() : sync();
  Status closed = file_->close();
  return status.ok() ? std::move(closed) : std::move(status);
}

Result<ManifestState> read_manifest(FileSystem* file_system, const std::string& path,
                                    const FileId* expected,
                                    const std::function<void(uint64_t, const LevelsEdit&)>& each) {
  VARVE_ASSIGN_OR_RETURN(Contents contents, read_contents(file_system, path));
  // A tool may read beside an owner, who appends and marks between two looks of ours.
  for (int more = kRereads; more > 0 && contents.mark.size > contents.bytes.size(); --more) {
    VARVE_ASSIGN_OR_RETURN(contents, read_contents(file_system, path));
  }
  const std::string_view bytes = contents.bytes;
  const FileId& id = contents.header.id;
  const ManifestMark& mark = contents.mark;
  if (expected != nullptr && *expected != id) {
    return Status::corruption(path + ": file id " + id_text(id) + "; CURRENT expects " +
                              id_text(*expected));
  }
  ManifestState state;
  state.database = contents.header.database;
  size_t offset = kManifestRecordsOffset;
  uint64_t records = 0;
  while (const std::optional<std::string_view> payload = record_at(bytes, offset, id)) {
    const std::string where = format("%s at offset %zu", path.c_str(), offset);
    Result<LevelsEdit> edit = decode_edit(*payload);
    if (!edit.ok()) return edit.status().with_context(where);
    if (each) each(offset, *edit);
    Status applied = state.apply(*edit);
    if (!applied.ok()) return applied.with_context(where);
    ++records;
    offset += padded(kManifestRecordHeaderSize + payload->size());
  }
  if (records == 0 || records < mark.records || offset < mark.size) {
    return Status::corruption(
        format("%s at offset %zu: damaged, or cut off: %llu records were here, up to offset %llu",
               path.c_str(), offset, static_cast<unsigned long long>(mark.records),
               static_cast<unsigned long long>(mark.size)));
  }
  return state;
}

}  // namespace varve
