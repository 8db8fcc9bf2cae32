#include "lsm/block_builder.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "base/coding.h"

namespace varve {

bool BlockBuilder::add(std::string_view key, Timestamp timestamp, VersionKind kind,
                       std::string_view value) {
  if (summary_.rows == 0) {
    if (!first_key_.assign(key)) return false;
    summary_.first_timestamp = timestamp;
    summary_.timestamp_min = summary_.timestamp_max = timestamp;
  } else {
    const std::strong_ordering order = compare_keys(last_key_.view(), key);
    VARVE_ASSERT(order < 0 || (order == 0 && timestamp < last_timestamp_));
    summary_.has_equal_keys |= order == 0;
  }
  const size_t needed = rows_.size() + 2 * kVarint64BytesMax + key.size() + value.size();
  if (!rows_.reserve(needed) || !timestamps_.reserve(timestamps_.size() + sizeof(uint64_t)) ||
      !kinds_.reserve(kinds_.size() + 1) || !last_key_.assign(key)) {
    return false;
  }
  char* to = rows_.data() + rows_.size();
  to = store_varint(to, key.size());
  to = store_varint(to, value.size());
  std::memcpy(to, key.data(), key.size());
  to += key.size();
  if (!value.empty()) std::memcpy(to, value.data(), value.size());
  to += value.size();
  last_timestamp_ = timestamp;
  const char kind_byte = static_cast<char>(kind);
  if (!rows_.resize(static_cast<size_t>(to - rows_.data())) || !kinds_.append({&kind_byte, 1}) ||
      !timestamps_.append({reinterpret_cast<const char*>(&timestamp.nanos), sizeof(uint64_t)})) {
    return false;
  }
  summary_.timestamp_min = std::min(summary_.timestamp_min, timestamp);
  summary_.timestamp_max = std::max(summary_.timestamp_max, timestamp);
  summary_.tombstones += kind == VersionKind::tombstone;
  summary_.has_pointers |= kind == VersionKind::value_pointer;
  ++summary_.rows;
  return true;
}

bool BlockBuilder::finish(Buffer* to, size_t kept) {
  VARVE_ASSERT(summary_.rows > 0);
  const uint32_t rows = summary_.rows;
  const size_t prefix_size =
      std::min<size_t>(common_prefix_size(first_key_.view(), last_key_.view()), UINT16_MAX);
  const uint64_t base = summary_.timestamp_min.nanos;
  const uint64_t spread = summary_.timestamp_max.nanos - base;
  const size_t width = (static_cast<size_t>(std::bit_width(spread)) + 7) / 8;
  const uint8_t first_kind = static_cast<uint8_t>(kinds_.data()[0]);
  const bool one_kind = std::count(kinds_.data(), kinds_.data() + rows, kinds_.data()[0]) == rows;

  const size_t size_max =
      kBlockHeaderSize + prefix_size + rows * (width + !one_kind) + rows_.size();
  if (!to->reserve(to->size() + size_max + sizeof(uint64_t))) return false;
  char* out = to->data() + to->size();
  store_le(out, rows);
  store_le(out + 4, static_cast<uint16_t>(prefix_size));
  out[6] = static_cast<char>(width);
  out[7] = static_cast<char>(one_kind ? first_kind : 0);
  store_le(out + 8, base);
  out += kBlockHeaderSize;
  std::memcpy(out, first_key_.data(), prefix_size);
  out += prefix_size;
  for (uint32_t i = 0; i < rows && width != 0; ++i) {
    // Eight bytes are written, `width` are kept: the reserve above has room for the rest.
    store_le(out, load_le<uint64_t>(timestamps_.data() + i * sizeof(uint64_t)) - base);
    out += width;
  }
  if (!one_kind) {
    std::memcpy(out, kinds_.data(), rows);
    out += rows;
  }
  const char* row = rows_.data();
  const char* const rows_end = row + rows_.size();
  for (uint32_t i = 0; i < rows; ++i) {
    uint64_t key_size = 0;
    uint64_t value_size = 0;
    row = load_varint(row, rows_end, &key_size);
    row = load_varint(row, rows_end, &value_size);
    out = store_varint(out, key_size - prefix_size);
    out = store_varint(out, value_size);
    const size_t payload = key_size - prefix_size + value_size;
    std::memcpy(out, row + prefix_size, payload);
    out += payload;
    row += key_size + value_size;
  }
  VARVE_ASSERT(static_cast<size_t>(out - to->data()) <= to->capacity());
  if (!to->resize(static_cast<size_t>(out - to->data()))) return false;
  rows_.clear();
  if (rows_.capacity() > kept) rows_.reset();
  timestamps_.clear();
  kinds_.clear();
  last_key_.clear();
  first_key_.clear();
  summary_ = {};
  return true;
}

}  // namespace varve
