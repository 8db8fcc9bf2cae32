#include "base/thread_slot.h"

#include <bit>
#include <cstdint>

#include "base/atomic.h"
#include "base/mutex.h"

namespace varve {
namespace {

constexpr size_t kWords = kThreadSlots / 64;
static_assert(kThreadSlots % 64 == 0);

// Never destroyed (all members are trivial to destroy): threads may end after main().
constinit Mutex slots_mutex;
constinit uint64_t slots_taken[kWords] VARVE_GUARDED_BY(slots_mutex) = {};
constinit Atomic<size_t> slots_limit{0};

// The lowest free slot, so that scans over slots stay short; kThreadSlots if all are taken.
size_t take_slot() {
  MutexLock lock(slots_mutex);
  for (size_t word = 0; word < kWords; ++word) {
    if (~slots_taken[word] == 0) continue;
    const size_t bit = static_cast<size_t>(std::countr_one(slots_taken[word]));
    slots_taken[word] |= uint64_t{1} << bit;
    const size_t slot = word * 64 + bit;
    if (slot >= slots_limit.load()) slots_limit.store(slot + 1);
    return slot;
  }
  return kThreadSlots;
}

void give_slot_back(size_t slot) {
  MutexLock lock(slots_mutex);
  slots_taken[slot / 64] &= ~(uint64_t{1} << (slot % 64));
}

// Its destructor runs when the thread ends.
struct SlotOwner {
  ~SlotOwner() {
    const size_t slot = internal::thread_slot;
    internal::thread_slot = kThreadSlots;
    if (slot < kThreadSlots) give_slot_back(slot);
  }
};

}  // namespace

namespace internal {

constinit thread_local size_t thread_slot = kThreadSlotUnset;

size_t acquire_thread_slot() {
  static thread_local SlotOwner owner;
  static_cast<void>(owner);
  thread_slot = take_slot();
  return thread_slot;
}

void raise_thread_slot_limit(size_t limit) {
  MutexLock lock(slots_mutex);
  if (limit > slots_limit.load()) slots_limit.store(limit);
}

}  // namespace internal

size_t thread_slot_limit() { return slots_limit.load(); }

}  // namespace varve
