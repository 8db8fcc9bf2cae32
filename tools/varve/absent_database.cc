#include "tools/varve/absent_database.h"

#include <vector>

#include "lsm/file_names.h"
#include "varve/file_system.h"

namespace varve::cli {

Status absent_database(const std::string& directory) {
  const Result<std::vector<std::string>> names = FileSystem::posix()->list(directory);
  if (names.status().code() == StatusCode::not_found) {
    return Status::not_found(directory + ": no such directory");
  }
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const FileType type = parse_file_name(name).type;
    if (type == FileType::wal || type == FileType::sstable) {
      return Status::corruption(path_in(directory, kCurrentName) + ": missing, but there is " +
                                name);
    }
  }
  return Status::not_found(directory + ": no database");
}

}  // namespace varve::cli
