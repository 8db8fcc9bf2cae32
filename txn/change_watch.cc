#include "txn/change_watch.h"

#include <algorithm>
#include <functional>

#include "base/assert.h"
#include "base/hash.h"
#include "lsm/batch_format.h"

namespace varve {

bool WatchedRange::begins_behind(Keyspace keyspace, std::string_view key) const {
  return keyspace_ != keyspace ? keyspace_ > keyspace : lower_ > key;
}

bool WatchedRange::ends_behind(Keyspace keyspace, std::string_view key) const {
  return keyspace_ != keyspace ? keyspace_ > keyspace : upper_.empty() || upper_ > key;
}

ChangeWatch::~ChangeWatch() { VARVE_ASSERT(count_.load() == 0); }

// -- ranges --

bool ChangeWatch::add(WatchedRange* range, const Bounds& bounds) {
  MutexLock lock(mutex_);
  const size_t count = count_.load();
  if (count == kRangesMax) return false;
  range->keyspace_ = bounds.keyspace;
  range->lower_ = bounds.lower;
  range->upper_ = bounds.upper;
  range->priority_ = mix64(++added_);
  range->left_ = range->right_ = nullptr;
  range->furthest_ = range;
  WatchedRange* before;
  WatchedRange* after;
  split(root_, *range, &before, &after);
  root_ = join(join(before, range), after);
  count_.store(count + 1);
  // Behind the store: rule 1. A leader that finds the range waits for the lock, and raises it then.
  range->steady_from_.store(oracle_->last_allocated().nanos);
  return true;
}

void ChangeWatch::remove(WatchedRange* range) {
  MutexLock lock(mutex_);
  root_ = without(root_, *range);
  count_.store(count_.load() - 1);
}

// -- marks --

void ChangeWatch::mark(std::string_view batch, Timestamp timestamp) {
  MutexLock lock(mutex_);
  BatchReader reader(batch);
  BatchEntry entry;
  while (reader.next(&entry)) mark_holders(root_, entry.keyspace, entry.key, timestamp);
}

void ChangeWatch::mark_all(Keyspace keyspace, Timestamp timestamp) {
  if (!watches_any()) return;
  MutexLock lock(mutex_);
  mark_keyspace(root_, keyspace, timestamp);
}

void ChangeWatch::mark_range(WatchedRange* range, Timestamp timestamp) {
  if (range->steady_from_.load() < timestamp.nanos) range->steady_from_.store(timestamp.nanos);
}

void ChangeWatch::mark_holders(WatchedRange* tree, Keyspace keyspace, std::string_view key,
                               Timestamp timestamp) {
  if (tree == nullptr || !tree->furthest_->ends_behind(keyspace, key)) return;
  mark_holders(tree->left_, keyspace, key, timestamp);
  if (tree->begins_behind(keyspace, key)) return;
  if (tree->keyspace_ == keyspace && tree->ends_behind(keyspace, key)) mark_range(tree, timestamp);
  mark_holders(tree->right_, keyspace, key, timestamp);
}

void ChangeWatch::mark_keyspace(WatchedRange* tree, Keyspace keyspace, Timestamp timestamp) {
  if (tree == nullptr) return;
  if (tree->keyspace_ >= keyspace) mark_keyspace(tree->left_, keyspace, timestamp);
  if (tree->keyspace_ == keyspace) mark_range(tree, timestamp);
  if (tree->keyspace_ <= keyspace) mark_keyspace(tree->right_, keyspace, timestamp);
}

// -- the tree --

bool ChangeWatch::precedes(const WatchedRange& a, const WatchedRange& b) {
  if (a.keyspace_ != b.keyspace_) return a.keyspace_ < b.keyspace_;
  const int order = a.lower_.compare(b.lower_);
  return order != 0 ? order < 0 : std::less<>()(&a, &b);
}

bool ChangeWatch::ends_before(const WatchedRange& a, const WatchedRange& b) {
  if (a.keyspace_ != b.keyspace_) return a.keyspace_ < b.keyspace_;
  if (a.upper_.empty()) return false;
  return b.upper_.empty() || a.upper_ < b.upper_;
}

void ChangeWatch::find_furthest(WatchedRange* range) {
  range->furthest_ = range;
  for (const WatchedRange* below : {range->left_, range->right_}) {
    if (below != nullptr && ends_before(*range->furthest_, *below->furthest_)) {
      range->furthest_ = below->furthest_;
    }
  }
}

void ChangeWatch::split(WatchedRange* tree, const WatchedRange& at, WatchedRange** before,
                        WatchedRange** after) {
  if (tree == nullptr) {
    *before = *after = nullptr;
    return;
  }
  if (precedes(*tree, at)) {
    split(tree->right_, at, &tree->right_, after);
    *before = tree;
  } else {
    split(tree->left_, at, before, &tree->left_);
    *after = tree;
  }
  find_furthest(tree);
}

WatchedRange* ChangeWatch::join(WatchedRange* before, WatchedRange* after) {
  if (before == nullptr) return after;
  if (after == nullptr) return before;
  const bool before_is_root = before->priority_ > after->priority_;
  WatchedRange* const root = before_is_root ? before : after;
  if (before_is_root) {
    root->right_ = join(root->right_, after);
  } else {
    root->left_ = join(before, root->left_);
  }
  find_furthest(root);
  return root;
}

WatchedRange* ChangeWatch::without(WatchedRange* tree, const WatchedRange& range) {
  VARVE_ASSERT(tree != nullptr);  // it was added
  if (tree == &range) return join(tree->left_, tree->right_);
  WatchedRange** const side = precedes(range, *tree) ? &tree->left_ : &tree->right_;
  *side = without(*side, range);
  find_furthest(tree);
  return tree;
}

}  // namespace varve
