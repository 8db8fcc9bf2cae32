// Frames: blocks in memory, ready to be read, and large values. There is no hash table: every block
// has a slot (an atomic pointer) next to the handle that names it, in the frame of its index
// partition or in the open sstable, every large value one in the frame of the data block that
// points to it, and a hit is one load.
//
// Life of a frame:
//   load:   filled privately, then installed by a CAS on its slot, and linked into the ring;
//   use:    inside an epoch guard as it is; beyond one, with a reference (pin);
//   evict:  CLOCK takes it from its slot and the ring and retires it; when no guard can see it any
//           more the cache's own reference goes; whoever drops the last reference frees it.
//
// Which frames stay is the ring's business (lsm/frame_ring.h); databases that share a budget share
// it, and each has a cache of its own on it.
//
// More data than memory, on a device that reads wait for: what is read of a data block then stays
// as it is stored, compressed, so that about twice as many blocks are in memory; who asks for one
// decompresses it into a private frame, a tenth of a read. One that is asked for again and again
// is kept as it is read, instead. Every other one that is read is left to the system's page cache:
// so that holds other blocks, not copies of the same ones. Blocks with pointers to values, which
// hang in their frames, are never kept as they are stored.
//
// Invariants:
//  1. A frame in a slot has the cache's reference; so inside a guard a pin never finds zero.
//  2. A frame with resident children is not evicted: their slots lie in it. One that is freed
//     otherwise (its sstable is dropped) detaches its children first.
//
// Thread rule: everything from any thread.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/atomic.h"
#include "base/spread_counter.h"
#include "lsm/codec.h"
#include "lsm/frame_ring.h"
#include "lsm/pin_counter.h"
#include "memory/buffer.h"
#include "memory/epoch.h"
#include "memory/memory_manager.h"
#include "memory/object_pool.h"
#include "varve/file_system.h"

namespace varve {

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
  uint32_t rows = 0;  // 0 for filters and values
  FrameKind kind = FrameKind::data;
  bool has_pointers = false;    // of a data block: to values, which are to hang in its frame
  FileSystem* files = nullptr;  // tells whether reads wait; null: they do not
  // On whose account the frame is, instead of the cache's. Only for frames that stay private.
  std::optional<MemoryRole> private_role = std::nullopt;
  bool from_file = false;             // though it may be in memory; only for private frames
  Urgency urgency = Urgency::normal;  // at least; of what flushes and compactions leave behind
};

// What a point read did.
struct ReadTally {
  uint64_t block_hits = 0;
  uint64_t filter_probes = 0;
  uint64_t filter_negatives = 0;
};

struct BlockCacheStatistics {
  SpreadCounter hits;
  Counter stored_hits;  // of them: of blocks as they are stored
  Counter misses;
  Counter evictions;
  SpreadCounter filter_probes;
  SpreadCounter filter_negatives;
};

class BlockCache {
 public:
  explicit BlockCache(FrameRing* ring);
  // With a ring of its own.
  BlockCache(MemoryManager* manager, EpochDomain* epochs, uint64_t capacity);
  // Requires that every sstable was closed.
  ~BlockCache();

  // The frame in `slot`, pinned; loaded if need be. `fill` false: a loaded frame stays private;
  // else one may, too. `parent`: the frame that holds `slot`, pinned by the caller; null if an
  // sstable does. Errors: those of the load; out_of_memory.
  Result<FrameRef> acquire(FrameSlot* slot, Frame* parent, const BlockSource& source, bool fill);

  // Begins to load into the processor's cache what a point read looks at first in a data block: the
  // header, which names all else, and the tags behind it. Of the frame nothing is read.
  static void prefetch(const FrameSlot& slot) {
    const char* frame = prefetch_header(slot);
    if (frame == nullptr) return;
    frame += kFrameHeaderSize;
    for (size_t line = 0; line < kTagLines; ++line) __builtin_prefetch(frame + line * 64);
  }
  // The header alone; where it is.
  static const char* prefetch_header(const FrameSlot& slot) {
    const char* frame = reinterpret_cast<const char*>(slot.load(kAcquire));  // as acquire() does
    if (frame == nullptr) return nullptr;
    for (size_t line = 0; line < kHeaderLines; ++line) __builtin_prefetch(frame + line * 64);
    return frame;
  }

