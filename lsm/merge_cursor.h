// Merges version cursors into one, both ways. Children are given from newest to oldest source.
//
// A tree of losers (D. Knuth, The Art of Computer Programming 3, 5.4.1): children play matches, the
// one whose version comes first wins, and each match keeps its loser; a step plays again the
// matches on the way of the child that moved. They are played by numbers, the heads of keys,
// without a branch: who wins is not to be guessed.
//
// Thread rule: one thread. Ownership: children are the caller's and outlive the cursor.

#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "lsm/version_cursor.h"

namespace varve {

class MergeCursor final : public VersionCursor {
 public:
  // Unpositioned. Keeps its memory.
  void reset(std::span<VersionCursor* const> children);

  void seek_to_first() override;
  void seek_to_last() override;
  void seek(const VersionKey& key) override;
  void seek_for_prev(const VersionKey& key) override;
  void next() override;
  void prev() override;
  Status status() const override;
  bool load_value() override;
  const Sstable* pointer_source() const override { return first().pointer_source(); }
  size_t plain_ahead(Timestamp snapshot, std::string_view upper) const override;
  void next_plain() override;
  size_t plain_behind(Timestamp snapshot, std::string_view lower, bool above) const override;
  void prev_plain() override;
  bool is_alone(Timestamp snapshot) const override;

  // Which child yields the current version; one that there is not where there is none.
  size_t source() const { return valid_ ? winner_ : children_.size(); }

 private:
  // A child that was the first so often in a row is asked how long it will be.
  static constexpr uint32_t kWinsBeforeAsking = 8;
  enum class Direction : uint8_t { forward, backward };

  VersionCursor& first() const { return *children_[winner_]; }
  // Who comes next, of those that stand on a version; null: there is no other.
  const VersionCursor* second() const;
  // Plays all matches, and shows the winner's version.
  void sort();
  // The same where only the winner has moved.
  void sort_first();
  void show();
  // Of what a child stands on, for matches: who has less wins. Equal ranks say nothing.
  uint64_t rank_of(uint32_t child) const;
  // Of children with equal ranks, whether the first one wins.
  bool wins_tie(uint32_t child, uint32_t other) const;
  bool is_there(uint32_t child) const {
    return child < children_.size() && children_[child]->valid();
  }
  void turn(Direction direction);
  template <typename Move>
  void step(Direction direction, Move move);
  // Whether the winner has been it for long, in this direction.
  bool is_ahead(Direction direction) const {
    return wins_ >= kWinsBeforeAsking && direction_ == direction;
  }

  std::vector<VersionCursor*> children_;
  // A heap-ordered tree of matches, from 1; below them the children, from leaves_ (a power of two).
  // By match: the loser's rank, and who that is.
  size_t leaves_ = 1;
  std::vector<uint64_t> ranks_;
  std::vector<uint32_t> losers_;
  std::vector<uint32_t> winners_;  // of sort()
  uint32_t winner_ = 0;
  uint64_t winner_rank_ = 0;  // not after plain steps
  Direction direction_ = Direction::forward;
  uint32_t wins_ = 0;    // of the winner, in a row
  bool failed_ = false;  // a child ended with an error: the walk ends too
};

}  // namespace varve
