// Mutex and condition variable, annotated for clang's analysis. The only ones in the engine: they
// are also the places where a deterministic scheduler takes over.

#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "base/schedule_point.h"
#include "base/thread_annotations.h"

namespace varve {

class VARVE_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() VARVE_ACQUIRE() {
    if (is_scheduled()) return lock_scheduled();
    mutex_.lock();
  }
  void unlock() VARVE_RELEASE() {
    mutex_.unlock();
    if (is_scheduled()) internal::scheduled_unlocked(this);
  }
  bool try_lock() VARVE_TRY_ACQUIRE(true) {
    schedule_point();
    const bool locked = mutex_.try_lock();
    if (locked && is_scheduled()) internal::scheduled_locked(this);
    return locked;
  }
  // Tells the analysis that the caller holds it.
  void assert_held() const VARVE_ATTRIBUTE(assert_capability(this)) {}

 private:
  friend class CondVar;
  void lock_scheduled() VARVE_NO_THREAD_SAFETY_ANALYSIS {
    while (!try_lock()) internal::scheduled_block_on_lock(this);
  }

  std::mutex mutex_;
};

class VARVE_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) VARVE_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() VARVE_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class CondVar {
 public:
  // Callers hold `mutex` and check their condition again afterwards.
  void wait(Mutex& mutex) VARVE_REQUIRES(mutex) {
    if (is_scheduled()) {
      wait_scheduled(mutex, UINT64_MAX);
      return;
    }
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False after `nanos` without a notification.
  bool wait_for(Mutex& mutex, uint64_t nanos) VARVE_REQUIRES(mutex) {
    if (is_scheduled()) return wait_scheduled(mutex, nanos);
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool notified =
        condition_.wait_for(lock, std::chrono::nanoseconds(nanos)) == std::cv_status::no_timeout;
    lock.release();
    return notified;
  }
  void notify_one() {
    if (is_scheduled()) return internal::scheduled_notify(this, /*all=*/false);
    condition_.notify_one();
  }
  void notify_all() {
    if (is_scheduled()) return internal::scheduled_notify(this, /*all=*/true);
    condition_.notify_all();
  }

 private:
  // Nobody else runs between the unlocking and the wait.
  bool wait_scheduled(Mutex& mutex, uint64_t nanos) VARVE_NO_THREAD_SAFETY_ANALYSIS {
    mutex.unlock();
    const bool notified = internal::scheduled_wait(this, nanos);
    mutex.lock_scheduled();
    return notified;
  }

  std::condition_variable condition_;
};

}  // namespace varve
