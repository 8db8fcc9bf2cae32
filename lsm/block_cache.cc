#include "lsm/block_cache.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/align.h"
#include "base/assert.h"
#include "base/format.h"
#include "lsm/file_contents.h"

namespace varve {

namespace {

// Steps of grace when installed: indexes and filters serve many data blocks.
constexpr uint8_t kHeatOfIndex = FrameRing::kHeatMax;

MemoryRole role_of(FrameKind kind) {
  switch (kind) {
    case FrameKind::data:
    case FrameKind::value:
      return MemoryRole::block_frames;
    case FrameKind::index:
      return MemoryRole::index;
    case FrameKind::filter:
      return MemoryRole::filter;
  }
  return MemoryRole::block_frames;
}

}  // namespace

BlockCache::BlockCache(FrameRing* ring)
    : ring_(ring),
      scratch_("block_load_scratch", ring->manager(), MemoryRole::block_frames, /*idle_max=*/4),
      compaction_scratch_("compaction_load_scratch", ring->manager(), MemoryRole::compaction,
                          /*idle_max=*/1) {
  ring_->cache_count_.fetch_add(1, kRelaxed);  // a statistic
}

BlockCache::BlockCache(MemoryManager* manager, EpochDomain* epochs, uint64_t capacity)
    : BlockCache(std::make_unique<FrameRing>(manager, epochs, capacity)) {}

BlockCache::BlockCache(std::unique_ptr<FrameRing> ring) : BlockCache(ring.get()) {
  own_ring_ = std::move(ring);
}

void BlockCache::release_idle() {
  epochs().drain();  // index partitions; freeing one retires the data blocks that hang in it,
  epochs().drain();  // and that the values that they point to,
  epochs().drain();  // which have no children
  scratch_.trim();
  compaction_scratch_.trim();
}

BlockCache::~BlockCache() {
  release_idle();
  ring_->cache_count_.fetch_sub(1, kRelaxed);  // a statistic
}

Result<FrameRef> BlockCache::acquire(FrameSlot* slot, Frame* parent, const BlockSource& source,
                                     bool fill) {
  VARVE_DCHECK(!source.from_file || !fill);
  if (!source.from_file) {
    EpochDomain::Guard guard(epochs());
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

  bool evicted = false;
  FrameRef result;
  {
    MutexLock lock(ring_->mutex_);
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
      const bool serves_many = source.kind == FrameKind::index || source.kind == FrameKind::filter;
      frame->heat.store(serves_many ? kHeatOfIndex : 0, kRelaxed);
      ring_->install(frame);
      result = std::move(loaded);
      evicted = ring_->evict_excess();
    }
  }
  if (evicted) epochs().collect_now_and_then();
  return result;
}

bool BlockCache::keep(FrameSlot* slot, std::string_view raw, uint32_t rows, bool has_pointers) {
  BlockSource source;
  source.raw_size = static_cast<uint32_t>(raw.size());
  source.rows = rows;
  source.has_pointers = has_pointers;
  const FrameLayout layout = layout_of(source, raw.size());
  // Readers leave what was evicted within microseconds, or not soon.
  constexpr int kTries = 3;
  void* memory = nullptr;
  for (int tries = 0; memory == nullptr && tries < kTries; ++tries) {
    if (tries != 0 && !ring_->reclaim(layout.size)) return false;
    memory = manager()->allocate_if_free(layout.size, layout.role);
  }
  if (memory == nullptr) return false;
  Frame* const frame = make_frame(memory, source, layout);
  char* const payload = static_cast<char*>(memory) + layout.payload;
  FrameRef kept(frame);
  std::memcpy(payload, raw.data(), raw.size());
  const Status parsed = parse_rows(frame, source, payload);
  VARVE_ASSERT(parsed.ok());  // our own encoding
  bool evicted;
  {
    MutexLock lock(ring_->mutex_);
    frame->slot = slot;
    ring_->install(kept.release());  // the reference is the cache's from now on
    evicted = ring_->evict_excess();
  }
  if (evicted) epochs().collect_now_and_then();
  return true;
}

void BlockCache::hand_over(FrameSlot* from, FrameSlot* to, Frame* parent) {
  MutexLock lock(ring_->mutex_);
  Frame* const frame = from->load(kRelaxed);  // changed under mutex_ only
  if (frame == nullptr || to->load(kRelaxed) != nullptr || parent->slot == nullptr) return;
  from->store(nullptr, kRelaxed);
  frame->slot = to;
  frame->parent = parent;
  parent->resident_children.fetch_add(1, kRelaxed);  // under mutex_
  to->store(frame, kRelease);                        // pairs with the loads of readers
}

void BlockCache::detach(FrameSlot* slot) {
  // The slot belongs to a closing sstable or a dying partition: nobody installs into it any more,
  // but CLOCK may take the frame first. Its children are detached by whoever frees it.
  {
    MutexLock lock(ring_->mutex_);
    Frame* frame = slot->load(kRelaxed);
    if (frame == nullptr) return;
    ring_->remove(frame);
  }
  epochs().collect_now_and_then();
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
  manager()->release(frame, size, role);
}

// The columns of rows follow the header, so that a point read begins to load both at once.
BlockCache::FrameLayout BlockCache::layout_of(const BlockSource& source, size_t payload_room) {
  const size_t columns =
      source.rows == 0 ? 0
                       : BlockView::columns_size(source.rows, source.raw_size,
                                                 /*with_tags=*/source.kind == FrameKind::data);
  FrameLayout layout;
  layout.payload = kFrameHeaderSize + columns;
  layout.slots = align_up(layout.payload + payload_room, alignof(FrameSlot));
  layout.slot_count = source.kind == FrameKind::index || source.has_pointers ? source.rows : 0;
  layout.size = layout.slots + layout.slot_count * sizeof(FrameSlot);
  layout.role = source.private_role.value_or(role_of(source.kind));
  return layout;
}

Frame* BlockCache::make_frame(void* memory, const BlockSource& source, const FrameLayout& layout) {
  Frame* frame = new (memory) Frame;
  frame->cache = this;
  frame->kind = source.kind;
  frame->role = layout.role;
  frame->memory_size = layout.size;
  frame->value_size = source.kind == FrameKind::value ? source.raw_size : 0;
  frame->children = reinterpret_cast<FrameSlot*>(static_cast<char*>(memory) + layout.slots);
  for (size_t i = 0; i < layout.slot_count; ++i) new (&frame->children[i]) FrameSlot(nullptr);
  frame->child_count = static_cast<uint32_t>(layout.slot_count);
  return frame;
}

Frame* BlockCache::allocate_frame(const BlockSource& source, size_t payload_room, char** payload) {
  const FrameLayout layout = layout_of(source, payload_room);
  void* memory = manager()->allocate_urgently(layout.size, layout.role,
                                              std::max(urgency_of(layout.role), source.urgency));
  if (memory == nullptr) return nullptr;
  *payload = static_cast<char*>(memory) + layout.payload;
  return make_frame(memory, source, layout);
}

Result<FrameRef> BlockCache::load(const BlockSource& source) {
  // Sizes come from a handle, that is from disk: bound them before memory is taken.
  if (source.stored_size > kBlockRawSizeMax ||
      (source.raw_size != source.stored_size && source.raw_size > kBlockCompressedRawSizeMax) ||
      source.rows > source.raw_size / kBlockRowSizeMin ||
      ((source.kind == FrameKind::data || source.kind == FrameKind::index) && source.rows == 0)) {
    return Status::corruption(
        format("at offset %llu: block handle claims %u stored bytes, %u raw, "
               "%u rows",
               static_cast<unsigned long long>(source.offset), source.stored_size, source.raw_size,
               source.rows));
  }
  Result<FrameRef> result =
      source.kind == FrameKind::filter ? load_filter(source) : load_payload(source);
  if (!result.ok()) {
    return result.status().with_context(
        format("at offset %llu", static_cast<unsigned long long>(source.offset)));
  }
  return result;
}

Result<FrameRef> BlockCache::load_filter(const BlockSource& source) {
  const size_t size = source.stored_size + kBlockTrailerSize;
  // So that the filter's lines are lines of the processor's cache.
  constexpr size_t kOffset = kFilterLineSize - kFilterHeaderSize;
  char* payload;
  Frame* frame = allocate_frame(source, kOffset + size, &payload);
  if (frame == nullptr) return Status::out_of_memory("no memory for a filter");
  FrameRef result(frame);
  payload += kOffset;
  VARVE_RETURN_IF_ERROR(read_exactly(source.file, source.offset, payload, size));
  VARVE_ASSIGN_OR_RETURN(const BlockTrailer trailer,
                         open_block(payload, source.stored_size, source.id, source.offset));
  if (trailer.codec != Compression::none) {
    return Status::not_supported("compressed filter");
  }
  VARVE_ASSIGN_OR_RETURN(frame->filter, FilterView::parse({payload, source.stored_size}));
  return result;
}

Status BlockCache::parse_rows(Frame* frame, const BlockSource& source, const char* payload) {
  VARVE_ASSIGN_OR_RETURN(frame->view,
                         BlockView::parse({payload, source.raw_size}, source.rows,
                                          reinterpret_cast<char*>(frame) + kFrameHeaderSize,
                                          /*with_tags=*/source.kind == FrameKind::data));
  return Status();
}

Result<FrameRef> BlockCache::load_payload(const BlockSource& source) {
  const bool compressed = source.raw_size != source.stored_size;
  const size_t read_size = source.stored_size + kBlockTrailerSize;
  char* payload;
  Frame* frame = allocate_frame(source, compressed ? source.raw_size : read_size, &payload);
  if (frame == nullptr) return Status::out_of_memory("no memory for a block");
  FrameRef result(frame);
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
  // A flush opens what it wrote with the memory that is kept for flushes, and seldom.
  Scratch urgent(manager(), MemoryRole::sstable_builder);
  Scratch* used = &urgent;
  if (compressed) {
    if (source.urgency != Urgency::flush) used = scratch = pool.acquire(manager(), role);
    if (used == nullptr || !used->stored.resize(read_size)) {
      return Status::out_of_memory("no memory to read a block");
    }
    stored = used->stored.data();
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
        used->codec.decompress({stored, source.stored_size}, payload, source.raw_size));
  }
  if (source.kind != FrameKind::value) {
    VARVE_RETURN_IF_ERROR(parse_rows(frame, source, payload));
  }
  return result;
}

}  // namespace varve
