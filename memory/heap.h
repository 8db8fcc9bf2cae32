// Memory of odd sizes for control structures (levels, catalogs, tables of files), from mimalloc, on
// the account of a role; and the base of objects that lie there.
//
// Not for hot paths, frames or memtables: those have slabs, arenas and pools. mimalloc gives memory
// back to the system late, so what is large belongs elsewhere.
//
// Thread rule: all functions from any thread.
// Ownership: the caller owns a block and gives it back with the same size, role and manager.
// Errors: heap_allocate() returns null when memory is refused.
// Under AddressSanitizer and ThreadSanitizer the blocks come from malloc, which these can see.

#pragma once

#include <cstddef>
#include <cstdint>

#include "memory/memory_manager.h"

namespace varve {

// Aligned to 16. size > 0.
void* heap_allocate(MemoryManager* manager, size_t size, MemoryRole role);
void heap_release(MemoryManager* manager, void* block, size_t size, MemoryRole role);

// What standard containers within control structures hold: on the account too, though it comes from
// the program's allocator. Thread rule: one thread at a time.
class ControlCharge {
 public:
  // Null: nothing is charged.
  explicit ControlCharge(MemoryManager* manager) : manager_(manager) {}
  ControlCharge(const ControlCharge&) = delete;
  ControlCharge& operator=(const ControlCharge&) = delete;
  ~ControlCharge() { set(0); }

  // From now on it is `bytes`.
  void set(size_t bytes) {
    if (manager_ == nullptr) return;
    if (bytes > bytes_) manager_->charge(bytes - bytes_, MemoryRole::control);
    if (bytes < bytes_) manager_->discharge(bytes_ - bytes, MemoryRole::control);
    bytes_ = bytes;
  }

 private:
  MemoryManager* const manager_;
  size_t bytes_ = 0;
};

// Base of counted objects (views, memtables, open sstables): `new (manager) T(...)` takes memory of
// the role `control`, and is null when that is refused; delete finds the manager in front of it.
class ControlObject {
 public:
  static void* operator new(size_t size, MemoryManager* manager) noexcept {
    auto* head =
        static_cast<Head*>(heap_allocate(manager, size + sizeof(Head), MemoryRole::control));
    if (head == nullptr) return nullptr;
    *head = {.manager = manager, .size = size + sizeof(Head)};
    return head + 1;
  }
  static void operator delete(void* object) {
    Head* head = static_cast<Head*>(object) - 1;
    heap_release(head->manager, head, head->size, MemoryRole::control);
  }
  // Of a constructor that throws; the engine's do not.
  static void operator delete(void* object, MemoryManager*) { operator delete(object); }

 private:
  struct alignas(16) Head {
    MemoryManager* manager;
    size_t size;
  };
};

}  // namespace varve
