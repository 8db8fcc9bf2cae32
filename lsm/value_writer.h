// Writes one file of values (lsm/value_format.h).
//
// Thread rule: one thread.
// Ownership: the file is newly created and empty; finish() closes it. Without finish() it is not
// valid, and is to be removed. Errors: io_error, no_space, out_of_memory; the writer is then only
// good for destruction.

#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "lsm/codec.h"
#include "lsm/file_appender.h"
#include "lsm/value_format.h"
#include "memory/buffer.h"
#include "varve/file_system.h"

namespace varve {

struct ValueWriterOptions {
  Compression codec = Compression::none;
  bool durable = true;  // synced before it is closed
  MemoryRole role = MemoryRole::sstable_builder;
};

class ValueWriter {
 public:
  ValueWriter(MemoryManager* manager, std::unique_ptr<File> file, const ValueFileName& name,
              const ValueWriterOptions& options);

  // Compresses it, where that makes it smaller; returns where it lies.
  Result<ValuePlace> add(std::string_view value);
  // The same for what lies in another file: `block`, its stored bytes with their trailer, which
  // open_block() found to be as `trailer` says.
  Result<ValuePlace> add_stored(std::string_view block, const BlockTrailer& trailer);

  const ValueFileName& name() const { return name_; }
  // Bytes so far, without the end.
  uint64_t size() const { return out_.offset(); }
  // Writes the rest, syncs it if it is to be, and closes the file.
  Status finish();

 private:
  // Seals what block_ holds, of which the first `stored` bytes are the value's.
  Result<ValuePlace> append(size_t stored, const BlockTrailer& trailer);
  Status append_block(size_t stored, const BlockTrailer& trailer);

  const ValueFileName name_;
  const ValueWriterOptions options_;
  FileAppender out_;
  Codec codec_;
  Buffer block_;
  Buffer sizes_;
  uint64_t values_ = 0;
};

}  // namespace varve
