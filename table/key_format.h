// Elements of keys (varve/key_codec.h): a tag, then what the tag says. All integers big-endian.
//
//   tag          value         followed by
//   0x00         end of array
//   0x02         null
//   0x04, 0x05   false, true
//   0x10..0x17   integer < 0   8..1 bytes (n = 0x18 - tag): 256^n - 1 - magnitude, where the
//                              magnitude takes no fewer than n bytes
//   0x18         0
//   0x19..0x20   integer > 0   1..8 bytes (n = tag - 0x18), the first of them not zero
//   0x28         float         8 bytes: of IEEE 754, all inverted if its sign is set, else with the
//                              sign set. -0 as 0; NaN as 7ff8000000000000
//   0x30         decimal < 0   as > 0, all bytes behind the tag inverted
//   0x31         decimal 0
//   0x32         decimal > 0   2 bytes: exponent E + 32768; then digits of base 100, each 2 d + 1,
//                              the last one 2 d: the value is 0.d1d2d3... * 100^E with d1 > 0 and
//                              the last d > 0, at most 20 digits, |E| <= 5000
//   0x38         timestamp     8 bytes: microseconds, the sign inverted
//   0x40         uuid          16 bytes
//   0x48         bytes         the bytes, 00 as 00 ff; then 00 01
//   0x50         text          likewise
//   0x58         array         its elements, then 0x00
//
// A descending element has all its bytes inverted, tag included; an array with all that is in it.
//
// Why this orders as values do: tags order types, and signs and sizes of integers. No encoding is
// the beginning of another one: strings end by 00 01 where a longer one has 00 ff or a byte above
// 00; arrays by 00 where a longer one has a tag; the digits of decimals by an even byte where a
// longer number has the next odd one. So the inversion of the bytes is that of the order.
//
// Example: ("a\0", -2, descending 3):  50 61 00 ff 00 01  17 fd  e6 fc

#pragma once

#include <cstddef>
#include <cstdint>

namespace varve {

inline constexpr uint8_t kTagArrayEnd = 0x00;
inline constexpr uint8_t kTagNull = 0x02;
inline constexpr uint8_t kTagFalse = 0x04;
inline constexpr uint8_t kTagTrue = 0x05;
inline constexpr uint8_t kTagZero = 0x18;  // of integers: +- bytes of the magnitude
inline constexpr uint8_t kTagFloat = 0x28;
inline constexpr uint8_t kTagDecimalNegative = 0x30;
inline constexpr uint8_t kTagDecimalZero = 0x31;
inline constexpr uint8_t kTagDecimalPositive = 0x32;
inline constexpr uint8_t kTagTimestamp = 0x38;
inline constexpr uint8_t kTagUuid = 0x40;
inline constexpr uint8_t kTagBytes = 0x48;
inline constexpr uint8_t kTagText = 0x50;
inline constexpr uint8_t kTagArray = 0x58;

inline constexpr uint8_t kEscapedZero = 0xff;  // behind 00
inline constexpr uint8_t kStringEnd = 0x01;    // behind 00

inline constexpr int32_t kExponentBias = 32768;
inline constexpr int32_t kExponentMax = 5000;
inline constexpr size_t kDecimalDigitsMax = 20;  // 2^128 * 10 < 100^20
inline constexpr uint64_t kFloatNan = 0x7ff8000000000000;
inline constexpr uint64_t kSignBit = uint64_t{1} << 63;

}  // namespace varve
