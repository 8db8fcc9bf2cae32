#include "lsm/file_names.h"

#include <charconv>

#include "base/format.h"

namespace varve {

namespace {

std::string numbered(FileNumber number, const char* suffix) {
  return format("%06llu.%s", static_cast<unsigned long long>(number.value), suffix);
}

FileType type_of_suffix(std::string_view suffix) {
  if (suffix == "sst") return FileType::sstable;
  if (suffix == "val") return FileType::values;
  if (suffix == "wal") return FileType::wal;
  if (suffix == "free") return FileType::free_wal;
  if (suffix == "manifest") return FileType::manifest;
  return FileType::foreign;
}

}  // namespace

FileName parse_file_name(std::string_view name) {
  if (name == kCurrentName) return {.type = FileType::current, .number = {}};
  if (name == kLockName) return {.type = FileType::lock, .number = {}};
  if (name == kLogName || name == "LOG.old") return {.type = FileType::log, .number = {}};
  if (name == kStatsName) return {.type = FileType::stats, .number = {}};
  if (name == temporary_name(kCurrentName) || name == temporary_name(kStatsName)) {
    return {.type = FileType::temporary, .number = {}};
  }
  const size_t dot = name.find('.');
  // One name a number: leading zeros only up to six digits.
  if (dot == std::string_view::npos || dot < 6 || (dot > 6 && name[0] == '0')) return {};
  uint64_t number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + dot, number);
  if (parsed.ec != std::errc{} || parsed.ptr != name.data() + dot) return {};
  const FileType type = type_of_suffix(name.substr(dot + 1));
  if (type == FileType::foreign) return {};
  return {.type = type, .number = FileNumber{number}};
}

std::string temporary_name(std::string_view name) { return std::string(name) + ".tmp"; }
std::string sstable_name(FileNumber number) { return numbered(number, "sst"); }
std::string value_file_name(FileNumber number) { return numbered(number, "val"); }
std::string wal_name(FileNumber number) { return numbered(number, "wal"); }
std::string free_wal_name(FileNumber number) { return numbered(number, "free"); }
std::string manifest_name(FileNumber number) { return numbered(number, "manifest"); }

}  // namespace varve
