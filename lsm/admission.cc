// Which commits may enter the queue, and why the others wait. Each wait has a reason that work in
// the background takes away; where none does, the wait ends with an error.
//
//   memtables  two write buffers are full: until a flush is done
//   runs       reads have too many runs to look at: until a compaction is done
//   pace       a flush or a compaction is under way, and writes come faster than it gets on: as
//              long as is needed so that none of the others comes about (lsm/write_stall.h)
//   memory     the budget is full of what cannot be evicted: until a flush gives memory back, or
//              users let go of what they hold

#include <algorithm>

#include "base/thread.h"
#include "lsm/store.h"

namespace varve {

namespace {

// Reads look at every run; so many are never left for long.
constexpr size_t kRunsStall = 24;
// From so many on, writes wait a little for compactions.
constexpr size_t kRunsSlow = kRunsStall / 2;
// A sleep of less is not worth it: what is owed is paid with the next ones.
constexpr uint64_t kPaceSleepMin = 200'000;
// So much may be caught up with by who came later than it had to.
constexpr uint64_t kPaceBurst = 1'000'000;
constexpr uint64_t kPaceStep = 10'000'000;
// A thread owes so much before it tells the others.
constexpr uint64_t kPaceDebtMax = 10'000;
// Who waits looks again at least so often.
constexpr uint64_t kLookAgainNanos = 100'000'000;

// At what others do that share the budget, more often: they need not wake anybody.
constexpr uint64_t kLookAtOthersNanos = 10'000'000;

// Cursors and values come and go: so many moments a commit waits for that, two seconds in all.
constexpr uint64_t kMomentNanos = 1'000'000;
constexpr uint32_t kPatience = 2000;
// Background work that is refused memory is tried again twice a second.
constexpr uint32_t kMemoryHindrancesMax = 10;

WaitReason reason_of(WriteStall stall) {
  return stall == WriteStall::memtables ? WaitReason::memtables : WaitReason::runs;
}

Status being_closed() { return Status::closed("the database is being closed"); }

Status out_of_time(WaitReason reason) {
  switch (reason) {
    case WaitReason::memtables:
      return Status::timed_out("memtables are full: flushes are behind");
    case WaitReason::runs:
      return Status::timed_out("too many runs: compactions are behind");
    case WaitReason::pace:
      return Status::timed_out("writes come faster than flushes and compactions get on");
    case WaitReason::memory:
      return Status::timed_out("the memory budget is full: flushes are behind");
  }
  return Status::timed_out("writes wait");
}

}  // namespace

// A wait, from its begin to its end, in the statistics.
class Store::Wait {
 public:
  Wait(Store* store, WaitReason reason, CommitWait* waited)
      : store_(store),
        began_(store->options_.clock->monotonic_nanos()),
        first_(waited->since == 0) {
    if (first_) waited->since = began_;
    waiter_.reason = reason;
    waiter_.since = waited->since;
    waiter_.cancelled = waited->cancelled;
    if (waited->timeout) {
      waiter_.limit = static_cast<uint64_t>(std::max<int64_t>(waited->timeout->count(), 0));
    }
    store->waiting_writers_.fetch_add(1);
    MutexLock lock(store->mutex_);
    waiter_.next = store->waiters_;
    store->waiters_ = &waiter_;
  }
  ~Wait() {
    store_->waiting_writers_.fetch_sub(1);
    const uint64_t now = store_->options_.clock->monotonic_nanos();
    MutexLock lock(store_->mutex_);
    Waiter** link = &store_->waiters_;
    while (*link != &waiter_) link = &(*link)->next;
    *link = waiter_.next;
    WaitStatistics& sum = store_->waits_[static_cast<size_t>(waiter_.reason)];
    sum.waits += first_;  // a commit that has to wait again goes on with its wait
    sum.micros += (now - began_) / 1000;
    sum.longest_micros = std::max(sum.longest_micros, (now - waiter_.since) / 1000);
  }
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;

  Waiter* waiter() { return &waiter_; }

