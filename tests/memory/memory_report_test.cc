#include <gtest/gtest.h>

#include <set>
#include <string>

#include "varve/statistics.h"

namespace varve {
namespace {

TEST(MemoryReport, RolesHaveDistinctNames) {
  std::set<std::string> names;
  for (size_t i = 0; i < kMemoryRoleCount; ++i) {
    names.insert(memory_role_name(static_cast<MemoryRole>(i)));
  }
  EXPECT_EQ(names.size(), kMemoryRoleCount);
  EXPECT_EQ(names.count("unknown"), 0u);
  EXPECT_STREQ(memory_role_name(static_cast<MemoryRole>(99)), "unknown");
}

TEST(MemoryReport, TextNamesRolesInUseAndPools) {
  MemoryReport report;
  report.budget_bytes = 1000;
  report.roles[static_cast<size_t>(MemoryRole::filter)] = {.live_bytes = 300,
                                                           .high_water_bytes = 400};
  report.live_bytes = 300;
  report.idle_bytes = 200;
  report.held_bytes = 500;
  report.pools.push_back({.name = "slab 64", .item_bytes = 64, .acquired = 77, .in_use = 5});
  const std::string text = report.to_string();
  EXPECT_NE(text.find("held 500 (live 300, idle 200) of budget 1000 bytes"), std::string::npos);
  EXPECT_NE(text.find("filter"), std::string::npos);
  EXPECT_EQ(text.find("memtable"), std::string::npos);
  EXPECT_NE(text.find("slab 64"), std::string::npos);
  EXPECT_NE(text.find("77"), std::string::npos);
}

}  // namespace
}  // namespace varve
