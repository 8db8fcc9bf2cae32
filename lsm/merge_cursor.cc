#include "lsm/merge_cursor.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace varve {

void MergeCursor::reset(std::span<VersionCursor* const> children) {
  children_.assign(children.begin(), children.end());
  leaves_ = std::bit_ceil(std::max<size_t>(children_.size(), 1));
  ranks_.resize(leaves_);
  losers_.resize(leaves_);
  winners_.resize(2 * leaves_);
  valid_ = false;
  failed_ = false;
  direction_ = Direction::forward;
}

inline uint64_t MergeCursor::rank_of(uint32_t child) const {
  const uint64_t head = children_[child]->head();
  return direction_ == Direction::forward ? head : ~head;
}

bool MergeCursor::wins_tie(uint32_t child, uint32_t other) const {
  if (!is_there(other)) return true;
  if (!is_there(child)) return false;
  const std::strong_ordering order =
      compare_versions(children_[child]->version_key(), children_[other]->version_key());
  if (order == 0) return child < other;
  return direction_ == Direction::forward ? order < 0 : order > 0;
}

void MergeCursor::sort() {
  wins_ = 0;
  // An end must not be mistaken for a failed read: a merge without that child would miss data.
  for (const VersionCursor* child : children_) {
    if (!child->valid() && !child->status().ok()) failed_ = true;
  }
  const auto rank = [this](uint32_t child) {
    return is_there(child) ? rank_of(child) : UINT64_MAX;
  };
  for (uint32_t child = 0; child < leaves_; ++child) winners_[leaves_ + child] = child;
  for (size_t match = leaves_ - 1; match != 0; --match) {
    uint32_t winner = winners_[2 * match];
    uint32_t loser = winners_[2 * match + 1];
    const uint64_t ranks[] = {rank(winner), rank(loser)};
    if (ranks[0] == ranks[1] ? !wins_tie(winner, loser) : ranks[0] > ranks[1]) {
      std::swap(winner, loser);
    }
    winners_[match] = winner;
    losers_[match] = loser;
    ranks_[match] = rank(loser);
  }
  winner_ = winners_[1];
  winner_rank_ = rank(winner_);
  show();
}

inline void MergeCursor::sort_first() {
  uint32_t child = winner_;
  if (!children_[child]->valid()) return sort();
  uint64_t rank = rank_of(child);
  uint64_t* const ranks = ranks_.data();
  uint32_t* const losers = losers_.data();
  for (size_t match = (leaves_ + child) / 2; match != 0; match /= 2) {
    const uint64_t other = ranks[match];
    bool loses = other < rank;
    if (__builtin_expect(other == rank, 0)) loses = wins_tie(losers[match], child);
    const uint64_t swapped = (rank ^ other) & -uint64_t{loses};
    rank ^= swapped;
    ranks[match] = other ^ swapped;
    const uint32_t changed = (child ^ losers[match]) & -uint32_t{loses};
    child ^= changed;
    losers[match] ^= changed;
  }
  wins_ = child == winner_ ? wins_ + 1 : 0;
  winner_ = child;
  winner_rank_ = rank;
  show();
}

inline void MergeCursor::show() {
  valid_ = !failed_ && is_there(winner_);
  if (valid_) shown_ = &first().row();
}

// It has lost to the winner alone.
const VersionCursor* MergeCursor::second() const {
  uint32_t best = static_cast<uint32_t>(leaves_);
  uint64_t rank = UINT64_MAX;
  for (size_t match = (leaves_ + winner_) / 2; match != 0; match /= 2) {
    const bool is_better =
        ranks_[match] == rank ? wins_tie(losers_[match], best) : ranks_[match] < rank;
    if (!is_better) continue;
    best = losers_[match];
    rank = ranks_[match];
  }
  return is_there(best) ? children_[best] : nullptr;
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
  // The others stand on their side of the current version: move each to the other side. Its key
  // stays where it is, since the winner does.
  const VersionKey here = version_key();
  for (uint32_t i = 0; i < children_.size(); ++i) {
    if (i == winner_) continue;
    if (direction == Direction::forward) {
      children_[i]->seek(here);
    } else {
      children_[i]->seek_for_prev(here);
    }
  }
  direction_ = direction;
}

template <typename Move>
inline void MergeCursor::step(Direction direction, Move move) {
  if (__builtin_expect(direction_ != direction, 0)) {
    turn(direction);
    move(first());
    return sort();
  }
  move(first());
  sort_first();
}

void MergeCursor::next() {
  step(Direction::forward, [](VersionCursor& child) { child.next(); });
}

void MergeCursor::prev() {
  step(Direction::backward, [](VersionCursor& child) { child.prev(); });
}

// Of keys before that of the next in order no other child has a version.
size_t MergeCursor::plain_ahead(Timestamp snapshot, std::string_view upper) const {
  if (!is_ahead(Direction::forward)) return 0;
  if (const VersionCursor* const next = second(); next != nullptr) {
    if (upper.empty() || compare_keys(next->user_key(), upper) < 0) upper = next->user_key();
  }
  return first().plain_ahead(snapshot, upper);
}

size_t MergeCursor::plain_behind(Timestamp snapshot, std::string_view lower, bool above) const {
  if (!is_ahead(Direction::backward)) return 0;
  if (const VersionCursor* const next = second(); next != nullptr) {
    if (compare_keys(next->user_key(), lower) >= 0) {
      lower = next->user_key();
      above = true;
    }
  }
  return first().plain_behind(snapshot, lower, above);
}

void MergeCursor::next_plain() {
  VersionCursor& child = first();
  child.next_plain();
  if (!child.valid()) sort();
}

void MergeCursor::prev_plain() {
  VersionCursor& child = first();
  child.prev_plain();
  if (!child.valid()) sort();
}

// Whoever has another version of the key has lost to the winner alone.
bool MergeCursor::is_alone(Timestamp snapshot) const {
  for (size_t match = (leaves_ + winner_) / 2; match != 0; match /= 2) {
    if (__builtin_expect(ranks_[match] != winner_rank_, 1)) continue;
    const uint32_t loser = losers_[match];
    if (is_there(loser) && children_[loser]->user_key() == user_key()) return false;
  }
  return first().is_alone(snapshot);
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
