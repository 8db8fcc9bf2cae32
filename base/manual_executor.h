// An executor without threads: a test decides when a step runs, and on which thread.

#pragma once

#include <cstddef>
#include <vector>

#include "base/mutex.h"
#include "varve/executor.h"

namespace varve {

class ManualExecutor final : public Executor {
 public:
  void schedule(Task* task, TaskPriority priority, uint64_t delay_nanos) override;
  bool cancel(Task* task) override;
  // Runs the most urgent, oldest step, delays ignored; false if none is queued.
  bool run_one();
  // Runs steps, new ones included, until none is queued or `most` were run; returns how many. What
  // is queued meanwhile with a delay waits for the next call: a step that is tried again later, for
  // ever, is tried once.
  size_t run_all(size_t most = SIZE_MAX);
  size_t queued();

 private:
  struct Entry {
    Task* task;
    TaskPriority priority;
    uint64_t round;  // from which on run_all() runs it
  };
  bool run_next(uint64_t round);
  Mutex mutex_;
  std::vector<Entry> queue_ VARVE_GUARDED_BY(mutex_);
  uint64_t round_ VARVE_GUARDED_BY(mutex_) = 0;  // of run_all()
};

}  // namespace varve
