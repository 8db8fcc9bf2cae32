#include "lsm/block_reader.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <string>

#include "base/format.h"

namespace varve {

namespace {

Status bad_row(uint32_t row, uint32_t rows, size_t offset, const char* what) {
  return Status::corruption(
      format("block row %u of %u at payload offset %zu: %s", row, rows, offset, what));
}

// Positions of `tag` among the sixteen at `tags`: a bit for each.
inline uint32_t match_tags(const uint16_t* tags, uint16_t tag) {
#if defined(__SSE2__)
  const __m128i wanted = _mm_set1_epi16(static_cast<int16_t>(tag));
  const auto* from = reinterpret_cast<const __m128i*>(tags);
  const __m128i first = _mm_cmpeq_epi16(_mm_loadu_si128(from), wanted);
  const __m128i second = _mm_cmpeq_epi16(_mm_loadu_si128(from + 1), wanted);
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(first, second)));
#else
  uint32_t found = 0;
  for (uint32_t i = 0; i < 16; ++i) found |= (tags[i] == tag ? 1u : 0u) << i;
  return found;
#endif
}

// The eight bytes behind key_head(), likewise.
uint64_t next_head(std::string_view key) {
  return key_head(key.substr(std::min(key.size(), sizeof(uint64_t))));
}

}  // namespace

Result<BlockView> BlockView::parse(std::string_view payload, uint32_t row_count, char* columns,
                                   bool with_tags) {
  Decoder decoder(payload);
  BlockView view;
  view.payload_ = payload.data();
  view.row_count_ = decoder.u32();
  view.prefix_size_ = decoder.fixed<uint16_t>();
  view.timestamp_width_ = decoder.u8();
  view.kind_ = decoder.u8();
  view.timestamp_base_ = decoder.u64();
  decoder.bytes(view.prefix_size_);
  if (!decoder.ok() || view.row_count_ == 0 || view.row_count_ != row_count ||
      view.timestamp_width_ > 8) {
    return Status::corruption(format("block header: %u rows (trailer: %u), timestamps of %u bytes",
                                     view.row_count_, row_count, view.timestamp_width_));
  }
  const uint32_t rows = view.row_count_;
  std::memcpy(view.prefix_copy_, view.payload_ + kBlockHeaderSize,
              std::min<size_t>(view.prefix_size_, kPrefixCopied));
  view.timestamps_ = decoder.bytes(uint64_t{rows} * view.timestamp_width_).data();
  if (view.kind_ == 0) view.kinds_ = decoder.bytes(rows).data();
  if (!decoder.ok()) return Status::corruption("block: columns exceed the payload");
  for (uint32_t i = 0; i < (view.kind_ == 0 ? rows : 1u); ++i) {
    if (!is_known(view.kind(i))) {
      return Status::not_supported(format("block row %u has version kind %u, unknown to this build",
                                          i, static_cast<unsigned>(view.kind(i))));
    }
  }

  const bool narrow = offset_width(payload.size()) == sizeof(uint16_t);
  uint16_t* offsets = reinterpret_cast<uint16_t*>(columns + tags_size(rows, with_tags));
  uint32_t* wide_offsets = reinterpret_cast<uint32_t*>(offsets);
  uint64_t* heads =
      reinterpret_cast<uint64_t*>(columns + heads_offset(rows, payload.size(), with_tags));
  uint64_t* next_heads = heads + rows;
  view.heads_ = heads;
  view.next_heads_ = with_tags ? nullptr : next_heads;
  view.offsets_ = narrow ? offsets : nullptr;
  view.wide_offsets_ = narrow ? nullptr : wide_offsets;
  view.tags_ = with_tags ? reinterpret_cast<Tag*>(columns) : nullptr;
  for (uint32_t i = 0; i < rows; ++i) {
    const size_t start = decoder.offset();
    const uint64_t suffix_size = decoder.varint();
    const uint64_t value_size = decoder.varint();
    const std::string_view suffix = decoder.bytes(suffix_size);
    decoder.bytes(value_size);
    const size_t key_size = view.prefix_size_ + suffix_size;
    if (!decoder.ok() || key_size > kKeySizeMax) {
      return bad_row(i, rows, start, "it exceeds the payload, or its key the limit");
    }
    if (narrow) {
      offsets[i] = static_cast<uint16_t>(start);
    } else {
      wide_offsets[i] = static_cast<uint32_t>(start);
    }
    heads[i] = key_head(suffix);
    if (!with_tags) next_heads[i] = next_head(suffix);
  }
  if (!decoder.done()) {
    return bad_row(rows, rows, decoder.offset(), "bytes follow the last row");
  }
  return view;
}

void BlockView::fill_tags() const {
  char hashed_key[256];  // prefix and suffix side by side; longer keys are hashed from the heap
  std::string long_key;
  std::memcpy(hashed_key, prefix().data(), std::min<size_t>(prefix_size_, sizeof hashed_key));
  for (uint32_t i = 0; i < row_count_; ++i) {
    const std::string_view suffix = row(i).suffix;
    const size_t key_size = prefix_size_ + suffix.size();
    if (key_size <= sizeof hashed_key) {
      std::memcpy(hashed_key + prefix_size_, suffix.data(), suffix.size());
      tags_[i] = static_cast<Tag>(key_hash({hashed_key, key_size}));
    } else {
      long_key.assign(prefix()).append(suffix);
      tags_[i] = static_cast<Tag>(key_hash(long_key));
    }
  }
  std::fill(tags_ + row_count_, tags_ + align_up(row_count_, kTagsAtOnce), 0);
}

