#include "lsm/merge_cursor.h"

#include <string>

namespace varve {

void MergeCursor::reset(std::span<VersionCursor* const> children) {
  children_.assign(children.begin(), children.end());
  order_.clear();
  order_.reserve(children_.size());
  valid_ = false;
  failed_ = false;
  direction_ = Direction::forward;
}

inline bool MergeCursor::precedes(const Place& a, const Place& b) const {
  const bool forward = direction_ == Direction::forward;
  if (a.head != b.head) return (a.head < b.head) == forward;
  const std::strong_ordering order =
      compare_versions(children_[a.child]->version_key(), children_[b.child]->version_key());
  if (order == 0) return a.child < b.child;
  return forward ? order < 0 : order > 0;
}

void MergeCursor::sort() {
  order_.clear();
  wins_ = 0;
  stale_ = false;
  for (uint32_t i = 0; i < children_.size(); ++i) {
    const VersionCursor& child = *children_[i];
    if (!child.valid()) {
      // An end must not be mistaken for a failed read: a merge without that child would miss data.
      if (!child.status().ok()) failed_ = true;
      continue;
    }
    const Place place{.head = child.head(), .child = i};
    order_.push_back(place);
    size_t at = order_.size() - 1;
    for (; at > 0 && precedes(place, order_[at - 1]); --at) order_[at] = order_[at - 1];
    order_[at] = place;
  }
  show();
}

inline void MergeCursor::sort_first() {
  const VersionCursor& moved = first();
  if (!moved.valid()) return sort();
  const Place place{.head = moved.head(), .child = order_.front().child};
  const size_t count = order_.size();
  size_t at = 1;
  for (; at < count && !precedes(place, order_[at]); ++at) order_[at - 1] = order_[at];
  order_[at - 1] = place;
  wins_ = at == 1 ? wins_ + 1 : 0;
  show();
}

inline void MergeCursor::show() {
  if (order_.empty() || failed_) {
    valid_ = false;
    return;
  }
  const VersionCursor& shown = first();
  key_ = shown.user_key();
  value_ = shown.value();
  head_ = shown.head();
  timestamp_ = shown.timestamp();
  kind_ = shown.kind();
  valid_ = true;
}

void MergeCursor::seek_to_first() {
  failed_ = false;
  direction_ = Direction::forward;
  for (VersionCursor* child : children_) child->seek_to_first();
  sort();
}

void MergeCursor::seek_to_last() {
  failed_ = false;
  direction_ = Direction::backward;
  for (VersionCursor* child : children_) child->seek_to_last();
  sort();
}

void MergeCursor::seek(const VersionKey& key) {
  failed_ = false;
  direction_ = Direction::forward;
  for (int step = 0; step < kSeekSteps; ++step) {
    for (VersionCursor* child : children_) child->seek_step(step, key);
  }
  sort();
}

void MergeCursor::seek_for_prev(const VersionKey& key) {
  failed_ = false;
  direction_ = Direction::backward;
  for (VersionCursor* child : children_) child->seek_for_prev(key);
  sort();
}

void MergeCursor::turn(Direction direction) {
  // The others stand on their side of the current version: move each to the other side.
  const std::string key(key_);
  const VersionKey here{key, timestamp_};
  for (uint32_t i = 0; i < children_.size(); ++i) {
    if (i == order_.front().child) continue;
    if (direction == Direction::forward) {
      children_[i]->seek(here);
    } else {
      children_[i]->seek_for_prev(here);
    }
  }
  direction_ = direction;
  stale_ = true;
}

void MergeCursor::next() {
  if (direction_ != Direction::forward) turn(Direction::forward);
  first().next();
  if (stale_) {
    sort();
  } else {
    sort_first();
  }
}

// Of keys before that of the next in order no other child has a version.
size_t MergeCursor::plain_ahead(Timestamp snapshot, std::string_view upper) const {
  if (!is_ahead(Direction::forward)) return 0;
  if (order_.size() > 1) {
    const std::string_view next = children_[order_[1].child]->user_key();
    if (upper.empty() || compare_keys(next, upper) < 0) upper = next;
  }
  return first().plain_ahead(snapshot, upper);
}

size_t MergeCursor::plain_behind(Timestamp snapshot, std::string_view lower, bool above) const {
  if (!is_ahead(Direction::backward)) return 0;
  if (order_.size() > 1) {
    const std::string_view next = children_[order_[1].child]->user_key();
    if (compare_keys(next, lower) >= 0) {
      lower = next;
      above = true;
    }
  }
  return first().plain_behind(snapshot, lower, above);
}

inline void MergeCursor::show_plain() {
  const VersionCursor& shown = first();
  if (!shown.valid()) return sort();
  key_ = shown.user_key();
  value_ = shown.value();
  timestamp_ = shown.timestamp();
}

void MergeCursor::next_plain() {
  first().next_plain();
  show_plain();
}

void MergeCursor::prev_plain() {
  first().prev_plain();
  show_plain();
}

void MergeCursor::prev() {
  if (direction_ != Direction::backward) turn(Direction::backward);
  first().prev();
  if (stale_) {
    sort();
  } else {
    sort_first();
  }
}

bool MergeCursor::load_value() {
  failed_ = !first().load_value();
  show();
  return valid_;
}

Status MergeCursor::status() const {
  for (const VersionCursor* child : children_) {
    if (!child->status().ok()) return child->status();
  }
  return Status();
}

}  // namespace varve
