#include "lsm/pin_counter.h"

#include <gtest/gtest.h>

#include <thread>

namespace varve {
namespace {

TEST(PinCounter, counts_over_threads) {
  PinCounter pins;
  pins.add(100);
  std::thread([&] { pins.add(50); }).join();
  EXPECT_EQ(pins.count(), 2);
  pins.subtract(100);
  std::thread([&] { pins.subtract(50); }).join();
  EXPECT_EQ(pins.count(), 0);
}

TEST(PinCounter, one_thread_alone_reaches_the_limit) {
  PinCounter pins;
  for (int i = 0; i < 160; ++i) {
    EXPECT_FALSE(pins.exceeds(16'000));
    pins.add(100);
  }
  pins.add(100);
  EXPECT_TRUE(pins.exceeds(16'000));
}

// What one thread pins another may let go.
TEST(PinCounter, does_not_drift) {
  PinCounter pins;
  for (int i = 0; i < 1000; ++i) pins.add(100);
  std::thread([&] {
    for (int i = 0; i < 1000; ++i) pins.subtract(100);
    EXPECT_FALSE(pins.exceeds(16'000));
    for (int i = 0; i < 170; ++i) pins.add(100);
    EXPECT_TRUE(pins.exceeds(16'000)) << "however much was let go here before";
    for (int i = 0; i < 170; ++i) pins.subtract(100);
  }).join();
  EXPECT_FALSE(pins.exceeds(16'000));
}

}  // namespace
}  // namespace varve
