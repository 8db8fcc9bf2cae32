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
  rows_.resize(children_.size());
  forget_steps();
  valid_ = false;
  failed_ = false;
  direction_ = Direction::forward;
}

inline uint64_t MergeCursor::rank_of_head(uint64_t head) const {
  return direction_ == Direction::forward ? head : ~head;
}

inline uint64_t MergeCursor::rank_of(uint32_t child) const {
  // Plain steps leave the head as it was.
  const Rows& rows = rows_[child];
  return rank_of_head(rows.is_known ? rows.plain.head(rows.plain.row) : children_[child]->head());
}

void MergeCursor::forget_steps() {
  for (Rows& rows : rows_) rows.is_known = false;
  step_ = step_count_ = 0;
  steps_at_once_ = kStepsAtFirst;
  tries_to_skip_ = 0;
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
  step_ = step_count_ = 0;
  // An end must not be mistaken for a failed read: a merge without that child would miss data.
  for (const VersionCursor* child : children_) {
    if (!child->valid() && !child->status().ok()) failed_ = true;
  }
  const auto rank = [this](uint32_t child) {
    return is_there(child) ? rank_of(child) : UINT64_MAX;
  };
  has_ties_ = false;
  for (uint32_t child = 0; child < leaves_; ++child) winners_[leaves_ + child] = child;
  for (size_t match = leaves_ - 1; match != 0; --match) {
    uint32_t winner = winners_[2 * match];
    uint32_t loser = winners_[2 * match + 1];
    const uint64_t ranks[] = {rank(winner), rank(loser)};
    if (ranks[0] == ranks[1]) {
      has_ties_ |= ranks[0] != UINT64_MAX;
      if (!wins_tie(winner, loser)) std::swap(winner, loser);
    } else if (ranks[0] > ranks[1]) {
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

template <bool kByKeys>
[[gnu::always_inline]] inline MergeCursor::Played MergeCursor::play(uint32_t child, uint64_t rank) {
  uint64_t* const ranks = ranks_.data();
  uint32_t* const losers = losers_.data();
  bool was_tied = false;
  for (size_t match = (leaves_ + child) / 2; match != 0; match /= 2) {
    const uint64_t other = ranks[match];
    bool loses = other < rank;
    if constexpr (kByKeys) {
      if (__builtin_expect(other == rank, 0)) {
        loses = wins_tie(losers[match], child);
        was_tied = true;
      }
    } else {
      was_tied |= other == rank;
    }
    const uint64_t swapped = (rank ^ other) & -uint64_t{loses};
    rank ^= swapped;
    ranks[match] = other ^ swapped;
    const uint32_t changed = (child ^ losers[match]) & -uint32_t{loses};
    child ^= changed;
    losers[match] ^= changed;
  }
  return {child, rank, was_tied};
}

inline void MergeCursor::sort_first() {
  if (!first().valid()) return sort();
  const Played played = play</*kByKeys=*/true>(winner_, rank_of_head(first().head()));
  wins_ = played.winner == winner_ ? wins_ + 1 : 0;
  winner_ = played.winner;
  winner_rank_ = played.rank;
  has_ties_ |= played.was_tied;
  show();
}

inline void MergeCursor::show() {
  valid_ = !failed_ && is_there(winner_);
  if (valid_) shown_ = &first().row();
}

inline bool MergeCursor::is_tied(uint32_t winner, uint64_t rank) const {
  bool is_equal = false;
  for (size_t match = (leaves_ + winner) / 2; match != 0; match /= 2) {
    is_equal |= ranks_[match] == rank;
  }
  return is_equal;
}

template <MergeCursor::Direction kDirection>
inline MergeCursor::Rows* MergeCursor::rows_of(uint32_t child, Timestamp snapshot) {
  Rows* const rows = &rows_[child];
  if (__builtin_expect(!rows->is_known, 0)) {
    rows->plain = is_there(child) ? children_[child]->plain_rows(snapshot) : PlainRows();
    rows->is_known = rows->plain.heads != nullptr;
    if (rows->is_known) rows->look_ahead<kDirection>();
  }
  return rows;
}

template <MergeCursor::Direction kDirection>
size_t MergeCursor::play_ahead(Timestamp snapshot, uint64_t rank_limit) {
  if (tries_to_skip_ != 0) {
    --tries_to_skip_;
    return 0;
  }
  step_ = step_count_ = 0;
  Rows* rows = rows_of<kDirection>(winner_, snapshot);
  if (!rows->is_known || winner_rank_ == UINT64_MAX) return 0;
  if (has_ties_ && is_tied(winner_, winner_rank_)) return 0;
  const bool had_ties = has_ties_;
  const uint32_t most = steps_at_once_;
  Played last{winner_, winner_rank_, false};
  uint32_t count = 0;
  uint32_t wins = wins_;
  bool is_plain = true;
  while (count < most && is_plain && !rows->is_last<kDirection>()) {
    const uint64_t rank = rows->next_rank;
    rows->plain.row += kDirection == Direction::forward ? 1 : -1;
    rows->look_ahead<kDirection>();
    const uint32_t moved = last.winner;
    last = play</*kByKeys=*/false>(moved, rank);
    wins = last.winner == moved ? wins + 1 : 0;
    steps_[count++] = last.winner;
    rows = rows_of<kDirection>(last.winner, snapshot);
    is_plain = !last.was_tied && last.rank < rank_limit && rows->is_known &&
               !(had_ties && is_tied(last.winner, last.rank));
  }
  winner_rank_ = last.rank;
  wins_ = wins;
  step_count_ = count;
  last_is_plain_ = is_plain;
  last_is_tied_ = last.was_tied;
  if (last.was_tied && count < kStepsAtFirst / 2) tries_to_skip_ = kTriesToSkip;
  steps_at_once_ = std::min(2 * most, kStepsMax);
  return plain_steps();
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
  forget_steps();
  failed_ = false;
  direction_ = Direction::forward;
  for (VersionCursor* child : children_) child->seek_to_first();
  sort();
}

void MergeCursor::seek_to_last() {
  forget_steps();
  failed_ = false;
  direction_ = Direction::backward;
  for (VersionCursor* child : children_) child->seek_to_last();
  sort();
}

void MergeCursor::seek(const VersionKey& key) {
  forget_steps();
  failed_ = false;
  direction_ = Direction::forward;
  for (int step = 0; step < kSeekSteps; ++step) {
    for (VersionCursor* child : children_) child->seek_step(step, key);
  }
  sort();
}

void MergeCursor::seek_for_prev(const VersionKey& key) {
  forget_steps();
  failed_ = false;
  direction_ = Direction::backward;
  for (VersionCursor* child : children_) child->seek_for_prev(key);
  sort();
}

void MergeCursor::turn(Direction direction) {
  // The others stand on their side of the current version: move each to the other side. Its key
  // stays where it is, since the winner does.
  const VersionKey here = version_key();
  forget_steps();
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
  if (!has_steps()) {
    rows_[winner_].is_known = false;
    return sort_first();
  }
  const bool is_good = first().valid();
  winner_ = steps_[step_++];
  if (is_good && (has_steps() || !last_is_tied_)) return show();
  sort();
}

void MergeCursor::next() {
  step(Direction::forward, [](VersionCursor& child) { child.next(); });
}

void MergeCursor::prev() {
  step(Direction::backward, [](VersionCursor& child) { child.prev(); });
}

// Of keys before that of the next in order no other child has a version.
size_t MergeCursor::plain_ahead(Timestamp snapshot, std::string_view upper) {
  if (direction_ != Direction::forward) return 0;
  if (has_steps()) return plain_steps();
  if (wins_ < kWinsBeforeAsking) {
    return play_ahead<Direction::forward>(snapshot, upper.empty() ? UINT64_MAX : key_head(upper));
  }
  rows_[winner_].is_known = false;
  if (const VersionCursor* const next = second(); next != nullptr) {
    if (upper.empty() || compare_keys(next->user_key(), upper) < 0) upper = next->user_key();
  }
  return first().plain_ahead(snapshot, upper);
}

size_t MergeCursor::plain_behind(Timestamp snapshot, std::string_view lower, bool above) {
  if (direction_ != Direction::backward) return 0;
  if (has_steps()) return plain_steps() + 1;
  if (wins_ < kWinsBeforeAsking) {
    const uint64_t limit = lower.empty() ? UINT64_MAX : ~key_head(lower);
    const size_t steps = play_ahead<Direction::backward>(snapshot, limit);
    return steps == 0 ? 0 : steps + 1;
  }
  rows_[winner_].is_known = false;
  if (const VersionCursor* const next = second(); next != nullptr) {
    if (compare_keys(next->user_key(), lower) >= 0) {
      lower = next->user_key();
      above = true;
    }
  }
  return first().plain_behind(snapshot, lower, above);
}

template <typename Move>
inline void MergeCursor::step_plainly(Move move) {
  VersionCursor& child = first();
  move(child);
  if (has_steps()) {
    winner_ = steps_[step_++];
    shown_ = &first().row();
  }
  if (__builtin_expect(!child.valid(), 0)) sort();
}

void MergeCursor::next_plain() {
  step_plainly([](VersionCursor& child) { child.next_plain(); });
}

void MergeCursor::prev_plain() {
  step_plainly([](VersionCursor& child) { child.prev_plain(); });
}

// Whoever has another version of the key has lost to the winner alone.
bool MergeCursor::is_alone(Timestamp snapshot) const {
  if (has_steps()) return true;
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
