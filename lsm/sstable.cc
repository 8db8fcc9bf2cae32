#include "lsm/sstable.h"

#include <algorithm>
#include <new>

#include "base/assert.h"
#include "base/format.h"
#include "base/hash.h"
#include "lsm/written_blocks.h"

namespace varve {

Result<Sstable*> Sstable::open(FileSystem* file_system, const std::string& path, BlockCache* cache,
                               ValueFiles* values, const SstableInfo& info) {
  VARVE_ASSIGN_OR_RETURN(Sstable * sstable, open_unknown(file_system, path, cache, values));
  if (Status status = sstable->check_against(info); !status.ok()) {
    sstable->opened_ = false;
    sstable->unref();
    return status;
  }
  sstable->info_ = info;
  return sstable;
}

Result<Sstable*> Sstable::open_unknown(FileSystem* file_system, const std::string& path,
                                       BlockCache* cache, ValueFiles* values) {
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file, file_system->open(path, OpenMode::read));
  file->expect_random_reads();  // walks say what they come to (lsm/read_ahead.h)
  Sstable* sstable = new (cache->manager()) Sstable(file_system, std::move(file), path, cache);
  if (sstable == nullptr) return Status::out_of_memory("no memory to open " + path);
  Status status = sstable->load();
  if (status.ok() && values != nullptr) status = sstable->open_values(values);
  if (!status.ok()) {
    sstable->unref();
    return status.with_context(path);
  }
  sstable->opened_ = true;
  return sstable;
}

namespace {

Status cut_off(const char* what, uint64_t offset, uint64_t found, uint64_t expected) {
  return Status::corruption(format("%s at offset %llu: cut off at %llu bytes of %llu", what,
                                   static_cast<unsigned long long>(offset),
                                   static_cast<unsigned long long>(found),
                                   static_cast<unsigned long long>(expected)));
}

}  // namespace

Status Sstable::load() {
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, file_->size());
  if (size < kSstableHeaderSize + kSstableFooterSize) {
    return Status::corruption(format("%llu bytes, an sstable has at least %zu",
                                     static_cast<unsigned long long>(size),
                                     kSstableHeaderSize + kSstableFooterSize));
  }
  char bytes[kSstableFooterSize];
  VARVE_ASSIGN_OR_RETURN(size_t got, file_->read(0, bytes, kSstableHeaderSize));
  if (got != kSstableHeaderSize) return cut_off("header", 0, got, kSstableHeaderSize);
  VARVE_ASSIGN_OR_RETURN(id_, decode_sstable_header({bytes, kSstableHeaderSize}));
  VARVE_ASSIGN_OR_RETURN(got, file_->read(size - kSstableFooterSize, bytes, kSstableFooterSize));
  if (got != kSstableFooterSize) {
    return cut_off("footer", size - kSstableFooterSize, got, kSstableFooterSize);
  }
  Result<SstableFooter> decoded = decode_sstable_footer({bytes, kSstableFooterSize}, size);
  if (!decoded.ok()) {
    return decoded.status().with_context(
        format("at offset %llu", static_cast<unsigned long long>(size - kSstableFooterSize)));
  }
  const SstableFooter& footer = *decoded;
  if (footer.file != id_) {
    return Status::corruption(format("footer at offset %llu: of file ",
                                     static_cast<unsigned long long>(size - kSstableFooterSize)) +
                              id_text(footer.file) + ", expected " + id_text(id_));
  }

  const uint64_t properties_end =
      footer.properties_offset + footer.properties_stored_size + kBlockTrailerSize;
  if (footer.properties_offset > size || properties_end != size - kSstableFooterSize ||
      footer.top_index_offset > footer.properties_offset ||
      uint64_t{footer.top_index_stored_size} + kBlockTrailerSize >
          footer.properties_offset - footer.top_index_offset) {
    return Status::corruption(format(
        "footer: properties of %u bytes at %llu, top index of %u at %llu, file of %llu bytes",
        footer.properties_stored_size, static_cast<unsigned long long>(footer.properties_offset),
        footer.top_index_stored_size, static_cast<unsigned long long>(footer.top_index_offset),
        static_cast<unsigned long long>(size)));
  }
  std::string properties(footer.properties_stored_size + kBlockTrailerSize, '\0');
  VARVE_ASSIGN_OR_RETURN(
      got, file_->read(footer.properties_offset, properties.data(), properties.size()));
  if (got != properties.size()) {
    return cut_off("properties", footer.properties_offset, got, properties.size());
  }
  VARVE_ASSIGN_OR_RETURN(
      const BlockTrailer trailer,
      open_block(properties.data(), footer.properties_stored_size, id_, footer.properties_offset));
  if (trailer.codec != Compression::none) {
    return Status::not_supported(format("at offset %llu: compressed properties",
                                        static_cast<unsigned long long>(footer.properties_offset)));
  }
  VARVE_ASSIGN_OR_RETURN(
      properties_,
      decode_properties(std::string_view(properties).substr(0, footer.properties_stored_size)));

  data_end_ = footer.top_index_offset;
  VARVE_ASSIGN_OR_RETURN(top_, cache_->load({.file = file_.get(),
                                             .id = id_,
                                             .offset = footer.top_index_offset,
                                             .stored_size = footer.top_index_stored_size,
                                             .raw_size = footer.top_index_raw_size,
                                             .rows = footer.top_index_rows,
                                             .kind = FrameKind::index,
                                             .urgency = Urgency::flush}));
  filters_ = static_cast<FrameSlot*>(cache_->manager()->allocate_urgently(
      partition_count() * sizeof(FrameSlot), MemoryRole::index, Urgency::flush));
  if (filters_ == nullptr) return Status::out_of_memory("no memory to open an sstable");
  for (uint32_t i = 0; i < partition_count(); ++i) new (&filters_[i]) FrameSlot(nullptr);
  for (uint32_t i = 0; i < partition_count(); ++i) {
    VARVE_ASSIGN_OR_RETURN(const BlockHandle handle, partition_handle(i));
    has_filters_ |= handle.filter_stored_size != 0;
  }
  info_.id = id_;
  info_.file_size = size;
  info_.smallest_key = properties_.smallest_key;
  info_.largest_key = properties_.largest_key;
  info_.versions = properties_.versions;
  info_.tombstones = properties_.tombstones;
  info_.timestamp_min = properties_.timestamp_min;
  info_.timestamp_max = properties_.timestamp_max;
  info_.collapse_horizon = properties_.collapse_horizon;
  info_.raw_bytes = properties_.raw_bytes;
  info_.undated = properties_.undated;
  charge_.set(path_.size() + 2 * (info_.smallest_key.size() + info_.largest_key.size()) +
              properties_.values.size() * (sizeof(ValueUse) + sizeof(void*)));
  return Status();
}

