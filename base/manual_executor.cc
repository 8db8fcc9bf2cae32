#include "base/manual_executor.h"

#include <algorithm>

namespace varve {

void ManualExecutor::schedule(Task* task, TaskPriority priority, uint64_t /*delay_nanos*/) {
  MutexLock lock(mutex_);
  queue_.push_back({task, priority});
}

bool ManualExecutor::cancel(Task* task) {
  MutexLock lock(mutex_);
  const auto found = std::find_if(queue_.begin(), queue_.end(),
                                  [task](const Entry& entry) { return entry.task == task; });
  if (found == queue_.end()) return false;
  queue_.erase(found);
  return true;
}

bool ManualExecutor::run_one() {
  Task* task = nullptr;
  {
    MutexLock lock(mutex_);
    // The first of equals is the oldest.
    const auto most_urgent =
        std::min_element(queue_.begin(), queue_.end(),
                         [](const Entry& a, const Entry& b) { return a.priority < b.priority; });
    if (most_urgent == queue_.end()) return false;
    task = most_urgent->task;
    queue_.erase(most_urgent);
  }
  task->run(task);
  return true;
}

size_t ManualExecutor::run_all(size_t most) {
  size_t count = 0;
  while (count < most && run_one()) ++count;
  return count;
}

size_t ManualExecutor::queued() {
  MutexLock lock(mutex_);
  return queue_.size();
}

}  // namespace varve
