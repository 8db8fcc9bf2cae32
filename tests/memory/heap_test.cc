#include "memory/heap.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/atomic.h"
#include "base/thread.h"

namespace varve {
namespace {

constexpr MemoryRole kRole = MemoryRole::control;

TEST(Heap, BlocksAreAlignedAndOnTheAccount) {
  MemoryManager manager(64 << 20);
  for (const size_t size : {1u, 16u, 100u, 5000u, 3u << 20}) {
    void* block = heap_allocate(&manager, size, kRole);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 16, 0u);
    std::memset(block, 1, size);
    EXPECT_GE(manager.live_bytes(kRole), size);
    const MemoryReport report = manager.report();
    EXPECT_EQ(report.held_bytes, report.live_bytes + report.idle_bytes);
    heap_release(&manager, block, size, kRole);
    EXPECT_EQ(manager.live_bytes(), 0u);
  }
}

TEST(Heap, AbsurdSizesAreRefused) {
#if defined(VARVE_TSAN)
  GTEST_SKIP() << "its malloc ends the process instead";
#endif
  MemoryManager manager(64 << 20);
  EXPECT_EQ(heap_allocate(&manager, SIZE_MAX / 2, kRole), nullptr);
  EXPECT_EQ(manager.live_bytes(), 0u);
}

TEST(Heap, WhatContainersHoldIsOnTheAccount) {
  MemoryManager manager(64 << 20);
  {
    ControlCharge charge(&manager);
    EXPECT_EQ(manager.live_bytes(kRole), 0u);
    charge.set(10'000);
    EXPECT_EQ(manager.live_bytes(kRole), 10'000u);
    EXPECT_EQ(manager.reserved_bytes(), 10'000u);
    charge.set(300);
    EXPECT_EQ(manager.live_bytes(kRole), 300u);
    ControlCharge of_nobody(nullptr);
    of_nobody.set(500);
    EXPECT_EQ(manager.live_bytes(kRole), 300u);
  }
  EXPECT_EQ(manager.live_bytes(), 0u);
  EXPECT_EQ(manager.reserved_bytes(), 0u);
}

TEST(Heap, ObjectsFindTheirManager) {
  struct Object : ControlObject {
    explicit Object(int n) : number(n) {}
    int number;
    char rest[1000] = {};
  };
  MemoryManager manager(64 << 20);
  auto* object = new (&manager) Object(7);
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(object->number, 7);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(object) % 16, 0u);
  EXPECT_GE(manager.live_bytes(MemoryRole::control), sizeof(Object));
  delete object;
  EXPECT_EQ(manager.live_bytes(), 0u);
}

TEST(Heap, AnyThreadMayRelease) {
  MemoryManager manager(64 << 20);
  void* block = heap_allocate(&manager, 100, kRole);
  Thread("varve-test", 0, [&] { heap_release(&manager, block, 100, kRole); }).join();
  EXPECT_EQ(manager.live_bytes(), 0u);
}

}  // namespace
}  // namespace varve
