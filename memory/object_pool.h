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

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <utility>

#include "base/mutex.h"
#include "base/thread_slot.h"
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
  size_t pool_shelf_ = 0;  // where it was acquired last; no padding, which objects would use
};

template <typename T>
class ObjectPool {
 public:
  ObjectPool(const char* name, MemoryManager* manager, MemoryRole role, size_t idle_max)
      : name_(name), manager_(manager), role_(role), check_(name) {
    shelf_count_ = std::clamp<size_t>(idle_max, 1, kShelves);
    for (size_t i = 0; i < shelf_count_; ++i) {
      shelves_[i].idle_max = idle_max / shelf_count_ + (i < idle_max % shelf_count_ ? 1 : 0);
    }
  }
  // Requires that every object was released; debug builds say which are not.
  ~ObjectPool() {
    trim();
    check_.expect_none();
  }

  // A waiting object as it was released, or a new T(args...); null when memory is refused.
  template <typename... Args>
  T* acquire(Args&&... args) {
    const size_t own = own_shelf();
    T* object = take_idle(own);
    if (object == nullptr) {
      void* memory = manager_->allocate(sizeof(T), role_);
      if (memory == nullptr) {
        count_released(own);
        return nullptr;
      }
      object = new (memory) T(std::forward<Args>(args)...);
    }
    object->PoolLink::pool_shelf_ = own;
    check_.acquired(object, sizeof(T), __builtin_return_address(0));
    return object;
  }

  void release(T* object) {
    if (!check_.released(object)) check_.refuse(waits(object));
    const size_t acquired_at = object->PoolLink::pool_shelf_;
    const size_t own = own_shelf();
    if (acquired_at == own) {
      MutexLock lock(shelves_[own].mutex);
      if (shelves_[own].push(object)) {
        ++shelves_[own].released;
        return;
      }
    }
    if (!put_idle(own, object)) destroy(object);
    count_released(acquired_at);  // last: who waits for zero may free the memory's owner
  }

  // Destroys the objects that wait; returns how many did.
  size_t trim() {
    size_t trimmed = 0;
    for (Shelf& shelf : shelves()) {
      for (;; ++trimmed) {
        T* object;
        {
          MutexLock lock(shelf.mutex);
          object = shelf.pop();
        }
        if (object == nullptr) break;
        destroy(object);
      }
    }
    return trimmed;
  }

  // Beside other calls it may be too high, never too low.
  uint64_t in_use() { return totals().in_use(); }

  // False if the pool's own figures contradict each other. While no other call is in progress.
  bool validate() {
    bool holds = true;
    for (Shelf& shelf : shelves()) {
      MutexLock lock(shelf.mutex);
      size_t waiting = 0;
      for (const PoolLink* link = shelf.idle; link != nullptr; link = link->pool_next_) ++waiting;
      holds &= waiting == shelf.idle_count && shelf.idle_count <= shelf.idle_max;
    }
    const Totals sum = totals();
    return holds && sum.in_use() <= sum.high_water && sum.missed <= sum.acquired &&
           check_.counts(sum.in_use());
  }

  PoolStatistics statistics() {
    const Totals sum = totals();
    return {.name = name_,
            .item_bytes = sizeof(T),
            .acquired = sum.acquired,
            .reused = sum.acquired - sum.missed,
            .missed = sum.missed,
            .in_use = sum.in_use(),
            .high_water = sum.high_water,
            .held_bytes = (sum.in_use() + sum.idle) * sizeof(T)};
  }

 private:
  // More than the cores of a usual machine: threads that run at once seldom share one.
  static constexpr size_t kShelves = 16;

  // What a thread releases it acquires again: so the object's memory stays in the cache of its
  // core. Counts are those of objects that were acquired here.
  struct alignas(64) Shelf {
    Mutex mutex;
    PoolLink* idle VARVE_GUARDED_BY(mutex) = nullptr;
    size_t idle_count VARVE_GUARDED_BY(mutex) = 0;
    size_t idle_max = 0;
    uint64_t acquired VARVE_GUARDED_BY(mutex) = 0;
    uint64_t missed VARVE_GUARDED_BY(mutex) = 0;
    uint64_t released VARVE_GUARDED_BY(mutex) = 0;
    uint64_t high_water VARVE_GUARDED_BY(mutex) = 0;

    T* pop() VARVE_REQUIRES(mutex) {
      if (idle == nullptr) return nullptr;
      T* const object = static_cast<T*>(idle);
      idle = idle->pool_next_;
      --idle_count;
      for_all_but_link(object, unpoison);
      return object;
    }
    bool push(T* object) VARVE_REQUIRES(mutex) {
      if (idle_count == idle_max) return false;
      object->PoolLink::pool_next_ = idle;
      idle = object;
      ++idle_count;
      for_all_but_link(object, poison);
      return true;
    }
  };
  struct Totals {
    uint64_t acquired = 0;
    uint64_t missed = 0;
    uint64_t released = 0;
    uint64_t high_water = 0;
    uint64_t idle = 0;
    uint64_t in_use() const { return acquired - released; }
  };

  std::span<Shelf> shelves() { return {shelves_, shelf_count_}; }
  size_t own_shelf() const { return this_thread_slot() % shelf_count_; }
  // Counts a request; null: it has to be served with a new object.
  T* take_idle(size_t own) {
    {
      Shelf& shelf = shelves_[own];
      MutexLock lock(shelf.mutex);
      ++shelf.acquired;
      shelf.high_water = std::max(shelf.high_water, shelf.acquired - shelf.released);
      if (T* const object = shelf.pop()) return object;
    }
    for (size_t i = 1; i < shelf_count_; ++i) {
      Shelf& shelf = shelves_[(own + i) % shelf_count_];
      MutexLock lock(shelf.mutex);
      if (T* const object = shelf.pop()) return object;
    }
    MutexLock lock(shelves_[own].mutex);
    ++shelves_[own].missed;
    return nullptr;
  }
  bool put_idle(size_t own, T* object) {
    for (size_t i = 0; i < shelf_count_; ++i) {
      Shelf& shelf = shelves_[(own + i) % shelf_count_];
      MutexLock lock(shelf.mutex);
      if (shelf.push(object)) return true;
    }
    return false;
  }
  void count_released(size_t acquired_at) {
    MutexLock lock(shelves_[acquired_at].mutex);
    ++shelves_[acquired_at].released;
  }
  Totals totals() {
    Totals sum;
    for (Shelf& shelf : shelves()) {
      MutexLock lock(shelf.mutex);
      sum.released += shelf.released;
      sum.idle += shelf.idle_count;
    }
    // Afterwards: whatever was counted as released was acquired before.
    for (Shelf& shelf : shelves()) {
      MutexLock lock(shelf.mutex);
      sum.acquired += shelf.acquired;
      sum.missed += shelf.missed;
      sum.high_water += shelf.high_water;
    }
    return sum;
  }
  bool waits(const T* object) {
    for (Shelf& shelf : shelves()) {
      MutexLock lock(shelf.mutex);
      for (const PoolLink* link = shelf.idle; link != nullptr; link = link->pool_next_) {
        if (link == object) return true;
      }
    }
    return false;
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
  size_t shelf_count_;
  Shelf shelves_[kShelves];
  [[no_unique_address]] PoolCheck check_;
};

}  // namespace varve