Status Sstable::open_values(ValueFiles* values) {
  values_ = values;
  value_files_.reserve(properties_.values.size());
  for (const ValueUse& use : properties_.values) {
    VARVE_ASSIGN_OR_RETURN(ValueFile* const file, values->acquire(use.file));
    value_files_.push_back(file);
  }
  return Status();
}

void Sstable::adopt(WrittenBlocks* written) {
  std::deque<WrittenBlocks::Block>* const blocks = written->of(id_);
  if (blocks == nullptr) return;
  auto next = blocks->begin();
  for (uint32_t p = 0; p < partition_count() && next != blocks->end(); ++p) {
    const Result<BlockHandle> its_handle = partition_handle(p);
    if (!its_handle.ok()) return;
    if (next->offset >= its_handle->offset) continue;  // the index lies behind its blocks
    const Result<FrameRef> index = partition(p, /*fill_cache=*/true);
    if (!index.ok() || !filter(p, /*fill_cache=*/true).ok()) return;
    Frame* const parent = index->get();
    for (uint32_t b = 0; b < parent->view.row_count() && next != blocks->end(); ++b) {
      const Result<BlockHandle> handle = block_handle(parent->view, b);
      if (!handle.ok()) return;
      if (handle->offset != next->offset) continue;
      cache_->hand_over(&next->slot, &parent->children[b], parent);
      ++next;
    }
  }
}

Status Sstable::check_against(const SstableInfo& info) const {
  if (info.undated != properties_.undated) {
    return Status::corruption(format("%s: its versions %s timestamps; the manifest expects %s",
                                     path_.c_str(), properties_.undated ? "bear no" : "bear",
                                     info.undated ? "none" : "some"));
  }
  if (info.id == id_ && info.file_size == info_.file_size) return Status();
  return Status::corruption(format(
      "%s: file id %016llx%016llx of %llu bytes; the manifest expects %016llx%016llx of "
      "%llu bytes",
      path_.c_str(), static_cast<unsigned long long>(id_.high),
      static_cast<unsigned long long>(id_.low), static_cast<unsigned long long>(info_.file_size),
      static_cast<unsigned long long>(info.id.high), static_cast<unsigned long long>(info.id.low),
      static_cast<unsigned long long>(info.file_size)));
}

