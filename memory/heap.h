// Memory of odd sizes for control structures (levels, catalogs, tables of files), from mimalloc, on
// the account of a role; the allocator that lets standard containers use it, and the base of
// objects that lie there themselves.
//
// Not for hot paths, frames or memtables: those have slabs, arenas and pools. mimalloc gives memory
// back to the system late, so what is large belongs elsewhere.
//
// Thread rule: all functions from any thread.
// Ownership: the caller owns a block and gives it back with the same size, role and manager.
// Errors: heap_allocate() returns null when memory is refused. AccountedAllocator asserts instead,
// since containers have no other way without exceptions: it is for bounded structures.
// Under AddressSanitizer and ThreadSanitizer the blocks come from malloc, which these can see.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "memory/memory_manager.h"

namespace varve {

// Aligned to 16. size > 0.
void* heap_allocate(MemoryManager* manager, size_t size, MemoryRole role);
void heap_release(MemoryManager* manager, void* block, size_t size, MemoryRole role);

// For standard containers: std::vector<T, AccountedAllocator<T>> v(AccountedAllocator<T>(m, role)).
// The manager must outlive the container. Containers with equal allocators exchange memory.
template <typename T>
class AccountedAllocator {
 public:
  using value_type = T;
  static_assert(alignof(T) <= 16);

  AccountedAllocator(MemoryManager* manager, MemoryRole role) : manager_(manager), role_(role) {}
  template <typename U>
  AccountedAllocator(const AccountedAllocator<U>& other)  // NOLINT: implicit, containers rebind
      : manager_(other.manager()), role_(other.role()) {}

  T* allocate(size_t count) {
    VARVE_ASSERT(count <= SIZE_MAX / 2 / sizeof(T));
    void* block = heap_allocate(manager_, count * sizeof(T), role_);
    VARVE_ASSERT(block != nullptr);
    return static_cast<T*>(block);
  }
  void deallocate(T* block, size_t count) {
    heap_release(manager_, block, count * sizeof(T), role_);
  }

  MemoryManager* manager() const { return manager_; }
  MemoryRole role() const { return role_; }

  template <typename U>
  friend bool operator==(const AccountedAllocator& a, const AccountedAllocator<U>& b) {
    return a.manager() == b.manager() && a.role() == b.role();
  }

 private:
  MemoryManager* manager_;
  MemoryRole role_;
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
