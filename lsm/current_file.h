// CURRENT: which manifest is in force. One line of text, so that a person can read it, replaced by
// rename:
//
//   varve-current VERSION FEATURES NNNNNN.manifest HIGH LOW SUM\n
//
//   VERSION   decimal: kCurrentVersion     FEATURES  8 hexadecimal digits: flags, 0
//   HIGH LOW  the manifest's file id, 16 hexadecimal digits each
//   SUM       16 hexadecimal digits: the checksum of all before " SUM", with file id 0 at offset 0
//
// A line of any version begins with "varve-current VERSION FEATURES " and ends with " SUM\n": so
// damage is told from a newer format.

#pragma once

#include <string>
#include <string_view>

#include "base/hash.h"
#include "lsm/file_names.h"
#include "varve/file_system.h"

namespace varve {

inline constexpr std::string_view kCurrentFirstWord = "varve-current ";
inline constexpr uint32_t kCurrentVersion = 1;

struct CurrentManifest {
  FileNumber number;
  FileId file;
  friend bool operator==(const CurrentManifest&, const CurrentManifest&) = default;
};

std::string encode_current(const CurrentManifest& current);
// Errors: corruption; not_supported (newer).
Result<CurrentManifest> decode_current(std::string_view line);

// Makes CURRENT in `directory` name that manifest, durably. After an error, either is named.
Status write_current(FileSystem* file_system, const std::string& directory,
                     const CurrentManifest& current);
// Errors: not_found (there is none); corruption, not_supported, io_error, naming file and offset.
Result<CurrentManifest> read_current(FileSystem* file_system, const std::string& directory);

}  // namespace varve