Sstable::~Sstable() {
  const ValueFiles::Holder holder = !opened_                      ? ValueFiles::Holder::not_opened
                                    : disposer_.load() != nullptr ? ValueFiles::Holder::obsolete
                                                                  : ValueFiles::Holder::in_force;
  for (ValueFile* file : value_files_) values_->release(file, holder);
  if (filters_ == nullptr) return;
  for (uint32_t i = 0; i < partition_count(); ++i) cache_->detach(&filters_[i]);
  cache_->manager()->release(filters_, partition_count() * sizeof(FrameSlot), MemoryRole::index);
}

void Sstable::unref() {
  if (references_.fetch_sub(1, kAcqRel) != 1) return;  // the last one sees all uses of the others
  if (Disposer* disposer = disposer_.load(); disposer != nullptr) {
    disposer->dispose(this);
  } else {
    destroy();
  }
}

void Sstable::destroy() { delete this; }

void Sstable::date(Timestamp timestamp) {
  VARVE_ASSERT(info_.undated);
  info_.timestamp_min = info_.timestamp_max = timestamp;
}

Result<BlockHandle> Sstable::handle(const BlockView& index, uint32_t i, bool partition) const {
  BlockHandle handle;
  if (!decode_block_handle(index.row(i).value, partition, &handle) || handle.offset > data_end_ ||
      uint64_t{handle.stored_size} + kBlockTrailerSize > data_end_ - handle.offset ||
      (partition && handle.filter_stored_size != 0 &&
       (handle.filter_offset > data_end_ ||
        uint64_t{handle.filter_stored_size} + kBlockTrailerSize >
            data_end_ - handle.filter_offset))) {
    return Status::corruption(format("%s: index row %u of %u is no block of this file",
                                     path_.c_str(), i, index.row_count()));
  }
  return handle;
}

Result<BlockHandle> Sstable::partition_handle(uint32_t i) const {
  return handle(top(), i, /*partition=*/true);
}

Result<BlockHandle> Sstable::block_handle(const BlockView& partition, uint32_t i) const {
  return handle(partition, i, /*partition=*/false);
}

BlockSource Sstable::source(const BlockHandle& handle, FrameKind kind) const {
  if (kind == FrameKind::filter) {
    return {.file = file_.get(),
            .id = id_,
            .offset = handle.filter_offset,
            .stored_size = handle.filter_stored_size,
            .raw_size = handle.filter_stored_size,
            .rows = 0,
            .kind = kind};
  }
  return {.file = file_.get(),
          .id = id_,
          .offset = handle.offset,
          .stored_size = handle.stored_size,
          .raw_size = handle.raw_size,
          .rows = handle.rows,
          .kind = kind,
          .has_pointers = kind == FrameKind::data && (handle.flags & kBlockHasPointers) != 0,
          .files = files_};
}

Result<FrameRef> Sstable::partition(uint32_t i, bool fill_cache, std::optional<MemoryRole> role,
                                    bool from_file) const {
  VARVE_ASSIGN_OR_RETURN(const BlockHandle handle, partition_handle(i));
  BlockSource source = this->source(handle, FrameKind::index);
  source.private_role = role;
  source.from_file = from_file;
  Result<FrameRef> frame = cache_->acquire(&top_->children[i], nullptr, source, fill_cache);
  if (!frame.ok()) return frame.status().with_context(path_);
  return frame;
}

Result<FrameRef> Sstable::block(const FrameRef& partition, uint32_t i, bool fill_cache,
                                std::optional<MemoryRole> role, bool from_file) const {
  VARVE_ASSIGN_OR_RETURN(const BlockHandle handle, block_handle(partition->view, i));
  return block(partition, i, handle, fill_cache, role, from_file);
}

Result<FrameRef> Sstable::block(const FrameRef& partition, uint32_t i, const BlockHandle& handle,
                                bool fill_cache, std::optional<MemoryRole> role,
                                bool from_file) const {
  BlockSource source = this->source(handle, FrameKind::data);
  source.private_role = role;
  source.from_file = from_file;
  Result<FrameRef> frame =
      cache_->acquire(&partition->children[i], partition.get(), source, fill_cache);
  if (!frame.ok()) return frame.status().with_context(path_);
  return frame;
}

