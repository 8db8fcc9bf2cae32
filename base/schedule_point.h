// Where a deterministic scheduler takes over: the locks, atomics, threads, pauses and clock of
// base/ come here first, and so do the file calls of a simulated disk. Nothing happens unless the
// build has VARVE_SCHEDULER and base/scheduler.h runs the calling thread.

#pragma once

#include <cstdint>

namespace varve {

#if defined(VARVE_SCHEDULER)
inline constexpr bool kSchedulerBuilt = true;
#else
inline constexpr bool kSchedulerBuilt = false;
#endif

namespace internal {

struct ScheduledThread;
extern constinit thread_local ScheduledThread* scheduled_thread
    __attribute__((tls_model("initial-exec")));

// Of the calling thread, which is scheduled. `what` is the address of a lock or condition.
void scheduled_yield();
bool scheduled_wait(const void* what, uint64_t nanos);  // false: not told within `nanos`
void scheduled_block_on_lock(const void* what);
void scheduled_locked(const void* what);
void scheduled_unlocked(const void* what);  // lets those go on that wait for it
void scheduled_notify(const void* what, bool all);
void scheduled_pause(uint64_t nanos);
uint64_t scheduled_nanos();  // monotonic, of the run
uint64_t scheduled_realtime_nanos();
uint64_t scheduled_entropy();
// A thread that the calling one is about to start; what it calls first; and waiting for its end.
ScheduledThread* scheduled_spawn(const char* name);
void scheduled_begin(ScheduledThread* self);
void scheduled_join(ScheduledThread* thread);

}  // namespace internal

inline bool is_scheduled() {
  if constexpr (kSchedulerBuilt) {
    return internal::scheduled_thread != nullptr;
  } else {
    return false;
  }
}

// Another thread may run here.
inline void schedule_point() {
  if constexpr (kSchedulerBuilt) {
    if (__builtin_expect(internal::scheduled_thread != nullptr, 0)) internal::scheduled_yield();
  }
}

}  // namespace varve
