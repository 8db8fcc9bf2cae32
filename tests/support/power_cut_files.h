// Files in memory that know what is on disk: what was synced survives a loss of power, and of the
// rest anything may.
//
// The fault model: each page of 4096 bytes that was not synced becomes old, new, torn at a sector
// of 512 bytes, or zeros where nothing was; a file's length is anything between the synced and the
// present one. Of the names, every creation, rename and removal that was not followed by a sync of
// its directory survives or does not, each on its own; a rename is atomic.

#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "varve/file_system.h"

namespace varve::test {

class PowerCutFiles final : public FileSystem {
 public:
  PowerCutFiles() = default;

  // How bad it is: all that was not synced is lost, or all of it survives, or each piece as chance
  // has it.
  enum class Cut : uint8_t { lose_all, keep_all, random };
  // What is there after the power came back. Nobody uses these files any more.
  std::unique_ptr<PowerCutFiles> cut_power(Cut cut, Random* random);

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<FileInfo> info(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Status create_directory(const std::string& path) override;
  Status remove(const std::string& path) override;
  Status remove_directory(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to, bool replace) override;
  Status sync_directory(const std::string& directory) override;
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;
  Result<uint64_t> free_bytes(const std::string&) override { return uint64_t{1} << 40; }

 private:
  class OpenFile;
  class Lock;
  struct Content {
    std::string now;
    std::string synced;
  };
  using ContentPtr = std::shared_ptr<Content>;
  using Names = std::map<std::string, ContentPtr>;
  // A change of a directory that was not synced.
  struct Change {
    std::string from;  // empty: a creation
    std::string to;    // empty: a removal
    ContentPtr content;
  };

  static void apply(const Change& change, Names* names);
  static bool is_in(const std::string& path, const std::string& directory);
  static std::string surviving(const Content& content, Cut cut, Random* random);

  std::mutex mutex_;  // everything, contents too
  Names now_;
  Names synced_;
  std::vector<Change> changes_;  // in order
  std::set<std::string> directories_;
  std::set<std::string> locked_;
};

}  // namespace varve::test
