#include "base/coding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace varve {
namespace {

std::string random_bytes(Random& random, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.next());
  return bytes;
}

// Values of every length, the edges of each among them.
uint64_t random_value(Random& random) {
  const uint64_t value = random.next() >> random.below(64);
  switch (random.below(4)) {
    case 0:
      return (uint64_t{1} << random.below(64)) - 1;
    case 1:
      return uint64_t{1} << random.below(64);
    default:
      return value;
  }
}

TEST(Coding, FixedIntegersAreLittleEndian) {
  std::string bytes;
  append_le<uint32_t>(&bytes, 0x01020304u);
  append_le<uint64_t>(&bytes, 0x0102030405060708ull);
  EXPECT_EQ(bytes, std::string("\x04\x03\x02\x01\x08\x07\x06\x05\x04\x03\x02\x01", 12));
  EXPECT_EQ(load_le<uint32_t>(bytes.data()), 0x01020304u);
  EXPECT_EQ(load_le<uint64_t>(bytes.data() + 4), 0x0102030405060708ull);
}

TEST(Coding, KeyHeadIsBigEndianAndZeroPadded) {
  EXPECT_EQ(key_head(""), 0u);
  EXPECT_EQ(key_head("a"), 0x6100000000000000ull);
  EXPECT_EQ(key_head("abcdefgh"), 0x6162636465666768ull);
  EXPECT_EQ(key_head("abcdefghi"), 0x6162636465666768ull);
}

TEST(Coding, KeyHeadsOrderAsKeysDo) {
  Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    const std::string a = random_bytes(random, random.below(12));
    std::string b = a.substr(0, random.below(a.size() + 1));
    b += random_bytes(random, random.below(4));
    const uint64_t head_a = key_head(a);
    const uint64_t head_b = key_head(b);
    EXPECT_TRUE(head_a >= head_b || a < b);
    EXPECT_TRUE(head_a <= head_b || a > b);
  }
}

TEST(Coding, ShortBytesAreComparedAndCopiedAsLongOnesAre) {
  Random random(7);
  for (size_t size = 0; size < 40; ++size) {
    std::string from(size, '\0');
    for (char& c : from) c = static_cast<char>(random.next());
    std::string to(size + 2, '#');
    copy_bytes(to.data() + 1, from);
    EXPECT_EQ(to, "#" + from + "#");
    EXPECT_TRUE(equal_bytes(from, std::string_view(to).substr(1, size)));
    EXPECT_FALSE(equal_bytes(from, to));
    for (size_t i = 0; i < size; ++i) {
      std::string other = from;
      other[i] = static_cast<char>(other[i] ^ 0x10);
      EXPECT_FALSE(equal_bytes(from, other)) << i << " of " << size;
    }
    uint64_t head = 0;
    for (size_t i = 0; i < 8; ++i) {
      head = head << 8 | (i < size ? static_cast<uint8_t>(from[i]) : 0u);
    }
    EXPECT_EQ(key_head(from), head) << size;
  }
}

TEST(Coding, VarintsOfAllLengthsComeBack) {
  for (unsigned bits = 0; bits <= 64; ++bits) {
    const uint64_t value = bits == 64 ? UINT64_MAX : (uint64_t{1} << bits) - 1;
    std::string bytes;
    append_varint(&bytes, value);
    EXPECT_EQ(bytes.size(), varint_size(value));
    EXPECT_LE(bytes.size(), kVarint64BytesMax);
    uint64_t read = ~value;
    EXPECT_EQ(load_varint(bytes.data(), bytes.data() + bytes.size(), &read),
              bytes.data() + bytes.size());
    EXPECT_EQ(read, value);
    // Cut short anywhere: refused.
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_EQ(load_varint(bytes.data(), bytes.data() + size, &read), nullptr);
    }
  }
}

TEST(Coding, VarintsWithMoreThanOneFormAreRefused) {
  const std::string refused[] = {
      std::string("\x80\x00", 2),                                   // 0 in two bytes
      std::string("\xff\x00", 2),                                   // 127 in two bytes
      std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10),  // 65 bits
      std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11),
  };
  for (const std::string& bytes : refused) {
    uint64_t value;
    EXPECT_EQ(load_varint(bytes.data(), bytes.data() + bytes.size(), &value), nullptr);
  }
}

// What is decoded from any bytes is what encodes to exactly these bytes.
TEST(Coding, VarintOfHostileBytesIsCanonicalOrRefused) {
  Random random(2);
  for (int i = 0; i < 100'000; ++i) {
    const std::string bytes = random_bytes(random, random.below(13));
    uint64_t value;
    const char* end = load_varint(bytes.data(), bytes.data() + bytes.size(), &value);
    if (end == nullptr) continue;
    std::string again;
    append_varint(&again, value);
    EXPECT_EQ(again, bytes.substr(0, static_cast<size_t>(end - bytes.data())));
  }
}