  // One of several frames that are asked for together.
  struct Wanted {
    FrameSlot* slot = nullptr;
    Frame* parent = nullptr;  // as for acquire()
    BlockSource source;
    FrameRef frame;  // out; null and ok: is to be asked for again
    Status status;   // out
  };
  static constexpr size_t kTogetherMax = 32;
  // As acquire() for each, with `fill`; what is not in memory is read together, as far as about a
  // megabyte goes.
  void acquire_together(std::span<Wanted> wanted, FileSystem* files);

  // Reads, checks and decodes a block into a private frame.
  Result<FrameRef> load(const BlockSource& source) { return load(source, nullptr); }

  // Puts a data block that is being written into the empty `slot`: `raw`, not compressed, of `rows`
  // rows. Who owns the slot detaches it, or hands it over. False: nothing is free, and what others
  // have in the cache did not become so at once.
  bool keep(FrameSlot* slot, std::string_view raw, uint32_t rows, bool has_pointers);
  // The frame in `from`, if it is still there, goes into `to`, which the pinned `parent` holds;
  // it stays in `from` if there is another, or `parent` is not in the ring.
  void hand_over(FrameSlot* from, FrameSlot* to, Frame* parent);

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
  // Users hold so many blocks that values are better copied: a quarter of the budget, of which each
  // cache on the ring has its part.
  bool user_pins_are_many() {
    const uint64_t budget = manager()->budget_bytes();
    return budget != 0 && pins_.exceeds(budget / (4 * ring_->cache_count()));
  }

  // Evicts frames, of whichever cache on the ring, for others that need the memory.
  bool reclaim(size_t bytes) { return ring_->reclaim(bytes); }

  // A compaction is over: its working space goes back.
  void end_compaction() { compaction_scratch_.trim(); }

  // Gives back the working space that waits for loads; returns how many pieces.
  size_t trim_scratch() { return scratch_.trim(); }

  // Frees what was evicted or detached and the working space of loads. No load is in progress.
  void release_idle();

  // Of all caches on the ring.
  uint64_t bytes() const { return ring_->bytes(); }
  uint64_t capacity() const { return ring_->capacity(); }
  EpochDomain& epochs() { return ring_->epochs(); }
  MemoryManager* manager() { return ring_->manager(); }
  BlockCacheStatistics& statistics() { return statistics_; }
  void count(const ReadTally& tally) {
    if (tally.block_hits != 0) statistics_.hits.add(tally.block_hits);
    if (tally.filter_probes != 0) statistics_.filter_probes.add(tally.filter_probes);
    if (tally.filter_negatives != 0) statistics_.filter_negatives.add(tally.filter_negatives);
  }
  PinCounter& pins() { return pins_; }
  void append_statistics(std::vector<PoolStatistics>* pools) {
    pools->push_back(scratch_.statistics());
    pools->push_back(compaction_scratch_.statistics());
  }

 private:
  // Tags, and offsets behind them, of a block of 70 rows. More at once than the processor can wait
  // for costs more than it spares.
  static constexpr size_t kHeaderLines = 3;
  static constexpr size_t kTagLines = 5;
  // As they are stored and as they are read, of one acquire_together(), but for a single frame;
  // less where the budget is small.
  static constexpr uint64_t kTogetherBytesMax = 1 << 20;

  explicit BlockCache(std::unique_ptr<FrameRing> ring);
  friend class FrameRef;
  friend class FrameRing;
  // Working space of one load.
  struct Scratch : PoolLink {
    Scratch(MemoryManager* manager, MemoryRole role)
        : stored(manager, role), codec(manager, role) {}
    Buffer stored;
    Codec codec;
  };

  // Where what is stored compressed is read to, and what decompresses it: a Scratch of a pool, or,
  // for flushes, which open what they wrote, and seldom, one of the memory that is kept for them.
  class Workspace {
   public:
    Workspace(BlockCache* cache, const BlockSource& source) : cache_(cache), source_(source) {}
    ~Workspace();
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;
    // Both null: no memory. reserve() once.
    char* reserve(size_t bytes);
    Codec* codec() { return take() ? &used_->codec : nullptr; }

   private:
    bool take();

    BlockCache* const cache_;
    const BlockSource& source_;
    ObjectPool<Scratch>* pool_ = nullptr;
    std::optional<Scratch> urgent_;
    Scratch* used_ = nullptr;
  };
  class TogetherLoad;
  // A load in its steps: allocate(); a read of read_size() bytes to where they are wanted, which is
  // in the frame unless they are compressed; finish(), which checks and decodes.
  class Loading {
   public:
    Loading(BlockCache* cache, const BlockSource& source) : cache_(cache), source_(source) {}
    Status allocate();
    bool is_compressed() const {
      return source_.kind != FrameKind::filter && source_.raw_size != source_.stored_size;
    }
    size_t read_size() const { return source_.stored_size + kBlockTrailerSize; }
    char* payload() { return payload_; }
    // `stored`: what was read; payload() unless it is compressed.
    Result<FrameRef> finish(const char* stored, Workspace* workspace);
    // The same of a block that was checked when it was read, and is in memory.
    Result<FrameRef> finish_checked(std::string_view stored, Workspace* workspace);

