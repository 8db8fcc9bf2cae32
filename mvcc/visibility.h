// The one rule of what a snapshot sees, as a pure predicate.

#pragma once

#include "mvcc/version.h"

namespace varve {

// Of the versions of a key, a snapshot sees the newest for which this holds; a tombstone then means
// that the key is absent.
inline bool is_visible(Timestamp version, Timestamp snapshot) { return version <= snapshot; }

}  // namespace varve
