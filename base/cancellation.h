// A Cancellation as loops look at it: the flag alone, so that a look costs one load.
//
// Thread rule: any thread. Lifetime: the flag is the Cancellation's.

#pragma once

#include "base/atomic.h"
#include "varve/cancellation.h"
#include "varve/status.h"

namespace varve {

// Null for null.
const Atomic<bool>* cancellation_flag(const Cancellation* cancellation);

// What an operation is ended with.
inline Status cancelled() { return Status::cancelled("at the caller's request"); }

// Of a flag that may be null: there is nobody who cancels.
inline bool is_cancelled(const Atomic<bool>* flag) {
  // Relaxed: pairs with nothing, a request to stop orders nothing.
  return flag != nullptr && __builtin_expect(flag->load(kRelaxed), 0);
}

}  // namespace varve
