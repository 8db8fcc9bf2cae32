// Which commits may enter the queue, and why the others wait. Each wait has a reason that work in
// the background takes away; where none does, the wait ends with an error.
//
//   memtables  two write buffers are full: until a flush is done
//   runs       reads have too many runs to look at: until a compaction is done
//   memory     the budget is full of what cannot be evicted: until a flush gives memory back, or
//              users let go of what they hold

#include <algorithm>

#include "lsm/store.h"

namespace varve {

namespace {

// Reads look at every run; so many are never left for long.
constexpr size_t kRunsStall = 24;
// Who waits looks again at least so often.
constexpr uint64_t kLookAgainNanos = 100'000'000;

// Cursors and values come and go: so many moments a commit waits for that, two seconds in all.
constexpr uint64_t kMomentNanos = 1'000'000;
constexpr uint32_t kPatience = 2000;
// Background work that is refused memory is tried again twice a second.
constexpr uint32_t kMemoryHindrancesMax = 10;

WaitReason reason_of(WriteStall stall) {
  return stall == WriteStall::memtables ? WaitReason::memtables : WaitReason::runs;
}

Status out_of_time(WaitReason reason) {
  switch (reason) {
    case WaitReason::memtables:
      return Status::timed_out("memtables are full: flushes are behind");
    case WaitReason::runs:
      return Status::timed_out("too many runs: compactions are behind");
    case WaitReason::memory:
      return Status::timed_out("the memory budget is full: flushes are behind");
  }
  return Status::timed_out("writes wait");
}

}  // namespace

// A wait, from its begin to its end, in the statistics.
class Store::Wait {
 public:
  Wait(Store* store, WaitReason reason, const std::optional<std::chrono::nanoseconds>& timeout)
      : store_(store) {
    waiter_.reason = reason;
    if (timeout) waiter_.limit = static_cast<uint64_t>(std::max<int64_t>(timeout->count(), 0));
    waiter_.since = store->options_.clock->monotonic_nanos();
    store->waiting_writers_.fetch_add(1);
    MutexLock lock(store->mutex_);
    waiter_.next = store->waiters_;
    store->waiters_ = &waiter_;
  }
  ~Wait() {
    store_->waiting_writers_.fetch_sub(1);
    const uint64_t waited = store_->options_.clock->monotonic_nanos() - waiter_.since;
    MutexLock lock(store_->mutex_);
    Waiter** link = &store_->waiters_;
    while (*link != &waiter_) link = &(*link)->next;
    *link = waiter_.next;
    WaitStatistics& sum = store_->waits_[static_cast<size_t>(waiter_.reason)];
    ++sum.waits;
    sum.micros += waited / 1000;
    sum.longest_micros = std::max(sum.longest_micros, waited / 1000);
  }
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;

  Waiter* waiter() { return &waiter_; }

 private:
  Store* const store_;
  Waiter waiter_;
};

Status Store::wait_for_change(Waiter* waiter, WaitReason reason, const Hindrance& hindrance,
                              uint64_t most_nanos) {
  waiter->reason = reason;
  // Waiting would last until the store is reopened, or someone makes room.
  if (failed_.load()) return failure_;
  if (closing_.load()) return Status::closed("the database is being closed");
  // Readers come and go, so want of memory passes, unless it was met again and again.
  if (!hindrance.status.ok() && (hindrance.status.code() != StatusCode::out_of_memory ||
                                 hindrance.times >= kMemoryHindrancesMax)) {
    return hindrance.status;
  }
  const uint64_t waited = options_.clock->monotonic_nanos() - waiter->since;
  if (waited >= waiter->limit) return out_of_time(reason);
  changed_.wait_for(mutex_, std::min(waiter->limit - waited, most_nanos));
  return Status();
}

// `more_bytes`: of commits that were admitted or want to be.
WriteStall Store::stall_of(uint64_t more_bytes) {
  return write_stall({.memtable_bytes = active_bytes_.load() + immutable_bytes_.load() + more_bytes,
                      .memtable_bytes_max = 2 * options_.write_buffer_size,
                      .runs = runs_most_.load(kRelaxed),  // a hint; looked at again
                      .runs_max = kRunsStall});
}

WriteStall Store::try_admit(uint64_t bytes) {
  const uint64_t admitted = admitted_bytes_.fetch_add(bytes);
  WriteStall stall = stall_of(admitted + bytes);
  // With nothing to wait for, the leader begins a new memtable, and one commit may exceed it.
  if (stall == WriteStall::memtables && admitted == 0 && immutable_bytes_.load() == 0) {
    stall = WriteStall::none;
  }
  if (stall != WriteStall::none) admitted_bytes_.fetch_sub(bytes);
  return stall;
}

Status Store::admit(uint64_t bytes, const std::optional<std::chrono::nanoseconds>& timeout) {
  WriteStall stall = try_admit(bytes);
  if (stall == WriteStall::none) return Status();
  Wait wait(this, reason_of(stall), timeout);
  MutexLock lock(mutex_);
  while ((stall = try_admit(bytes)) != WriteStall::none) {
    VARVE_RETURN_IF_ERROR(
        wait_for_change(wait.waiter(), reason_of(stall),
                        stall == WriteStall::memtables ? flush_hindrance_ : compaction_hindrance_,
                        kLookAgainNanos));
  }
  return Status();
}

void Store::leave(uint64_t bytes) {
  admitted_bytes_.fetch_sub(bytes);
  if (waiting_writers_.load() == 0) return;
  MutexLock lock(mutex_);
  changed_.notify_all();
}

void Store::commit_shed_memory() {
  if (immutable_bytes_.load() != 0) return;  // a flush is under way
  Tree* tree = largest_active();
  // If even this cannot be had, whoever waits is told so.
  if (!tree->active->empty()) static_cast<void>(rotate(tree));
}

Status Store::await_memory(const Status& refused, uint64_t drains, uint32_t times,
                           const std::optional<std::chrono::nanoseconds>& timeout) {
  if (drains_.load() != drains) return Status();
  Wait wait(this, WaitReason::memory, timeout);
  MutexLock lock(mutex_);
  while (drains_.load() == drains) {
    if (immutable_bytes_.load() == 0) {
      // It is not memtables that fill the budget, but what users hold.
      if (times > kPatience) return refused;
      VARVE_RETURN_IF_ERROR(
          wait_for_change(wait.waiter(), WaitReason::memory, flush_hindrance_, kMomentNanos));
      return Status();
    }
    VARVE_RETURN_IF_ERROR(
        wait_for_change(wait.waiter(), WaitReason::memory, flush_hindrance_, kLookAgainNanos));
  }
  return Status();
}

void Store::add_waits(std::array<WaitStatistics, kWaitReasonCount>* waits) {
  const uint64_t now = options_.clock->monotonic_nanos();
  MutexLock lock(mutex_);
  *waits = waits_;
  for (const Waiter* waiter = waiters_; waiter != nullptr; waiter = waiter->next) {
    WaitStatistics& sum = (*waits)[static_cast<size_t>(waiter->reason)];
    const uint64_t age = now > waiter->since ? (now - waiter->since) / 1000 : 0;
    ++sum.waiting;
    sum.oldest_micros = std::max(sum.oldest_micros, age);
  }
}

Health Store::health() {
  Health health;
  add_waits(&health.waits);
  MutexLock lock(mutex_);
  health.failure = failure_;
  health.flush = flush_hindrance_.status;
  health.compaction = compaction_hindrance_.status;
  return health;
}

}  // namespace varve