uint32_t BlockView::candidate(uint64_t hash) const {
  for (uint32_t start = 0; start < row_count_; start += kTagsAtOnce) {
    const uint32_t found = match_tags(tags_ + start, static_cast<Tag>(hash));
    if (found == 0) continue;
    const uint32_t i = start + static_cast<uint32_t>(std::countr_zero(found));
    if (i >= row_count_) break;  // the padding
    const char* const row = payload_ + offset(i);
    // A row of 100 bytes lies in two lines of the cache, or three.
    for (const size_t line : {0, 64, 128}) __builtin_prefetch(row + line);
    return i;
  }
  return row_count_;
}

inline uint32_t BlockView::first_not_below(const uint64_t* heads, uint32_t first, uint32_t last,
                                           uint64_t wanted) {
  if (first == last) return first;
  // Without branches, since each way is as likely; by quarters where the steps are far, since three
  // loads beside one another take as long as one.
  constexpr uint32_t kFar = 16;
  const uint64_t* base = heads + first;
  uint32_t length = last - first;
  for (; length > kFar; length -= 3 * (length / 4)) {
    const uint32_t quarter = length / 4;
    const uint32_t below = static_cast<uint32_t>(base[quarter - 1] < wanted) +
                           static_cast<uint32_t>(base[2 * quarter - 1] < wanted) +
                           static_cast<uint32_t>(base[3 * quarter - 1] < wanted);
    base += size_t{quarter} * below;
  }
  while (length > 1) {
    const uint32_t half = length / 2;
    base += half & (0 - static_cast<uint32_t>(base[half - 1] < wanted));
    length -= half;
  }
  return static_cast<uint32_t>(base - heads) + (*base < wanted);
}

template <bool kAfterEqual>
uint32_t BlockView::bound(const VersionKey& key) const {
  const size_t common = std::min<size_t>(key.user_key.size(), prefix_size_);
  const int order = compare_prefix(key.user_key, common);
  if (order < 0 || (order == 0 && key.user_key.size() < prefix_size_)) return 0;
  if (order > 0) return row_count_;
  const uint64_t wanted = head_behind_prefix(key.user_key);
  uint32_t first = first_not_below(heads_, 0, row_count_, wanted);
  if (first == row_count_ || heads_[first] != wanted) return first;
  // Rows with equal heads are told apart by their whole key and timestamp.
  const std::string_view suffix = behind_prefix(key.user_key);
  uint32_t last = first;
  for (uint32_t step = 1; last < row_count_ && heads_[last] == wanted; step *= 2) {
    last = std::min(row_count_, last + step);
  }
  if (next_heads_ != nullptr && first < last) {
    const uint64_t next_wanted = next_head(suffix);
    last = first_above(heads_, first, last, wanted);
    first = first_not_below(next_heads_, first, last, next_wanted);
    last = first_above(next_heads_, first, last, next_wanted);
  }
  while (first < last) {
    const uint32_t middle = first + (last - first) / 2;
    std::strong_ordering row_order = std::strong_ordering::greater;
    if (heads_[middle] == wanted) {
      row_order = compare_keys(row(middle).suffix, suffix);
      if (row_order == 0) row_order = key.timestamp <=> timestamp(middle);
    }
    if (kAfterEqual ? row_order <= 0 : row_order < 0) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  return first;
}

uint32_t BlockView::lower_bound(const VersionKey& key) const { return bound<false>(key); }
uint32_t BlockView::upper_bound(const VersionKey& key) const { return bound<true>(key); }

uint32_t BlockView::find_in_order(std::string_view user_key, Timestamp snapshot) const {
  const uint32_t i = lower_bound({user_key, snapshot});
  // The last is so in every block whose rows are in order.
  const bool there = i < row_count_ && has_key(i, user_key) && timestamp(i) <= snapshot;
  return there ? i : row_count_;
}

uint32_t BlockView::find(std::string_view user_key, uint64_t hash, Timestamp snapshot,
                         uint32_t candidate) const {
  if (!has_prefix(user_key)) return row_count_;
  const std::string_view suffix = behind_prefix(user_key);
  const Tag tag = static_cast<Tag>(hash);
  for (uint32_t start = candidate - candidate % kTagsAtOnce; start < row_count_;
       start += kTagsAtOnce) {
    for (uint32_t found = match_tags(tags_ + start, tag); found != 0; found &= found - 1) {
      const uint32_t i = start + static_cast<uint32_t>(std::countr_zero(found));
      if (i >= row_count_) return row_count_;  // the padding
      if (equal_bytes(row(i).suffix, suffix) && timestamp(i) <= snapshot) return i;
    }
  }
  return row_count_;
}

}  // namespace varve
