#include "lsm/merge_cursor.h"

#include <string>

namespace varve {

void MergeCursor::reset(std::span<VersionCursor* const> children) {
  children_.assign(children.begin(), children.end());
  winner_ = runner_up_ = kNone;
  valid_ = false;
  failed_ = false;
  direction_ = Direction::forward;
}

inline bool MergeCursor::precedes(const VersionCursor& a, const VersionCursor& b) const {
  const bool forward = direction_ == Direction::forward;
  if (a.head() != b.head()) return (a.head() < b.head()) == forward;
  const std::strong_ordering order = compare_versions(a.version_key(), b.version_key());
  return forward ? order < 0 : order > 0;
}

void MergeCursor::compete() {
  winner_ = runner_up_ = kNone;
  wins_ = 0;
  stale_ = false;
  for (size_t i = 0; i < children_.size(); ++i) {
    const VersionCursor& child = *children_[i];
    if (!child.valid()) {
      // An end must not be mistaken for a failed read: a merge without that child would miss data.
      if (!child.status().ok()) failed_ = true;
      continue;
    }
    if (winner_ == kNone || precedes(child, *children_[winner_])) {
      runner_up_ = winner_;
      winner_ = i;
    } else if (runner_up_ == kNone || precedes(child, *children_[runner_up_])) {
      runner_up_ = i;
    }
  }
  show();
}

inline void MergeCursor::show() {
  if (winner_ == kNone || failed_) {
    valid_ = false;
    return;
  }
  const VersionCursor& winner = *children_[winner_];
  key_ = winner.user_key();
  value_ = winner.value();
  head_ = winner.head();
  timestamp_ = winner.timestamp();
  kind_ = winner.kind();
  valid_ = true;
}

void MergeCursor::seek_to_first() {
  failed_ = false;
  direction_ = Direction::forward;
  for (VersionCursor* child : children_) child->seek_to_first();
  compete();
}

void MergeCursor::seek_to_last() {
  failed_ = false;
  direction_ = Direction::backward;
  for (VersionCursor* child : children_) child->seek_to_last();
  compete();
}

void MergeCursor::seek(const VersionKey& key) {
  failed_ = false;
  direction_ = Direction::forward;
  for (VersionCursor* child : children_) child->seek(key);
  compete();
}

void MergeCursor::seek_for_prev(const VersionKey& key) {
  failed_ = false;
  direction_ = Direction::backward;
  for (VersionCursor* child : children_) child->seek_for_prev(key);
  compete();
}

void MergeCursor::turn(Direction direction) {
  // The others stand on their side of the current version: move each to the other side.
  const std::string key(key_);
  const VersionKey here{key, timestamp_};
  for (size_t i = 0; i < children_.size(); ++i) {
    if (i == winner_) continue;
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
  VersionCursor& winner = *children_[winner_];
  winner.next();
  if (!stale_ && winner.valid() &&
      (runner_up_ == kNone || precedes(winner, *children_[runner_up_]))) {
    ++wins_;
    show();
  } else {
    compete();
  }
}

// Of keys before the runner-up's no other child has a version.
size_t MergeCursor::plain_ahead(Timestamp snapshot, std::string_view upper) const {
  if (wins_ < kWinsBeforeAsking || stale_ || direction_ != Direction::forward) return 0;
  if (runner_up_ != kNone) {
    const std::string_view next = children_[runner_up_]->user_key();
    if (upper.empty() || compare_keys(next, upper) < 0) upper = next;
  }
  return children_[winner_]->plain_ahead(snapshot, upper);
}

void MergeCursor::next_plain() {
  VersionCursor& winner = *children_[winner_];
  winner.next_plain();
  if (!winner.valid()) return compete();
  key_ = winner.user_key();
  value_ = winner.value();
  timestamp_ = winner.timestamp();
}

void MergeCursor::prev() {
  if (direction_ != Direction::backward) turn(Direction::backward);
  VersionCursor& winner = *children_[winner_];
  winner.prev();
  if (!stale_ && winner.valid() &&
      (runner_up_ == kNone || precedes(winner, *children_[runner_up_]))) {
    show();
  } else {
    compete();
  }
}

bool MergeCursor::load_value() {
  failed_ = !children_[winner_]->load_value();
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
