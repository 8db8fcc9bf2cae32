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
// Of a block as it is stored: so often it was decompressed lately, each for one step of grace; the
// next one is kept. Few enough that what is read by chance alone seldom gets there.
constexpr uint8_t kHeatOfStored = 2;
static_assert(kHeatOfStored <= FrameRing::kHeatMax);

MemoryRole role_of(FrameKind kind) {
  switch (kind) {
    case FrameKind::data:
    case FrameKind::value:
    case FrameKind::stored:
      return MemoryRole::block_frames;
    case FrameKind::index:
      return MemoryRole::index;
    case FrameKind::filter:
      return MemoryRole::filter;
  }
  return MemoryRole::block_frames;
}

std::string place_of(const BlockSource& source) {
  return format("at offset %llu", static_cast<unsigned long long>(source.offset));
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

FrameRef BlockCache::pin(FrameSlot* slot) {
  EpochDomain::Guard guard(epochs());
  // Pairs with the release store in install(): what the frame points to is seen.
  Frame* const frame = slot->load(kAcquire);
  if (frame == nullptr) return FrameRef();
  frame->references.fetch_add(1, kRelaxed);  // cannot be zero: invariant 1
  statistics_.hits.add();
  return FrameRef(frame);
}

FrameRef BlockCache::find(FrameSlot* slot) {
  FrameRef frame = pin(slot);
  if (frame) touch(frame.get());
  return frame;
}

BlockCache::StoredBlock BlockCache::find_stored(const Home& home, const BlockSource& source) {
  FrameSlot* const slot = home.stored_slot(source);
  if (slot == nullptr) return {};
  FrameRef frame = pin(slot);
  if (!frame) return {};
  const uint8_t heat = frame->heat.load(kRelaxed);  // a lost update costs a step of grace
  if (heat < kHeatOfStored) frame->heat.store(static_cast<uint8_t>(heat + 1), kRelaxed);
  statistics_.stored_hits.add();
  return {.frame = std::move(frame), .is_hot = heat >= kHeatOfStored};
}

Result<FrameRef> BlockCache::acquire(FrameSlot* slot, Frame* parent, const BlockSource& source,
                                     bool fill) {
  VARVE_DCHECK(!source.from_file || !fill);
  const Home home{slot, parent};
  if (!source.from_file) {
    if (FrameRef found = find(slot)) return found;
    if (const StoredBlock stored = find_stored(home, source); stored.frame) {
      Workspace workspace(this, source);
      return open_stored(stored, home, source, fill, &workspace);
    }
  }
  statistics_.misses.add();
  return load(source, fill ? &home : nullptr);
}

Result<FrameRef> BlockCache::open_stored(const StoredBlock& stored, const Home& home,
                                         const BlockSource& source, bool fill,
                                         Workspace* workspace) {
  Loading loading(this, source);
  VARVE_RETURN_IF_ERROR(loading.allocate());
  VARVE_ASSIGN_OR_RETURN(FrameRef frame,
                         loading.finish_checked(stored.frame->content(), workspace));
  if (!fill || !stored.is_hot) return frame;
  return share(home, source, std::move(frame));
}

FrameRef BlockCache::settle(const Home& home, const BlockSource& source, const char* stored,
                            FrameRef loaded) {
  if (!is_worth_storing(home, source)) return share(home, source, std::move(loaded));
  const bool is_left = (left_to_system_.fetch_add(1, kRelaxed) & 1) != 0;
  if (is_left || keep_stored(home, source, stored)) return loaded;
  return share(home, source, std::move(loaded));
}

FrameRef BlockCache::share(const Home& home, const BlockSource& source, FrameRef loaded) {
  VARVE_DCHECK(!source.private_role);
  bool evicted = false;
  FrameRef result;
  {
    MutexLock lock(ring_->mutex_);
    if (Frame* winner = home.slot->load(kRelaxed);
        winner != nullptr) {  // changed under mutex_ only
      winner->references.fetch_add(1, kRelaxed);
      result = FrameRef(winner);
    } else if (home.is_gone()) {
      result = std::move(loaded);
    } else {
      if (FrameSlot* const slot = home.stored_slot(source); slot != nullptr) {
        if (Frame* const stored = slot->load(kRelaxed); stored != nullptr) {
          ring_->remove(stored);
          evicted = true;
        }
      }
      const bool serves_many = source.kind == FrameKind::index || source.kind == FrameKind::filter;
      hang(loaded.get(), home.slot, home.parent, serves_many ? kHeatOfIndex : 0);
      result = std::move(loaded);
      evicted |= ring_->evict_excess();
    }
  }
  if (evicted) epochs().collect_now_and_then();
  return result;
}

bool BlockCache::keep_stored(const Home& home, const BlockSource& source, const char* stored) {
  FrameSlot* const slot = home.stored_slot(source);
  const auto is_there = [&] {
    return home.slot->load(kRelaxed) != nullptr || slot->load(kRelaxed) != nullptr;
  };
  if (is_there()) return true;  // a hint: nothing else has to go for it
  BlockSource as_stored;
  as_stored.kind = FrameKind::stored;
  as_stored.raw_size = source.stored_size;
  const FrameRef kept(allocate_if_free(as_stored));
  if (!kept) return false;
  std::memcpy(const_cast<char*>(kept->content().data()), stored, source.stored_size);
  bool evicted = false;
  {
    MutexLock lock(ring_->mutex_);
    // Somebody was faster, or it has no place any more.
    if (is_there() || home.is_gone()) return true;
    hang(kept.get(), slot, home.parent, 0);
    evicted = ring_->evict_excess();
  }
  if (evicted) epochs().collect_now_and_then();
  return true;
}

void BlockCache::hang(Frame* frame, FrameSlot* slot, Frame* parent, uint8_t heat) {
  frame->references.fetch_add(1, kRelaxed);  // the cache's
  frame->slot = slot;
  frame->parent = parent;
  if (parent != nullptr) parent->resident_children.fetch_add(1, kRelaxed);  // under mutex_
  frame->heat.store(heat, kRelaxed);
  ring_->install(frame);
}

// The loads of one acquire_together().
class BlockCache::TogetherLoad final : public ReadListener {
 public:
  TogetherLoad(BlockCache* cache, const BlockSource& source)
      : cache_(cache),
        bytes_max_(bytes_max(cache->manager()->budget_bytes())),
        workspace_(cache, source) {}

  // Unless it is in memory, or to be asked for again.
  void add(Wanted* wanted) {
    if (wanted->frame = cache_->find(wanted->slot); wanted->frame) return;
    const uint64_t size = uint64_t{wanted->source.stored_size} + wanted->source.raw_size;
    if (bytes_ != 0 && bytes_ + size > bytes_max_) return;
    for (size_t i = 0; i < count_; ++i) {
      if (loads_[i]->wanted->slot == wanted->slot) return;
    }
    for (size_t i = 0; i < stored_count_; ++i) {
      if (stored_[i].wanted->slot == wanted->slot) return;
    }
    if (StoredBlock stored = cache_->find_stored(home_of(*wanted), wanted->source); stored.frame) {
      stored_[stored_count_++] = {.wanted = wanted, .block = std::move(stored)};
      bytes_ += size;
      return;
    }
    cache_->statistics_.misses.add();
    Load& load = loads_[count_].emplace(cache_, wanted);
    wanted->status = load.loading.allocate();
    if (!wanted->status.ok()) return;
    ++count_;
    bytes_ += size;
    if (load.loading.is_compressed()) compressed_bytes_ += load.loading.read_size();
  }

  void read(FileSystem* files) {
    if (count_ == 0) return;
    char* free = nullptr;
    if (compressed_bytes_ != 0) {
      free = workspace_.reserve(compressed_bytes_);
      if (free == nullptr) {
        for (size_t i = 0; i < count_; ++i) {
          loads_[i]->wanted->status = Status::out_of_memory("no memory to read blocks");
        }
        return;
      }
    }
    for (size_t i = 0; i < count_; ++i) {
      Loading& loading = loads_[i]->loading;
      reads_[i].file = loads_[i]->wanted->source.file;
      IoRequest& request = reads_[i].request;
      request.offset = loads_[i]->wanted->source.offset;
      request.size = loading.read_size();
      request.data = loading.is_compressed() ? free : loading.payload();
      if (loading.is_compressed()) free += request.size;
    }
    files->read_together({reads_, count_}, this);
  }

  // What is in memory as it is stored.
  void open_stored() {
    for (size_t i = 0, count = std::exchange(stored_count_, 0); i < count; ++i) {
      const Stored& stored = stored_[i];
      Wanted* const wanted = stored.wanted;
      Result<FrameRef> opened = cache_->open_stored(stored.block, home_of(*wanted), wanted->source,
                                                    /*fill=*/true, &workspace_);
      if (opened.ok()) {
        wanted->frame = *std::move(opened);
      } else {
        wanted->status = std::move(opened).status();
      }
    }
  }

  void under_way() override { open_stored(); }
  void done(FileRead* read) override {
    Load& load = *loads_[read - reads_];
    Wanted* const wanted = load.wanted;
    IoRequest& request = read->request;
    if (request.status.ok() && request.transferred != request.size) {
      request.status = ends_in_block(request.transferred, request.size);
    }
    if (!request.status.ok()) {
      wanted->status = std::move(request.status).with_context(place_of(wanted->source));
      return;
    }
    Result<FrameRef> loaded = load.loading.finish(request.data, &workspace_);
    if (loaded.ok()) {
      wanted->frame =
          cache_->settle(home_of(*wanted), wanted->source, request.data, *std::move(loaded));
    } else {
      wanted->status = std::move(loaded).status();
    }
  }

 private:
  struct Load {
    Load(BlockCache* cache, Wanted* wanted) : wanted(wanted), loading(cache, wanted->source) {}
    Wanted* wanted;
    Loading loading;
  };
  struct Stored {
    Wanted* wanted = nullptr;
    StoredBlock block;
  };

  static Home home_of(const Wanted& wanted) { return {wanted.slot, wanted.parent}; }
  static uint64_t bytes_max(uint64_t budget) {
    return budget == 0 ? kTogetherBytesMax : std::min(kTogetherBytesMax, budget / 64);
  }

  BlockCache* const cache_;
  const uint64_t bytes_max_;
  Workspace workspace_;
  std::optional<Load> loads_[kTogetherMax];
  FileRead reads_[kTogetherMax];
  size_t count_ = 0;
  Stored stored_[kTogetherMax];
  size_t stored_count_ = 0;
  uint64_t bytes_ = 0;           // as they are stored and as they are read
  size_t compressed_bytes_ = 0;  // of what is stored compressed
};

void BlockCache::acquire_together(std::span<Wanted> wanted, FileSystem* files) {
  VARVE_DCHECK(!wanted.empty() && wanted.size() <= kTogetherMax);
  TogetherLoad load(this, wanted.front().source);
  for (Wanted& each : wanted) load.add(&each);
  load.read(files);
  load.open_stored();  // unless it was done while reads were under way
  for (Wanted& each : wanted) {
    if (each.frame || !each.status.ok()) continue;
    const auto same = std::find_if(wanted.begin(), wanted.end(), [&each](const Wanted& other) {
      return other.slot == each.slot && other.frame;
    });
    if (same == wanted.end()) continue;
    same->frame->references.fetch_add(1, kRelaxed);  // `same` has one
    each.frame = FrameRef(same->frame.get());
  }
}

bool BlockCache::keep(FrameSlot* slot, std::string_view raw, uint32_t rows, bool has_pointers) {
  BlockSource source;
  source.raw_size = static_cast<uint32_t>(raw.size());
  source.rows = rows;
  source.has_pointers = has_pointers;
  Frame* const frame = allocate_if_free(source);
  if (frame == nullptr) return false;
  FrameRef kept(frame);
  char* const payload = reinterpret_cast<char*>(frame) + layout_of(source, raw.size()).payload;
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
  VARVE_DCHECK(parent->stored_slot(to).load(kRelaxed) == nullptr);  // nobody has read it yet
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
  if (source.kind == FrameKind::data) payload_room += kFrameBytesBehind;
  layout.slots = align_up(layout.payload + payload_room, alignof(FrameSlot));
  if (source.has_pointers) layout.slot_count = source.rows;
  if (source.kind == FrameKind::index) layout.slot_count = 2 * size_t{source.rows};
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
  const bool has_content = source.kind == FrameKind::value || source.kind == FrameKind::stored;
  frame->content_size = has_content ? source.raw_size : 0;
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

Frame* BlockCache::allocate_if_free(const BlockSource& source) {
  const FrameLayout layout = layout_of(source, source.raw_size);
  // Readers leave what was evicted within microseconds, or not soon.
  constexpr int kTries = 3;
  void* memory = nullptr;
  for (int tries = 0; memory == nullptr && tries < kTries; ++tries) {
    if (tries != 0 && !ring_->reclaim(layout.size)) return nullptr;
    memory = manager()->allocate_if_free(layout.size, layout.role);
  }
  return memory == nullptr ? nullptr : make_frame(memory, source, layout);
}

Status BlockCache::parse_rows(Frame* frame, const BlockSource& source, const char* payload) {
  VARVE_ASSIGN_OR_RETURN(frame->view,
                         BlockView::parse({payload, source.raw_size}, source.rows,
                                          reinterpret_cast<char*>(frame) + kFrameHeaderSize,
                                          /*with_tags=*/source.kind == FrameKind::data));
  return Status();
}

BlockCache::Workspace::~Workspace() {
  constexpr size_t kKeptMax = 256 * 1024;  // what a few blocks needed is not kept for ever
  if (pool_ == nullptr) return;
  if (used_->stored.capacity() > kKeptMax) used_->stored.reset();
  pool_->release(used_);
}

bool BlockCache::Workspace::take() {
  if (used_ != nullptr) return true;
  if (source_.urgency == Urgency::flush) {
    used_ = &urgent_.emplace(cache_->manager(), MemoryRole::sstable_builder);
  } else {
    const MemoryRole role = source_.private_role.value_or(MemoryRole::block_frames);
    ObjectPool<Scratch>& pool =
        role == MemoryRole::compaction ? cache_->compaction_scratch_ : cache_->scratch_;
    used_ = pool.acquire(cache_->manager(), role);
    if (used_ == nullptr) return false;
    pool_ = &pool;
  }
  return true;
}

char* BlockCache::Workspace::reserve(size_t bytes) {
  return take() && used_->stored.resize(bytes) ? used_->stored.data() : nullptr;
}

Result<FrameRef> BlockCache::load(const BlockSource& source, const Home* home) {
  Loading loading(this, source);
  VARVE_RETURN_IF_ERROR(loading.allocate());
  Workspace workspace(this, source);
  char* const stored =
      loading.is_compressed() ? workspace.reserve(loading.read_size()) : loading.payload();
  if (stored == nullptr) return Status::out_of_memory("no memory to read a block");
  const Status status = read_exactly(source.file, source.offset, stored, loading.read_size());
  if (!status.ok()) return status.with_context(place_of(source));
  VARVE_ASSIGN_OR_RETURN(FrameRef loaded, loading.finish(stored, &workspace));
  if (home == nullptr) return loaded;
  return settle(*home, source, stored, std::move(loaded));
}

Status BlockCache::Loading::allocate() {
  // Sizes come from a handle, that is from disk: bound them before memory is taken.
  if (source_.stored_size > kBlockRawSizeMax ||
      (source_.raw_size != source_.stored_size && source_.raw_size > kBlockCompressedRawSizeMax) ||
      source_.rows > source_.raw_size / kBlockRowSizeMin ||
      ((source_.kind == FrameKind::data || source_.kind == FrameKind::index) &&
       source_.rows == 0)) {
    return Status::corruption(format("block handle claims %u stored bytes, %u raw, %u rows",
                                     source_.stored_size, source_.raw_size, source_.rows))
        .with_context(place_of(source_));
  }
  const bool is_filter = source_.kind == FrameKind::filter;
  // So that the filter's lines are lines of the processor's cache.
  constexpr size_t kFilterAt = kFilterLineSize - kFilterHeaderSize;
  const size_t skipped = is_filter ? kFilterAt : 0;
  Frame* const frame = cache_->allocate_frame(
      source_, skipped + (is_compressed() ? source_.raw_size : read_size()), &payload_);
  if (frame == nullptr) {
    return Status::out_of_memory(is_filter ? "no memory for a filter" : "no memory for a block");
  }
  frame_ = FrameRef(frame);
  payload_ += skipped;
  return Status();
}

Result<FrameRef> BlockCache::Loading::finish(const char* stored, Workspace* workspace) {
  const Status status = check_and_decode(stored, workspace);
  if (!status.ok()) return status.with_context(place_of(source_));
  return std::move(frame_);
}

Result<FrameRef> BlockCache::Loading::finish_checked(std::string_view stored,
                                                     Workspace* workspace) {
  const Status status = decode(stored, workspace);
  if (!status.ok()) return status.with_context(place_of(source_));
  return std::move(frame_);
}

Status BlockCache::Loading::check_and_decode(const char* stored, Workspace* workspace) {
  VARVE_ASSIGN_OR_RETURN(const BlockTrailer trailer,
                         open_block(stored, source_.stored_size, source_.id, source_.offset));
  if (source_.kind == FrameKind::filter) {
    if (trailer.codec != Compression::none) return Status::not_supported("compressed filter");
    VARVE_ASSIGN_OR_RETURN(frame_->filter, FilterView::parse({payload_, source_.stored_size}));
    return Status();
  }
  if (trailer.raw_size != source_.raw_size || trailer.row_count != source_.rows ||
      (trailer.codec != Compression::none) != is_compressed()) {
    return Status::corruption(format("block of %u bytes, %u rows; its handle says %u and %u",
                                     trailer.raw_size, trailer.row_count, source_.raw_size,
                                     source_.rows));
  }
  return decode({stored, source_.stored_size}, workspace);
}

Status BlockCache::Loading::decode(std::string_view stored, Workspace* workspace) {
  if (is_compressed()) {
    Codec* const codec = workspace->codec();
    if (codec == nullptr) return Status::out_of_memory("no memory to read a block");
    VARVE_RETURN_IF_ERROR(codec->decompress(stored, payload_, source_.raw_size));
  }
  return source_.kind == FrameKind::value ? Status() : parse_rows(frame_.get(), source_, payload_);
}

}  // namespace varve
