// Frames: blocks in memory, ready to be read. There is no hash table: every block has a slot (an
// atomic pointer) next to the handle that names it, in the frame of its index partition or in the
// open sstable, and a hit is one load.
//
// Life of a frame:
//   load:   filled privately, then installed by a CAS on its slot, and linked into the ring;
//   use:    inside an epoch guard as it is; beyond one, with a reference (pin);
//   evict:  CLOCK takes it from its slot and the ring and retires it; when no guard can see it any
//           more the cache's own reference goes; whoever drops the last reference frees it.
//
// Invariants:
//  1. A frame in a slot has the cache's reference; so inside a guard a pin never finds zero.
//  2. An index partition with resident children is not evicted: their slots lie in it. A partition
//     freed otherwise (its sstable is dropped) detaches its children first.
//  3. bytes() counts the frames in the ring, and is brought back below the capacity on each insert.
//  4. What is evicted to make room in the budget (reclaim) is free when no epoch guard that was
//  held
//     then is any more.
//
// Thread rule: everything from any thread. Source of the policy: F. Corbato, A paging experiment
// with the Multics system, 1968 (CLOCK), with two bits, so that indexes outlive data.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/atomic.h"
#include "base/mutex.h"
#include "lsm/block_reader.h"
#include "lsm/codec.h"
#include "lsm/filter.h"
#include "lsm/pin_counter.h"
#include "memory/buffer.h"
#include "memory/epoch.h"
#include "memory/memory_manager.h"
#include "memory/object_pool.h"
#include "varve/file_system.h"

