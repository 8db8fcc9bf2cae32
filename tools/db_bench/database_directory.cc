#include "tools/db_bench/database_directory.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

namespace varve::bench {
namespace {

namespace fs = std::filesystem;

void check(const std::error_code& error, const std::string& directory) {
  if (error) throw EngineError(directory + ": " + error.message());
}

std::vector<fs::path> entries(const std::string& directory) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    paths.push_back(at->path());
  }
  if (error != std::errc::no_such_file_or_directory) check(error, directory);
  return paths;
}

}  // namespace

std::string default_directory(const std::string& engine_name) {
  const char* temporary = std::getenv("TMPDIR");
  std::string root = temporary != nullptr && *temporary != '\0' ? temporary : "/tmp";
  return root + "/db-bench-" + std::to_string(getuid()) + "/" + engine_name;
}

void create_directory(const std::string& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  check(error, directory);
}

bool directory_is_used(const std::string& directory) { return !entries(directory).empty(); }

bool holds_database(const Engine& engine, const std::string& directory) {
  // The file without which no engine has a database: CURRENT, of LMDB data.mdb, WiredTiger's and
  // SQLite's.
  for (const char* name : {"CURRENT", "data.mdb", "WiredTiger", "bench.sqlite"}) {
    std::error_code error;
    if (engine.owns_file(name) && fs::exists(fs::path(directory) / name, error)) return true;
  }
  return false;
}

void empty_directory(const Engine& engine, const std::string& directory) {
  const std::vector<fs::path> paths = entries(directory);
  for (const fs::path& path : paths) {
    if (!engine.owns_file(path.filename().native()) || fs::is_directory(fs::symlink_status(path))) {
      throw EngineError("--db=" + directory + " holds " + path.filename().native() +
                        ", which is no file of this engine: nothing was deleted");
    }
  }
  for (const fs::path& path : paths) {
    std::error_code error;
    fs::remove(path, error);
    check(error, path.native());
  }
}

}  // namespace varve::bench
