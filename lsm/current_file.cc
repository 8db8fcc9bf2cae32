#include "lsm/current_file.h"

#include <charconv>

#include "base/assert.h"
#include "base/format.h"
#include "base/sync_point.h"
#include "lsm/file_contents.h"

namespace varve {

namespace {

constexpr size_t kSumSize = 1 + 16 + 1;  // " SUM\n"
// Far beyond what any version needs.
constexpr uint64_t kSizeMax = 256;

std::string sum_of(std::string_view content) {
  return format("%016llx",
                static_cast<unsigned long long>(checksum(content, FileId{}, /*offset=*/0)));
}

// Takes the next word and the space behind it.
std::string_view take_word(std::string_view* text) {
  const size_t size = std::min(text->find(' '), text->size());
  const std::string_view word = text->substr(0, size);
  text->remove_prefix(std::min(size + 1, text->size()));
  return word;
}

template <typename Number>
bool parse_number(std::string_view word, int base, Number* value) {
  const auto parsed = std::from_chars(word.data(), word.data() + word.size(), *value, base);
  return parsed.ec == std::errc() && parsed.ptr == word.data() + word.size();
}

}  // namespace

std::string encode_current(const CurrentManifest& current) {
  const std::string content = format(
      "%s%u %08x %s %016llx %016llx", std::string(kCurrentFirstWord).c_str(), kCurrentVersion, 0u,
      manifest_name(current.number).c_str(), static_cast<unsigned long long>(current.file.high),
      static_cast<unsigned long long>(current.file.low));
  return content + " " + sum_of(content) + "\n";
}

Result<CurrentManifest> decode_current(std::string_view line) {
  const auto bad = [&](const std::string& expected) {
    return Status::corruption("at offset 0: expected " + expected + ", found " + readable(line));
  };
  if (!line.starts_with(kCurrentFirstWord) || line.size() < kCurrentFirstWord.size() + kSumSize ||
      line.back() != '\n') {
    return bad("a line that names a manifest");
  }
  const std::string_view content = line.substr(0, line.size() - kSumSize);
  const std::string_view sum = line.substr(content.size() + 1, 16);
  if (line[content.size()] != ' ' || sum != sum_of(content)) {
    return bad("the checksum " + sum_of(content));
  }
  std::string_view rest = content.substr(kCurrentFirstWord.size());
  uint32_t version = 0;
  uint32_t features = 0;
  if (!parse_number(take_word(&rest), 10, &version) ||
      !parse_number(take_word(&rest), 16, &features)) {
    return bad("format version and feature flags");
  }
  if (version > kCurrentVersion || features != 0) {
    return Status::not_supported(
        format("format version %u, features %08x: this build reads version %u", version, features,
               kCurrentVersion));
  }
  CurrentManifest current;
  const FileName name = parse_file_name(take_word(&rest));
  if (name.type != FileType::manifest) return bad("a manifest's name");
  current.number = name.number;
  if (!parse_number(take_word(&rest), 16, &current.file.high) ||
      !parse_number(take_word(&rest), 16, &current.file.low) || !rest.empty()) {
    return bad("a manifest's file id");
  }
  return current;
}

Status write_current(FileSystem* file_system, const std::string& directory,
                     const CurrentManifest& current) {
  const std::string path = path_in(directory, kCurrentName);
  const std::string temporary = path_in(directory, temporary_name(kCurrentName));
  if (Status status = file_system->remove(temporary);
      !status.ok() && status.code() != StatusCode::not_found) {
    return status;
  }
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file,
                         file_system->open(temporary, OpenMode::create_exclusive));
  VARVE_RETURN_IF_ERROR(file->write(0, encode_current(current)));
  VARVE_RETURN_IF_ERROR(file->sync());
  VARVE_RETURN_IF_ERROR(file->close());
  VARVE_SYNC_POINT("current_written");
  VARVE_RETURN_IF_ERROR(file_system->rename(temporary, path, /*replace=*/true));
  return file_system->sync_directory(directory);
}

Result<CurrentManifest> read_current(FileSystem* file_system, const std::string& directory) {
  const std::string path = path_in(directory, kCurrentName);
  VARVE_ASSIGN_OR_RETURN(const std::string line, read_whole_file(file_system, path, kSizeMax));
  Result<CurrentManifest> current = decode_current(line);
  if (!current.ok()) return current.status().with_context(path);
  return current;
}

}  // namespace varve
