// Refuses memory on purpose, so that a test sees what becomes of each request that is refused: of
// every MemoryManager of the process, those of databases included.
//
// Counted and refused are the requests that a thread's magazine does not answer: only these can be
// refused by a budget. While a thread has an AllThroughSlabs, all of its requests are such. Control
// structures (memory/heap.h) are not asked about, as the budget does not refuse them either.
// Costs nothing on the way through the magazines, and one load beyond it.
//
// Thread rule: any thread; requests of all threads are counted together.

#pragma once

#include <cstdint>

#include "base/atomic.h"
#include "base/thread_slot.h"

namespace varve {

class AllocationFaults {
 public:
  // The `nth` request from now (1: the next) is refused, and so are the `count - 1` after it.
  static void begin(uint64_t nth, uint64_t count = 1) {
    requests_.store(0);
    refused_.store(0);
    first_.store(nth);
    count_.store(count);
    begun_.store(true);
  }
  static void end() { begun_.store(false); }
  // Since begin().
  static uint64_t requests() { return requests_.load(); }
  static uint64_t refused() { return refused_.load(); }

  // Of the request that asks.
  static bool refuses() {
    // Relaxed: a switch for tests; what they set up before is seen through their own ordering.
    return __builtin_expect(begun_.load(kRelaxed), 0) && refuses_counted();
  }

 private:
  static bool refuses_counted() {
    const uint64_t number = requests_.fetch_add(1) + 1;
    const uint64_t first = first_.load();
    if (number < first || number - first >= count_.load()) return false;
    refused_.fetch_add(1);
    return true;
  }

  static constinit inline Atomic<bool> begun_{false};
  static constinit inline Atomic<uint64_t> first_{0};
  static constinit inline Atomic<uint64_t> count_{0};
  static constinit inline Atomic<uint64_t> requests_{0};
  static constinit inline Atomic<uint64_t> refused_{0};
};

// The calling thread is one of those without a slot of their own.
class AllThroughSlabs {
 public:
  AllThroughSlabs() : slot_(this_thread_slot()) { internal::thread_slot = kThreadSlots; }
  ~AllThroughSlabs() { internal::thread_slot = slot_; }
  AllThroughSlabs(const AllThroughSlabs&) = delete;
  AllThroughSlabs& operator=(const AllThroughSlabs&) = delete;

 private:
  const size_t slot_;
};

}  // namespace varve
