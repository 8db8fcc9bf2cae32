#include "base/format.h"

#include <gtest/gtest.h>

namespace varve {
namespace {

TEST(Format, ShortAndLongTexts) {
  EXPECT_EQ(format("%s", ""), "");
  EXPECT_EQ(format("%d of %s", 3, "files"), "3 of files");
  // Around the size of the buffer on the stack.
  for (const size_t size : {254, 255, 256, 257, 5000}) {
    const std::string text(size, 'x');
    EXPECT_EQ(format("%s", text.c_str()), text);
    EXPECT_EQ(format("<%s>", text.c_str()), "<" + text + ">");
  }
}

TEST(Readable, PrintableBytesStay) { EXPECT_EQ(readable("key 1~"), "key 1~"); }

TEST(Readable, OtherBytesAreHexadecimal) {
  EXPECT_EQ(readable(std::string_view("a\0\n\x7f\xff", 5)), "a\\x00\\x0A\\x7F\\xFF");
}

TEST(Readable, LongBytesAreCut) {
  EXPECT_EQ(readable("abcdef", 6), "abcdef");
  EXPECT_EQ(readable("abcdef", 5), "abcde...");
  EXPECT_EQ(readable("abcdef", 0), "...");
  EXPECT_EQ(readable(std::string(65, 'a')), std::string(64, 'a') + "...");
}

}  // namespace
}  // namespace varve
