// A block's payload with its derived columns: random access to rows, seeks and point reads.
//
// Thread rule: immutable once parsed, but for fill_tags(); any number of threads.
// Ownership: payload and columns are the caller's and outlive the view. Keys are handed out through
// a buffer of the caller that holds the common prefix; values point into the payload.
// Errors: parse() answers whatever bytes with a view that can only lead inside them, or corruption.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/align.h"
#include "lsm/block_format.h"
#include "mvcc/version.h"
#include "varve/status.h"

namespace varve {

struct BlockRow {
  std::string_view suffix;  // key without the prefix
  std::string_view value;
};

class BlockView {
 public:
  // Bytes that the derived columns of `rows` rows take, beside a payload of `payload_size` bytes; a
  // multiple of 8.
  static constexpr size_t columns_size(size_t rows, size_t payload_size, bool with_tags) {
    return heads_offset(rows, payload_size, with_tags) +
           rows * (with_tags ? 1 : 2) * sizeof(uint64_t);
  }

  BlockView() = default;
  // `columns`: aligned to 8 bytes, columns_size() of them. `row_count` is the trailer's.
  // `with_tags`: there is room for tags, by which point reads are answered once they were filled.
  // Without, heads have twice as many bytes, for what is searched often: blocks of an index, whose
  // keys may begin with the same ones.
  static Result<BlockView> parse(std::string_view payload, uint32_t row_count, char* columns,
                                 bool with_tags);

  uint32_t row_count() const { return row_count_; }
  // Lies in the view, where it is short, else in the payload.
  std::string_view prefix() const {
    return {prefix_size_ <= kPrefixCopied ? prefix_copy_ : payload_ + kBlockHeaderSize,
            prefix_size_};
  }

  const char* payload() const { return payload_; }
  BlockRow row(uint32_t i) const {
    const RowPlace at = place(i);
    return {{at.suffix, at.suffix_size}, {at.suffix + at.suffix_size, at.value_size}};
  }
  // The same, in pieces.
  struct RowPlace {
    const char* suffix;
    uint32_t suffix_size;
    uint32_t value_size;  // the value follows the suffix
  };
  RowPlace place(uint32_t i) const {
    const char* p = payload_ + offset(i);
    uint32_t suffix_size = static_cast<uint8_t>(*p++);
    if (__builtin_expect(suffix_size >= 0x80, 0)) {
      const Varint whole = rest_of_varint(suffix_size, p);
      suffix_size = whole.value;
      p = whole.end;
    }
    uint32_t value_size = static_cast<uint8_t>(*p++);
    if (value_size >= 0x80) {
      const Varint whole = rest_of_varint(value_size, p);
      value_size = whole.value;
      p = whole.end;
    }
    return {p, suffix_size, value_size};
  }
  // Of all rows.
  bool has_one_timestamp() const { return timestamp_width_ == 0; }
  // timestamp() where there are several, and eight bytes behind the payload may be read.
  Timestamp one_of_timestamps(uint32_t i) const {
    const uint64_t bytes = load_le<uint64_t>(timestamps_ + size_t{i} * timestamp_width_);
    return Timestamp{timestamp_base_ + (bytes & (UINT64_MAX >> (64 - 8 * timestamp_width_)))};
  }
  Timestamp timestamp(uint32_t i) const {
    if (timestamp_width_ == 0) return Timestamp{timestamp_base_};
    return Timestamp{timestamp_base_ +
                     load_le_of(timestamps_ + size_t{i} * timestamp_width_, timestamp_width_)};
  }
  VersionKind kind(uint32_t i) const {
    return static_cast<VersionKind>(kind_ != 0 ? kind_ : static_cast<uint8_t>(kinds_[i]));
  }
  // key_head() of what stands behind the prefix, of each row.
  const uint64_t* heads() const { return heads_; }

  // These begin to load what lower_bound() and upper_bound() look at, of a block that is not large,
  // and what a row is read from.
  void prefetch_search() const {
    const char* const heads = reinterpret_cast<const char*>(heads_);
    const size_t end = std::min<size_t>(row_count_ * sizeof(uint64_t), kHeadBytesAhead);
    for (size_t at = 0; at < end; at += 64) __builtin_prefetch(heads + at);
  }
  // Likewise what leads to the first rows, or the last ones.
  void prefetch_walk(bool backward) const {
    const size_t size =
        row_count_ * (offsets_ != nullptr ? sizeof *offsets_ : sizeof *wide_offsets_);
    const char* const column = offsets_ != nullptr ? reinterpret_cast<const char*>(offsets_)
                                                   : reinterpret_cast<const char*>(wide_offsets_);
    const char* const from = column + (backward && size > 128 ? size - 128 : 0);
    __builtin_prefetch(from);
    __builtin_prefetch(from + 64);
    __builtin_prefetch(from + 127);
    const char* const heads =
        reinterpret_cast<const char*>(heads_ + (backward ? row_count_ : 0)) - (backward ? 128 : 0);
    __builtin_prefetch(heads);
    __builtin_prefetch(heads + 64);
    __builtin_prefetch(heads + 127);
  }
  void prefetch_row(uint32_t i) const {
    const char* const row = payload_ + offset(i);
    __builtin_prefetch(row);
    __builtin_prefetch(row + 64);
    __builtin_prefetch(timestamps_ + size_t{i} * timestamp_width_);
  }

