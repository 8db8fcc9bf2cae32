// Data blocks of sstables that a flush is writing, as frames of the block cache: readers, who had
// them in the memtable, need not fetch them from the new file.
//
//   SstableWriter -- add() --> frame, in a slot here; in the ring, CLOCK may evict it
//   Sstable::adopt()       --> the frame goes over to the slot beside its handle
//
// Not for compactions: until the output is in place their inputs are in memory too, and both push
// out more than is won (docs/decisions.md).
//
// Thread rule: one thread.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>

#include "lsm/block_cache.h"
#include "memory/heap.h"

namespace varve {

class WrittenBlocks {
 public:
  explicit WrittenBlocks(BlockCache* cache) : cache_(cache), charge_(cache->manager()) {}
  // What no sstable took leaves the cache.
  ~WrittenBlocks();
  WrittenBlocks(const WrittenBlocks&) = delete;
  WrittenBlocks& operator=(const WrittenBlocks&) = delete;

  void begin_file(const FileId& id);
  // A data block of the last file begun, as it is before compression. Once memory was refused
  // nothing more is kept, and nothing is given to sstables: flushes are what gives memory back.
  void add(uint64_t offset, std::string_view raw, uint32_t rows, bool has_pointers);

  struct Block {
    explicit Block(uint64_t at) : offset(at) {}
    FrameSlot slot{nullptr};
    const uint64_t offset;  // in the file
  };
  // In the order of their offsets; null: none was kept, or it was refused memory.
  std::deque<Block>* of(const FileId& id);

 private:
  struct OfFile {
    explicit OfFile(const FileId& file) : id(file) {}
    const FileId id;
    std::deque<Block> blocks;
  };

  BlockCache* const cache_;
  std::deque<OfFile> files_;
  bool refused_ = false;
  size_t count_ = 0;
  ControlCharge charge_;
};

}  // namespace varve