 private:
  Store* const store_;
  const uint64_t began_;
  const bool first_;
  Waiter waiter_;
};

Status Store::wait_for_change(Waiter* waiter, WaitReason reason, const Hindrance& hindrance,
                              uint64_t most_nanos) {
  waiter->reason = reason;
  // Waiting would last until the store is reopened, or someone makes room.
  if (failed_.load()) return failure_;
  if (writes_ended_.load()) return being_closed();
  if (is_cancelled(waiter->cancelled)) return cancelled();
  // Readers come and go, so want of memory passes, unless it was met again and again.
  if (!hindrance.status.ok() && (hindrance.status.code() != StatusCode::out_of_memory ||
                                 hindrance.times >= kMemoryHindrancesMax)) {
    // Not the fault itself: of a commit, io_error leaves open whether it is there.
    return heals_by_itself(hindrance.status) ? hindrance.status
                                             : Status::busy(hindrance.status.to_string());
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

bool Store::is_no_matter(uint64_t bytes) {
  // Of as many threads as have a slot: a sixteenth, by which writes that are counted may come over
  // the bound.
  return bytes <= options_.write_buffer_size / (16 * kThreadSlots) &&
         stall_of(options_.write_buffer_size / 4) == WriteStall::none;
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

uint64_t Store::pace_of(uint64_t bytes, uint64_t now) {
  uint64_t nanos = 0;
  const uint64_t immutable = immutable_bytes_.load();
  if (immutable != 0) {
    const uint64_t most = 2 * options_.write_buffer_size;
    const uint64_t held = active_bytes_.load() + immutable + admitted_bytes_.load();
    nanos = pace_nanos(bytes, flush_rate_.nanos_left(immutable, now), most - std::min(most, held));
  }
  if (const size_t runs = runs_most_.load(kRelaxed); runs >= kRunsSlow) {  // a hint
    const uint64_t room = (kRunsStall - std::min(kRunsStall, runs)) * options_.write_buffer_size;
    const uint64_t merged = compaction_bytes_.load(kRelaxed);  // an estimate
    nanos = std::max(nanos, pace_nanos(bytes, compaction_rate_.nanos_left(merged, now), room));
  }
  return nanos;
}

Status Store::keep_pace(uint64_t bytes, CommitWait* waited) {
  if (immutable_bytes_.load() == 0 && runs_most_.load(kRelaxed) < kRunsSlow) return Status();
  const uint64_t now = options_.clock->monotonic_nanos();
  uint64_t owed = pace_of(bytes, now);
  if (owed == 0) return Status();
  // Numbers, nothing is published through them.
  Atomic<uint64_t>& debt = own_commits().owed_nanos;
  owed += debt.exchange(0, kRelaxed);
  if (owed < kPaceDebtMax) {
    debt.fetch_add(owed, kRelaxed);
    return Status();
  }
  uint64_t paid = paced_until_.load(kRelaxed);
  uint64_t until;
  do {
    // What was owed for work that is done by now is forgiven.
    until = std::clamp(paid, now - std::min(now, kPaceBurst), now + kPaceStep) + owed;
  } while (!paced_until_.compare_exchange(paid, until, kRelaxed));
  if (until < now + kPaceSleepMin) return Status();
  Wait wait(this, WaitReason::pace, waited);
  for (uint64_t left = until - now; left > 0;) {
    if (failed_.load()) return failure();
    if (writes_ended_.load()) return being_closed();
    const uint64_t passed = options_.clock->monotonic_nanos() - wait.waiter()->since;
    const bool stopped = is_cancelled(waited->cancelled);
    if (stopped || passed >= wait.waiter()->limit) {
      paced_until_.fetch_sub(owed, kRelaxed);  // it writes nothing
      return stopped ? cancelled() : out_of_time(WaitReason::pace);
    }
    const uint64_t step = std::min({left, kPaceStep, wait.waiter()->limit - passed});
    pause_for(step);
    // The work that it was owed for may be done by now, or get on faster than was thought.
    left = std::min(left - step, pace_of(bytes, options_.clock->monotonic_nanos()));
  }
  return Status();
}

uint64_t Store::memtable_bytes() const { return active_bytes_.load() + immutable_bytes_.load(); }

bool Store::others_make_room(uint64_t bytes) {
  return engine_memory_->memtables_are_excessive(memtable_bytes(), bytes) &&
         engine_memory_->shed_worthwhile();
}

Status Store::admit(uint64_t bytes, CommitWait* waited) {
  if (waited->memory_waits == 0) VARVE_RETURN_IF_ERROR(keep_pace(bytes, waited));
  Atomic<uint64_t>& under_way = own_commits().under_way;
  under_way.fetch_add(1);
  waited->is_counted = false;
  Status status;
  if (writes_ended_.load()) {  // end_writes() sees the commit, or is seen here
    status = being_closed();
  } else if (others_make_room(bytes) || !is_no_matter(bytes)) {
    status = admit_counted(bytes, waited);
    waited->is_counted = status.ok();
  }
  if (!status.ok()) under_way.fetch_sub(1);
  return status;
}

Status Store::admit_counted(uint64_t bytes, CommitWait* waited) {
  WriteStall stall = others_make_room(bytes) ? WriteStall::memtables : try_admit(bytes);
  if (stall == WriteStall::none) return Status();
  Wait wait(this, reason_of(stall), waited);
  const Hindrance none;
  for (;;) {
    const bool others = others_make_room(bytes);
    MutexLock lock(mutex_);
    if (others) {  // who reports its own hindrances, and then makes no room
      VARVE_RETURN_IF_ERROR(
          wait_for_change(wait.waiter(), WaitReason::memtables, none, kLookAtOthersNanos));
      continue;
    }
    if ((stall = try_admit(bytes)) == WriteStall::none) return Status();
    VARVE_RETURN_IF_ERROR(
        wait_for_change(wait.waiter(), reason_of(stall),
                        stall == WriteStall::memtables ? flush_hindrance_ : compaction_hindrance_,
                        kLookAgainNanos));
  }
}

bool Store::commits_are_under_way() const {
  return std::any_of(std::begin(commits_), std::end(commits_),
                     [](const Commits& own) { return own.under_way.load() != 0; });
}

void Store::end_writes() {
  writes_ended_.store(true);
  MutexLock lock(mutex_);
  changed_.notify_all();
  while (commits_are_under_way() || waiters_ != nullptr) {
    changed_.wait_for(mutex_, kMomentNanos);
  }
}

void Store::leave(uint64_t bytes, const CommitWait& waited) {
  if (waited.is_counted) admitted_bytes_.fetch_sub(bytes);
  own_commits().under_way.fetch_sub(1);
  if (waiting_writers_.load() == 0) return;
  MutexLock lock(mutex_);
  changed_.notify_all();
}

void Store::commit_shed_memory() {
  if (immutable_bytes_.load() != 0) return;  // a flush is under way
  if (engine_memory_->shed(this)) return;    // as another's is, who holds more
  // If even this cannot be had, whoever waits is told so.
  static_cast<void>(commit_rotate_largest());
}

EngineMemory::MemtableState Store::memtable_state() {
  MutexLock lock(mutex_);
  return {.active = active_bytes_.load(),
          .immutable = immutable_bytes_.load(),
          .flushes = !failed_.load() && !closing_.load() && flush_hindrance_.status.ok()};
}

void Store::shed_memory() { schedule(&shed_task_); }

bool Store::give_up_idle_memory() {
  cache_.trim_scratch();
  drop_next_memtable();
  return memory_help_.load()->give_up_idle_memory();
}

void Store::memory_was_given_back() {
  MutexLock lock(mutex_);
  changed_.notify_all();
}

Status Store::await_memory(const Status& refused, uint64_t drains, CommitWait* waited) {
  // It is not memtables that fill the budget, but what users hold, or one commit is too large.
  if (waited->memory_waits > kPatience) return refused;
  ++waited->memory_waits;
  if (this->drains() != drains) return Status();
  const bool sheds = engine_memory_->shed_worthwhile();
  if (sheds) waited->memory_waits += kLookAtOthersNanos / kMomentNanos - 1;
  Wait wait(this, WaitReason::memory, waited);
  MutexLock lock(mutex_);
  while (this->drains() == drains) {
    if (immutable_bytes_.load() == 0) {
      VARVE_RETURN_IF_ERROR(wait_for_change(wait.waiter(), WaitReason::memory, flush_hindrance_,
                                            sheds ? kLookAtOthersNanos : kMomentNanos));
      return Status();
    }
    VARVE_RETURN_IF_ERROR(
        wait_for_change(wait.waiter(), WaitReason::memory, flush_hindrance_, kLookAgainNanos));
  }
  return Status();
}

bool Store::await_flush(uint64_t drains) {
  constexpr int kLooks = 10;
  const bool sheds = engine_memory_->shed_worthwhile();
  MutexLock lock(mutex_);
  for (int looks = sheds ? kLooks : 0; looks > 0 && this->drains() == drains;) {
    if (failed_.load() || writes_ended_.load() || !flush_hindrance_.status.ok()) break;
    // Much that changes is no flush: who is woken by it has not waited in vain.
    if (!changed_.wait_for(mutex_, kLookAgainNanos)) --looks;
  }
  return this->drains() != drains;
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