  // First row at or after `key` in version order; row_count() if there is none.
  uint32_t lower_bound(const VersionKey& key) const;
  // First row after `key`.
  uint32_t upper_bound(const VersionKey& key) const;
  // Newest version of `user_key` at or below `snapshot`; row_count() if there is none.
  uint32_t find_in_order(std::string_view user_key, Timestamp snapshot) const;
  // The same by its hash. Requires fill_tags(). `candidate`: that of its hash, or 0.
  uint32_t find(std::string_view user_key, uint64_t hash, Timestamp snapshot,
                uint32_t candidate = 0) const;
  // The first row that find() compares with, which begins to load; row_count() if there is none.
  // Requires fill_tags().
  uint32_t candidate(uint64_t hash) const;

  // Requires `with_tags`. Costs a hash of every key. By one thread; others may do all that does not
  // require it meanwhile.
  void fill_tags() const;

  // Whether row i has the user key `user_key`.
  bool has_key(uint32_t i, std::string_view user_key) const {
    return has_prefix(user_key) && row(i).suffix == behind_prefix(user_key);
  }

 private:
  // Columns: tags, then offsets, so that a point read waits once for both; then heads, and the
  // eight bytes behind each head.
  using Tag = uint16_t;
  static constexpr size_t kTagsAtOnce = 16;  // are compared; padded to a multiple
  // So much of the prefix is beside the other members, and waited for together with them.
  static constexpr size_t kPrefixCopied = 16;
  static constexpr size_t kHeadBytesAhead = 1024;
  static constexpr size_t kNarrowPayloadMax = 0xffff;  // offsets of larger ones take four bytes
  static constexpr size_t offset_width(size_t payload_size) {
    return payload_size <= kNarrowPayloadMax ? sizeof(uint16_t) : sizeof(uint32_t);
  }
  static constexpr size_t tags_size(size_t rows, bool with_tags) {
    return with_tags ? align_up(rows, kTagsAtOnce) * sizeof(Tag) : 0;
  }
  static constexpr size_t heads_offset(size_t rows, size_t payload_size, bool with_tags) {
    return tags_size(rows, with_tags) +
           align_up(rows * offset_width(payload_size), sizeof(uint64_t));
  }
  uint32_t offset(uint32_t i) const {
    if (offsets_ != nullptr) return offsets_[i];
    return wide_offsets_[i];
  }

  struct Varint {
    uint32_t value;
    const char* end;
  };
  static Varint rest_of_varint(uint32_t first, const char* p) {
    uint32_t value = first & 0x7f;
    for (unsigned shift = 7; shift < 32; shift += 7) {
      const uint32_t byte = static_cast<uint8_t>(*p++);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return {value, p};
  }
  // Compares the first `size` bytes of a key with those of the prefix, as memcmp().
  int compare_prefix(std::string_view user_key, size_t size) const {
    if (size == 0) return 0;
    if (size <= sizeof(uint64_t) && user_key.size() >= sizeof(uint64_t)) {
      const size_t others = 8 * (sizeof(uint64_t) - size);
      const uint64_t key = key_head(user_key) >> others;
      const uint64_t prefix = key_head(prefix_copy_, sizeof prefix_copy_) >> others;
      return key < prefix ? -1 : key > prefix;
    }
    const size_t near = std::min(size, kPrefixCopied);
    const int order = std::memcmp(user_key.data(), prefix_copy_, near);
    if (order != 0 || near == size) return order;
    return std::memcmp(user_key.data() + near, prefix().data() + near, size - near);
  }
  bool has_prefix(std::string_view user_key) const {
    return user_key.size() >= prefix_size_ && compare_prefix(user_key, prefix_size_) == 0;
  }
  // Of a key that has it.
  std::string_view behind_prefix(std::string_view user_key) const {
    return {user_key.data() + prefix_size_, user_key.size() - prefix_size_};
  }
  // key_head() of that.
  uint64_t head_behind_prefix(std::string_view user_key) const {
    const size_t size = user_key.size() - prefix_size_;
    constexpr size_t kHead = sizeof(uint64_t);
    if (size >= kHead || size == 0 || user_key.size() < kHead) {
      return key_head(behind_prefix(user_key));
    }
    // What stands before it is shifted out.
    return key_head(user_key.substr(user_key.size() - kHead)) << 8 * (kHead - size);
  }
  // Of rows [first, last), whose numbers in `heads` ascend, the first with one not below `wanted`,
  // or above it.
  static uint32_t first_not_below(const uint64_t* heads, uint32_t first, uint32_t last,
                                  uint64_t wanted);
  static uint32_t first_above(const uint64_t* heads, uint32_t first, uint32_t last,
                              uint64_t wanted) {
    return wanted == UINT64_MAX ? last : first_not_below(heads, first, last, wanted + 1);
  }
  template <bool kAfterEqual>
  uint32_t bound(const VersionKey& key) const;

  // What point reads need first: it shares a cache line with the head of a frame.
  const char* payload_ = nullptr;
  Tag* tags_ = nullptr;
  const uint16_t* offsets_ = nullptr;  // null: they are wide
  const char* timestamps_ = nullptr;
  uint64_t timestamp_base_ = 0;
  uint32_t row_count_ = 0;
  uint16_t prefix_size_ = 0;
  uint8_t timestamp_width_ = 0;
  uint8_t kind_ = 0;
  const uint64_t* heads_ = nullptr;
  const uint64_t* next_heads_ = nullptr;  // null with tags
  const char* kinds_ = nullptr;           // where kind_ is 0
  const uint32_t* wide_offsets_ = nullptr;
  char prefix_copy_[kPrefixCopied] = {};
};

}  // namespace varve
