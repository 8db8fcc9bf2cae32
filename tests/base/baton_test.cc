#include "base/baton.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/scheduler.h"
#include "base/thread.h"

namespace varve::test {
namespace {

TEST(BatonTest, has_come_before_the_wait) {
  for (const bool spins : {true, false}) {
    Baton baton;
    baton.pass(7);
    EXPECT_EQ(baton.wait(spins), 7);
  }
}

// The waiter destroys it as soon as it has it, spinning or asleep: under the sanitizers this is
// what finds a pass() that touches it later.
void pass_to_and_fro(int rounds) {
  struct Round {
    Baton there;
    Baton back;
  };
  std::vector<std::unique_ptr<Round>> table;
  for (int i = 0; i < rounds; ++i) table.push_back(std::make_unique<Round>());
  int shared = 0;  // handed over with the baton
  Thread other("other", 0, [&] {
    for (int i = 0; i < rounds; ++i) {
      EXPECT_EQ(table[i]->there.wait(/*spins=*/i % 3 != 0), i % 200);
      EXPECT_EQ(shared, 2 * i + 1);
      ++shared;
      table[i]->back.pass(Baton::kValueMax);
    }
  });
  for (int i = 0; i < rounds; ++i) {
    ++shared;
    table[i]->there.pass(static_cast<uint8_t>(i % 200));
    EXPECT_EQ(table[i]->back.wait(/*spins=*/i % 2 != 0), Baton::kValueMax);
    EXPECT_EQ(shared, 2 * i + 2);
    table[i].reset();
  }
  other.join();
}

TEST(BatonTest, goes_to_and_fro) { pass_to_and_fro(2000); }

#if defined(VARVE_SCHEDULER)
TEST(BatonTest, in_every_order) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomStrategy strategy(seed);
    run_scheduled(&strategy, [] { pass_to_and_fro(5); }, {});
  }
}
#endif

}  // namespace
}  // namespace varve::test
