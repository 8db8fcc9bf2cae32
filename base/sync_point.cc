#include "base/sync_point.h"

#if defined(VARVE_SYNC_POINTS)

#include "base/atomic.h"

namespace varve {
namespace {

// Both are set while no engine thread runs (the header's rule), so they need not change together.
constinit Atomic<SyncPointHandler> current_handler{nullptr};
constinit Atomic<void*> current_context{nullptr};

}  // namespace

void set_sync_point_handler(SyncPointHandler handler, void* context) {
  current_handler.store(nullptr);
  current_context.store(context);
  current_handler.store(handler);
}

void sync_point_reached(const char* name) {
  const SyncPointHandler handler = current_handler.load();
  if (handler != nullptr) handler(name, current_context.load());
}

}  // namespace varve

#endif  // VARVE_SYNC_POINTS
