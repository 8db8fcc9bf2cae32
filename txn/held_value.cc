#include "txn/held_value.h"

#include <cstring>
#include <utility>

#include "base/assert.h"

namespace varve {

// Head of a copy; the bytes follow it.
struct HeldValue::Copy {
  BlockCache* cache;
  size_t size;  // with this head

  char* bytes() { return reinterpret_cast<char*>(this + 1); }
  void release() {
    // The count last: close() frees everything when it is zero.
    BlockCache* const counted = cache;
    counted->manager()->release(this, size, MemoryRole::cursor);
    counted->pins().subtract(0);
  }
};

HeldValue::~HeldValue() { let_go(); }

void HeldValue::let_go() {
  if (memtable_ != nullptr) std::exchange(memtable_, nullptr)->unref();
  if (frame_ != nullptr) BlockCache::unpin_for_user(std::exchange(frame_, nullptr));
  if (copy_ != nullptr) std::exchange(copy_, nullptr)->release();
}

void HeldValue::hold(BlockCache* cache, const FoundVersion& found, Memtable* memtable) {
  cache_ = cache;
  view_ = found.value;
  timestamp_ = found.timestamp;
  if (memtable != nullptr) {
    memtable->ref();
    memtable_ = memtable;
  } else {
    cache_->pin_for_user(found.frame);
    frame_ = found.frame;
  }
}

Status HeldValue::settle() {
  if (frame_ != nullptr && !cache_->user_pins_are_many()) return Status();
  const size_t size = sizeof(Copy) + view_.size();
  void* memory = cache_->manager()->allocate(size, MemoryRole::cursor);
  if (memory == nullptr) {
    if (frame_ != nullptr) return Status();  // it is there already
    let_go();
    return Status::out_of_memory("no memory to hold a value");
  }
  Copy* copy = new (memory) Copy{.cache = cache_, .size = size};
  std::memcpy(copy->bytes(), view_.data(), view_.size());
  cache_->pins().add(0);
  let_go();
  copy_ = copy;
  view_ = {copy->bytes(), view_.size()};
  return Status();
}

void HeldValue::give(PinnedValue* pinned) {
  pinned->release();
  pinned->data_ = view_;
  pinned->timestamp_ = timestamp_;
  if (frame_ != nullptr) {
    pinned->owner_ = std::exchange(frame_, nullptr);
    pinned->release_ = [](void* owner) { BlockCache::unpin_for_user(static_cast<Frame*>(owner)); };
  } else {
    VARVE_DCHECK(copy_ != nullptr);
    pinned->owner_ = std::exchange(copy_, nullptr);
    pinned->release_ = [](void* owner) { static_cast<Copy*>(owner)->release(); };
  }
}

}  // namespace varve
