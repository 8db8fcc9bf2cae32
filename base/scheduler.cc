#include "base/scheduler.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "base/assert.h"
#include "base/hash.h"
#include "base/schedule_point.h"
#include "base/thread_slot.h"

namespace varve {
namespace {

class Scheduler;
constexpr uint64_t kNever = UINT64_MAX;
constexpr size_t kThreadSlotsOfRun = 12;  // more threads than a run has, usually

// The library's semaphores spin before they sleep; here the other side never runs meanwhile.
class Turn {
 public:
  void give() {
    state_.store(1);
    syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  void take() {
    while (state_.exchange(0) == 0) {
      syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    }
  }

 private:
  std::atomic<uint32_t> state_{0};
};

enum class Waiting : uint8_t { not_at_all, for_lock, for_condition, for_thread, for_time };

}  // namespace

namespace internal {

// Only the thread that runs touches any of these, its own or others': turns pass on what it did.
struct ScheduledThread {
  Scheduler* scheduler;
  size_t number;
  std::string name;
  Waiting waiting = Waiting::not_at_all;
  const void* what = nullptr;  // it waits for
  uint64_t deadline = kNever;
  bool timed_out = false;
  bool ended = false;
  std::vector<const void*> locks = {};  // held
  Turn turn = {};
};

constinit thread_local ScheduledThread* scheduled_thread = nullptr;

}  // namespace internal

namespace {

using internal::ScheduledThread;

// For the calling thread and those that it starts: turns pass between them some ten times faster.
void stay_on_one_processor() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<size_t>(std::max(sched_getcpu(), 0)), &one);
  sched_setaffinity(0, sizeof one, &one);  // a refusal changes only speed
}

class Scheduler {
 public:
  Scheduler(ScheduleStrategy* strategy, const ScheduleOptions& options)
      : strategy_(strategy), options_(options), entropy_(options.entropy_seed) {}

  ScheduleReport run(const std::function<void()>& body) {
    ScheduledThread* first = add("body");
    first->turn.give();
    // A thread of its own, so that every run begins alike, whatever the caller's thread has used.
    std::thread thread([first, &body] {
      stay_on_one_processor();
      internal::scheduled_begin(first);
      body();
    });
    all_ended_.take();
    thread.join();
    return {.steps = step_, .switches = switches_, .threads = threads_.size(), .trace_hash = hash_};
  }

  ScheduledThread* add(const char* name) {
    threads_.push_back(std::unique_ptr<ScheduledThread>(
        new ScheduledThread{.scheduler = this, .number = threads_.size(), .name = name}));
    runnable_.push_back(threads_.back()->number);
    return threads_.back().get();
  }

  // The running thread, from here on:

  void yield(ScheduledThread* self) {
    take_step();
    hand_over(self, next_thread(self));
  }

  // Until somebody makes it runnable; or until its deadline: false.
  bool block(ScheduledThread* self, Waiting waiting, const void* what, uint64_t deadline) {
    self->waiting = waiting;
    self->what = what;
    self->deadline = deadline;
    self->timed_out = false;
    next_deadline_ = std::min(next_deadline_, deadline);
    std::erase(runnable_, self->number);
    take_step();
    hand_over(self, next_thread(self));
    return !self->timed_out;
  }

  // Long enough that others get on even where this thread is always preferred: it may be a spin.
  void pause(ScheduledThread* self, uint64_t nanos) {
    constexpr uint64_t kStepsAtLeast = 20;
    block(self, Waiting::for_time, nullptr,
          now_ + std::max(nanos, kStepsAtLeast * options_.nanos_per_step));
  }

  void make_runnable(ScheduledThread* thread) {
    thread->waiting = Waiting::not_at_all;
    thread->what = nullptr;
    thread->deadline = kNever;
    runnable_.insert(std::ranges::lower_bound(runnable_, thread->number), thread->number);
  }

  void wake_all(Waiting waiting, const void* what) {
    for (const auto& thread : threads_) {
      if (thread->waiting == waiting && thread->what == what) make_runnable(thread.get());
    }
  }

  void wake_one(ScheduledThread* self, Waiting waiting, const void* what) {
    waiters_.clear();
    for (const auto& thread : threads_) {
      if (thread->waiting == waiting && thread->what == what) waiters_.push_back(thread->number);
    }
    if (!waiters_.empty()) make_runnable(threads_[choose(self, waiters_)].get());
  }

  void end(ScheduledThread* self) {
    VARVE_ASSERT(self->locks.empty());
    self->ended = true;
    std::erase(runnable_, self->number);
    wake_all(Waiting::for_thread, self);
    const bool last = std::ranges::all_of(threads_, [](const auto& t) { return t->ended; });
    if (last) {
      all_ended_.give();
      return;
    }
    take_step();
    ScheduledThread* next = next_thread(self);
    note_switch(next);
    next->turn.give();
  }

  uint64_t nanos() const { return now_; }
  uint64_t realtime_nanos() const { return options_.first_realtime_nanos + now_; }
  uint64_t entropy() { return entropy_.next(); }

 private:
  void take_step() {
    ++step_;
    now_ += options_.nanos_per_step;
    if (step_ > options_.steps_max) fail("no end in sight: a livelock?");
    if (next_deadline_ <= now_) expire();
  }

  // Makes those runnable whose deadline has passed.
  void expire() {
    next_deadline_ = kNever;
    for (const auto& thread : threads_) {
      if (thread->deadline <= now_) {
        thread->timed_out = true;
        make_runnable(thread.get());
      } else {
        next_deadline_ = std::min(next_deadline_, thread->deadline);
      }
    }
  }

