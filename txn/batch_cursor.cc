#include "txn/batch_cursor.h"

#include <algorithm>

#include "base/assert.h"
#include "txn/spilled_writes.h"
#include "txn/write_batch_internal.h"

namespace varve {

bool SortedBatch::sort(const char* data, uint64_t size, uint32_t entries) {
  parts_.clear();
  if (!places_.resize(entries * sizeof(uint64_t))) return false;
  auto* const places = reinterpret_cast<uint64_t*>(places_.data());
  uint32_t count = 0;
  for (uint64_t at = 0; at < size; at += read_batch_entry(data + at).size) places[count++] = at;
  VARVE_ASSERT(count == entries);
  std::sort(places, places + count, [data](uint64_t a, uint64_t b) {
    const BatchEntry x = read_batch_entry(data + a).entry;
    const BatchEntry y = read_batch_entry(data + b).entry;
    if (x.keyspace != y.keyspace) return x.keyspace < y.keyspace;
    const auto order = compare_keys(x.key, y.key);
    return order != 0 ? order < 0 : a > b;
  });
  for (uint32_t from = 0; from < count;) {
    const Keyspace keyspace = read_batch_entry(data + places[from]).entry.keyspace;
    uint32_t to = from;
    while (to < count && read_batch_entry(data + places[to]).entry.keyspace == keyspace) ++to;
    parts_.push_back({.keyspace = keyspace, .places = {places + from, to - from}});
    from = to;
  }
  return true;
}

VersionKey BatchCursor::version_at(size_t at) const {
  return {read_batch_entry(data_ + places_[at]).entry.key,
          SpilledWrites::written_at(base_ + places_[at])};
}

void BatchCursor::stand_at(size_t at) {
  at_ = at;
  valid_ = at < places_.size();
  if (!valid_) return;
  const BatchEntry entry = read_batch_entry(data_ + places_[at]).entry;
  own_.key = entry.key;
  own_.head = key_head(entry.key);
  own_.timestamp = SpilledWrites::written_at(base_ + places_[at]);
  own_.kind = entry.kind;
  own_.value = entry.value;
}

size_t BatchCursor::first_not_before(const VersionKey& key) const {
  const auto at = std::partition_point(places_.begin(), places_.end(), [&](const uint64_t& place) {
    return compare_versions(version_at(static_cast<size_t>(&place - places_.data())), key) < 0;
  });
  return static_cast<size_t>(at - places_.begin());
}

void BatchCursor::seek_for_prev(const VersionKey& key) {
  const size_t at = first_not_before(key);
  const bool is_there = at < places_.size() && compare_versions(version_at(at), key) == 0;
  stand_at(is_there ? at : at - 1);
}

}  // namespace varve
