#include "lsm/block_cache.h"

#include <algorithm>
#include <new>

#include "base/assert.h"
#include "base/format.h"

namespace varve {

namespace {

constexpr size_t kFrameAlignment = 64;
// Steps of grace when installed: indexes and filters serve many data blocks.
constexpr uint8_t kHeatOfIndex = 3;

constexpr size_t align_up(size_t size, size_t alignment) {
  return (size + alignment - 1) & ~(alignment - 1);
}

constexpr size_t kFrameHeaderSize = align_up(sizeof(Frame), kFrameAlignment);

MemoryRole role_of(FrameKind kind) {
  switch (kind) {
    case FrameKind::data:
      return MemoryRole::block_frames;
    case FrameKind::index:
      return MemoryRole::index;
    case FrameKind::filter:
      return MemoryRole::filter;
  }
  return MemoryRole::block_frames;
}

Status read_exactly(File* file, uint64_t offset, char* to, size_t size) {
  VARVE_ASSIGN_OR_RETURN(const size_t got, file->read(offset, to, size));
  if (got == size) return Status();
  return Status::corruption(format("the file ends %zu bytes into a block of %zu", got, size));
}

}  // namespace

BlockCache::BlockCache(MemoryManager* manager, EpochDomain* epochs, uint64_t capacity)
    : manager_(manager),
      epochs_(epochs),
      capacity_(capacity),
      scratch_("block_load_scratch", manager, MemoryRole::block_frames, /*idle_max=*/4),
      compaction_scratch_("compaction_load_scratch", manager, MemoryRole::compaction,
                          /*idle_max=*/1) {
  manager_->set_reclaimer(this);
}

void BlockCache::release_idle() {
  epochs_->drain();  // index partitions; freeing one retires the data blocks that hang in it,
  epochs_->drain();  // which have no children
  scratch_.trim();
  compaction_scratch_.trim();
}

BlockCache::~BlockCache() {
  manager_->set_reclaimer(nullptr);
  release_idle();
  MutexLock lock(mutex_);
  VARVE_ASSERT(hand_ == nullptr);
}

Result<FrameRef> BlockCache::acquire(FrameSlot* slot, Frame* parent, const BlockSource& source,
                                     bool fill) {
  {
    EpochDomain::Guard guard(*epochs_);
    // Pairs with the release store in install(): what the frame points to is seen.
    if (Frame* frame = slot->load(kAcquire); frame != nullptr) {
      frame->references.fetch_add(1, kRelaxed);  // cannot be zero: invariant 1
      touch(frame);
      statistics_.hits.add();
      return FrameRef(frame);
    }
  }
  statistics_.misses.add();
  VARVE_ASSIGN_OR_RETURN(FrameRef loaded, load(source));
  if (!fill) return loaded;
  VARVE_DCHECK(!source.private_role);

  Frame* evicted = nullptr;  // a chain through retired.next
  FrameRef result;
  {
    MutexLock lock(mutex_);
    if (Frame* winner = slot->load(kRelaxed); winner != nullptr) {  // changed under mutex_ only
      winner->references.fetch_add(1, kRelaxed);
      result = FrameRef(winner);
    } else if (parent != nullptr && parent->slot == nullptr) {
      result = std::move(loaded);  // a private or evicted partition: nothing may hang in its slots
    } else {
      Frame* frame = loaded.get();
      frame->references.fetch_add(1, kRelaxed);  // the cache's
      frame->slot = slot;
      frame->parent = parent;
      if (parent != nullptr) parent->resident_children.fetch_add(1, kRelaxed);  // under mutex_
      frame->heat.store(source.kind == FrameKind::data ? 0 : kHeatOfIndex, kRelaxed);
      install(frame);
      result = std::move(loaded);
      while (bytes_.load(kRelaxed) > capacity_) {
        Frame* victim = evict_one();
        if (victim == nullptr) break;
        victim->retired.next = evicted == nullptr ? nullptr : &evicted->retired;
        evicted = victim;
      }
    }
  }
  retire_chain(evicted);
  return result;
}

bool BlockCache::reclaim(size_t bytes) {
  // Readers leave without a word, so their end is looked for.
  constexpr uint64_t kLookAgainNanos = 50'000;
  VARVE_DCHECK(!epochs_->is_guarded_here());
  bool any = false;
  for (size_t evicted = 0; evicted < bytes;) {
    Frame* chain;
    {
      MutexLock lock(mutex_);
      chain = evict_slab(&evicted);
    }
    if (chain == nullptr) break;
    any = true;
    retire_chain(chain);
  }
  if (!any && dying_bytes_.load(kRelaxed) == 0) return false;  // a hint: asked again if it grows
  epochs_->collect();
  if (!any && dying_bytes_.load(kRelaxed) != 0) {  // a hint
    Mutex mutex;
    CondVar never;
    MutexLock lock(mutex);
    never.wait_for(mutex, kLookAgainNanos);
  }
  return true;
}

void BlockCache::retire_chain(Frame* evicted) {
  while (evicted != nullptr) {
    Frame* next = reinterpret_cast<Frame*>(evicted->retired.next);
    retire(evicted);
    evicted = next;
  }
}

void BlockCache::install(Frame* frame) {
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
  bytes_.fetch_add(frame->memory_size, kRelaxed);
  frame->slot->store(frame, kRelease);  // pairs with the loads of readers
}

void BlockCache::unlink(Frame* frame) {
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
}

// Head of the list of the frames that lie in the same slab.
Frame** BlockCache::mates_of(Frame* frame) {
  return reinterpret_cast<Frame**>(manager_->shared_word(frame, frame->memory_size));
}

// Nobody uses it, and it has no grace left.
bool BlockCache::is_cold(const Frame* frame) {
  return frame->heat.load(kRelaxed) == 0 && frame->references.load(kRelaxed) == 1 &&
         frame->resident_children.load(kRelaxed) == 0;
}

Frame* BlockCache::evict_slab(size_t* bytes) {
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
    if (cold) return evict_mates(frame, bytes);
    if (const uint8_t heat = frame->heat.load(kRelaxed); heat > 0) {
      frame->heat.store(static_cast<uint8_t>(heat - 1), kRelaxed);
    }
    hand_ = frame->ring_next;
    if (first_kept == nullptr) first_kept = frame;
    if (frame == first_kept && ++rounds > 2) break;
  }
  Frame* single = evict_one();
  if (single == nullptr) return nullptr;
  single->retired.next = nullptr;
  *bytes += single->memory_size;
  return single;
}