  ScheduledThread* next_thread(ScheduledThread* self) {
    while (runnable_.empty()) {
      if (next_deadline_ == kNever) fail("no thread can go on: a deadlock");
      now_ = std::max(now_, next_deadline_);
      expire();
    }
    return threads_[choose(self, runnable_)].get();
  }

  size_t choose(ScheduledThread* self, const std::vector<size_t>& candidates) {
    if (candidates.size() == 1) return candidates.front();
    const size_t chosen =
        strategy_->choose({.step = step_, .current = self->number, .candidates = candidates});
    VARVE_ASSERT(std::ranges::binary_search(candidates, chosen));
    return chosen;
  }

  void hand_over(ScheduledThread* self, ScheduledThread* next) {
    if (next == self) return;
    note_switch(next);
    next->turn.give();
    self->turn.take();
  }

  void note_switch(ScheduledThread* next) {
    ++switches_;
    hash_ = mix64(mix64(hash_ + step_) + next->number);
  }

  [[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "scheduler: %s (step %llu, %.6f s of virtual time)\n", what,
                 static_cast<unsigned long long>(step_), static_cast<double>(now_) / 1e9);
    for (const auto& thread : threads_) print(*thread);
    std::abort();
  }

  void print(const ScheduledThread& thread) {
    std::string state = thread.ended ? "ended" : "can go on";
    switch (thread.waiting) {
      case Waiting::not_at_all:
        break;
      case Waiting::for_lock:
        state = "waits for a lock" + holder_of(thread.what);
        break;
      case Waiting::for_condition:
        state = "waits for a condition";
        break;
      case Waiting::for_thread:
        state = "waits for the end of thread " +
                std::to_string(static_cast<const ScheduledThread*>(thread.what)->number);
        break;
      case Waiting::for_time:
        state = "pauses";
        break;
    }
    std::fprintf(stderr, "scheduler: thread %zu (%s) %s; it holds %zu locks\n", thread.number,
                 thread.name.c_str(), state.c_str(), thread.locks.size());
  }

  std::string holder_of(const void* lock) const {
    for (const auto& thread : threads_) {
      if (std::ranges::find(thread->locks, lock) != thread->locks.end()) {
        return " that thread " + std::to_string(thread->number) + " holds";
      }
    }
    return "";
  }

  ScheduleStrategy* const strategy_;
  const ScheduleOptions options_;
  Random entropy_;
  std::vector<std::unique_ptr<ScheduledThread>> threads_;  // by number
  std::vector<size_t> runnable_;                           // numbers, rising
  std::vector<size_t> waiters_;                            // scratch of wake_one()
  uint64_t step_ = 0;
  uint64_t switches_ = 0;
  uint64_t hash_ = 0;
  uint64_t now_ = 0;
  uint64_t next_deadline_ = kNever;
  Turn all_ended_;
};

// Made before every other thread-local object with a destructor, and so destroyed after them: what
// those do is still scheduled.
struct EndOfThread {
  ScheduledThread* thread = nullptr;
  ~EndOfThread() {
    if (thread == nullptr) return;
    internal::scheduled_thread = nullptr;
    thread->scheduler->end(thread);
  }
};
thread_local EndOfThread end_of_thread;

ScheduledThread* self() { return internal::scheduled_thread; }

}  // namespace

namespace internal {

void scheduled_yield() { self()->scheduler->yield(self()); }

bool scheduled_wait(const void* what, uint64_t nanos) {
  Scheduler* scheduler = self()->scheduler;
  uint64_t deadline = 0;
  if (__builtin_add_overflow(scheduler->nanos(), nanos, &deadline)) deadline = kNever;
  return scheduler->block(self(), Waiting::for_condition, what, deadline);
}

void scheduled_block_on_lock(const void* what) {
  self()->scheduler->block(self(), Waiting::for_lock, what, kNever);
}

void scheduled_locked(const void* what) { self()->locks.push_back(what); }

void scheduled_unlocked(const void* what) {
  std::erase(self()->locks, what);
  self()->scheduler->wake_all(Waiting::for_lock, what);
}

void scheduled_notify(const void* what, bool all) {
  scheduled_yield();
  if (all) {
    self()->scheduler->wake_all(Waiting::for_condition, what);
  } else {
    self()->scheduler->wake_one(self(), Waiting::for_condition, what);
  }
}

void scheduled_pause(uint64_t nanos) { self()->scheduler->pause(self(), nanos); }

uint64_t scheduled_nanos() { return self()->scheduler->nanos(); }
uint64_t scheduled_realtime_nanos() { return self()->scheduler->realtime_nanos(); }
uint64_t scheduled_entropy() { return self()->scheduler->entropy(); }

ScheduledThread* scheduled_spawn(const char* name) { return self()->scheduler->add(name); }

void scheduled_begin(ScheduledThread* thread) {
  end_of_thread.thread = thread;
  thread->turn.take();
  scheduled_thread = thread;
}

void scheduled_join(ScheduledThread* thread) {
  scheduled_yield();
  while (!thread->ended) self()->scheduler->block(self(), Waiting::for_thread, thread, kNever);
}

}  // namespace internal

ScheduleReport run_scheduled(ScheduleStrategy* strategy, const std::function<void()>& body,
                             const ScheduleOptions& options) {
  VARVE_ASSERT(kSchedulerBuilt && !is_scheduled());
  static std::atomic<bool> running{false};
  VARVE_ASSERT(!running.exchange(true));
  internal::raise_thread_slot_limit(kThreadSlotsOfRun);
  const ScheduleReport report = Scheduler(strategy, options).run(body);
  running.store(false);
  return report;
}

}  // namespace varve
