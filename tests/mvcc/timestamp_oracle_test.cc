#include "mvcc/timestamp_oracle.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "base/manual_clock.h"
#include "tests/support/seeded_test.h"

namespace varve {
namespace {

constexpr uint64_t kStart = 1'700'000'000'000'000'000;
constexpr uint64_t kSecond = 1'000'000'000;

bool covered(TimestampOracle& oracle, uint64_t count) {
  return oracle.lease_for(count) != TimestampOracle::Lease::is_used_up;
}
bool is_short(TimestampOracle& oracle) {
  return oracle.lease_for(1) != TimestampOracle::Lease::lasts;
}

class TimestampOracleTest : public ::testing::Test {
 protected:
  ManualClock clock_{kStart};
  TimestampOracle oracle_{&clock_, kTimestampMin, Timestamp{kStart + 1000 * kSecond}};
};

TEST_F(TimestampOracleTest, a_commit_bears_the_time_of_the_wall_clock) {
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart});
  clock_.advance(5 * kSecond);
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + 5 * kSecond});
  EXPECT_EQ(oracle_.last_allocated(), Timestamp{kStart + 5 * kSecond});
}

TEST_F(TimestampOracleTest, a_group_gets_consecutive_timestamps) {
  EXPECT_EQ(oracle_.allocate(10), Timestamp{kStart});
  EXPECT_EQ(oracle_.last_allocated(), Timestamp{kStart + 9});
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + 10}) << "the clock stands still";
  clock_.advance(5);
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + 11}) << "the clock is behind";
  clock_.advance(100);
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + 105});
}

TEST_F(TimestampOracleTest, a_step_back_is_ridden_out) {
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart});
  clock_.set_realtime(kStart - 3600 * kSecond);
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + 1});
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + 2});
  clock_.set_realtime(kStart + kSecond);
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + kSecond});
  clock_.set_realtime(0);
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + kSecond + 1});
}

TEST_F(TimestampOracleTest, a_small_step_forward_is_followed_and_a_jump_is_not) {
  clock_.set_realtime(kStart + TimestampOracle::kClockJumpMaxNanos);
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + TimestampOracle::kClockJumpMaxNanos});
  clock_.set_realtime(kStart + 365ull * 24 * 3600 * kSecond);
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + TimestampOracle::kClockJumpMaxNanos + 1})
      << "a year ahead: the monotonic clock allows no more";
  EXPECT_EQ(oracle_.now(), kStart);
  clock_.advance(90 * kSecond);
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + 90 * kSecond}) << "goes on by that clock";
  clock_.set_realtime(kStart + 91 * kSecond);
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + 91 * kSecond}) << "the wall clock is back";
}

TEST_F(TimestampOracleTest, time_that_passes_is_no_jump) {
  clock_.advance(30ull * 24 * 3600 * kSecond);
  EXPECT_EQ(oracle_.now(), kStart + 30ull * 24 * 3600 * kSecond);
}

TEST_F(TimestampOracleTest, starts_above_what_may_have_been_handed_out_before) {
  TimestampOracle recovered(&clock_, Timestamp{kStart + 50 * kSecond},
                            Timestamp{kStart + 50 * kSecond});
  EXPECT_EQ(recovered.published(), Timestamp{kStart + 50 * kSecond});
  EXPECT_FALSE(covered(recovered, 1)) << "the old lease is used up";
  recovered.renew_lease(recovered.next_lease());
  EXPECT_TRUE(covered(recovered, 1));
  EXPECT_EQ(recovered.allocate(1), Timestamp{kStart + 50 * kSecond + 1});
}

TEST_F(TimestampOracleTest, what_a_lease_covers_stays_below_it) {
  const uint64_t end = kStart + 10;
  TimestampOracle oracle(&clock_, kTimestampMin, Timestamp{end});
  EXPECT_TRUE(covered(oracle, 10));
  EXPECT_FALSE(covered(oracle, 11));
  EXPECT_TRUE(is_short(oracle));
  oracle.allocate(10);
  EXPECT_LT(oracle.last_allocated().nanos, end);
  EXPECT_FALSE(covered(oracle, 1));
  const Timestamp next = oracle.next_lease();
  EXPECT_EQ(next, Timestamp{end + TimestampOracle::kLeaseNanos});
  oracle.renew_lease(next);
  EXPECT_TRUE(covered(oracle, 1));
  EXPECT_FALSE(is_short(oracle));
  oracle.renew_lease(Timestamp{1});
  EXPECT_TRUE(covered(oracle, 1)) << "a lease never shrinks";
}

TEST_F(TimestampOracleTest, lease_is_short_before_it_runs_out) {
  oracle_.renew_lease(oracle_.next_lease());
  TimestampOracle oracle(&clock_, kTimestampMin, Timestamp{kStart + TimestampOracle::kLeaseNanos});
  EXPECT_FALSE(is_short(oracle));
  clock_.advance(TimestampOracle::kLeaseNanos - TimestampOracle::kLeaseRenewNanos + 1);
  EXPECT_TRUE(is_short(oracle));
  EXPECT_TRUE(covered(oracle, 1000)) << "there is time to renew it";
  clock_.advance(TimestampOracle::kLeaseRenewNanos);
  EXPECT_FALSE(covered(oracle, 1));
}

TEST_F(TimestampOracleTest, publish_follows_and_readers_see_it) {
  EXPECT_EQ(oracle_.published(), kTimestampMin);
  const Timestamp first = oracle_.allocate(2);
  EXPECT_EQ(oracle_.published(), kTimestampMin);
  oracle_.publish(first);
  EXPECT_EQ(oracle_.published(), first);
  EXPECT_EQ(oracle_.published_cell().load(), first.nanos);
  oracle_.publish(oracle_.last_allocated());
  EXPECT_EQ(oracle_.published(), Timestamp{kStart + 1});
}

TEST_F(TimestampOracleTest, advance_to_pushes_later_commits_above) {
  oracle_.advance_to(Timestamp{kStart + 100});
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + 101});
  oracle_.advance_to(Timestamp{kStart + 50});
  EXPECT_EQ(oracle_.allocate(1), Timestamp{kStart + 102}) << "never back";
}

TEST_F(TimestampOracleTest, random_clocks_never_break_the_order_or_a_lease) {
  VARVE_SEEDED_TEST(random);
  uint64_t last = 0;
  uint64_t lease_end = kStart + 1000 * kSecond;
  for (int i = 0; i < 20'000; ++i) {
    switch (random.below(5)) {
      case 0:
        clock_.advance(random.next() >> (24 + random.below(40)));
        break;
      case 1:
        clock_.set_realtime(kStart + (random.next() >> (8 + random.below(50))));
        break;
      case 2:
        oracle_.advance_to(Timestamp{last + random.below(1000)});
        last = oracle_.last_allocated().nanos;
        break;
      default: {
        const uint64_t count = 1 + random.below(20);
        if (!covered(oracle_, count)) {
          lease_end = oracle_.next_lease().nanos;
          oracle_.renew_lease(Timestamp{lease_end});
          ASSERT_TRUE(covered(oracle_, count));
        }
        const uint64_t first = oracle_.allocate(count).nanos;
        ASSERT_GT(first, last);
        last = first + count - 1;
        ASSERT_EQ(oracle_.last_allocated().nanos, last);
        ASSERT_LT(last, lease_end);
      }
    }
  }
}

}  // namespace
}  // namespace varve
