// Memory by size: pieces of fixed size classes cut from slabs, with a magazine of free pieces for
// each thread and class, so that most calls touch nothing that another thread writes.
//
// Small classes (magazine_items > 0): thread's magazine -> the class's slabs, under the class's
// lock, half a magazine at a time. Larger classes go to the slabs at once. Over kSlabSizeMax: spans
// of the page source. Empty slabs go back to the run heap, except one for each class that has
// magazines. Which pieces of a slab are free stands in a bitmap beside it: free memory is never
// read or written, and stays poisoned under AddressSanitizer until it is handed out.
//
// Thread rule: all functions from any thread. The magazines belong to the slots of
// base/thread_slot.h; threads without a slot of their own use the locked path.
// Ownership: the caller owns a piece until it gives it back with the same size.
// Invariants:
// 1. A piece is in exactly one place: with the caller, in one magazine, or set in one bitmap.
// 2. Slabs in a class's list have a free piece; slabs outside it have none.
// Errors: null when the system, or the budget, refuses; nothing is changed then. Giving back a
// piece twice, or one that is none, is asserted where the slab is reached, O(1). Source: J.
// Bonwick, J. Adams, Magazines and Vmem, USENIX 2001, sections 3 and 4 (without a depot).

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.h"
#include "base/mutex.h"
#include "base/thread_slot.h"
#include "memory/budget.h"
#include "memory/page_source.h"
#include "memory/poison.h"
#include "memory/run_heap.h"
#include "memory/size_class.h"
#include "varve/statistics.h"

namespace varve {

class SlabAllocator {
 public:
  // `budget`: slabs and spans are reserved there; null: without a limit.
  explicit SlabAllocator(const PageSource::Limits& limits, Budget* budget = nullptr);
  // Unmaps everything except spans, which must have been given back.
  ~SlabAllocator();
  SlabAllocator(const SlabAllocator&) = delete;
  SlabAllocator& operator=(const SlabAllocator&) = delete;

  // Uninitialised, aligned to 64 when `size` >= 64, else to 16. size > 0.
  void* allocate(size_t size, Urgency urgency = Urgency::normal);
  void release(void* piece, size_t size);

  // The fast paths of both, inline: through the magazine of the calling thread's `slot`. `size` is
  // at most kMagazineSizeMax. Null or false: nothing was done, the calls above do it.
  static constexpr size_t kMagazineSizeMax = 4 * 1024 - kRedZoneBytes;
  void* allocate_from_magazine(size_t slot, size_t size) {
    Magazine& magazine = caches_[slot].magazines[size_class_of(size + kRedZoneBytes)];
    if (__builtin_expect(magazine.count == 0, 0)) return nullptr;
    add_one(magazine.acquired);
    void* piece = magazine.items[--magazine.count];
    unpoison(piece, size);
    return piece;
  }
  bool release_to_magazine(size_t slot, void* piece, size_t size) {
    if (__builtin_expect(!uses_magazines_, 0)) return false;
    const size_t number = size_class_of(size + kRedZoneBytes);
    Magazine& magazine = caches_[slot].magazines[number];
    if (__builtin_expect(magazine.count >= kSizeClasses[number].magazine_items, 0)) return false;
    poison(piece, kSizeClasses[number].item_size);
    add_one(magazine.released);
    magazine.items[magazine.count++] = piece;
    return true;
  }

  // Bytes that allocate(size) takes: the size of its class, or of its span.
  static constexpr size_t usable_size(size_t size) {
    return size <= kSlabSizeMax ? kSizeClasses[size_class_of(size)].item_size
                                : PageSource::span_size(size);
  }

  // What allocate(size) may have to reserve: a slab of its class, or its span.
  static constexpr size_t reservation_size(size_t size) {
    return size <= kSlabSizeMax - kRedZoneBytes
               ? kSizeClasses[size_class_of(size + kRedZoneBytes)].slab_units * kUnitSize
               : PageSource::span_size(size + kRedZoneBytes);
  }

  // A word of the slab that holds `piece`, shared by the owners of all pieces in it; null at first.
  // Null pointer: `piece` is a span.
  void** word_of_slab(void* piece, size_t size);

