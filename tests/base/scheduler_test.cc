#include "base/scheduler.h"

#if defined(VARVE_SCHEDULER)

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/atomic.h"
#include "base/mutex.h"
#include "base/schedule_point.h"
#include "base/thread.h"
#include "base/thread_slot.h"
#include "tests/support/seeded_test.h"
#include "varve/clock.h"
#include "varve/executor.h"

namespace varve {
namespace {

ScheduleReport run_random(uint64_t seed, const std::function<void()>& body) {
  RandomStrategy strategy(seed);
  return run_scheduled(&strategy, body);
}

// Two threads each add one, by a load and a store.
int racy_sum(ScheduleStrategy* strategy) {
  Atomic<int> sum{0};
  run_scheduled(strategy, [&] {
    auto add = [&sum] { sum.store(sum.load() + 1); };
    Thread a("a", 0, add);
    Thread b("b", 0, add);
  });
  return sum.load();
}

TEST(SchedulerTest, finds_a_lost_update_that_threads_hardly_show) {
  std::set<int> sums;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomStrategy strategy(seed);
    sums.insert(racy_sum(&strategy));
  }
  EXPECT_EQ(sums, (std::set<int>{1, 2}));
}

TEST(SchedulerTest, pct_finds_it_too) {
  std::set<int> sums;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    PctStrategy strategy(seed, /*depth=*/2, /*steps=*/12);
    sums.insert(racy_sum(&strategy));
  }
  EXPECT_EQ(sums, (std::set<int>{1, 2}));
}

TEST(SchedulerTest, bytes_decide) {
  std::set<int> sums;
  for (int first = 0; first < 12; ++first) {
    for (int second = 0; second < 6; ++second) {
      const uint8_t bytes[] = {static_cast<uint8_t>(first),
                               1,
                               static_cast<uint8_t>(second),
                               2,
                               static_cast<uint8_t>(second),
                               1,
                               200,
                               0};
      BytesStrategy strategy(bytes);
      sums.insert(racy_sum(&strategy));
    }
  }
  EXPECT_EQ(sums, (std::set<int>{1, 2}));
  BytesStrategy none({});
  EXPECT_EQ(racy_sum(&none), 2);
}

// A bounded queue with two condition variables, between threads.
void produce_and_consume(std::vector<int>* consumed) {
  Mutex mutex;
  CondVar changed;
  std::vector<int> queue;
  int left = 20;
  auto produce = [&](int first) {
    for (int i = first; i < first + 10; ++i) {
      MutexLock lock(mutex);
      while (queue.size() == 2) changed.wait(mutex);
      queue.push_back(i);
      changed.notify_all();
    }
  };
  Thread a("a", 0, [&] { produce(0); });
  Thread b("b", 0, [&] { produce(10); });
  MutexLock lock(mutex);
  while (left > 0) {
    while (queue.empty()) changed.wait(mutex);
    consumed->push_back(queue.front());
    queue.erase(queue.begin());
    --left;
    changed.notify_all();
  }
}

TEST(SchedulerTest, one_seed_is_one_run) {
  VARVE_SEEDED_TEST(random);
  std::set<uint64_t> hashes;
  std::set<std::vector<int>> orders;
  for (int i = 0; i < 50; ++i) {
    const uint64_t seed = random.next();
    std::vector<int> consumed;
    std::vector<int> again;
    const ScheduleReport report = run_random(seed, [&] { produce_and_consume(&consumed); });
    const ScheduleReport repeated = run_random(seed, [&] { produce_and_consume(&again); });
    EXPECT_EQ(report.trace_hash, repeated.trace_hash);
    EXPECT_EQ(report.steps, repeated.steps);
    EXPECT_EQ(report.threads, 3u);
    EXPECT_EQ(consumed, again);
    hashes.insert(report.trace_hash);
    orders.insert(consumed);
  }
  EXPECT_GT(hashes.size(), 40u);
  EXPECT_GT(orders.size(), 10u);
}

TEST(SchedulerTest, a_lock_excludes_in_every_schedule) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Mutex mutex;
    Atomic<int> inside{0};
    int sum = 0;
    run_random(seed, [&] {
      auto add = [&] {
        for (int i = 0; i < 5; ++i) {
          MutexLock lock(mutex);
          EXPECT_EQ(inside.fetch_add(1), 0);
          ++sum;
          inside.fetch_sub(1);
        }
      };
      Thread a("a", 0, add);
      Thread b("b", 0, add);
      Thread c("c", 0, add);
    });
    EXPECT_EQ(sum, 15);
  }
}

TEST(SchedulerTest, notify_one_wakes_one_and_any) {
  std::set<size_t> first_woken;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Mutex mutex;
    CondVar condition;
    size_t waiting = 0;
    size_t woken = 0;
    run_random(seed, [&] {
      std::vector<Thread> threads;
      for (size_t i = 1; i <= 3; ++i) {
        threads.emplace_back("waiter", 0, [&, i] {
          MutexLock lock(mutex);
          ++waiting;
          condition.wait(mutex);
          if (woken++ == 0) first_woken.insert(i);
        });
      }
      for (;;) {
        MutexLock lock(mutex);
        if (waiting == 3) break;
      }
      condition.notify_one();
      pause_for(1'000'000);
      {
        MutexLock lock(mutex);
        EXPECT_EQ(woken, 1u);
      }
      condition.notify_all();
      threads.clear();
      EXPECT_EQ(woken, 3u);
    });
  }
  EXPECT_EQ(first_woken, (std::set<size_t>{1, 2, 3}));
}

