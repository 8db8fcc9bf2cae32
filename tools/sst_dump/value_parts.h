// A file of values read part by part, as SstableParts reads an sstable.
//
// Thread rule: one thread. Memory: one value at a time, and the list of sizes.
// Errors: corruption, not_supported, io_error, not_found; every message is "FILE at offset N: ...".

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lsm/codec.h"
#include "lsm/value_format.h"
#include "varve/file_system.h"

namespace varve::sst_dump {

class ValueParts {
 public:
  // Reads header and footer.
  static Result<std::unique_ptr<ValueParts>> open(FileSystem* files, const std::string& path,
                                                  MemoryManager* memory);

  const std::string& path() const { return path_; }
  const FileId& id() const { return footer_.file; }
  const ValueFileFooter& footer() const { return footer_; }

  // Where all values lie, without their raw sizes. Corruption where they do not fill the file.
  Result<std::vector<ValuePlace>> places();
  // The value there, and what its trailer says.
  struct Value {
    std::string bytes;
    Compression codec = Compression::none;
  };
  Result<Value> value(const ValuePlace& place);

  Status at(uint64_t offset, const Status& status) const;

 private:
  ValueParts(std::unique_ptr<File> file, std::string path, MemoryManager* memory)
      : file_(std::move(file)), path_(std::move(path)), codec_(memory, MemoryRole::block_frames) {}
  Status read_ends();
  Status read(uint64_t offset, std::string* to);
  // A block as it is stored, its trailer checked.
  Result<BlockTrailer> read_block(const ValuePlace& place, std::string* stored);

  const std::unique_ptr<File> file_;
  const std::string path_;
  Codec codec_;
  ValueFileFooter footer_;
};

}  // namespace varve::sst_dump
