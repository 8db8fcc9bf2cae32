// A small number for each living thread, so that per-thread state can lie in plain arrays.
//
// Thread rule: all functions from any thread.
// Invariants:
// 1. Two threads that live at once never have the same slot below kThreadSlots.
// 2. What a thread wrote while it had a slot happens before what the slot's next owner does.
// 3. thread_slot_limit() only rises, and is raised before this_thread_slot() returns the slot.
// After its slot was taken back (in destructors of other thread-local objects) a dying thread gets
// kThreadSlots, the shared number.

#pragma once

#include <cstddef>

namespace varve {

// Slots are handed out on a thread's first call and taken back when it ends.
inline constexpr size_t kThreadSlots = 512;

namespace internal {
inline constexpr size_t kThreadSlotUnset = ~size_t{0};
// Initial-exec: one load, also in position-independent code; it takes 8 bytes of static TLS.
extern constinit thread_local size_t thread_slot __attribute__((tls_model("initial-exec")));
size_t acquire_thread_slot();
// Raises thread_slot_limit(), so that it does not depend on the threads there were.
void raise_thread_slot_limit(size_t limit);
}  // namespace internal

// In [0, kThreadSlots): exclusive to the calling thread while it lives; or kThreadSlots, for every
// thread beyond the first kThreadSlots living ones: users need a shared fallback for that number.
inline size_t this_thread_slot() {
  const size_t slot = internal::thread_slot;
  return __builtin_expect(slot != internal::kThreadSlotUnset, 1) ? slot
                                                                 : internal::acquire_thread_slot();
}

// The same, or a number above kThreadSlots on a thread that never asked: for fast paths that fall
// back to this_thread_slot().
inline size_t this_thread_slot_if_known() { return internal::thread_slot; }

// Every slot below kThreadSlots that was ever handed out is below this: the end of a scan over
// per-thread state.
size_t thread_slot_limit();

}  // namespace varve