TEST(SchedulerTest, time_is_virtual) {
  constexpr uint64_t kHour = 3600ull * 1'000'000'000;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Mutex mutex;
    CondVar condition;
    run_random(seed, [&] {
      const uint64_t began = Clock::system()->monotonic_nanos();
      const uint64_t realtime = Clock::system()->realtime_nanos();
      Thread sleeper("sleeper", 0, [] { pause_for(2 * kHour); });
      {
        MutexLock lock(mutex);
        EXPECT_FALSE(condition.wait_for(mutex, kHour));
      }
      EXPECT_GE(Clock::system()->monotonic_nanos() - began, kHour);
      EXPECT_LT(Clock::system()->monotonic_nanos() - began, kHour + 1'000'000);
      sleeper.join();
      EXPECT_GE(Clock::system()->monotonic_nanos() - began, 2 * kHour);
      EXPECT_LT(Clock::system()->realtime_nanos() - realtime, 2 * kHour + 1'000'000);
    });
  }
}

TEST(SchedulerTest, a_spinning_thread_lets_others_on) {
  // Priorities, so that without the pause it would spin for ever in half of the runs.
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Atomic<bool> ready{false};
    PctStrategy strategy(seed, /*depth=*/1, /*steps=*/100);
    run_scheduled(&strategy, [&] {
      Thread setter("setter", 0, [&] { ready.store(true); });
      while (!ready.load()) spin_pause();
    });
  }
}

TEST(SchedulerTest, random_numbers_come_from_the_run) {
  uint64_t first = 0;
  uint64_t second = 0;
  run_random(1, [&] { first = random_seed(); });
  run_random(1, [&] { second = random_seed(); });
  EXPECT_EQ(first, second);
  EXPECT_NE(first, random_seed());
}

TEST(SchedulerTest, slots_of_threads_are_given_back_in_turn) {
  VARVE_SEEDED_TEST(random);
  const uint64_t seed = random.next();
  auto run = [&] {
    std::vector<size_t> slots;
    const ScheduleReport report = run_random(seed, [&] {
      for (int round = 0; round < 10; ++round) {
        std::vector<Thread> threads;
        Mutex mutex;
        for (int i = 0; i < 3; ++i) {
          threads.emplace_back("slot", 0, [&] {
            const size_t slot = this_thread_slot();
            MutexLock lock(mutex);
            slots.push_back(slot);
          });
        }
      }
    });
    return std::pair(slots, report.trace_hash);
  };
  EXPECT_EQ(run(), run());
}

TEST(SchedulerTest, the_executors_threads_take_part) {
  struct Step : Task {
    int runs = 0;
  };
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Step soon;
    Step late;
    auto count = [](Task* task) { ++static_cast<Step*>(task)->runs; };
    soon.run = count;
    late.run = count;
    const ScheduleReport report = run_random(seed, [&] {
      std::unique_ptr<Executor> executor = Executor::create_threads(2);
      executor->schedule(&late, TaskPriority::flush, 3'000'000'000);
      executor->schedule(&soon, TaskPriority::flush, 0);
      pause_for(1'000'000'000);
      EXPECT_EQ(soon.runs, 1);
      EXPECT_EQ(late.runs, 0);
      pause_for(4'000'000'000);
      EXPECT_EQ(late.runs, 1);
    });
    EXPECT_EQ(report.threads, 3u);
  }
}

TEST(SchedulerDeathTest, a_deadlock_is_reported) {
  auto deadlock = [] {
    Mutex a;
    Mutex b;
    for (uint64_t seed = 0; seed < 100; ++seed) {
      run_random(seed, [&] {
        Thread one("one", 0, [&] {
          MutexLock first(a);
          MutexLock second(b);
        });
        Thread two("two", 0, [&] {
          MutexLock first(b);
          MutexLock second(a);
        });
      });
    }
  };
  EXPECT_DEATH(deadlock(),
               "a deadlock(.|\n)*thread 1 \\(one\\) waits for a lock that thread 2 holds");
}

TEST(SchedulerDeathTest, a_condition_that_nobody_signals_is_reported) {
  auto forgotten = [] {
    RandomStrategy strategy(1);
    Mutex mutex;
    CondVar condition;
    run_scheduled(&strategy, [&] {
      MutexLock lock(mutex);
      condition.wait(mutex);
    });
  };
  EXPECT_DEATH(forgotten(), "a deadlock(.|\n)*thread 0 \\(body\\) waits for a condition");
}

TEST(SchedulerDeathTest, a_livelock_is_reported) {
  auto livelock = [] {
    RandomStrategy strategy(1);
    Atomic<bool> never{false};
    run_scheduled(&strategy,
                  [&] {
                    while (!never.load()) spin_pause();
                  },
                  {.steps_max = 10'000});
  };
  EXPECT_DEATH(livelock(), "a livelock");
}

}  // namespace
}  // namespace varve

#endif  // VARVE_SCHEDULER
