#include "lsm/run_cursor.h"

#include <algorithm>
#include <cstring>

#include "base/format.h"
#include "mvcc/visibility.h"

namespace varve {

namespace {

// That `second` lies behind `first` in the file: so a walk goes over each byte of a file once,
// though a hostile index may name one block many times.
Status check_order(const Sstable& file, const BlockHandle& first, const BlockHandle& second) {
  if (second.offset >= first.offset + first.stored_size + kBlockTrailerSize) return Status();
  return Status::corruption(
      format("%s: the block at offset %llu begins before the end of the one "
             "at %llu, which the index names first",
             file.path().c_str(), static_cast<unsigned long long>(second.offset),
             static_cast<unsigned long long>(first.offset)));
}

}  // namespace

void RunCursor::reset(std::span<Sstable* const> files, bool fill_cache) {
  clear();
  files_ = files;
  fill_cache_ = fill_cache;
  from_file_ = false;
}

void RunCursor::clear() {
  valid_ = false;
  ahead_.begin();
  status_ = Status();
  view_ = nullptr;
  value_frame_.reset();
  block_frame_.reset();
  partition_frame_.reset();
  files_ = {};
}

bool RunCursor::fail(Status status) {
  status_ = std::move(status);
  valid_ = false;
  return false;
}

bool RunCursor::open_partition(uint32_t partition) {
  Result<FrameRef> frame = file()->partition(partition, fill_cache_, private_role(), from_file_);
  if (!frame.ok()) return fail(std::move(frame).status());
  partition_ = partition;
  partition_frame_ = std::move(*frame);
  return true;
}

bool RunCursor::open_block(uint32_t block) {
  const Result<BlockHandle> handle = file()->block_handle(partition_frame_->view, block);
  return handle.ok() ? open_block(block, *handle) : fail(handle.status());
}

bool RunCursor::open_block(uint32_t block, const BlockHandle& handle) {
  if (from_file_ || !partition_frame_->has_block(block)) {
    ahead_.note(file()->file(), handle.offset, handle.stored_size + kBlockTrailerSize);
  }
  Result<FrameRef> frame =
      file()->block(partition_frame_, block, handle, fill_cache_, private_role(), from_file_);
  if (!frame.ok()) return fail(std::move(frame).status());
  block_ = block;
  handle_ = handle;
  // Were both flags set, who walks plainly would not look for pointers.
  plain_ =
      (handle.flags & (kBlockLiveSingleVersion | kBlockHasPointers)) == kBlockLiveSingleVersion;
  newest_ = file()->timestamp_of(handle.timestamp_max);
  block_frame_ = std::move(*frame);
  view_ = &block_frame_->view;
  payload_begin_ = reinterpret_cast<uintptr_t>(block_frame_->payload().begin());
  payload_end_ = reinterpret_cast<uintptr_t>(block_frame_->payload().end());
  next_payload_ = payload_begin_;  // which does no harm
  one_timestamp_ = file()->info().undated || view_->has_one_timestamp();
  own_.timestamp = file()->timestamp_of(view_->timestamp(0));
  const std::string_view prefix = view_->prefix();
  prefix_size_ = prefix.size();
  prefix_head_ = key_head(prefix);
  if (!key_buffer_.reserve(prefix_size_ + kFrameBytesBehind) || !key_buffer_.assign(prefix)) {
    return fail(Status::out_of_memory("no memory for a cursor's key"));
  }
  return true;
}

// Apart, so that who loads short keys keeps nothing over a call.
[[gnu::noinline]] bool RunCursor::load_long_content(uint32_t row) {
  const BlockView::RowPlace at = view_->place(row);
  if (!key_buffer_.reserve(prefix_size_ + at.suffix_size)) {
    return fail(Status::out_of_memory("no memory for a cursor's key"));
  }
  std::memcpy(key_buffer_.data() + prefix_size_, at.suffix, at.suffix_size);
  show_content(row, at);
  return true;
}

inline void RunCursor::show_content(uint32_t row, const BlockView::RowPlace& at) {
  own_.key = {key_buffer_.data(), prefix_size_ + at.suffix_size};
  own_.value = {at.suffix + at.suffix_size, at.value_size};
  if (!one_timestamp_) own_.timestamp = view_->one_of_timestamps(row);
}

[[gnu::always_inline]] inline bool RunCursor::load_content(uint32_t row) {
  row_ = row;
  const BlockView& view = *view_;
  const BlockView::RowPlace at = view.place(row);
  if (__builtin_expect(at.suffix_size > kFrameBytesBehind, 0)) return load_long_content(row);
  // What stands behind it, too: so the size is known.
  std::memcpy(key_buffer_.data() + prefix_size_, at.suffix, kFrameBytesBehind);
  show_content(row, at);
  return true;
}

// Not from the key itself: the processor would wait until what was just copied there is one word.
inline uint64_t RunCursor::head_of_key() const {
  if (prefix_size_ >= sizeof(uint64_t)) return prefix_head_;
  if (own_.key.size() < sizeof(uint64_t)) return key_head(own_.key);
  const char* const suffix = own_.value.data() - (own_.key.size() - prefix_size_);
  return prefix_head_ | __builtin_bswap64(load_le<uint64_t>(suffix)) >> 8 * prefix_size_;
}

void RunCursor::load_row(uint32_t row) {
  value_frame_.reset();
  if (!load_content(row)) return;
  own_.head = head_of_key();
  own_.kind = view_->kind(row);
  valid_ = true;
}

bool RunCursor::load_value() {
  if (own_.kind != VersionKind::value_pointer) return true;
  Result<FrameRef> frame =
      file()->value(block_frame_, row_, fill_cache_, private_role(), from_file_);
  if (!frame.ok()) return fail(std::move(frame).status());
  value_frame_ = std::move(*frame);
  own_.value = value_frame_->content();
  own_.kind = VersionKind::value;
  return true;
}

inline bool RunCursor::is_plain(Timestamp snapshot) const {
  return plain_ && is_visible(newest_, snapshot);
}

size_t RunCursor::plain_ahead(Timestamp snapshot, std::string_view upper) {
  if (!is_plain(snapshot)) return 0;
  const uint32_t end =
      upper.empty() ? view_->row_count() : view_->lower_bound({upper, kTimestampMax});
  return end <= row_ ? 0 : end - row_ - 1;
}

PlainRows RunCursor::plain_rows(Timestamp snapshot) const {
  if (!valid_ || !is_plain(snapshot) || prefix_size_ >= sizeof(uint64_t)) return {};
  return {.heads = view_->heads(),
          .prefix_head = prefix_head_,
          .prefix_bits = static_cast<uint32_t>(8 * prefix_size_),
          .row = row_,
          .count = view_->row_count()};
}

// Rows follow one another, but the processor does not guess so from steps with other work between
// them, and not from one block to the next.
[[gnu::always_inline]] inline void RunCursor::prefetch_ahead() const {
  uintptr_t at = reinterpret_cast<uintptr_t>(own_.value.data()) + kBytesAhead;
  at += (next_payload_ - payload_end_) & -uintptr_t{at >= payload_end_};  // not to be guessed
  __builtin_prefetch(reinterpret_cast<const char*>(at));
  __builtin_prefetch(reinterpret_cast<const char*>(at + 64));
}

[[gnu::always_inline]] inline void RunCursor::prefetch_behind() const {
  uintptr_t at = reinterpret_cast<uintptr_t>(own_.value.data()) - kBytesAhead;
  at += (next_payload_ - payload_begin_) & -uintptr_t{at < payload_begin_};
  __builtin_prefetch(reinterpret_cast<const char*>(at));
  __builtin_prefetch(reinterpret_cast<const char*>(at + 64));
}

void RunCursor::next_plain() {
  load_content(row_ + 1);
  prefetch_ahead();
}

size_t RunCursor::plain_behind(Timestamp snapshot, std::string_view lower, bool above) {
  if (!is_plain(snapshot)) return 0;
  uint32_t begin = 0;
  if (above) {
    begin = view_->upper_bound({lower, kTimestampMin});
  } else if (!lower.empty()) {
    begin = view_->lower_bound({lower, kTimestampMax});
  }
  return begin > row_ ? 0 : row_ - begin + 1;
}

void RunCursor::prev_plain() {
  load_content(row_ - 1);
  prefetch_behind();
}

void RunCursor::next() {
  if (row_ + 1 < view_->row_count()) {
    load_row(row_ + 1);
    prefetch_ahead();
  } else {
    enter_next_block();
  }
}

void RunCursor::prev() {
  if (row_ > 0) {
    load_row(row_ - 1);
    prefetch_behind();
  } else {
    enter_previous_block();
  }
}

bool RunCursor::open_neighbour(uint32_t block, bool before) {
  const Result<BlockHandle> handle = file()->block_handle(partition_frame_->view, block);
  if (!handle.ok()) return fail(handle.status());
  Status in_order =
      before ? check_order(*file(), *handle, handle_) : check_order(*file(), handle_, *handle);
  if (!in_order.ok()) return fail(std::move(in_order));
  if (!open_block(block, *handle)) return false;
  const std::string_view next =
      file()->prefetch_walk(*partition_frame_.get(), before ? block - 1 : block + 1, before);
  if (!next.empty())
    next_payload_ = reinterpret_cast<uintptr_t>(before ? next.end() : next.begin());
  return true;
}

void RunCursor::enter_next_block() {
  valid_ = false;
  uint32_t block = block_ + 1;
  if (block == partition_frame_->view.row_count()) {
    if (partition_ + 1 == file()->partition_count()) {
      if (file_ + 1 == files_.size()) return;
      ++file_;
      if (open_partition(0) && open_block(0)) load_row(0);
      return;
    }
    if (!open_partition(partition_ + 1)) return;
    block = 0;
  }
  if (open_neighbour(block, /*before=*/false)) load_row(0);
}

void RunCursor::enter_previous_block() {
  valid_ = false;
  uint32_t block = block_;
  if (block == 0) {
    if (partition_ == 0) {
      if (file_ == 0) return;
      --file_;
      if (open_partition(file()->partition_count() - 1) &&
          open_block(partition_frame_->view.row_count() - 1)) {
        load_row(view_->row_count() - 1);
      }
      return;
    }
    if (!open_partition(partition_ - 1)) return;
    block = partition_frame_->view.row_count();
  }
  if (open_neighbour(block - 1, /*before=*/true)) load_row(view_->row_count() - 1);
}

void RunCursor::seek_to_first() {
  valid_ = false;
  status_ = Status();
  ahead_.begin();
  if (files_.empty()) return;
  file_ = 0;
  if (open_partition(0) && open_block(0)) load_row(0);
}

void RunCursor::seek_to_last() {
  valid_ = false;
  status_ = Status();
  ahead_.begin();
  if (files_.empty()) return;
  file_ = static_cast<uint32_t>(files_.size() - 1);
  if (open_partition(file()->partition_count() - 1) &&
      open_block(partition_frame_->view.row_count() - 1)) {
    load_row(view_->row_count() - 1);
  }
}

void RunCursor::seek(const VersionKey& key) {
  for (int step = 0; step < kSeekSteps; ++step) RunCursor::seek_step(step, key);
}

void RunCursor::seek_step(int step, const VersionKey& key) {
  if (step != 0 && !seeks_) return;
  switch (step) {
    case 0: {
      valid_ = false;
      status_ = Status();
      ahead_.begin();
      // The first file that does not end before the key; all versions of a key are in one file.
      const auto at = std::partition_point(files_.begin(), files_.end(), [&](const Sstable* file) {
        return compare_keys(file->info().largest_key, key.user_key) < 0;
      });
      seeks_ = at != files_.end();
      if (!seeks_) return;
      file_ = static_cast<uint32_t>(at - files_.begin());
      // The last partition, then block, that begins at or before the key; what follows it begins
      // after.
      const uint32_t partition = file()->top().upper_bound(stored(key));
      seeks_ = open_partition(partition == 0 ? 0 : partition - 1);
      return;
    }
    case 1: {
      const uint32_t block = partition_frame_->view.upper_bound(stored(key));
      target_ = block == 0 ? 0 : block - 1;
      BlockCache::prefetch(partition_frame_->children[target_]);
      return;
    }
    case 2:
      seeks_ = open_block(target_);
      if (seeks_) view_->prefetch_search();
      return;
    case 3:
      target_ = view_->lower_bound(stored(key));
      if (target_ < view_->row_count()) view_->prefetch_row(target_);
      return;
    default:
      seeks_ = false;
      if (target_ < view_->row_count()) {
        load_row(target_);
      } else {
        enter_next_block();
      }
      // Of an undated file it may be newer than what is asked for.
      if (file()->info().undated && valid_ && compare_versions(version_key(), key) < 0) next();
  }
}

void RunCursor::seek_for_prev(const VersionKey& key) {
  seek(key);
  if (!status_.ok()) return;
  if (!valid_) {
    seek_to_last();
  } else if (compare_versions(version_key(), key) > 0) {
    prev();
  }
}

}  // namespace varve