TEST(Decoder, ReadsBackWhatWasAppended) {
  std::string bytes;
  append_le<uint8_t>(&bytes, 7);
  append_le<uint32_t>(&bytes, 8);
  append_le<uint64_t>(&bytes, 9);
  append_varint(&bytes, 300);
  append_sized(&bytes, "key");
  append_sized(&bytes, "");
  bytes += "rest";
  Decoder decoder(bytes);
  EXPECT_EQ(decoder.u8(), 7);
  EXPECT_EQ(decoder.u32(), 8u);
  EXPECT_EQ(decoder.u64(), 9u);
  EXPECT_EQ(decoder.varint32(), 300u);
  EXPECT_EQ(decoder.sized(), "key");
  EXPECT_EQ(decoder.sized(), "");
  EXPECT_EQ(decoder.rest(), "rest");
  EXPECT_FALSE(decoder.done());
  EXPECT_EQ(decoder.bytes(4), "rest");
  EXPECT_TRUE(decoder.done());
  EXPECT_EQ(decoder.offset(), bytes.size());
}

TEST(Decoder, AfterAFailureEverythingIsNothing) {
  const std::string bytes(20, '\x01');
  Decoder decoder(bytes);
  EXPECT_EQ(decoder.bytes(UINT64_MAX), "");
  EXPECT_FALSE(decoder.ok());
  EXPECT_EQ(decoder.u8(), 0);
  EXPECT_EQ(decoder.u64(), 0u);
  EXPECT_EQ(decoder.varint(), 0u);
  EXPECT_EQ(decoder.varint32(), 0u);
  EXPECT_EQ(decoder.sized(), "");
  EXPECT_EQ(decoder.offset(), 0u);
  EXPECT_FALSE(decoder.done());
}

TEST(Decoder, Varint32RefusesMoreThan32Bits) {
  std::string bytes;
  append_varint(&bytes, uint64_t{UINT32_MAX} + 1);
  Decoder decoder(bytes);
  EXPECT_EQ(decoder.varint32(), 0u);
  EXPECT_FALSE(decoder.ok());
}

TEST(Decoder, FailMarksItFailed) {
  Decoder decoder("abc");
  decoder.fail();
  EXPECT_FALSE(decoder.ok());
  EXPECT_EQ(decoder.bytes(1), "");
}

// Never reads outside, never moves backwards, whatever the bytes say.
TEST(Decoder, HostileBytesStayInBounds) {
  const uint64_t seed = 3;
  Random random(seed);
  for (int i = 0; i < 50'000; ++i) {
    // An exact heap block, so that AddressSanitizer sees one byte too many.
    const std::string source = random_bytes(random, random.below(40));
    const std::vector<char> exact(source.begin(), source.end());
    const std::string_view bytes(exact.data(), exact.size());
    Decoder decoder(bytes);
    size_t last_offset = 0;
    for (int step = 0; step < 12; ++step) {
      std::string_view view;
      switch (random.below(7)) {
        case 0:
          decoder.u8();
          break;
        case 1:
          decoder.u32();
          break;
        case 2:
          decoder.u64();
          break;
        case 3:
          decoder.varint();
          break;
        case 4:
          decoder.varint32();
          break;
        case 5:
          view = decoder.bytes(random_value(random));
          break;
        default:
          view = decoder.sized();
      }
      ASSERT_GE(decoder.offset(), last_offset) << "seed " << seed;
      ASSERT_EQ(decoder.offset() + decoder.remaining(), bytes.size());
      if (!view.empty()) {
        ASSERT_GE(view.data(), bytes.data());
        ASSERT_LE(view.data() + view.size(), bytes.data() + bytes.size());
      }
      last_offset = decoder.offset();
    }
  }
}

TEST(Decoder, RandomRecordsComeBack) {
  const uint64_t seed = 4;
  Random random(seed);
  for (int i = 0; i < 2'000; ++i) {
    std::string bytes;
    std::vector<uint64_t> numbers;
    std::vector<std::string> strings;
    const size_t count = random.below(10);
    for (size_t j = 0; j < count; ++j) {
      numbers.push_back(random_value(random));
      strings.push_back(random_bytes(random, random.below(200)));
      append_varint(&bytes, numbers.back());
      append_sized(&bytes, strings.back());
      append_le(&bytes, numbers.back());
    }
    Decoder decoder(bytes);
    for (size_t j = 0; j < count; ++j) {
      ASSERT_EQ(decoder.varint(), numbers[j]) << "seed " << seed;
      ASSERT_EQ(decoder.sized(), strings[j]);
      ASSERT_EQ(decoder.u64(), numbers[j]);
    }
    ASSERT_TRUE(decoder.done());
  }
}

}  // namespace
}  // namespace varve