  // Gives back what no caller owns: the calling thread's magazines, empty slabs.
  void trim();
  // Gives back to the system: the calling thread's magazines, empty slabs, free parts of chunks,
  // idle chunks. Returns the bytes by which held_bytes() fell, at least.
  size_t purge();
  // See PageSource.
  bool wants_ready_chunk() const { return pages_.wants_ready_chunk(); }
  void prepare_chunk() { pages_.prepare_chunk(); }

  // From the system, less what was given back; tables of the allocator included.
  size_t held_bytes();
  struct Requests {
    uint64_t all = 0;
    uint64_t to_system = 0;  // chunks that did not wait for reuse
  };
  // Appends one line for each class in use ("slab"), and for chunks and spans; returns what was
  // requested so far.
  Requests append_statistics(std::vector<PoolStatistics>* pools);

 private:
  // Free pieces at the hand of one slot's thread, which alone writes it.
  struct Magazine {
    size_t count = 0;
    Atomic<uint64_t> acquired;  // read by statistics
    Atomic<uint64_t> released;
    void* items[kMagazineItemsMax];
  };
  struct ThreadCache {
    Magazine magazines[kSizeClassCount];
  };
  // Each piece in the magazine of a thread that sleeps may keep a slab of 32 KiB from all others:
  // too much of a budget below this.
  static constexpr uint64_t kMagazineBudgetMin = uint64_t{32} << 20;
  // Whose magazines the calling thread uses; kThreadSlots: none.
  size_t magazine_slot() const { return uses_magazines_ ? this_thread_slot() : kThreadSlots; }
  struct Slab;
  struct alignas(64) Class {
    Mutex mutex;
    Slab* slabs VARVE_GUARDED_BY(mutex) = nullptr;        // with a free piece
    Slab* empty VARVE_GUARDED_BY(mutex) = nullptr;        // of these, a wholly free one
    Slab* spare_slabs VARVE_GUARDED_BY(mutex) = nullptr;  // headers of slabs given back
    uint64_t out VARVE_GUARDED_BY(mutex) = 0;             // pieces with callers and in magazines
    uint64_t out_high_water VARVE_GUARDED_BY(mutex) = 0;
    uint64_t units VARVE_GUARDED_BY(mutex) = 0;
    uint64_t missed VARVE_GUARDED_BY(mutex) = 0;  // requests that went to the slabs
    uint64_t shared_acquired VARVE_GUARDED_BY(mutex) = 0;
    uint64_t shared_released VARVE_GUARDED_BY(mutex) = 0;
  };

  // Written by one thread only: no read-modify-write is needed.
  static void add_one(Atomic<uint64_t>& counter) {
    counter.store(counter.load(kRelaxed) + 1, kRelaxed);  // pairs with nothing: a statistic
  }

  bool reserve(size_t bytes, Urgency urgency) {
    return budget_ == nullptr || budget_->reserve(bytes, urgency);
  }
  void give_back(size_t bytes) {
    if (budget_ != nullptr) budget_->give_back(bytes);
  }
  void* refill_and_allocate(Magazine& magazine, size_t number, size_t size, Urgency urgency);
  void* allocate_shared(size_t number, size_t size, Urgency urgency);
  void* allocate_span(size_t size, Urgency urgency);
  void flush_and_release(Magazine& magazine, size_t number, void* piece);
  void release_shared(size_t number, void* piece);
  void release_span(void* piece, size_t size);

  size_t take(Class& c, size_t number, void** pieces, size_t count, Urgency urgency)
      VARVE_REQUIRES(c.mutex);
  void put(Class& c, size_t number, void* piece) VARVE_REQUIRES(c.mutex);
  Slab* new_slab(Class& c, size_t number, Urgency urgency) VARVE_REQUIRES(c.mutex);
  void give_back(Class& c, size_t number, Slab* slab) VARVE_REQUIRES(c.mutex);
  void flush_magazines();
  PoolStatistics class_statistics(size_t number);

  Budget* const budget_;
  const bool uses_magazines_;
  PageSource pages_;
  RunHeap runs_;
  // kThreadSlots of them in one mapping; only those of slots in use are ever touched.
  ThreadCache* const caches_;
  Class classes_[kSizeClassCount];
};

}  // namespace varve