std::string_view Sstable::prefetch_walk(const Frame& partition, uint32_t i, bool backward) const {
  const uint32_t count = partition.view.row_count();
  if (i >= count) return {};
  const uint32_t after = backward ? i - 1 : i + 1;
  if (after < count) BlockCache::prefetch_header(partition.children[after]);
  const EpochDomain::Guard guard(cache_->epochs());
  const Frame* const frame = partition.children[i].load(kAcquire);  // as in resident()
  if (frame == nullptr) return {};
  frame->view.prefetch_walk(backward);
  return frame->payload();
}

Result<FrameRef> Sstable::filter(uint32_t i, bool fill_cache, bool from_file) const {
  VARVE_ASSIGN_OR_RETURN(const BlockHandle handle, partition_handle(i));
  if (handle.filter_stored_size == 0) return FrameRef();
  BlockSource source = this->source(handle, FrameKind::filter);
  source.from_file = from_file;
  Result<FrameRef> frame = cache_->acquire(&filters_[i], nullptr, source, fill_cache);
  if (!frame.ok()) return frame.status().with_context(path_);
  return frame;
}

Result<Sstable::ValueAt> Sstable::locate(std::string_view pointer) const {
  ValuePointer decoded;
  if (!decode_value_pointer(pointer, &decoded) || decoded.file >= properties_.values.size()) {
    return Status::corruption(format("%s: a pointer of %zu bytes to a value in none of %zu files",
                                     path_.c_str(), pointer.size(), properties_.values.size()));
  }
  if (value_files_.empty()) {
    return Status::not_supported(path_ + ": its large values, in " +
                                 value_file_name(properties_.values[decoded.file].file.number) +
                                 ", are not read here");
  }
  ValueFile* const file = value_files_[decoded.file];
  VARVE_RETURN_IF_ERROR(file->check(decoded.place));
  return ValueAt{.file = file, .place = decoded.place};
}

Result<FrameRef> Sstable::value(const FrameRef& block, uint32_t row, bool fill_cache,
                                std::optional<MemoryRole> role, bool from_file) const {
  if (block->child_count == 0) {
    return Status::corruption(path_ + ": a pointer in a block whose index entry knows of none");
  }
  VARVE_ASSIGN_OR_RETURN(const ValueAt at, locate(block->view.row(row).value));
  BlockSource source = at.file->source(at.place);
  source.private_role = role;
  source.from_file = from_file;
  Result<FrameRef> frame = cache_->acquire(&block->children[row], block.get(), source, fill_cache);
  if (!frame.ok()) return frame.status().with_context(at.file->path());
  return frame;
}

Frame* Sstable::resident(const FrameSlot* slot, ReadAccess* access) const {
  Frame* frame = slot->load(kAcquire);  // pairs with the cache's install
  if (frame != nullptr) {
    cache_->touch(frame);
    ++access->tally.block_hits;
    return frame;
  }
  for (const ReadAccess::Held& held : access->held) {
    if (held.slot == slot) return held.frame;
  }
  return nullptr;
}

namespace {

// Where a key is, if what stands at `after` is the first that begins behind it.
uint32_t last_before(uint32_t after) { return after == 0 ? 0 : after - 1; }

}  // namespace

Status Sstable::want(const MissingFrame& missing, BlockCache::Wanted* wanted,
                     Parents* parents) const {
  wanted->parent = nullptr;
  VARVE_ASSIGN_OR_RETURN(const BlockHandle above, partition_handle(missing.partition));
  if (missing.kind == FrameKind::filter) {
    wanted->slot = &filters_[missing.partition];
    wanted->source = source(above, FrameKind::filter);
    return Status();
  }
  if (missing.kind == FrameKind::index) {
    wanted->slot = &top_->children[missing.partition];
    wanted->source = source(above, FrameKind::index);
    return Status();
  }
  FrameRef& index = parents->partition;
  VARVE_ASSIGN_OR_RETURN(index, partition(missing.partition, /*fill_cache=*/true));
  if (missing.kind == FrameKind::data) {
    VARVE_ASSIGN_OR_RETURN(const BlockHandle handle, block_handle(index->view, missing.block));
    wanted->slot = &index->children[missing.block];
    wanted->parent = index.get();
    wanted->source = source(handle, FrameKind::data);
    return Status();
  }
  FrameRef& holder = parents->block;
  VARVE_ASSIGN_OR_RETURN(holder, block(index, missing.block, /*fill_cache=*/true));
  if (missing.row >= holder->child_count) return Status::corruption(path_ + ": no such pointer");
  VARVE_ASSIGN_OR_RETURN(const ValueAt at, locate(holder->view.row(missing.row).value));
  wanted->slot = &holder->children[missing.row];
  wanted->parent = holder.get();
  wanted->source = at.file->source(at.place);
  return Status();
}

