#include "base/manual_executor.h"

#include <algorithm>

namespace varve {

void ManualExecutor::schedule(Task* task, TaskPriority priority, uint64_t delay_nanos) {
  MutexLock lock(mutex_);
  queue_.push_back({task, priority, delay_nanos == 0 ? 0 : round_ + 1});
}

bool ManualExecutor::cancel(Task* task) {
  MutexLock lock(mutex_);
  const auto found = std::find_if(queue_.begin(), queue_.end(),
                                  [task](const Entry& entry) { return entry.task == task; });
  if (found == queue_.end()) return false;
  queue_.erase(found);
  return true;
}

bool ManualExecutor::run_one() { return run_next(UINT64_MAX); }

bool ManualExecutor::run_next(uint64_t round) {
  Task* task = nullptr;
  {
    MutexLock lock(mutex_);
    // The first of equals is the oldest.
    auto most_urgent = queue_.end();
    for (auto entry = queue_.begin(); entry != queue_.end(); ++entry) {
      if (entry->round > round) continue;
      if (most_urgent == queue_.end() || entry->priority < most_urgent->priority) {
        most_urgent = entry;
      }
    }
    if (most_urgent == queue_.end()) return false;
    task = most_urgent->task;
    queue_.erase(most_urgent);
  }
  task->run(task);
  return true;
}

size_t ManualExecutor::run_all(size_t most) {
  uint64_t round;
  {
    MutexLock lock(mutex_);
    round = ++round_;
  }
  size_t count = 0;
  while (count < most && run_next(round)) ++count;
  return count;
}

size_t ManualExecutor::queued() {
  MutexLock lock(mutex_);
  return queue_.size();
}

}  // namespace varve
