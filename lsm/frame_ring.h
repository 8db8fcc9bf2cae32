// Frames (blocks in memory), and which of them stay: CLOCK goes round a ring of all that are
// resident, of one block cache or of several whose databases share a budget.
//
// Invariants:
//  1. bytes() counts the frames in the ring, and is brought back below the capacity on each insert.
//  2. Whatever leaves the ring is retired before the mutex is let go. So a database that closes,
//     and finds its slots empty, has its frames freed when it drains the epochs, whoever evicted
//     them.
//
// Thread rule: everything from any thread; slots change under the ring's mutex only. Source of the
// policy: F. Corbato, A paging experiment with the Multics system, 1968 (CLOCK), with two bits, so
// that indexes outlive data.

#pragma once

#include <cstddef>
#include <cstdint>

#include "base/align.h"
#include "base/atomic.h"
#include "base/mutex.h"
#include "lsm/block_reader.h"
#include "lsm/filter.h"
#include "memory/epoch.h"
#include "memory/memory_manager.h"

namespace varve {

// stored: a data block as its file has it, compressed.
enum class FrameKind : uint8_t { data, index, filter, value, stored };

class BlockCache;
struct Frame;

// Where a frame hangs.
using FrameSlot = Atomic<Frame*>;

// What point reads need of a data block is in the first cache line; frames are aligned to them.
struct Frame {
  Atomic<uint32_t> references{1};
  Atomic<uint8_t> heat{0};  // CLOCK: steps of grace left
  FrameKind kind = FrameKind::data;
  MemoryRole role = MemoryRole::block_frames;
  Atomic<uint8_t> tags{0};  // of a data block: searches without them so far; kFilling; kFilled
  size_t memory_size = 0;
  BlockView view;  // data and index
  // Of pointers to values a slot a row; of an index partition as many again behind these, for the
  // blocks as they are stored.
  FrameSlot* children = nullptr;
  FilterView filter;
  uint32_t child_count = 0;
  Atomic<uint32_t> resident_children{0};
  BlockCache* cache = nullptr;  // whose sstable it is of
  FrameSlot* slot = nullptr;    // null: private, or evicted
  Frame* parent = nullptr;      // whose memory holds `slot`
  Frame* ring_next = nullptr;
  Frame* ring_previous = nullptr;
  Frame* mate_next = nullptr;  // list of the frames in its slab
  Frame* mate_previous = nullptr;
  Retired retired;
  uint32_t content_size = 0;  // of a value, and of a block as it is stored

  std::string_view content() const;
  // Of an index partition, for the block whose slot is `slot`.
  FrameSlot& stored_slot(const FrameSlot* slot) const {
    return children[child_count / 2 + static_cast<size_t>(slot - children)];
  }
  // Likewise, by number: whether the block needs no file. A hint.
  bool has_block(uint32_t i) const {
    return children[i].load(kRelaxed) != nullptr ||
           children[child_count / 2 + i].load(kRelaxed) != nullptr;
  }

  // Of a data block, as BlockView's. Tags cost more than a few searches without them: blocks that
  // are merged, walked, or gone after a read or two do not get any.
  uint32_t find(std::string_view user_key, uint64_t hash, Timestamp snapshot,
                uint32_t candidate = 0) {
    // Pairs with the release store in find_without_tags(): they are seen.
    if (__builtin_expect(tags.load(kAcquire) == kFilled, 1)) {
      return view.find(user_key, hash, snapshot, candidate);
    }
    return find_without_tags(user_key, hash, snapshot);
  }
  // Of a data block: where its rows lie, about.
  std::string_view payload() const {
    const char* const end = reinterpret_cast<const char*>(this) + memory_size;
    return {view.payload(), static_cast<size_t>(end - view.payload())};
  }
  uint32_t candidate(uint64_t hash) const {
    return tags.load(kAcquire) == kFilled ? view.candidate(hash) : 0;  // as find()
  }

  static constexpr uint8_t kSearchesWithoutTags = 2;
  static constexpr uint8_t kFilling = 0xfe;
  static constexpr uint8_t kFilled = 0xff;

 private:
  uint32_t find_without_tags(std::string_view user_key, uint64_t hash, Timestamp snapshot);
};

// Frames begin with a line of the processor's cache, and so do the columns behind the header.
inline constexpr size_t kFrameAlignment = 64;
inline constexpr size_t kFrameHeaderSize = align_up(sizeof(Frame), kFrameAlignment);
// Of a data block so many bytes behind the last may be read, whatever they are: short keys are
// copied with what stands behind them.
inline constexpr size_t kFrameBytesBehind = 16;

// It stands where other frames have their columns.
inline std::string_view Frame::content() const {
  return {reinterpret_cast<const char*>(this) + kFrameHeaderSize, content_size};
}

class FrameRing final : public MemoryReclaimer {
 public:
  static constexpr uint8_t kHeatMax = 3;  // steps of grace that a frame has at most

  // Makes itself the reclaimer of `manager`. `epochs`: in which readers of the frames are guarded.
  FrameRing(MemoryManager* manager, EpochDomain* epochs, uint64_t capacity);
  // Requires that no frame is left.
  ~FrameRing();

  // Evicts frames for others that need the memory.
  bool reclaim(size_t bytes) override;

  uint64_t bytes() const { return bytes_.load(kRelaxed); }  // a statistic
  uint64_t capacity() const { return capacity_; }
  // Whether frames had to go for others when it had about so much last.
  bool is_full() const {
    const uint64_t full = full_bytes_.load(kRelaxed);
    return full != 0 && bytes() >= full - full / 8;
  }
  size_t cache_count() const { return cache_count_.load(kRelaxed); }  // a statistic; at least 1
  EpochDomain& epochs() { return *epochs_; }
  MemoryManager* manager() { return manager_; }

 private:
  friend class BlockCache;

  // Links the frame, whose slot is set, and makes it visible there.
  void install(Frame* frame) VARVE_REQUIRES(mutex_);
  // Takes the frame out of slot and ring; it is freed when no reader can see it any more. Whoever
  // calls this, or evicts, calls the epochs' collect_now_and_then() afterwards.
  void remove(Frame* frame) VARVE_REQUIRES(mutex_);
  // Evicts what must go for the capacity; false: nothing.
  bool evict_excess() VARVE_REQUIRES(mutex_);

  static bool is_cold(const Frame* frame);
  // These return the bytes; 0: all are in use. evict_slab: a frame and all others of its slab, so
  // that the slab can serve other sizes.
  size_t evict_one() VARVE_REQUIRES(mutex_);
  size_t evict_slab() VARVE_REQUIRES(mutex_);
  size_t evict_mates(Frame* first) VARVE_REQUIRES(mutex_);
  size_t evict(Frame* frame) VARVE_REQUIRES(mutex_);
  Frame** mates_of(Frame* frame);
  static void free_retired(Retired* node);

  MemoryManager* const manager_;
  EpochDomain* const epochs_;
  const uint64_t capacity_;
  Atomic<size_t> cache_count_{0};
  Atomic<uint64_t> bytes_{0};
  Atomic<uint64_t> full_bytes_{0};   // before the last eviction; 0: it grew since
  Atomic<uint64_t> dying_bytes_{0};  // of frames that were retired and are not freed yet
  Mutex mutex_;                      // the ring, and every slot's change
  Frame* hand_ VARVE_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace varve
