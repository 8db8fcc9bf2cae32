#include "base/manual_executor.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace varve {
namespace {

struct Step : Task {
  Step(std::string* o, char n) : order(o), name(n) {
    run = [](Task* self) {
      Step* step = static_cast<Step*>(self);
      step->order->push_back(step->name);
      if (step->again != nullptr) {
        Executor* executor = std::exchange(step->again, nullptr);
        executor->schedule(step, TaskPriority::flush, step->again_delay_nanos);
      }
    };
  }
  std::string* order;
  char name;
  Executor* again = nullptr;
  uint64_t again_delay_nanos = 0;
};

TEST(ManualExecutor, RunsNothingByItself) {
  std::string order;
  Step step(&order, 'a');
  ManualExecutor executor;
  EXPECT_FALSE(executor.run_one());
  executor.schedule(&step, TaskPriority::flush, 0);
  EXPECT_EQ(executor.queued(), 1u);
  EXPECT_EQ(order, "");
  EXPECT_TRUE(executor.run_one());
  EXPECT_EQ(order, "a");
  EXPECT_FALSE(executor.run_one());
}

TEST(ManualExecutor, MostUrgentThenOldestDelaysIgnored) {
  std::string order;
  Step c(&order, 'c'), u(&order, 'u'), f(&order, 'f'), g(&order, 'g');
  ManualExecutor executor;
  executor.schedule(&c, TaskPriority::compaction, 0);
  executor.schedule(&u, TaskPriority::upkeep, 0);
  executor.schedule(&f, TaskPriority::flush, 1'000'000'000'000);
  executor.schedule(&g, TaskPriority::flush, 0);
  EXPECT_EQ(executor.run_all(), 4u);
  EXPECT_EQ(order, "fguc");
}

TEST(ManualExecutor, RunAllRunsNewStepsUpToALimit) {
  std::string order;
  Step a(&order, 'a'), b(&order, 'b');
  ManualExecutor executor;
  a.again = &executor;
  executor.schedule(&a, TaskPriority::flush, 0);
  executor.schedule(&b, TaskPriority::compaction, 0);
  EXPECT_EQ(executor.run_all(2), 2u);
  EXPECT_EQ(order, "aa");
  EXPECT_EQ(executor.run_all(), 1u);
  EXPECT_EQ(order, "aab");
}

TEST(ManualExecutor, RunAllTriesWhatIsDelayedOnce) {
  std::string order;
  Step a(&order, 'a'), b(&order, 'b');
  ManualExecutor executor;
  a.again = &executor;
  a.again_delay_nanos = 1000;
  executor.schedule(&a, TaskPriority::flush, 0);
  executor.schedule(&b, TaskPriority::compaction, 1000);
  EXPECT_EQ(executor.run_all(), 2u);
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(executor.run_all(), 1u);
  EXPECT_EQ(order, "aba");
}

TEST(ManualExecutor, CancelTakesOutQueuedSteps) {
  std::string order;
  Step a(&order, 'a'), b(&order, 'b');
  ManualExecutor executor;
  executor.schedule(&a, TaskPriority::flush, 0);
  executor.schedule(&b, TaskPriority::flush, 0);
  EXPECT_TRUE(executor.cancel(&a));
  EXPECT_FALSE(executor.cancel(&a));
  EXPECT_EQ(executor.run_all(), 1u);
  EXPECT_FALSE(executor.cancel(&b));
  EXPECT_EQ(order, "b");
}

}  // namespace
}  // namespace varve