template <typename Load>
Result<Frame*> Sstable::fetch(const FrameSlot* slot, ReadAccess* access, FrameRef* pin,
                              Load load) const {
  if (access->resident_only) {
    Frame* frame = resident(slot, access);
    access->missed |= frame == nullptr;
    return frame;
  }
  VARVE_ASSIGN_OR_RETURN(*pin, load());
  return pin->get();
}

Sstable::Probe Sstable::probe(std::string_view user_key, uint64_t hash, Timestamp snapshot,
                              const ReadAccess& access, bool last) const {
  Probe probe{.file = this,
              .wanted = {user_key, snapshot},
              .hash = hash,
              .after = 1,
              .asks_no_filter = !has_filters_ || (last && access.expected),
              .filter = nullptr,
              .partition = nullptr,
              .block = nullptr,
              .candidate = 0};
  if (info_.undated) {
    if (info_.timestamp_max > snapshot) return {};
    probe.wanted.timestamp = kTimestampMin;  // every version stands there
  }
  if (partition_count() > 1) probe.after = top().upper_bound(probe.wanted);
  if (access.resident_only && !probe.asks_no_filter) {
    const FrameSlot& slot = filters_[last_before(probe.after)];
    probe.filter = slot.load(kAcquire);  // pairs with the cache's install
    if (probe.filter != nullptr) probe.filter->filter.prefetch(hash);
  }
  return probe;
}

bool Sstable::prefetch_block(Probe* probe) const {
  if (probe->filter != nullptr && !probe->filter->filter.may_contain(probe->hash)) return false;
  // Without the filter, which get() has to load first, nothing else is worth a look.
  if (probe->filter == nullptr && !probe->asks_no_filter) return true;
  // Both pair with the cache's install.
  probe->partition = top_->children[last_before(probe->after)].load(kAcquire);
  if (probe->partition == nullptr) return true;
  const uint32_t after = probe->partition->view.upper_bound(probe->wanted);
  const FrameSlot& slot = probe->partition->children[last_before(after)];
  BlockCache::prefetch(slot);
  probe->block = slot.load(kAcquire);
  return true;
}

Result<bool> Sstable::may_have(const Probe& probe, uint32_t p, ReadAccess* access) const {
  FrameRef pin;
  const Frame* frame;
  if (access->resident_only) {
    frame = resident(&filters_[p], access);
    if (frame == nullptr) {
      VARVE_ASSIGN_OR_RETURN(const BlockHandle handle, partition_handle(p));
      if (handle.filter_stored_size != 0) {
        access->missed = true;
        access->missing = {.file = this, .kind = FrameKind::filter, .partition = p};
      }
    }
  } else {
    VARVE_ASSIGN_OR_RETURN(pin, filter(p, access->fill_cache));
    frame = pin.get();
  }
  if (frame == nullptr) return true;
  ++access->tally.filter_probes;
  if (frame->filter.may_contain(probe.hash)) return true;
  ++access->tally.filter_negatives;
  if (p < probe.after) return false;
  VARVE_ASSIGN_OR_RETURN(const BlockHandle handle, partition_handle(p));
  return Status::corruption(
      format("%s: the filter at offset %llu denies a key that the top index names", path_.c_str(),
             static_cast<unsigned long long>(handle.filter_offset)));
}

inline void Sstable::show(Frame* block, uint32_t row, FoundVersion* found) const {
  found->kind = block->view.kind(row);
  found->timestamp = timestamp_of(block->view.timestamp(row));
  found->value = block->view.row(row).value;
  found->frame = block;
}

inline void Sstable::show_value(Frame* frame, FoundVersion* found) {
  found->kind = VersionKind::value;
  found->value = frame->content();
  found->frame = frame;
}

