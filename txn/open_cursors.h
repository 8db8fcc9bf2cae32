// All cursors of a database, so that those which stand still can be made to let go of views that
// were superseded (protocol 24): else a forgotten cursor keeps a memtable for ever.
//
// A cursor announces each use by a plain store. Who wants views asks all cursors to stop at the
// door, sees to it by a barrier on every thread that each has either announced itself or will see
// the request, and then may touch those that are not in use. So a step of a cursor pays two stores
// and a load.
//
// Thread rule: all functions from any thread.

#pragma once

#include <cstddef>

#include "base/atomic.h"
#include "base/mutex.h"
#include "base/process_barrier.h"

namespace varve {

class CursorImpl;

class OpenCursors {
 public:
  void add(CursorImpl* cursor);
  void remove(CursorImpl* cursor);
  // Gives every cursor that is not in use the newest view. Returns how many took one. Outside epoch
  // guards.
  size_t renew_parked();

  // The sides of the barrier (base/process_barrier.h).
  void cursor_side() const {
    if (__builtin_expect(asymmetric_, 1)) {
      compiler_barrier();  // pairs with process_barrier() in renew_parked()
    } else {
      full_barrier();  // pairs with full_barrier() in renew_parked()
    }
  }
  // A cursor that was asked to stop: marks it as in use again when views are not being taken.
  void pass_the_door(Atomic<bool>* in_use) {
    MutexLock lock(mutex_);
    in_use->store(true, kRelaxed);  // whoever takes views next has the lock after this
  }

 private:
  const bool asymmetric_ = process_barrier_available();
  Mutex mutex_;
  CursorImpl* first_ VARVE_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace varve
