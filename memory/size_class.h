// The sizes that the slab allocator hands out, computed at compile time.
//
// Below 64 bytes: 16, 32, 48 (aligned to 16). From 64 on multiples of 64 (aligned to 64): steps of
// 64 up to 512, then eight steps to each doubling, up to 1 MiB. So above 512 bytes at most an
// eighth of a piece is unused.
//
// Pieces of one class are cut from slabs: runs of 32 KiB units of a chunk (memory/run_heap.h). The
// number of units of a slab is the smallest for which at most a sixteenth is left over.

#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace varve {

inline constexpr size_t kUnitSize = 32 * 1024;  // the smallest slab; 64 of them make a chunk
inline constexpr size_t kSlabSizeMax = size_t{1} << 20;

// 3 below 64 bytes, 8 up to 512, and 8 for each of the 11 doublings from there.
inline constexpr size_t kSizeClassCount = 3 + 8 + 8 * 11;

namespace internal {

constexpr size_t compute_size_class(size_t size) {
  if (size <= 48) return (size - 1) / 16;
  if (size <= 512) return 2 + (size + 63) / 64;
  const unsigned exponent = static_cast<unsigned>(std::bit_width(size - 1)) - 1;  // >= 9
  const size_t step = (size - 1) >> (exponent - 3);                               // 8 to 15
  return 11 + 8 * (exponent - 9) + (step - 8);
}

// Up to here a table answers, by sixteens: it fits two cache lines.
inline constexpr size_t kTableSizeMax = 1024;

constexpr std::array<uint8_t, kTableSizeMax / 16 + 1> make_small_class_table() {
  std::array<uint8_t, kTableSizeMax / 16 + 1> table{};
  for (size_t i = 1; i < table.size(); ++i) {
    table[i] = static_cast<uint8_t>(compute_size_class(i * 16));
  }
  return table;
}

inline constexpr auto kSmallClassTable = make_small_class_table();

}  // namespace internal

// 0 < size <= kSlabSizeMax.
constexpr size_t size_class_of(size_t size) {
  return size <= internal::kTableSizeMax ? internal::kSmallClassTable[(size + 15) / 16]
                                         : internal::compute_size_class(size);
}

struct SizeClass {
  uint32_t item_size = 0;
  uint16_t slab_units = 0;
  uint16_t items = 0;           // in a slab
  uint16_t magazine_items = 0;  // that a thread may keep; 0: classes that bypass magazines
  uint64_t reciprocal = 0;      // of item_size, rounded up: divides without a division
};

// Scaled so that the error times the largest offset (2^20) stays below 1 / kSlabSizeMax, and the
// product below 2^64.
inline constexpr unsigned kReciprocalShift = 44;

// Number of the item that holds the byte at `offset` of its slab; exact within a slab.
constexpr uint32_t item_number(const SizeClass& size_class, size_t offset) {
  return static_cast<uint32_t>((offset * size_class.reciprocal) >> kReciprocalShift);
}

inline constexpr size_t kMagazineItemsMax = 64;

namespace internal {

constexpr uint32_t size_class_item_size(size_t number) {
  if (number < 3) return static_cast<uint32_t>(16 * (number + 1));
  if (number < 11) return static_cast<uint32_t>(64 * (number - 2));
  const size_t doubling = (number - 11) / 8;
  const size_t step = (number - 11) % 8 + 9;
  return static_cast<uint32_t>(step << (doubling + 6));
}

constexpr uint16_t slab_units_for(uint32_t item_size) {
  for (uint32_t units = 1; units <= 32; ++units) {
    const uint32_t bytes = units * static_cast<uint32_t>(kUnitSize);
    if (bytes < item_size) continue;
    if (bytes % item_size * 16 <= bytes) return static_cast<uint16_t>(units);
  }
  return 32;
}

constexpr std::array<SizeClass, kSizeClassCount> make_size_classes() {
  // What a thread keeps of one class: enough to make the lock behind it rare, little enough that
  // many threads do not hoard. Block frames have none: beside what it takes to fill one the lock is
  // nothing, and two frames of each size for each of many threads would be most of a small budget.
  constexpr uint32_t kMagazineBytes = 16 * 1024;
  constexpr uint32_t kMagazineItemSizeMax = 4 * 1024;
  std::array<SizeClass, kSizeClassCount> classes{};
  for (size_t i = 0; i < kSizeClassCount; ++i) {
    SizeClass& c = classes[i];
    c.item_size = size_class_item_size(i);
    c.slab_units = slab_units_for(c.item_size);
    c.items = static_cast<uint16_t>(c.slab_units * kUnitSize / c.item_size);
    if (c.item_size <= kMagazineItemSizeMax) {
      const uint32_t fit = kMagazineBytes / c.item_size;
      c.magazine_items = static_cast<uint16_t>(fit < kMagazineItemsMax ? fit : kMagazineItemsMax);
    }
    c.reciprocal = ((uint64_t{1} << kReciprocalShift) + c.item_size - 1) / c.item_size;
  }
  return classes;
}

}  // namespace internal

inline constexpr std::array<SizeClass, kSizeClassCount> kSizeClasses =
    internal::make_size_classes();

inline constexpr size_t kSlabItemsMax = kUnitSize / 16;
static_assert(kSizeClasses[kSizeClassCount - 1].item_size == kSlabSizeMax);
static_assert(kSizeClasses[0].items == kSlabItemsMax);
static_assert(size_class_of(kSlabSizeMax) == kSizeClassCount - 1);

}  // namespace varve