Frame* BlockCache::evict_mates(Frame* first, size_t* bytes) {
  Frame** mates = mates_of(first);
  Frame* evicted = nullptr;
  for (Frame* frame = mates == nullptr ? first : *mates; frame != nullptr;) {
    Frame* next = frame->mate_next;
    unlink(frame);
    statistics_.evictions.add();
    *bytes += frame->memory_size;
    frame->retired.next = evicted == nullptr ? nullptr : &evicted->retired;
    evicted = frame;
    frame = next;
  }
  return evicted;
}

Frame* BlockCache::evict_one() {
  // Every frame is passed at most once for each step of grace, plus once to be taken.
  Frame* first_kept = nullptr;
  for (unsigned kept = 0; hand_ != nullptr;) {
    Frame* frame = hand_;
    if (is_cold(frame)) {
      unlink(frame);
      statistics_.evictions.add();
      return frame;
    }
    const uint8_t heat = frame->heat.load(kRelaxed);
    if (heat > 0) frame->heat.store(static_cast<uint8_t>(heat - 1), kRelaxed);
    hand_ = frame->ring_next;
    if (first_kept == nullptr) first_kept = frame;
    if (frame == first_kept && ++kept > kHeatOfIndex + 1u) return nullptr;  // all are in use
  }
  return nullptr;
}

void BlockCache::detach(FrameSlot* slot) {
  // The slot belongs to a closing sstable or a dying partition: nobody installs into it any more,
  // but CLOCK may take the frame first. Its children are detached by whoever frees it.
  Frame* frame;
  {
    MutexLock lock(mutex_);
    frame = slot->load(kRelaxed);
    if (frame == nullptr) return;
    unlink(frame);
  }
  retire(frame);
}

void BlockCache::retire(Frame* frame) {
  frame->retired.reclaim = &BlockCache::reclaim;
  frame->retired.next = nullptr;
  dying_bytes_.fetch_add(frame->memory_size, kRelaxed);  // a hint for reclaim()
  epochs_->retire(&frame->retired);
}

void BlockCache::reclaim(Retired* node) {
  static_assert(offsetof(Frame, retired) == 0);
  Frame* frame = reinterpret_cast<Frame*>(node);
  BlockCache* cache = frame->cache;
  const size_t size = frame->memory_size;
  cache->unpin(frame);
  cache->dying_bytes_.fetch_sub(size, kRelaxed);  // a hint for reclaim()
}

void BlockCache::unpin(Frame* frame) {
  // Release: this thread's reads happen before the free; acquire: so do everyone else's.
  if (frame->references.fetch_sub(1, kAcqRel) == 1) free_frame(frame);
}

void BlockCache::free_frame(Frame* frame) {
  for (uint32_t i = 0; i < frame->child_count; ++i) {
    detach(&frame->children[i]);
  }
  const size_t size = frame->memory_size;
  const MemoryRole role = frame->role;
  frame->~Frame();
  manager_->release(frame, size, role);
}

