// Merges version cursors into one, both ways. Children are given from newest to oldest source.
//
// Children are kept in the order of the versions that they stand on, beside the heads of these: a
// step moves the first one, and then passes those by that stand before it now. Where keys of few
// large and some small sources lie mixed that is one or two comparisons of numbers; a tournament
// tree would take as many as it has levels, each a branch that is mispredicted.
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

  // Which child yields the current version; one that there is not where there is none.
  size_t source() const { return order_.empty() ? children_.size() : order_.front().child; }

 private:
  // A child that was the first so often in a row is asked how long it will be.
  static constexpr uint32_t kWinsBeforeAsking = 8;
  enum class Direction : uint8_t { forward, backward };
  struct Place {
    uint64_t head;
    uint32_t child;
  };

  VersionCursor& first() const { return *children_[order_.front().child]; }
  // Orders all children, and shows the first one's version.
  void sort();
  // The same where only the first one has moved.
  void sort_first();
  void show();
  // Whether the version at a comes before that at b in the direction of the walk.
  bool precedes(const Place& a, const Place& b) const;
  void turn(Direction direction);
  // Whether the first one has been it for long, in this direction.
  bool is_ahead(Direction direction) const {
    return wins_ >= kWinsBeforeAsking && !stale_ && direction_ == direction;
  }
  void show_plain();

  std::vector<VersionCursor*> children_;
  std::vector<Place> order_;  // of those that stand on a version
  Direction direction_ = Direction::forward;
  uint32_t wins_ = 0;    // of the first one, in a row
  bool stale_ = false;   // the order is: the walk turned round
  bool failed_ = false;  // a child ended with an error: the walk ends too
};

}  // namespace varve
