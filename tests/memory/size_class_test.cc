#include "memory/size_class.h"

#include <gtest/gtest.h>

namespace varve {
namespace {

TEST(SizeClass, EverySizeGetsTheSmallestClassThatHoldsIt) {
  for (size_t size = 1; size <= kSlabSizeMax; ++size) {
    const size_t number = size_class_of(size);
    ASSERT_LT(number, kSizeClassCount) << size;
    ASSERT_GE(kSizeClasses[number].item_size, size) << size;
    ASSERT_TRUE(number == 0 || kSizeClasses[number - 1].item_size < size) << size;
  }
}

TEST(SizeClass, AlignmentIs64From64On) {
  for (const SizeClass& c : kSizeClasses) EXPECT_EQ(c.item_size % (c.item_size < 64 ? 16 : 64), 0u);
}

TEST(SizeClass, AtMostAnEighthIsUnusedAbove512) {
  for (size_t size = 513; size <= kSlabSizeMax; ++size) {
    ASSERT_LE((kSizeClasses[size_class_of(size)].item_size - size) * 8, size) << size;
  }
}

TEST(SizeClass, SlabsWasteAtMostASixteenth) {
  for (const SizeClass& c : kSizeClasses) {
    const size_t slab = c.slab_units * kUnitSize;
    EXPECT_LE(slab, kSlabSizeMax);
    EXPECT_GE(c.items, 1);
    EXPECT_LE(c.items, kSlabItemsMax);
    EXPECT_LE((slab - c.items * c.item_size) * 16, slab) << c.item_size;
  }
}

TEST(SizeClass, ItemNumbersAreExact) {
  for (const SizeClass& c : kSizeClasses) {
    for (uint32_t item = 0; item < c.items; ++item) {
      const size_t offset = size_t{item} * c.item_size;
      ASSERT_EQ(item_number(c, offset), item) << c.item_size;
      ASSERT_EQ(item_number(c, offset + c.item_size - 1), item) << c.item_size;
    }
  }
}

TEST(SizeClass, MagazinesOfAllClassesAreBounded) {
  size_t bytes = 0;
  for (const SizeClass& c : kSizeClasses) {
    EXPECT_LE(c.magazine_items, kMagazineItemsMax);
    bytes += size_t{c.magazine_items} * c.item_size;
  }
  EXPECT_LE(bytes, size_t{5} << 19);
}

}  // namespace
}  // namespace varve
