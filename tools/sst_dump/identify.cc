// identify: what a file is, by its content, and whether it bears the right name.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/format.h"
#include "lsm/current_file.h"
#include "lsm/file_names.h"
#include "lsm/manifest.h"
#include "lsm/wal_format.h"
#include "tools/common/quantity_text.h"
#include "tools/common/text_escape.h"
#include "tools/sst_dump/commands.h"
#include "tools/sst_dump/value_parts.h"

namespace varve::sst_dump {

namespace {

constexpr size_t kBytesRead = 256;  // more than any header

struct Identity {
  std::string what = "other";
  FileType type = FileType::foreign;  // whose content this is
  std::string details;
  Status damage;  // it is that, but damaged
};

bool begins_with_magic(std::string_view bytes, uint64_t magic) {
  return bytes.size() >= sizeof magic && load_le<uint64_t>(bytes.data()) == magic;
}

Identity identify_sstable(Context* context, const std::string& path) {
  Identity identity{.what = "sstable", .type = FileType::sstable, .details = {}, .damage = {}};
  const Result<std::unique_ptr<SstableParts>> parts =
      SstableParts::open(context->files(), path, context->memory());
  if (!parts.ok()) {
    identity.damage = parts.status();
    return identity;
  }
  identity.details = "id " + id_text((*parts)->id());
  const Result<SstableProperties> properties = (*parts)->properties();
  if (!properties.ok()) {
    identity.damage = properties.status();
  } else {
    identity.details += format(", keyspace %u, ", properties->keyspace) +
                        tools::counted(properties->versions, "version");
  }
  return identity;
}

Identity identify_values(Context* context, const std::string& path) {
  Identity identity{
      .what = "file of values", .type = FileType::values, .details = {}, .damage = {}};
  const Result<std::unique_ptr<ValueParts>> parts =
      ValueParts::open(context->files(), path, context->memory());
  if (!parts.ok()) {
    identity.damage = parts.status();
    return identity;
  }
  identity.details =
      "id " + id_text((*parts)->id()) + ", " + tools::counted((*parts)->footer().values, "value");
  return identity;
}

Identity identify_log_segment(const std::string& path, std::string_view bytes) {
  Identity identity{.what = "log segment", .type = FileType::wal, .details = {}, .damage = {}};
  if (bytes.size() < kWalHeaderSize) {
    identity.damage = Status::corruption(path + " at offset 0: the header is cut off");
    return identity;
  }
  const Result<WalSegmentHeader> header =
      decode_wal_segment_header(bytes.substr(0, kWalHeaderSize));
  if (!header.ok()) {
    identity.damage = header.status().with_context(path + " at offset 0");
    return identity;
  }
  identity.details = format("id %s, database %s, number %llu, begins at LSN %llu",
                            id_text(header->file).c_str(), id_text(header->database).c_str(),
                            static_cast<unsigned long long>(header->number.value),
                            static_cast<unsigned long long>(header->start.value));
  return identity;
}

Identity identify_manifest(Context* context, const std::string& path) {
  Identity identity{.what = "manifest", .type = FileType::manifest, .details = {}, .damage = {}};
  uint64_t edits = 0;
  const Result<ManifestState> state =
      read_manifest(context->files(), path, nullptr,
                    [&edits](uint64_t /*offset*/, const LevelsEdit& /*edit*/) { ++edits; });
  if (!state.ok()) {
    identity.damage = state.status();
    return identity;
  }
  uint64_t files = 0;
  for (const auto& [id, keyspace] : state->keyspaces) files += keyspace.files.size();
  identity.details = "database " + id_text(state->database) + ", " + tools::counted(edits, "edit") +
                     ", " + tools::counted(state->keyspaces.size(), "keyspace") + ", " +
                     tools::counted(files, "sstable");
  return identity;
}

bool is_text(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t' || c == '\r';
  });
}

Identity identify_bytes(Context* context, const std::string& path, std::string_view bytes) {
  if (begins_with_magic(bytes, kSstableMagic)) return identify_sstable(context, path);
  if (begins_with_magic(bytes, kValueFileMagic)) return identify_values(context, path);
  if (begins_with_magic(bytes, kWalMagic)) return identify_log_segment(path, bytes);
  if (begins_with_magic(bytes, kManifestMagic)) return identify_manifest(context, path);
  Identity identity;
  if (bytes.starts_with(kCurrentFirstWord)) {
    identity.what = "CURRENT";
    identity.type = FileType::current;
    const Result<CurrentManifest> current = decode_current(bytes);
    identity.damage = current.ok() ? Status() : current.status().with_context(path);
    if (current.ok()) identity.details = "names " + manifest_name(current->number);
  } else if (bytes.empty()) {
    identity.details = "empty";
  } else if (bytes.find_first_not_of('\0') == std::string_view::npos) {
    identity.details = "begins with zeros";
  } else if (is_text(bytes)) {
    identity.details = "text";
  }
  return identity;
}

const char* described(FileType type) {
  switch (type) {
    case FileType::sstable:
      return "an sstable";
    case FileType::values:
      return "a file of values";
    case FileType::wal:
    case FileType::free_wal:
      return "a log segment";
    case FileType::manifest:
      return "a manifest";
    case FileType::current:
      return "CURRENT";
    default:
      return "something else";
  }
}

// What a name promises of the content; foreign: nothing.
FileType promised(const std::string& path) {
  const FileType type = parse_file_name(path.substr(path.rfind('/') + 1)).type;
  switch (type) {
    case FileType::sstable:
    case FileType::values:
    case FileType::wal:
    case FileType::manifest:
    case FileType::current:
      return type;
    default:  // free segments may hold anything; the others are no binary formats
      return FileType::foreign;
  }
}

}  // namespace

void identify_file(Context* context, const std::string& path) {
  const Result<std::unique_ptr<File>> file = context->files()->open(path, OpenMode::read);
  if (!file.ok()) return context->problem(file.status());
  const Result<uint64_t> size = (*file)->size();
  if (!size.ok()) return context->problem(size.status());
  char bytes[kBytesRead];
  const Result<size_t> got = (*file)->read(0, bytes, sizeof bytes);
  if (!got.ok()) return context->problem(got.status());
  const Identity identity = identify_bytes(context, path, {bytes, *got});

  const FileType name_says = promised(path);
  const bool misnamed = name_says != FileType::foreign && name_says != identity.type;
  if (context->options().json) {
    nlohmann::ordered_json object = new_object(path, identity.what);
    object["size"] = *size;
    if (!identity.details.empty()) object["details"] = identity.details;
    object["damaged"] = !identity.damage.ok();
    context->out().json(object);
  } else {
    std::string line = tools::escape(path) + ": " + identity.what;
    if (!identity.damage.ok()) line += ", damaged";
    line += ", " + tools::counted(*size, "byte");
    if (!identity.details.empty()) line += ", " + identity.details;
    context->out().line(line);
  }
  if (!identity.damage.ok()) context->problem(identity.damage);
  if (misnamed) {
    context->problem(Status::corruption(path + " at offset 0: named as " + described(name_says) +
                                        ", but this is no such file"));
  }
}

}  // namespace varve::sst_dump
