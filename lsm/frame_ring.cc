#include "lsm/frame_ring.h"

#include "base/assert.h"
#include "base/thread.h"
#include "lsm/block_cache.h"

namespace varve {

uint32_t Frame::find_without_tags(std::string_view user_key, uint64_t hash, Timestamp snapshot) {
  uint8_t searches = tags.load(kRelaxed);
  if (searches < kSearchesWithoutTags) {
    // Whoever fails lost against another one that counted.
    tags.compare_exchange(searches, static_cast<uint8_t>(searches + 1), kRelaxed);
  } else if (searches == kSearchesWithoutTags &&
             tags.compare_exchange(searches, kFilling, kRelaxed)) {
    view.fill_tags();
    tags.store(kFilled, kRelease);  // pairs with the loads of find() and candidate()
    return view.find(user_key, hash, snapshot);
  }
  return view.find_in_order(user_key, snapshot);
}

FrameRing::FrameRing(MemoryManager* manager, EpochDomain* epochs, uint64_t capacity)
    : manager_(manager), epochs_(epochs), capacity_(capacity) {
  manager_->set_reclaimer(this);
}

FrameRing::~FrameRing() {
  manager_->set_reclaimer(nullptr);
  MutexLock lock(mutex_);
  VARVE_ASSERT(hand_ == nullptr);
}

bool FrameRing::reclaim(size_t bytes) {
  // Readers leave without a word, so their end is looked for.
  constexpr uint64_t kLookAgainNanos = 50'000;
  VARVE_DCHECK(!epochs_->is_guarded_here());
  // What is dying already counts: else one slow reader would have all of the cache evicted. Hints
  // all: who is refused asks again.
  size_t dying = dying_bytes_.load(kRelaxed);
  while (dying < bytes) {
    MutexLock lock(mutex_);
    const size_t evicted = evict_slab();
    if (evicted == 0) break;
    dying += evicted;
  }
  if (dying == 0) return false;
  epochs_->collect();
  if (dying_bytes_.load(kRelaxed) >= dying) pause_for(kLookAgainNanos);  // nothing was freed
  return true;
}

void FrameRing::install(Frame* frame) {
  if (hand_ == nullptr) {
    frame->ring_next = frame->ring_previous = frame;
    hand_ = frame;
  } else {  // just behind the hand: the last that it will meet
    frame->ring_next = hand_;
    frame->ring_previous = hand_->ring_previous;
    frame->ring_previous->ring_next = frame;
    hand_->ring_previous = frame;
  }
  if (Frame** mates = mates_of(frame)) {
    frame->mate_previous = nullptr;
    frame->mate_next = *mates;
    if (*mates != nullptr) (*mates)->mate_previous = frame;
    *mates = frame;
  }
  const uint64_t bytes = bytes_.fetch_add(frame->memory_size, kRelaxed) + frame->memory_size;
  const uint64_t full = full_bytes_.load(kRelaxed);
  if (full != 0 && bytes > full + full / 16) full_bytes_.store(0, kRelaxed);  // it has more now
  frame->slot->store(frame, kRelease);  // pairs with the loads of readers
}

bool FrameRing::evict_excess() {
  bool any = false;
  while (bytes_.load(kRelaxed) > capacity_ && evict_one() != 0) any = true;
  return any;
}

void FrameRing::remove(Frame* frame) {
  if (frame->ring_next == frame) {
    hand_ = nullptr;
  } else {
    if (hand_ == frame) hand_ = frame->ring_next;
    frame->ring_previous->ring_next = frame->ring_next;
    frame->ring_next->ring_previous = frame->ring_previous;
  }
  frame->ring_next = frame->ring_previous = nullptr;
  if (frame->mate_next != nullptr) frame->mate_next->mate_previous = frame->mate_previous;
  if (frame->mate_previous != nullptr) {
    frame->mate_previous->mate_next = frame->mate_next;
  } else if (Frame** mates = mates_of(frame)) {
    *mates = frame->mate_next;
  }
  frame->mate_next = frame->mate_previous = nullptr;
  bytes_.fetch_sub(frame->memory_size, kRelaxed);
  frame->slot->store(nullptr, kRelease);
  frame->slot = nullptr;
  if (frame->parent != nullptr) {
    frame->parent->resident_children.fetch_sub(1, kRelaxed);
    frame->parent = nullptr;
  }
  frame->retired.reclaim = &FrameRing::free_retired;
  dying_bytes_.fetch_add(frame->memory_size, kRelaxed);  // a hint for reclaim()
  epochs_->retire_uncollected(&frame->retired);
}

size_t FrameRing::evict(Frame* frame) {
  const size_t bytes = frame->memory_size;  // before it may be freed
  frame->cache->statistics_.evictions.add();
  full_bytes_.store(bytes_.load(kRelaxed), kRelaxed);  // a hint
  remove(frame);
  return bytes;
}

// Head of the list of the frames that lie in the same slab.
Frame** FrameRing::mates_of(Frame* frame) {
  return reinterpret_cast<Frame**>(manager_->shared_word(frame, frame->memory_size));
}

// Nobody uses it, and it has no grace left.
bool FrameRing::is_cold(const Frame* frame) {
  return frame->heat.load(kRelaxed) == 0 && frame->references.load(kRelaxed) == 1 &&
         frame->resident_children.load(kRelaxed) == 0;
}

size_t FrameRing::evict_slab() {
  // Twice around at most: then a single frame has to do, whoever lies beside it.
  const Frame* first_kept = nullptr;
  for (unsigned rounds = 0; hand_ != nullptr;) {
    Frame* frame = hand_;
    bool cold = true;
    Frame** mates = mates_of(frame);
    for (Frame* mate = mates == nullptr ? frame : *mates; cold && mate != nullptr;
         mate = mate->mate_next) {
      cold = is_cold(mate);
    }
    if (cold) return evict_mates(frame);
    if (const uint8_t heat = frame->heat.load(kRelaxed); heat > 0) {
      frame->heat.store(static_cast<uint8_t>(heat - 1), kRelaxed);
    }
    hand_ = frame->ring_next;
    if (first_kept == nullptr) first_kept = frame;
    if (frame == first_kept && ++rounds > 2) break;
  }
  return evict_one();
}

size_t FrameRing::evict_mates(Frame* first) {
  Frame** mates = mates_of(first);
  size_t bytes = 0;
  for (Frame* frame = mates == nullptr ? first : *mates; frame != nullptr;) {
    Frame* next = frame->mate_next;
    bytes += evict(frame);
    frame = next;
  }
  return bytes;
}

size_t FrameRing::evict_one() {
  // Every frame is passed at most once for each step of grace, plus once to be taken.
  Frame* first_kept = nullptr;
  for (unsigned kept = 0; hand_ != nullptr;) {
    Frame* frame = hand_;
    if (is_cold(frame)) return evict(frame);
    const uint8_t heat = frame->heat.load(kRelaxed);
    if (heat > 0) frame->heat.store(static_cast<uint8_t>(heat - 1), kRelaxed);
    hand_ = frame->ring_next;
    if (first_kept == nullptr) first_kept = frame;
    if (frame == first_kept && ++kept > kHeatMax + 1u) return 0;  // all are in use
  }
  return 0;
}

void FrameRing::free_retired(Retired* node) {
  static_assert(offsetof(Frame, view) == 16);  // see the head of Frame
  char* const address = reinterpret_cast<char*>(node) - offsetof(Frame, retired);
  Frame* frame = reinterpret_cast<Frame*>(address);
  BlockCache* cache = frame->cache;
  const size_t size = frame->memory_size;
  FrameRing* ring = cache->ring_;  // the cache may go with its last frame
  cache->unpin(frame);
  ring->dying_bytes_.fetch_sub(size, kRelaxed);  // a hint for reclaim()
}

}  // namespace varve
