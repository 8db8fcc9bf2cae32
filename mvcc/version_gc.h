// Which versions a flush or compaction keeps: a filter over a stream in version order.
//
// Readers that exist, or may still come, for one keyspace:
//   * any timestamp at or above the watermark W (new snapshots, snapshot_at), and
//   * the registered snapshots below W.
// A version is kept if one of them sees it:
//
//      newest                                                 oldest
//      v9        v7    W     v5     v4    s2     v3    v2   s1    v1
//      kept      kept        kept   drop         kept  drop       kept
//
// v9 and v7 are above W: a snapshot at any time there may see them. v5 is what W sees, v3 what s2
// sees, v1 what s1 sees; v4 and v2 are seen by nobody. The intervals between two neighbouring
// snapshots are called stripes: at most one version a stripe is kept.
//
// At the bottom (no older run holds versions of the key) two things more:
//   * a tombstone at or below the watermark that hides nothing kept is dropped. In the oldest
//     stripe none does; in another one that shows when the key's older versions have passed, and
//     until then the tombstone is on hold. Above the watermark tombstones stay: they are history;
//     and above the start of an open transaction: that the key was written since, all there is to
//     tell is the tombstone;
//   * the timestamp of a version in the oldest stripe no longer distinguishes it from anything: it
//     is collapsed to 0, which every reader sees, and which is older than any version of a newer
//     run. (Collapsing to anything greater could put it above a version in a run that takes no part
//     in the compaction.)
//
// Thread rule: one thread. Pure: depends on its constructor's arguments and the stream alone.

#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "mvcc/version.h"

namespace varve {

// What the readers of a keyspace need, captured once, before a flush or compaction reads its input.
struct GcHorizon {
  Timestamp watermark;                   // all timestamps at or above it are needed
  std::span<const Timestamp> snapshots;  // registered, below the watermark, ascending, distinct
  // Of these the oldest of a transaction that will be checked.
  Timestamp oldest_checked = kTimestampMax;
};

class VersionGc {
 public:
  VersionGc(const GcHorizon& horizon, bool bottom)
      : snapshots_(horizon.snapshots),
        watermark_(horizon.watermark),
        oldest_checked_(horizon.oldest_checked),
        bottom_(bottom) {
    oldest_reader_ = snapshots_.empty() ? watermark_ : std::min(watermark_, snapshots_.front());
  }

  struct Verdict {
    bool keep;
    bool collapse = false;  // write timestamp 0 instead
    // Keep only if the next version of the key that is kept is not on hold: of several tombstones
    // in a row the oldest says all.
    bool hold = false;
  };

  // The stream's next version; `first_of_key` if its user key differs from the previous one's.
  Verdict next(bool first_of_key, Timestamp timestamp, VersionKind kind) {
    if (first_of_key) {
      stripe_of_previous_ = kNoStripe;
    }
    if (timestamp > watermark_) return {.keep = true};
    const size_t stripe = timestamp <= oldest_reader_ ? 0 : stripe_of(timestamp);
    if (stripe == stripe_of_previous_) return {.keep = false};
    stripe_of_previous_ = stripe;
    if (bottom_ && stripe == 0) {
      return {.keep = kind != VersionKind::tombstone, .collapse = true};
    }
    return {.keep = true,
            .hold = bottom_ && kind == VersionKind::tombstone && timestamp <= oldest_checked_};
  }

 private:
  static constexpr size_t kNoStripe = SIZE_MAX;

  // The oldest reader that sees `timestamp` (at or below the watermark): its place among the
  // snapshots, or their number for the watermark itself.
  size_t stripe_of(Timestamp timestamp) const {
    return static_cast<size_t>(std::lower_bound(snapshots_.begin(), snapshots_.end(), timestamp) -
                               snapshots_.begin());
  }

  std::span<const Timestamp> snapshots_;
  Timestamp watermark_;
  Timestamp oldest_checked_;
  Timestamp oldest_reader_;
  bool bottom_;
  size_t stripe_of_previous_ = kNoStripe;
};

}  // namespace varve
