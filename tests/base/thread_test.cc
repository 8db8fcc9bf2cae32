#include "base/thread.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace varve {
namespace {

std::string current_name() {
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof name);
  return name;
}

int current_nice() { return getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid))); }

TEST(Thread, HasItsNameAndNiceness) {
  const int base = current_nice();
  std::string name;
  int nice = 0;
  Thread thread("varve-test", 3, [&] {
    name = current_name();
    nice = current_nice();
  });
  thread.join();
  EXPECT_EQ(name, "varve-test");
  EXPECT_EQ(nice, std::min(base + 3, 19));
  EXPECT_EQ(current_nice(), base);
}

TEST(Thread, LongNamesAreCut) {
  std::string name;
  Thread("a-name-of-more-than-15-bytes", 0, [&] { name = current_name(); }).join();
  EXPECT_EQ(name, "a-name-of-more-");
}

TEST(Thread, DestructionJoins) {
  bool done = false;
  {
    const Thread thread("varve-test", 0, [&] { done = true; });
  }
  EXPECT_TRUE(done);
  Thread none;
  none.join();
}

}  // namespace
}  // namespace varve