inline bool Sstable::show_resident(Frame* block, uint32_t row, ReadAccess* access,
                                   FoundVersion* found) const {
  show(block, row, found);
  if (__builtin_expect(found->kind != VersionKind::value_pointer, 1)) return true;
  if (access->pointers) return true;
  if (row >= block->child_count) return false;
  Frame* const value = block->children[row].load(kAcquire);  // pairs with the cache's install
  if (value == nullptr) return false;
  cache_->touch(value);
  ++access->tally.block_hits;
  show_value(value, found);
  return true;
}

inline bool Sstable::get_from_block(const Probe& probe, ReadAccess* access,
                                    FoundVersion* found) const {
  if (probe.block == nullptr) return false;
  const uint32_t row =
      probe.block->find(probe.wanted.user_key, probe.hash, probe.wanted.timestamp, probe.candidate);
  if (row == probe.block->view.row_count() || !show_resident(probe.block, row, access, found)) {
    return false;
  }
  if (probe.filter != nullptr) {
    cache_->touch(probe.filter);
    ++access->tally.block_hits;
    ++access->tally.filter_probes;
  }
  cache_->touch(probe.partition);
  cache_->touch(probe.block);
  access->tally.block_hits += 2;
  return true;
}

Result<bool> Sstable::get(const Probe& probe, ReadAccess* access, FoundVersion* found) const {
  if (get_from_block(probe, access, found)) return true;
  // The version lies in the last partition that begins at or before it, or is the first version of
  // the next one.
  const uint32_t after = probe.after;
  for (uint32_t p = last_before(after); p < top().row_count(); ++p) {
    if (p >= after && !top().has_key(p, probe.wanted.user_key)) return false;
    if (p >= after || !probe.asks_no_filter) {
      VARVE_ASSIGN_OR_RETURN(const bool may_be_there, may_have(probe, p, access));
      if (access->resident_only && access->missed) return false;
      if (!may_be_there) continue;
    }
    FrameRef pin;
    VARVE_ASSIGN_OR_RETURN(Frame * partition, fetch(&top_->children[p], access, &pin, [&] {
                             return this->partition(p, access->fill_cache);
                           }));
    if (partition == nullptr) {
      access->missing = {.file = this, .kind = FrameKind::index, .partition = p};
      return false;
    }
    bool at_end = false;
    VARVE_ASSIGN_OR_RETURN(const bool there,
                           get_from_partition(probe, p, pin, partition, access, found, &at_end));
    if (there || !at_end) return there;
  }
  return false;
}

Result<bool> Sstable::get_from_partition(const Probe& probe, uint32_t p, const FrameRef& pin,
                                         Frame* partition, ReadAccess* access, FoundVersion* found,
                                         bool* at_end) const {
  const VersionKey& wanted = probe.wanted;
  const uint32_t after = partition->view.upper_bound(wanted);
  for (uint32_t b = last_before(after); b < partition->view.row_count(); ++b) {
    if (b >= after && !partition->view.has_key(b, wanted.user_key)) return false;
    if (access->resident_only) BlockCache::prefetch(partition->children[b]);
    FrameRef block_pin;
    VARVE_ASSIGN_OR_RETURN(Frame * block, fetch(&partition->children[b], access, &block_pin, [&] {
                             return this->block(pin, b, access->fill_cache);
                           }));
    if (block == nullptr) {
      access->missing = {.file = this, .kind = FrameKind::data, .partition = p, .block = b};
      return false;
    }
    const uint32_t row = block->find(wanted.user_key, probe.hash, wanted.timestamp);
    if (row == block->view.row_count()) {
      if (b < after) continue;
      // The index names it as the block's first version: without this a hostile index could lead
      // through the same blocks again and again.
      VARVE_ASSIGN_OR_RETURN(const BlockHandle handle, block_handle(partition->view, b));
      return Status::corruption(
          format("%s: the block at offset %llu does not begin as its index says", path_.c_str(),
                 static_cast<unsigned long long>(handle.offset)));
    }
    if (access->resident_only) {
      if (show_resident(block, row, access, found)) return true;
      access->missed = true;
      access->missing = {
          .file = this, .kind = FrameKind::value, .partition = p, .block = b, .row = row};
      return false;
    }
    show(block, row, found);
    found->pin = std::move(block_pin);
    if (found->kind == VersionKind::value_pointer && !access->pointers) {
      VARVE_ASSIGN_OR_RETURN(found->pin, value(found->pin, row, access->fill_cache));
      show_value(found->pin.get(), found);
    }
    return true;
  }
  *at_end = true;
  return false;
}

}  // namespace varve
