// Bump allocation: many small pieces, all released at once.
//
// Thread rule: allocate() by one thread at a time; pieces may be read by others once published.
// Blocks start at 16 KiB and double up to `block_size_max`, so that a small memtable costs little
// and a large one few calls (protocol 27), and what is held is seldom much more than what is used.
// Blocks come from the MemoryManager and go back to it, whole, when the arena is destroyed.

#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "memory/memory_manager.h"
#include "memory/poison.h"

namespace varve {

class Arena {
 public:
  static constexpr size_t kBlockSizeMin = 16 * 1024;

  Arena(MemoryManager* manager, MemoryRole role, size_t block_size_max = size_t{1} << 20)
      : manager_(manager), role_(role), block_size_max_(block_size_max) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Aligned to 8 bytes; null when memory is refused. Pieces over a quarter of a block get one of
  // their own.
  char* allocate(size_t size) {
    const size_t taken = piece_size(size);
    if (taken <= static_cast<size_t>(end_ - next_)) return cut(size, taken);
    return allocate_slow(size);
  }
  // Ensures that pieces of `size` bytes in all, in at most `pieces` pieces, can be allocated
  // without a failure. Not cumulative: it speaks of what is allocated from now on. False: memory is
  // refused; nothing is changed.
  bool reserve(size_t size, size_t pieces);
  // Gives back what is reserved and not begun.
  void drop_reserve() {
    if (reserved_ != nullptr) release_block(std::exchange(reserved_, nullptr));
  }
  // Bytes taken from the manager.
  size_t held_bytes() const { return held_bytes_; }

 private:
  struct Block;

  // At least 8, so that every piece has an address of its own.
  static size_t piece_size(size_t size) {
    return ((size + (size == 0) + 7) & ~size_t{7}) + kRedZoneBytes;
  }
  char* cut(size_t size, size_t taken) {
    char* piece = next_;
    next_ += taken;
    unpoison(piece, size);
    return piece;
  }
  char* allocate_slow(size_t size);
  Block* new_block(size_t size);
  void release_block(Block* block);
  void use(Block* block);

  MemoryManager* manager_;
  MemoryRole role_;
  const size_t block_size_max_;
  char* next_ = nullptr;
  char* end_ = nullptr;
  Block* blocks_ = nullptr;    // all in use, the current one somewhere among them
  Block* reserved_ = nullptr;  // untouched; becomes current when the current one is too full
  size_t next_block_size_ = kBlockSizeMin;
  size_t held_bytes_ = 0;
};

}  // namespace varve
