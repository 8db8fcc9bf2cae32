// Merges version cursors into one, both ways. Children are given from newest to oldest source.
//
// A tree of losers (D. Knuth, The Art of Computer Programming 3, 5.4.1): children play matches, the
// one whose version comes first wins, and each match keeps its loser; a step plays again the
// matches on the way of the child that moved. They are played by numbers, the heads of keys,
// without a branch: who wins is not to be guessed.
//
// Where children stand in blocks of plain rows, matches are played ahead of them, by the heads that
// the blocks have: so many steps then only move a child and show another one.
//
//   played ahead:   who is shown after each step      c b c | a     the last one may not be plain
//   children:       a b c, each at the row that it shows next
//
// Thread rule: one thread. Ownership: children are the caller's and outlive the cursor; none is a
// merge, whose plain steps hold for the bounds of who asked first.

#pragma once

#include <array>
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
  size_t plain_ahead(Timestamp snapshot, std::string_view upper) override;
  void next_plain() override;
  size_t plain_behind(Timestamp snapshot, std::string_view lower, bool above) override;
  void prev_plain() override;
  bool is_alone(Timestamp snapshot) const override;

  // Which child yields the current version; one that there is not where there is none.
  size_t source() const { return valid_ ? winner_ : children_.size(); }

 private:
  // A child that was the first so often in a row is asked how long it will be.
  static constexpr uint32_t kWinsBeforeAsking = 8;
  // So many steps are played ahead, after a seek; later twice as many each time.
  static constexpr uint32_t kStepsAtFirst = 8;
  static constexpr uint32_t kStepsMax = 64;
  // Where keys are the same in several children, it is not tried so many times.
  static constexpr uint32_t kTriesToSkip = 16;
  static constexpr ptrdiff_t kHeadsAhead = 16;  // are loaded
  enum class Direction : uint8_t { forward, backward };
  // Of a child, as far as matches were played: while steps are to be taken, ahead of it.
  struct Rows {
    PlainRows plain;
    uint64_t next_rank = 0;  // behind the current row, if that is not the last one: it is at hand
    bool is_known = false;   // else the child is to be asked, and its head is good

    template <Direction kDirection>
    bool is_last() const {
      return plain.row == (kDirection == Direction::forward ? plain.count - 1 : 0);
    }
    template <Direction kDirection>
    void look_ahead() {
      constexpr bool kForward = kDirection == Direction::forward;
      const uint32_t next = plain.row + (is_last<kDirection>() ? 0 : kForward ? 1 : -1);
      next_rank = kForward ? plain.head(next) : ~plain.head(next);
      __builtin_prefetch(plain.heads + next + (kForward ? kHeadsAhead : -kHeadsAhead));
    }
  };

  VersionCursor& first() const { return *children_[winner_]; }
  // Who comes next, of those that stand on a version; null: there is no other.
  const VersionCursor* second() const;
  // Plays all matches, and shows the winner's version.
  void sort();
  // The same where only the winner has moved.
  void sort_first();
  struct Played {
    uint32_t winner;
    uint64_t rank;
    bool was_tied;  // there were equal ranks
  };
  // Plays the matches on the way of the winner, which has moved to `rank`: those of equal ranks by
  // keys, or in any way, and then sort() has to follow.
  template <bool kByKeys>
  Played play(uint32_t child, uint64_t rank);
  void show();
  // Children are moved in another way.
  void forget_steps();
  bool has_steps() const { return step_ != step_count_; }
  size_t plain_steps() const { return step_count_ - step_ - (last_is_plain_ ? 0 : 1); }
  // Plays steps, while ranks are below the limit. How many of them are plain.
  template <Direction kDirection>
  size_t play_ahead(Timestamp snapshot, uint64_t rank_limit);
  template <Direction kDirection>
  Rows* rows_of(uint32_t child, Timestamp snapshot);
  // Whether another child has the winner's rank. That one has lost to the winner alone.
  bool is_tied(uint32_t winner, uint64_t rank) const;
  // Of what a child stands on, for matches: who has less wins. Equal ranks say nothing.
  uint64_t rank_of(uint32_t child) const;
  uint64_t rank_of_head(uint64_t head) const;
  // Of children with equal ranks, whether the first one wins.
  bool wins_tie(uint32_t child, uint32_t other) const;
  bool is_there(uint32_t child) const {
    return child < children_.size() && children_[child]->valid();
  }
  void turn(Direction direction);
  template <typename Move>
  void step(Direction direction, Move move);
  template <typename Move>
  void step_plainly(Move move);

  std::vector<VersionCursor*> children_;
  // A heap-ordered tree of matches, from 1; below them the children, from leaves_ (a power of two).
  // By match: the loser's rank, and who that is.
  size_t leaves_ = 1;
  std::vector<uint64_t> ranks_;
  std::vector<uint32_t> losers_;
  std::vector<uint32_t> winners_;  // of sort()
  uint32_t winner_ = 0;
  uint64_t winner_rank_ = 0;  // after plain steps: not the winner's
  Direction direction_ = Direction::forward;
  uint32_t wins_ = 0;      // of the winner, in a row
  bool has_ties_ = false;  // there were equal ranks since the last sort()
  bool failed_ = false;    // a child ended with an error: the walk ends too
  // Steps that were played ahead: who comes to be the winner. Ranks and losers are as they are
  // after the last of them.
  std::vector<Rows> rows_;  // by child
  std::array<uint32_t, kStepsMax> steps_;
  uint32_t step_ = 0;  // the next one to be taken
  uint32_t step_count_ = 0;
  bool last_is_plain_ = true;
  bool last_is_tied_ = false;  // whoever comes first then is still to be found
  uint32_t steps_at_once_ = kStepsAtFirst;
  uint32_t tries_to_skip_ = 0;
};

}  // namespace varve
