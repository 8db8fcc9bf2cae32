// The executor on threads: for each priority a list of steps that are due, in order of arrival, and
// one of steps that wait, by due time. Lists are threaded through the tasks: nothing is allocated.
//
// With two threads or more, the first one ("varve-flush") never runs a compaction, so that flushes
// and upkeep (log syncs, leases) do not wait behind a long merge. The others ("varve-work") run
// everything, most urgent first, and are niced.

#include "varve/executor.h"

#include <vector>

#include "base/assert.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "varve/clock.h"

namespace varve {
namespace {

constexpr int kPriorityCount = 3;
constexpr int kWorkNice = 5;  // compactions yield to the application's own threads

// Steps of one priority. Not thread-safe.
class TaskQueue {
 public:
  void push_due(Task* task) {
    task->next = nullptr;
    *due_end_ = task;
    due_end_ = &task->next;
  }

  // Behind those with the same due time.
  void push_waiting(Task* task) {
    Task** place = &waiting_;
    while (*place != nullptr && (*place)->due_nanos <= task->due_nanos) place = &(*place)->next;
    task->next = *place;
    *place = task;
  }

  void move_due(uint64_t now) {
    while (waiting_ != nullptr && waiting_->due_nanos <= now) {
      Task* task = waiting_;
      waiting_ = task->next;
      push_due(task);
    }
  }

  Task* pop_due() {
    Task* task = due_;
    if (task != nullptr) unlink_due(&due_);
    return task;
  }

  // Null if none waits.
  const Task* first_waiting() const { return waiting_; }

  bool remove(Task* task) {
    for (Task** place = &due_; *place != nullptr; place = &(*place)->next) {
      if (*place != task) continue;
      unlink_due(place);
      return true;
    }
    for (Task** place = &waiting_; *place != nullptr; place = &(*place)->next) {
      if (*place != task) continue;
      *place = task->next;
      return true;
    }
    return false;
  }

 private:
  void unlink_due(Task** place) {
    Task* task = *place;
    *place = task->next;
    if (due_end_ == &task->next) due_end_ = place;
  }

  Task* due_ = nullptr;
  Task** due_end_ = &due_;
  Task* waiting_ = nullptr;
};

class ThreadExecutor final : public Executor {
 public:
  explicit ThreadExecutor(int threads) {
    VARVE_ASSERT(threads > 0);
    threads_.reserve(static_cast<size_t>(threads));
    const int compaction = static_cast<int>(TaskPriority::compaction);
    if (threads >= 2) {
      threads_.emplace_back("varve-flush", 0, [this] { run(compaction - 1); });
    }
    const int nice = threads >= 2 ? kWorkNice : 0;  // a single thread flushes too
    while (threads_.size() < static_cast<size_t>(threads)) {
      threads_.emplace_back("varve-work", nice, [this] { run(compaction); });
    }
  }

  ~ThreadExecutor() override {
    {
      MutexLock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    threads_.clear();  // joins
  }

  void schedule(Task* task, TaskPriority priority, uint64_t delay_nanos) override {
    const uint64_t now = delay_nanos == 0 ? 0 : Clock::system()->monotonic_nanos();
    {
      MutexLock lock(mutex_);
      TaskQueue& queue = queues_[static_cast<int>(priority)];
      if (__builtin_add_overflow(now, delay_nanos, &task->due_nanos)) task->due_nanos = UINT64_MAX;
      if (delay_nanos == 0) {
        queue.push_due(task);
      } else {
        queue.push_waiting(task);
      }
    }
    // All: which thread may run it depends on its priority; there are few.
    wake_.notify_all();
  }

  bool cancel(Task* task) override {
    MutexLock lock(mutex_);
    for (TaskQueue& queue : queues_) {
      if (queue.remove(task)) return true;
    }
    return false;
  }

 private:
  // Body of a thread that runs steps of priorities 0 to `least_urgent`.
  void run(int least_urgent) {
    for (;;) {
      Task* task = wait_for_task(least_urgent);
      if (task == nullptr) return;
      task->run(task);
    }
  }

  // Null when stopping.
  Task* wait_for_task(int least_urgent) {
    MutexLock lock(mutex_);
    for (;;) {
      if (stopping_) return nullptr;
      uint64_t nanos_to_next = UINT64_MAX;
      Task* task = next_task(least_urgent, &nanos_to_next);
      if (task != nullptr) return task;
      if (nanos_to_next == UINT64_MAX) {
        wake_.wait(mutex_);
      } else {
        wake_.wait_for(mutex_, nanos_to_next);
      }
    }
  }

  // The most urgent step that is due; or null, and the time until one may be (UINT64_MAX: none).
  Task* next_task(int least_urgent, uint64_t* nanos_to_next) VARVE_REQUIRES(mutex_) {
    // A bound, so that no sum with the present time overflows on the way into the kernel.
    constexpr uint64_t kWaitMax = 3600ull * 1'000'000'000;
    uint64_t now = 0;
    for (int priority = 0; priority <= least_urgent; ++priority) {
      TaskQueue& queue = queues_[priority];
      if (queue.first_waiting() != nullptr) {
        if (now == 0) now = Clock::system()->monotonic_nanos();
        queue.move_due(now);
      }
      Task* task = queue.pop_due();
      if (task != nullptr) return task;
      const Task* waiting = queue.first_waiting();
      if (waiting == nullptr) continue;
      const uint64_t nanos = waiting->due_nanos - now;
      const uint64_t bounded = nanos < kWaitMax ? nanos : kWaitMax;
      if (bounded < *nanos_to_next) *nanos_to_next = bounded;
    }
    return nullptr;
  }

  Mutex mutex_;
  CondVar wake_;
  TaskQueue queues_[kPriorityCount] VARVE_GUARDED_BY(mutex_);
  bool stopping_ VARVE_GUARDED_BY(mutex_) = false;
  std::vector<Thread> threads_;
};

}  // namespace

std::unique_ptr<Executor> Executor::create_threads(int threads) {
  return std::make_unique<ThreadExecutor>(threads > 0 ? threads : 1);
}

}  // namespace varve
