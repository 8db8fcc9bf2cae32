// Pools of one part of the engine, told of and trimmed together; and a list of such parts, for the
// layer below, which does not know them.
//
// Thread rule: all functions from any thread. Ownership: a group is in the list from add() to
// remove(), and outlives that.
// Locks: the list's, before those of the pools. Nothing of the budget is allocated under it.

#pragma once

#include <utility>
#include <vector>

#include "base/mutex.h"
#include "varve/statistics.h"

namespace varve {

class PoolGroup {
 public:
  virtual void append_statistics(std::vector<PoolStatistics>* pools) = 0;
  // Gives back what waits for reuse.
  virtual void trim() = 0;

 protected:
  ~PoolGroup() = default;

 private:
  friend class PoolGroups;
  PoolGroup* next_ = nullptr;
};

class PoolGroups {
 public:
  void add(PoolGroup* group) {
    MutexLock lock(mutex_);
    PoolGroup** end = &first_;
    while (*end != nullptr) end = &(*end)->next_;
    *end = group;
  }
  void remove(PoolGroup* group) {
    MutexLock lock(mutex_);
    PoolGroup** link = &first_;
    while (*link != group) link = &(*link)->next_;
    *link = std::exchange(group->next_, nullptr);
  }
  void append_statistics(std::vector<PoolStatistics>* pools) {
    MutexLock lock(mutex_);
    for (PoolGroup* group = first_; group != nullptr; group = group->next_) {
      group->append_statistics(pools);
    }
  }
  void trim() {
    MutexLock lock(mutex_);
    for (PoolGroup* group = first_; group != nullptr; group = group->next_) group->trim();
  }

 private:
  Mutex mutex_;
  PoolGroup* first_ VARVE_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace varve
