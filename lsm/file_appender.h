// Writes a new file from its beginning to its end, in large pieces.
//
// Thread rule: one thread. Ownership: the file is the appender's; without finish() it is not whole,
// and to be removed. Errors: io_error, no_space; the appender is then only good for destruction.

#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "memory/buffer.h"
#include "varve/file_system.h"

namespace varve {

class FileAppender {
 public:
  FileAppender(MemoryManager* manager, std::unique_ptr<File> file, MemoryRole role)
      : manager_(manager), file_(std::move(file)), pending_(manager, role) {}

  Status append(std::string_view bytes);
  // Where the next byte goes.
  uint64_t offset() const { return offset_; }
  // Writes the rest, syncs the file if it is to be durable, and closes it.
  Status finish(bool durable);

 private:
  Status write_pending();

  MemoryManager* const manager_;
  std::unique_ptr<File> file_;
  Buffer pending_;
  uint64_t offset_ = 0;  // bytes in the file or pending
};

}  // namespace varve
