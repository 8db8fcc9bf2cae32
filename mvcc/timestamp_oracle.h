// Hands out commit timestamps and says which are published.
//
// Timestamps are nanoseconds since 1970 made strictly increasing: max(last + 1, clock). One clock
// read serves a whole commit group, whose members get consecutive timestamps.
//
// Invariants:
//  1. No timestamp is handed out twice, restarts included: those handed out stay below a lease that
//     was made durable before (protocol 7). The caller persists leases; the oracle only says when.
//  2. published <= allocated. Published rises only; under durability `sync` after the sync. Applied
//     is ahead of it meanwhile: what can be read already by those who wait for that sync before
//     they tell anybody (Database::transact()).
//  3. A step of the wall clock forward by more than kClockJumpMaxNanos beyond what the monotonic
//     clock allows is ignored; a step back is ridden out (last + 1).
//
// Thread rule: allocate(), advance_to(), renew_lease() by one thread at a time (the commit leader);
// published() and applied() by any.

#pragma once

#include <algorithm>
#include <cstdint>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/prefetch.h"
#include "mvcc/version.h"
#include "varve/clock.h"

namespace varve {

class TimestampOracle {
 public:
  // A lease reaches this far ahead. Longer: fewer manifest writes; after a crash, timestamps run
  // ahead of the wall clock by at most this.
  static constexpr uint64_t kLeaseNanos = 10'000'000'000;
  static constexpr uint64_t kLeaseRenewNanos = kLeaseNanos / 2;
  static constexpr uint64_t kClockJumpMaxNanos = 60'000'000'000;

  // `last`: newest timestamp that may have been handed out before; `lease_end`: durable lease.
  TimestampOracle(Clock* clock, Timestamp last, Timestamp lease_end)
      : clock_(clock),
        last_(last.nanos),
        lease_end_(lease_end.nanos),
        published_(last.nanos),
        applied_(last.nanos),
        realtime_seen_(clock->realtime_nanos()),
        monotonic_seen_(clock->monotonic_nanos()) {}

  // allocate() and publish() are about to be called, on another core than last time.
  void prefetch() const { prefetch_for_write(&last_, &published_ + 1); }
  // First of `count` consecutive timestamps. Requires that a lease covers them: see lease_for().
  Timestamp allocate(uint64_t count) {
    // The clock may have moved on since lease_for(): never past the lease.
    const uint64_t latest = lease_end_.load() - count;
    // last_ is written by this thread only.
    const uint64_t first = std::max(last_.load(kRelaxed) + 1, std::min(now(), latest));
    // Sequentially consistent, before the leader looks for watched ranges: whoever adds one looks
    // here afterwards (txn/change_watch.h).
    last_.store(first + count - 1);
    return Timestamp{first};
  }
  // Whether allocate(count) would stay below the lease, and with how much to spare.
  enum class Lease : uint8_t { lasts, ends_soon, is_used_up };
  Lease lease_for(uint64_t count) {
    const uint64_t floor = next_floor();
    const uint64_t end = lease_end_.load();
    if (floor + count > end) return Lease::is_used_up;
    return floor + kLeaseRenewNanos > end ? Lease::ends_soon : Lease::lasts;
  }
  // The lease end to persist next.
  Timestamp next_lease() { return Timestamp{next_floor() + kLeaseNanos}; }
  // `end` is durable now.
  void renew_lease(Timestamp end) {
    if (end.nanos > lease_end_.load()) lease_end_.store(end.nanos);
  }

  // Makes allocated timestamps exceed `time` from now on. For snapshot_at() a little in the future
  // of the newest commit.
  void advance_to(Timestamp time) {
    if (time.nanos > last_.load()) last_.store(time.nanos);
  }
  void publish(Timestamp time) {
    VARVE_DCHECK(time.nanos >= published_.load() && time.nanos <= last_.load());
    published_.store(time.nanos);
  }
  // Commits up to `time` can be read, and are about to be made durable.
  void note_applied(Timestamp time) { applied_.store(time.nanos, kRelease); }  // see applied_cell()

  Timestamp last_allocated() const { return Timestamp{last_.load()}; }
  Timestamp published() const { return Timestamp{published_.load()}; }
  const Atomic<uint64_t>& published_cell() const { return published_; }
  // At or below published, where no sync is under way.
  const Atomic<uint64_t>& applied_cell() const { return applied_; }

  // The wall clock, rid of jumps.
  uint64_t now() {
    const uint64_t realtime = clock_->realtime_nanos();
    // What was no jump then is none now, so the other clock is seldom asked.
    if (realtime <= no_jump_until_.load(kRelaxed)) return realtime;
    const uint64_t expected = realtime_expected();
    no_jump_until_.store(expected + kClockJumpMaxNanos, kRelaxed);
    return realtime > expected + kClockJumpMaxNanos ? expected : realtime;
  }
  // By how much the wall clock is ahead of now(), because it jumped.
  uint64_t clock_jump_nanos() {
    const uint64_t realtime = clock_->realtime_nanos();
    const uint64_t expected = realtime_expected();
    return realtime > expected + kClockJumpMaxNanos ? realtime - expected : 0;
  }

 private:
  uint64_t realtime_expected() {
    return realtime_seen_ + (clock_->monotonic_nanos() - monotonic_seen_);
  }
  uint64_t next_floor() { return std::max(last_.load() + 1, now()); }

  Clock* clock_;
  Atomic<uint64_t> last_;
  Atomic<uint64_t> lease_end_;
  Atomic<uint64_t> published_;
  Atomic<uint64_t> applied_;
  Atomic<uint64_t> no_jump_until_{0};  // orders nothing
  const uint64_t realtime_seen_;       // both clocks at the same moment, at the start
  const uint64_t monotonic_seen_;
};

}  // namespace varve
