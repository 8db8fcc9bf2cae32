#include "base/machine.h"

#include <gtest/gtest.h>

namespace varve {
namespace {

TEST(MachineTest, MemoryOfThisMachineIsPlausible) {
  EXPECT_GT(machine_memory_bytes(), uint64_t{16} << 20);
  EXPECT_LT(machine_memory_bytes(), uint64_t{1} << 50);
}

}  // namespace
}  // namespace varve
