#include "lsm/written_blocks.h"

namespace varve {

WrittenBlocks::~WrittenBlocks() {
  for (OfFile& file : files_) {
    for (Block& block : file.blocks) cache_->detach(&block.slot);
  }
}

void WrittenBlocks::begin_file(const FileId& id) { files_.emplace_back(id); }

void WrittenBlocks::add(uint64_t offset, std::string_view raw, uint32_t rows, bool has_pointers) {
  if (refused_) return;
  std::deque<Block>& blocks = files_.back().blocks;
  Block& block = blocks.emplace_back(offset);
  if (!cache_->keep(&block.slot, raw, rows, has_pointers)) {
    blocks.pop_back();
    refused_ = true;
    return;
  }
  charge_.set(++count_ * sizeof(Block));
}

std::deque<WrittenBlocks::Block>* WrittenBlocks::of(const FileId& id) {
  for (OfFile& file : files_) {
    if (file.id == id && !refused_ && !file.blocks.empty()) return &file.blocks;
  }
  return nullptr;
}

}  // namespace varve
