// Compression of blocks.
//
// Thread rule: a Codec by one thread at a time (it holds the codec's working memory); any number
// may exist. Memory: the zstd contexts live in static workspaces taken from the MemoryManager on
// first use, so that neither direction calls malloc.

#pragma once

#include <cstddef>
#include <string_view>

#include "memory/memory_manager.h"
#include "varve/status.h"
#include "varve/types.h"

namespace varve {

class Codec {
 public:
  Codec(MemoryManager* manager, MemoryRole role) : manager_(manager), role_(role) {}
  ~Codec();
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;

  // Compressed `from` at `to`, which has room for `from.size()`; 0 when that does not make it
  // smaller by an eighth, `from` exceeds kBlockCompressedRawSizeMax, or memory is refused, as it is
  // from then on: store it as it is then. Nothing is taken for it of what is kept for urgent work.
  size_t compress(std::string_view from, char* to);
  // Fills exactly `size` bytes at `to`; corruption otherwise. Whatever `from` holds, no other bytes
  // are written.
  Status decompress(std::string_view from, char* to, size_t size);

  // Negative levels are faster, 1 is the default of the bottom run: measured in docs/decisions.md.
  static constexpr int kZstdLevel = 1;

 private:
  MemoryManager* manager_;
  MemoryRole role_;
  void* compress_workspace_ = nullptr;
  size_t compress_workspace_size_ = 0;
  void* compress_context_ = nullptr;
  bool compress_refused_ = false;
  void* decompress_workspace_ = nullptr;
  size_t decompress_workspace_size_ = 0;
  void* decompress_context_ = nullptr;
};

}  // namespace varve