namespace varve {

enum class FrameKind : uint8_t { data, index, filter };

class BlockCache;
struct Frame;

// Where a frame hangs.
using FrameSlot = Atomic<Frame*>;

struct Frame {
  Retired retired;
  Atomic<uint32_t> references{1};
  Atomic<uint8_t> heat{0};  // CLOCK: steps of grace left
  FrameKind kind = FrameKind::data;
  MemoryRole role = MemoryRole::block_frames;
  size_t memory_size = 0;
  BlockCache* cache = nullptr;
  FrameSlot* slot = nullptr;  // null: private, or evicted
  Frame* parent = nullptr;    // the partition whose memory holds `slot`
  Frame* ring_next = nullptr;
  Frame* ring_previous = nullptr;
  Frame* mate_next = nullptr;  // list of the frames in its slab
  Frame* mate_previous = nullptr;
  Atomic<uint32_t> resident_children{0};
  uint32_t child_count = 0;
  FrameSlot* children = nullptr;  // of an index partition: a slot a row
  BlockView view;                 // data and index
  FilterView filter;
};

// A counted reference to a frame.
class FrameRef {
 public:
  FrameRef() = default;
  explicit FrameRef(Frame* frame) : frame_(frame) {}  // takes over one reference
  FrameRef(FrameRef&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  FrameRef& operator=(FrameRef&& other) noexcept {
    if (this != &other) {
      reset();
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }
  ~FrameRef() { reset(); }
  Frame* get() const { return frame_; }
  Frame* operator->() const { return frame_; }
  explicit operator bool() const { return frame_ != nullptr; }
  Frame* release() { return std::exchange(frame_, nullptr); }
  void reset();

 private:
  Frame* frame_ = nullptr;
};

// What a load needs to know of a block.
struct BlockSource {
  File* file = nullptr;
  FileId id;
  uint64_t offset = 0;
  uint32_t stored_size = 0;
  uint32_t raw_size = 0;
  uint32_t rows = 0;  // 0 for filters
  FrameKind kind = FrameKind::data;
  // On whose account the frame is, instead of the cache's. Only for frames that stay private.
  std::optional<MemoryRole> private_role = std::nullopt;
  Urgency urgency = Urgency::normal;  // at least; of what flushes and compactions leave behind
};

struct BlockCacheStatistics {
  Counter hits;
  Counter misses;
  Counter evictions;
  Counter filter_probes;
  Counter filter_negatives;
};

class BlockCache final : public MemoryReclaimer {
 public:
  // Makes itself the reclaimer of `manager`.
  BlockCache(MemoryManager* manager, EpochDomain* epochs, uint64_t capacity);
  // Requires that every sstable was closed.
  ~BlockCache();

  // The frame in `slot`, pinned; loaded if need be. `fill` false: a loaded frame stays private.
  // `parent`: the frame that holds `slot`, pinned by the caller; null if an sstable does.
  // Errors: those of the load; out_of_memory.
  Result<FrameRef> acquire(FrameSlot* slot, Frame* parent, const BlockSource& source, bool fill);

  // Reads, checks and decodes a block into a private frame.
  Result<FrameRef> load(const BlockSource& source);

  // Takes the frame out of `slot`, and its children, for ever: the sstable goes away.
  void detach(FrameSlot* slot);

  void touch(Frame* frame) {
    // A lost update costs a step of grace, nothing else.
    if (frame->heat.load(kRelaxed) == 0) frame->heat.store(1, kRelaxed);
  }

  // A reference for a user, who gives it back with unpin_for_user(). The caller holds one, or an
  // epoch guard.
  void pin_for_user(Frame* frame) {
    frame->references.fetch_add(1, kRelaxed);
    pins_.add(frame->memory_size);
  }
  static void unpin_for_user(Frame* frame) {
    // The count last: close() frees everything when it is zero.
    BlockCache* cache = frame->cache;
    const size_t size = frame->memory_size;
    cache->unpin(frame);
    cache->pins_.subtract(size);
  }
  // Users hold so many blocks that values are better copied: a quarter of the budget.
  bool user_pins_are_many() {
    const uint64_t budget = manager_->budget_bytes();
    return budget != 0 && pins_.exceeds_share(budget / 4);
  }

  // Evicts frames for others that need the memory.
  bool reclaim(size_t bytes) override;

  // A compaction is over: its working space goes back.
  void end_compaction() { compaction_scratch_.trim(); }

  // Frees what was evicted or detached and the working space of loads. No load is in progress.
  void release_idle();

  uint64_t bytes() const { return bytes_.load(kRelaxed); }  // a statistic
  uint64_t capacity() const { return capacity_; }
  EpochDomain& epochs() { return *epochs_; }
  MemoryManager* manager() { return manager_; }
  BlockCacheStatistics& statistics() { return statistics_; }
  PinCounter& pins() { return pins_; }
  PoolStatistics scratch_statistics() { return scratch_.statistics(); }

 private:
  friend class FrameRef;
  // Working space of one load.
  struct Scratch : PoolLink {
    Scratch(MemoryManager* manager, MemoryRole role)
        : stored(manager, role), codec(manager, role) {}
    Buffer stored;
    Codec codec;
  };

  Result<FrameRef> load_rows(const BlockSource& source);
  Result<FrameRef> load_filter(const BlockSource& source);
  Frame* allocate_frame(const BlockSource& source, size_t payload_room, size_t* size);
  void install(Frame* frame) VARVE_REQUIRES(mutex_);
  static bool is_cold(const Frame* frame);
  Frame* evict_one() VARVE_REQUIRES(mutex_);
  // Evicts a frame and all others of its slab, so that the slab can serve other sizes. A chain
  // through retired.next; null: all are in use.
  Frame* evict_slab(size_t* bytes) VARVE_REQUIRES(mutex_);
  Frame* evict_mates(Frame* first, size_t* bytes) VARVE_REQUIRES(mutex_);
  Frame** mates_of(Frame* frame);
  void unlink(Frame* frame) VARVE_REQUIRES(mutex_);
  void retire(Frame* frame);
  void retire_chain(Frame* evicted);
  void unpin(Frame* frame);
  static void reclaim(Retired* node);
  void free_frame(Frame* frame);

  MemoryManager* const manager_;
  EpochDomain* const epochs_;
  const uint64_t capacity_;
  ObjectPool<Scratch> scratch_;
  ObjectPool<Scratch> compaction_scratch_;  // from the memory that is kept for compactions
  Atomic<uint64_t> bytes_{0};
  BlockCacheStatistics statistics_;
  PinCounter pins_;
  Atomic<uint64_t> dying_bytes_{0};  // of frames that were retired and are not freed yet
  Mutex mutex_;                      // the ring, and every slot's change
  Frame* hand_ VARVE_GUARDED_BY(mutex_) = nullptr;
};

inline void FrameRef::reset() {
  if (frame_ != nullptr) {
    Frame* frame = std::exchange(frame_, nullptr);
    frame->cache->unpin(frame);
  }
}

}  // namespace varve
