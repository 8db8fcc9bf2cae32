// An sstable read part by part, each on its own, so that what is damaged does not hide the rest.
// Unlike lsm/sstable.h it needs no cache and no manifest, and believes nothing but checksums.
//
// Thread rule: one thread.
// Memory: the parts that the caller keeps; each at most the size of the file, or
// kBlockCompressedRawSizeMax where it is compressed, times about seven for derived columns.
// Errors: corruption, not_supported, io_error, not_found; every message is "FILE at offset N: ...".

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lsm/block_reader.h"
#include "lsm/codec.h"
#include "lsm/filter.h"
#include "lsm/sstable_format.h"
#include "tools/sst_dump/value_parts.h"
#include "varve/file_system.h"

namespace varve::sst_dump {

// What a row says of its key.
struct RowContent {
  VersionKind kind;
  Timestamp timestamp;
  std::string_view value;
};

// A block of rows: data, index or top index.
struct RowBlock {
  uint64_t offset = 0;  // in the file
  uint32_t stored_size = 0;
  BlockTrailer trailer;
  std::vector<char> payload;  // `view` points into it, also after a move
  std::vector<uint64_t> columns;
  BlockView view;

  std::string key(uint32_t i) const {
    return std::string(view.prefix()).append(view.row(i).suffix);
  }
  RowContent content(uint32_t i) const {
    return {.kind = view.kind(i), .timestamp = view.timestamp(i), .value = view.row(i).value};
  }
};

struct FilterBlock {
  uint64_t offset = 0;
  std::vector<char> payload;
  FilterView view;
};

// A row of an index: where a block is, and with which version it begins.
struct IndexEntry {
  std::string first_key;
  Timestamp first_timestamp;
  BlockHandle handle;
};

class SstableParts {
 public:
  // Reads header and footer: without them nothing else can be found.
  static Result<std::unique_ptr<SstableParts>> open(FileSystem* files, const std::string& path,
                                                    MemoryManager* memory);

  const std::string& path() const { return path_; }
  uint64_t file_size() const { return file_size_; }
  const FileId& id() const { return footer_.file; }
  const SstableFooter& footer() const { return footer_; }

  Result<SstableProperties> properties();
  Result<RowBlock> top_index();
  // Data blocks and index partitions.
  Result<RowBlock> rows(const BlockHandle& handle);
  // The value that a pointer points to, from the file of values beside this one.
  Result<std::string> large_value(std::string_view pointer);
  // The same for a row that is a pointer: `*value` holds what its content then views. Others stay
  // as they are.
  Status resolve(RowContent* row, std::string* value);
  // Requires that the partition has a filter.
  Result<FilterBlock> filter(const BlockHandle& partition);
  // Entry `i` of an index; corruption when its value is no handle, or points outside.
  Result<IndexEntry> entry(const RowBlock& index, uint32_t i, bool is_partition) const;

  // `status` as of the part at `offset`.
  Status at(uint64_t offset, const Status& status) const;
  Status corruption_at(uint64_t offset, const std::string& what) const {
    return at(offset, Status::corruption(what));
  }

 private:
  SstableParts(FileSystem* files, std::unique_ptr<File> file, std::string path,
               MemoryManager* memory)
      : files_(files),
        memory_(memory),
        file_(std::move(file)),
        path_(std::move(path)),
        codec_(memory, MemoryRole::block_frames) {}
  Status read_ends();
  Status read(uint64_t offset, size_t size, std::vector<char>* to);
  // A block with its trailer checked, still as it is stored.
  Result<BlockTrailer> read_block(uint64_t offset, uint32_t stored_size, std::vector<char>* stored);

  FileSystem* const files_;
  MemoryManager* const memory_;
  const std::unique_ptr<File> file_;
  const std::string path_;
  Codec codec_;
  uint64_t file_size_ = 0;
  SstableFooter footer_;
  std::vector<ValueUse> values_;  // as the properties name them, once they were read for that
  std::vector<std::unique_ptr<ValueParts>> value_files_;  // null: not opened yet
};

}  // namespace varve::sst_dump
