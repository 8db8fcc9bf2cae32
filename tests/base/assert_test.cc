#include "base/assert.h"

#include <gtest/gtest.h>

namespace varve {
namespace {

TEST(Assert, TrueDoesNothing) { VARVE_ASSERT(1 + 1 == 2); }

TEST(AssertDeathTest, FalseAbortsNamingExpressionAndPlace) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(VARVE_ASSERT(1 + 1 == 3), "assertion failed: 1 \\+ 1 == 3 at .*assert_test.cc");
}

TEST(AssertDeathTest, DebugCheckIsEvaluatedInDebugBuildsOnly) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  int evaluated = 0;
#if defined(VARVE_DEBUG)
  VARVE_DCHECK(++evaluated == 1);
  EXPECT_EQ(evaluated, 1);
  EXPECT_DEATH(VARVE_DCHECK(evaluated == 0), "assertion failed");
#else
  VARVE_DCHECK(++evaluated == 7);
  EXPECT_EQ(evaluated, 0);
#endif
}

}  // namespace
}  // namespace varve
