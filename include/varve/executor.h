// Who runs background work (flushes, compactions, renewals). The engine queues steps; an executor
// runs them on its threads, or when a test says so. One executor may serve several databases.

#pragma once

#include <cstdint>
#include <memory>

namespace varve {

// Smaller is more urgent: a queued flush runs before a queued compaction.
enum class TaskPriority : uint8_t { flush = 0, upkeep = 1, compaction = 2 };

// One queued step; intrusive, so that queueing allocates nothing. The owner keeps it alive, and
// must not queue it again, until `run` was called.
struct Task {
  void (*run)(Task* self) = nullptr;  // may delete or requeue `self`
  Task* next = nullptr;               // the executor's
  uint64_t due_nanos = 0;             // the executor's: monotonic time before which it waits
};

// Thread rule: schedule() and cancel() from any thread.
class Executor {
 public:
  virtual ~Executor() = default;
  // Queues `task`; it runs once, on any thread, `delay_nanos` from now or later.
  virtual void schedule(Task* task, TaskPriority priority, uint64_t delay_nanos = 0) = 0;
  // True if `task` was queued and now will not run; false if it was not queued (running or done).
  virtual bool cancel(Task* task) = 0;

  // `threads` background threads (named and niced); when there are two or more, one of them never
  // runs a compaction, so that flushes and upkeep do not wait for one. Destruction waits for
  // running steps and drops queued ones.
  static std::unique_ptr<Executor> create_threads(int threads);
};

}  // namespace varve