   private:
    Status check_and_decode(const char* stored, Workspace* workspace);
    Status decode(std::string_view stored, Workspace* workspace);

    BlockCache* const cache_;
    const BlockSource source_;
    FrameRef frame_;
    char* payload_ = nullptr;
  };
  // Where a loaded frame is to hang: `parent` as for acquire().
  struct Home {
    FrameSlot* slot = nullptr;
    Frame* parent = nullptr;
    // Where it hangs as it is stored, if it may.
    FrameSlot* stored_slot(const BlockSource& source) const {
      const bool may = source.kind == FrameKind::data && !source.has_pointers && parent != nullptr;
      return may ? &parent->stored_slot(slot) : nullptr;
    }
    // A private or evicted partition: nothing may hang in its slots. Under the ring's mutex.
    bool is_gone() const { return parent != nullptr && parent->slot == nullptr; }
  };
  // The frame in `slot`, if there is one; a hit. find(): it is touched.
  FrameRef pin(FrameSlot* slot);
  FrameRef find(FrameSlot* slot);
  // A block as it is stored, if it is in memory so; `is_hot`: it has often been asked for lately.
  struct StoredBlock {
    FrameRef frame;
    bool is_hot = false;
  };
  StoredBlock find_stored(const Home& home, const BlockSource& source);
  // That, decompressed: shared if it is hot, and `fill` allows it; else private.
  Result<FrameRef> open_stored(const StoredBlock& stored, const Home& home,
                               const BlockSource& source, bool fill, Workspace* workspace);
  // Reads, checks and decodes; `home`: where the block is kept; null: nowhere.
  Result<FrameRef> load(const BlockSource& source, const Home* home);
  // Puts `loaded` into its slot, unless somebody was faster; returns the one that is there. It
  // takes the place of the one as it is stored.
  FrameRef share(const Home& home, const BlockSource& source, FrameRef loaded);
  // What becomes of a block that was read: it is kept, as it is read or as it is `stored`, or left
  // to the system.
  FrameRef settle(const Home& home, const BlockSource& source, const char* stored, FrameRef loaded);
  bool is_worth_storing(const Home& home, const BlockSource& source) const {
    return home.stored_slot(source) != nullptr && source.raw_size != source.stored_size &&
           ring_->is_full() && source.files != nullptr && source.files->reads_wait();
  }
  // False: nothing is free.
  bool keep_stored(const Home& home, const BlockSource& source, const char* stored);
  void hang(Frame* frame, FrameSlot* slot, Frame* parent, uint8_t heat)
      VARVE_REQUIRES(ring_->mutex_);
  // Where what lies in a frame: offsets and sizes in bytes.
  struct FrameLayout {
    size_t payload = 0;
    size_t slots = 0;
    size_t slot_count = 0;
    size_t size = 0;
    MemoryRole role = MemoryRole::block_frames;
  };
  static FrameLayout layout_of(const BlockSource& source, size_t payload_room);
  Frame* make_frame(void* memory, const BlockSource& source, const FrameLayout& layout);
  static Status parse_rows(Frame* frame, const BlockSource& source, const char* payload);
  Frame* allocate_frame(const BlockSource& source, size_t payload_room, char** payload);
  // From what is free, or becomes so at once, for content of raw_size; null: nothing does.
  Frame* allocate_if_free(const BlockSource& source);

  void unpin(Frame* frame);
  void free_frame(Frame* frame);

  std::unique_ptr<FrameRing> own_ring_;  // if it does not share one
  FrameRing* const ring_;
  ObjectPool<Scratch> scratch_;
  ObjectPool<Scratch> compaction_scratch_;  // from the memory that is kept for compactions
  BlockCacheStatistics statistics_;
  Atomic<uint32_t> left_to_system_{0};  // the low bit: whether the next block is
  PinCounter pins_;
};

inline void FrameRef::reset() {
  if (frame_ != nullptr) {
    Frame* frame = std::exchange(frame_, nullptr);
    frame->cache->unpin(frame);
  }
}

}  // namespace varve
