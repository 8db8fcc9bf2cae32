// Names of the files of a database directory. They derive from numbers, which only grow and are
// never reused:
//
//   CURRENT        which manifest is in force (replaced by rename)
//   LOCK           held by the owner
//   LOG, LOG.old   text for people
//   STATS          statistics, published for tools beside a running owner
//   000012.sst     sstable;  000015.val  values that sstables point to
//   000013.wal     log segment;  000013.free  a log segment kept for reuse
//   000001.manifest
//   CURRENT.tmp, STATS.tmp   unfinished; removed when the database is opened

#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace varve {

struct FileNumber {
  uint64_t value = 0;
  friend auto operator<=>(const FileNumber&, const FileNumber&) = default;
};

enum class FileType : uint8_t {
  sstable,
  values,
  wal,
  free_wal,
  manifest,
  current,
  lock,
  log,
  stats,
  temporary,
  foreign,  // none of ours
};

struct FileName {
  FileType type = FileType::foreign;
  FileNumber number;  // of the numbered types
};

// Parses a name without its directory.
FileName parse_file_name(std::string_view name);

std::string temporary_name(std::string_view name);  // of what will be renamed to `name`
std::string sstable_name(FileNumber number);
std::string value_file_name(FileNumber number);
std::string wal_name(FileNumber number);
std::string free_wal_name(FileNumber number);
std::string manifest_name(FileNumber number);
inline constexpr const char* kCurrentName = "CURRENT";
inline constexpr const char* kLockName = "LOCK";
inline constexpr const char* kLogName = "LOG";
inline constexpr const char* kStatsName = "STATS";

inline std::string path_in(const std::string& directory, std::string_view name) {
  return directory + "/" + std::string(name);
}

}  // namespace varve
