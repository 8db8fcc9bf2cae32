// Reusable objects of one type: cursors, transactions, merge inputs. An object keeps its own memory
// while it waits in the pool, so a reused one allocates nothing.
//
// Thread rule: acquire() and release() from any thread.
// Bounded: at most `idle_max` objects wait; more are destroyed on release.

#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "base/mutex.h"
#include "memory/memory_manager.h"

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
      : name_(name), manager_(manager), role_(role), idle_max_(idle_max) {}
  // Requires that every object was released.
  ~ObjectPool() { trim(); }

  // A waiting object as it was released, or a new T(args...); null when memory is refused.
  template <typename... Args>
  T* acquire(Args&&... args) {
    {
      MutexLock lock(mutex_);
      ++acquired_;
      if (++in_use_ > high_water_) high_water_ = in_use_;
      if (idle_ != nullptr) {
        T* object = static_cast<T*>(idle_);
        idle_ = idle_->pool_next_;
        --idle_count_;
        return object;
      }
      ++missed_;
    }
    void* memory = manager_->allocate(sizeof(T), role_);
    if (memory == nullptr) {
      MutexLock lock(mutex_);
      --in_use_;
      return nullptr;
    }
    return new (memory) T(std::forward<Args>(args)...);
  }

  void release(T* object) {
    {
      MutexLock lock(mutex_);
      if (idle_count_ < idle_max_) {
        object->PoolLink::pool_next_ = idle_;
        idle_ = object;
        ++idle_count_;
        --in_use_;
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
        if (idle_ == nullptr) return trimmed;
        object = static_cast<T*>(idle_);
        idle_ = idle_->pool_next_;
        --idle_count_;
      }
      destroy(object);
    }
  }

  uint64_t in_use() {
    MutexLock lock(mutex_);
    return in_use_;
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
};

}  // namespace varve
