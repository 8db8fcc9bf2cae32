#include "base/sync_point.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace varve {
namespace {

#if defined(VARVE_SYNC_POINTS)

TEST(SyncPoint, HandlerIsCalledWithTheName) {
  std::vector<std::string> names;
  set_sync_point_handler(
      [](const char* name, void* context) {
        static_cast<std::vector<std::string>*>(context)->push_back(name);
      },
      &names);
  VARVE_SYNC_POINT("commit:before_sync");
  VARVE_SYNC_POINT("commit:after_sync");
  set_sync_point_handler(nullptr, nullptr);
  VARVE_SYNC_POINT("nobody listens");
  EXPECT_EQ(names, (std::vector<std::string>{"commit:before_sync", "commit:after_sync"}));
}

#else

TEST(SyncPoint, CompilesToNothing) { VARVE_SYNC_POINT("anything"); }

#endif

}  // namespace
}  // namespace varve
