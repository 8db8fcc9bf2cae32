// Rows as values of the database. Columns are known by the place that their table gave them when
// they were added; places are never given again, so that rows of all times can be read: one written
// before a column was added has fewer places, and reads there as the column's default; the place of
// a column that was dropped is passed over.
//
//   0   u8   kRowVersion | kRowWide if ends take 4 bytes, else 2
//   1   u16  places
//   3   u16  where the variable part begins
//   5        null bitmap      (places + 7) / 8 bytes: of a place p that is null, bit p % 8 of byte
//                             p / 8 is set; other bits are 0
//            fixed part       for each place in turn, null or not, so that all are found by adding
//                             up sizes that the columns' types alone decide:
//                               boolean                       1 byte, 0 or 1
//                               int64, uint64, timestamp      8 bytes
//                               float64                       8 bytes, IEEE 754, bits as given
//                               decimal, uuid                 16 bytes; a decimal's unscaled value
//                               bytes, text, array            where the value ends in the variable
//                                                             part: u16 or u32; it begins where
//                                                             that of the place before it ends
//            variable part    bytes, texts, arrays (as in keys, ascending), in turn
//
// Nulls are zeros in the fixed part, and empty in the variable one. All integers little-endian.
//
// Valid when the sizes add up: ends rise, and the last one is the end of the row.
//
// Example: (int64 7, text "ab", boolean null):
//   01 03 00 11 00  04  07 00 00 00 00 00 00 00  02 00  00  61 62

#pragma once

#include <cstddef>
#include <cstdint>

#include "varve/value.h"

namespace varve {

inline constexpr uint8_t kRowVersion = 1;
inline constexpr uint8_t kRowWide = 0x80;
inline constexpr size_t kRowHeaderSize = 5;
// Columns that a table has ever had: the fixed part of as many is in reach of a u16.
inline constexpr size_t kRowPlacesMax = 4000;
static_assert(kRowHeaderSize + kRowPlacesMax / 8 + kRowPlacesMax * 16 <= UINT16_MAX);

constexpr size_t row_bitmap_size(size_t places) { return (places + 7) / 8; }
constexpr bool is_variable(ColumnType type) { return type >= ColumnType::bytes; }
constexpr size_t fixed_size(ColumnType type, bool wide) {
  switch (type) {
    case ColumnType::boolean:
      return 1;
    case ColumnType::int64:
    case ColumnType::uint64:
    case ColumnType::float64:
    case ColumnType::timestamp:
      return 8;
    case ColumnType::decimal:
    case ColumnType::uuid:
      return 16;
    case ColumnType::bytes:
    case ColumnType::text:
    case ColumnType::array:
      return wide ? 4 : 2;
  }
  return 0;
}

}  // namespace varve
