// Atomics of the engine. The only ones used: they are yield points of a deterministic scheduler.
// Every order weaker than seq_cst at a call says in a comment what it pairs with.

#pragma once

#include <atomic>
#include <cstdint>

#include "base/schedule_point.h"

// Under ThreadSanitizer, which knows no fences.
#if defined(__SANITIZE_THREAD__)
#define VARVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VARVE_TSAN 1
#endif
#endif

namespace varve {

inline constexpr std::memory_order kRelaxed = std::memory_order_relaxed;
inline constexpr std::memory_order kAcquire = std::memory_order_acquire;
inline constexpr std::memory_order kRelease = std::memory_order_release;
inline constexpr std::memory_order kAcqRel = std::memory_order_acq_rel;
inline constexpr std::memory_order kSeqCst = std::memory_order_seq_cst;

// Of memory that is shared with the kernel, where no Atomic lies.
template <typename T>
T load_acquire(const T* from) {
  return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}
template <typename T>
void store_release(T* to, T value) {
  __atomic_store_n(to, value, __ATOMIC_RELEASE);
}

template <typename T>
class Atomic {
 public:
  constexpr Atomic() : value_() {}
  constexpr explicit Atomic(T value) : value_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(std::memory_order order = kSeqCst) const {
    schedule_point();
    return value_.load(order);
  }
  void store(T value, std::memory_order order = kSeqCst) {
    schedule_point();
    value_.store(value, order);
  }
  T exchange(T value, std::memory_order order = kSeqCst) {
    schedule_point();
    return value_.exchange(value, order);
  }
  bool compare_exchange(T& expected, T desired, std::memory_order order = kSeqCst) {
    schedule_point();
    return value_.compare_exchange_strong(expected, desired, order, failure_order(order));
  }
  T fetch_add(T value, std::memory_order order = kSeqCst) {
    schedule_point();
    return value_.fetch_add(value, order);
  }
  T fetch_sub(T value, std::memory_order order = kSeqCst) {
    schedule_point();
    return value_.fetch_sub(value, order);
  }
  T fetch_or(T value, std::memory_order order = kSeqCst) {
    schedule_point();
    return value_.fetch_or(value, order);
  }
  T fetch_and(T value, std::memory_order order = kSeqCst) {
    schedule_point();
    return value_.fetch_and(value, order);
  }

 private:
  static constexpr std::memory_order failure_order(std::memory_order order) {
    return order == kAcqRel ? kAcquire : order == kRelease ? kRelaxed : order;
  }
  std::atomic<T> value_;
};

// A counter written by many threads whose value orders nothing: statistics. Therefore no yield
// point.
class Counter {
 public:
  void add(uint64_t n = 1) { value_.fetch_add(n, kRelaxed); }  // pairs with nothing: a statistic
  // By one thread at a time.
  void add_alone(uint64_t n = 1) { value_.store(value_.load(kRelaxed) + n, kRelaxed); }
  uint64_t get() const { return value_.load(kRelaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Keeps the compiler, not the processor, from moving memory accesses across it. The cheap side of
// base/process_barrier.h.
inline void compiler_barrier() { asm volatile("" ::: "memory"); }

// Orders earlier stores before later loads. Nothing under TSan: what relies on it uses seq_cst
// operations there.
inline void full_barrier() {
#if !defined(VARVE_TSAN)
  std::atomic_thread_fence(kSeqCst);
#endif
}

// Says to the processor that the caller spins. The only way to spin: a scheduler yields here.
inline void spin_pause() {
  if (is_scheduled()) return internal::scheduled_pause(1);
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace varve
