// Writes one sstable from versions in version order.
//
// Thread rule: one thread.
// Ownership: the file is the caller's, newly created and empty; finish() closes it. Without
// finish() the file is not a valid sstable and is to be removed. Errors: io_error, no_space,
// out_of_memory; the writer is then only good for destruction.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>

#include "lsm/block_builder.h"
#include "lsm/codec.h"
#include "lsm/file_appender.h"
#include "lsm/sstable_format.h"
#include "lsm/written_blocks.h"
#include "memory/buffer.h"
#include "varve/file_system.h"

namespace varve {

struct SstableWriterOptions {
  Keyspace keyspace = {};
  uint32_t block_size = 8 * 1024;  // bytes, uncompressed
  uint32_t filter_bits_per_key = 10;
  Compression codec = Compression::none;
  uint64_t created_nanos = 0;
  Timestamp collapse_horizon = {};  // see SstableProperties
  bool undated = false;             // every version comes with timestamp 0, and one a key
  bool durable = true;              // synced before it is closed
  MemoryRole role = MemoryRole::sstable_builder;
  WrittenBlocks* kept = nullptr;  // gets the data blocks
};

class SstableWriter {
 public:
  SstableWriter(MemoryManager* manager, std::unique_ptr<File> file, const FileId& id,
                const SstableWriterOptions& options);

  // Requires that (key, timestamp) follows the previous version. `hash`: key_hash(key).
  Status add(std::string_view key, uint64_t hash, Timestamp timestamp, VersionKind kind,
             std::string_view value);
  // The same, of a value that lies in `file`.
  Status add_pointer(std::string_view key, uint64_t hash, Timestamp timestamp,
                     const ValueFileName& file, const ValuePlace& place);
  // Bytes written or about to be.
  uint64_t size_estimate() const;
  uint64_t versions() const { return properties_.versions; }
  const FileId& id() const { return id_; }

  // Requires at least one version. Writes the rest, syncs it if it is to be, and closes the file.
  Result<SstableProperties> finish();
  uint64_t file_size() const { return out_.offset(); }  // after finish()

 private:
  Status finish_data_block();
  Status finish_partition();
  // Encodes, compresses if asked, seals and appends a block; fills offset, sizes and rows.
  Status append_rows(BlockBuilder* builder, BlockHandle* handle);
  // Seals and appends what the block holds, `stored` of it being the payload.
  Status append_sealed(Buffer* block, size_t stored, const BlockTrailer& trailer);
  Status add_pending_row();

  FileAppender out_;
  const FileId id_;
  const SstableWriterOptions options_;
  SstableProperties properties_;
  BlockBuilder data_;
  BlockBuilder index_;
  BlockBuilder top_;
  Codec codec_;
  Buffer raw_;         // a block's payload
  Buffer compressed_;  // the same, compressed
  Buffer hashes_;      // u64 a user key of the partition
  Buffer last_key_;
  std::map<FileNumber, uint32_t> value_files_;  // where the properties name them

  // The block that was written last: its index row waits until it is known whether the next block
  // begins with the same user key.
  struct PendingRow {
    bool waiting = false;
    BlockHandle handle;
    Timestamp first_timestamp;
    bool single_version = false;
  };
  PendingRow pending_;
  Buffer pending_key_;
  bool block_continues_key_ = false;  // the block in data_ begins with the last key of the previous
  BlockHandle partition_;             // sums over the partition so far
  uint32_t partition_blocks_ = 0;
};

}  // namespace varve
