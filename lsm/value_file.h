// Open files of values, and who keeps them.
//
// Which of them are in force is said by sstables alone: each names those that it points into
// (SstableProperties::values), and holds a reference on them while it is open. A file goes from
// disk when the last open sstable that names it goes, if all of these were obsolete: then none that
// is in force names it. So there is no second list that could differ from the first.
//
// Thread rule: ValueFiles by any number of threads; a ValueFile is immutable.
// Ownership: acquire() and release() count references.
// Errors: every message names the file.

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "lsm/block_cache.h"
#include "lsm/value_format.h"
#include "memory/heap.h"
#include "varve/file_system.h"
#include "varve/logger.h"

namespace varve {

class ValueFile : public ControlObject {
 public:
  const ValueFileName& name() const { return name_; }
  const std::string& path() const { return path_; }
  uint64_t values() const { return footer_.values; }
  uint64_t file_size() const { return footer_.file_size; }
  // Of its values, trailers included.
  uint64_t data_bytes() const { return footer_.sizes_offset - kValueFileHeaderSize; }

  // That a value may lie there. Error: corruption.
  Status check(const ValuePlace& place) const;
  // What the block cache is to load for a value.
  BlockSource source(const ValuePlace& place) const;
  // Fills `block` with a value as it is stored, with its trailer, which is checked and returned.
  Result<BlockTrailer> read_stored(const ValuePlace& place, Buffer* block) const;
  // Reads and checks the list of sizes: that it says of as many values as there are how they fill
  // the file. `each`: called with every place, without raw_size.
  Status check_sizes(MemoryManager* memory,
                     const std::function<Status(const ValuePlace&)>& each = nullptr) const;

 private:
  friend class ValueFiles;
  ValueFile(std::unique_ptr<File> file, std::string path, const ValueFileName& name)
      : file_(std::move(file)), path_(std::move(path)), name_(name) {}
  Status load();

  const std::unique_ptr<File> file_;
  const std::string path_;
  const ValueFileName name_;
  ValueFileFooter footer_;
  uint64_t references_ = 1;  // under ValueFiles' mutex
  bool needed_ = false;      // likewise: an sstable that is in force named it
};

// Those of one directory.
class ValueFiles {
 public:
  ValueFiles(FileSystem* file_system, std::string directory, MemoryManager* memory)
      : file_system_(file_system), directory_(std::move(directory)), memory_(memory) {}
  // Requires that no reference is left.
  ~ValueFiles();
  ValueFiles(const ValueFiles&) = delete;
  ValueFiles& operator=(const ValueFiles&) = delete;

  // A reference on the file, which is opened if it is not. Errors: corruption (also when it is
  // missing, or not the one that is meant), not_supported, io_error.
  Result<ValueFile*> acquire(const ValueFileName& name);
  // Who gives up a reference, and what that says of the file.
  enum class Holder : uint8_t {
    in_force,    // will name the file when the database is opened again
    obsolete,    // does not need it any more
    not_opened,  // never held it for anybody
  };
  void release(ValueFile* file, Holder holder);

  bool is_open(FileNumber number);
  // Before anything else; told of files that could not be removed.
  void set_logger(Logger* logger) { logger_ = logger; }

 private:
  Result<ValueFile*> open(const ValueFileName& name);

  FileSystem* const file_system_;
  const std::string directory_;
  MemoryManager* const memory_;
  Logger* logger_ = nullptr;
  Mutex mutex_;
  std::map<FileNumber, ValueFile*> files_ VARVE_GUARDED_BY(mutex_);
};

}  // namespace varve
