#include "memory/epoch.h"

#include <algorithm>

#include "base/assert.h"
#include "base/process_barrier.h"

namespace varve {
namespace {

// True while this thread is inside reclaim(): retirements there do not collect, so that a long
// chain of objects, each retiring the next, needs no deep stack.
thread_local bool is_reclaiming = false;

}  // namespace

EpochDomain::EpochDomain() : EpochDomain(process_barrier_available()) {}

EpochDomain::EpochDomain(bool asymmetric) : asymmetric_(asymmetric) {
  VARVE_ASSERT(!asymmetric || process_barrier_available());
}

EpochDomain::~EpochDomain() {
  // What is reclaimed may retire more.
  while (collect() != 0) {
    VARVE_ASSERT(oldest_guard() == UINT64_MAX);
  }
}

size_t EpochDomain::enter_shared() {
  MutexLock lock(shared_mutex_);
  const size_t other = 1 - shared_newer_;
  if (shared_[other].guards == 0) {
    shared_newer_ = other;
    shared_[other].epoch = epoch_.load();
  }
  ++shared_[shared_newer_].guards;
  return shared_newer_;
}

void EpochDomain::leave_shared(size_t index) {
  MutexLock lock(shared_mutex_);
  --shared_[index].guards;
}

// The lowest epoch that a guard holds; UINT64_MAX if there is none. Guards that are entered
// meanwhile may be missed: they see what was unpublished before.
uint64_t EpochDomain::oldest_guard() {
  uint64_t oldest = UINT64_MAX;
  const size_t slots = std::min(thread_slot_limit(), kThreadSlots);
  for (size_t i = 0; i < slots; ++i) {
    // seq_cst for the symmetric case; pairs with the stores in enter() and leave().
    const uint64_t epoch = slots_[i].epoch.load();
    if (epoch != kIdle) oldest = std::min(oldest, epoch);
  }
  MutexLock lock(shared_mutex_);
  for (const Shared& shared : shared_) {
    if (shared.guards != 0) oldest = std::min(oldest, shared.epoch);
  }
  return oldest;
}

void EpochDomain::retire_uncollected(Retired* node) {
  Retired* head = fresh_.load(kRelaxed);  // only a guess for the exchange
  do {
    node->next = head;
    // Release: the object is unpublished before; pairs with the exchange in stamp_fresh().
  } while (!fresh_.compare_exchange(head, node, kRelease));
}

void EpochDomain::collect_now_and_then() {
  if (calls_.fetch_add(1, kRelaxed) % kCollectEvery != 0 || is_reclaiming) return;
  Retired* reclaimable = nullptr;
  uint64_t generation = 0;
  if (!mutex_.try_lock()) return;  // another thread collects
  collect_locked(&reclaimable, &generation);
  mutex_.unlock();
  reclaim_all(reclaimable, generation);
}

size_t EpochDomain::collect() {
  Retired* reclaimable = nullptr;
  uint64_t generation = 0;
  size_t waiting = 0;
  {
    MutexLock lock(mutex_);
    waiting = collect_locked(&reclaimable, &generation);
  }
  return reclaim_all(reclaimable, generation) + waiting;
}

// Moves what was retired to the end of the list. Newer ones first among equals: no order is
// promised.
void EpochDomain::stamp_fresh(uint64_t epoch) {
  // Acquire: pairs with retire().
  Retired* node = fresh_.exchange(nullptr, kAcquire);
  while (node != nullptr) {
    Retired* next = node->next;
    node->epoch = epoch;
    node->next = nullptr;
    if (newest_ != nullptr) {
      newest_->next = node;
    } else {
      oldest_ = node;
    }
    newest_ = node;
    ++waiting_;
    node = next;
  }
}

// Detaches what may be reclaimed, as a list, and counts the caller as reclaiming if it is not
// empty. Returns how many wait on.
size_t EpochDomain::collect_locked(Retired** reclaimable, uint64_t* generation) {
  *reclaimable = nullptr;
  const uint64_t epoch = epoch_.load();
  stamp_fresh(epoch);
  if (oldest_ == nullptr) return 0;
  // Release, after stamp_fresh()'s acquire: guards that read the new epoch see as unpublished what
  // was stamped with the old one (rule 1). Only this function writes it, under the lock.
  epoch_.store(epoch + 1);
  if (asymmetric_) {
    process_barrier();  // pairs with compiler_barrier() in enter() (rule 2)
  } else {
    full_barrier();  // pairs with full_barrier() in enter() (rule 2)
  }
  const uint64_t oldest = oldest_guard();
  Retired** end = &oldest_;
  while (*end != nullptr && (*end)->epoch < oldest) {
    end = &(*end)->next;
    --waiting_;
  }
  if (end == &oldest_) return waiting_;
  *reclaimable = oldest_;
  oldest_ = *end;
  *end = nullptr;
  if (oldest_ == nullptr) newest_ = nullptr;
  *generation = generation_;
  ++reclaiming_[generation_ % 2];
  return waiting_;
}

// Returns how many objects were retired meanwhile by the reclaimed ones, at least: 0 or 1.
size_t EpochDomain::reclaim_all(Retired* nodes, uint64_t generation) {
  if (nodes == nullptr) return 0;
  const bool was_reclaiming = is_reclaiming;
  is_reclaiming = true;
  while (nodes != nullptr) {
    Retired* next = nodes->next;
    nodes->reclaim(nodes);
    nodes = next;
  }
  is_reclaiming = was_reclaiming;
  {
    MutexLock lock(mutex_);
    --reclaiming_[generation % 2];
  }
  reclaimed_.notify_all();
  return fresh_.load(kRelaxed) != nullptr ? 1 : 0;  // a hint
}

void EpochDomain::drain() {
  // Readers leave without a word, so their end is looked for.
  constexpr uint64_t kLookAgainNanos = 50'000;
  collect();
  // All that was retired before the call was stamped below this.
  uint64_t target = 0;
  {
    MutexLock lock(mutex_);
    target = epoch_.load();
  }
  for (;;) {
    {
      MutexLock lock(mutex_);
      if (oldest_ == nullptr || oldest_->epoch >= target) break;
      reclaimed_.wait_for(mutex_, kLookAgainNanos);
    }
    collect();
  }
  // Who is at work now may have something older in hand; who comes later has not.
  MutexLock lock(mutex_);
  const uint64_t generation = generation_;
  for (;;) {
    if (generation_ == generation && reclaiming_[(generation + 1) % 2] == 0) ++generation_;
    // A second step was taken only when those of `generation` were through.
    if (generation_ > generation + 1) return;
    if (generation_ == generation + 1 && reclaiming_[generation % 2] == 0) return;
    reclaimed_.wait_for(mutex_, kLookAgainNanos);
  }
}

}  // namespace varve
