#include "varve/executor.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <string>
#include <thread>
#include <vector>

#include "base/atomic.h"
#include "base/mutex.h"
#include "varve/clock.h"

namespace varve {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;

// What ran, in order; steps may be held back until they are let go.
class Record {
 public:
  void add(const std::string& name) {
    MutexLock lock(mutex_);
    names_.push_back(name);
    changed_.notify_all();
  }
  void wait_for(size_t count) {
    MutexLock lock(mutex_);
    while (names_.size() < count) changed_.wait(mutex_);
  }
  std::vector<std::string> names() {
    MutexLock lock(mutex_);
    return names_;
  }
  void hold() {
    MutexLock lock(mutex_);
    while (!let_go_) changed_.wait(mutex_);
  }
  void let_go() {
    MutexLock lock(mutex_);
    let_go_ = true;
    changed_.notify_all();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> names_ VARVE_GUARDED_BY(mutex_);
  bool let_go_ VARVE_GUARDED_BY(mutex_) = false;
};

struct Step : Task {
  Step(Record* r, std::string n, bool h = false) : record(r), name(std::move(n)), holds(h) {
    run = [](Task* self) {
      Step* step = static_cast<Step*>(self);
      step->record->add(step->name);
      if (step->holds) step->record->hold();
    };
  }
  Record* record;
  std::string name;
  bool holds;
};

using Names = std::vector<std::string>;

TEST(Executor, RunsMoreUrgentFirstThenOlder) {
  Record record;
  Step blocker(&record, "blocker", true);
  Step c1(&record, "c1"), c2(&record, "c2"), u1(&record, "u1"), u2(&record, "u2"),
      f1(&record, "f1"), f2(&record, "f2");
  auto executor = Executor::create_threads(1);
  executor->schedule(&blocker, TaskPriority::compaction);
  record.wait_for(1);
  executor->schedule(&c1, TaskPriority::compaction);
  executor->schedule(&u1, TaskPriority::upkeep);
  executor->schedule(&f1, TaskPriority::flush);
  executor->schedule(&c2, TaskPriority::compaction);
  executor->schedule(&u2, TaskPriority::upkeep);
  executor->schedule(&f2, TaskPriority::flush);
  record.let_go();
  record.wait_for(7);
  EXPECT_EQ(record.names(), (Names{"blocker", "f1", "f2", "u1", "u2", "c1", "c2"}));
}

TEST(Executor, FlushesAndUpkeepDoNotWaitForCompactions) {
  Record record;
  Step long_merge(&record, "merge", true), other(&record, "other"), flush(&record, "flush"),
      upkeep(&record, "upkeep");
  auto executor = Executor::create_threads(2);
  executor->schedule(&long_merge, TaskPriority::compaction);
  record.wait_for(1);
  executor->schedule(&other, TaskPriority::compaction);
  executor->schedule(&flush, TaskPriority::flush);
  record.wait_for(2);
  executor->schedule(&upkeep, TaskPriority::upkeep);
  record.wait_for(3);
  EXPECT_EQ(record.names(), (Names{"merge", "flush", "upkeep"}));
  record.let_go();
  record.wait_for(4);
}

TEST(Executor, DelayedStepsRunByTheirTime) {
  Record record;
  Step late(&record, "late"), early(&record, "early"), now(&record, "now");
  auto executor = Executor::create_threads(1);
  const uint64_t start = Clock::system()->monotonic_nanos();
  executor->schedule(&late, TaskPriority::flush, 60 * kMillisecond);
  executor->schedule(&early, TaskPriority::flush, 20 * kMillisecond);
  executor->schedule(&now, TaskPriority::compaction);
  record.wait_for(3);
  EXPECT_GE(Clock::system()->monotonic_nanos() - start, 60 * kMillisecond);
  EXPECT_EQ(record.names(), (Names{"now", "early", "late"}));
}

TEST(Executor, EndlessDelayIsNoOverflow) {
  Record record;
  Step never(&record, "never"), now(&record, "now");
  auto executor = Executor::create_threads(1);
  executor->schedule(&never, TaskPriority::flush, UINT64_MAX);
  executor->schedule(&now, TaskPriority::flush);
  record.wait_for(1);
  EXPECT_EQ(record.names(), (Names{"now"}));
  EXPECT_TRUE(executor->cancel(&never));
}

TEST(Executor, CancelledStepsDoNotRun) {
  Record record;
  Step blocker(&record, "blocker", true);
  Step a(&record, "a"), b(&record, "b"), c(&record, "c"), delayed(&record, "delayed");
  auto executor = Executor::create_threads(1);
  executor->schedule(&blocker, TaskPriority::flush);
  record.wait_for(1);
  for (Step* step : {&a, &b, &c}) executor->schedule(step, TaskPriority::flush);
  executor->schedule(&delayed, TaskPriority::upkeep, kMillisecond);
  EXPECT_TRUE(executor->cancel(&c));  // the last one: what follows goes behind b
  EXPECT_TRUE(executor->cancel(&a));
  EXPECT_TRUE(executor->cancel(&delayed));
  EXPECT_FALSE(executor->cancel(&delayed));
  EXPECT_FALSE(executor->cancel(&blocker));  // runs
  executor->schedule(&a, TaskPriority::flush);
  record.let_go();
  record.wait_for(3);
  EXPECT_EQ(record.names(), (Names{"blocker", "b", "a"}));
  EXPECT_FALSE(executor->cancel(&a));
}

TEST(Executor, AStepMayQueueItselfAgain) {
  struct Repeating : Task {
    Executor* executor;
    Atomic<int> left{100};
    Record record;
  } repeating;
  auto executor = Executor::create_threads(2);
  repeating.executor = executor.get();
  repeating.run = [](Task* self) {
    Repeating* r = static_cast<Repeating*>(self);
    if (r->left.fetch_sub(1) == 1) {
      r->record.add("done");
    } else {
      r->executor->schedule(r, TaskPriority::upkeep, r->left.load() % 2 == 0 ? 0 : 1000);
    }
  };
  executor->schedule(&repeating, TaskPriority::upkeep);
  repeating.record.wait_for(1);
  EXPECT_EQ(repeating.left.load(), 0);
}

TEST(Executor, DestructionWaitsForRunningAndDropsQueuedSteps) {
  Record record;
  struct Slow : Step {
    using Step::Step;
  } running(&record, "running", true);
  Step queued(&record, "queued"), delayed(&record, "delayed");
  auto executor = Executor::create_threads(1);
  executor->schedule(&running, TaskPriority::flush);
  record.wait_for(1);
  executor->schedule(&queued, TaskPriority::flush);
  executor->schedule(&delayed, TaskPriority::flush, 3600'000 * kMillisecond);
  auto other = Executor::create_threads(1);
  struct LetGo : Task {
    Record* record;
  } let_go;
  let_go.record = &record;
  let_go.run = [](Task* self) { static_cast<LetGo*>(self)->record->let_go(); };
  other->schedule(&let_go, TaskPriority::flush, 20 * kMillisecond);
  executor.reset();
  const Names names = record.names();
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names[0], "running");
  EXPECT_EQ(names.size(), 1u);
}

TEST(Executor, ThreadsAreNamed) {
  Record record;
  struct Name : Task {
    Record* record;
  } flush, merge;
  for (Name* task : {&flush, &merge}) {
    task->record = &record;
    task->run = [](Task* self) {
      char name[16] = {};
      pthread_getname_np(pthread_self(), name, sizeof name);
      static_cast<Name*>(self)->record->add(name);
    };
  }
  auto executor = Executor::create_threads(2);
  executor->schedule(&merge, TaskPriority::compaction);
  record.wait_for(1);
  EXPECT_EQ(record.names()[0], "varve-work");
}

TEST(Executor, ManySchedulersLoseNothing) {
  constexpr size_t kThreads = 4;
  constexpr size_t kStepsEach = 500;
  struct Counted : Task {
    Atomic<size_t>* ran;
  };
  Atomic<size_t> ran{0};
  size_t cancelled[kThreads] = {};
  std::vector<Counted> steps(kThreads * kStepsEach);
  auto executor = Executor::create_threads(2);
  auto schedulers = Executor::create_threads(kThreads);
  struct Scheduler : Task {
    Executor* executor;
    Counted* steps;
    size_t* cancelled;
    Record* record;
  } tasks[kThreads];
  Record record;
  for (size_t i = 0; i < kThreads; ++i) {
    tasks[i].executor = executor.get();
    tasks[i].steps = &steps[i * kStepsEach];
    tasks[i].cancelled = &cancelled[i];
    tasks[i].record = &record;
    tasks[i].run = [](Task* self) {
      Scheduler* s = static_cast<Scheduler*>(self);
      for (size_t j = 0; j < kStepsEach; ++j) {
        s->executor->schedule(&s->steps[j], static_cast<TaskPriority>(j % 3), j % 5 * 1000);
        if (j % 7 == 0 && s->executor->cancel(&s->steps[j])) ++*s->cancelled;
      }
      s->record->add("scheduled");
    };
  }
  for (Counted& step : steps) {
    step.ran = &ran;
    step.run = [](Task* self) { static_cast<Counted*>(self)->ran->fetch_add(1); };
  }
  for (Scheduler& task : tasks) schedulers->schedule(&task, TaskPriority::flush);
  record.wait_for(kThreads);
  size_t expected = steps.size();
  for (const size_t n : cancelled) expected -= n;
  while (ran.load() < expected) std::this_thread::yield();
  executor.reset();
  EXPECT_EQ(ran.load(), expected);
}

}  // namespace
}  // namespace varve
