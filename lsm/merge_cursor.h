// Merges version cursors into one, both ways. Children are given from newest to oldest source.
//
// The child whose turn it is (the winner) and the runner-up are remembered: as long as the winner
// stays before the runner-up, a step costs one comparison. Otherwise the children are compared anew
// by their key heads: with at most a dozen sources that is cheaper than a tournament tree, whose
// branches are mispredicted.
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
  const Sstable* pointer_source() const override { return children_[winner_]->pointer_source(); }
  size_t plain_ahead(Timestamp snapshot, std::string_view upper) const override;
  void next_plain() override;

  // Which child yields the current version.
  size_t source() const { return winner_; }

 private:
  static constexpr size_t kNone = SIZE_MAX;
  // A child that won so often in a row is asked how long it will.
  static constexpr uint32_t kWinsBeforeAsking = 8;
  enum class Direction : uint8_t { forward, backward };

  // Finds winner and runner-up among all children, and shows the winner's version.
  void compete();
  void show();
  // Whether child a comes before child b in the direction of the walk.
  bool precedes(const VersionCursor& a, const VersionCursor& b) const;
  void turn(Direction direction);

  std::vector<VersionCursor*> children_;
  size_t winner_ = kNone;
  size_t runner_up_ = kNone;
  Direction direction_ = Direction::forward;
  uint32_t wins_ = 0;    // the winner's, in a row
  bool stale_ = false;   // the runner-up is: the walk turned round
  bool failed_ = false;  // a child ended with an error: the walk ends too
};

}  // namespace varve
