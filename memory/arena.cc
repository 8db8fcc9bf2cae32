#include "memory/arena.h"

namespace varve {

// Head of a block; pieces follow it.
struct Arena::Block {
  Block* next;
  size_t size;  // with this head

  char* begin() { return reinterpret_cast<char*>(this + 1); }
  char* end() { return reinterpret_cast<char*>(this) + size; }
  size_t room() { return size - sizeof(Block); }
};

Arena::~Arena() {
  drop_reserve();
  while (blocks_ != nullptr) {
    Block* block = blocks_;
    blocks_ = block->next;
    release_block(block);
  }
}

// `size`: with the head. All of the block but its head is poisoned.
Arena::Block* Arena::new_block(size_t size) {
  size = MemoryManager::usable_size(size);
  Block* block = static_cast<Block*>(manager_->allocate(size, role_));
  if (block == nullptr) return nullptr;
  block->next = nullptr;
  block->size = size;
  poison(block->begin(), block->room());
  held_bytes_ += size;
  return block;
}

void Arena::release_block(Block* block) {
  const size_t size = block->size;
  unpoison(block, size);
  manager_->release(block, size, role_);
  held_bytes_ -= size;
}

// Goes on in `block`; what is left of the current one stays unused.
void Arena::use(Block* block) {
  block->next = blocks_;
  blocks_ = block;
  next_ = block->begin();
  end_ = block->end();
}

char* Arena::allocate_slow(size_t size) {
  if (size > SIZE_MAX / 2) return nullptr;
  const size_t taken = piece_size(size);
  if (reserved_ != nullptr && taken <= reserved_->room()) {
    use(reserved_);
    reserved_ = nullptr;
    return cut(size, taken);
  }
  if (taken > next_block_size_ / 4) {
    Block* block = new_block(taken + sizeof(Block));
    if (block == nullptr) return nullptr;
    block->next = blocks_;
    blocks_ = block;
    unpoison(block->begin(), size);
    return block->begin();
  }
  Block* block = new_block(next_block_size_);
  if (block == nullptr) return nullptr;
  if (next_block_size_ < block_size_max_) next_block_size_ *= 2;
  use(block);
  return cut(size, taken);
}

bool Arena::reserve(size_t size, size_t pieces) {
  size_t taken;  // at most: each piece rounded up, and its red zone
  if (__builtin_mul_overflow(pieces, piece_size(0), &taken)) return false;
  if (__builtin_add_overflow(taken, size, &taken) || taken > SIZE_MAX / 2) return false;
  if (taken <= static_cast<size_t>(end_ - next_)) return true;
  // The current block first, then the reserved one, which alone has room for all.
  if (reserved_ != nullptr && taken <= reserved_->room()) return true;
  const size_t needed = taken + sizeof(Block);
  Block* block = new_block(needed > next_block_size_ ? needed : next_block_size_);
  if (block == nullptr) return false;
  if (needed <= next_block_size_ && next_block_size_ < block_size_max_) next_block_size_ *= 2;
  drop_reserve();
  reserved_ = block;
  return true;
}

}  // namespace varve
