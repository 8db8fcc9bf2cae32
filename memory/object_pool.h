// Reusable objects of one type: cursors, transactions, merge inputs. An object keeps its own memory
// while it waits in the pool, so a reused one allocates nothing.
//
// Debug builds mark each object in use with its acquirer (memory/pool_check.h), and
// AddressSanitizer sees uses of waiting ones, unless T::kUsedWhileWaiting says that there are some.
//
// Thread rule: acquire() and release() from any thread.
// Bounded: at most `idle_max` objects wait; more are destroyed on release.
// Errors: acquire() gives null when memory is refused; nothing is changed then.

#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "base/mutex.h"
#include "memory/memory_manager.h"
#include "memory/poison.h"
#include "memory/pool_check.h"

namespace varve {

// T: constructible from Args..., and derived from PoolLink.
template <typename T>
class ObjectPool;

class PoolLink {
 private:
  template <typename T>
  friend class ObjectPool;
  PoolLink* pool_next_ = nullptr;
};

template <typename T>
class ObjectPool {
 public:
  ObjectPool(const char* name, MemoryManager* manager, MemoryRole role, size_t idle_max)
      : name_(name), manager_(manager), role_(role), idle_max_(idle_max), check_(name) {}
  // Requires that every object was released; debug builds say which are not.
  ~ObjectPool() {
    trim();
    check_.expect_none();
  }

  // A waiting object as it was released, or a new T(args...); null when memory is refused.
  template <typename... Args>
  T* acquire(Args&&... args) {
    T* object = take_idle();
    if (object == nullptr) {
      void* memory = manager_->allocate(sizeof(T), role_);
      if (memory == nullptr) {
        MutexLock lock(mutex_);
        --in_use_;
        return nullptr;
      }
      object = new (memory) T(std::forward<Args>(args)...);
    }
    check_.acquired(object, sizeof(T), __builtin_return_address(0));
    return object;
  }

  void release(T* object) {
    if (!check_.released(object)) check_.refuse(waits(object));
    {
      MutexLock lock(mutex_);
      if (idle_count_ < idle_max_) {
        object->PoolLink::pool_next_ = idle_;
        idle_ = object;
        ++idle_count_;
        --in_use_;
        for_all_but_link(object, poison);
        return;
      }
    }
    destroy(object);
    // Last: who waits for zero may free the memory's owner.
    MutexLock lock(mutex_);
    --in_use_;
  }

  // Destroys the objects that wait; returns how many did.
  size_t trim() {
    for (size_t trimmed = 0;; ++trimmed) {
      T* object;
      {
        MutexLock lock(mutex_);
        object = pop_idle();
      }
      if (object == nullptr) return trimmed;
      destroy(object);
    }
  }

  uint64_t in_use() {
    MutexLock lock(mutex_);
    return in_use_;
  }

  // False if the pool's own figures contradict each other. While no other call is in progress.
  bool validate() {
    MutexLock lock(mutex_);
    size_t waiting = 0;
    for (const PoolLink* link = idle_; link != nullptr; link = link->pool_next_) ++waiting;
    return waiting == idle_count_ && idle_count_ <= idle_max_ && in_use_ <= high_water_ &&
           missed_ <= acquired_ && check_.counts(in_use_);
  }

  PoolStatistics statistics() {
    MutexLock lock(mutex_);
    return {.name = name_,
            .item_bytes = sizeof(T),
            .acquired = acquired_,
            .reused = acquired_ - missed_,
            .missed = missed_,
            .in_use = in_use_,
            .high_water = high_water_,
            .held_bytes = (in_use_ + idle_count_) * sizeof(T)};
  }

 private:
  // Counts a request; null: it has to be served with a new object.
  T* take_idle() {
    MutexLock lock(mutex_);
    ++acquired_;
    if (++in_use_ > high_water_) high_water_ = in_use_;
    T* const object = pop_idle();
    if (object == nullptr) ++missed_;
    return object;
  }
  T* pop_idle() VARVE_REQUIRES(mutex_) {
    if (idle_ == nullptr) return nullptr;
    T* const object = static_cast<T*>(idle_);
    idle_ = idle_->pool_next_;
    --idle_count_;
    for_all_but_link(object, unpoison);
    return object;
  }
  bool waits(const T* object) {
    MutexLock lock(mutex_);
    const PoolLink* link = idle_;
    while (link != nullptr && link != object) link = link->pool_next_;
    return link != nullptr;
  }
  // The link of a waiting object is the pool's.
  static void for_all_but_link(T* object, void (*change)(const void* from, size_t size)) {
    if constexpr (requires { T::kUsedWhileWaiting; }) return;
    const char* const begin = reinterpret_cast<const char*>(object);
    const char* const link = reinterpret_cast<const char*>(static_cast<PoolLink*>(object));
    const char* const behind = link + sizeof(PoolLink);
    change(begin, static_cast<size_t>(link - begin));
    change(behind, static_cast<size_t>(begin + sizeof(T) - behind));
  }
  void destroy(T* object) {
    object->~T();
    manager_->release(object, sizeof(T), role_);
  }

  const char* name_;
  MemoryManager* manager_;
  MemoryRole role_;
  size_t idle_max_;
  Mutex mutex_;
  PoolLink* idle_ VARVE_GUARDED_BY(mutex_) = nullptr;
  size_t idle_count_ VARVE_GUARDED_BY(mutex_) = 0;
  uint64_t acquired_ VARVE_GUARDED_BY(mutex_) = 0;
  uint64_t missed_ VARVE_GUARDED_BY(mutex_) = 0;
  uint64_t in_use_ VARVE_GUARDED_BY(mutex_) = 0;
  uint64_t high_water_ VARVE_GUARDED_BY(mutex_) = 0;
  [[no_unique_address]] PoolCheck check_;
};

}  // namespace varve
