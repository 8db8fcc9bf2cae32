#include "txn/open_cursors.h"

#include <vector>

#include "txn/cursor_impl.h"

namespace varve {

void OpenCursors::add(CursorImpl* cursor) {
  MutexLock lock(mutex_);
  cursor->next_ = first_;
  cursor->previous_ = nullptr;
  if (first_ != nullptr) first_->previous_ = cursor;
  first_ = cursor;
}

void OpenCursors::remove(CursorImpl* cursor) {
  MutexLock lock(mutex_);
  if (cursor->next_ != nullptr) cursor->next_->previous_ = cursor->previous_;
  (cursor->previous_ != nullptr ? cursor->previous_->next_ : first_) = cursor->next_;
}

size_t OpenCursors::renew_parked() {
  std::vector<ReadView*> superseded;  // let go of without the lock: files are disposed of by it
  {
    MutexLock lock(mutex_);
    for (CursorImpl* cursor = first_; cursor != nullptr; cursor = cursor->next_) {
      cursor->wanted_.store(true, kRelaxed);  // the barrier orders it
    }
    if (asymmetric_) {
      process_barrier();  // pairs with compiler_barrier() in cursor_side()
    } else {
      full_barrier();  // pairs with full_barrier() in cursor_side()
    }
    for (CursorImpl* cursor = first_; cursor != nullptr; cursor = cursor->next_) {
      // Acquire and release: pair with leave() and enter(): one side's changes are seen by the
      // other.
      if (!cursor->in_use_.load(kAcquire)) {
        if (ReadView* view = cursor->take_superseded_view()) superseded.push_back(view);
      }
      cursor->wanted_.store(false, kRelease);
    }
  }
  for (ReadView* view : superseded) view->unref();
  return superseded.size();
}

}  // namespace varve
