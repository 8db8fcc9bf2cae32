#include "txn/read_set.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "base/assert.h"
#include "base/coding.h"

namespace varve {

namespace {

struct KeyHead {
  uint64_t hash;
  Keyspace keyspace;
  uint32_t size;
  // Followed by the key.
};

struct RangeHead {
  Keyspace keyspace;
  uint32_t lower_size;
  uint32_t upper_size;
  // Followed by both.
};

bool append_range(Buffer* to, const ReadSet::Range& range) {
  const RangeHead head{.keyspace = range.keyspace,
                       .lower_size = static_cast<uint32_t>(range.lower.size()),
                       .upper_size = static_cast<uint32_t>(range.upper.size())};
  if (!to->reserve(to->size() + sizeof head + range.lower.size() + range.upper.size())) {
    return false;
  }
  const bool fits = to->append({reinterpret_cast<const char*>(&head), sizeof head}) &&
                    to->append(range.lower) && to->append(range.upper);
  VARVE_ASSERT(fits);
  return true;
}

bool next_range(const Buffer& from, size_t* place, ReadSet::Range* range) {
  if (*place == from.size()) return false;
  RangeHead head;
  std::memcpy(&head, from.data() + *place, sizeof head);
  const char* bytes = from.data() + *place + sizeof head;
  *range = {.keyspace = head.keyspace,
            .lower = {bytes, head.lower_size},
            .upper = {bytes + head.lower_size, head.upper_size}};
  *place += sizeof head + head.lower_size + head.upper_size;
  return true;
}

}  // namespace

bool ReadSet::next(size_t* place, Key* key) const {
  if (*place == keys_.size()) return false;
  KeyHead head;
  std::memcpy(&head, keys_.data() + *place, sizeof head);
  *key = {.hash = head.hash,
          .keyspace = head.keyspace,
          .key = {keys_.data() + *place + sizeof head, head.size}};
  *place += sizeof head + head.size;
  return true;
}

bool ReadSet::next(size_t* place, Range* range) const { return next_range(ranges_, place, range); }

ReadSet::Key ReadSet::key_at(size_t place) const {
  Key key;
  next(&place, &key);
  return key;
}

bool ReadSet::has(const Key& key) const {
  const auto same = [&key](const Key& other) {
    return other.hash == key.hash && other.keyspace == key.keyspace && other.key == key.key;
  };
  if (index_.size() == 0) {
    size_t place = 0;
    Key each;
    while (next(&place, &each)) {
      if (same(each)) return true;
    }
    return false;
  }
  const size_t mask = index_.size() / sizeof(uint64_t) - 1;
  for (size_t i = key.hash & mask;; i = (i + 1) & mask) {
    const auto slot = load_le<uint64_t>(index_.data() + i * sizeof(uint64_t));
    if (slot == 0) return false;
    if (same(key_at(slot - 1))) return true;
  }
}

bool ReadSet::is_covered(const Range& range) const {
  size_t place = 0;
  Range each;
  while (next(&place, &each)) {
    if (each.keyspace == range.keyspace && compare_keys(range.lower, each.lower) >= 0 &&
        (each.upper.empty() ||
         (!range.upper.empty() && compare_keys(range.upper, each.upper) <= 0))) {
      return true;
    }
  }
  return false;
}

bool ReadSet::reserve_index() {
  if (key_count_ < kUnindexedMax) return true;
  const size_t slots = index_.size() / sizeof(uint64_t);
  if (slots >= (key_count_ + 1) * size_t{2}) return true;
  const size_t wanted = std::bit_ceil((key_count_ + 1) * size_t{4});
  if (!index_.resize(wanted * sizeof(uint64_t))) return false;
  std::memset(index_.data(), 0, index_.size());
  size_t place = 0;
  Key key;
  for (size_t at = 0; next(&place, &key); at = place) add_to_index(key.hash, at);
  return true;
}

void ReadSet::add_to_index(uint64_t hash, size_t place) {
  if (index_.size() == 0) return;
  const size_t mask = index_.size() / sizeof(uint64_t) - 1;
  size_t i = hash & mask;
  while (load_le<uint64_t>(index_.data() + i * sizeof(uint64_t)) != 0) i = (i + 1) & mask;
  store_le<uint64_t>(index_.data() + i * sizeof(uint64_t), place + 1);
}

bool ReadSet::add(const Key& key) {
  if (has(key)) return true;
  if (coarse_) {
    // It may lie in what keys were exchanged for.
    size_t place = 0;
    Range each;
    while (next(&place, &each)) {
      if (each.keyspace == key.keyspace && each.contains(key.key)) return true;
    }
  }
  const size_t bytes = sizeof(KeyHead) + key.key.size();
  if (!make_room(bytes) || !keys_.reserve(keys_.size() + bytes) || !reserve_index()) return false;
  const size_t place = keys_.size();
  const KeyHead head{
      .hash = key.hash, .keyspace = key.keyspace, .size = static_cast<uint32_t>(key.key.size())};
  const bool fits =
      keys_.append({reinterpret_cast<const char*>(&head), sizeof head}) && keys_.append(key.key);
  VARVE_ASSERT(fits);
  add_to_index(key.hash, place);
  ++key_count_;
  return true;
}

bool ReadSet::add(const Range& range) {
  if (coarse_ && is_covered(range)) return true;
  if (!make_room(sizeof(RangeHead) + range.lower.size() + range.upper.size())) return false;
  return append_range(&ranges_, range);
}

bool ReadSet::make_room(size_t bytes) {
  if (keys_.size() + ranges_.size() + bytes <= bytes_limit_) return true;
  Buffer spans(manager_, MemoryRole::transaction);
  if (!collect_spans(&spans) || !ranges_.assign(spans.view())) return false;
  keys_.clear();
  key_count_ = 0;
  index_.reset();
  coarse_ = true;
  // With many keyspaces these alone may be more.
  bytes_limit_ = std::max(bytes_max_, 2 * (ranges_.size() + bytes));
  return true;
}

bool ReadSet::collect_spans(Buffer* spans) const {
  // A keyspace at a time, in order of ids.
  std::optional<Keyspace> done;
  for (;;) {
    std::optional<Range> span;
    bool upper_is_last_key = false;  // the span ends just behind it
    const auto cover = [&](const Range& part, bool is_key) {
      if (done && part.keyspace <= *done) return;
      if (!span || part.keyspace < span->keyspace) {
        span = part;
        upper_is_last_key = is_key;
        return;
      }
      if (part.keyspace != span->keyspace) return;
      if (compare_keys(part.lower, span->lower) < 0) span->lower = part.lower;
      const bool unbounded = !upper_is_last_key && span->upper.empty();
      if (unbounded) return;
      const auto order = compare_keys(part.upper, span->upper);
      if ((!is_key && part.upper.empty()) || order > 0 || (order == 0 && is_key)) {
        span->upper = part.upper;
        upper_is_last_key = is_key;
      }
    };
    size_t place = 0;
    Key key;
    while (next(&place, &key)) {
      cover({.keyspace = key.keyspace, .lower = key.key, .upper = key.key}, /*is_key=*/true);
    }
    place = 0;
    Range range;
    while (next(&place, &range)) cover(range, /*is_key=*/false);
    if (!span) return true;
    done = span->keyspace;
    char successor[kKeySizeMax + 1];
    VARVE_ASSERT(!upper_is_last_key || span->upper.size() <= kKeySizeMax);
    if (upper_is_last_key) {
      std::memcpy(successor, span->upper.data(), span->upper.size());
      successor[span->upper.size()] = 0;
      span->upper = {successor, span->upper.size() + 1};
    }
    if (!append_range(spans, *span)) return false;
  }
}

ReadSet::Range ReadSet::range_at(size_t place) const {
  Range range;
  next(&place, &range);
  return range;
}

bool ReadSet::arrange() {
  size_t count = 0;
  size_t place = 0;
  Range range;
  while (next(&place, &range)) ++count;
  if (count == 0) return true;
  if (!places_.resize(count * sizeof(size_t))) return false;
  auto* const places = reinterpret_cast<size_t*>(places_.data());
  size_t* const end = places + count;
  place = 0;
  for (size_t *to = places, at = 0; next(&place, &range); at = place) *to++ = at;
  std::sort(places, end, [this](size_t a, size_t b) {
    const Range left = range_at(a);
    const Range right = range_at(b);
    if (left.keyspace != right.keyspace) return left.keyspace < right.keyspace;
    return compare_keys(left.lower, right.lower) < 0;
  });
  Buffer joined(manager_, MemoryRole::transaction);
  if (!joined.reserve(ranges_.size())) return false;
  size_t* to = places;  // behind what is still to be read
  for (const size_t* from = places; from != end;) {
    Range whole = range_at(*from++);
    for (; from != end; ++from) {
      const Range part = range_at(*from);
      if (part.keyspace != whole.keyspace ||
          (!whole.upper.empty() && compare_keys(part.lower, whole.upper) > 0)) {
        break;
      }
      if (whole.upper.empty()) continue;
      if (part.upper.empty() || compare_keys(part.upper, whole.upper) > 0) whole.upper = part.upper;
    }
    *to++ = joined.size();
    const bool fits = append_range(&joined, whole);
    VARVE_ASSERT(fits);
  }
  const bool fits = ranges_.assign(joined.view()) &&
                    places_.resize(static_cast<size_t>(to - places) * sizeof(size_t));
  VARVE_ASSERT(fits);
  return true;
}

bool ReadSet::find_range(Keyspace keyspace, std::string_view key, Range* range) const {
  const auto* const first = reinterpret_cast<const size_t*>(places_.data());
  const size_t* const last = first + places_.size() / sizeof(size_t);
  // The first one that begins behind the key: only the one before it may hold the key.
  const size_t* const after =
      std::upper_bound(first, last, key, [&](std::string_view wanted, size_t place) {
        const Range each = range_at(place);
        if (each.keyspace != keyspace) return keyspace < each.keyspace;
        return compare_keys(wanted, each.lower) < 0;
      });
  if (after == first) return false;
  *range = range_at(*(after - 1));
  return range->keyspace == keyspace && range->contains(key);
}

void ReadSet::clear() {
  for (Buffer* buffer : {&keys_, &index_, &ranges_, &places_}) {
    buffer->clear();
    if (buffer->capacity() > kKeptBytesMax) buffer->reset();
  }
  key_count_ = 0;
  coarse_ = false;
  bytes_limit_ = bytes_max_;
}

}  // namespace varve