Frame* BlockCache::allocate_frame(const BlockSource& source, size_t payload_room, size_t* columns) {
  *columns = kFrameHeaderSize + align_up(payload_room, sizeof(uint64_t));
  const size_t slots = align_up(
      *columns + (source.rows == 0 ? 0 : BlockView::columns_size(source.rows)), alignof(FrameSlot));
  const size_t children = source.kind == FrameKind::index ? source.rows : 0;
  const size_t size = slots + children * sizeof(FrameSlot);
  const MemoryRole role = source.private_role.value_or(role_of(source.kind));
  void* memory =
      manager_->allocate_urgently(size, role, std::max(urgency_of(role), source.urgency));
  if (memory == nullptr) return nullptr;
  Frame* frame = new (memory) Frame;
  frame->cache = this;
  frame->kind = source.kind;
  frame->role = role;
  frame->memory_size = size;
  frame->children = reinterpret_cast<FrameSlot*>(static_cast<char*>(memory) + slots);
  for (size_t i = 0; i < children; ++i) new (&frame->children[i]) FrameSlot(nullptr);
  frame->child_count = static_cast<uint32_t>(children);
  return frame;
}

Result<FrameRef> BlockCache::load(const BlockSource& source) {
  // Sizes come from a handle, that is from disk: bound them before memory is taken.
  if (source.stored_size > kBlockRawSizeMax ||
      (source.raw_size != source.stored_size && source.raw_size > kBlockCompressedRawSizeMax) ||
      source.rows > source.raw_size / kBlockRowSizeMin ||
      (source.kind != FrameKind::filter && source.rows == 0)) {
    return Status::corruption(
        format("at offset %llu: block handle claims %u stored bytes, %u raw, "
               "%u rows",
               static_cast<unsigned long long>(source.offset), source.stored_size, source.raw_size,
               source.rows));
  }
  Result<FrameRef> result =
      source.kind == FrameKind::filter ? load_filter(source) : load_rows(source);
  if (!result.ok()) {
    return result.status().with_context(
        format("at offset %llu", static_cast<unsigned long long>(source.offset)));
  }
  return result;
}

Result<FrameRef> BlockCache::load_filter(const BlockSource& source) {
  const size_t size = source.stored_size + kBlockTrailerSize;
  size_t columns;
  Frame* frame = allocate_frame(source, size, &columns);
  if (frame == nullptr) return Status::out_of_memory("no memory for a filter");
  FrameRef result(frame);
  char* payload = reinterpret_cast<char*>(frame) + kFrameHeaderSize;
  VARVE_RETURN_IF_ERROR(read_exactly(source.file, source.offset, payload, size));
  VARVE_ASSIGN_OR_RETURN(const BlockTrailer trailer,
                         open_block(payload, source.stored_size, source.id, source.offset));
  if (trailer.codec != Compression::none) {
    return Status::not_supported("compressed filter");
  }
  VARVE_ASSIGN_OR_RETURN(frame->filter, FilterView::parse({payload, source.stored_size}));
  return result;
}

Result<FrameRef> BlockCache::load_rows(const BlockSource& source) {
  const bool compressed = source.raw_size != source.stored_size;
  const size_t read_size = source.stored_size + kBlockTrailerSize;
  size_t columns;
  Frame* frame = allocate_frame(source, compressed ? source.raw_size : read_size, &columns);
  if (frame == nullptr) return Status::out_of_memory("no memory for a block");
  FrameRef result(frame);
  char* payload = reinterpret_cast<char*>(frame) + kFrameHeaderSize;
  const MemoryRole role = source.private_role.value_or(MemoryRole::block_frames);
  ObjectPool<Scratch>& pool = role == MemoryRole::compaction ? compaction_scratch_ : scratch_;
  Scratch* scratch = nullptr;
  char* stored = payload;
  struct ReleaseScratch {
    ObjectPool<Scratch>* pool;
    Scratch*& scratch;
    ~ReleaseScratch() {
      if (scratch != nullptr) pool->release(scratch);
    }
  } release{&pool, scratch};
  if (compressed) {
    scratch = pool.acquire(manager_, role);
    if (scratch == nullptr || !scratch->stored.resize(read_size)) {
      return Status::out_of_memory("no memory to read a block");
    }
    stored = scratch->stored.data();
  }
  VARVE_RETURN_IF_ERROR(read_exactly(source.file, source.offset, stored, read_size));
  VARVE_ASSIGN_OR_RETURN(const BlockTrailer trailer,
                         open_block(stored, source.stored_size, source.id, source.offset));
  if (trailer.raw_size != source.raw_size || trailer.row_count != source.rows ||
      (trailer.codec != Compression::none) != compressed) {
    return Status::corruption(format("block of %u bytes, %u rows; its handle says %u and %u",
                                     trailer.raw_size, trailer.row_count, source.raw_size,
                                     source.rows));
  }
  if (compressed) {
    VARVE_RETURN_IF_ERROR(
        scratch->codec.decompress({stored, source.stored_size}, payload, source.raw_size));
  }
  VARVE_ASSIGN_OR_RETURN(frame->view, BlockView::parse({payload, source.raw_size}, source.rows,
                                                       reinterpret_cast<char*>(frame) + columns,
                                                       source.kind == FrameKind::data));
  return result;
}

}  // namespace varve
